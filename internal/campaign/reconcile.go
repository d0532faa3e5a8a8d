package campaign

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// lookAfter is when an attempt that is open is looked up: its call was begun within dial.Fresh, or never.
	lookAfter = 30 * time.Second
	// lostAfter is when an attempt of which there is no record is given up. A process that crashed may write down later what it
	// had in hand: the attempt counts all the same, so that nobody is called more often.
	lostAfter   = time.Minute
	mostAtOnce  = 2000
	lookTimeout = 10 * time.Second
)

// openAttempt is an attempt that is not over.
type openAttempt struct {
	ID             string
	OrganisationID string
	PlannedAt      int64
}

// Reconcile looks up what became of attempts that have been open for a while: of calls whose end nobody told, because a
// process died between a call and its news. It may run in several processes at once.
func (s *Service) Reconcile(ctx context.Context) error {
	now := s.now()
	open, err := readEach[openAttempt](ctx, s.c.DB, "look up open attempts",
		"SELECT id, organisation_id, planned_at FROM campaign_attempts WHERE ended_at IS NULL AND planned_at < ? ORDER BY planned_at LIMIT ?",
		now.Add(-lookAfter).UnixMilli(), mostAtOnce)
	failed := err // of one organisation's database: the others are looked up all the same
	for _, a := range open {
		if err := s.lookUp(ctx, a, now); err != nil {
			failed = errors.Join(failed, err)
			if ctx.Err() != nil {
				break
			}
		}
	}
	return failed
}

func (s *Service) lookUp(ctx context.Context, a openAttempt, now time.Time) error {
	looking, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	l, err := s.c.Carrier.Look(looking, a.OrganisationID, a.ID)
	switch {
	case err != nil:
		return fmt.Errorf("look up call %s: %w", a.ID, err)
	case l.Live:
		return nil
	case l.Found:
		l.Ended.CallID = a.ID
		return s.Settle(ctx, a.OrganisationID, l.Ended)
	case now.Sub(at(a.PlannedAt)) < lostAfter:
		return nil
	}
	s.c.Log.WarnContext(ctx, "an attempt left no trace; it counts as one", "call", a.ID)
	return s.Settle(ctx, a.OrganisationID, Ended{CallID: a.ID, Result: resultLost, Ended: now})
}
