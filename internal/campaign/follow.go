package campaign

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/bus"
	"github.com/parley-voice/parley/internal/platform/db"
)

// FollowCalls settles attempts by the facts that calls leave, until ctx ends. All workers share the work; each fact is taken
// at least once, and in the order of its call.
func (s *Service) FollowCalls(ctx context.Context) error {
	c := bus.SubConfig{Durable: "campaign-calls", Filter: []string{"call.ended", "call.outcome"}}
	sub, err := s.c.Bus.Subscribe(ctx, c, func(ctx context.Context, m bus.Msg) error {
		var err error
		switch m.Type {
		case "call.ended":
			err = s.callEnded(ctx, m.Data)
		case "call.outcome":
			err = s.callSaid(ctx, m.Data)
		}
		if db.IsGone(err) { // the organisation was erased
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("follow calls: %w", err)
	}
	context.AfterFunc(ctx, sub.Stop)
	return nil
}

func (s *Service) callEnded(ctx context.Context, data []byte) error {
	var e event.CallEnded
	if err := json.Unmarshal(data, &e); err != nil {
		return fmt.Errorf("call.ended: %w", err)
	}
	if e.Direction != "outbound" {
		return nil
	}
	return s.Settle(ctx, e.OrgID, Ended{CallID: e.CallID, Answered: maybeZero(e.AnsweredAt), Ended: at(e.EndedAt), Result: e.Result, Reason: e.EndReason, Status: e.Status, Trunk: e.TrunkID})
}

// callSaid keeps what the person wishes, or what the agent calls the result.
func (s *Service) callSaid(ctx context.Context, data []byte) error {
	var e event.CallOutcome
	if err := json.Unmarshal(data, &e); err != nil {
		return fmt.Errorf("call.outcome: %w", err)
	}
	said := Said{CallID: e.CallID}
	switch e.Kind {
	case event.OutcomeOptOut:
		said.Outcome = dial.OptOut
	case event.OutcomeNotInterested:
		said.Outcome = dial.Refused
	case event.OutcomeCallBack:
		when, err := time.Parse(time.RFC3339, e.Value)
		if err != nil {
			s.c.Log.WarnContext(ctx, "a time to call back cannot be read", "call", e.CallID, "error", err)
			return nil
		}
		said.Outcome, said.Callback = dial.Callback, when
	case event.OutcomeResult:
		said.Disposition = e.Value
	case event.OutcomeAnsweredBy, event.OutcomeMessage, event.OutcomeDisclosure:
		return nil
	default: // a name that a flow gives
		said.Disposition = e.Kind
	}
	return s.Note(ctx, e.OrgID, said)
}
