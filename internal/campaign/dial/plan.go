package dial

import (
	"fmt"
	"time"

	"github.com/parley-voice/parley/internal/campaign/policy"
)

// Rules are a campaign's, and those of the places that it calls.
type Rules struct {
	Book      *policy.Book
	Purpose   policy.Purpose
	Automated bool // an AI agent speaks
	Hours     *policy.Hours
	Caps      []policy.Cap
	Retry     Retry
	Starts    time.Time // zero: at once
	Ends      time.Time // zero: when all leads are done
}

// Decision is whether a lead is called now, and why.
type Decision struct {
	Allowed bool
	// Next is what becomes of a lead that is not called now: it waits for a time, or is done.
	Next    Next
	Verdict policy.Verdict
}

// Rules of the campaign's own, as decisions name them.
const (
	ruleSchedule = "campaign/schedule"
	ruleDay      = "campaign/attempts-a-day"
	ruleTotal    = "campaign/attempts"
	ruleOpen     = "campaign/one-at-a-time"
	// RuleNumber is that the number is one. What it says names the number.
	RuleNumber = "campaign/number"
)

// openAgain is how long a lead waits whose number another campaign is calling.
const openAgain = 2 * time.Minute

// Decide tells whether a lead is called now. It asks for now and for the end of the time that the decision is good for, so
// that a window does not close before the call begins.
func (r *Rules) Decide(l *Lead, now time.Time) Decision {
	q := policy.Request{Number: l.Number, Country: l.Country, Region: l.Region, Zone: l.Zone, Purpose: r.Purpose, Automated: r.Automated,
		Consent: l.Consent, Listed: l.Listed, Registers: l.Registers, Hours: r.Hours, Caps: r.Caps}
	for _, p := range l.Past {
		if p.Outcome != Unplaced && p.Outcome != Invalid && now.Sub(p.At) <= policy.MemoryOfAttempts {
			q.Attempts = append(q.Attempts, policy.Attempt{At: p.At, Result: p.Outcome.Result()})
		}
	}
	v, err := r.Book.Decide(q, now)
	if err != nil {
		v.Checks = append(v.Checks, policy.Check{Rule: RuleNumber, Says: err.Error()})
		return Decision{Verdict: v, Next: Next{State: Done, Says: err.Error()}}
	}
	if v.Allowed {
		late, err := r.Book.Decide(q, now.Add(Fresh))
		if err == nil && !late.Allowed { // the window closes within seconds
			v = late
		}
	}
	d := Decision{Allowed: v.Allowed, Verdict: v}
	if !v.Allowed {
		d.Next = refusal(l, v)
	}
	r.own(&d, l, now)
	d.Verdict.Allowed = d.Allowed
	return d
}

// refusal is what becomes of a lead that rules keep from being called.
func refusal(l *Lead, v policy.Verdict) Next {
	c, _ := v.Blocking()
	switch {
	case len(l.Listed) > 0 || l.Consent == policy.Withdrawn:
		return Next{State: DoNotCall, Says: c.Says}
	case v.NotBefore.IsZero():
		return Next{State: Done, Says: c.Says}
	}
	return Next{State: Waiting, At: v.NotBefore, Rank: l.Rank, Says: c.Says}
}

// own asks what the campaign asks itself. The strictest of all answers counts.
func (r *Rules) own(d *Decision, l *Lead, now time.Time) {
	if !r.Starts.IsZero() && now.Before(r.Starts) {
		d.refuse(l, ruleSchedule, "The campaign begins later.", r.Starts)
	}
	if !r.Ends.IsZero() && !now.Add(Fresh).Before(r.Ends) {
		d.refuse(l, ruleSchedule, "The campaign's time is over.", time.Time{})
	}
	if l.Open {
		d.refuse(l, ruleOpen, "Another campaign is calling the number at this moment.", now.Add(openAgain))
	}
	if l.Rank == RankCallback { // what the person asked for is not an attempt of ours to reach them
		return
	}
	if n := l.Attempts(); n >= r.Retry.Total {
		d.refuse(l, ruleTotal, fmt.Sprintf("All %d attempts were made.", r.Retry.Total), time.Time{})
	}
	place := d.Verdict.Place.Clock()
	if at := r.Retry.underDay(now, own(l.Past), place); at.After(now) {
		y, m, day := at.In(place).Date()
		d.refuse(l, ruleDay, fmt.Sprintf("The campaign tries a number at most %d times a day.", r.Retry.PerDay), time.Date(y, m, day, 0, 0, 0, 0, place))
	}
}

// refuse adds a check that did not pass; until is zero where it never will.
func (d *Decision) refuse(l *Lead, rule, says string, until time.Time) {
	d.Verdict.Checks = append(d.Verdict.Checks, policy.Check{Rule: rule, Says: says, NotBefore: until})
	was := d.Next
	switch {
	case d.Allowed && until.IsZero(), was.State == Waiting && until.IsZero():
		d.Next = Next{State: Done, Says: says}
	case d.Allowed, was.State == Waiting && until.After(was.At):
		d.Next = Next{State: Waiting, At: until, Rank: l.Rank, Says: says}
	}
	d.Allowed = false
	d.Verdict.NotBefore = d.Next.At
}
