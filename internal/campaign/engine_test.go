package campaign

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/campaign/ledger"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const testOrg = "018f0000-0000-7000-8000-00000000000a"

// monday is ten in the morning in Berlin.
var monday = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

type oneAgent struct{}

func (oneAgent) Ready(_ context.Context, _, name string) (AgentFacts, error) {
	if name != "desk" {
		return AgentFacts{}, fault.New(fault.NotFound, "there is no agent %q", name)
	}
	return AgentFacts{ID: "1", Name: "Desk"}, nil
}

// carrier is the telephone network of a test: it knows every call that was really sent.
type carrier struct {
	mu    sync.Mutex
	clock quartz.Clock
	r     *rand.Rand
	sent  map[string]*sentCall
	live  map[string]string // number to call
	wrong []string          // what must never happen
	err   func(Placement) error
	fate  func(number string, attempt int) dial.Outcome
	tried map[string]int
	most  int
}

type sentCall struct {
	p     Placement
	at    time.Time
	until time.Time
	ended Ended
	told  bool
}

func newCarrier(clock quartz.Clock, r *rand.Rand) *carrier {
	return &carrier{clock: clock, r: r, sent: map[string]*sentCall{}, live: map[string]string{}, tried: map[string]int{}}
}

// Place implements Carrier.
func (c *carrier) Place(_ context.Context, p Placement) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock.Now()
	if now.After(p.Until) {
		return fault.New(fault.Unavailable, "too late")
	}
	if c.sent[p.CallID] != nil {
		return fault.New(fault.Conflict, "that call was placed")
	}
	if c.err != nil {
		if err := c.err(p); err != nil {
			return err
		}
	}
	if other := c.live[p.Number]; other != "" {
		c.wrong = append(c.wrong, fmt.Sprintf("%s is called twice at once: %s and %s", p.Number, other, p.CallID))
	}
	c.tried[p.Number]++
	o := c.fate(p.Number, c.tried[p.Number])
	x := &sentCall{p: p, at: now, until: now.Add(time.Duration(2+c.r.IntN(40)) * time.Second)}
	x.ended = Ended{CallID: p.CallID, Ended: x.until, Result: string(o), Reason: string(o)}
	switch o {
	case dial.Answered:
		x.ended.Answered, x.ended.Reason = now.Add(time.Second), "normal"
	case dial.Machine:
		x.ended.Answered, x.ended.Result = now.Add(time.Second), "answered"
	case dial.Invalid:
		x.ended.Result = "invalid_number"
	}
	c.sent[p.CallID], c.live[p.Number] = x, p.CallID
	c.most = max(c.most, len(c.live))
	return nil
}

// Look implements Carrier.
func (c *carrier) Look(_ context.Context, _, id string) (Look, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.sent[id]
	if x == nil {
		return Look{}, nil
	}
	if c.live[x.p.Number] == id {
		return Look{Found: true, Live: true}, nil
	}
	return Look{Found: true, Ended: x.ended}, nil
}

// over gives the calls that ended and were not told of.
func (c *carrier) over() []Ended {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Ended
	for _, id := range slices.Sorted(maps.Keys(c.sent)) {
		x := c.sent[id]
		if !x.told && !x.until.After(c.clock.Now()) {
			x.told = true
			delete(c.live, x.p.Number)
			out = append(out, x.ended)
		}
	}
	return out
}

// plant is some processes that dial, one network and one clock.
type plant struct {
	t       *testing.T
	clock   *quartz.Mock
	carrier *carrier
	nodes   []*Runner
	r       *rand.Rand
}

func newPlant(t *testing.T, d *db.DB, nodes int, seed uint64) *plant {
	clock := quartz.NewMock(t)
	clock.Set(monday)
	r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // repeatable
	p := &plant{t: t, clock: clock, carrier: newCarrier(clock, r), r: r}
	p.carrier.fate = func(string, int) dial.Outcome { return dial.Answered }
	for i := range nodes {
		s, err := New(Config{DB: d, Agents: oneAgent{}, Carrier: p.carrier, Node: fmt.Sprintf("node-%d", i), Clock: clock, Rand: p.chance})
		if err != nil {
			t.Fatal(err)
		}
		p.nodes = append(p.nodes, NewRunner(s))
	}
	return p
}

