package campaign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/campaign/policy"
	"github.com/parley-voice/parley/internal/platform/db"
)

// errOver says that this process does not dial the campaign any more: it was paused or stopped, or another process has it.
var errOver = errors.New("campaign: the turn is over")

// queue is a campaign's leads, for the dialler that holds it.
type queue struct {
	s       *Service
	org, id string
	fence   int64
	lists   []string
	purpose policy.Purpose
	voice   bool       // an AI agent speaks
	pacing  func() any // what decisions say of the pacing
}

// Plan implements dial.Queue. All campaigns of an organisation plan one after the other: a number that two of them want is
// seen by the second as the first one left it.
func (q *queue) Plan(ctx context.Context, now time.Time, want, most int, decide func(*dial.Lead) dial.Decision) (calls []dial.Call, more bool, err error) {
	err = q.s.withFacts(ctx, q.org, func() error {
		return q.s.c.DB.InTenant(ctx, q.org, func(ctx context.Context, tx *db.Tx) (err error) {
			calls, more, err = q.plan(ctx, tx, now, want, most, decide)
			return err
		})
	})
	if err != nil {
		return nil, false, err
	}
	return calls, more, nil
}

// withFacts runs fn, which asks Facts in a transaction, and again once what they lacked is here.
func (s *Service) withFacts(ctx context.Context, orgID string, fn func() error) error {
	err := fn()
	for range 2 { // another version of what was brought may have come meanwhile
		if !errors.Is(err, ErrFetch) {
			return err
		}
		if err := s.c.Facts.Fetch(ctx, orgID); err != nil {
			return err
		}
		err = fn()
	}
	return err
}

// plan is Plan in its transaction.
func (q *queue) plan(ctx context.Context, tx *db.Tx, now time.Time, want, most int, decide func(*dial.Lead) dial.Decision) (calls []dial.Call, more bool, err error) {
	if err := tx.Lock(ctx, "campaigns of "+q.org); err != nil {
		return nil, false, err
	}
	if err := q.mine(ctx, tx); err != nil {
		return nil, false, err
	}
	rows, err := due(ctx, tx, q.id, now, most)
	if err != nil || len(rows) == 0 {
		return nil, false, err
	}
	more = len(rows) == most
	leads, err := q.known(ctx, tx, rows, now)
	if err != nil {
		return nil, false, err
	}
	p := plan{now: now, tally: tally{}}
	for i := range rows {
		if len(calls) == want {
			more = true
			break
		}
		c, ok, err := p.take(q, &rows[i], &leads[i], decide(&leads[i]))
		if err != nil {
			return nil, false, err
		}
		if ok {
			calls = append(calls, c)
		}
	}
	return calls, more, p.save(ctx, tx, q.id)
}

// Due implements dial.Queue.
func (q *queue) Due(ctx context.Context) (first time.Time, any bool, err error) {
	err = q.s.c.DB.ReadTenant(ctx, q.org, func(ctx context.Context, tx *db.Tx) error {
		for _, rank := range dial.Ranks() {
			var ms []int64
			err := tx.NewRaw("SELECT due_at FROM campaign_leads WHERE organisation_id = ? AND campaign_id = ? AND urgency = ? AND due_at IS NOT NULL ORDER BY due_at LIMIT 1",
				q.org, q.id, rank).Scan(ctx, &ms)
			if err != nil {
				return fmt.Errorf("find the next lead: %w", err)
			}
			if len(ms) > 0 && (!any || at(ms[0]).Before(first)) {
				first, any = at(ms[0]), true
			}
		}
		return nil
	})
	return first, any, err
}

// mine refuses to plan for a campaign that does not run, or that another process has taken over.
func (q *queue) mine(ctx context.Context, tx *db.Tx) error {
	query := "SELECT count(*) FROM campaigns WHERE organisation_id = ? AND id = ? AND fence = ? AND state = ?"
	if tx.Dialect() == db.Postgres { // a pause waits until this plan is written, or is seen by it
		query = "SELECT count(*) FROM (SELECT 1 FROM campaigns WHERE organisation_id = ? AND id = ? AND fence = ? AND state = ? FOR SHARE) c"
	}
	var n int
	if err := tx.NewRaw(query, q.org, q.id, q.fence, Running).Scan(ctx, &n); err != nil {
		return fmt.Errorf("ask whose turn it is: %w", err)
	}
	if n == 0 {
		return errOver
	}
	return nil
}

// due gives leads whose time has come, the most urgent first.
func due(ctx context.Context, tx *db.Tx, campaignID string, now time.Time, most int) ([]leadRow, error) {
	var rows []leadRow
	for _, rank := range dial.Ranks() {
		if len(rows) >= most {
			break
		}
		var some []leadRow
		err := tx.NewSelect().Model(&some).Where("organisation_id = ?", tx.OrgID()).Where("campaign_id = ?", campaignID).Where("urgency = ?", rank).
			Where("due_at <= ?", now.UnixMilli()).OrderExpr("due_at, id").Limit(int64(most - len(rows))).Scan(ctx)
		if err != nil {
			return nil, fmt.Errorf("select leads that are due: %w", err)
		}
		rows = append(rows, some...)
	}
	return rows, nil
}

