package campaign

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/campaign/policy"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
)

// known is what a test's parts know of numbers; it is Facts and OptOuts.
type known struct {
	mu        sync.Mutex
	out       map[string]time.Time // since when nobody may call
	registers map[string][]string
	given     map[string]bool
}

func (k *known) Of(_ context.Context, _ *db.Tx, a Asked) (map[string]Known, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := map[string]Known{}
	for _, n := range a.Numbers {
		f := Known{Registers: k.registers[n], Snapshot: fmt.Sprint(len(k.out))}
		if k.given[n] {
			f.Consent, f.ConsentID = policy.Given, "c-"+n
		}
		if _, listed := k.out[n]; listed {
			f.Listed, f.Consent = []string{"Opt-outs"}, policy.Withdrawn
		}
		out[n] = f
	}
	return out, nil
}

func (k *known) Fetch(context.Context, string) error { return nil }

func (k *known) Out(_ context.Context, _ *db.Tx, o OptOut) error {
	k.list(o.Number, time.Time{})
	return nil
}

func (k *known) Listed(_ context.Context, _ *db.Tx, number string) (bool, error) {
	_, out := k.since(number)
	return out, nil
}

func (k *known) list(number string, when time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, before := k.out[number]; !before {
		k.out[number] = when
	}
}

func (k *known) since(number string) (time.Time, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	when, out := k.out[number]
	return when, out
}

// place is somewhere to call, with what a person who reads the rules there knows: when sales calls may be made.
type place struct {
	number   string // with a verb for the last digits
	zones    []string
	from, to [7]int // hours, Sunday first; equal: not at all
	register string
}

func all(h int) [7]int { return [7]int{h, h, h, h, h, h, h} }

// places say what the packs say, by another hand and in another way.
var places = []place{
	{"+1415555%04d", []string{"America/Los_Angeles"}, all(8), all(21), "us-national"},
	{"+1312555%04d", []string{"America/Chicago"}, all(8), all(21), "us-national"},
	{"+44207946%04d", []string{"Europe/London"}, [7]int{9, 8, 8, 8, 8, 8, 9}, [7]int{20, 21, 21, 21, 21, 21, 20}, "gb-tps"},
	{"+97150123%04d", []string{"Asia/Dubai"}, all(9), all(18), "ae-dncr"},
	{"+91981012%04d", []string{"Asia/Kolkata"}, all(10), all(21), "in-ncpr"},
}

// changes are days around which clocks are put forward or back, in one of the places.
var changes = []time.Time{
	time.Date(2026, 10, 24, 22, 0, 0, 0, time.UTC), time.Date(2026, 10, 31, 22, 0, 0, 0, time.UTC), time.Date(2027, 3, 13, 20, 0, 0, 0, time.UTC),
	time.Date(2027, 3, 27, 20, 0, 0, 0, time.UTC), time.Date(2026, 12, 23, 12, 0, 0, 0, time.UTC),
}

// scene is one campaign or two in a world made by chance.
type scene struct {
	*plant
	k     *known
	r     *rand.Rand
	of    map[string]*place
	began map[string][]string // calls by number, in order
	set   Settings
	hours [2]int // the campaigns' own, on the callee's clock
}

