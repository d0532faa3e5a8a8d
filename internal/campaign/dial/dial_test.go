package dial_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/campaign/pace"
	"github.com/parley-voice/parley/internal/campaign/policy"
)

func berlin(tb testing.TB) *time.Location {
	tb.Helper()
	z, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		tb.Fatal(err)
	}
	return z
}

func rules(tb testing.TB) dial.Rules {
	tb.Helper()
	book, err := policy.Shipped()
	if err != nil {
		tb.Fatal(err)
	}
	return dial.Rules{Book: book, Purpose: policy.Service, Automated: true, Retry: dial.UsualRetry()}
}

func TestRetry(t *testing.T) {
	z := berlin(t)
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, z)
	mine := func(os ...dial.Outcome) (past []dial.Past) {
		for i, o := range os {
			past = append(past, dial.Past{At: now.Add(time.Duration(i-len(os)) * 26 * time.Hour), Outcome: o, Own: true})
		}
		return past
	}
	r := dial.Retry{PerDay: 2, Total: 4, On: map[dial.Outcome]dial.Backoff{dial.Busy: {Times: 3, Minutes: 10, Factor: 2, Most: 25}, dial.NoAnswer: {Times: 1, Minutes: 60, Factor: 1, Most: 60}}}
	for _, c := range []struct {
		name  string
		o     dial.Outcome
		past  []dial.Past
		state dial.State
		after time.Duration
	}{
		{"busy waits", dial.Busy, nil, dial.Waiting, 10 * time.Minute},
		{"longer the second time", dial.Busy, mine(dial.Busy), dial.Waiting, 20 * time.Minute},
		{"but not longer than the most", dial.Busy, mine(dial.Busy, dial.Busy), dial.Waiting, 25 * time.Minute},
		{"so often and no more", dial.Busy, mine(dial.Busy, dial.Busy, dial.Busy), dial.Done, 0},
		{"all attempts of all kinds", dial.NoAnswer, mine(dial.Busy, dial.Busy, dial.Machine), dial.Done, 0},
		{"other campaigns' attempts are not its own", dial.Busy, []dial.Past{{At: now, Outcome: dial.Busy}, {At: now, Outcome: dial.Busy}, {At: now, Outcome: dial.Busy}}, dial.Waiting, 10 * time.Minute},
		{"what was not placed does not count", dial.NoAnswer, mine(dial.Unplaced, dial.Unplaced, dial.Unplaced, dial.Unplaced), dial.Waiting, time.Hour},
		{"not named", dial.Machine, nil, dial.Done, 0},
		{"spoken to", dial.Answered, nil, dial.Done, 0},
		{"asked not to be called", dial.OptOut, nil, dial.DoNotCall, 0},
		{"not placed", dial.Unplaced, mine(dial.Busy, dial.Busy, dial.Busy), dial.Waiting, 30 * time.Second},
	} {
		got := r.After(c.o, c.past, time.Time{}, now, z, 0)
		if got.State != c.state || c.state == dial.Waiting && !got.At.Equal(now.Add(c.after)) || got.Says == "" {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	if got := r.After(dial.Busy, nil, time.Time{}, now, z, 1); !got.At.Equal(now.Add(12 * time.Minute)) {
		t.Errorf("chance makes it a fifth longer at most: %s", got.At.Sub(now))
	}
	// A third attempt on one day goes to the next, at the same hour.
	today := []dial.Past{{At: now.Add(-time.Hour), Outcome: dial.Busy, Own: true}}
	if got := r.After(dial.NoAnswer, today, time.Time{}, now, z, 0); !got.At.Equal(time.Date(2026, 11, 24, 11, 0, 0, 0, z)) {
		t.Errorf("the day's third attempt is at %s", got.At)
	}
	// Who asked for a call is called then, however many attempts there were.
	wish := now.Add(50 * time.Hour)
	if got := r.After(dial.Callback, mine(dial.Busy, dial.Busy, dial.Busy, dial.Busy), wish, now, z, 0); got.State != dial.Waiting || got.Rank != dial.RankCallback || !got.At.Equal(wish) {
		t.Errorf("callback: %+v", got)
	}
	r.Vary = true
	if got := r.After(dial.Busy, nil, time.Time{}, now, z, 0); got.At.In(z).Hour() != 13 {
		t.Errorf("after a morning the afternoon is tried: %s", got.At.In(z))
	}
}

// However attempts go, a lead is never tried more often in all, or on a day of its own, than it may.
func TestRetryKeepsItsCaps(t *testing.T) {
	zones := []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca"}
	all := []dial.Outcome{dial.Busy, dial.NoAnswer, dial.Machine, dial.Message, dial.Rejected, dial.Failed, dial.Dropped, dial.Lost, dial.Unplaced}
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 2))
		z, err := time.LoadLocation(zones[r.IntN(len(zones))])
		if err != nil {
			t.Fatal(err)
		}
		rule := dial.Retry{PerDay: 1 + r.IntN(3), Total: 1 + r.IntN(8), Vary: r.IntN(2) == 0, On: map[dial.Outcome]dial.Backoff{}}
		for _, o := range all {
			if o != dial.Unplaced {
				rule.On[o] = dial.Backoff{Times: r.IntN(6), Minutes: 1 + r.IntN(600), Factor: 1 + 2*r.Float64(), Most: 600 + r.IntN(3000)}
			}
		}
		if err := rule.Check(""); err != nil {
			t.Fatal(err)
		}
		now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(r.IntN(365*24*60)) * time.Minute)
		var past []dial.Past
		days := map[string]int{}
		for made := 0; ; {
			o := all[r.IntN(len(all))]
			next := rule.After(o, past, time.Time{}, now.Add(30*time.Second), z, r.Float64())
			past = append(past, dial.Past{At: now, Outcome: o, Own: true})
			if o != dial.Unplaced {
				made++
				days[now.In(z).Format(time.DateOnly)]++
			}
			if next.State != dial.Waiting {
				break
			}
			if made >= rule.Total && o != dial.Unplaced || next.At.Before(now) {
				t.Fatalf("seed %d: after %d of %d attempts there is another at %s, now is %s", seed, made, rule.Total, next.At, now)
			}
			now = next.At
		}
		for day, n := range days {
			if n > rule.PerDay+1 { // a start that was not placed comes back after half a minute, which may be past midnight
				t.Errorf("seed %d: %d attempts on %s, %d are allowed", seed, n, day, rule.PerDay)
			}
		}
	}
}

