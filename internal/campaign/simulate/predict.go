package simulate

import (
	"context"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/campaign/pace"
	"github.com/parley-voice/parley/internal/campaign/policy"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Interval is what to expect: half of the runs are below Median; of twenty runs, one is below Low and one above High.
type Interval struct {
	Low    float64 `json:"low"`
	Median float64 `json:"median"`
	High   float64 `json:"high"`
}

// Break is a rule that the campaign is predicted to break.
type Break struct {
	Rule string `json:"rule" doc:"As decisions name it: gb/abandoned"`
	Says string `json:"says"`
}

// Prediction is what to expect of a campaign.
type Prediction struct {
	Runs      int                `json:"runs"`
	Leads     int                `json:"leads"`
	Hours     Interval           `json:"hours" doc:"From the start to the last call"`
	Attempts  Interval           `json:"attempts"`
	Spoken    Interval           `json:"spoken" doc:"People who were spoken to"`
	Dropped   Interval           `json:"dropped" doc:"Share of the calls that people took which found nobody"`
	Cost      Interval           `json:"cost"`
	Idle      Interval           `json:"idle" doc:"Share of the operators' time in which they were free"`
	Lines     Interval           `json:"lines" doc:"Calls at once, the most there were"`
	Finished  float64            `json:"finished" doc:"Share of the runs in which every lead was done"`
	Outcomes  map[string]float64 `json:"outcomes" doc:"Attempts by outcome, on average"`
	Refused   map[string]float64 `json:"refused" doc:"Refusals to call by rule, on average"`
	ByHour    []HourOf           `json:"byHour" doc:"Of the first 14 days, on average"`
	Breaks    []Break            `json:"breaks" doc:"Rules that would be broken, or that keep everybody from being called; a campaign with one cannot start"`
	Simulated float64            `json:"simulatedHours" doc:"Hours that were played in all runs together"`
}

// HourOf is an hour of the campaign.
type HourOf struct {
	Hour     time.Time `json:"hour"`
	Attempts float64   `json:"attempts"`
	Spoken   float64   `json:"spoken"`
}

const hoursShown = 14 * 24

// Predict plays a campaign a number of times, each with a seed of its own after the first, on all processors.
func Predict(ctx context.Context, c *Campaign, runs int, seed uint64) (Prediction, error) {
	if err := c.Check(""); err != nil {
		return Prediction{}, err
	}
	if runs < 1 || runs > 10_000 {
		return Prediction{}, fault.Field("runs", "from 1 to 10000 runs")
	}
	played := make([]Run, runs)
	errs := make([]error, runs)
	turns := make(chan int)
	var wg sync.WaitGroup
	for range min(runs, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := range turns {
				played[i], errs[i] = Play(ctx, c, seed+uint64(i)) //nolint:gosec // an index
			}
		})
	}
	for i := range runs {
		turns <- i
	}
	close(turns)
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return Prediction{}, err
		}
	}
	return c.sum(played), nil
}

func (c *Campaign) sum(runs []Run) Prediction {
	of := func(get func(*Run) float64) Interval {
		all := make([]float64, len(runs))
		for i := range runs {
			all[i] = get(&runs[i])
		}
		return interval(all)
	}
	p := Prediction{Runs: len(runs), Leads: len(c.Leads), Outcomes: map[string]float64{}, Refused: map[string]float64{},
		Hours: of(func(r *Run) float64 { return r.Took.Hours() }), Attempts: of(func(r *Run) float64 { return float64(r.Attempts) }),
		Spoken: of(func(r *Run) float64 { return float64(r.Spoken) }), Dropped: of((*Run).Share), Cost: of(func(r *Run) float64 { return r.Cost }),
		Idle: of(func(r *Run) float64 { return r.Idle }), Lines: of(func(r *Run) float64 { return float64(r.MostLines) })}
	hours := map[time.Time]HourOf{}
	n := float64(len(runs))
	for i := range runs {
		r := &runs[i]
		p.Simulated += r.Took.Hours()
		if r.Done {
			p.Finished += 1 / n
		}
		for o, k := range r.Outcomes {
			p.Outcomes[string(o)] += float64(k) / n
		}
		for rule, k := range r.Refused {
			p.Refused[rule] += float64(k) / n
		}
		for at, h := range r.Hours {
			x := hours[at]
			x.Hour = at.UTC()
			x.Attempts += float64(h.Attempts) / n
			x.Spoken += float64(h.Spoken) / n
			hours[at] = x
		}
	}
	for _, at := range slices.SortedFunc(maps.Keys(hours), time.Time.Compare) {
		if at.Before(c.Start.Add(hoursShown * time.Hour)) {
			p.ByHour = append(p.ByHour, hours[at])
		}
	}
	p.Breaks = c.breaks(runs)
	return p
}

