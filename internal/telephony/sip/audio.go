package sip

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/media/rtp"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	mediaQuiet  = 30 * time.Second // without a packet, and the endpoint is told
	mediaLost   = 30 * time.Second // more, and the call is ended
	eventsKept  = 64               // from before Start; the oldest go
	eventsQueue = 256              // between two ticks; when full the oldest go
)

// audio is a leg's media: an rtp.Session, and the queue that brings the leg's events to its endpoint
// between two ticks, so that the endpoint is called by one goroutine at a time.
//
// It is what the session ticks. tick is held while the endpoint is called; it comes before every other lock,
// and nothing that holds another lock takes it.
type audio struct {
	l       *leg
	session atomic.Pointer[rtp.Session]

	tick     sync.Mutex
	endpoint media.Endpoint
	over     bool

	mu      sync.Mutex
	queue   []media.LegEvent
	started bool
	closed  bool
	waiting atomic.Bool // queue is not empty
	id      uint64      // of the SDP session
}

func newAudio(l *leg) *audio {
	return &audio{l: l, id: uint64(binary.BigEndian.Uint32(l.s.bytes(4)))}
}

// open binds the leg's ports.
func (a *audio) open(f flow) error {
	if a.session.Load() != nil {
		return nil
	}
	l := a.l
	s, err := rtp.New(rtp.Config{
		Local: l.s.Addr().Addr(), Ports: l.s.config.Ports, Pacer: l.s.config.Pacer, Clock: l.s.config.Clock, Log: l.s.log,
		Timeout: mediaQuiet, OnDTMF: a.digit, OnTimeout: a.silent, OnEnd: a.broken,
	})
	if err != nil {
		return err
	}
	a.mu.Lock()
	closed := a.closed
	if !closed {
		a.session.Store(s)
	}
	a.mu.Unlock()
	if closed {
		return errors.Join(errEnded, s.Close())
	}
	return nil
}

// capability is what we can do in this call.
func (a *audio) capability(version uint64) capability {
	l := a.l
	c := capability{codecs: l.s.config.Codecs, srtp: l.srtp(), session: a.id, version: version, key: a.key}
	addr, err := netip.ParseAddr(l.s.config.Host)
	if err != nil {
		addr = l.s.transport.localAddr(l.d.flowAddr(l)).Addr()
	}
	c.addr = netip.AddrPortFrom(addr, uint16(a.session.Load().LocalPort()))
	return c
}

// flowAddr is the peer's address for choosing our own.
func (d *dialog) flowAddr(l *leg) netip.Addr {
	if d.flow.remote.IsValid() {
		return d.flow.remote.Addr()
	}
	if at, err := netip.ParseAddrPort(l.info.Remote); err == nil {
		return at.Addr()
	}
	return netip.IPv6Loopback()
}

// key gives our SDES key: the one in use, which an offer that changes nothing must not change, or a new one.
func (a *audio) key(n int) string {
	if raw, err := base64.StdEncoding.DecodeString(a.l.agreed.localKey); err == nil && len(raw) == n {
		return a.l.agreed.localKey
	}
	return base64.StdEncoding.EncodeToString(a.l.s.bytes(n))
}

// apply makes what was agreed true.
func (a *audio) apply(g agreed) error {
	s := a.session.Load()
	if s == nil {
		return rtp.ErrClosed
	}
	r := rtp.Remote{RTP: g.remote, RTCP: g.remoteRTCP, Mux: g.mux, Via: a.l.d.flowAddr(a.l),
		Format: rtp.Format{Codec: g.codec.sdpName(), SendPT: g.payload, RecvPT: g.recv},
		Muted:  g.dir&sendOnly == 0, Deaf: g.dir&recvOnly == 0}
	for _, f := range g.also {
		r.Also = append(r.Also, rtp.Format{Codec: f.codec.sdpName(), SendPT: f.payload, RecvPT: f.recv})
	}
	if g.dtmf != 0 {
		r.Events = &rtp.Events{SendPT: g.dtmf, RecvPT: g.dtmfRecv}
	}
	if g.suite != "" {
		local, err1 := base64.StdEncoding.DecodeString(g.localKey)
		remote, err2 := base64.StdEncoding.DecodeString(g.remoteKey)
		if err := errors.Join(err1, err2); err != nil {
			return fmt.Errorf("SDES key: %w", err)
		}
		r.SRTP = &rtp.Keys{Suite: g.suite, Local: local, Remote: remote}
	}
	return s.SetRemote(r)
}

func (a *audio) rate() int {
	if s := a.session.Load(); s != nil {
		return s.Rate()
	}
	return 0
}

