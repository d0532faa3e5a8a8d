package identity

import (
	"context"

	"github.com/parley-voice/parley/internal/platform/db"
)

// OrganisationIDs gives up to limit ids of organisations after one, in order: for jobs that go through all of them.
func (s *Service) OrganisationIDs(ctx context.Context, after string, limit int) (ids []string, err error) {
	err = s.cfg.DB.ReadSystem(ctx, "go through all organisations", func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().TableExpr("organisations").Column("id").Where("id > ?", after).Order("id").Limit(int64(limit)).Scan(ctx, &ids)
	})
	return ids, err
}
