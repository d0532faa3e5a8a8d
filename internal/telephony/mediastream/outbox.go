package mediastream

import (
	"encoding/base64"
	"strconv"
	"sync"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/media/audio"
)

const (
	// outboxSlots bounds what waits for the socket, a little over two seconds with its marks. When it is full
	// the frame is dropped and counted: the far end has not read for that long.
	outboxSlots = 128
	// markEvery is the number of speech frames between two marks.
	markEvery = 5
)

type slotKind uint8

const (
	slotMedia slotKind = iota
	slotMark
	slotClear
)

type slot struct {
	kind  slotKind
	epoch int64
	n     int64 // speech frames up to and with this one
	at    time.Time
	data  [frameBytes]byte
}

// outbox is the agent's audio on its way to the carrier, and the ledger of what was heard of it.
//
// Speech frames are numbered from 1 as they are accepted. A mark carries the number of the frame before it
// and the epoch, which each clear raises. What the carrier's buffer still holds is modelled: a written
// frame plays 20 ms after the one before it or at once when the buffer has run dry. The model is never
// behind the truth by more than the way to the carrier, and always ahead of it, so that it bounds what a
// mark may claim. After a clear, frames of the epoch before count at most as far as the model had got.
type outbox struct {
	mu    sync.Mutex
	ring  [outboxSlots]slot
	head  int
	n     int
	wake  chan struct{} // one slot: the writer looks at everything when it wakes
	write func(b []byte) error

	streamSid string
	buf       []byte // the writer's

	epoch     int64
	accepted  int64     // number of the last speech frame
	marked    int64     // number of the last frame a mark was asked for
	written   int64     // number of the last frame written in this epoch
	until     time.Time // the model: when the carrier's buffer runs dry
	confirmed int64     // by marks
	cap       int64     // bound for marks of the epoch before
	dirty     bool      // audio was accepted since the last clear

	dropped, late, sent uint64
}

func newOutbox(streamSid string, write func([]byte) error) *outbox {
	return &outbox{wake: make(chan struct{}, 1), write: write, streamSid: streamSid, buf: make([]byte, 0, 512)}
}

// put takes one frame. speech says whether it counts in the ledger; tones do not.
func (o *outbox) put(frame []int16, speech bool, now time.Time) {
	o.mu.Lock()
	s := o.slot(slotMedia)
	if s == nil {
		o.dropped++
		if speech {
			o.accepted++
		}
		o.mu.Unlock()
		return
	}
	audio.MuLawEncode(s.data[:], frame)
	s.at = now
	o.dirty = true
	if speech {
		o.accepted++
		if o.accepted-o.marked >= markEvery {
			o.mark()
		}
	}
	s.n = o.accepted
	o.mu.Unlock()
	o.signal()
}

// endSpurt asks for a mark after the last frame.
func (o *outbox) endSpurt() {
	o.mu.Lock()
	if o.accepted > o.marked {
		o.mark()
	}
	o.mu.Unlock()
	o.signal()
}

func (o *outbox) mark() {
	if s := o.slot(slotMark); s != nil {
		s.n = o.accepted
		o.marked = o.accepted
	}
}

// slot takes a free slot of the ring, nil when there is none. One is kept back for a clear.
func (o *outbox) slot(k slotKind) *slot {
	if o.n >= outboxSlots-1 && k != slotClear {
		return nil
	}
	s := &o.ring[(o.head+o.n)%outboxSlots]
	o.n++
	s.kind, s.epoch = k, o.epoch
	return s
}

// clear drops what waits here and tells the carrier to drop what it holds.
func (o *outbox) clear(now time.Time) bool {
	o.mu.Lock()
	if !o.dirty {
		o.mu.Unlock()
		return false
	}
	o.cap = max(o.confirmed, o.bound(now))
	o.epoch++
	o.n = 0
	o.until = now
	o.marked = o.accepted
	o.written = o.accepted
	o.dirty = false
	o.slot(slotClear)
	o.mu.Unlock()
	o.signal()
	return true
}

// bound is the number of the last frame that can have been played by now.
func (o *outbox) bound(now time.Time) int64 {
	left := o.until.Sub(now)
	if left <= 0 {
		return o.written
	}
	return max(0, o.written-int64((left+media.FrameDuration-1)/media.FrameDuration))
}

// markReturned takes in a mark that came back.
func (o *outbox) markReturned(epoch, n int64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case n < 0 || n > o.accepted:
		return false
	case epoch == o.epoch:
		o.confirmed = max(o.confirmed, n)
	case epoch == o.epoch-1:
		o.confirmed = max(o.confirmed, min(n, o.cap))
	default:
		return epoch >= 0 && epoch < o.epoch // answered late: nothing to learn
	}
	return true
}

// played is what the far end has played, as far as marks and time agree.
func (o *outbox) played(now time.Time) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return min(o.confirmed, max(o.cap, o.bound(now)))
}

func (o *outbox) counters() (sent, dropped, late uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sent, o.dropped, o.late
}

func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// drain writes everything that waits and reports the first error. It is the writer goroutine's.
func (o *outbox) drain(clock quartz.Clock) error {
	for {
		var s slot
		o.mu.Lock()
		if o.n == 0 {
			o.mu.Unlock()
			return nil
		}
		s = o.ring[o.head]
		o.head = (o.head + 1) % outboxSlots
		o.n--
		o.mu.Unlock()
		o.buf = appendMessage(o.buf[:0], o.streamSid, &s)
		if err := o.write(o.buf); err != nil {
			return err
		}
		if s.kind == slotMedia {
			o.wrote(&s, clock.Now())
		}
	}
}

// wrote moves the model on.
func (o *outbox) wrote(s *slot, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent++
	if now.Sub(s.at) > media.FrameDuration {
		o.late++
	}
	if s.epoch != o.epoch {
		return // cleared while it was being written; the clear follows it
	}
	if o.until.Before(now) {
		o.until = now
	}
	o.until = o.until.Add(media.FrameDuration)
	o.written = s.n
}

// appendMessage builds the message for a slot. streamSid was checked to need no escapes.
func appendMessage(b []byte, streamSid string, s *slot) []byte {
	switch s.kind {
	case slotMedia:
		b = append(b, `{"event":"media","streamSid":"`...)
		b = append(b, streamSid...)
		b = append(b, `","media":{"payload":"`...)
		b = base64.StdEncoding.AppendEncode(b, s.data[:])
		return append(b, `"}}`...)
	case slotMark:
		b = append(b, `{"event":"mark","streamSid":"`...)
		b = append(b, streamSid...)
		b = append(b, `","mark":{"name":"p`...)
		b = strconv.AppendInt(b, s.epoch, 10)
		b = append(b, '.')
		b = strconv.AppendInt(b, s.n, 10)
		return append(b, `"}}`...)
	default:
		b = append(b, `{"event":"clear","streamSid":"`...)
		b = append(b, streamSid...)
		return append(b, `"}`...)
	}
}

// parseMark reads the name of a mark of ours.
func parseMark(name []byte) (epoch, n int64, ok bool) {
	if len(name) < 4 || len(name) > 40 || name[0] != 'p' {
		return 0, 0, false
	}
	p, dot := &epoch, false
	for i, c := range name[1:] {
		switch {
		case c == '.' && !dot && i > 0:
			p, dot = &n, true
		case c >= '0' && c <= '9' && *p < 1<<56:
			*p = *p*10 + int64(c-'0')
		default:
			return 0, 0, false
		}
	}
	return epoch, n, dot && name[len(name)-1] != '.'
}
