package app

import (
	"context"
	"strings"

	"github.com/parley-voice/parley/internal/agent"
	"github.com/parley-voice/parley/internal/conversation"
	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// A call to a phone of ours instead of an agent: from another phone, a trunk, or a caller who was told by
// REFER to call it. It has a record like every call, with no agent.

// phoneCalled finds the organisation whose registered phone a leg asks for. A caller who proved to be a phone
// reaches phones of its own organisation only; the SIP server lets nobody else in but trusted networks.
func (c *calls) phoneCalled(ctx context.Context, info media.LegInfo) (string, error) {
	none := fault.New(fault.NotFound, "there is no published agent and no registered phone %q", info.To)
	if c.sip == nil || info.Kind != media.KindSIP || strings.ContainsAny(info.To, "@:;") {
		return "", none
	}
	name, ok := c.sip.Phone(ctx, info.To)
	if !ok {
		return "", none
	}
	org, found, err := c.phones.Owner(ctx, name)
	if err != nil {
		return "", err
	}
	if caller := info.Params["phone"]; found && caller != "" {
		var own string
		if own, found, err = c.phones.Owner(ctx, caller); err != nil {
			return "", err
		}
		found = found && own == org
	}
	if !found {
		return "", none
	}
	return org, nil
}

// acceptForPhone rings a phone and connects the caller when it answers.
func (c *calls) acceptForPhone(ctx context.Context, leg media.Leg, org string) {
	rec, err := c.begin(ctx, leg, &agent.Snapshot{OrgID: org}, "")
	if err != nil {
		c.log.Warn("call refused", "to", leg.Info().To, "reason", err)
		c.refuse(leg, causeOf(err))
		return
	}
	rec.SetTakenBy(c.personOf(ctx, org, leg.Info().To))
	c.carry(leg, rec, func() conversation.Ending { return c.connect(ctx, leg, rec) })
}

// connect rings the phone that leg asks for, answers leg when the phone answers, and holds the two together.
func (c *calls) connect(ctx context.Context, leg media.Leg, rec *conversation.Call) conversation.Ending {
	ringing, cancel := context.WithCancel(ctx)
	defer cancel()
	answered := make(chan struct{})
	go func() {
		select {
		case <-leg.Done():
			cancel()
		case <-answered:
		}
	}()
	other, id, err := c.dial(ringing, rec, leg.Info(), leg.Info().To)
	close(answered)
	if err != nil {
		cause := causeOf(err)
		if other != nil {
			cause = other.End()
		}
		c.refuse(leg, cause)
		return ending(leg.End())
	}
	b, err := c.join(ctx, leg, rec, other, id)
	if err != nil {
		cause := causeOf(err)
		c.refuse(other, cause)
		c.refuse(leg, cause)
		rec.LegEnded(id, legCause(other.End()), conversation.LegStats(other.Stats()))
		return ending(leg.End())
	}
	return ending(b.wait(ctx))
}

// join answers the caller and starts both sides of the bridge.
func (c *calls) join(ctx context.Context, leg media.Leg, rec *conversation.Call, other media.Leg, id string) (*bridge, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if err := leg.Answer(ctx); err != nil {
		return nil, err
	}
	rec.Answered(conversation.Answer{At: c.clock.Now(), Rate: leg.Rate(), Codec: leg.Stats().Codec})
	b, err := c.newBridge(rec, leg, other, id)
	if err != nil {
		return nil, err
	}
	if err := b.start(); err != nil {
		b.abandon()
		return nil, err
	}
	if err := leg.Start(&b.callerSide); err != nil {
		b.abandon()
		return nil, err
	}
	rec.Note(event.EntryActivity, "connected", nil)
	return b, nil
}
