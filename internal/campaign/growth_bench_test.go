package campaign

import (
	"context"
	"fmt"
	"net/url"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/campaign/policy"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
)

// BenchmarkGrowth measures what one campaign's work costs as its list grows; PARLEY_BENCH_LEADS=1 goes from 1,000 leads to a
// million. A list is read, understood and written. Then all of its leads are due, and calls are chosen, decided, settled and
// counted among them. What is "fresh" was measured right after the import, when PostgreSQL has no statistics of the leads.
func BenchmarkGrowth(b *testing.B) {
	for _, engine := range []struct {
		name string
		open func(testing.TB, ...db.Migrations) *db.DB
	}{{db.SQLite, dbtest.SQLite}, {db.Postgres, dbtest.Postgres}} {
		for _, n := range sizes(b) {
			b.Run(fmt.Sprintf("%s/%d", engine.name, n), func(b *testing.B) {
				for b.Loop() {
					grow(b, engine.open(b, Migrations()), n)
				}
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

func grow(b *testing.B, d *db.DB, n int) {
	b.Helper()
	r := newLeadsRig(b, d, quartz.NewReal())
	r.c.Facts = agreed{}
	c := r.campaign(func(s *Settings) {
		s.Purpose = policy.Sales
		s.Schedule.Hours = map[string]string{"mon-sun": "08:00-20:00"}
	})
	i := r.uploaded(c, people(n, 1))
	if _, err := r.StartImport(b.Context(), leadsOrg, c.ID, i.ID, ImportOptions{}); err != nil {
		b.Fatal(err)
	}
	stop := watch(b, d)
	began := time.Now()
	i = r.carried(i)
	took := time.Since(began)
	memory, waited := stop()
	if i.Added != int64(n) {
		b.Fatalf("%+v", i)
	}
	b.ReportMetric(took.Seconds(), "import-s")
	b.ReportMetric(float64(took.Microseconds())/float64(n), "import-µs/row")
	b.ReportMetric(memory/(1<<20), "import-peak-MB")
	b.ReportMetric(float64(waited.Milliseconds()), "import-longest-wait-ms")
	if _, err := r.Start(b.Context(), leadsOrg, c.ID); err != nil {
		b.Fatal(err)
	}
	r.work(b, c, 5, 20, "fresh-")
	if d.Dialect() == db.Postgres { // as its daemon does by itself, some time after an import
		u, err := url.Parse(d.URL())
		if err != nil {
			b.Fatal(err)
		}
		dbtest.AdminIn(b, strings.TrimPrefix(u.Path, "/"), "VACUUM ANALYZE")
	}
	const times = 20
	b.ReportMetric(milliseconds(times, func(int) { chosen(b, d, c.ID) }), "due-ms")
	r.work(b, c, 15, 20, "")
	b.ReportMetric(milliseconds(times, func(int) {
		if p, err := r.Progress(b.Context(), leadsOrg, c.ID); err != nil || p.Attempts == 0 {
			b.Fatalf("%+v, %v", p, err)
		}
	}), "progress-ms")
}

// milliseconds gives the median time of fn: a machine that others use has outliers.
func milliseconds(times int, fn func(i int)) float64 {
	took := make([]time.Duration, times)
	for i := range took {
		began := time.Now()
		fn(i)
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	return float64(took[times/2].Microseconds()) / 1000
}

// weekday is a Monday at ten in the morning in Berlin, when leads that were imported now are due.
func weekday() time.Time {
	at := monday
	for at.Before(time.Now()) {
		at = at.AddDate(0, 0, 7)
	}
	return at
}

// chosen selects 100 leads whose time has come.
func chosen(b *testing.B, d *db.DB, campaignID string) {
	err := d.ReadTenant(b.Context(), leadsOrg, func(ctx context.Context, tx *db.Tx) error {
		rows, err := due(ctx, tx, campaignID, weekday(), 100)
		if err == nil && len(rows) != 100 {
			err = fmt.Errorf("%d leads are due", len(rows))
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
}

// work decides calls, some at a time, and settles them one by one.
func (r *leadsRig) work(b *testing.B, c Campaign, plans, most int, which string) {
	b.Helper()
	rules, err := c.Settings.rules(r.c.Book)
	if err != nil {
		b.Fatal(err)
	}
	q := &queue{s: r.Service, org: leadsOrg, id: c.ID, purpose: c.Settings.Purpose, voice: true, pacing: func() any { return dial.Now{Ringing: 10, Talking: 20, Places: 40} }}
	var calls []dial.Call
	now := weekday()
	ms := milliseconds(plans, func(int) {
		some, _, err := q.Plan(b.Context(), now, most, most, func(l *dial.Lead) dial.Decision { return rules.Decide(l, now) })
		if err != nil || len(some) != most {
			b.Fatalf("%d calls, %v", len(some), err)
		}
		calls = append(calls, some...)
	})
	b.ReportMetric(1000*ms/float64(most), which+"decide-µs")
	ms = milliseconds(len(calls), func(i int) {
		if err := r.Settle(b.Context(), leadsOrg, Ended{CallID: calls[i].ID, Answered: now, Ended: now.Add(time.Minute), Result: "answered", Reason: "normal"}); err != nil {
			b.Fatal(err)
		}
	})
	b.ReportMetric(1000*ms, which+"settle-µs")
}

// agreed is Facts by which everybody has consented.
type agreed struct{}

func (agreed) Of(_ context.Context, _ *db.Tx, a Asked) (map[string]Known, error) {
	out := map[string]Known{}
	for _, n := range a.Numbers {
		out[n] = Known{Consent: policy.Given, ConsentID: "c-" + n}
	}
	return out, nil
}

func (agreed) Fetch(context.Context, string) error { return nil }

// watch notes the memory in use, and how long the longest small write takes meanwhile.
func watch(b *testing.B, d *db.DB) func() (bytes float64, waited time.Duration) {
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(b.Context())
	var most float64
	var longest time.Duration
	wg.Go(func() {
		s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
		t := time.NewTicker(20 * time.Millisecond)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
			metrics.Read(s)
			most = max(most, float64(s[0].Value.Uint64()-s[1].Value.Uint64()))
			began := time.Now()
			err := d.InTenant(ctx, leadsOrg, func(ctx context.Context, tx *db.Tx) error {
				_, err := tx.ExecContext(ctx, "UPDATE campaign_imports SET removed = 0 WHERE organisation_id = ? AND id = ''", leadsOrg)
				return err
			})
			if err == nil {
				longest = max(longest, time.Since(began))
			}
		}
	})
	return func() (float64, time.Duration) {
		cancel()
		wg.Wait()
		return most, longest
	}
}
