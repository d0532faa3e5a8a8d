package scim

import (
	"context"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
)

// HeldSecrets lists the tokens of an organisation's connections after the one with id after. Only their hashes are kept.
func (s *Service) HeldSecrets(ctx context.Context, orgID, after string, limit int) (out []envelope.Held, err error) {
	var rows []struct {
		tokenRow
		Connection string `bun:"connection"`
	}
	err = s.cfg.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().TableExpr("scim_tokens AS t").ColumnExpr("t.id, t.connection_id, t.created_by, t.created_at, t.last_used_at, c.name AS connection").
			Join("JOIN sso_connections AS c ON c.organisation_id = t.organisation_id AND c.id = t.connection_id").
			Where("t.organisation_id = ? AND t.id > ?", orgID, after).Order("t.id").Limit(int64(limit)).Scan(ctx, &rows)
	})
	for _, r := range rows {
		v := r.view()
		out = append(out, envelope.Held{ID: r.ID, Kind: "scimToken", Name: r.Connection, ObjectKind: "ssoConnection", ObjectID: r.ConnectionID,
			SetBy: r.CreatedBy, SetAt: &v.CreatedAt, LastUsedAt: v.LastUsedAt,
			UsedBy: []envelope.Use{{Kind: "ssoConnection", ID: r.ConnectionID, Name: r.Connection}}})
	}
	return out, err
}
