package softphone

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/parley-voice/parley/internal/media"
)

// How a polite caller behaves, in ticks of 20 ms.
const (
	loudFrame     = 300 // mean magnitude of a frame that holds speech
	pauseTicks    = 35  // silence that ends what the far end says
	greetingTicks = 250 // we wait so long for a greeting to begin
	idleTicks     = 150 // silence after the far end's answer, and the call is over
	muteTicks     = 750 // the same when it says nothing at all
	newsQueue     = 64  // lines to print; when full the newest are lost
	heardQueue    = 256 // frames to write; when full frames are lost
)

// news is something to print.
type news struct {
	text string
	said bool // our file was played to its end
	idle bool // everything was said, and the far end is silent
}

// line is the endpoint: it says the file and listens. Its state belongs to the tick, except for what is
// atomic or a channel.
type line struct {
	pcm   []int16
	at    int
	news  chan news
	heard chan []int16
	free  chan []int16

	atOnce   bool
	tick     int
	speaking bool // the far end
	quiet    int  // ticks since it last spoke
	began    int  // tick its speech began at
	spoken   bool // it spoke at all
	saying   bool // we
	said     bool
	idle     bool

	finished atomic.Bool // nothing more is to be said
	finishAt int
	loud     atomic.Int64 // ticks the far end spoke
}

func newLine(o Options, rate int, pcm []int16) *line {
	l := &line{pcm: pcm, atOnce: o.AtOnce, news: make(chan news, newsQueue), heard: make(chan []int16, heardQueue), free: make(chan []int16, heardQueue)}
	for range heardQueue {
		l.free <- make([]int16, media.FrameSamples(rate))
	}
	return l
}

func (l *line) recycle(frame []int16) {
	select {
	case l.free <- frame:
	default:
	}
}

// finish says that nothing more will be said: from now on silence ends the call.
func (l *line) finish() { l.finished.Store(true) }

func (l *line) spokeFor() time.Duration { return time.Duration(l.loud.Load()) * media.FrameDuration }

func (l *line) tell(n news) {
	select {
	case l.news <- n:
	default:
	}
}

// Tick implements media.Endpoint.
func (l *line) Tick(in, out []int16) bool {
	if in != nil {
		l.listen(in)
	}
	if out == nil {
		return false
	}
	return l.say(out)
}

// listen follows what the far end says.
func (l *line) listen(in []int16) {
	l.tick++
	l.keep(in)
	sum := 0
	for _, v := range in {
		if v < 0 {
			sum -= int(v)
		} else {
			sum += int(v)
		}
	}
	l.quiet++
	if sum > loudFrame*len(in) {
		l.quiet = 0
		l.spoken = true
		l.loud.Add(1)
		if !l.speaking {
			l.speaking, l.began = true, l.tick
			l.tell(news{text: "they speak"})
		}
	}
	if l.speaking && l.quiet >= pauseTicks {
		l.speaking = false
		l.tell(news{text: fmt.Sprintf("they were heard for %.1f s", float64(l.tick-l.began-pauseTicks)*0.02)})
	}
	l.watch()
}

// watch notices that the conversation is over.
func (l *line) watch() {
	if !l.finished.Load() || l.idle {
		return
	}
	if l.finishAt == 0 {
		l.finishAt = l.tick
	}
	waited := l.tick - l.finishAt
	if (l.loud.Load() > 0 && waited >= idleTicks && l.quiet >= idleTicks) || (waited >= muteTicks && l.quiet >= muteTicks) {
		l.idle = true
		l.tell(news{text: "nobody says anything more", idle: true})
	}
}

func (l *line) keep(in []int16) {
	select {
	case frame := <-l.free:
		copy(frame, in)
		l.heard <- frame // there is room: as many frames exist as fit
	default:
	}
}

// say gives the next frame of the file, once the greeting is over.
func (l *line) say(out []int16) bool {
	if !l.saying && !l.said {
		greeted := l.spoken && !l.speaking
		if !l.atOnce && !greeted && (l.spoken || l.tick < greetingTicks) {
			return false
		}
		l.saying = true
		if len(l.pcm) > 0 {
			l.tell(news{text: "we speak"})
		}
	}
	if !l.saying {
		return false
	}
	n := copy(out, l.pcm[l.at:])
	l.at += n
	clear(out[n:])
	if l.at >= len(l.pcm) {
		l.saying, l.said = false, true
		l.tell(news{text: "we have said everything", said: true})
	}
	return n > 0
}

// Played implements media.Endpoint.
func (*line) Played(int64) {}

// Event implements media.Endpoint.
func (l *line) Event(ev media.LegEvent) {
	switch ev.Kind {
	case media.LegDTMF:
		l.tell(news{text: fmt.Sprintf("they sent the digit %c", ev.Digit)})
	case media.LegHold:
		l.tell(news{text: "they put us on hold"})
	case media.LegResume:
		l.tell(news{text: "they took us back"})
	case media.LegLost:
		l.tell(news{text: ev.Text})
	}
}
