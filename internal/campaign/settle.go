package campaign

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/db"
)

// Ended is what became of a call.
type Ended struct {
	CallID   string
	Answered time.Time // by somebody or something; zero: nobody took it
	Ended    time.Time
	Result   string // answered, busy, no_answer, rejected, invalid_number, trunk_failed, cancelled, failed: as the call's record says
	Reason   string // why it ended: normal, machine, message, ...
	Status   int    // of SIP; 0: none
	Trunk    string // that carried it
	Caller   string // the number shown
}

// Of a call that was not placed, or of which nothing is known.
const (
	resultUnplaced = "unplaced"
	resultLost     = "lost"
)

// reasonInterrupted ends a call whose process died.
const reasonInterrupted = "interrupted"

// byReason are the ends of answered calls in which no person was spoken to, or was and said one thing.
var byReason = map[string]dial.Outcome{
	"machine": dial.Machine, "message": dial.Message, "fax": dial.Fax, "invalid": dial.Invalid, "opted_out": dial.OptOut, "dropped": dial.Dropped,
	"disclosure_failed": dial.Failed, "misconfigured": dial.Failed, "error": dial.Failed,
}

// byResult are the ends of calls that nobody answered.
var byResult = map[string]dial.Outcome{
	"busy": dial.Busy, "no_answer": dial.NoAnswer, "cancelled": dial.NoAnswer, "rejected": dial.Rejected, "invalid_number": dial.Invalid,
	"trunk_failed": dial.Failed, "failed": dial.Failed, resultUnplaced: dial.Unplaced, resultLost: dial.Lost,
}

// outcome is what e means for a lead.
func (e Ended) outcome() dial.Outcome {
	if e.Result == "answered" {
		if o, ok := byReason[e.Reason]; ok {
			return o
		}
		return dial.Answered
	}
	if e.Reason == reasonInterrupted { // while it rang, or before
		return dial.Lost
	}
	if o, ok := byResult[e.Result]; ok {
		return o
	}
	return dial.Failed
}

// attemptByID finds an attempt; nil where the call is none.
func attemptByID(ctx context.Context, tx *db.Tx, id string) (*attemptRow, error) {
	var row attemptRow
	err := tx.NewSelect().Model(&row).Where("organisation_id = ?", tx.OrgID()).Where("id = ?", id).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("select attempt: %w", err)
	}
	return &row, nil
}

// attemptOf finds the open attempt of a call, and nothing where the call is none or was settled. Whoever settles it waits for
// the others.
func attemptOf(ctx context.Context, tx *db.Tx, callID string) (*attemptRow, error) {
	a, err := attemptByID(ctx, tx, callID)
	if err != nil || a == nil || a.EndedAt != nil {
		return nil, err
	}
	if err := tx.Lock(ctx, "attempt "+callID); err != nil {
		return nil, err
	}
	if a, err = attemptByID(ctx, tx, callID); err != nil || a == nil || a.EndedAt != nil {
		return nil, err
	}
	return a, nil
}

// Settle writes what became of a call: to its attempt, its lead and the campaign's counts, once. A call that is no campaign's
// changes nothing.
func (s *Service) Settle(ctx context.Context, orgID string, e Ended) error {
	if open, err := s.isOpen(ctx, orgID, e.CallID); err != nil || !open {
		return err
	}
	return s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		a, err := attemptOf(ctx, tx, e.CallID)
		if err != nil || a == nil {
			return err
		}
		c, row, err := s.ofAttempt(ctx, tx, a)
		if err != nil || row == nil {
			return err
		}
		now := s.now()
		o := e.outcome()
		if a.Outcome == dial.OptOut || a.Outcome != "" && o == dial.Answered { // what was said in the call
			o = a.Outcome
		}
		t := tally{}
		a.finish(e, o, &c.Settings, now)
		past, err := pastOf(ctx, tx, a)
		if err != nil {
			return err
		}
		place, err := time.LoadLocation(a.Zone)
		if err != nil {
			place = time.UTC
		}
		next := c.Settings.Retry.After(o, past, maybeZero(a.CallbackAt), now, place, s.c.Rand())
		if c.State.over() && next.State == dial.Waiting {
			next = dial.Next{State: dial.Done, Says: "The campaign is over."}
		}
		row.Outcome, row.Disposition = o, a.Disposition
		row.apply(next, now, t)
		t.both(now, "outcome:"+string(o), 1)
		if a.Disposition != "" {
			t.both(now, "disposition:"+a.Disposition, 1)
		}
		t.both(now, "talkMs", a.TalkMS)
		t.both(now, "cost", a.Cost)
		return s.saveSettled(ctx, tx, a, row, t, now)
	})
}

// isOpen reports whether a call is a campaign's and not settled. Most calls are none: they should not wait for a writer.
func (s *Service) isOpen(ctx context.Context, orgID, callID string) (open bool, err error) {
	err = s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		a, err := attemptByID(ctx, tx, callID)
		open = a != nil && a.EndedAt == nil
		return err
	})
	return open, err
}

func maybeZero(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return at(ms)
}

// ofAttempt gives the campaign and the lead of an attempt; no lead where the campaign was deleted meanwhile.
func (s *Service) ofAttempt(ctx context.Context, tx *db.Tx, a *attemptRow) (Campaign, *leadRow, error) {
	crow, err := campaignByID(ctx, tx, a.CampaignID)
	if err != nil {
		return Campaign{}, nil, err
	}
	c, err := crow.campaign()
	if err != nil {
		return c, nil, err
	}
	row, err := leadByID(ctx, tx, a.CampaignID, a.LeadID)
	return c, row, err
}

