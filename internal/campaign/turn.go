package campaign

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/campaign/pace"
	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	newsKept      = 4096 // of a turn that is behind; then it reads the database anew
	progressEvery = 2 * time.Second
	placeTimeout  = 30 * time.Second
	settleTimeout = 30 * time.Second
	tryAgain      = time.Second // after an error of the database
)

// news is what a turn hears while it dials.
type news struct {
	call    string
	status  string // of the call: in_progress, ended
	at      time.Time
	settled *event.LeadSettled
	changed bool // the campaign
	places  *int
}

// turn dials one campaign, until it is another process's turn or the campaign does not run any more.
type turn struct {
	s       *Service
	r       *Runner
	org, id string
	fence   int64
	c       Campaign
	d       *dial.Dialler
	q       *queue
	news    chan news
	missed  atomic.Bool // news were dropped
	heldTo  time.Time

	// What the runner asks from outside.
	most, lines, weight atomic.Int64
}

// takeTurn takes a campaign for this process; nil where somebody else has it, or it does not run.
func (s *Service) takeTurn(ctx context.Context, r *Runner, orgID, id string) (*turn, error) {
	t := &turn{s: s, r: r, org: orgID, id: id, news: make(chan news, newsKept)}
	taken := false
	var answered, dropped int
	var open []attemptRow
	err := s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		row, err := lockCampaign(ctx, tx, id)
		if err != nil {
			return err
		}
		now := s.now()
		if row.State != Running || row.HeldUntil > now.UnixMilli() && row.Holder != s.c.Node {
			return nil
		}
		if t.c, err = row.campaign(); err != nil {
			return err
		}
		t.fence, t.heldTo = row.Fence+1, now.Add(holdFor)
		_, err = tx.NewUpdate().Table("campaigns").Set("holder = ?", s.c.Node).Set("fence = ?", t.fence).Set("held_until = ?", t.heldTo.UnixMilli()).
			Where("organisation_id = ?", orgID).Where("id = ?", id).Exec(ctx)
		if err != nil {
			return fmt.Errorf("take a campaign: %w", err)
		}
		taken = true
		zone := t.c.Settings.zone()
		y, m, day := now.In(zone).Date()
		counts, err := readTally(ctx, tx, id, time.Date(y, m, day, 0, 0, 0, 0, zone).Unix()/3600, now.Unix()/3600)
		if err != nil {
			return err
		}
		for what, n := range under(counts.sum(), "outcome:") {
			if o := dial.Outcome(what); o.Taken() {
				answered += int(n)
				if o == dial.Dropped {
					dropped += int(n)
				}
			}
		}
		return tx.NewSelect().Model(&open).Where("organisation_id = ?", orgID).Where("campaign_id = ?", id).Where("ended_at IS NULL").Scan(ctx)
	})
	if err != nil || !taken {
		return nil, err
	}
	rules, err := t.c.Settings.rules(s.c.Book)
	if err != nil {
		return nil, err
	}
	t.q = &queue{s: s, org: orgID, id: id, fence: t.fence, lists: t.c.Settings.Lists, purpose: t.c.Settings.Purpose, voice: rules.Automated}
	t.d = dial.NewDialler(dial.Config{Rules: rules, Pace: t.c.Settings.pace(), Zone: t.c.Settings.zone(), Queue: t.q, Carrier: t, Answered: answered, Dropped: dropped, Log: s.c.Log}, s.now())
	t.q.pacing = func() any { return t.d.Now(s.now()) }
	for _, a := range open {
		t.d.Adopt(a.ID, at(a.PlannedAt), a.AnsweredAt != 0)
		t.mine(a.ID)
	}
	t.publish()
	return t, nil
}

// mine has news of a call come here.
func (t *turn) mine(callID string) {
	t.r.mu.Lock()
	t.r.calls[callID] = t
	t.r.mu.Unlock()
}

// tell gives news to the turn. It waits for nothing: a turn that is far behind reads the database anew.
func (t *turn) tell(n news) {
	select {
	case t.news <- n:
	default:
		t.missed.Store(true)
	}
}

// wants is what the runner divides lines by.
func (t *turn) wants() (most, weight, lines int) {
	return int(t.most.Load()), int(t.weight.Load()), int(t.lines.Load())
}

func (t *turn) publish() {
	t.most.Store(int64(t.d.Wants(t.s.now())))
	t.weight.Store(int64(t.c.Settings.Weight))
	t.lines.Store(int64(t.d.Lines()))
}

