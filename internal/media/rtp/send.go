package rtp

import (
	"sync/atomic"
	"time"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/media/audio"
)

// outbound is the tick's half of a Session; Session.mu guards it, except for the atomic counters.
type outbound struct {
	endpoint media.Endpoint
	slot     *media.Slot
	inside   bool // the endpoint or a callback is being called; stays so after a panic, and nothing is called again
	player   *player
	rate     int

	codec    audio.Codec
	pt       uint8
	units    uint32 // of the timestamp in 20 ms
	eventPT  uint8
	decoders []formatState
	muted    bool
	deaf     bool
	mux      bool
	seal     *seal

	frameIn, frameOut []int16
	payload           []byte
	plain, cipher     [maxPacket]byte

	ssrc     uint32
	seq      uint16
	ts       uint32 // of the frame to send next
	gap      bool   // nothing was sent in the last place: the next packet has the marker
	begun    bool
	speaking bool // the last frame was speech
	ahead    bool // the frame of the next tick was sent already, by a kick
	speech   int64

	timedOut   bool
	started    time.Time
	nextReport time.Time
	octets     uint32

	packets, frames, lateFrames, failed atomic.Uint64
}

func (o *outbound) configure(p *peer) {
	f := p.formats[0]
	o.codec, o.pt, o.units = f.codec, f.sendPT, uint32(f.codec.ClockRate()/50)
	o.decoders = p.formats
	if p.remote.Events != nil {
		o.eventPT = p.remote.Events.SendPT
	}
	o.muted, o.deaf, o.mux = p.remote.Muted, p.remote.Deaf, p.mux
}

// Tick implements media.Paced: one frame each way.
func (s *Session) Tick(b media.Beat) {
	s.mu.Lock()
	defer s.unlock()
	o := &s.out
	if s.closed.Load() || o.inside {
		s.config.Pacer.Remove(o.slot)
		return
	}
	o.inside = true
	s.reportDigits()
	s.receive()
	o.endpoint.Played(o.heardByPeer())
	s.transmit(b)
	s.watch(b.Now)
	if !b.Now.Before(o.nextReport) {
		o.nextReport = b.Now.Add(reportEvery)
		s.sendReport(b.Now)
	}
	o.inside = false
}

// heardByPeer is the number of speech frames whose 20 ms are over by the RTP clock: all that were sent, less
// one that was sent ahead of its time.
func (o *outbound) heardByPeer() int64 {
	if o.ahead {
		return o.speech - 1
	}
	return o.speech
}

// receive takes the frame to hear now out of the jitter buffer.
func (s *Session) receive() {
	p := s.out.player
	p.next(s, s.out.frameIn)
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	s.in.framesIn, s.in.concealed = p.frames, p.concealed
	level := float64(s.in.jitter.held+len(p.fifo)) * 20 / float64(p.frame)
	s.in.bufferMS += (level - s.in.bufferMS) / 16
}

// The four methods of source: what the player takes audio from.

func (s *Session) held() int {
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	return s.in.jitter.held
}

func (s *Session) trim(limit int) {
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	s.in.jitter.trim(limit)
}

func (s *Session) pop(dst []byte) (got, uint8, int, []byte) {
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	return s.in.jitter.pop(dst)
}

func (s *Session) decode(format uint8, dst []int16, payload []byte) (int, error) {
	if int(format) >= len(s.out.decoders) {
		return 0, errFormatGone
	}
	return s.out.decoders[format].codec.Decode(dst, payload)
}

func (s *Session) reportDigits() {
	s.in.mu.Lock()
	n, heard := s.in.pending, s.in.digits
	s.in.pending = 0
	s.in.mu.Unlock()
	for _, d := range heard[:n] {
		if s.config.OnDTMF != nil {
			s.config.OnDTMF(d)
		}
	}
}

// transmit gives the endpoint its frame and sends what it has for us.
func (s *Session) transmit(b media.Beat) {
	o := &s.out
	if o.muted {
		o.endpoint.Tick(o.frameIn, nil)
		o.ts += o.units
		o.gap, o.speaking, o.ahead = true, false, false
		return
	}
	if s.dtmf.begin(o.ts) {
		o.endpoint.Tick(o.frameIn, nil)
		o.speaking = false
		if !o.ahead {
			s.sendTone()
		}
		o.ahead = false
		return
	}
	speech := o.endpoint.Tick(o.frameIn, o.frameOut)
	if o.ahead && !speech {
		// The frame of this place went out with the kick, and nothing follows it: back in step.
		o.ahead, o.speaking = false, false
		return
	}
	s.sendFrame(speech)
	if b.Late > media.FrameDuration {
		o.lateFrames.Add(1)
	}
}

