package identity

import (
	"context"
	"database/sql"
	"errors"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/db"
)

type organisationRow struct {
	bun.BaseModel `bun:"table:organisations"`

	ID        string `bun:"id,pk"`
	Name      string `bun:"name"`
	CreatedAt int64  `bun:"created_at"`
}

type userRow struct {
	bun.BaseModel `bun:"table:users"`

	ID           string `bun:"id,pk"`
	Email        string `bun:"email"`
	Name         string `bun:"name"`
	PasswordHash string `bun:"password_hash"`
	CreatedAt    int64  `bun:"created_at"`
}

type membershipRow struct {
	bun.BaseModel `bun:"table:memberships"`

	UserID         string `bun:"user_id,pk"`
	OrganisationID string `bun:"organisation_id,pk"`
	Role           string `bun:"role"`
	CreatedAt      int64  `bun:"created_at"`
}

type sessionRow struct {
	bun.BaseModel `bun:"table:sessions"`

	ID             string `bun:"id,pk"`
	UserID         string `bun:"user_id"`
	OrganisationID string `bun:"organisation_id"`
	CreatedAt      int64  `bun:"created_at"`
	LastUsedAt     int64  `bun:"last_used_at"`
}

type tokenRow struct {
	bun.BaseModel `bun:"table:api_tokens"`

	ID             string `bun:"id,pk"`
	OrganisationID string `bun:"organisation_id"`
	UserID         string `bun:"user_id"`
	Name           string `bun:"name"`
	Hash           string `bun:"hash"`
	CreatedAt      int64  `bun:"created_at"`
	ExpiresAt      *int64 `bun:"expires_at"`
	LastUsedAt     *int64 `bun:"last_used_at"`
}

type setupRow struct {
	bun.BaseModel `bun:"table:setup_links"`

	Hash      string `bun:"hash,pk"`
	CreatedAt int64  `bun:"created_at"`
	ExpiresAt int64  `bun:"expires_at"`
}

// membership is what signing in needs to know of a person.
type membership struct {
	UserID         string `bun:"user_id"`
	Email          string `bun:"email"`
	Name           string `bun:"name"`
	PasswordHash   string `bun:"password_hash"`
	OrganisationID string `bun:"organisation_id"`
	Organisation   string `bun:"organisation"`
	Role           string `bun:"role"`
}

// membershipWhere finds the oldest membership that fits; nil when there is none.
func membershipWhere(ctx context.Context, tx *db.Tx, where string, args ...any) (*membership, error) {
	var m membership
	err := tx.NewSelect().TableExpr("memberships AS m").
		ColumnExpr("u.id AS user_id, u.email, u.name, u.password_hash, o.id AS organisation_id, o.name AS organisation, m.role").
		Join("JOIN users AS u ON u.id = m.user_id").
		Join("JOIN organisations AS o ON o.id = m.organisation_id").
		Where(where, args...).Order("m.created_at", "m.organisation_id").Limit(1).Scan(ctx, &m)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &m, nil
}
