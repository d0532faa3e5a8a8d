package voice

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"sync"
	"time"

	"github.com/parley-voice/parley/internal/media"
)

const (
	earFrames    = 128 // of caller audio kept for the recogniser: 2.56 s; the oldest goes first
	preRoll      = 15  // frames before the speech that the recogniser gets: 300 ms
	hangFrames   = 10  // of no speech end it: 200 ms
	digestFrames = 250 // a digest of the caller's audio each 5 s
)

// ear is the caller's side of Tick: it keeps the last seconds of audio, smooths the VAD's decisions and
// sums up what came in. Only ring is shared, under mu.
type ear struct {
	vad    Detector
	gate   gate
	speech bool // what the VAD said of the last frame
	digest hash.Hash
	summed int
	bytes  []byte
	work   [sha256.Size]byte // of the digest being made

	mu     sync.Mutex
	sha    [sha256.Size]byte // the last digest
	frame  int               // samples
	ring   []int16           // earFrames frames
	next   int64             // index of the next frame to come, from 0
	wake   chan struct{}
	active bool // an utterance is being recognised: wake the listener
}

func newEar(vad Detector, rate int, minSpeech time.Duration) *ear {
	n := media.FrameSamples(rate)
	return &ear{
		vad: vad, gate: gate{need: max(1, int(minSpeech/media.FrameDuration))}, digest: sha256.New(),
		bytes: make([]byte, 2*n), frame: n, ring: make([]int16, earFrames*n), wake: make(chan struct{}, 1),
	}
}

// edge is what a frame meant to the VAD.
type edge uint8

const (
	edgeNone edge = iota
	edgeStart
	edgeEnd
)

// hear takes one frame of the caller's. at is its index, lag how long ago the edge was.
func (e *ear) hear(in []int16) (ed edge, at int64, lag time.Duration) {
	e.mu.Lock()
	at = e.next
	copy(e.ring[int(at%earFrames)*e.frame:][:e.frame], in)
	e.next++
	// The listener takes frames in small batches: a wake-up for each would cost more than it brings.
	wake := e.active && e.next%3 == 0
	e.mu.Unlock()
	if wake {
		e.rouse()
	}
	e.speech = e.vad.Speech(in)
	ed, lag = e.gate.step(e.speech)
	return ed, at, lag
}

func (e *ear) rouse() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// sum adds a frame to the digest and reports true when one is due: lastDigest gives it then.
func (e *ear) sum(in []int16) (frames int, due bool) {
	for i, v := range in {
		binary.LittleEndian.PutUint16(e.bytes[2*i:], uint16(v))
	}
	_, _ = e.digest.Write(e.bytes[:2*len(in)])
	if e.summed++; e.summed < digestFrames {
		return 0, false
	}
	e.digest.Sum(e.work[:0])
	e.mu.Lock()
	e.sha = e.work
	e.mu.Unlock()
	e.digest.Reset()
	frames, e.summed = e.summed, 0
	return frames, true
}

// lastDigest is the SHA-256 of the last digestFrames frames before the one under way, as little-endian bytes.
func (e *ear) lastDigest() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return hex.EncodeToString(e.sha[:])
}

// position is the index of the next frame to come.
func (e *ear) position() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.next
}

// listen says whether the listener wants to be woken.
func (e *ear) listen(on bool) {
	e.mu.Lock()
	e.active = on
	e.mu.Unlock()
}

// read copies frame i to p. lost is how many frames from i on are gone already: then the copy is of
// frame i+lost. ok is false when it has not come yet.
func (e *ear) read(i int64, p []int16) (lost int64, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if oldest := e.next - earFrames; i < oldest {
		lost = oldest - i
		i = oldest
	}
	if i < 0 || i >= e.next {
		return lost, false
	}
	copy(p[:e.frame], e.ring[int(i%earFrames)*e.frame:][:e.frame])
	return lost, true
}

// gate turns frame decisions into edges: need of the last need+1 frames must be speech to begin, hangFrames
// without to end.
type gate struct {
	need    int
	history uint64 // one bit a frame, the latest lowest
	quiet   int
	open    bool
}

func (g *gate) step(speech bool) (edge, time.Duration) {
	g.history <<= 1
	if speech {
		g.history |= 1
	}
	if g.open {
		if g.quiet++; speech {
			g.quiet = 0
		}
		if g.quiet >= hangFrames {
			g.open, g.history = false, 0
			return edgeEnd, hangFrames * media.FrameDuration
		}
		return edgeNone, 0
	}
	window := g.history & (1<<(g.need+1) - 1)
	n := 0
	for ; window != 0; window &= window - 1 {
		n++
	}
	if speech && n >= g.need {
		g.open, g.quiet = true, 0
		return edgeStart, time.Duration(g.need) * media.FrameDuration
	}
	return edgeNone, 0
}
