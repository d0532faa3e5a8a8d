package rtp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/parley-voice/parley/internal/media/audio"
)

// Format is a negotiated codec. The payload types differ when each side chose its own (RFC 3264 section 5.1).
type Format struct {
	Codec  string // audio.PCMU, PCMA, G722 or Opus
	SendPT uint8  // in what we send: the number in the far end's SDP
	RecvPT uint8  // in what we receive: the number in ours
}

// Events is the negotiated telephone-event (RFC 4733). Its clock is the codec's.
type Events struct {
	SendPT, RecvPT uint8
}

// Remote is what was negotiated with the far end. SetRemote takes it as a whole, as an SDP answer gives it.
type Remote struct {
	// RTP is the far end's address from its SDP. An invalid or unspecified one (0.0.0.0, port 0) means that
	// nothing is sent until a packet has come from somewhere.
	RTP netip.AddrPort
	// RTCP is the address for reports; when invalid it is the port after RTP's. With Mux it is RTP's.
	RTCP netip.AddrPort
	Mux  bool // RFC 5761
	// Via is the address the signalling comes from. Packets from it are believed as those from RTP are:
	// behind a NAT the address in the SDP is not the one the packets come from.
	Via netip.Addr

	Format Format   // what is sent, and accepted
	Also   []Format // what else is accepted
	Events *Events  // nil: no DTMF either way
	SRTP   *Keys    // nil: no encryption. The same keys as before keep their state (RFC 3264 section 8).
	Muted  bool     // send nothing: the far end holds us (RFC 3264 section 8.4), or the call is inactive
	Deaf   bool     // expect nothing: we hold the far end; what comes is dropped and the time-out does not run
}

// formatState is a codec with its payload types.
type formatState struct {
	codec          audio.Codec
	sendPT, recvPT uint8
}

// peer is what the readers need of a Remote. It does not change.
type peer struct {
	remote  Remote
	formats []formatState
	index   [128]int8 // of formats, by payload type; -1 unknown, -2 telephone-event, -3 comfort noise
	unseal  *unseal   // for the RTP reader
	control *unseal   // for RTCP: pion's contexts are for one goroutine
	mux     bool
}

const (
	indexUnknown = -1
	indexEvents  = -2
	indexNoise   = -3
)

// SetRemote applies what was negotiated, first or again. It changes nothing when it reports an error. A codec
// with the same name keeps its state, keys that did not change keep theirs.
func (s *Session) SetRemote(r Remote) error {
	s.mu.Lock()
	defer s.unlock()
	if s.closed.Load() {
		return ErrClosed
	}
	r.SRTP = r.SRTP.clone()
	old := s.peer.Load()
	p, rate, err := newPeer(r, old, s.out.rate)
	if err != nil {
		return err
	}
	out := s.out.seal
	if r.SRTP == nil {
		out = nil
	} else if old == nil || !r.SRTP.equal(old.remote.SRTP) {
		if out, err = newSeal(r.SRTP); err != nil {
			return err
		}
	}
	s.out.rate, s.out.seal = rate, out
	s.out.configure(p)
	s.peer.Store(p)
	s.eventsAgreed.Store(r.Events != nil)
	s.aim(r, old)
	if old != nil && !sameFormats(p, old) {
		// What waits refers to codecs by their place in the list.
		s.in.mu.Lock()
		s.in.jitter.reset()
		s.in.mu.Unlock()
	}
	return nil
}

func sameFormats(a, b *peer) bool {
	return slices.EqualFunc(a.formats, b.formats, func(x, y formatState) bool { return x.codec.Name() == y.codec.Name() })
}

