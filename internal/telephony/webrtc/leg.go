package webrtc

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/quartz"
	"github.com/pion/rtcp"
	pion "github.com/pion/webrtc/v4"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/media/rtp"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	maxRaw = 8 << 10
)

// leg is one browser. It is the endpoint of its rtp.Session and passes on to its own endpoint, so that audio
// and events reach that one at a time.
//
// Locks: the session's come before epMu; mu comes after all and nothing is called under it.
type leg struct {
	s         *Server
	info      media.LegInfo
	pc        *pion.PeerConnection
	conn      *trackConn
	session   *rtp.Session
	rate      int
	channel   *channel
	waiting   *quartz.Timer   // for ICE and DTLS
	ctx       context.Context // of pion's callbacks, until the leg is whole or has failed
	cancel    context.CancelFunc
	ready     chan struct{} // the leg is whole: callbacks may begin
	connected chan struct{}
	over      chan struct{} // the leg is ending
	done      chan struct{} // everything is released
	onceUp    sync.Once
	onceOver  sync.Once
	roundTrip atomic.Int64 // nanoseconds
	malformed atomic.Uint64

	epMu     sync.Mutex
	e        media.Endpoint
	pending  media.EarlyEvents
	finished bool

	mu    sync.Mutex
	cause media.Cause
}

var (
	_ media.Leg      = (*leg)(nil)
	_ media.Kicker   = (*leg)(nil)
	_ media.Endpoint = (*joint)(nil)
)

// joint is the leg as its session sees it.
type joint struct{ l *leg }

// Tick implements media.Endpoint.
func (j joint) Tick(in, out []int16) bool {
	j.l.epMu.Lock()
	defer j.l.epMu.Unlock()
	return !j.l.finished && j.l.e.Tick(in, out)
}

// Played implements media.Endpoint.
func (j joint) Played(n int64) {
	j.l.epMu.Lock()
	defer j.l.epMu.Unlock()
	if !j.l.finished {
		j.l.e.Played(n)
	}
}

// Event implements media.Endpoint. The session has callbacks instead.
func (j joint) Event(media.LegEvent) {}

// Info implements media.Leg.
func (l *leg) Info() media.LegInfo { return l.info }

// Rate implements media.Leg.
func (l *leg) Rate() int { return l.rate }

// Answer implements media.Leg: it waits until the browser is connected. The SDP answer went out before.
func (l *leg) Answer(ctx context.Context) error {
	select {
	case <-l.connected:
	case <-l.over:
	case <-ctx.Done():
		return fault.Wrap(fault.Timeout, ctx.Err(), "the browser did not connect in time")
	}
	select {
	case <-l.over:
		return fault.New(fault.NotPossible, "the call is over: %s", l.End().Text)
	default:
		return nil
	}
}

// Start implements media.Leg.
func (l *leg) Start(e media.Endpoint) error {
	if err := l.join(e); err != nil {
		return err
	}
	if err := l.session.Start(joint{l}); err != nil {
		return fault.Wrap(fault.NotPossible, err, "the call is over")
	}
	return nil
}

// join tells e what happened before it came.
func (l *leg) join(e media.Endpoint) error {
	l.epMu.Lock()
	defer l.epMu.Unlock()
	if l.finished || l.e != nil {
		return fault.New(fault.NotPossible, "the call is over, or was started before")
	}
	l.e = e
	l.pending.Tell(e)
	return nil
}

// Kick implements media.Kicker.
func (l *leg) Kick() { l.guard(l.session.Kick) }

// Clear implements media.Leg. Nothing is held back here.
func (l *leg) Clear() {}

// Hangup implements media.Leg. It does not wait; Done tells when everything is released.
func (l *leg) Hangup(_ context.Context, cause media.Cause) error {
	l.end(cause)
	return nil
}

// Transfer implements media.Leg.
func (l *leg) Transfer(context.Context, string) error {
	return fault.New(fault.NotPossible, "a browser's call cannot be transferred; hang up and give the number instead")
}

// Hold implements media.Leg.
func (l *leg) Hold(context.Context, bool) error {
	return fault.New(fault.NotPossible, "a browser's call cannot be held")
}

// SendDTMF implements media.Leg.
func (l *leg) SendDTMF(ctx context.Context, digits string) error {
	return l.session.SendDTMF(ctx, digits)
}

// SendText implements media.Leg.
func (l *leg) SendText(msg []byte) {
	if !l.channel.send(msg) {
		l.s.count("text_dropped")
	}
}

// Stats implements media.Leg.
func (l *leg) Stats() media.LegStats {
	st := l.session.Stats()
	st.RoundTripMS = float64(l.roundTrip.Load()) / float64(time.Millisecond)
	st.Malformed += l.malformed.Load()
	return st
}

// Done implements media.Leg.
func (l *leg) Done() <-chan struct{} { return l.done }

// End implements media.Leg.
func (l *leg) End() media.Cause {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cause
}

// emit tells the endpoint, or keeps the event until there is one.
func (l *leg) emit(ev media.LegEvent) {
	ev.At = l.s.cfg.Clock.Now()
	l.epMu.Lock()
	defer l.epMu.Unlock()
	if l.finished {
		return
	}
	l.finished = ev.Kind == media.LegEnded
	if l.e != nil {
		l.e.Event(ev)
		return
	}
	l.pending.Add(ev)
}

