package telephony

import (
	"context"
	"fmt"

	"github.com/parley-voice/parley/internal/platform/db"
)

// Count tells how many phones an organisation has.
func (s *Service) Count(ctx context.Context, orgID string) (n int64, err error) {
	err = s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		n, err = countPhones(ctx, tx, orgID)
		return err
	})
	return n, err
}

func countPhones(ctx context.Context, tx *db.Tx, orgID string) (int64, error) {
	n, err := tx.NewSelect().Model((*phoneRow)(nil)).Where("organisation_id = ?", orgID).Count(ctx)
	if err != nil {
		return 0, fmt.Errorf("count phones: %w", err)
	}
	return n, nil
}

// quota is how many phones the organisation's plan includes; nil is no limit.
func (s *Service) quota(ctx context.Context, orgID string) (*int64, error) {
	if s.c.Quota == nil {
		return nil, nil
	}
	return s.c.Quota(ctx, orgID)
}
