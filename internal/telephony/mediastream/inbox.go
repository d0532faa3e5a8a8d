package mediastream

import (
	"sync"

	"github.com/parley-voice/parley/internal/media/audio"
)

const (
	frameBytes = 160 // 20 ms of µ-law at 8 kHz
	silence    = 0xff

	// inboxFrames bounds the caller's audio. The carrier sends over TCP, so nothing is lost on the way: after
	// a stall everything comes at once, and the oldest must go or the delay would stay for ever.
	inboxFrames = 10
	// inboxTarget is what a burst is cut down to, and what may stand in the inbox after a frame was taken.
	inboxTarget = 1
	// inboxWindow is the number of ticks over which the least level is watched. Audio that was there through
	// the whole window covers no jitter and is only delay.
	inboxWindow = 50
)

// inbox holds the caller's µ-law audio between the socket and the tick.
type inbox struct {
	mu      sync.Mutex
	buf     [inboxFrames * frameBytes]byte
	head, n int
	low     int // least level after a frame was taken, in this window
	ticks   int
	dropped uint64 // bytes
}

// push takes audio in. What does not fit pushes the oldest out, down to the target.
func (q *inbox) push(p []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.n+len(p) > len(q.buf) {
		keep := (inboxTarget + 1) * frameBytes
		if len(p) >= keep {
			q.drop(q.n)
			q.dropped += uint64(len(p) - keep)
			p = p[len(p)-keep:]
		} else {
			q.drop(q.n + len(p) - keep)
		}
		q.low = 0
	}
	tail := (q.head + q.n) % len(q.buf)
	m := copy(q.buf[tail:], p)
	copy(q.buf[:], p[m:])
	q.n += len(p)
}

// pop decodes the oldest 20 ms into dst. It reports false, and fills dst with silence, when there are none.
func (q *inbox) pop(dst []int16) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.n < frameBytes {
		q.low = 0 // an underrun: the level is needed
		q.tick()
		clear(dst)
		return false
	}
	if first := len(q.buf) - q.head; first >= frameBytes {
		audio.MuLawDecode(dst, q.buf[q.head:q.head+frameBytes])
	} else {
		audio.MuLawDecode(dst[:first], q.buf[q.head:])
		audio.MuLawDecode(dst[first:], q.buf[:frameBytes-first])
	}
	q.advance(frameBytes)
	q.low = min(q.low, q.n)
	q.tick()
	return true
}

func (q *inbox) tick() {
	q.ticks++
	if q.ticks < inboxWindow {
		return
	}
	if excess := q.low - inboxTarget*frameBytes; excess > 0 {
		q.drop(excess)
	}
	q.ticks, q.low = 0, q.n
}

func (q *inbox) drop(n int) {
	q.advance(n)
	q.dropped += uint64(n)
}

func (q *inbox) advance(n int) {
	q.head = (q.head + n) % len(q.buf)
	q.n -= n
}

// level returns the number of bytes waiting and of bytes dropped.
func (q *inbox) level() (waiting int, dropped uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.n, q.dropped
}
