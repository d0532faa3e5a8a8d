package app

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/parley-voice/parley/internal/agent"
	"github.com/parley-voice/parley/internal/conversation"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/platform/e164"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/telephony"
	"github.com/parley-voice/parley/internal/telephony/sip"
)

// DialOut asks for a call through a trunk.
type DialOut struct {
	OrgID        string
	CallID       string // a UUID, which is then the call's; "" has one made
	UserID       string // the person who asks; "": nobody
	Agent        string // slug or id
	TrunkID      string // "": the first that is switched on
	Number       string // E.164
	CallerNumber string // one of the organisation's caller numbers; "": the nearest to Number
	Ring         time.Duration
	Metadata     map[string]string
	Variables    map[string]string // what the agent's placeholders stand for
	Outset       *Outset           // what comes before the conversation; nil: it begins when the call is answered
	Kept         int               // lines that it leaves free for calls that come in
}

// DialOut places a call through a trunk and joins the far end to an agent when it answers. It returns once the INVITE is out;
// how the call ended is told by event.CallEnded. Whatever it refuses has sent nothing. An id that is a call's already, in this
// process or in the records, is refused with fault.Conflict; a trunk's limits and a broken trunk with telephony.ErrLinesBusy,
// ErrTooFast and ErrTrunkOut; a trunk that no INVITE could be sent to with fault.Upstream.
func (c *calls) DialOut(ctx context.Context, d DialOut) (callID string, err error) {
	meta := make(map[string]any, len(d.Metadata))
	for k, v := range d.Metadata {
		meta[k] = v
	}
	return c.dialOut(ctx, d, meta)
}

func (c *calls) dialOut(ctx context.Context, d DialOut, meta map[string]any) (string, error) {
	if err := c.able(); err != nil {
		return "", err
	}
	number, err := e164.Parse(d.Number)
	if err != nil {
		return "", fault.Field("body.to", "%q cannot be called: %v", clipped(d.Number), err)
	}
	if d.CallID == "" {
		d.CallID = uuid.Must(uuid.NewV7()).String()
	} else if uuid.Validate(d.CallID) != nil || !isID([]byte(d.CallID)) {
		return "", fault.Field("callId", "a call's id is a UUID in small letters")
	}
	snap, err := c.briefed(ctx, d.OrgID, d.Agent, d.Variables)
	if err != nil {
		return "", err
	}
	if d.Outset, err = d.Outset.ready(d.Variables); err != nil {
		return "", err
	}
	release, err := c.reserve(ctx, d.OrgID, d.CallID)
	if err != nil {
		return "", err
	}
	defer release()
	trunk, err := c.phones.Line(ctx, d.OrgID, d.TrunkID)
	if err != nil {
		return "", err
	}
	shown, err := c.phones.Identity(ctx, d.OrgID, trunk.ID, d.CallerNumber, number.E164)
	if err != nil {
		return "", err
	}
	if d.Ring <= 0 {
		d.Ring = ringTimeout
	}
	n := conversation.NewCall{ID: d.CallID, UserID: d.UserID, TrunkID: trunk.ID, From: shown.Number, FromName: shown.DisplayName, To: number.E164, Metadata: meta}
	return c.place(ctx, snap, n, d.Outset, d.Ring, d.Kept, &trunk.Trunk, func(ctx context.Context) (media.Leg, error) {
		return c.sip.Dial(ctx, throughTrunk(trunk, shown, number.E164, d))
	})
}

// throughTrunk is the request that calls a number.
func throughTrunk(trunk telephony.Line, shown telephony.CallerNumber, number string, d DialOut) sip.DialRequest {
	from := trunk.Shown(shown.Number)
	if from == "" {
		from = trunk.Username
	}
	if from == "" {
		from = "anonymous" // as RFC 3323 section 4.1 has it; the carrier knows whose trunk it is
	}
	return sip.DialRequest{To: trunk.Dialled(number), From: from, FromName: shown.DisplayName, CallID: d.CallID, Ring: d.Ring, Trunk: trunk.Via()}
}

