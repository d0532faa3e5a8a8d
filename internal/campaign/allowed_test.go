package campaign

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/campaign/policy"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Lists is a service of do-not-call lists as this test works it; campaigns ask it as they always do.
type Lists interface {
	Facts
	OptOuts
	// Keep makes a list: one that every campaign asks, or those only that name it.
	Keep(name string, everywhere bool) string
	// Put puts a number on a list.
	Put(list, number string)
	// Wish takes a wish not to be called that came by letter.
	Wish(number string)
	// Publish has a register hold these numbers and no others.
	Publish(register string, numbers []string)
}

// OpenLists makes Lists for each of several processes. consent is what people allowed, spread is told of numbers that nobody calls
// any more.
type OpenLists func(clock quartz.Clock, processes int, consent func(number string) policy.Consent,
	spread func(ctx context.Context, orgID string, numbers ...string) error) []Lists

// known is what the test itself knows of numbers: it is written down beside what the lists are told, and never asked by campaigns.
type known struct {
	mu        sync.Mutex
	out       map[string]time.Time // since when nobody may call
	named     map[string]time.Time // since when no campaign may that names the scene's list
	registers map[string]string
	given     map[string]policy.Consent
}

func (k *known) consent(number string) policy.Consent {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.given[number]
}

// list writes down that a number is not to be called from when on.
func (k *known) list(in map[string]time.Time, number string, when time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, before := in[number]; !before {
		in[number] = when
	}
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

// scene is two campaigns in a world made by chance.
type scene struct {
	*plant
	k       *known
	lists   []Lists // of each process
	house   string  // a list that everybody asks
	own     string  // a list that the first campaign names
	r       *rand.Rand
	of      map[string]*place
	numbers []string
	began   map[string][]string // calls by number, in order
	set     Settings
	hours   [2]int // the campaigns' own, on the callee's clock
	first   string // the campaign that names the list

	outside   int  // calls of the other one to people on that list
	undecided bool // nothing changes between a decision and its call
}

// NobodyIsCalledWhoMayNotBe plays campaigns with real lists. Whatever the schedules, the clocks and their changes, the lists and
// the caps, whenever people opt out or are listed, also between the decision to call them and the call, and whenever a process
// dies or lingers: nobody is dialled outside of a window, over a cap, listed, or twice.
func NobodyIsCalledWhoMayNotBe(t *testing.T, in func(*testing.T, *db.DB) OpenLists) {
	scenes := map[string]int{db.SQLite: 10, db.Postgres: 2}
	dbtest.Each(t, []db.Migrations{Migrations()}, func(t *testing.T, d *db.DB) {
		sent, outside, open := 0, 0, in(t, d)
		for seed := range scenes[d.Dialect()] {
			s := newScene(t, d, open, uint64(seed)) //nolint:gosec // small
			s.run()
			sent += len(s.carrier.sent)
			outside += s.outside
			if len(s.carrier.wrong) > 0 {
				t.Error(s.carrier.wrong)
			}
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
		var refused []struct {
			Rule string
			N    int
		}
		err := d.ReadTenant(t.Context(), testOrg, func(ctx context.Context, tx *db.Tx) error {
			return tx.NewRaw("SELECT rule, count(*) AS n FROM campaign_decisions WHERE organisation_id = ? AND NOT allowed GROUP BY rule ORDER BY rule", testOrg).Scan(ctx, &refused)
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d calls, %d of them to people on a list that only the other campaign asks; refused: %v", sent, outside, refused)
		if sent < 20 || len(refused) < 5 || d.Dialect() == db.SQLite && outside == 0 {
			t.Error("that shows nothing")
		}
	})
}

func newScene(t *testing.T, d *db.DB, open OpenLists, seed uint64) *scene {
	t.Helper()
	s := &scene{plant: newPlant(t, d, 2, seed),
		k: &known{out: map[string]time.Time{}, named: map[string]time.Time{}, registers: map[string]string{}, given: map[string]policy.Consent{}},
		r: rand.New(rand.NewPCG(seed, 9)), of: map[string]*place{}, began: map[string][]string{}} //nolint:gosec // repeatable
	s.clock.Set(changes[s.r.IntN(len(changes))].Add(time.Duration(s.r.IntN(48*60)) * time.Minute))
	s.lists = open(s.clock, len(s.nodes), s.k.consent, s.nodes[1].s.Spread)
	for i, n := range s.nodes {
		n.s.c.Facts, n.s.c.OptOuts, n.s.c.Rand = s.lists[i], s.lists[i], func() float64 { return 0.5 }
	}
	s.house, s.own = s.lists[0].Keep(fmt.Sprintf("House %d", seed), true), s.lists[0].Keep(fmt.Sprintf("Own %d", seed), false)
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
		if s.of[n] == nil && s.r.IntN(6) == 0 {
			s.k.registers[n] = p.register
		}
		if s.k.given[n] = policy.NoConsent; s.r.IntN(3) > 0 {
			s.k.given[n] = policy.Given
		}
		s.of[n] = p
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
func (s *scene) start(seed int) string {
	s.t.Helper()
	svc := s.nodes[0].s
	c, err := svc.Create(s.t.Context(), testOrg, NewCampaign{Name: "Scene", Settings: &s.set})
	if err != nil {
		s.t.Fatal(err)
	}
	s.people(c.ID, seed)
	if _, err = svc.Start(s.t.Context(), testOrg, c.ID); fault.Is(err, fault.NotPossible) { // nobody may ever be called; it calls all the same
		_, err = svc.to(s.t.Context(), testOrg, c.ID, "start", Running, "")
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return c.ID
}

func (s *scene) run() {
	seed := s.r.IntN(5000)
	s.set.Lists = []string{s.own}
	s.first = s.start(seed)
	s.set.Lists = nil
	ids := []string{s.first, s.start(seed + 5)} // the second has seven of the first's twelve people
	s.numbers = slices.Sorted(maps.Keys(s.of))
	for _, p := range places {
		s.publish(p.register)
	}
	var zombies []*turn // that do not know that another process goes on in their place
	turns := make([]*turn, len(ids))
	for round := range 100 {
		for i, id := range ids {
			if turns[i] == nil {
				turns[i] = s.dialled(s.r.IntN(2), id)
			}
		}
		s.step(append(zombies, turns...), round%4 == 3)
		for _, e := range s.carrier.over() {
			s.end(e, turns)
		}
		s.happen()
		if i := s.r.IntN(8 * len(turns)); i < len(turns) && turns[i] != nil { // a process dies, or is believed to have
			if s.r.IntN(2) == 0 {
				turns[i].letGo()
			}
			zombies, turns[i] = append(zombies, turns[i]), nil
			zombies = zombies[max(0, len(zombies)-2):]
		}
		if round%10 == 9 {
			if err := s.nodes[0].s.Reconcile(s.t.Context()); err != nil {
				s.t.Fatal(err)
			}
			for _, x := range turns {
				if x == nil {
					continue
				}
				if err := x.recount(s.t.Context()); err != nil {
					s.t.Fatal(err)
				}
				x.d.Wake() // some of their people may be called again
			}
		}
		// Clocks go on by seconds, to the next calls, or by most of a day: to the edges of windows.
		leap := []time.Duration{time.Second, 40 * time.Second, 17 * time.Minute, 59 * time.Minute, 5 * time.Hour}[s.r.IntN(5)]
		s.clock.Set(s.clock.Now().Add(leap + time.Duration(s.r.IntN(1000))*time.Millisecond))
	}
}

// dialled has a process take a campaign; nil where another one has it still.
func (s *scene) dialled(node int, id string) *turn {
	x := s.take(node, id)
	if x == nil {
		return nil
	}
	rules, err := x.c.Settings.rules(x.s.c.Book)
	if err != nil {
		s.t.Fatal(err)
	}
	x.d = dial.NewDialler(dial.Config{Rules: rules, Pace: x.c.Settings.pace(), Zone: x.c.Settings.zone(), Queue: x.q, Carrier: meanwhile{s, x}}, s.clock.Now())
	x.q.pacing = nil
	return x
}

// step has all turns place what they may, one after the other, or all at once.
func (s *scene) step(turns []*turn, atOnce bool) {
	s.undecided = atOnce
	var wg sync.WaitGroup
	for _, x := range turns {
		if x == nil {
			continue
		}
		step := func() {
			if _, err := x.step(s.t.Context()); err != nil && !errors.Is(err, errOver) {
				s.t.Error(err)
			}
		}
		if atOnce {
			wg.Go(step)
			continue
		}
		step()
		x.r.wg.Wait()
	}
	wg.Wait()
	for _, n := range s.nodes {
		n.wg.Wait()
	}
}

// meanwhile is between a decision and its call.
type meanwhile struct {
	s *scene
	t *turn
}

// Place implements dial.Carrier.
func (m meanwhile) Place(ctx context.Context, c dial.Call) {
	if !m.s.undecided {
		m.t.r.wg.Wait() // what was asked a last time is sent
		switch m.s.r.IntN(12) {
		case 0:
			return // the process died
		case 1, 2:
			m.s.change(c.Lead.Number)
		}
	}
	m.t.Place(ctx, c)
}

// happen has the world go on between calls.
func (s *scene) happen() {
	if s.r.IntN(8) == 0 {
		s.change(s.numbers[s.r.IntN(len(s.numbers))])
	}
}

// change makes a number one that may not be called, in one way or another.
func (s *scene) change(number string) {
	l, now := s.lists[s.r.IntN(len(s.lists))], s.clock.Now()
	switch s.r.IntN(5) {
	case 0:
		l.Wish(number)
		s.k.list(s.k.out, number, now)
	case 1:
		l.Put(s.house, number)
		s.k.list(s.k.out, number, now)
	case 2:
		l.Put(s.own, number)
		s.k.list(s.k.named, number, now)
	case 3: // what was allowed is withdrawn
		s.k.mu.Lock()
		s.k.given[number] = policy.Withdrawn
		s.k.mu.Unlock()
		s.k.list(s.k.out, number, now)
	case 4:
		s.k.registers[number] = s.of[number].register
		s.publish(s.of[number].register)
	}
}

// publish makes a register's numbers those that the test knows of.
func (s *scene) publish(register string) {
	var numbers []string
	for _, n := range s.numbers {
		if s.k.registers[n] == register {
			numbers = append(numbers, n)
		}
	}
	if len(numbers) > 0 {
		s.lists[s.r.IntN(len(s.lists))].Publish(register, numbers)
	}
}

// end settles a call; some people opt out in it.
func (s *scene) end(e Ended, turns []*turn) {
	p := s.carrier.sent[e.CallID].p
	if !e.Answered.IsZero() && s.r.IntN(4) == 0 {
		s.k.list(s.k.out, p.Number, s.clock.Now())
		if err := s.nodes[1].s.Note(s.t.Context(), testOrg, Said{CallID: e.CallID, Outcome: dial.OptOut, How: "voice"}); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := s.nodes[1].s.Settle(s.t.Context(), testOrg, e); err != nil {
		s.t.Fatal(err)
	}
	for _, x := range turns {
		if x != nil && x.id == p.CampaignID {
			x.d.Left(e.CallID)
			x.d.Wake()
		}
	}
}

// judge looks at a call that is about to be sent as a regulator would: with the rules of the place, a calendar, and the calls
// that were made.
func (s *scene) judge(p Placement) {
	now, at := s.clock.Now(), s.of[p.Number]
	wrong := func(format string, args ...any) {
		s.t.Errorf("%s is called at %s: %s", p.Number, now.UTC().Format(time.RFC3339), fmt.Sprintf(format, args...))
	}
	s.k.mu.Lock()
	defer s.k.mu.Unlock()
	given := s.k.given[p.Number] == policy.Given
	if since, out := s.k.out[p.Number]; out {
		wrong("it is not to be called since %s", since)
	}
	if since, out := s.k.named[p.Number]; out && p.CampaignID == s.first {
		wrong("it is on the campaign's list since %s", since)
	} else if out {
		s.outside++
	}
	if s.k.registers[p.Number] != "" && (!given || at.register == "ae-dncr") {
		wrong("it is in %s", s.k.registers[p.Number])
	}
	if !given && (at.register == "us-national" || at.register == "gb-tps") {
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
