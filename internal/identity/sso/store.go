package sso

import (
	"context"
	"database/sql"
	"errors"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

type policyRow struct {
	bun.BaseModel `bun:"table:sso_policies"`

	OrganisationID string `bun:"organisation_id,pk"`
	SSOOnly        bool   `bun:"sso_only"`
	UpdatedAt      int64  `bun:"updated_at"`
}

type connectionRow struct {
	bun.BaseModel `bun:"table:sso_connections"`

	ID             string `bun:"id,pk"`
	OrganisationID string `bun:"organisation_id"`
	Name           string `bun:"name"`
	Protocol       string `bun:"protocol"`
	Enabled        bool   `bun:"enabled"`
	Settings       string `bun:"settings"` // JSON
	Secret         []byte `bun:"secret"`   // sealed
	SecretBy       string `bun:"secret_by"`
	SecretAt       int64  `bun:"secret_at"`
	Version        int64  `bun:"version"`
	CreatedAt      int64  `bun:"created_at"`
	UpdatedAt      int64  `bun:"updated_at"`
}

type domainRow struct {
	bun.BaseModel `bun:"table:sso_domains"`

	OrganisationID string `bun:"organisation_id,pk"`
	ConnectionID   string `bun:"connection_id"`
	Domain         string `bun:"domain,pk"`
	Token          string `bun:"token"`
	CreatedAt      int64  `bun:"created_at"`
	VerifiedAt     *int64 `bun:"verified_at"`
}

type linkRow struct {
	bun.BaseModel `bun:"table:sso_links"`

	OrganisationID string `bun:"organisation_id"`
	ConnectionID   string `bun:"connection_id,pk"`
	UserID         string `bun:"user_id"`
	Subject        string `bun:"subject,pk"`
	CreatedAt      int64  `bun:"created_at"`
	LastUsedAt     int64  `bun:"last_used_at"`
}

type testRow struct {
	bun.BaseModel `bun:"table:sso_tests"`

	ID             string  `bun:"id,pk"`
	OrganisationID string  `bun:"organisation_id"`
	ConnectionID   string  `bun:"connection_id"`
	Hash           string  `bun:"hash"`
	Result         *string `bun:"result"` // JSON
	StartedAt      *int64  `bun:"started_at"`
	CreatedAt      int64   `bun:"created_at"`
	ExpiresAt      int64   `bun:"expires_at"`
}

type flowRow struct {
	bun.BaseModel `bun:"table:sso_flows"`

	Hash           string  `bun:"hash,pk"`
	OrganisationID string  `bun:"organisation_id"`
	ConnectionID   string  `bun:"connection_id"`
	TestID         *string `bun:"test_id"`
	Browser        string  `bun:"browser"`
	Sealed         []byte  `bun:"sealed"`
	ReturnTo       string  `bun:"return_to"`
	CreatedAt      int64   `bun:"created_at"`
	ExpiresAt      int64   `bun:"expires_at"`
}

type replayRow struct {
	bun.BaseModel `bun:"table:sso_replays"`

	Hash      string `bun:"hash,pk"`
	ExpiresAt int64  `bun:"expires_at"`
}

// one scans a single row; false when there is none.
func one(ctx context.Context, q *bun.SelectQuery) (bool, error) {
	err := q.Limit(1).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

func errNoConnection() error {
	return fault.New(fault.NotFound, "there is no such connection")
}

// connectionByID reads a connection with its domains, for a request of its organisation.
func connectionByID(ctx context.Context, tx *db.Tx, orgID, id string) (*connectionRow, []domainRow, error) {
	var row connectionRow
	found, err := one(ctx, tx.NewSelect().Model(&row).Where("organisation_id = ? AND id = ?", orgID, id))
	if err != nil {
		return nil, nil, err
	}
	if !found {
		return nil, nil, errNoConnection()
	}
	domains, err := domainsOf(ctx, tx, orgID, id)
	return &row, domains, err
}

func domainsOf(ctx context.Context, tx *db.Tx, orgID, connectionID string) ([]domainRow, error) {
	var rows []domainRow
	err := tx.NewSelect().Model(&rows).Where("organisation_id = ? AND connection_id = ?", orgID, connectionID).Order("domain").Scan(ctx)
	return rows, err
}

// connectionAnywhere reads an enabled connection whose organisation is not known yet: for the browser's paths.
func (s *Service) connectionAnywhere(ctx context.Context, id string) (*connection, error) {
	var c *connection
	err := s.cfg.DB.ReadSystem(ctx, "whose identity provider is it", func(ctx context.Context, tx *db.Tx) error {
		var row connectionRow
		found, err := one(ctx, tx.NewSelect().Model(&row).Where("id = ?", id))
		if err != nil || !found {
			return err
		}
		domains, err := domainsOf(ctx, tx, row.OrganisationID, row.ID)
		if err != nil {
			return err
		}
		c, err = readRow(&row, domains)
		return err
	})
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, errNoConnection()
	}
	return c, s.open(ctx, c)
}
