package campaign

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/campaign/policy"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
)

// BenchmarkDecisions measures decisions to call and not to call through the whole plan: leads selected, their attempts, lists
// and consents asked, rules decided, each decision chained and written with its lead, its attempt and the counts.
func BenchmarkDecisions(b *testing.B) {
	for _, engine := range []struct {
		name string
		open func(testing.TB, ...db.Migrations) *db.DB
	}{{db.SQLite, dbtest.SQLite}, {db.Postgres, dbtest.Postgres}} {
		for what, now := range map[string]time.Time{"allowed": monday, "refused": monday.Add(-6 * time.Hour)} {
			b.Run(engine.name+"/"+what, func(b *testing.B) { benchPlan(b, engine.open(b, Migrations()), now) })
		}
	}
}

// allGiven are people who allowed everything.
type allGiven struct{}

func (allGiven) Of(_ context.Context, _ *db.Tx, a Asked) (map[string]Known, error) {
	out := make(map[string]Known, len(a.Numbers))
	for _, n := range a.Numbers {
		out[n] = Known{Consent: policy.Given, ConsentID: "c-" + n, Snapshot: "1"}
	}
	return out, nil
}

func (allGiven) Fetch(context.Context, string) error { return nil }

func benchPlan(b *testing.B, d *db.DB, now time.Time) {
	b.Helper()
	s, err := New(Config{DB: d, Agents: oneAgent{}, Facts: allGiven{}})
	if err != nil {
		b.Fatal(err)
	}
	set := Usual()
	set.Agent, set.Purpose = "desk", policy.Sales
	set.Schedule.Hours = map[string]string{"mon-sun": "08:00-20:00"}
	c, err := s.Create(b.Context(), testOrg, NewCampaign{Name: "Bench", Settings: &set})
	if err != nil {
		b.Fatal(err)
	}
	const batch = 500
	fill := func(from int) {
		rows := make([]leadRow, batch)
		for i := range rows {
			due := now.UnixMilli()
			n := fmt.Sprintf("+4930%08d", from+i)
			rows[i] = leadRow{ID: newID(), OrganisationID: testOrg, CampaignID: c.ID, Number: n, Variables: `{"order":"4711","city":"Berlin"}`, State: dial.New, Urgency: dial.RankNew, DueAt: &due}
		}
		err := d.InTenant(b.Context(), testOrg, func(ctx context.Context, tx *db.Tx) error {
			_, err := addLeads(ctx, tx, c.ID, rows)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	fill(0)
	if _, err := s.Start(b.Context(), testOrg, c.ID); err != nil {
		b.Fatal(err)
	}
	rules, err := set.rules(s.c.Book)
	if err != nil {
		b.Fatal(err)
	}
	q := &queue{s: s, org: testOrg, id: c.ID, purpose: set.Purpose, voice: true, pacing: func() any { return dial.Now{Ringing: 10, Talking: 20, Places: 40} }}
	done := 0
	for b.Loop() {
		calls, _, err := q.Plan(b.Context(), now, batch, batch, func(l *dial.Lead) dial.Decision { return rules.Decide(l, now) })
		if err != nil {
			b.Fatal(err)
		}
		_ = calls
		done += batch
		b.StopTimer()
		fill(done)
		b.StartTimer()
	}
	b.ReportMetric(float64(done)/b.Elapsed().Seconds(), "decisions/s")
}
