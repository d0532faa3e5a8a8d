package campaign

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/platform/db"
)

// Leads whose time has come are found among many that wait: half of them due, in no order of their numbers.
func BenchmarkDue(b *testing.B) {
	engines(b, func(b *testing.B, d *db.DB) {
		for _, n := range sizes(b) {
			r := newLeadsRig(b, d, quartz.NewReal())
			c := r.campaign(nil)
			now := time.Now()
			for from := 0; from < n; from += batchMost {
				err := d.InTenant(b.Context(), leadsOrg, func(ctx context.Context, tx *db.Tx) error {
					var rows []leadRow
					for i := from; i < min(n, from+batchMost); i++ {
						l := newLead(tx, c.ID, "", now.UnixMilli()+int64(from-n/2))
						l.Number = fmt.Sprintf("+49151%08d", uint32(i)*2654435761%100_000_000)
						rows = append(rows, l)
					}
					_, err := addLeads(ctx, tx, c.ID, rows)
					return err
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			if d.Dialect() == db.Postgres { // as its daemon does by itself
				if err := d.InSystem(b.Context(), "benchmark", func(ctx context.Context, tx *db.Tx) error {
					_, err := tx.ExecContext(ctx, "ANALYZE campaign_leads")
					return err
				}); err != nil {
					b.Log("without statistics:", err)
				}
			}
			b.Run(fmt.Sprint(n), func(b *testing.B) {
				for b.Loop() {
					err := d.ReadTenant(b.Context(), leadsOrg, func(ctx context.Context, tx *db.Tx) error {
						rows, err := due(ctx, tx, c.ID, now, 100)
						if err == nil && len(rows) != 100 {
							err = fmt.Errorf("%d leads are due", len(rows))
						}
						return err
					})
					if err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	})
}
