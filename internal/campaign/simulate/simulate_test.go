package simulate_test

import (
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/campaign/pace"
	"github.com/parley-voice/parley/internal/campaign/policy"
	"github.com/parley-voice/parley/internal/campaign/simulate"
)

func usual(tb testing.TB, leads int) *simulate.Campaign {
	tb.Helper()
	book, err := policy.Shipped()
	if err != nil {
		tb.Fatal(err)
	}
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		tb.Fatal(err)
	}
	return &simulate.Campaign{
		Rules: dial.Rules{Book: book, Purpose: policy.Service, Automated: true, Retry: dial.UsualRetry()},
		Pace:  pace.Config{Mode: pace.Agentless, Lines: 50, PerSecond: 5, MostDropped: 0.03}, Zone: zone,
		Start: time.Date(2026, 11, 23, 9, 0, 0, 0, zone), Ring: 30 * time.Second, Leads: simulate.Made(leads, "+4930", 8), People: simulate.UsualPeople(),
		Prices: simulate.Prices{PerMinute: 0.02, PerCall: 0.01},
	}
}

func TestPlay(t *testing.T) {
	c := usual(t, 2000)
	for i := range c.Leads {
		c.Leads[i].Consent = policy.Given
	}
	r, err := simulate.Play(t.Context(), c, 1)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Done || r.MostLines > 50 || r.Attempts < 2000 || r.Attempts > 8000 || r.Spoken < 500 || r.Dropped != 0 {
		t.Errorf("%+v", r)
	}
	again, err := simulate.Play(t.Context(), c, 1)
	if err != nil || again.Attempts != r.Attempts || again.Took != r.Took {
		t.Errorf("the same seed gave another run: %d in %s, %d in %s, %v", r.Attempts, r.Took, again.Attempts, again.Took, err)
	}
	for at := range r.Hours {
		if h := at.In(c.Zone).Hour(); h < 8 || h > 21 {
			t.Errorf("somebody was called at %s", at.In(c.Zone))
		}
	}
}
func BenchmarkPlay(b *testing.B) {
	c := usual(b, 10_000)
	var played time.Duration
	for i := range b.N {
		r, err := simulate.Play(b.Context(), c, uint64(i))
		if err != nil {
			b.Fatal(err)
		}
		played += r.Took
	}
	b.ReportMetric(played.Seconds()/b.Elapsed().Seconds(), "x-real-time")
}

// Rules that a campaign would break whoever is called are named as decisions name them.
func TestBreaks(t *testing.T) {
	for name, change := range map[string]func(*simulate.Campaign){
		"":             func(*simulate.Campaign) {},
		"gb/abandoned": func(c *simulate.Campaign) { c.Ring = 10 * time.Second },
		"all/withdrawn": func(c *simulate.Campaign) {
			for i := range c.Leads {
				c.Leads[i].Consent = policy.Withdrawn
			}
		},
	} {
		c := usual(t, 50)
		c.Leads = simulate.Made(50, "+44207946", 4)
		change(c)
		p, err := simulate.Predict(t.Context(), c, 2, 1)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Breaks) > 1 || len(p.Breaks) == 1 != (name != "") || name != "" && p.Breaks[0].Rule != name {
			t.Errorf("%q: %+v", name, p.Breaks)
		}
	}
}