// run dials.
func (t *turn) run(ctx context.Context) {
	clock := t.s.c.Clock
	next := clock.NewTimer(0, "campaign", "step")
	defer next.Stop()
	hold := clock.NewTicker(holdEvery, "campaign", "hold")
	defer hold.Stop()
	tell := clock.NewTicker(progressEvery, "campaign", "progress")
	defer tell.Stop()
	for {
		select {
		case <-ctx.Done():
			t.letGo()
			return
		case n := <-t.news:
			if !t.hear(ctx, n) {
				return
			}
			for range len(t.news) { // what came meanwhile
				if !t.hear(ctx, <-t.news) {
					return
				}
			}
		case <-hold.C:
			if !t.hold(ctx) {
				return
			}
			continue
		case <-tell.C:
			t.progress(ctx)
			continue
		case <-next.C:
		}
		at, err := t.step(ctx)
		switch {
		case errors.Is(err, errOver):
			return
		case err != nil && ctx.Err() == nil:
			t.s.c.Log.WarnContext(ctx, "a campaign's next calls could not be planned; trying again", "campaign", t.id, "error", err)
			at = t.s.now().Add(tryAgain)
		}
		next.Reset(max(0, at.Sub(t.s.now())), "campaign", "step")
	}
}

// hear takes news in. It is false when the turn is over.
func (t *turn) hear(ctx context.Context, n news) bool {
	switch {
	case n.places != nil:
		t.d.Share(*n.places)
	case n.changed:
		return t.reload(ctx)
	case n.settled != nil:
		s := n.settled
		t.d.Ended(n.call, at(s.PlannedAt), maybeZero(s.AnsweredAt), at(s.At), dial.Outcome(s.Outcome))
		t.r.turnOfCall(n.call, true)
		if s.DueAt > 0 {
			t.d.Wake()
		}
	case n.status == "in_progress":
		t.d.Taken(n.call)
		if err := t.s.Taken(ctx, t.org, n.call, n.at); err != nil {
			t.s.c.Log.WarnContext(ctx, "an answer could not be written", "campaign", t.id, "call", n.call, "error", err)
		}
	case n.status == "ended":
		t.d.Left(n.call)
	}
	return true
}

// reload reads the campaign's settings anew.
func (t *turn) reload(ctx context.Context) bool {
	c, err := t.s.Get(ctx, t.org, t.id)
	if err != nil {
		return !fault.Is(err, fault.NotFound)
	}
	if c.State != Running {
		return false
	}
	rules, err := c.Settings.rules(t.s.c.Book)
	if err != nil {
		return true
	}
	t.c = c
	t.q.lists, t.q.purpose, t.q.voice = c.Settings.Lists, c.Settings.Purpose, rules.Automated
	t.d.Set(rules, c.Settings.pace())
	return true
}

// step places what may be placed, and ends the campaign when nobody is left.
func (t *turn) step(ctx context.Context) (time.Time, error) {
	defer t.publish()
	if t.missed.Swap(false) {
		if err := t.recount(ctx); err != nil {
			return time.Time{}, err
		}
	}
	now := t.s.now()
	if ends := t.c.Settings.Schedule.Ends; ends != nil && !now.Before(*ends) {
		return now, t.finish(ctx, "Its time is over.")
	}
	next, err := t.d.Step(ctx, now)
	if err != nil || t.d.Lines() > 0 {
		return next, err
	}
	if _, any, err := t.q.Due(ctx); err != nil || any {
		return next, err
	}
	err = t.s.complete(ctx, t.org, t.id)
	if errors.Is(err, errMoreToCome) {
		return now.Add(tryAgain), nil
	}
	return now, over(err)
}

// over is what a turn makes of having ended its campaign: somebody else may have been first.
func over(err error) error {
	if err == nil || fault.Is(err, fault.Conflict) {
		return errOver
	}
	return err
}

// finish ends the campaign, whoever is left.
func (t *turn) finish(ctx context.Context, why string) error {
	_, err := t.s.to(ctx, t.org, t.id, "finish", Finished, why)
	return over(err)
}

// recount reads which calls are not over: news of some were missed.
func (t *turn) recount(ctx context.Context) error {
	var open []string
	err := t.s.c.DB.ReadTenant(ctx, t.org, func(ctx context.Context, tx *db.Tx) error {
		return tx.NewRaw("SELECT id FROM campaign_attempts WHERE organisation_id = ? AND campaign_id = ? AND ended_at IS NULL", t.org, t.id).Scan(ctx, &open)
	})
	if err != nil {
		return fmt.Errorf("read open attempts: %w", err)
	}
	t.d.Keep(open)
	return nil
}

// hold says that the campaign is still this process's. It is false when it is not.
func (t *turn) hold(ctx context.Context) bool {
	until := t.s.now().Add(holdFor)
	held := false
	err := t.s.c.DB.InTenant(ctx, t.org, func(ctx context.Context, tx *db.Tx) error {
		res, err := tx.NewUpdate().Table("campaigns").Set("held_until = ?", until.UnixMilli()).Where("organisation_id = ?", t.org).Where("id = ?", t.id).
			Where("fence = ?", t.fence).Where("state = ?", Running).Exec(ctx)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		held = n == 1
		return err
	})
	if err != nil {
		t.s.c.Log.WarnContext(ctx, "a campaign could not be held on to", "campaign", t.id, "error", err)
		return t.s.now().Before(t.heldTo) // plans ask for the fence anyway
	}
	if held {
		t.heldTo = until
	}
	return held
}

