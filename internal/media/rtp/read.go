package rtp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// inbound is what the readers and the tick share.
type inbound struct {
	mu       sync.Mutex
	jitter   jitter
	arrivals arrivals
	events   dtmfIn
	digits   [16]byte // heard and not yet reported; when full the newest is dropped
	pending  int
	latch    latch

	lastSR    uint32 // middle bits of the far end's NTP time
	lastSRAt  time.Time
	roundTrip float64

	packets, malformed, foreign uint64
	framesIn, concealed         uint64
	bufferMS                    float64
}

// latch decides which source is believed (symmetric RTP, RFC 4961). The first source whose packet is valid is
// taken. After that another one is taken when
//   - its address is the signalled one, or its host is the one the signalling comes from, and the present
//     one is neither, or
//   - the present one was silent for a second and the new one sent three packets in sequence.
//
// Anything else is foreign and dropped, so that nobody takes over a call by sending to its port. With SRTP
// only packets that were authenticated get here.
type latch struct {
	signalled netip.AddrPort
	via       netip.Addr
	current   netip.AddrPort
	last      time.Time

	candidate netip.AddrPort
	seq       uint16
	run       int
}

const (
	relatchAfter = time.Second
	relatchRun   = 3
)

func (l *latch) admit(from netip.AddrPort, seq uint16, now time.Time) (ok, moved bool) {
	if from == l.current {
		l.last = now
		return true, false
	}
	if !l.current.IsValid() || l.trust(from) > l.trust(l.current) {
		l.current, l.last = from, now
		return true, true
	}
	if now.Sub(l.last) < relatchAfter {
		l.run = 0
		return false, false
	}
	if l.run > 0 && l.candidate == from && seq == l.seq+1 {
		l.run++
	} else {
		l.candidate, l.run = from, 1
	}
	l.seq = seq
	if l.run < relatchRun {
		return false, false
	}
	l.current, l.last, l.run = from, now, 0
	return true, true
}

func (l *latch) trust(a netip.AddrPort) int {
	switch {
	case a == l.signalled:
		return 2
	case a.Addr() == l.via || a.Addr() == l.signalled.Addr():
		return 1
	}
	return 0
}

// maxReadErrors in a row end the session: the socket is broken.
const maxReadErrors = 100

// read is the goroutine of one socket.
func (s *Session) read(c Conn, handle func([]byte, []byte, netip.AddrPort, time.Time)) {
	buf, plain := make([]byte, maxPacket), make([]byte, 0, maxPacket)
	failed := 0
	for {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			if failed++; failed >= maxReadErrors {
				go s.fail(fmt.Errorf("rtp: read: %w", err)) // not here: OnEnd may call Close, which waits for us
				return
			}
			continue
		}
		failed = 0
		handle(buf[:n], plain, unmap(from), s.config.Clock.Now())
	}
}

func (s *Session) count(n *uint64) {
	s.in.mu.Lock()
	*n++
	s.in.mu.Unlock()
}

// datagram takes what came to the RTP socket. plain is memory for decrypting.
func (s *Session) datagram(b, plain []byte, from netip.AddrPort, now time.Time) {
	if isRTCP(b) {
		s.control(b, plain, from, now)
		return
	}
	p := s.peer.Load()
	if p == nil {
		return // early media of a call that is not negotiated yet
	}
	if p.unseal != nil {
		var err error
		if b, err = p.unseal.rtp(plain, b); err != nil {
			s.count(&s.in.malformed)
			return
		}
	}
	h, payload, ok := parse(b)
	if !ok || p.index[h.payload] == indexUnknown {
		s.count(&s.in.malformed)
		return
	}
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	ok, moved := s.in.latch.admit(from, h.seq, now)
	if !ok {
		s.in.foreign++
		return
	}
	if moved {
		s.follow(from, p)
	}
	s.heard.Store(now.UnixNano())
	s.in.packets++
	s.in.arrivals.packet(h, now.UnixMicro()*int64(p.formats[0].codec.ClockRate())/1e6)
	if s.started.Load() && !p.remote.Deaf {
		s.store(p, h, payload)
	}
}

// follow sends to the source that was learnt. s.in.mu is held.
func (s *Session) follow(from netip.AddrPort, p *peer) {
	if d := s.dest.Load(); d != nil && *d == from {
		return
	}
	s.dest.Store(&from)
	c := netip.AddrPortFrom(from.Addr(), from.Port()+1)
	if p.mux {
		c = from
	}
	s.destRTCP.Store(&c)
}

// store puts a packet into the jitter buffer. s.in.mu is held.
func (s *Session) store(p *peer, h header, payload []byte) {
	pkt := packet{seq: h.seq, ssrc: h.ssrc, payload: payload}
	switch i := p.index[h.payload]; i {
	case indexNoise:
		pkt.kind = kindNoise
	case indexEvents:
		e, ok := parseEvent(payload)
		if !ok {
			s.in.malformed++
			return
		}
		pkt.kind, pkt.payload = kindOther, nil
		if d := s.in.events.packet(h, e); d != 0 && s.in.pending < len(s.in.digits) {
			s.in.digits[s.in.pending] = d
			s.in.pending++
		}
	default:
		pkt.format = uint8(i)
		if pkt.samples = p.formats[i].codec.Samples(payload); pkt.samples == 0 {
			s.in.malformed++
			return
		}
	}
	s.in.jitter.push(pkt)
}

// control takes an RTCP packet. Reports are believed from the host that sends the audio.
func (s *Session) control(b, plain []byte, from netip.AddrPort, now time.Time) {
	p := s.peer.Load()
	if p == nil {
		return
	}
	if p.control != nil {
		s.in.mu.Lock() // two readers may get here when the far end multiplexes and we did not agree to it
		var err error
		b, err = p.control.rtcp(plain, b)
		s.in.mu.Unlock()
		if err != nil {
			s.count(&s.in.malformed)
			return
		}
	}
	info, ok := parseRTCP(b)
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	if !ok {
		s.in.malformed++
		return
	}
	if l := &s.in.latch; l.current.IsValid() && from.Addr() != l.current.Addr() {
		s.in.foreign++
		return
	}
	if d := s.destRTCP.Load(); !p.mux && s.in.latch.current.IsValid() && (d == nil || *d != from) {
		s.destRTCP.Store(&from)
	}
	if info.hasSR {
		s.in.lastSR, s.in.lastSRAt = short(info.ntp), now
	}
	for _, r := range info.reports[:info.count] {
		if r.ssrc != s.out.ssrc || r.lsr == 0 {
			continue
		}
		// RFC 3550 section 6.4.1: the round trip is now - LSR - DLSR, in 1/65536 s; nonsense is dropped.
		if rtt := int32(short(ntp(now)) - r.lsr - r.dlsr); rtt >= 0 && rtt < 60<<16 {
			s.in.roundTrip = float64(rtt) * 1000 / 65536
		}
	}
}
