package db_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
)

// engines runs a benchmark on both, with what a transaction of so many rows costs.
func engines(b *testing.B, rows int, run func(b *testing.B, d *db.DB, make func() []thing)) {
	for _, e := range []struct {
		name string
		open func(testing.TB, ...db.Migrations) *db.DB
	}{{db.SQLite, dbtest.SQLite}, {db.Postgres, dbtest.Postgres}} {
		b.Run(fmt.Sprintf("%s/%d", e.name, rows), func(b *testing.B) {
			d, n := e.open(b, migrations()...), 0
			b.ReportAllocs()
			run(b, d, func() []thing {
				ts := make([]thing, rows)
				for i := range ts {
					n++
					ts[i] = thing{ID: fmt.Sprint(n), OrganisationID: orgA, Name: "a thing"}
				}
				return ts
			})
			b.ReportMetric(float64(b.N*rows)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

func BenchmarkInTenant(b *testing.B) {
	for _, rows := range []int{1, 500} {
		engines(b, rows, func(b *testing.B, d *db.DB, things func() []thing) {
			for b.Loop() {
				ts := things()
				err := d.InTenant(b.Context(), orgA, func(ctx context.Context, tx *db.Tx) error {
					_, err := tx.NewInsert().Model(&ts).Exec(ctx)
					return err
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReadTenant(b *testing.B) {
	engines(b, 1, func(b *testing.B, d *db.DB, things func() []thing) {
		ts := things()
		if err := d.InTenant(b.Context(), orgA, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.NewInsert().Model(&ts).Exec(ctx)
			return err
		}); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			err := d.ReadTenant(b.Context(), orgA, func(ctx context.Context, tx *db.Tx) error {
				return tx.NewSelect().Model(&ts[0]).Where("organisation_id = ? AND id = ?", orgA, "1").Scan(ctx)
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

// More own databases asked in turn than may be open: what a request costs on average. PARLEY_TEST_POSTGRES names a server.
func BenchmarkOwnInTurn(b *testing.B) {
	for _, n := range []int{60, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			d := dbtest.Open(b, db.Config{URL: dbtest.PostgresURL(b)}, migrations()...)
			orgs := makeOwn(b, d, n)
			var at atomic.Int64
			read := func() {
				o := orgs[int(at.Add(1))%n]
				if err := d.ReadTenant(b.Context(), o, func(ctx context.Context, tx *db.Tx) error {
					_, err := tx.NewSelect().Model((*thing)(nil)).Where("organisation_id = ?", o).Count(ctx)
					return err
				}); err != nil {
					b.Error(err)
				}
			}
			b.SetParallelism(2)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					read()
				}
			})
		})
	}
}
