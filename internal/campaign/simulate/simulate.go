// Package simulate plays a campaign on a virtual clock: the dialler, the pacing and the rules on calling are those that run
// real campaigns, the people are made up. Hours pass in milliseconds.
//
//	simulate.go  what is played, and what comes of it
//	people.go    people who answer or do not
//	queue.go     leads in memory, as the database keeps them
//	run.go       one run: events in order of time
//	predict.go   many runs: what to expect, with intervals, and which rule would be broken
//	file.go      campaign.yaml
//
// A prediction is as good as what is said of the people. Where nothing is said, the figures of UsualPeople are used, which
// are a guess of ours and no statistics.
package simulate

import (
	"time"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/campaign/pace"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Campaign is what is played.
type Campaign struct {
	Rules   dial.Rules
	Pace    pace.Config
	Zone    *time.Location // whose days the campaign is counted by
	Start   time.Time
	Horizon time.Duration // a run that is not over then is cut off; 0: 60 days
	Ring    time.Duration // how long it rings before it is given up
	Leads   []dial.Lead   // their Past, Rank and DueAt are what they begin with
	People  People
	Prices  Prices
}

// Prices reckon the cost.
type Prices struct {
	PerMinute float64
	PerCall   float64 // answered
	Most      float64 // the campaign pauses when so much is spent; 0: no limit
}

// Check says what is wrong with it; field is put before the names of its fields.
func (c *Campaign) Check(field string) error {
	switch {
	case len(c.Leads) == 0:
		return fault.Field(field+"leads", "there is nobody to call")
	case len(c.Leads) > MostLeads:
		return fault.Field(field+"leads", "at most %d leads are played", MostLeads)
	case c.Start.IsZero():
		return fault.Field(field+"start", "say when it begins, such as 2026-11-23T09:00:00+01:00")
	case c.Horizon < 0 || c.Horizon > 400*24*time.Hour:
		return fault.Field(field+"horizon", "from 0 (60 days) to 400 days")
	case c.Ring < time.Second || c.Ring > 5*time.Minute:
		return fault.Field(field+"ring", "from 1 s to 5 min")
	}
	if err := c.Pace.Check(field + "dialler."); err != nil {
		return err
	}
	return c.People.Check(field + "people.")
}

// MostLeads is how many leads are played at most.
const MostLeads = 2_000_000

const usualHorizon = 60 * 24 * time.Hour

// Run is what came of one run.
type Run struct {
	Done      bool // every lead is done; else it was cut off
	Took      time.Duration
	Attempts  int
	Outcomes  map[dial.Outcome]int
	Refused   map[string]int // refusals to call, by the rule
	Spoken    int            // leads that were spoken to
	Taken     int            // calls that people took
	Dropped   int            // of them, that found nobody
	WorstDay  float64        // the highest share of dropped calls on a day
	Talk      time.Duration
	Cost      float64
	Spent     bool // the budget ran out
	MostLines int  // calls at once, the most there were
	Idle      float64
	Hours     map[time.Time]Hour // by the beginning of the hour
}

// Hour is what happened in an hour.
type Hour struct{ Attempts, Spoken int }

// Share is the share of calls that people took which found nobody.
func (r *Run) Share() float64 {
	if r.Taken == 0 {
		return 0
	}
	return float64(r.Dropped) / float64(r.Taken)
}
