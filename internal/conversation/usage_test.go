package conversation

import (
	"context"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/platform/db"
)

func TestUsage(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		if u, err := r.Usage(r.ctx(), orgA, time.UnixMilli(0)); err != nil || u != (Usage{}) {
			t.Fatalf("without calls: %+v, %v", u, err)
		}
		for _, row := range []callRow{
			{ID: "a1", OrganisationID: orgA, StartedAt: 1000, DurationMs: 60_000, RecBytes: 10},
			{ID: "a2", OrganisationID: orgA, StartedAt: 2000, DurationMs: 30_000, RecBytes: 20},
			{ID: "b1", OrganisationID: orgB, StartedAt: 2000, DurationMs: 99_000, RecBytes: 99},
		} {
			must(t, r.d.InTenant(r.ctx(), row.OrganisationID, func(ctx context.Context, tx *db.Tx) error {
				return put(ctx, tx, []callRow{row}, "id", "status")
			}))
		}
		// All recordings take room, but only the minutes since then count.
		if u, err := r.Usage(r.ctx(), orgA, time.UnixMilli(2000)); err != nil || u != (Usage{Talked: 30 * time.Second, Bytes: 30}) {
			t.Fatalf("usage %+v, %v", u, err)
		}
	})
}