func (a *audio) start(e media.Endpoint) error {
	s := a.session.Load()
	a.mu.Lock()
	if s == nil && !a.closed {
		a.mu.Unlock()
		return fault.New(fault.NotPossible, "the call is not answered")
	}
	if a.started {
		a.mu.Unlock()
		return fault.New(fault.NotPossible, "the call was started already")
	}
	a.started = true
	a.mu.Unlock()
	a.tick.Lock()
	over := a.over
	a.endpoint = e
	a.tick.Unlock()
	if over {
		a.deliver() // the call ended before it was started: the endpoint hears that
		return nil
	}
	if err := s.Start(a); err != nil && !errors.Is(err, rtp.ErrClosed) {
		return err
	}
	return nil
}

// Tick implements media.Endpoint.
func (a *audio) Tick(in, out []int16) bool {
	a.tick.Lock()
	defer a.tick.Unlock()
	if a.over {
		return false
	}
	a.drain()
	return a.endpoint.Tick(in, out)
}

// Played implements media.Endpoint.
func (a *audio) Played(n int64) {
	a.tick.Lock()
	defer a.tick.Unlock()
	if a.over {
		return
	}
	a.drain()
	a.endpoint.Played(n)
}

// Event implements media.Endpoint. The session has no events of its own.
func (a *audio) Event(ev media.LegEvent) { a.event(ev) }

// drain gives the endpoint what is queued. tick is held.
func (a *audio) drain() {
	if !a.waiting.Load() || a.endpoint == nil {
		return
	}
	a.mu.Lock()
	events := a.queue
	a.queue = nil
	a.waiting.Store(false)
	a.mu.Unlock()
	for _, ev := range events {
		a.endpoint.Event(ev)
	}
}

// deliver gives the endpoint what is queued, outside of a tick.
func (a *audio) deliver() {
	a.tick.Lock()
	defer a.tick.Unlock()
	a.drain()
}

// event queues an event for the endpoint.
func (a *audio) event(ev media.LegEvent) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	a.push(ev)
}

// push queues an event; when there are too many the oldest goes. mu is held.
func (a *audio) push(ev media.LegEvent) {
	limit := eventsKept
	if a.started {
		limit = eventsQueue
	}
	if len(a.queue) >= limit {
		a.queue = append(a.queue[:0], a.queue[1:]...)
	}
	a.queue = append(a.queue, ev)
	a.waiting.Store(true)
}

// digit tells of DTMF, however it came.
func (a *audio) digit(d byte) {
	a.event(media.LegEvent{Kind: media.LegDTMF, At: a.l.s.config.Clock.Now(), Digit: d})
}

// silent tells that nothing was heard for a while, and ends the call when that goes on: a peer that lost its
// network says no BYE. A held call may be silent for as long as it likes (RFC 3264 section 8.4).
func (a *audio) silent(d time.Duration) {
	a.l.tell(media.LegLost, fmt.Sprintf("no audio came for %d s", int(d.Seconds())))
	before := a.stats().PacketsIn
	a.l.s.config.Clock.AfterFunc(mediaLost, func() {
		a.l.mu.Lock()
		held := a.l.held || a.l.weHold
		a.l.mu.Unlock()
		if held || a.stats().PacketsIn != before {
			return
		}
		a.l.s.background("media timeout", func(ctx context.Context) {
			_ = a.l.Hangup(ctx, media.Cause{By: "system", Code: "media_timeout", Status: 408, Text: "no audio came for a minute"})
		})
	}, "sip", "media")
}

// broken ends a call whose media failed: a panic in a tick, or a dead socket.
func (a *audio) broken(err error) {
	a.l.s.count("panic", "tick")
	a.l.s.background("media failed", func(ctx context.Context) {
		a.l.s.log.Error("SIP call's media failed", "call", a.l.info.ID, "error", err)
		_ = a.l.Hangup(ctx, media.Cause{By: "system", Code: "error", Status: 500, Text: "the call's media failed"})
	})
}

func (a *audio) kick() {
	if s := a.session.Load(); s != nil {
		s.Kick()
	}
}

// clear has nothing to drop: what Tick gave was sent at once.
func (a *audio) clear() {}

func (a *audio) stats() media.LegStats {
	if s := a.session.Load(); s != nil {
		return s.Stats()
	}
	return media.LegStats{}
}

func (a *audio) sendDTMF(ctx context.Context, digits string) error {
	s := a.session.Load()
	if s == nil {
		return rtp.ErrClosed
	}
	return s.SendDTMF(ctx, digits)
}

// stop ends the ticks and gives the ports back.
func (a *audio) stop() {
	if s := a.session.Load(); s != nil {
		if err := s.Close(); err != nil {
			a.l.s.log.Debug("RTP session not closed well", "error", err)
		}
	}
}

// end stops the media and tells the endpoint the last event, after which it is called no more.
func (a *audio) end(last media.LegEvent) {
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return
	}
	a.closed = true
	a.push(last)
	a.mu.Unlock()
	a.stop()
	a.tick.Lock()
	defer a.tick.Unlock()
	a.over = true
	a.drain()
}