// known brings together what is known of leads: their numbers' attempts, lists and consents.
func (q *queue) known(ctx context.Context, tx *db.Tx, rows []leadRow, now time.Time) ([]dial.Lead, error) {
	leads := make([]dial.Lead, len(rows))
	byNumber := make(map[string]*dial.Lead, len(rows)) // a number is in a campaign once
	numbers := make([]string, len(rows))
	for i := range rows {
		r := &rows[i]
		leads[i] = dial.Lead{ID: r.ID, Number: r.Number, Name: r.Name, Country: r.Country, Region: r.Region, Zone: r.Zone, Rank: r.Urgency, DueAt: at(*r.DueAt)}
		if err := json.Unmarshal([]byte(r.Variables), &leads[i].Variables); err != nil {
			return nil, fmt.Errorf("variables of lead %s: %w", r.ID, err)
		}
		byNumber[r.Number], numbers[i] = &leads[i], r.Number
	}
	var past []attemptRow
	err := tx.NewSelect().Model(&past).Column("number", "campaign_id", "planned_at", "ended_at", "outcome").Where("organisation_id = ?", q.org).
		Where("number IN (?)", bun.List(numbers)).Where("planned_at >= ? OR campaign_id = ?", now.Add(-policy.MemoryOfAttempts).UnixMilli(), q.id).OrderExpr("planned_at").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("select earlier attempts: %w", err)
	}
	for _, p := range past {
		l := byNumber[p.Number]
		l.Past = append(l.Past, dial.Past{At: at(p.PlannedAt), Outcome: p.Outcome, Own: p.CampaignID == q.id})
		l.Open = l.Open || p.EndedAt == nil
	}
	if q.s.c.Facts == nil {
		return leads, nil
	}
	facts, err := q.facts(ctx, tx, numbers, now)
	if err != nil {
		return nil, err
	}
	for n, k := range facts {
		l := byNumber[n]
		l.Listed, l.Registers, l.Consent, l.ConsentID, l.Snapshot = k.Listed, k.Registers, k.Consent, k.ConsentID, k.Snapshot
	}
	return leads, nil
}

// facts asks lists, registers and consents.
func (q *queue) facts(ctx context.Context, tx *db.Tx, numbers []string, now time.Time) (map[string]Known, error) {
	facts, err := q.s.c.Facts.Of(ctx, tx, Asked{CampaignID: q.id, Lists: q.lists, Numbers: numbers, Purpose: q.purpose, Automated: q.voice, Now: now})
	if err != nil {
		return nil, fmt.Errorf("ask lists and consents: %w", err)
	}
	return facts, nil
}

// plan is what one transaction writes.
type plan struct {
	now       time.Time
	tally     tally
	leads     []*leadRow
	attempts  []attemptRow
	decisions []decisionRow
}

// take writes down what was decided of a lead. ok says that it may be called.
func (p *plan) take(q *queue, row *leadRow, l *dial.Lead, d dial.Decision) (call dial.Call, ok bool, err error) {
	rec := decisionRow{ID: newID(), OrganisationID: q.org, CampaignID: q.id, LeadID: row.ID, Number: row.Number, At: p.now.UnixMilli(), Allowed: d.Allowed}
	if rec.Body, err = q.body(l, &d); err != nil {
		return call, false, fmt.Errorf("write a decision: %w", err)
	}
	p.leads = append(p.leads, row)
	if !d.Allowed {
		if c, blocked := d.Verdict.Blocking(); blocked {
			rec.Rule = c.Rule
		}
		p.tally.both(p.now, "refused:"+rec.Rule, 1)
		p.decisions = append(p.decisions, rec)
		row.apply(d.Next, p.now, p.tally)
		return call, false, nil
	}
	p.decisions = append(p.decisions, rec)
	p.tally.both(p.now, "attempts", 1)
	row.apply(dial.Next{State: dial.Dialling}, p.now, p.tally)
	row.Attempts++
	a := attemptRow{ID: newID(), OrganisationID: q.org, CampaignID: q.id, LeadID: row.ID, Position: row.Attempts, Number: row.Number,
		Zone: d.Verdict.Place.Clock().String(), Fence: q.fence, DecisionID: rec.ID, PlannedAt: p.now.UnixMilli()}
	p.attempts = append(p.attempts, a)
	return dial.Call{ID: a.ID, Lead: *l, Number: int(a.Position), Decision: rec.ID, Clock: a.Zone, At: p.now}, true, nil
}

// save writes it all.
func (p *plan) save(ctx context.Context, tx *db.Tx, campaignID string) error {
	if err := appendDecisions(ctx, tx, campaignID, p.decisions); err != nil {
		return err
	}
	for chunk := range slices.Chunk(p.attempts, rowsAtOnce) {
		if _, err := tx.NewInsert().Model(&chunk).Exec(ctx); err != nil {
			return fmt.Errorf("insert attempts: %w", err)
		}
	}
	if err := setLeads(ctx, tx, p.leads); err != nil {
		return err
	}
	return p.tally.save(ctx, tx, campaignID)
}

// rowsAtOnce keeps an insert below what databases take of parameters.
const rowsAtOnce = 200
