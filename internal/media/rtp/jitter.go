package rtp

import "slices"

// The jitter buffer orders packets and decides how long audio waits. It works on sequence numbers, so a
// jump of the timestamp disturbs nothing; the time it holds is counted from what the packets decode to.
//
// Its delay is bounded, and it comes back. A stall of the network delivers all that was held up at once:
// the buffer takes it in, up to a second, and plays it 1.4 times as fast until the delay is back at the
// target, so that a caller's words are late for a moment and not lost. What exceeds the second is dropped,
// oldest first. adapt.go has the rules.

const (
	slots      = 64   // packets held at once
	resyncGap  = 1000 // a sequence number farther off than this is a restart (RFC 3550 appendix A.1 has 3,000)
	maxConceal = 5    // frames concealed for one gap; the rest of a longer gap is skipped
)

// kind is what a packet holds.
type kind uint8

const (
	kindAudio kind = iota
	kindNoise      // comfort noise: the far end pauses
	kindOther      // telephone-event: has a place in the sequence and no sound
)

// packet is what the reader pushes.
type packet struct {
	seq     uint16
	ssrc    uint32
	kind    kind
	format  uint8 // index of the codec
	samples int   // what the payload decodes to
	payload []byte
}

type slot struct {
	seq     int64
	kind    kind
	format  uint8
	used    bool
	samples int
	payload []byte
}

// verdict is what became of a pushed packet.
type verdict uint8

const (
	accepted verdict = iota
	probing          // of a new source or far off in the sequence; the next one decides
	late
	duplicate
)

// jitter is the ordered store. It is not safe for concurrent use; Session.in guards it.
type jitter struct {
	slots    [slots]slot
	started  bool
	ssrc     uint32
	next     int64 // the sequence number to play next, extended by its wraps
	newest   int64 // the highest one received
	held     int   // samples in the buffer
	packets  int
	duration int // samples of the last audio packet: what a lost one stands for

	probe struct { // a source or position that waits for a second packet
		active bool
		ssrc   uint32
		seq    uint16
	}

	lost, late, duplicates, overflow uint64
}

// reset forgets everything but the counters.
func (j *jitter) reset() {
	for i := range j.slots {
		j.slots[i].used = false
	}
	j.started, j.held, j.packets, j.probe.active = false, 0, 0, false
}

// push stores a packet. The payload is copied.
func (j *jitter) push(p packet) verdict {
	if !j.started {
		j.begin(p)
	} else if p.ssrc != j.ssrc {
		// RFC 3550 section 8.2: a new source counts once two of its packets in sequence were seen.
		if !j.probed(p) {
			return probing
		}
		j.reset()
		j.begin(p)
	}
	seq := j.newest + int64(int16(p.seq-uint16(j.newest)))
	switch d := seq - j.newest; {
	case d > resyncGap || d < -resyncGap:
		if !j.probed(p) {
			return probing
		}
		j.reset()
		j.begin(p)
		seq = j.next
	case seq < j.next:
		j.late++
		return late
	}
	j.probe.active = false
	s := &j.slots[seq%slots]
	if s.used && s.seq == seq {
		j.duplicates++
		return duplicate
	}
	for seq-j.next >= slots { // the ring is full: the oldest give way
		j.dropOldest()
	}
	s.seq, s.kind, s.format, s.used, s.samples = seq, p.kind, p.format, true, p.samples
	s.payload = append(s.payload[:0], p.payload...)
	j.held += p.samples
	j.packets++
	j.newest = max(j.newest, seq)
	if p.kind == kindAudio {
		j.duration = p.samples
	}
	return accepted
}

func (j *jitter) begin(p packet) {
	j.started, j.ssrc = true, p.ssrc
	j.next = int64(p.seq) + 1<<32 // far from zero: seq%slots must not see a negative number
	j.newest = j.next
}

func (j *jitter) probed(p packet) bool {
	ok := j.probe.active && j.probe.ssrc == p.ssrc && p.seq == j.probe.seq+1
	j.probe.active, j.probe.ssrc, j.probe.seq = true, p.ssrc, p.seq
	return ok
}

// drop gives up the packet to play next, if it is there.
func (j *jitter) dropOldest() {
	s := &j.slots[j.next%slots]
	if s.used && s.seq == j.next {
		s.used = false
		j.held -= s.samples
		j.packets--
		if s.kind == kindAudio {
			j.overflow++
		}
	}
	j.next++
}

// trim drops the oldest audio until at most limit samples are held.
func (j *jitter) trim(limit int) {
	for j.held > limit && j.packets > 1 {
		j.dropOldest()
	}
}

// got is what pop found.
type got uint8

const (
	gotNothing got = iota // the buffer is empty
	gotAudio
	gotNoise
	gotOther
	gotGap // packets are missing and later ones are here
)

// pop takes the packet to play next. The payload is appended to dst[:0], which is also returned for reuse. For
// gotGap, samples is what should be concealed.
func (j *jitter) pop(dst []byte) (g got, format uint8, samples int, payload []byte) {
	if j.packets == 0 {
		return gotNothing, 0, 0, dst
	}
	s := &j.slots[j.next%slots]
	if !s.used || s.seq != j.next {
		return gotGap, 0, j.skipGap(), dst
	}
	s.used = false
	j.held -= s.samples
	j.packets--
	j.next++
	dst = append(slices.Grow(dst[:0], len(s.payload)), s.payload...)
	switch s.kind {
	case kindNoise:
		return gotNoise, s.format, 0, dst
	case kindOther:
		return gotOther, s.format, 0, dst
	default:
		return gotAudio, s.format, s.samples, dst
	}
}

// skipGap moves past the packets that are missing before the next one that is here.
func (j *jitter) skipGap() (samples int) {
	missing := 0
	for s := &j.slots[j.next%slots]; !s.used || s.seq != j.next; s = &j.slots[j.next%slots] {
		j.next++
		missing++
	}
	j.lost += uint64(missing)
	return min(missing, maxConceal) * j.duration
}