func (l *leg) signal(sent bool, summary, raw string) {
	if len(raw) > maxRaw {
		raw = strings.ToValidUTF8(raw[:maxRaw], "")
	}
	l.emit(media.LegEvent{Kind: media.LegSignal, Signal: media.Signal{Sent: sent, Summary: summary, Raw: raw, Peer: l.info.Remote}})
}

// end ends the leg in the background. It does not block and may be called from anywhere.
func (l *leg) end(cause media.Cause) {
	l.onceOver.Do(func() {
		l.mu.Lock()
		l.cause = cause
		l.mu.Unlock()
		close(l.over)
		l.s.wg.Go(l.release)
	})
}

func (l *leg) release() {
	if l.waiting != nil {
		l.waiting.Stop()
	}
	// The peer connection first: it ends the read that the session's Close waits for.
	_ = l.conn.Close()
	if err := l.pc.GracefulClose(); err != nil {
		l.s.cfg.Log.Debug("closing a peer connection", "leg", l.info.ID, "error", err)
	}
	_ = l.session.Close()
	l.guard(func() { l.emit(media.LegEvent{Kind: media.LegEnded, Cause: l.End()}) })
	l.s.leave(l)
	close(l.done)
	l.cancel()
}

// state follows the peer connection.
func (l *leg) state(st pion.PeerConnectionState) {
	switch st {
	case pion.PeerConnectionStateConnected:
		l.onceUp.Do(func() {
			l.waiting.Stop()
			l.signal(true, "connected", "")
			close(l.connected)
		})
	case pion.PeerConnectionStateDisconnected:
		l.emit(media.LegEvent{Kind: media.LegLost, Text: "the browser's network is silent"})
	case pion.PeerConnectionStateFailed:
		select {
		case <-l.connected:
			l.s.count("lost")
			l.end(media.Cause{By: "caller", Code: "media_timeout", Text: "The browser was not heard from any more."})
		default:
			l.s.count("unreachable")
			l.end(media.Cause{By: "caller", Code: "unreachable", Text: "The browser could not be connected."})
		}
	case pion.PeerConnectionStateClosed:
		l.end(media.Cause{By: "caller", Code: "normal", Text: "The browser hung up."})
	}
}

// guard runs a callback of pion's; a panic ends this call only.
func (l *leg) guard(f func()) {
	defer func() {
		if p := recover(); p != nil {
			l.s.count("panic")
			l.s.cfg.Log.Error("a WebRTC call panicked", "leg", l.info.ID, "panic", p, "stack", string(debug.Stack()))
			l.end(media.Cause{By: "system", Code: "error", Text: "Something went wrong on our side."})
		}
	}()
	f()
}

// opened takes the client's data channel. Others are closed.
func (l *leg) opened(dc *pion.DataChannel) {
	if dc.Label() != ChannelLabel || !l.channel.taken.CompareAndSwap(false, true) {
		l.s.count("foreign_channel")
		_ = dc.Close()
		return
	}
	dc.OnOpen(func() {
		l.s.wg.Go(func() { l.channel.pump(dc, l.over) })
	})
	dc.OnMessage(func(m pion.DataChannelMessage) { l.guard(func() { l.message(m.Data) }) })
	dc.OnClose(func() {
		// A browser that closes its peer connection closes the channel first, seconds before ICE would notice.
		l.end(media.Cause{By: "caller", Code: "normal", Text: "The browser hung up."})
	})
}

func (l *leg) message(b []byte) {
	if !l.channel.limit.AllowN(l.s.cfg.Clock.Now(), 1) {
		l.s.count("rate_limited")
		return
	}
	ev, ok := parseClient(b)
	if !ok {
		l.malformed.Add(1)
		l.s.count("malformed")
		return
	}
	l.emit(ev)
}

// reports reads what the browser says of our audio, for the round trip (RFC 3550 section 6.4.1).
func (l *leg) reports(sender *pion.RTPSender) {
	for {
		packets, _, err := sender.ReadRTCP()
		if err != nil {
			return
		}
		now := l.s.cfg.Clock.Now()
		for _, p := range packets {
			rr, ok := p.(*rtcp.ReceiverReport)
			if !ok {
				continue
			}
			for _, r := range rr.Reports {
				l.report(r, now)
			}
		}
	}
}

func (l *leg) report(r rtcp.ReceptionReport, now time.Time) {
	if r.LastSenderReport == 0 {
		return
	}
	// The middle 32 bits of an NTP time, in 1/65536 s; the offset of the epochs cancels out modulo 2^16 s.
	const ntpEpoch = 2208988800
	mid := uint32((now.Unix()+ntpEpoch)<<16) | uint32(int64(now.Nanosecond())<<16/int64(time.Second))
	if rtt := int32(mid - r.LastSenderReport - r.Delay); rtt >= 0 && rtt < 60<<16 {
		l.roundTrip.Store(int64(rtt) * int64(time.Second) >> 16)
	}
}

func (l *leg) lost(silent time.Duration) {
	// Called by the session's tick, which holds no lock of ours.
	l.emit(media.LegEvent{Kind: media.LegLost, Text: fmt.Sprintf("no audio for %v", silent.Round(time.Second))})
}
