package campaign

import (
	"context"
	"fmt"
	"net/url"
	"runtime/metrics"
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
// million. A list is read, understood and written. Then half of its leads are due, in no order of their numbers, and calls are
// chosen, decided, settled and counted among them.
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
	scatter(b, d, c.ID)
	if _, err := r.Start(b.Context(), leadsOrg, c.ID); err != nil {
		b.Fatal(err)
	}
	r.work(b, c, 1, 50, "fresh-")
	if d.Dialect() == db.Postgres { // as its daemon does by itself, some time after an import
		u, err := url.Parse(d.URL())
		if err != nil {
			b.Fatal(err)
		}
		dbtest.AdminIn(b, strings.TrimPrefix(u.Path, "/"), "ANALYZE")
	}
	const times = 20
	b.ReportMetric(milliseconds(times, func() { chosen(b, d, c.ID) }), "due-ms")
	r.work(b, c, 4, 100, "")
	b.ReportMetric(milliseconds(times, func() {
		if p, err := r.Progress(b.Context(), leadsOrg, c.ID); err != nil || p.Attempts == 0 {
			b.Fatalf("%+v, %v", p, err)
		}
	}), "progress-ms")
}

// milliseconds gives the mean time of fn in milliseconds.
func milliseconds(times int, fn func()) float64 {
	began := time.Now()
	for range times {
		fn()
	}
	return float64(time.Since(began).Microseconds()) / 1000 / float64(times)
}

// scatter makes leads due, half of them before monday, some in each transaction.
func scatter(b *testing.B, d *db.DB, campaignID string) {
	b.Helper()
	for from, more := "", true; more; {
		err := d.InTenant(b.Context(), leadsOrg, func(ctx context.Context, tx *db.Tx) error {
			var ids []string
			err := tx.NewRaw("SELECT id FROM campaign_leads WHERE organisation_id = ? AND campaign_id = ? AND id > ? ORDER BY id LIMIT 10000", leadsOrg, campaignID, from).Scan(ctx, &ids)
			if more = len(ids) > 0; err != nil || !more {
				return err
			}
			_, err = tx.ExecContext(ctx, "UPDATE campaign_leads SET due_at = ? + CAST(substr(number, 7) AS INTEGER) WHERE organisation_id = ? AND campaign_id = ? AND id > ? AND id <= ?",
				monday.UnixMilli()-50_000_000, leadsOrg, campaignID, from, ids[len(ids)-1])
			from = ids[len(ids)-1]
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// chosen selects 100 leads whose time has come.
func chosen(b *testing.B, d *db.DB, campaignID string) {
	err := d.ReadTenant(b.Context(), leadsOrg, func(ctx context.Context, tx *db.Tx) error {
		rows, err := due(ctx, tx, campaignID, monday, 100)
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
	ms := milliseconds(plans, func() {
		some, _, err := q.Plan(b.Context(), monday, most, most, func(l *dial.Lead) dial.Decision { return rules.Decide(l, monday) })
		if err != nil || len(some) != most {
			b.Fatalf("%d calls, %v", len(some), err)
		}
		calls = append(calls, some...)
	})
	b.ReportMetric(1000*ms/float64(most), which+"decide-µs")
	began := time.Now()
	for i := range calls {
		if err := r.Settle(b.Context(), leadsOrg, Ended{CallID: calls[i].ID, Answered: monday, Ended: monday.Add(time.Minute), Result: "answered", Reason: "normal"}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(time.Since(began).Microseconds())/float64(len(calls)), which+"settle-µs")
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
