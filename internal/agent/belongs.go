package agent

import (
	"context"
	"fmt"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
)

// Whose agents there are, and what project they belong to.

func (s *Service) assignable(ctx context.Context, orgID, userID, projectID string) error {
	if s.c.Assignable == nil {
		return nil
	}
	return s.c.Assignable(ctx, orgID, userID, projectID)
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// OwnedBy gives the ids of the agents that belong to one of users.
func (s *Service) OwnedBy(ctx context.Context, orgID string, users []string) ([]string, error) {
	where, args := identity.OnlyOf(users...).SQL("owner_id")
	return s.idsWhere(ctx, orgID, where, args...)
}

// InProject gives the ids of the agents of a project.
func (s *Service) InProject(ctx context.Context, orgID, projectID string) ([]string, error) {
	return s.idsWhere(ctx, orgID, "project_id = ?", projectID)
}

func (s *Service) idsWhere(ctx context.Context, orgID, where string, args ...any) ([]string, error) {
	var ids []string
	err := s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model((*agentRow)(nil)).Column("id").Where("organisation_id = ?", orgID).Where(where, args...).
			OrderExpr("id").Limit(maxAgents).Scan(ctx, &ids)
	})
	if err != nil {
		return nil, fmt.Errorf("find agents by whose they are: %w", err)
	}
	return ids, nil
}

// Reach refuses an agent, by id or slug, that ctx does not reach, as if there were none.
func (s *Service) Reach(ctx context.Context, orgID, name string) error {
	if identity.ScopeOf(ctx).All() {
		return nil
	}
	_, err := s.Get(ctx, orgID, name)
	return err
}

// LeaveProject takes every agent out of a project that was deleted.
func (s *Service) LeaveProject(ctx context.Context, orgID, projectID string) error {
	return s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.NewUpdate().Model((*agentRow)(nil)).Set("project_id = ''").Set("updated_at = ?", s.now()).
			Where("organisation_id = ? AND project_id = ?", orgID, projectID).Exec(ctx)
		if err != nil {
			return fmt.Errorf("take agents out of a project: %w", err)
		}
		return nil
	})
}