// PlaceCall implements conversation.Dialer: it dials, and joins the far end to an agent when it answers. A number is called through
// a trunk, anything else is a phone of ours or a SIP URI.
func (c *calls) PlaceCall(ctx context.Context, r conversation.OutboundRequest) (string, error) {
	if number := strings.TrimSpace(r.To); strings.HasPrefix(number, "+") {
		return c.dialOut(ctx, DialOut{OrgID: r.OrgID, UserID: r.UserID, Agent: r.Agent, TrunkID: r.TrunkID, Number: number, CallerNumber: r.CallerNumber,
			Variables: r.Variables}, r.Metadata)
	}
	if r.TrunkID != "" || r.CallerNumber != "" {
		return "", fault.Field("body.to", "only numbers are called through a trunk; write one in international form, such as +4930123456")
	}
	if err := c.able(); err != nil {
		return "", err
	}
	snap, err := c.briefed(ctx, r.OrgID, r.Agent, r.Variables)
	if err != nil {
		return "", err
	}
	return c.place(ctx, snap, conversation.NewCall{UserID: r.UserID, Metadata: r.Metadata}, nil, ringTimeout, 0, nil, func(ctx context.Context) (media.Leg, error) {
		if err := c.reachable(ctx, r.OrgID, r.To); err != nil {
			return nil, err
		}
		return c.sip.Dial(ctx, sip.DialRequest{To: r.To, From: r.From, Ring: ringTimeout})
	})
}

// able refuses calls that could not be placed whoever asked.
func (c *calls) able() error {
	if c.sip == nil {
		return fault.New(fault.Unavailable, "SIP is off (sip-addr); turn it on to place calls")
	}
	if c.stopping() { // before it rings at the far end
		return errStopping()
	}
	return nil
}

// briefed gives an agent that knows what its placeholders stand for.
func (c *calls) briefed(ctx context.Context, orgID, name string, variables map[string]string) (*agent.Snapshot, error) {
	snap, err := c.agents.Published(ctx, orgID, name)
	if err != nil {
		return nil, err
	}
	return snap.With(variables)
}

// place takes a line and leaves kept ones free, takes one of the trunk too when there is one, calls by dial, and holds the call.
func (c *calls) place(ctx context.Context, snap *agent.Snapshot, n conversation.NewCall, o *Outset, ring time.Duration, kept int, trunk *telephony.Trunk, dial func(context.Context) (media.Leg, error)) (string, error) {
	ctx = identity.Unscoped(context.WithoutCancel(ctx)) // the call outlives the request that asked for it
	l, err := c.take(ctx, snap.OrgID, kept)             // before it rings at the far end
	if err != nil {
		return "", err
	}
	if trunk != nil {
		if l, err = c.through(ctx, l, *trunk); err != nil {
			c.leave(l)
			return "", err
		}
	}
	leg, err := dial(ctx)
	if err != nil {
		undialled(l, err)
		c.leave(l)
		return "", err
	}
	rec, err := c.open(ctx, l, leg, snap, n)
	if err != nil {
		c.refuse(leg, causeOf(err))
		return "", err
	}
	go c.hold(ctx, leg, rec, snap, o, ring+answerTimeout)
	c.settled(ctx)
	return rec.ID(), nil
}

// reserve makes sure that nobody else places the call of this id.
func (c *calls) reserve(ctx context.Context, orgID, id string) (release func(), err error) {
	conflict := fault.New(fault.Conflict, "there is a call %s already; it is not placed again", id)
	c.mu.Lock()
	taken := c.placing[id] || c.live[id] != nil
	if !taken {
		if c.placing == nil {
			c.placing = map[string]bool{}
		}
		c.placing[id] = true
	}
	c.mu.Unlock()
	if taken {
		return nil, conflict
	}
	release = func() {
		c.mu.Lock()
		delete(c.placing, id)
		c.mu.Unlock()
	}
	known, err := c.records.Known(ctx, orgID, id)
	if err == nil && known {
		err = conflict
	}
	if err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// carries reports whether a call of this id is being placed or goes on in this process.
func (c *calls) carries(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.placing[id] || c.live[id] != nil
}

// callOff ends a call whether or not it was answered; one that still rings is cancelled. It fails with fault.NotPossible when this
// process does not carry it.
func (c *calls) callOff(ctx context.Context, id string, cause media.Cause) error {
	c.mu.Lock()
	l := c.live[id]
	c.mu.Unlock()
	if l == nil {
		return fault.New(fault.NotPossible, "the call is not carried by this server, or is over already")
	}
	return l.leg.Hangup(ctx, cause)
}

func clipped(s string) string { return s[:min(len(s), 40)] }
