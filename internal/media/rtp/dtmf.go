package rtp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// digits are the events 0 to 15 (RFC 4733 section 3.2).
const digits = "0123456789*#ABCD"

// event is the payload of a telephone-event packet (RFC 4733 section 2.3).
type event struct {
	code     uint8
	end      bool
	volume   uint8 // -dBm0
	duration uint16
}

func parseEvent(b []byte) (event, bool) {
	if len(b) < 4 {
		return event{}, false
	}
	return event{code: b[0], end: b[1]&0x80 != 0, volume: b[1] & 0x3f, duration: binary.BigEndian.Uint16(b[2:])}, true
}

func (e event) put(b []byte) {
	b[0], b[1] = e.code, e.volume
	if e.end {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], e.duration)
}

// dtmfIn turns telephone-event packets into digits. A digit is reported with its first packet, so that the
// loss of any of the others, of all three end packets too, does not matter.
type dtmfIn struct {
	active   bool
	ssrc     uint32
	ts       uint32
	code     uint8
	ended    bool
	seq      uint16
	duration uint16
}

// reordered is how many packets late a packet may be to be told from a restart of the numbering.
const reordered = 100

// packet takes one packet and returns the digit when a new one has begun, else 0.
func (d *dtmfIn) packet(h header, e event) byte {
	if int(e.code) >= len(digits) {
		return 0
	}
	if h.ssrc != d.ssrc {
		d.active = false // another source has timestamps of its own
	}
	if d.active && h.ts == d.ts {
		d.ended = d.ended || e.end
		d.seq, d.duration = h.seq, max(d.duration, e.duration)
		return 0
	}
	if behind := int16(h.seq - d.seq); d.active && behind < 0 && behind > -reordered {
		return 0 // a packet of an earlier digit, out of order
	}
	// Some gateways move the timestamp during one press; and a press longer than 65,535 units goes on as a
	// new segment without the marker (RFC 4733 section 2.5.1.3). Both follow at once, and nothing ended.
	if d.active && !d.ended && !h.marker && e.code == d.code && h.seq == d.seq+1 && (e.duration >= d.duration || d.duration > 60000) {
		d.ts, d.seq, d.duration, d.ended = h.ts, h.seq, e.duration, e.end
		return 0
	}
	*d = dtmfIn{active: true, ssrc: h.ssrc, ts: h.ts, code: e.code, ended: e.end, seq: h.seq, duration: e.duration}
	return digits[e.code]
}

// The timing of what we send, in ticks of 20 ms: 160 ms on and 80 ms off are taken by everything (ITU-T Q.24
// wants 40 each), and "," waits half a second.
const (
	toneTicks  = 8
	gapTicks   = 4
	commaTicks = 25
	endPackets = 3 // RFC 4733 section 2.5.1.4
	maxQueued  = 128
	volumeOut  = 10
)

// ErrNoEvents says that the far end did not agree to telephone-event.
var ErrNoEvents = errors.New("rtp: the far end does not take DTMF as telephone-event (RFC 4733)")

// dtmfOut is the queue of digits to send. Its queue has a lock of its own, so that SendDTMF never waits for
// a tick; the rest belongs to the tick.
type dtmfOut struct {
	mu    sync.Mutex
	queue []byte
	drain chan struct{} // closed when the queue has been sent, nil when nobody waits

	current byte
	tick    int
	ts      uint32
}

// add queues digits. It refuses what is no digit and what does not fit.
func (d *dtmfOut) add(s string) (<-chan struct{}, error) {
	s = strings.ToUpper(s)
	for _, r := range s {
		if !strings.ContainsRune(digits+",", r) {
			return nil, fmt.Errorf("rtp: %q is not a DTMF digit; use 0-9, *, #, A-D, and a comma to wait half a second", r)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue)+len(s) > maxQueued {
		return nil, fmt.Errorf("rtp: more than %d DTMF digits wait to be sent", maxQueued)
	}
	d.queue = append(d.queue, s...)
	if d.drain == nil {
		d.drain = make(chan struct{})
	}
	return d.drain, nil
}

// begin takes the next digit when none is being sent. It reports whether there is one to send now.
func (d *dtmfOut) begin(ts uint32) bool {
	if d.current != 0 {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue) == 0 {
		if d.drain != nil {
			close(d.drain)
			d.drain = nil
		}
		return false
	}
	d.current = d.queue[0]
	d.queue = d.queue[:copy(d.queue, d.queue[1:])]
	d.tick, d.ts = 0, ts
	return true
}

// busy reports whether a digit is being sent or waits.
func (d *dtmfOut) busy() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.current != 0 || len(d.queue) > 0
}

// step moves on by one tick of `units` timestamp units. send says whether there is a packet to send.
func (d *dtmfOut) step(units int) (e event, marker, send bool) {
	t := d.tick
	d.tick++
	if d.current == ',' {
		if d.tick >= commaTicks {
			d.current = 0
		}
		return event{}, false, false
	}
	e = event{code: uint8(strings.IndexByte(digits, d.current)), volume: volumeOut}
	switch {
	case t < toneTicks:
		e.duration = uint16((t + 1) * units)
		return e, t == 0, true
	case t < toneTicks+endPackets:
		e.duration, e.end = uint16(toneTicks*units), true
		return e, false, true
	case t >= toneTicks+gapTicks:
		d.current = 0
	}
	return event{}, false, false
}

// SendDTMF sends digits (0-9 * # A-D, "," waits half a second) and returns when the last was sent. Digits
// that were queued before ctx ended are sent all the same.
func (s *Session) SendDTMF(ctx context.Context, digits string) error {
	if digits == "" {
		return nil
	}
	if !s.eventsAgreed.Load() {
		return ErrNoEvents
	}
	sent, err := s.dtmf.add(digits)
	if err != nil {
		return err
	}
	select {
	case <-sent:
		return nil
	case <-s.done:
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("rtp: sending DTMF: %w", ctx.Err())
	}
}
