package campaign

import (
	"context"
	"fmt"
	"runtime/metrics"
	"sync"
	"testing"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
)

func engines(b *testing.B, fn func(b *testing.B, d *db.DB)) {
	b.Run(db.SQLite, func(b *testing.B) { fn(b, dbtest.SQLite(b, Migrations())) })
	b.Run(db.Postgres, func(b *testing.B) { fn(b, dbtest.Postgres(b, Migrations())) })
}

// A list is read, understood and written: rows a second, the most memory meanwhile, and how long somebody else who writes has
// to wait. PARLEY_BENCH_LEADS=1 goes up to a million.
func BenchmarkImport(b *testing.B) {
	engines(b, func(b *testing.B, d *db.DB) {
		for _, n := range sizes(b) {
			b.Run(fmt.Sprint(n), func(b *testing.B) {
				r := newLeadsRig(b, d, quartz.NewReal())
				for b.Loop() {
					b.StopTimer()
					c := r.campaign(nil)
					i := r.uploaded(c, people(n, 1))
					if _, err := r.StartImport(b.Context(), leadsOrg, c.ID, i.ID, ImportOptions{}); err != nil {
						b.Fatal(err)
					}
					stop := watch(b, d)
					b.StartTimer()
					began := time.Now()
					i = r.carried(i)
					took := time.Since(began)
					memory, waited := stop()
					b.ReportMetric(float64(n)/took.Seconds(), "rows/s")
					b.ReportMetric(memory/(1<<20), "peakMB")
					b.ReportMetric(float64(waited.Milliseconds()), "longestWaitMs")
					if i.Added != int64(n) {
						b.Fatalf("%+v", i)
					}
				}
			})
		}
	})
}

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