func TestDecide(t *testing.T) {
	z := berlin(t)
	r := rules(t)
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, z)
	lead := func() *dial.Lead {
		return &dial.Lead{ID: "1", Number: "+493012345678", Rank: dial.RankNew, Consent: policy.Given}
	}
	if d := r.Decide(lead(), now); !d.Allowed || len(d.Verdict.Checks) == 0 {
		t.Fatalf("%+v", d)
	}
	refused := func(name string, d dial.Decision, rule string, state dial.State, at time.Time) {
		t.Helper()
		c, _ := d.Verdict.Blocking()
		if d.Allowed || d.Verdict.Allowed || c.Rule != rule || d.Next.State != state || state == dial.Waiting && !d.Next.At.Equal(at) {
			t.Errorf("%s: allowed %v by %q, %+v", name, d.Allowed, c.Rule, d.Next)
		}
	}
	x := r
	x.Starts = now.Add(3 * time.Hour)
	refused("not begun", x.Decide(lead(), now), "campaign/schedule", dial.Waiting, x.Starts)
	x = r
	x.Ends = now.Add(3 * time.Second)
	refused("over within the time that a decision is good for", x.Decide(lead(), now), "campaign/schedule", dial.Done, time.Time{})
	l := lead()
	l.Open = true
	refused("another campaign calls", r.Decide(l, now), "campaign/one-at-a-time", dial.Waiting, now.Add(2*time.Minute))
	l = lead()
	l.Listed = []string{"opt-outs"}
	refused("listed", r.Decide(l, now), "own/do-not-call", dial.DoNotCall, time.Time{})
	l = lead()
	l.Past = []dial.Past{{At: now.Add(-2 * time.Hour), Outcome: dial.Busy, Own: true}, {At: now.Add(-time.Hour), Outcome: dial.Busy, Own: true}}
	refused("twice today", r.Decide(l, now), "campaign/attempts-a-day", dial.Waiting, time.Date(2026, 11, 24, 0, 0, 0, 0, z))
	l.Rank = dial.RankCallback
	if d := r.Decide(l, now); !d.Allowed {
		t.Errorf("who asked for a call is called: %+v", d.Next)
	}
	l = lead()
	for i := range 4 {
		l.Past = append(l.Past, dial.Past{At: now.AddDate(0, 0, -5-i), Outcome: dial.Busy, Own: true})
	}
	refused("four times", r.Decide(l, now), "campaign/attempts", dial.Done, time.Time{})
	l = lead()
	l.Number = "12"
	refused("no number", r.Decide(l, now), "campaign/number", dial.Done, time.Time{})
	// The window closes at 21:00 in the pack of nights; a decision is good for five seconds.
	hours, err := policy.ParseHours("", map[string]string{"mon-sun": "09:00-12:00"})
	if err != nil {
		t.Fatal(err)
	}
	x = r
	x.Hours = &hours
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, z)
	if d := x.Decide(lead(), noon.Add(-6*time.Second)); !d.Allowed {
		t.Errorf("six seconds before the end: %+v", d.Next)
	}
	if d := x.Decide(lead(), noon.Add(-4*time.Second)); d.Allowed {
		t.Error("four seconds before the end somebody may be called, who would ring after it")
	}
}

