package identity

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
)

// HeldSecrets lists an organisation's API tokens after the one with id after. Only their hashes are kept.
func (s *Service) HeldSecrets(ctx context.Context, orgID, after string, limit int) (out []envelope.Held, err error) {
	var rows []tokenRow
	err = s.cfg.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model(&rows).Where("organisation_id = ? AND id > ?", orgID, after).Order("id").Limit(int64(limit)).Scan(ctx)
	})
	for i := range rows {
		t := rows[i].token()
		out = append(out, envelope.Held{ID: t.ID, Kind: "apiToken", Name: t.Name, ObjectKind: "token", ObjectID: t.ID,
			SetBy: t.UserID, SetAt: &t.CreatedAt, LastUsedAt: t.LastUsedAt, ExpiresAt: t.ExpiresAt, UsedBy: []envelope.Use{}})
	}
	return out, err
}

// Names gives people's names, or their addresses where they gave none. Who is no longer known is left out. It is for
// those who did something in an organisation and may have left it.
func (s *Service) Names(ctx context.Context, userIDs []string) (map[string]string, error) {
	out := map[string]string{}
	if len(userIDs) == 0 {
		return out, nil
	}
	var rows []userRow
	err := s.cfg.DB.ReadSystem(ctx, "names of people who did something", func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model(&rows).Column("id", "name", "email").Where("id IN (?)", bun.List(userIDs)).Scan(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("names of people: %w", err)
	}
	for _, r := range rows {
		out[r.ID] = r.Name
		if r.Name == "" {
			out[r.ID] = r.Email
		}
	}
	return out, nil
}
