package agent

import (
	"context"
	"fmt"

	"github.com/parley-voice/parley/internal/platform/db"
)

// Count tells how many agents an organisation has.
func (s *Service) Count(ctx context.Context, orgID string) (n int64, err error) {
	err = s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		n, err = countAgents(ctx, tx, orgID)
		return err
	})
	return n, err
}

func countAgents(ctx context.Context, tx *db.Tx, orgID string) (int64, error) {
	n, err := tx.NewSelect().Model((*agentRow)(nil)).Where("organisation_id = ?", orgID).Count(ctx)
	if err != nil {
		return 0, fmt.Errorf("count agents: %w", err)
	}
	return n, nil
}

// quota is how many agents the organisation's plan includes; nil is no limit.
func (s *Service) quota(ctx context.Context, orgID string) (*int64, error) {
	if s.c.Quota == nil {
		return nil, nil
	}
	return s.c.Quota(ctx, orgID)
}