func TestBreaker(t *testing.T) {
	b := dial.NewBreaker()
	now := time.Unix(0, 0)
	for i := range 9 {
		b.Failed(now)
		if b.May(now, 5) != 5 {
			t.Fatalf("open after %d failures", i+1)
		}
	}
	b.Failed(now)
	if b.May(now, 5) != 0 || !strings.Contains(b.Why(now), "10 of the last 10") {
		t.Fatalf("closed after ten failures: %q", b.Why(now))
	}
	now = now.Add(30 * time.Second)
	if b.May(now, 5) != 1 || b.May(now, 5) != 0 {
		t.Fatal("one call tries, and no other with it")
	}
	b.Failed(now)
	if b.May(now.Add(59*time.Second), 5) != 0 || b.May(now.Add(60*time.Second), 5) != 1 {
		t.Fatal("after a trial that failed it waits twice as long")
	}
	b.Spared(now.Add(60 * time.Second))
	if b.May(now.Add(60*time.Second), 5) != 1 {
		t.Fatal("a trial that found nobody to call is made again")
	}
	b.Worked(now)
	if b.May(now, 5) != 5 || b.Why(now) != "" {
		t.Fatal("a trial that was carried closes it")
	}
	for range 30 { // half of them
		b.Worked(now)
		b.Worked(now)
		b.Failed(now)
	}
	if b.May(now, 5) != 5 {
		t.Fatal("a third of failures opens it")
	}
}

// line is a queue of leads that may all be called, and a carrier that does nothing.
type line struct {
	leads  []dial.Lead
	at     int
	placed []dial.Call
	due    time.Time
	err    error
}

func (q *line) Plan(_ context.Context, now time.Time, want, _ int, decide func(*dial.Lead) dial.Decision) (calls []dial.Call, more bool, err error) {
	if q.err != nil {
		return nil, false, q.err
	}
	for ; q.at < len(q.leads) && len(calls) < want && !q.due.After(now); q.at++ {
		if decide(&q.leads[q.at]).Allowed {
			calls = append(calls, dial.Call{ID: q.leads[q.at].ID, Lead: q.leads[q.at], At: now})
		}
	}
	return calls, q.at < len(q.leads) && !q.due.After(now), nil
}