// interval gives the middle of values, and nine tenths of them.
func interval(all []float64) Interval {
	slices.Sort(all)
	at := func(q float64) float64 { return all[int(math.Round(q*float64(len(all)-1)))] }
	return Interval{Low: at(0.05), Median: at(0.5), High: at(0.95)}
}

// breaks finds rules that the campaign would break however each single call is decided, and the one that keeps it from calling
// anybody at all.
func (c *Campaign) breaks(runs []Run) []Break {
	out := []Break{}
	if rule, nobody := refusedAll(runs); nobody {
		out = append(out, Break{Rule: rule, Says: fmt.Sprintf("Nobody would ever be called: most people on the list are refused by %s.", rule)})
	}
	strict := policy.DiallingRule{MostDropped: 1}
	var where, rings string // countries
	for _, l := range sample(c.Leads) {
		place, err := policy.Locate(l.Number, l.Country, l.Region, l.Zone)
		if err != nil {
			continue
		}
		d, ok := c.Rules.Book.Dialling(place)
		if ok && d.MostDropped < strict.MostDropped {
			strict.Rule, strict.MostDropped, strict.OverDays, where = d.Rule, d.MostDropped, d.OverDays, countryOf(place)
		}
		if ok && d.Ring > strict.Ring {
			strict.RingRule, strict.Ring, rings = d.RingRule, d.Ring, countryOf(place)
		}
	}
	if c.Ring < strict.Ring {
		out = append(out, Break{Rule: strict.RingRule, Says: fmt.Sprintf("It must ring for %s at least in %s; the campaign gives up after %s.", strict.Ring, rings, c.Ring)})
	}
	if c.Pace.Mode == pace.Agentless || strict.MostDropped >= 1 {
		return out
	}
	worst := 0.0
	for i := range runs {
		worst = max(worst, runs[i].Share())
	}
	if worst > strict.MostDropped {
		out = append(out, Break{Rule: strict.Rule, Says: fmt.Sprintf("Up to %.1f %% of the answered calls would find nobody; %s allows %.1f %% over %d days.",
			100*worst, where, 100*strict.MostDropped, strict.OverDays)})
	}
	return out
}

func countryOf(p policy.Place) string {
	if len(p.Country) == 0 {
		return "the callee's country"
	}
	return p.Country[0]
}

// refusedAll gives the rule that refuses the most calls, where nobody is called in any run.
func refusedAll(runs []Run) (rule string, all bool) {
	refused := map[string]int{}
	for i := range runs {
		if runs[i].Attempts > 0 {
			return "", false
		}
		for r, n := range runs[i].Refused {
			refused[r] += n
		}
	}
	for _, r := range slices.Sorted(maps.Keys(refused)) {
		if rule == "" || refused[r] > refused[rule] {
			rule = r
		}
	}
	return rule, rule != ""
}

// sample gives leads spread over the list: rules are the same for those of one place.
func sample(leads []dial.Lead) []dial.Lead {
	const most = 500
	if len(leads) <= most {
		return leads
	}
	out := make([]dial.Lead, most)
	for i := range out {
		out[i] = leads[i*len(leads)/most]
	}
	return out
}