// letGo lets another process go on at once.
func (t *turn) letGo() {
	ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
	defer cancel()
	err := t.s.c.DB.InTenant(ctx, t.org, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.NewUpdate().Table("campaigns").Set("held_until = 0").Where("organisation_id = ?", t.org).Where("id = ?", t.id).Where("fence = ?", t.fence).Exec(ctx)
		return err
	})
	if err != nil {
		t.s.c.Log.Warn("a campaign could not be given back; another process takes it in some seconds", "campaign", t.id, "error", err)
	}
}

// Place implements dial.Carrier.
func (t *turn) Place(ctx context.Context, c dial.Call) {
	t.mine(c.ID)
	s := t.c.Settings
	p := Placement{OrgID: t.org, CampaignID: t.id, CallID: c.ID, LeadID: c.Lead.ID, Agent: s.Agent, Number: c.Lead.Number, Country: c.Lead.Country, Region: c.Lead.Region,
		Name: c.Lead.Name, Zone: c.Clock, Variables: c.Lead.Variables, Callers: s.Callers, Ring: time.Duration(s.Dialler.Ring) * time.Second, Voicemail: s.Voicemail,
		Disclosure: s.Disclosure, OptOutKey: s.OptOutKey, Outcomes: s.Outcomes, Until: c.At.Add(dial.Fresh)}
	if s.Dialler.Mode != pace.Agentless {
		p.Disclosure.AI = ""
	}
	asked := *t.q // as it is now: a change of the settings is for the next decision
	t.r.wg.Go(func() {
		t.place(context.WithoutCancel(ctx), p, func(ctx context.Context) error { return asked.stillMay(ctx, &c.Lead) })
	})
}

// place begins a call that may still be made; one that cannot be begun is settled at once.
func (t *turn) place(ctx context.Context, p Placement, stillMay func(context.Context) error) {
	placing, cancel := context.WithTimeout(ctx, placeTimeout)
	err := stillMay(placing)
	if err == nil {
		err = t.s.c.Carrier.Place(placing, p)
	}
	cancel()
	if err == nil {
		return
	}
	if fault.Is(err, fault.Timeout) || fault.Is(err, fault.Conflict) { // it may have been sent: the record of the call tells
		t.s.c.Log.WarnContext(ctx, "it is not known whether a call was placed", "campaign", t.id, "call", p.CallID, "error", err)
		return
	}
	settling, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	result, stop := resultOf(err)
	t.s.c.Log.InfoContext(ctx, "a call was not placed", "campaign", t.id, "call", p.CallID, "error", err)
	if stop != "" {
		if _, err := t.s.Pause(settling, t.org, t.id, stop); err != nil && !fault.Is(err, fault.Conflict) {
			t.s.c.Log.WarnContext(ctx, "a campaign that cannot go on could not be paused", "campaign", t.id, "error", err)
		}
	}
	if err := t.s.Settle(settling, t.org, Ended{CallID: p.CallID, Result: result, Reason: string(fault.CodeOf(err))}); err != nil {
		t.s.c.Log.WarnContext(ctx, "a call that was not placed could not be settled; it is looked up later", "campaign", t.id, "call", p.CallID, "error", err)
	}
}

// resultOf is what Settle makes of a call that was not placed, and why the campaign cannot go on where that is so: what is
// wrong with its settings is wrong for every lead.
func resultOf(err error) (result, stop string) {
	var f *fault.Error
	switch {
	case !errors.As(err, &f), f.Code == fault.Internal, f.Code == fault.Upstream:
		return "failed", ""
	case slices.Contains([]fault.Code{fault.LimitReached, fault.RateLimited, fault.Unavailable}, f.Code):
		return resultUnplaced, ""
	case f.Code == fault.Invalid && slices.ContainsFunc(f.Details, func(d fault.Detail) bool { return d.Location == "body.to" }):
		return "invalid_number", ""
	case f.Code == fault.Invalid && slices.ContainsFunc(f.Details, func(d fault.Detail) bool { return strings.HasPrefix(d.Location, "body.variables") }):
		return "failed", "" // this lead's
	}
	return resultUnplaced, "Calls cannot be placed: " + f.Message + "."
}

// progress tells everybody how it goes, and pauses a campaign that has spent its budget.
func (t *turn) progress(ctx context.Context) {
	now := t.s.now()
	t.s.c.Bus.PublishLive(t.org, event.CampaignProgress{CampaignID: t.id, OrgID: t.org, Now: t.d.Now(now), At: now.UnixMilli()})
	most := t.c.Settings.Budget.Most
	if most <= 0 {
		return
	}
	var spent int64
	err := t.s.c.DB.ReadTenant(ctx, t.org, func(ctx context.Context, tx *db.Tx) error {
		counts, err := readTally(ctx, tx, t.id, 0, 0)
		spent = counts.sum()["cost"]
		return err
	})
	if err != nil || float64(spent) < most*1e6 {
		return
	}
	why := fmt.Sprintf("The budget of %g %s is spent.", most, strings.ToUpper(t.c.Settings.Budget.Currency))
	if _, err := t.s.Pause(ctx, t.org, t.id, why); err != nil {
		t.s.c.Log.WarnContext(ctx, "a campaign that spent its budget could not be paused", "campaign", t.id, "error", err)
	}
}
