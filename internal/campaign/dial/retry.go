package dial

import (
	"fmt"
	"math"
	"time"

	"github.com/parley-voice/parley/internal/campaign/policy"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Backoff is when one outcome is tried again.
type Backoff struct {
	Times   int     `json:"times" minimum:"0" maximum:"50" doc:"How often at most after this outcome; 0: the lead is done"`
	Minutes int     `json:"minutes" minimum:"1" maximum:"43200" doc:"Until the first further attempt"`
	Factor  float64 `json:"factor" minimum:"1" maximum:"10" doc:"How much longer each time"`
	Most    int     `json:"mostMinutes" minimum:"1" maximum:"43200" doc:"The longest it gets"`
}

// Retry is when leads are tried again.
type Retry struct {
	On     map[Outcome]Backoff `json:"on" doc:"By outcome: busy, no_answer, machine, message, rejected, failed, dropped, lost. An outcome that is not named is the lead's last"`
	PerDay int                 `json:"perDay" minimum:"1" maximum:"20" doc:"Attempts to a lead on one of its own days"`
	Total  int                 `json:"total" minimum:"1" maximum:"50" doc:"Attempts to a lead in all"`
	Vary   bool                `json:"vary" doc:"Try at other hours of the day, and on another day, than before"`
}

// UsualRetry is what a campaign has until somebody says otherwise.
func UsualRetry() Retry {
	return Retry{PerDay: 2, Total: 4, Vary: true, On: map[Outcome]Backoff{
		Busy:     {Times: 3, Minutes: 15, Factor: 2, Most: 240},
		NoAnswer: {Times: 3, Minutes: 120, Factor: 2, Most: 2880},
		Machine:  {Times: 2, Minutes: 240, Factor: 2, Most: 2880},
		Failed:   {Times: 3, Minutes: 5, Factor: 3, Most: 240},
		Dropped:  {Times: 1, Minutes: 4320, Factor: 1, Most: 4320},
		Lost:     {Times: 2, Minutes: 60, Factor: 2, Most: 1440},
	}}
}

// again are the outcomes after which there may be another attempt.
var again = map[Outcome]bool{Busy: true, NoAnswer: true, Machine: true, Message: true, Rejected: true, Failed: true, Dropped: true, Lost: true}

// Check says what is wrong with it; field is put before the names of its fields.
func (r Retry) Check(field string) error {
	if r.PerDay < 1 || r.PerDay > 20 {
		return fault.Field(field+"perDay", "from 1 to 20 attempts on a day")
	}
	if r.Total < 1 || r.Total > 50 {
		return fault.Field(field+"total", "from 1 to 50 attempts in all")
	}
	for o, b := range r.On {
		at := field + "on." + string(o)
		switch {
		case !o.Known():
			return fault.Field(at, "%q is no outcome; use busy, no_answer, machine, message, rejected, failed, dropped or lost", string(o))
		case !again[o]:
			return fault.Field(at, "nobody is called again after %s; leave it out", string(o))
		case b.Times < 0 || b.Times > 50:
			return fault.Field(at+".times", "from 0 to 50 times")
		case b.Times == 0:
		case b.Minutes < 1 || b.Minutes > 43200:
			return fault.Field(at+".minutes", "from 1 minute to 30 days (43200)")
		case b.Factor < 1 || b.Factor > 10 || math.IsNaN(b.Factor):
			return fault.Field(at+".factor", "from 1 to 10")
		case b.Most < b.Minutes || b.Most > 43200:
			return fault.Field(at+".mostMinutes", "from minutes (%d) to 30 days (43200)", b.Minutes)
		}
	}
	return nil
}

// Next is what becomes of a lead after an attempt.
type Next struct {
	State State
	At    time.Time // of the next attempt, in the state Waiting
	Rank  Rank
	Says  string // why, in a sentence
}

// jitter is the share of a wait that chance adds: leads of one minute do not come back in one minute.
const jitter = 0.2

// After tells what becomes of a lead. past are the attempts before this one, callback is when the person wants to be called
// (zero: nobody said), place is where the lead's clock is, and chance is from 0 up to 1.
func (r Retry) After(o Outcome, past []Past, callback, now time.Time, place *time.Location, chance float64) Next {
	switch o {
	case Unplaced: // nothing happened: it is as if nobody had tried
		return Next{State: Waiting, At: now.Add(time.Minute / 2), Rank: RankRetry, Says: "The call was not placed, and is tried again."}
	case OptOut:
		return Next{State: DoNotCall, Says: "The person asked not to be called."}
	case Callback:
		if callback.Before(now) { // "in five minutes", said ten minutes before the call was over
			callback = now
		}
		// The person's wish goes before the campaign's caps on attempts; rules of law are asked when the time comes.
		return Next{State: Waiting, At: callback, Rank: RankCallback, Says: "The person asked to be called at that time."}
	}
	b := r.On[o]
	made, same := 1, 0
	for _, p := range past {
		if p.Own && p.Outcome != Unplaced {
			made++
			if p.Outcome == o {
				same++
			}
		}
	}
	switch {
	case b.Times == 0:
		return Next{State: Done, Says: fmt.Sprintf("Nobody is called again after the outcome %s.", o)}
	case same >= b.Times:
		return Next{State: Done, Says: fmt.Sprintf("It was tried again %d times after the outcome %s.", b.Times, o)}
	case made >= r.Total:
		return Next{State: Done, Says: fmt.Sprintf("All %d attempts were made.", r.Total)}
	}
	minutes := min(float64(b.Most), float64(b.Minutes)*math.Pow(b.Factor, float64(same)))
	at := now.Add(time.Duration(minutes * (1 + jitter*chance) * float64(time.Minute)))
	if r.Vary {
		at = vary(at, append(own(past), now), place)
	}
	at = r.underDay(at, append(own(past), now), place)
	return Next{State: Waiting, At: at, Rank: RankRetry, Says: fmt.Sprintf("The outcome was %s; attempt %d of %d.", o, made+1, r.Total)}
}

func own(past []Past) []time.Time {
	var out []time.Time
	for _, p := range past {
		if p.Own && p.Outcome != Unplaced {
			out = append(out, p.At)
		}
	}
	return out
}

// The parts of a day in which people are at home, or not: morning, afternoon, evening.
const parts = 3

func part(t time.Time) int {
	switch h := t.Hour(); {
	case h < 12:
		return 0
	case h < 17:
		return 1
	}
	return 2
}

// starts are when the parts begin, and where a call that is moved into one goes.
var starts = [parts]int{9, 13, 17}

// vary moves a time to the part of the day that was tried least, later the same day or the next.
func vary(at time.Time, tried []time.Time, place *time.Location) time.Time {
	var n [parts]int
	for _, t := range tried {
		n[part(t.In(place))]++
	}
	local := at.In(place)
	least := min(n[0], n[1], n[2])
	if n[part(local)] == least {
		return at
	}
	y, m, d := local.Date()
	for ahead := range 2 * parts {
		p := ahead % parts
		if n[p] != least {
			continue
		}
		begin := time.Date(y, m, d+ahead/parts, starts[p], local.Minute(), local.Second(), 0, place)
		if begin.After(at) {
			return begin
		}
	}
	return at
}

// underDay moves a time to a later day of the lead's, while its day has as many attempts as it may.
func (r Retry) underDay(at time.Time, tried []time.Time, place *time.Location) time.Time {
	for range 366 {
		local := at.In(place)
		today := 0
		for _, t := range tried {
			if policy.SameDay(t.In(place), local) {
				today++
			}
		}
		if today < r.PerDay {
			return at
		}
		at = time.Date(local.Year(), local.Month(), local.Day()+1, local.Hour(), local.Minute(), local.Second(), 0, place)
	}
	return at
}
