package conversation

import (
	"context"
	"time"

	"github.com/parley-voice/parley/internal/platform/db"
)

// Usage is what an organisation's calls take of its plan.
type Usage struct {
	Talked time.Duration // of calls that began since some time and are over
	Bytes  int64         // of all recordings
}

// Usage counts what an organisation's calls take: time since a moment, and the room of all recordings that are kept.
func (s *Service) Usage(ctx context.Context, org string, since time.Time) (Usage, error) {
	var row struct {
		Millis int64 `bun:"millis"`
		Bytes  int64 `bun:"bytes"`
	}
	err := s.db.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model((*callRow)(nil)).Where("c.organisation_id = ?", org).
			ColumnExpr("CAST(COALESCE(SUM(CASE WHEN c.started_at >= ? THEN c.duration_ms ELSE 0 END), 0) AS BIGINT) AS millis", since.UnixMilli()).
			ColumnExpr("CAST(COALESCE(SUM(c.rec_bytes), 0) AS BIGINT) AS bytes").Scan(ctx, &row)
	})
	return Usage{Talked: time.Duration(row.Millis) * time.Millisecond, Bytes: row.Bytes}, wrapRead(err)
}
