package campaign

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// contender is a campaign among others that want the same lines.
type contender struct {
	org           string
	lines, weight int
	node          int
	promised      float64 // calls at once, when 24 lines are shared
	t             *turn

	sum   int // of calls at once, a look a second
	calls int
	last  time.Time     // its last call began
	alone time.Duration // the longest time without a new call
}

// Campaigns of several organisations, dialled by two processes, want three times the lines that there are. Each gets what was
// promised: organisations alike, an organisation's campaigns by weight, and what one does not use goes to the others. None waits
// for long.
func TestCampaignsShareFairly(t *testing.T) {
	const total, warm, looks = 24, 45, 90
	dbtest.Each(t, []db.Migrations{Migrations()}, func(t *testing.T, d *db.DB) {
		org := func(n int) string { return fmt.Sprintf("018f0000-0000-7000-8000-0000000001%02d", n) }
		all := []*contender{ // 8 for each organisation; the second uses 4, so that 10 are the others'
			{org: org(1), lines: 24, weight: 1, node: 0, promised: 2.5}, {org: org(1), lines: 24, weight: 3, node: 1, promised: 7.5},
			{org: org(2), lines: 4, weight: 1, node: 1, promised: 4},
			{org: org(3), lines: 24, weight: 1, node: 0, promised: 10},
		}
		p := newPlant(t, d, 2, 5)
		refused := 0
		p.carrier.err = func(Placement) error { // as who carries calls does
			if len(p.carrier.live) >= total {
				refused++
				return fault.New(fault.LimitReached, "no line is free")
			}
			return nil
		}
		for _, n := range p.nodes {
			n.s.c.Lines = func() int {
				p.carrier.mu.Lock()
				defer p.carrier.mu.Unlock()
				return max(0, total-len(p.carrier.live))
			}
		}
		for i, c := range all {
			c.begin(t, p, (i+1)*10_000)
		}
		for second := range warm + looks {
			was := refused
			divided(t, p)
			for _, c := range all {
				for range len(c.t.news) {
					c.t.hear(t.Context(), <-c.t.news)
				}
				if err := c.t.stepAll(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			for _, e := range p.carrier.over() {
				x := p.carrier.sent[e.CallID].p
				if err := p.nodes[0].s.Settle(t.Context(), x.OrgID, e); err != nil {
					t.Fatal(err)
				}
				for _, c := range all {
					if c.t.id == x.CampaignID {
						c.t.hearEnd(p, e)
					}
				}
			}
			if was < refused { // news of calls that were never placed
				for _, c := range all {
					if err := c.t.recount(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
			}
			for _, c := range all {
				c.t.publish()
			}
			for _, c := range all {
				if second == warm {
					c.last = p.clock.Now()
				}
				if second >= warm {
					c.look(p)
				}
			}
			p.clock.Advance(time.Second)
		}
		for i, c := range all {
			got := float64(c.sum) / looks
			t.Logf("campaign %d (weight %d, wants %d): %.1f calls at once, promised %.1f; %d calls, at most %s between two", i+1, c.weight, c.lines, got, c.promised, c.calls, c.alone)
			if math.Abs(got-c.promised) > 0.75+0.15*c.promised {
				t.Errorf("campaign %d has %.2f calls at once, and was promised %.2f", i+1, got, c.promised)
			}
			if c.calls == 0 || c.alone > time.Minute {
				t.Errorf("campaign %d made %d calls, and waited for %s", i+1, c.calls, c.alone)
			}
		}
		if p.carrier.most > total {
			t.Errorf("%d calls at once, with %d lines", p.carrier.most, total)
		}
		t.Logf("%d calls were refused for want of a line", refused)
	})
}

// begin makes and starts a campaign of many people, and has its process dial it.
func (c *contender) begin(t *testing.T, p *plant, from int) {
	t.Helper()
	s, set := p.nodes[c.node].s, Usual()
	set.Agent, set.Dialler.Lines, set.Dialler.PerSecond, set.Weight = "desk", c.lines, 0, c.weight
	made, err := s.Create(t.Context(), c.org, NewCampaign{Name: "Test", Settings: &set})
	if err != nil {
		t.Fatal(err)
	}
	due := monday.UnixMilli()
	rows := make([]leadRow, 250)
	for i := range rows {
		rows[i] = leadRow{ID: newID(), OrganisationID: c.org, CampaignID: made.ID, Line: int64(i + 2), Number: fmt.Sprintf("+4930%08d", from+i), Variables: "{}",
			State: dial.New, Urgency: dial.RankNew, DueAt: &due}
	}
	err = s.c.DB.InTenant(t.Context(), c.org, func(ctx context.Context, tx *db.Tx) error {
		_, err := addLeads(ctx, tx, made.ID, rows)
		return err
	})
	if err == nil {
		_, err = s.to(t.Context(), c.org, made.ID, "start", Running, "") // nobody asks what to expect
	}
	if err == nil {
		c.t, err = s.takeTurn(t.Context(), p.nodes[c.node], c.org, made.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.nodes[c.node].turns[made.ID] = c.t
}

// divided has each process hear what the others ask for, and divide.
func divided(t *testing.T, p *plant) {
	t.Helper()
	for i, from := range p.nodes {
		own, _ := from.asked()
		data, err := json.Marshal(own)
		if err != nil {
			t.Fatal(err)
		}
		for j, to := range p.nodes {
			if i != j {
				to.heed(data)
			}
		}
	}
	for _, n := range p.nodes {
		n.share()
	}
}

// look counts what a campaign has now.
func (c *contender) look(p *plant) {
	p.carrier.mu.Lock()
	defer p.carrier.mu.Unlock()
	now, began := p.clock.Now(), 0
	for _, id := range p.carrier.live {
		if p.carrier.sent[id].p.CampaignID == c.t.id {
			c.sum++
			if p.carrier.sent[id].at.Equal(now) {
				began++
			}
		}
	}
	if began > 0 {
		c.last = now
	}
	c.calls += began
	c.alone = max(c.alone, now.Sub(c.last))
}

// What a process asked for is over when it says it no more, and a campaign that changed hands is asked for once.
func TestSharesOfProcessesThatAreGone(t *testing.T) {
	p := newPlant(t, dbtest.SQLite(t, Migrations()), 1, 1)
	r := p.nodes[0]
	for _, node := range []string{"node-7", "node-8"} { // one took the campaign over from the other
		r.heed([]byte(fmt.Sprintf(`{"node":%q,"asks":[{"c":"x","o":"o","w":1,"m":5,"l":2}]}`, node)))
	}
	r.heed([]byte(`{"node":"node-0","asks":[{"c":"mine"}]}`))
	r.heed([]byte(`nonsense`))
	if _, others := r.asked(); len(others) != 1 || others[0].Most != 5 {
		t.Errorf("%+v", others)
	}
	p.clock.Advance(sharesKept + time.Second)
	if _, others := r.asked(); len(others) != 0 || len(r.peers) != 0 {
		t.Errorf("after a while: %+v", others)
	}
}

// A call whose process died while it rang is lost, one in which somebody spoke was answered.
func TestInterruptedCalls(t *testing.T) {
	for e, want := range map[Ended]dial.Outcome{
		{Result: "failed", Reason: reasonInterrupted}:   dial.Lost,
		{Result: "answered", Reason: reasonInterrupted}: dial.Answered,
		{Result: "failed", Reason: "shutdown"}:          dial.Failed,
	} {
		if got := e.outcome(); got != want {
			t.Errorf("%+v is %s", e, got)
		}
	}
}
