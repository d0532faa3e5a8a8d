package campaign

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// OptOuts keeps who asked not to be called. Facts answers with what it keeps.
type OptOuts interface {
	// Out keeps a wish in the transaction that it came in. A number that is kept already stays as it is.
	Out(ctx context.Context, tx *db.Tx, o OptOut) error
}

// OptOut is a wish not to be called.
type OptOut struct {
	Number string // E.164
	Source string // voice, key, api, person
	Reason string
	CallID string // "": of no call
}

// out keeps the wish of who is in a call of a campaign, and gives their number; "" where the call is none.
func (s *Service) out(ctx context.Context, tx *db.Tx, said Said) (string, error) {
	a, err := attemptByID(ctx, tx, said.CallID)
	if err != nil || a == nil {
		return "", err
	}
	if s.c.OptOuts == nil {
		return a.Number, nil
	}
	how := cmp.Or(said.How, "voice")
	reason := "Said so in a call."
	if how == "key" {
		reason = "Pressed the key in a call."
	}
	return a.Number, s.c.OptOuts.Out(ctx, tx, OptOut{Number: a.Number, Source: how, Reason: reason, CallID: a.ID})
}

// stillMay refuses a call when lists, registers and consents do not say of its number what they said when it was decided.
// Where that cannot be told nobody is called.
func (q *queue) stillMay(ctx context.Context, l *dial.Lead) error {
	if q.s.c.Facts == nil {
		return nil
	}
	var facts map[string]Known
	err := q.s.withFacts(ctx, q.org, func() error {
		return q.s.c.DB.ReadTenant(ctx, q.org, func(ctx context.Context, tx *db.Tx) (err error) {
			facts, err = q.facts(ctx, tx, []string{l.Number}, q.s.now())
			return err
		})
	})
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "it could not be told whether the number is still to be called")
	}
	k := facts[l.Number]
	if len(k.Listed) > 0 || k.Consent != l.Consent || !slices.Equal(k.Registers, l.Registers) { // nothing was sent; the next decision says why
		return fault.New(fault.Unavailable, "what is known of the number has changed meanwhile")
	}
	return nil
}

// Spread takes numbers that were listed out of the queues of all campaigns. Decisions refuse them anyway; so nobody waits for
// a call that will not be. Numbers whose attempt is open stay: their call's end says what becomes of them.
func (s *Service) Spread(ctx context.Context, orgID string, numbers ...string) error {
	for chunk := range slices.Chunk(numbers, rowsAtOnce) {
		err := s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
			if err := tx.Lock(ctx, "campaigns of "+orgID); err != nil { // plans touch the same leads and counts
				return err
			}
			return s.endQueued(ctx, tx, chunk, dial.Next{State: dial.DoNotCall, Says: "The person asked not to be called."})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// endQueued takes leads of numbers that wait for a call out of their queues.
func (s *Service) endQueued(ctx context.Context, tx *db.Tx, numbers []string, to dial.Next) error {
	var rows []leadRow
	err := tx.NewSelect().Model(&rows).Where("organisation_id = ?", tx.OrgID()).Where("number IN (?)", bun.List(numbers)).Where("due_at IS NOT NULL").
		OrderExpr("campaign_id, id").Scan(ctx)
	if err != nil {
		return fmt.Errorf("select leads that wait: %w", err)
	}
	for len(rows) > 0 {
		id := rows[0].CampaignID
		t := tally{}
		for len(rows) > 0 && rows[0].CampaignID == id {
			rows[0].apply(to, s.now(), t)
			if err := setLead(ctx, tx, &rows[0]); err != nil {
				return err
			}
			rows = rows[1:]
		}
		if err := t.save(ctx, tx, id); err != nil {
			return err
		}
	}
	return nil
}