// early sends the frame of the next tick now. mu is held.
func (s *Session) early() {
	o := &s.out
	if o.endpoint == nil || o.inside || s.closed.Load() || o.muted || o.speaking || o.ahead || s.dtmf.busy() {
		return
	}
	o.inside = true
	if o.endpoint.Tick(nil, o.frameOut) {
		o.gap = true // a talk spurt begins: marker (RFC 3551 section 4.1)
		s.sendFrame(true)
		o.ahead = true
	}
	o.inside = false
}

func (s *Session) sendFrame(speech bool) {
	o := &s.out
	o.speaking = speech
	if speech {
		o.speech++
		o.frames.Add(1)
	} else {
		if s.config.QuietWhenIdle {
			o.ts += o.units
			o.gap = true
			return
		}
		clear(o.frameOut)
	}
	payload, err := o.codec.Encode(o.payload, o.frameOut)
	if err != nil {
		o.failed.Add(1)
		o.ts += o.units
		o.gap = true
		return
	}
	o.payload = payload
	h := header{marker: o.gap || !o.begun, payload: o.pt, seq: o.seq, ts: o.ts, ssrc: o.ssrc}
	n := headerSize + copy(o.plain[headerSize:], payload)
	s.sendPacket(h, n)
	o.ts += o.units
}

// sendTone sends the packet of a digit, if one is due in this tick.
func (s *Session) sendTone() {
	o := &s.out
	e, marker, send := s.dtmf.step(int(o.units))
	o.ts += o.units
	o.gap = true
	if !send {
		return
	}
	e.put(o.plain[headerSize:])
	s.sendPacket(header{marker: marker, payload: o.eventPT, seq: o.seq, ts: s.dtmf.ts, ssrc: o.ssrc}, headerSize+4)
	o.gap = true
}

// sendPacket sends the n bytes in plain behind header h.
func (s *Session) sendPacket(h header, n int) {
	o := &s.out
	dest := s.dest.Load()
	if dest == nil {
		o.gap = true
		return
	}
	h.put(o.plain[:])
	wire := o.plain[:n]
	if o.seal != nil {
		var err error
		if wire, err = o.seal.rtp(o.cipher[:], wire); err != nil {
			o.failed.Add(1)
			return
		}
	}
	o.seq++
	o.gap, o.begun = false, true
	if _, err := s.socks.rtp.WriteToUDPAddrPort(wire, *dest); err != nil {
		o.failed.Add(1)
		return
	}
	o.packets.Add(1)
	o.octets += uint32(n - headerSize)
}

// watch tells of a far end that fell silent.
func (s *Session) watch(now time.Time) {
	o := &s.out
	if s.config.Timeout < 0 || o.deaf {
		s.heard.Store(now.UnixNano())
		return
	}
	silent := time.Duration(now.UnixNano() - s.heard.Load())
	if silent < s.config.Timeout {
		o.timedOut = false
		return
	}
	if !o.timedOut && s.config.OnTimeout != nil {
		o.timedOut = true
		s.config.OnTimeout(silent)
	}
}

// reportEvery is the interval of RTCP reports (RFC 3550 section 6.2).
const reportEvery = 5 * time.Second

func (s *Session) sendReport(now time.Time) {
	o := &s.out
	var rr *report
	s.in.mu.Lock()
	if r, ok := s.in.arrivals.report(); ok {
		if !s.in.lastSRAt.IsZero() {
			r.lsr = s.in.lastSR
			r.dlsr = uint32(now.Sub(s.in.lastSRAt) * 65536 / time.Second)
		}
		rr = &r
	}
	s.in.mu.Unlock()
	var sr *sender
	if n := o.packets.Load(); n > 0 {
		sr = &sender{ntp: ntp(now), ts: o.ts, packets: uint32(n), octets: o.octets}
	}
	s.sendControl(appendRTCP(o.plain[:0], o.ssrc, sr, rr, s.config.CNAME))
}

func (s *Session) sendBye() {
	o := &s.out
	if o.packets.Load() > 0 {
		b := appendRTCP(o.plain[:0], o.ssrc, nil, nil, s.config.CNAME)
		s.sendControl(appendBye(b, o.ssrc))
	}
}

func (s *Session) sendControl(b []byte) {
	o := &s.out
	dest := s.destRTCP.Load()
	if dest == nil || !usable(*dest) {
		return
	}
	if o.seal != nil {
		var err error
		if b, err = o.seal.rtcp(o.cipher[:], b); err != nil {
			o.failed.Add(1)
			return
		}
	}
	c := s.socks.rtcp
	if o.mux {
		c = s.socks.rtp
	}
	if _, err := c.WriteToUDPAddrPort(b, *dest); err != nil {
		o.failed.Add(1)
	}
}