func newPeer(r Remote, old *peer, rate int) (*peer, int, error) {
	p := &peer{remote: r, mux: r.Mux}
	for i := range p.index {
		p.index[i] = indexUnknown
	}
	p.index[payloadCN] = indexNoise
	for i, f := range append([]Format{r.Format}, r.Also...) {
		if f.SendPT > 127 || f.RecvPT > 127 {
			return nil, 0, fmt.Errorf("rtp: payload type of %s is above 127", f.Codec)
		}
		c, err := codecFor(f.Codec, old)
		if err != nil {
			return nil, 0, err
		}
		if rate == 0 {
			rate = c.Rate()
		}
		if c.Rate() != rate {
			if c, err = newConverted(c, rate); err != nil {
				return nil, 0, err
			}
		}
		p.formats = append(p.formats, formatState{codec: c, sendPT: f.SendPT, recvPT: f.RecvPT})
		p.index[f.RecvPT] = int8(i)
	}
	if e := r.Events; e != nil {
		if e.SendPT > 127 || e.RecvPT > 127 {
			return nil, 0, errors.New("rtp: payload type of telephone-event is above 127")
		}
		p.index[e.RecvPT] = indexEvents
	}
	if r.SRTP == nil {
		return p, rate, nil
	}
	if old != nil && r.SRTP.equal(old.remote.SRTP) {
		p.unseal, p.control = old.unseal, old.control
		return p, rate, nil
	}
	var err error
	if p.unseal, err = newUnseal(r.SRTP); err != nil {
		return nil, 0, err
	}
	p.control, err = newUnseal(r.SRTP)
	return p, rate, err
}

func codecFor(name string, old *peer) (audio.Codec, error) {
	if old != nil {
		for _, f := range old.formats {
			c := f.codec
			if w, ok := c.(*converted); ok {
				c = w.Codec
			}
			if c.Name() == name {
				return c, nil
			}
		}
	}
	return audio.NewCodec(name)
}

// aim sets where packets go. An address that did not change keeps the source that was learnt.
func (s *Session) aim(r Remote, old *peer) {
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	s.in.latch.signalled, s.in.latch.via = unmap(r.RTP), r.Via.Unmap()
	if old != nil && old.remote.RTP == r.RTP && s.dest.Load() != nil {
		return
	}
	s.in.latch.current = netip.AddrPort{}
	s.dest.Store(nil)
	s.destRTCP.Store(nil)
	if usable(r.RTP) {
		a := unmap(r.RTP)
		s.dest.Store(&a)
		c := netip.AddrPortFrom(a.Addr(), a.Port()+1)
		switch {
		case r.Mux:
			c = a
		case usable(r.RTCP):
			c = unmap(r.RTCP)
		}
		s.destRTCP.Store(&c)
	}
}

func usable(a netip.AddrPort) bool {
	return a.IsValid() && !a.Addr().IsUnspecified() && a.Port() != 0
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// converted is a codec with another sample rate on our side: what a leg needs whose codec changes during
// the call, since its own rate must not.
type converted struct {
	audio.Codec
	rate     int
	up, down *audio.Resampler
	pcm      []int16
	scratch  []int16
}

func newConverted(c audio.Codec, rate int) (*converted, error) {
	up, err := audio.NewResampler(c.Rate(), rate)
	if err != nil {
		return nil, err
	}
	down, err := audio.NewResampler(rate, c.Rate())
	if err != nil {
		return nil, err
	}
	return &converted{Codec: c, rate: rate, up: up, down: down,
		pcm: make([]int16, 0, 2*audio.MaxPacketSamples), scratch: make([]int16, audio.MaxPacketSamples)}, nil
}

func (c *converted) Rate() int { return c.rate }

func (c *converted) Samples(payload []byte) int {
	return c.Codec.Samples(payload) * c.rate / c.Codec.Rate()
}

func (c *converted) Encode(dst []byte, pcm []int16) ([]byte, error) {
	c.pcm = c.down.Process(c.pcm[:0], pcm)
	return c.Codec.Encode(dst, c.pcm)
}

func (c *converted) Decode(dst []int16, payload []byte) (int, error) {
	n, err := c.Codec.Decode(c.scratch, payload)
	if err != nil {
		return 0, err
	}
	return len(c.up.Process(dst[:0], c.scratch[:n])), nil
}
