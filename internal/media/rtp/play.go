package rtp

import (
	"errors"

	"github.com/parley-voice/parley/internal/media/audio"
)

// errFormatGone says that a packet's codec was negotiated away while it waited.
var errFormatGone = errors.New("rtp: the codec of the packet is no longer agreed")

// player turns what the jitter buffer gives into frames. It is used by the tick only.
type player struct {
	frame int // samples of 20 ms
	adapt adapt

	fifo    []int16 // decoded and not yet played
	payload []byte
	last    []int16 // the last frame that was heard, for concealment
	faded   int     // frames concealed in a row
	pause   bool    // the far end said that it pauses

	frames, concealed, malformed uint64
}

func newPlayer(rate int) *player {
	frame := rate / 50
	return &player{
		frame: frame,
		adapt: newAdapt(),
		// Two frames, the longest packet, and a concealed gap.
		fifo: make([]int16, 0, (2+6+maxConceal)*frame),
		last: make([]int16, frame),
	}
}

// source is where a player gets audio from: the jitter buffer under its lock, and the codecs.
type source interface {
	held() int
	trim(limit int)
	pop(dst []byte) (g got, format uint8, samples int, payload []byte)
	decode(format uint8, dst []int16, payload []byte) (int, error)
}

// next fills out with the 20 ms to play now and says whether any of it came from the far end.
func (p *player) next(src source, out []int16) bool {
	src.trim(limitTicks * p.frame)
	act := p.adapt.tick(src.held()+len(p.fifo), p.frame)
	if act == playNone {
		p.silence(out)
		return false
	}
	p.fill(src, p.frame)
	if act == playLess {
		p.shorten(src)
	}
	ok := len(p.fifo) > 0
	if ok || !p.pause {
		p.adapt.fed(ok)
	}
	if len(p.fifo) < p.frame {
		p.runDry(out)
		return ok
	}
	p.take(out, p.frame)
	copy(p.last, out)
	p.faded = 0
	p.frames++
	return true
}

// fill decodes until n samples wait in the fifo or the buffer is empty.
func (p *player) fill(src source, n int) {
	for len(p.fifo) < n {
		g, format, samples, payload := src.pop(p.payload)
		p.payload = payload
		switch g {
		case gotNothing:
			return
		case gotNoise:
			p.pause = true
		case gotOther:
		case gotGap:
			p.concealGap(min(samples, maxConceal*p.frame))
		case gotAudio:
			p.pause = false
			p.decode(src, format, samples)
		}
	}
}

func (p *player) decode(src source, format uint8, samples int) {
	at := len(p.fifo)
	if at+samples > cap(p.fifo) {
		p.malformed++ // the bounds of fill and of the reader rule this out
		return
	}
	n, err := src.decode(format, p.fifo[at:at+samples], p.payload)
	if err != nil {
		p.malformed++
		p.concealGap(samples)
		return
	}
	p.fifo = p.fifo[:at+n]
}

// concealGap appends n samples in place of lost packets.
func (p *player) concealGap(n int) {
	for n > 0 && len(p.fifo)+p.frame <= cap(p.fifo) {
		at := len(p.fifo)
		p.fifo = p.fifo[:at+p.frame]
		p.conceal(p.fifo[at:])
		n -= p.frame
		if n < 0 {
			p.fifo = p.fifo[:len(p.fifo)+n]
		}
	}
}

// fades are the gains at the borders of concealed frames: a lost packet is hardly heard, and a longer gap
// becomes silent within 80 ms instead of buzzing.
var fades = [...]int32{32768, 22938, 13107, 4915, 0}

// conceal repeats the last frame and fades it.
func (p *player) conceal(out []int16) {
	p.concealed++
	if p.faded >= len(fades)-1 {
		p.silence(out)
		return
	}
	from, to := fades[p.faded], fades[p.faded+1]
	for i := range out {
		g := from + (to-from)*int32(i)/int32(len(out))
		out[i] = int16(int32(p.last[i]) * g >> 15)
	}
	p.faded++
}

// runDry plays what is left in the fifo and conceals the rest, unless the far end pauses.
func (p *player) runDry(out []int16) {
	n := len(p.fifo)
	if p.pause {
		p.silence(out)
	} else {
		p.conceal(out)
	}
	p.take(out[:n], n)
}

func (p *player) silence(out []int16) { clear(out) }

func (p *player) take(out []int16, n int) {
	copy(out, p.fifo[:n])
	p.discard(n)
}

func (p *player) discard(n int) {
	p.fifo = p.fifo[:copy(p.fifo, p.fifo[n:])]
}

// shorten leaves out audio so that the delay shrinks: whole quiet frames where there are any, else one
// pitch period of speech.
func (p *player) shorten(src source) {
	for range 3 {
		p.fill(src, 2*p.frame)
		if len(p.fifo) < 2*p.frame || (src.held()+len(p.fifo)) < (targetTicks+1)*p.frame {
			return
		}
		if !audio.Quiet(p.fifo[:p.frame]) {
			p.overlap()
			return
		}
		p.discard(p.frame)
	}
}

// overlap takes out the lag at which the signal is most like itself, between 5 and 20 ms, and cross-fades over
// the joint. For voiced speech that is one pitch period or several.
func (p *player) overlap() {
	window := p.frame / 2
	shortest, longest := p.frame/4, p.frame
	step := max(1, p.frame/160) // 8 kHz resolution is enough
	x := p.fifo
	var best float32
	lag := longest
	for l := shortest; l <= longest; l += step {
		var cross, energy float32
		for i := 0; i < window; i += step {
			a, b := float32(x[i]), float32(x[i+l])
			cross += a * b
			energy += b * b
		}
		if cross <= 0 {
			continue
		}
		if score := cross * cross / (energy + 1); score > best {
			best, lag = score, l
		}
	}
	for i := range window {
		w := int32(i)
		x[i+lag] = int16((int32(x[i])*(int32(window)-w) + int32(x[i+lag])*w) / int32(window))
	}
	p.discard(lag)
}
