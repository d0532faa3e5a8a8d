package telephony

import (
	"context"
	"fmt"

	"github.com/parley-voice/parley/internal/platform/db"
)

// Whose phones there are, and what project they belong to.

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

// PersonOf gives whose phone it is that registers as username, "" when it is nobody's or there is none.
func (s *Service) PersonOf(ctx context.Context, orgID, username string) (string, error) {
	if checkUsername(username) != nil {
		return "", nil
	}
	userID := ""
	err := s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		row, found, err := phoneByName(ctx, tx, username)
		if found {
			userID = row.UserID
		}
		return err
	})
	return userID, err
}

// LeaveProject takes every phone out of a project that was deleted.
func (s *Service) LeaveProject(ctx context.Context, orgID, projectID string) error {
	return s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.NewUpdate().Model((*phoneRow)(nil)).Set("project_id = ''").Set("updated_at = ?", s.c.Clock.Now().UnixMilli()).
			Where("organisation_id = ? AND project_id = ?", orgID, projectID).Exec(ctx)
		if err != nil {
			return fmt.Errorf("take phones out of a project: %w", err)
		}
		return nil
	})
}