// Whatever the schedules, the clocks and their changes, the lists and the caps, and whenever people opt out, also between the
// decision to call them and the call: nobody is dialled outside of a window, over a cap, or listed.
func TestNobodyIsCalledWhoMayNotBe(t *testing.T) {
	scenes := map[string]int{db.SQLite: 20, db.Postgres: 3}
	dbtest.Each(t, []db.Migrations{Migrations()}, func(t *testing.T, d *db.DB) {
		sent, refused := 0, int64(0)
		for seed := range scenes[d.Dialect()] {
			s := newScene(t, d, uint64(seed)) //nolint:gosec // small
			s.run()
			sent += len(s.carrier.sent)
			err := d.ReadTenant(t.Context(), testOrg, func(ctx context.Context, tx *db.Tx) error {
				var n int64
				err := tx.NewRaw("SELECT count(*) FROM campaign_decisions WHERE organisation_id = ? AND NOT allowed", testOrg).Scan(ctx, &n)
				refused = n
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
		if sent < 20 || refused < 20 {
			t.Errorf("%d calls and %d refusals show nothing", sent, refused)
		}
		t.Logf("%d calls, %d refusals", sent, refused)
	})
}

func newScene(t *testing.T, d *db.DB, seed uint64) *scene {
	t.Helper()
	s := &scene{plant: newPlant(t, d, 2, seed), k: &known{out: map[string]time.Time{}, registers: map[string][]string{}, given: map[string]bool{}},
		r: rand.New(rand.NewPCG(seed, 9)), of: map[string]*place{}, began: map[string][]string{}} //nolint:gosec // repeatable
	s.clock.Set(changes[s.r.IntN(len(changes))].Add(time.Duration(s.r.IntN(48*60)) * time.Minute))
	for _, n := range s.nodes {
		n.s.c.Facts, n.s.c.OptOuts, n.s.c.Rand = s.k, s.k, func() float64 { return 0.5 }
	}
	s.carrier.fate = func(string, int) dial.Outcome {
		return []dial.Outcome{dial.Answered, dial.Busy, dial.NoAnswer, dial.NoAnswer, dial.Machine, dial.Rejected, dial.Failed}[s.r.IntN(7)]
	}
	s.carrier.err = func(p Placement) error { s.judge(p); return nil }
	from := 6 + s.r.IntN(10)
	s.hours = [2]int{from, from + 2 + s.r.IntN(8)}
	s.set = Usual()
	s.set.Agent, s.set.Purpose, s.set.Dialler.Lines, s.set.Dialler.PerSecond = "desk", policy.Sales, 4, 0
	s.set.Schedule.Hours = map[string]string{"sun-sat": fmt.Sprintf("%02d:00-%02d:00", s.hours[0], s.hours[1])}
	s.set.Retry.PerDay, s.set.Retry.Total, s.set.Retry.Vary = 1+s.r.IntN(3), 1+s.r.IntN(4), s.r.IntN(2) == 0
	return s
}

// people gives a campaign some leads; both campaigns of a scene call some of the same.
func (s *scene) people(id string, seed int) {
	s.t.Helper()
	var rows []leadRow
	for i := range 12 {
		p := &places[(i+seed)%len(places)]
		n := fmt.Sprintf(p.number, 1000+seed%8000+i)
		s.of[n] = p
		if s.r.IntN(6) == 0 {
			s.k.registers[n] = []string{p.register}
		}
		s.k.given[n] = s.r.IntN(3) > 0
		due := s.clock.Now().UnixMilli()
		rows = append(rows, leadRow{ID: newID(), OrganisationID: testOrg, CampaignID: id, Number: n, Variables: "{}", State: dial.New, Urgency: dial.RankNew, DueAt: &due})
	}
	err := s.nodes[0].s.c.DB.InTenant(s.t.Context(), testOrg, func(ctx context.Context, tx *db.Tx) error {
		_, err := addLeads(ctx, tx, id, rows)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// start makes and starts a campaign.
func (s *scene) start(seed int) *turn {
	s.t.Helper()
	svc := s.nodes[0].s
	c, err := svc.Create(s.t.Context(), testOrg, NewCampaign{Name: "Scene", Settings: &s.set})
	if err != nil {
		s.t.Fatal(err)
	}
	s.people(c.ID, seed)
	if _, err := svc.Start(s.t.Context(), testOrg, c.ID); err != nil {
		s.t.Fatal(err)
	}
	return s.take(0, c.ID)
}

func (s *scene) run() {
	seed := s.r.IntN(5000)
	turns := []*turn{s.start(seed), s.start(seed + 5)} // the second has seven of the first's twelve people
	numbers := make([]string, 0, len(s.of))
	for n := range s.of {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	for _, t := range turns { // some people opt out just after it was decided to call them
		t.q.pacing = func() any {
			if s.r.IntN(5) == 0 {
				s.k.list(numbers[s.r.IntN(len(numbers))], s.clock.Now())
			}
			return nil
		}
	}
	for range 100 {
		for _, t := range turns {
			if _, err := t.step(s.t.Context()); err != nil && !errors.Is(err, errOver) {
				s.t.Fatal(err)
			}
			t.r.wg.Wait()
			for _, e := range s.carrier.over() {
				s.end(t, e)
			}
			t.d.Wake()
		}
		if n := numbers[s.r.IntN(len(numbers))]; s.r.IntN(12) == 0 { // a letter comes
			s.k.list(n, s.clock.Now())
			if err := s.nodes[1].s.Spread(s.t.Context(), testOrg, n); err != nil {
				s.t.Fatal(err)
			}
		}
		// Clocks go on by seconds, to the next calls, or by most of a day: to the edges of windows.
		leap := []time.Duration{time.Second, 40 * time.Second, 17 * time.Minute, 59 * time.Minute, 5 * time.Hour}[s.r.IntN(5)]
		s.clock.Set(s.clock.Now().Add(leap + time.Duration(s.r.IntN(1000))*time.Millisecond))
	}
}

// end settles a call; some people opt out in it.
func (s *scene) end(t *turn, e Ended) {
	if !e.Answered.IsZero() && s.r.IntN(4) == 0 {
		n := s.carrier.sent[e.CallID].p.Number
		s.k.list(n, s.clock.Now())
		if err := s.nodes[1].s.Note(s.t.Context(), testOrg, Said{CallID: e.CallID, Outcome: dial.OptOut, How: "voice"}); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := s.nodes[1].s.Settle(s.t.Context(), testOrg, e); err != nil {
		s.t.Fatal(err)
	}
	t.d.Left(e.CallID)
}

// judge looks at a call that is about to be sent as a regulator would: with the rules of the place, a calendar, and the calls
// that were made.
func (s *scene) judge(p Placement) {
	now, at := s.clock.Now(), s.of[p.Number]
	wrong := func(format string, args ...any) {
		s.t.Errorf("%s is called at %s: %s", p.Number, now.UTC().Format(time.RFC3339), fmt.Sprintf(format, args...))
	}
	if since, out := s.k.since(p.Number); out {
		wrong("it opted out at %s", since)
	}
	if len(s.k.registers[p.Number]) > 0 && (!s.k.given[p.Number] || at.register == "ae-dncr") {
		wrong("it is in %v", s.k.registers[p.Number])
	}
	if !s.k.given[p.Number] && (at.register == "us-national" || at.register == "gb-tps") {
		wrong("an AI speaks, and nobody consented to that")
	}
	var today, own, unanswered, week int
	for _, zone := range at.zones {
		place, err := time.LoadLocation(zone)
		if err != nil {
			s.t.Fatal(err)
		}
		local := now.In(place)
		if h, d := local.Hour(), local.Weekday(); h < at.from[d] || h >= at.to[d] || h < s.hours[0] || h >= s.hours[1] {
			wrong("the clock there shows %s", local)
		}
		for _, id := range s.began[p.Number] {
			c := s.carrier.sent[id]
			sameDay := c.at.In(place).Format(time.DateOnly) == local.Format(time.DateOnly)
			missed := c.ended.outcome() != dial.Answered
			if c.p.CampaignID == p.CampaignID {
				own++
				if sameDay {
					today++
				}
			}
			if missed && sameDay {
				unanswered++
			}
			if missed && now.Sub(c.at) < 7*24*time.Hour {
				week++
			}
		}
	}
	switch {
	case own >= s.set.Retry.Total:
		wrong("the campaign called it %d times", own)
	case today >= s.set.Retry.PerDay:
		wrong("the campaign called it %d times today", today)
	case at.register == "ae-dncr" && unanswered >= 1:
		wrong("it did not answer today")
	case at.register == "ae-dncr" && week >= 2:
		wrong("it did not answer twice this week")
	}
	// The carrier keeps the call under its id once this returns.
	s.began[p.Number] = append(s.began[p.Number], p.CallID)
}