func (q *line) Due(context.Context) (time.Time, bool, error) {
	return q.due, q.at < len(q.leads), nil
}

func (q *line) Place(_ context.Context, c dial.Call) { q.placed = append(q.placed, c) }

func TestDialler(t *testing.T) {
	z := berlin(t)
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, z)
	q := &line{}
	for i := range 200 {
		q.leads = append(q.leads, dial.Lead{ID: fmt.Sprint(i), Number: fmt.Sprintf("+4930%08d", i), Consent: policy.Given})
	}
	d := dial.NewDialler(dial.Config{Rules: rules(t), Pace: pace.Config{Mode: pace.Agentless, Lines: 10}, Zone: z, Queue: q, Carrier: q}, now)
	step := func() time.Time {
		t.Helper()
		next, err := d.Step(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	if step(); len(q.placed) != 10 || d.Lines() != 10 {
		t.Fatalf("%d calls of 10 lines", len(q.placed))
	}
	if step(); len(q.placed) != 10 {
		t.Fatal("more calls than lines")
	}
	d.Left("3")
	if step(); len(q.placed) != 11 {
		t.Fatal("a line that is free is not used")
	}
	d.Taken("4")
	if n := d.Now(now); n.Ringing != 9 || n.Talking != 1 || n.Slowed != "" {
		t.Errorf("%+v", n)
	}
	d.Share(5)
	for i := range 6 {
		d.Ended(fmt.Sprint(4+i), now, now, now, dial.Answered)
	}
	if step(); d.Lines() != 5 || d.Now(now).Slowed == "" {
		t.Errorf("%d lines of a share of 5, %q", d.Lines(), d.Now(now).Slowed)
	}
	d.Share(10)
	for i := range 200 {
		if d.Ended(fmt.Sprint(i), now, time.Time{}, now, dial.Failed); i > 20 {
			break
		}
	}
	was := len(q.placed)
	if step(); len(q.placed) != was || !strings.Contains(d.Now(now).Slowed, "could not be carried") {
		t.Errorf("after failures %d calls more, %q", len(q.placed)-was, d.Now(now).Slowed)
	}
	now = now.Add(time.Minute)
	if step(); len(q.placed) != was+1 {
		t.Errorf("%d calls try whether the trunk works", len(q.placed)-was)
	}
	d.Ended(q.placed[was].ID, now, time.Time{}, now, dial.Busy)
	if step(); d.Lines() != 10 {
		t.Errorf("%d lines after it does", d.Lines())
	}
	// Nobody is due: it sleeps until somebody is, or until it is told.
	d.Keep(nil)
	q.due = now.Add(time.Hour)
	if next := step(); !next.Equal(q.due) || d.Wants(now) != 0 {
		t.Errorf("it looks again at %s", next)
	}
	q.due = now
	if next := step(); !next.Equal(now.Add(time.Hour)) {
		t.Errorf("it was not told, and looks again at %s", next)
	}
	d.Wake()
	if step(); d.Lines() != 10 {
		t.Errorf("%d lines after it was woken", d.Lines())
	}
	// Where no line was free the next call waits a moment, and the one before comes back.
	d.Keep(nil)
	was = len(q.placed)
	d.Ended("100", now, time.Time{}, now, dial.Unplaced)
	if next := step(); len(q.placed) != was || !next.After(now) || d.Now(now).Slowed == "" {
		t.Errorf("%d calls after one that found no line, next at %s", len(q.placed)-was, next)
	}
	now = now.Add(3 * time.Second)
	if step(); len(q.placed) == was {
		t.Error("it goes on waiting")
	}
	d.Keep(nil)
	q.err = errors.New("the database is away")
	if _, err := d.Step(t.Context(), now); !errors.Is(err, q.err) {
		t.Error(err)
	}
}