// finish writes the end into an attempt.
func (a *attemptRow) finish(e Ended, o dial.Outcome, s *Settings, now time.Time) {
	ended := e.Ended
	if ended.IsZero() {
		ended = now
	}
	ms := ended.UnixMilli()
	a.EndedAt, a.Outcome, a.Reason, a.Status, a.AnsweredAt = &ms, o, cmp.Or(e.Reason, e.Result), int64(e.Status), unix(e.Answered)
	if e.Trunk != "" {
		a.TrunkID = e.Trunk
	}
	if e.Caller != "" {
		a.Caller = e.Caller
	}
	if !e.Answered.IsZero() {
		a.TalkMS = max(0, ended.Sub(e.Answered).Milliseconds())
	}
	a.Cost = s.Budget.cost(time.Duration(a.TalkMS)*time.Millisecond, !e.Answered.IsZero())
	if mapped, ok := s.Outcomes[a.Disposition]; ok {
		a.Disposition = mapped
	} else if mapped, ok := s.Outcomes[string(o)]; ok && a.Disposition == "" {
		a.Disposition = mapped
	}
}

// pastOf gives the lead's attempts before this one.
func pastOf(ctx context.Context, tx *db.Tx, a *attemptRow) ([]dial.Past, error) {
	var rows []attemptRow
	err := tx.NewSelect().Model(&rows).Column("planned_at", "outcome").Where("organisation_id = ?", tx.OrgID()).Where("lead_id = ?", a.LeadID).
		Where("position < ?", a.Position).OrderExpr("position").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("select earlier attempts: %w", err)
	}
	out := make([]dial.Past, len(rows))
	for i, r := range rows {
		out[i] = dial.Past{At: at(r.PlannedAt), Outcome: r.Outcome, Own: true}
	}
	return out, nil
}

func (s *Service) saveSettled(ctx context.Context, tx *db.Tx, a *attemptRow, row *leadRow, t tally, now time.Time) error {
	_, err := tx.NewUpdate().Model(a).Column("answered_at", "ended_at", "outcome", "disposition", "reason", "status", "talk_ms", "cost", "trunk_id", "caller").
		Where("organisation_id = ?", tx.OrgID()).Where("id = ?", a.ID).Exec(ctx)
	if err != nil {
		return fmt.Errorf("update attempt: %w", err)
	}
	if err := setLead(ctx, tx, row); err != nil {
		return err
	}
	if err := t.save(ctx, tx, a.CampaignID); err != nil {
		return err
	}
	f := event.LeadSettled{CampaignID: a.CampaignID, OrgID: tx.OrgID(), LeadID: a.LeadID, AttemptID: a.ID, Number: a.Number, Position: a.Position,
		Outcome: string(a.Outcome), Disposition: a.Disposition, State: string(row.State), PlannedAt: a.PlannedAt, AnsweredAt: a.AnsweredAt, TalkMS: a.TalkMS, At: now.UnixMilli()}
	if row.DueAt != nil {
		f.DueAt = *row.DueAt
	}
	return tx.Publish(ctx, f)
}

// Taken writes that a call was answered: its lead is in a call.
func (s *Service) Taken(ctx context.Context, orgID, callID string, when time.Time) error {
	return s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		a, err := attemptOf(ctx, tx, callID)
		if err != nil || a == nil || a.AnsweredAt != 0 {
			return err
		}
		_, row, err := s.ofAttempt(ctx, tx, a)
		if err != nil || row.State != dial.Dialling {
			return err
		}
		a.AnsweredAt = when.UnixMilli()
		if _, err := tx.NewUpdate().Model(a).Column("answered_at").Where("organisation_id = ?", orgID).Where("id = ?", a.ID).Exec(ctx); err != nil {
			return fmt.Errorf("update attempt: %w", err)
		}
		t := tally{}
		row.apply(dial.Next{State: dial.InCall}, s.now(), t)
		if err := setLead(ctx, tx, row); err != nil {
			return err
		}
		return t.save(ctx, tx, a.CampaignID)
	})
}

// Said is what a person, or the agent for them, said in a call that goes on.
type Said struct {
	CallID      string
	How         string       // voice: they said so; key: they pressed it; "": voice
	Outcome     dial.Outcome // opt_out, callback, refused; "": only a disposition
	Disposition string       // what the agent calls its result
	Callback    time.Time    // of the outcome callback
}

// Note keeps what was said in a call until it ends. An opt-out stays one, whatever is said later; it counts though the call was
// settled before.
func (s *Service) Note(ctx context.Context, orgID string, said Said) error {
	if open, err := s.isOpen(ctx, orgID, said.CallID); err != nil || !open && said.Outcome != dial.OptOut {
		return err
	}
	number := ""
	err := s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) (err error) {
		if said.Outcome == dial.OptOut {
			if number, err = s.out(ctx, tx, said); err != nil {
				return err
			}
		}
		a, err := attemptOf(ctx, tx, said.CallID)
		if err != nil || a == nil {
			return err
		}
		if said.Outcome != "" && a.Outcome != dial.OptOut {
			a.Outcome, a.CallbackAt = said.Outcome, unix(said.Callback)
		}
		if said.Disposition != "" {
			a.Disposition = said.Disposition
		}
		_, err = tx.NewUpdate().Model(a).Column("outcome", "disposition", "callback_at").Where("organisation_id = ?", orgID).Where("id = ?", a.ID).Exec(ctx)
		if err != nil {
			return fmt.Errorf("update attempt: %w", err)
		}
		return nil
	})
	if err != nil || number == "" {
		return err
	}
	return s.Spread(ctx, orgID, number)
}