// chance is of the plant's randomness: calls are placed, and those that cannot be are settled, side by side.
func (p *plant) chance() float64 {
	p.carrier.mu.Lock()
	defer p.carrier.mu.Unlock()
	return p.r.Float64()
}

// campaign makes one with leads that wait, and starts it.
func (p *plant) campaign(leads int, change func(*Settings)) Campaign {
	p.t.Helper()
	s := p.nodes[0].s
	set := Usual()
	set.Agent, set.Dialler.Lines, set.Dialler.PerSecond = "desk", 10, 0
	if change != nil {
		change(&set)
	}
	c, err := s.Create(p.t.Context(), testOrg, NewCampaign{Name: "Test", Settings: &set})
	if err != nil {
		p.t.Fatal(err)
	}
	p.leads(c.ID, 0, leads)
	if c, err = s.Start(p.t.Context(), testOrg, c.ID); err != nil {
		p.t.Fatal(err)
	}
	return c
}

func (p *plant) leads(id string, from, to int) {
	p.t.Helper()
	var rows []leadRow
	for i := from; i < to; i++ {
		due := monday.UnixMilli()
		rows = append(rows, leadRow{ID: newID(), OrganisationID: testOrg, CampaignID: id, Line: int64(i + 2), Number: fmt.Sprintf("+4930%08d", i), Variables: "{}",
			State: dial.New, Urgency: dial.RankNew, DueAt: &due})
	}
	err := p.nodes[0].s.c.DB.InTenant(p.t.Context(), testOrg, func(ctx context.Context, tx *db.Tx) error {
		_, err := addLeads(ctx, tx, id, rows)
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

// take has a node take a campaign.
func (p *plant) take(node int, id string) *turn {
	p.t.Helper()
	t, err := p.nodes[node].s.takeTurn(p.t.Context(), p.nodes[node], testOrg, id)
	if err != nil {
		p.t.Fatal(err)
	}
	return t
}

// step has a turn dial what it may, and waits until it has.
func (t *turn) stepAll(ctx context.Context) error {
	_, err := t.step(ctx)
	t.r.wg.Wait()
	return err
}

// hearEnd tells a turn of a call as the bus would.
func (t *turn) hearEnd(p *plant, e Ended) {
	t.d.Ended(e.CallID, p.carrier.sent[e.CallID].at, e.Answered, p.clock.Now(), e.outcome())
	t.d.Wake()
}

// counts gives a campaign's leads by state.
func (p *plant) counts(id string) map[string]int64 {
	p.t.Helper()
	g, err := p.nodes[0].s.Progress(p.t.Context(), testOrg, id)
	if err != nil {
		p.t.Fatal(err)
	}
	return g.Leads
}

// A campaign goes through its list: every lead ends in the state that its outcomes lead to, and the counts are the network's.
func TestCampaignRunsToItsEnd(t *testing.T) {
	dbtest.Each(t, []db.Migrations{Migrations()}, func(t *testing.T, d *db.DB) {
		p := newPlant(t, d, 1, 1)
		fates := []dial.Outcome{dial.Answered, dial.Busy, dial.NoAnswer, dial.Machine, dial.Failed, dial.Invalid}
		p.carrier.fate = func(number string, attempt int) dial.Outcome {
			var n int
			if _, err := fmt.Sscanf(number[len(number)-4:], "%d", &n); err != nil {
				t.Error(err)
			}
			if attempt > 2 {
				return dial.Answered
			}
			return fates[n%len(fates)]
		}
		c := p.campaign(60, nil)
		turn := p.take(0, c.ID)
		rounds := 0
		for err := error(nil); err != errOver; rounds++ { //nolint:errorlint // it is that very error
			if rounds > 20_000 {
				t.Fatalf("the campaign does not end: %v", p.counts(c.ID))
			}
			if err = turn.stepAll(t.Context()); err != nil && err != errOver { //nolint:errorlint // as above
				t.Fatal(err)
			}
			for _, e := range p.carrier.over() {
				if err := turn.s.Settle(t.Context(), testOrg, e); err != nil {
					t.Fatal(err)
				}
				turn.hearEnd(p, e)
			}
			if turn.d.Lines() > 0 {
				p.clock.Advance(5 * time.Second)
			} else {
				p.clock.Advance(10 * time.Minute)
			}
		}
		g, err := turn.s.Progress(t.Context(), testOrg, c.ID)
		if err != nil || g.State != Finished || g.Leads["done"] != 60 || g.Attempts != int64(len(p.carrier.sent)) {
			t.Errorf("%+v, %d calls, %v", g, len(p.carrier.sent), err)
		}
		want := map[string]int64{}
		for _, x := range p.carrier.sent {
			want[string(x.ended.outcome())]++
		}
		if !maps.Equal(want, g.Outcomes) {
			t.Errorf("outcomes %v, the network says %v", g.Outcomes, want)
		}
		if p.carrier.most > 10 || len(p.carrier.wrong) > 0 {
			t.Errorf("%d calls at once; %v", p.carrier.most, p.carrier.wrong)
		}
		for _, x := range p.carrier.sent {
			if h := x.at.In(c.Settings.zone()).Hour(); h < 6 || h > 20 {
				t.Errorf("called at %s", x.at)
			}
		}
	})
}

// Processes die, come back and linger at random, and news get lost. Nobody is called twice, nobody is forgotten.
func TestKilledDiallersCallNobodyTwice(t *testing.T) {
	dbtest.Each(t, []db.Migrations{Migrations()}, func(t *testing.T, d *db.DB) {
		p := newPlant(t, d, 3, 7)
		for _, n := range p.nodes {
			n.s.c.Signer = testSigner(t)
		}
		p.carrier.fate = func(_ string, attempt int) dial.Outcome {
			return []dial.Outcome{dial.Answered, dial.Busy, dial.NoAnswer}[(attempt+p.r.IntN(2))%3]
		}
		p.carrier.err = func(Placement) error {
			switch p.r.IntN(40) {
			case 0:
				return fault.New(fault.Timeout, "nobody answers") // it was not sent, but who asked cannot know
			case 1:
				return fault.New(fault.LimitReached, "no line is free")
			}
			return nil
		}
		wanted := 200
		if d.Dialect() == db.Postgres { // the same, and slower
			wanted = 100
		}
		const people = 60
		c := p.campaign(people, nil)
		turns := map[int]*turn{}
		var zombies []*turn
		kills := 0
		for rounds := 0; ; rounds++ {
			if rounds > 60_000 {
				t.Fatalf("the campaign does not end: %v after %d kills", p.counts(c.ID), kills)
			}
			node := p.r.IntN(len(p.nodes))
			if turns[node] == nil {
				turns[node] = p.take(node, c.ID)
			}
			if x := turns[node]; x != nil {
				if !x.hold(t.Context()) {
					delete(turns, node)
				} else if err := x.stepAll(t.Context()); err != nil {
					delete(turns, node)
				}
			}
			zombies = slices.DeleteFunc(zombies, func(z *turn) bool { // they do not know that they are dead
				return p.r.IntN(3) == 0 && z.stepAll(t.Context()) != nil
			})
			if p.r.IntN(2) == 0 && kills < wanted && turns[node] != nil {
				kills++
				if p.r.IntN(3) == 0 {
					zombies = append(zombies, turns[node])
				}
				if p.r.IntN(2) == 0 { // it had the campaign until its time is over; else it gave it back
					turns[node].letGo()
				}
				delete(turns, node)
			}
			for _, e := range p.carrier.over() {
				if p.r.IntN(5) == 0 {
					continue // the news are lost
				}
				if err := p.nodes[p.r.IntN(3)].s.Settle(t.Context(), testOrg, e); err != nil {
					t.Fatal(err)
				}
				for _, x := range turns {
					if x != nil {
						x.hearEnd(p, e)
					}
				}
			}
			if rounds%8 == 0 {
				if err := p.nodes[p.r.IntN(3)].s.Reconcile(t.Context()); err != nil {
					t.Fatal(err)
				}
				for _, x := range turns {
					if x != nil {
						if err := x.recount(t.Context()); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			n := p.counts(c.ID)
			if n["done"] == people && kills >= wanted {
				break
			}
			if n["done"] == people { // more work, until all have died
				c = p.campaignAgain(people)
				turns, zombies = map[int]*turn{}, append(zombies, slices.Collect(maps.Values(turns))...)
				zombies = slices.DeleteFunc(zombies, func(z *turn) bool { return z == nil })
			}
			if n["dialling"]+n["in_call"] > 0 {
				p.clock.Advance(time.Duration(1+p.r.IntN(12)) * time.Second)
			} else {
				p.clock.Advance(time.Duration(5+p.r.IntN(20)) * time.Minute)
			}
		}
		if len(p.carrier.wrong) > 0 || p.carrier.most > 10 {
			t.Errorf("%d calls at once, with 10 lines; %v", p.carrier.most, p.carrier.wrong)
		}
		checkAttempts(t, p, d)
		var file bytes.Buffer // whoever wrote to the chains, and died, they are whole
		if err := p.nodes[0].s.ExportDecisions(t.Context(), testOrg, "", &file); err != nil {
			t.Fatal(err)
		}
		chains, err := ledger.Verify(&file, nil)
		if err != nil || len(chains) == 0 || chains[0].Allowed < people {
			t.Errorf("%d chains, %v", len(chains), err)
		}
	})
}

// campaignAgain makes another campaign, of other people.
func (p *plant) campaignAgain(leads int) Campaign {
	p.t.Helper()
	s := p.nodes[0].s
	set := Usual()
	set.Agent, set.Dialler.Lines, set.Dialler.PerSecond = "desk", 10, 0
	c, err := s.Create(p.t.Context(), testOrg, NewCampaign{Name: "Again", Settings: &set})
	if err != nil {
		p.t.Fatal(err)
	}
	from := p.r.IntN(1000) * 1000
	p.leads(c.ID, from, from+leads)
	if c, err = s.Start(p.t.Context(), testOrg, c.ID); err != nil {
		p.t.Fatal(err)
	}
	return c
}

// checkAttempts compares what was written with what was sent.
func checkAttempts(t *testing.T, p *plant, d *db.DB) {
	t.Helper()
	var rows []attemptRow
	err := d.ReadTenant(t.Context(), testOrg, func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model(&rows).Where("organisation_id = ?", testOrg).Scan(ctx)
	})
	if err != nil {
		t.Fatal(err)
	}
	written, perLead := map[string]attemptRow{}, map[string]int{}
	for _, a := range rows {
		written[a.ID] = a
		if a.Outcome != dial.Unplaced {
			perLead[a.LeadID]++
		}
		if a.EndedAt == nil {
			t.Errorf("attempt %s is open", a.ID)
		}
		if x := p.carrier.sent[a.ID]; x == nil && a.Outcome != dial.Lost && a.Outcome != dial.Unplaced {
			t.Errorf("attempt %s was never sent and ended as %s", a.ID, a.Outcome)
		} else if x != nil && a.Outcome != x.ended.outcome() {
			t.Errorf("attempt %s ended as %s, the network says %s", a.ID, a.Outcome, x.ended.outcome())
		}
	}
	for id := range p.carrier.sent {
		if _, ok := written[id]; !ok {
			t.Errorf("call %s was sent without an attempt", id)
		}
	}
	for lead, n := range perLead {
		if most := dial.UsualRetry().Total; n > most {
			t.Errorf("lead %s was called %d times, at most %d are allowed", lead, n, most)
		}
	}
	t.Logf("%d attempts written, %d calls sent", len(rows), len(p.carrier.sent))
}
