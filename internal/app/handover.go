package app

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/parley-voice/parley/internal/conversation"
	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// handover is the caller's leg as a conversation sees it. It is the leg itself but for one thing: Transfer
// calls the other person and joins the two, whatever carries the caller, and gives the leg away when that
// worked. The conversation then ends as if the leg had ended; the call goes on in the bridge.
//
//	talking ──Transfer──► dialling ──answered──► bridged ──Hangup of the conversation──► (leg lives on)
//	   ▲                     │
//	   └──busy, no answer────┘
type handover struct {
	media.Leg
	c    *calls
	rec  *conversation.Call
	to   *exchange
	away chan struct{} // the conversation has let go of a bridged leg

	mu     sync.Mutex
	state  handoverState
	cancel context.CancelFunc // of dialling
	bridge *bridge
	once   sync.Once
}

type handoverState uint8

const (
	talking handoverState = iota
	dialling
	bridged
	hungUp
)

func (c *calls) handover(leg media.Leg, rec *conversation.Call) *handover {
	return &handover{Leg: leg, c: c, rec: rec, to: &exchange{}, away: make(chan struct{})}
}

var (
	_ media.Leg    = (*handover)(nil)
	_ media.Kicker = (*handover)(nil)
)

// Start implements media.Leg.
func (h *handover) Start(e media.Endpoint) error {
	h.to.join(e)
	return h.Leg.Start(h.to)
}

// Kick implements media.Kicker.
func (h *handover) Kick() {
	if k, ok := h.Leg.(media.Kicker); ok {
		k.Kick()
	}
}

// joined gives the bridge, or nil.
func (h *handover) joined() *bridge {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.bridge
}

// Hangup implements media.Leg. A bridged leg is no longer the conversation's to hang up.
func (h *handover) Hangup(ctx context.Context, cause media.Cause) error {
	h.mu.Lock()
	if h.state == bridged {
		h.mu.Unlock()
		h.once.Do(func() { close(h.away) })
		return nil
	}
	h.state = hungUp
	cancel := h.cancel
	h.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	return h.Leg.Hangup(ctx, cause)
}

// Done implements media.Leg.
func (h *handover) Done() <-chan struct{} {
	if h.joined() != nil {
		return h.away
	}
	return h.Leg.Done()
}

// End implements media.Leg.
func (h *handover) End() media.Cause {
	if h.joined() != nil {
		return media.Cause{By: "agent", Code: "transferred", Text: "the caller was transferred"}
	}
	return h.Leg.End()
}

// Transfer implements media.Leg. target is the user name of a phone, a SIP URI or a number. A number that is
// no phone of ours is left to who carries the caller: a carrier or trunk reaches it, and we do not.
func (h *handover) Transfer(ctx context.Context, target string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h.mu.Lock()
	if h.state != talking {
		h.mu.Unlock()
		return fault.New(fault.NotPossible, "the call is being transferred already, or is over")
	}
	h.state, h.cancel = dialling, cancel
	h.mu.Unlock()
	h.note(target, "dialling", "transferring", "")
	var err error
	if h.byCarrier(ctx, target) {
		err = h.Leg.Transfer(ctx, target)
	} else {
		err = h.connect(ctx, cancel, target)
	}
	if err != nil {
		h.mu.Lock()
		if h.state == dialling {
			h.state = talking
		}
		h.cancel = nil
		h.mu.Unlock()
		h.note(target, "failed", "", err.Error())
		return err
	}
	h.note(target, "answered", "transferred", "")
	return nil
}

// note tells the event log how the transfer goes, and people who watch what goes on.
func (h *handover) note(target, state, activity, why string) {
	data := map[string]any{"state": state}
	if why != "" {
		data["reason"] = why
	}
	h.rec.Note(event.EntryTransfer, target, data)
	if activity != "" {
		h.rec.Note(event.EntryActivity, activity, nil)
	}
}

// byCarrier reports whether target is a number that no phone of ours is registered under.
func (h *handover) byCarrier(ctx context.Context, target string) bool {
	if h.c.sip != nil {
		if _, ok := h.c.sip.Phone(ctx, target); ok {
			return false
		}
	}
	return isNumber(target)
}

// isNumber reports whether a target is a telephone number: digits, with a plus before and separators between.
func isNumber(s string) bool {
	rest := strings.TrimPrefix(s, "+")
	return strings.Trim(rest, "0123456789 -./()") == "" && strings.ContainsAny(rest, "0123456789")
}

// connect calls target and joins the caller to it. The caller hears it ring.
func (h *handover) connect(ctx context.Context, cancel context.CancelFunc, target string) error {
	gone := make(chan struct{})
	defer close(gone)
	go func() { // who hangs up while the other phone rings does not want it answered
		select {
		case <-h.Leg.Done():
			cancel()
		case <-gone:
		}
	}()
	h.to.ring(newRingback(h.Leg.Rate()))
	defer h.to.ring(nil)
	other, id, err := h.c.dial(ctx, h.rec, h.Leg.Info(), target)
	if err != nil {
		return err
	}
	b, err := h.c.newBridge(h.rec, h.Leg, other, id)
	if err == nil {
		err = b.start()
	}
	if err == nil && !h.give(b) {
		err = fault.New(fault.NotPossible, "the call ended before the other side answered")
	}
	if err == nil {
		h.rec.SetTakenBy(h.c.personOf(ctx, h.rec.OrgID(), target))
	}
	if err != nil {
		h.c.refuse(other, media.Cause{By: "system", Code: "cancelled", Text: "the caller is no longer there"})
		if b != nil {
			b.abandon()
		}
		h.rec.LegEnded(id, legCause(other.End()), conversation.LegStats(other.Stats()))
	}
	return err
}

// give moves the leg from the conversation to the bridge, unless the call ended meanwhile.
func (h *handover) give(b *bridge) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state != dialling {
		return false
	}
	h.state, h.bridge, h.cancel = bridged, b, nil
	h.to.join(&b.callerSide)
	return true
}

// journal is the call's event log as the conversation writes it: its end is not the call's when the caller
// was handed on.
type journal struct{ h *handover }

// Append implements voice.Journal.
func (j journal) Append(e event.Entry) {
	if e.Kind == event.EntryEnded && j.h.joined() != nil {
		return
	}
	j.h.rec.Append(e)
}

// exchange is the endpoint of the caller's leg: it passes everything on to the endpoint of the moment. Only
// the leg's goroutine calls it, but for join and ring; every 20 ms it neither locks nor allocates.
type exchange struct {
	now  atomic.Pointer[joinedTo]
	tone atomic.Pointer[ringback]
	// Frames of ringback are ours: the conversation must not count them among its own. Owned by the leg's
	// goroutine.
	ours, played int64
}

type joinedTo struct{ e media.Endpoint }

func (x *exchange) join(e media.Endpoint) { x.now.Store(&joinedTo{e}) }

func (x *exchange) ring(r *ringback) { x.tone.Store(r) }

// Tick implements media.Endpoint.
func (x *exchange) Tick(in, out []int16) bool {
	if x.now.Load().e.Tick(in, out) {
		return true
	}
	r := x.tone.Load()
	if r == nil || out == nil || !r.fill(out) {
		return false
	}
	x.ours++
	return true
}

// Played implements media.Endpoint.
func (x *exchange) Played(n int64) {
	x.played = max(x.played, n-x.ours)
	x.now.Load().e.Played(x.played)
}

// Event implements media.Endpoint.
func (x *exchange) Event(e media.LegEvent) { x.now.Load().e.Event(e) }

var _ media.Endpoint = (*exchange)(nil)
