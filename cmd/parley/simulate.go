package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/parley-voice/parley/internal/campaign"
	"github.com/parley-voice/parley/internal/campaign/simulate"
)

type simulateCmd struct {
	File string `arg:"" type:"existingfile" help:"The scenario: leads, settings and people (YAML)."`
	Runs int    `help:"How often it is played, instead of what the file says." placeholder:"N"`
	Seed uint64 `help:"Of the first run, instead of what the file says." placeholder:"N"`
	JSON bool   `name:"json" help:"The whole prediction, for programs."`
}

// Run plays a campaign and prints what to expect. Its exit code is 1 where the campaign would break a rule.
func (c *simulateCmd) Run(e *env) error {
	played, s, err := campaign.ReadScenario(e.ctx, c.File)
	if err != nil {
		return err
	}
	if c.Runs > 0 {
		s.Runs = c.Runs
	}
	if c.Seed > 0 {
		s.Seed = c.Seed
	}
	began := time.Now()
	p, err := simulate.Predict(e.ctx, played, s.Runs, s.Seed)
	if err != nil {
		return err
	}
	took := time.Since(began)
	if c.JSON {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		err = enc.Encode(p)
	} else {
		fmt.Print(describePrediction(s.Name, p, took))
	}
	if err == nil && len(p.Breaks) > 0 {
		err = fmt.Errorf("the campaign is predicted to break the rule %s", p.Breaks[0].Rule)
	}
	return err
}

// describePrediction says it in words.
func describePrediction(name string, p simulate.Prediction, took time.Duration) string {
	var b strings.Builder
	if name != "" {
		fmt.Fprintf(&b, "%s\n", name)
	}
	fmt.Fprintf(&b, "%d leads, played %d times: %.0f hours in %s, %.0f times as fast as life\n\n", p.Leads, p.Runs, p.Simulated, took.Round(time.Millisecond), p.Simulated*3600/took.Seconds())
	fmt.Fprintf(&b, "%-28s %12s %12s %12s\n", "", "at least", "likely", "at most")
	row := func(name, form string, i simulate.Interval, times float64) {
		fmt.Fprintf(&b, "%-28s %12s %12s %12s\n", name, fmt.Sprintf(form, times*i.Low), fmt.Sprintf(form, times*i.Median), fmt.Sprintf(form, times*i.High))
	}
	row("hours to the last call", "%.1f", p.Hours, 1)
	row("attempts", "%.0f", p.Attempts, 1)
	row("people spoken to", "%.0f", p.Spoken, 1)
	row("dropped, % of answered", "%.2f", p.Dropped, 100)
	row("calls at once, the most", "%.0f", p.Lines, 1)
	row("cost", "%.2f", p.Cost, 1)
	if p.Idle.High > 0 {
		row("operators free, % of time", "%.1f", p.Idle, 100)
	}
	fmt.Fprintf(&b, "\nEvery lead done in %.0f %% of the runs. How attempts end, on average:\n", 100*p.Finished)
	for _, o := range slices.SortedFunc(maps.Keys(p.Outcomes), func(x, y string) int { return int(p.Outcomes[y] - p.Outcomes[x]) }) {
		fmt.Fprintf(&b, "  %-26s %12.0f\n", o, p.Outcomes[o])
	}
	if len(p.Refused) > 0 {
		b.WriteString("Not called, by rule:\n")
		for _, rule := range slices.Sorted(maps.Keys(p.Refused)) {
			fmt.Fprintf(&b, "  %-26s %12.0f\n", rule, p.Refused[rule])
		}
	}
	for _, x := range p.Breaks {
		fmt.Fprintf(&b, "\nWould break the rule %s: %s\n", x.Rule, x.Says)
	}
	return b.String()
}
