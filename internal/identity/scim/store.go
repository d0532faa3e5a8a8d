package scim

import (
	"context"
	"database/sql"
	"errors"

	"github.com/uptrace/bun"
)

type tokenRow struct {
	bun.BaseModel `bun:"table:scim_tokens"`

	ID             string `bun:"id,pk"`
	OrganisationID string `bun:"organisation_id"`
	ConnectionID   string `bun:"connection_id"`
	Hash           string `bun:"hash"`
	CreatedBy      string `bun:"created_by"` // a user's id; "": not known
	CreatedAt      int64  `bun:"created_at"`
	LastUsedAt     *int64 `bun:"last_used_at"`
}

type personRow struct {
	bun.BaseModel `bun:"table:scim_users"`

	OrganisationID string  `bun:"organisation_id,pk"`
	ConnectionID   string  `bun:"connection_id"`
	UserID         string  `bun:"user_id,pk"`
	ExternalID     *string `bun:"external_id"`
	UserName       string  `bun:"user_name"`
	Resource       string  `bun:"resource"` // JSON
	CreatedAt      int64   `bun:"created_at"`
	UpdatedAt      int64   `bun:"updated_at"`
}

type groupRow struct {
	bun.BaseModel `bun:"table:scim_groups"`

	ID             string  `bun:"id,pk"`
	OrganisationID string  `bun:"organisation_id"`
	ConnectionID   string  `bun:"connection_id"`
	TeamID         string  `bun:"team_id"`
	ExternalID     *string `bun:"external_id"`
	DisplayName    string  `bun:"display_name"`
	CreatedAt      int64   `bun:"created_at"`
	UpdatedAt      int64   `bun:"updated_at"`
}

// one scans a single row; false when there is none.
func one(ctx context.Context, q *bun.SelectQuery) (bool, error) {
	err := q.Limit(1).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}
