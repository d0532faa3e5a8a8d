package identity

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

type roleRow struct {
	bun.BaseModel `bun:"table:roles"`

	ID             string `bun:"id,pk"`
	OrganisationID string `bun:"organisation_id"`
	Name           string `bun:"name"`
	Description    string `bun:"description"`
	Permissions    string `bun:"permissions"` // JSON
	CreatedAt      int64  `bun:"created_at"`
	UpdatedAt      int64  `bun:"updated_at"`
}

type teamRow struct {
	bun.BaseModel `bun:"table:teams"`

	ID             string `bun:"id,pk"`
	OrganisationID string `bun:"organisation_id"`
	Name           string `bun:"name"`
	Description    string `bun:"description"`
	CreatedAt      int64  `bun:"created_at"`
	UpdatedAt      int64  `bun:"updated_at"`
}

type teamMemberRow struct {
	bun.BaseModel `bun:"table:team_members"`

	OrganisationID string `bun:"organisation_id,pk"`
	TeamID         string `bun:"team_id,pk"`
	UserID         string `bun:"user_id,pk"`
	CreatedAt      int64  `bun:"created_at"`
}

type projectRow struct {
	bun.BaseModel `bun:"table:projects"`

	ID             string `bun:"id,pk"`
	OrganisationID string `bun:"organisation_id"`
	Name           string `bun:"name"`
	Description    string `bun:"description"`
	OwnerID        string `bun:"owner_id"` // who made it; "": not known
	CreatedAt      int64  `bun:"created_at"`
	UpdatedAt      int64  `bun:"updated_at"`
}

type invitationRow struct {
	bun.BaseModel `bun:"table:invitations"`

	ID             string `bun:"id,pk"`
	OrganisationID string `bun:"organisation_id"`
	Email          string `bun:"email"`
	Role           string `bun:"role"`
	Teams          string `bun:"teams"` // JSON
	Hash           string `bun:"hash"`
	InvitedBy      string `bun:"invited_by"`
	CreatedAt      int64  `bun:"created_at"`
	SentAt         int64  `bun:"sent_at"`
	ExpiresAt      int64  `bun:"expires_at"`
}

type planRow struct {
	bun.BaseModel `bun:"table:plans"`

	ID        string `bun:"id,pk"`
	Name      string `bun:"name"`
	Limits    string `bun:"limits"` // JSON
	CreatedAt int64  `bun:"created_at"`
	UpdatedAt int64  `bun:"updated_at"`
}

// one reads the row of model that fits; a fault of code NotFound says that there is no such kind of thing.
func one(ctx context.Context, tx *db.Tx, model any, kind, where string, args ...any) error {
	err := tx.NewSelect().Model(model).Where(where, args...).Limit(1).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return fault.New(fault.NotFound, "there is no such %s", kind)
	}
	if err != nil {
		return fmt.Errorf("find a %s: %w", kind, err)
	}
	return nil
}

// insertNamed stores a row whose name must be its own in the organisation.
func insertNamed(ctx context.Context, tx *db.Tx, row any, kind, name string) error {
	res, err := tx.NewInsert().Model(row).On("CONFLICT (organisation_id, name) DO NOTHING").Exec(ctx)
	if err != nil {
		return fmt.Errorf("insert a %s: %w", kind, err)
	}
	if n, err := res.RowsAffected(); err == nil && n == 0 {
		return nameTaken(kind, name)
	}
	return nil
}

func nameTaken(kind, name string) error {
	e := fault.New(fault.Conflict, "there is a %s named %q already; choose another name", kind, name)
	e.Details = []fault.Detail{{Location: "body.name", Message: e.Message, Value: name}}
	return e
}

// freeName refuses a name that another row of the organisation has.
func freeName(ctx context.Context, tx *db.Tx, model any, kind, orgID, id, name string) error {
	n, err := tx.NewSelect().Model(model).Where("organisation_id = ? AND name = ? AND id <> ?", orgID, name, id).Count(ctx)
	if err != nil {
		return fmt.Errorf("look for a %s's name: %w", kind, err)
	}
	if n > 0 {
		return nameTaken(kind, name)
	}
	return nil
}

// lockOrganisation makes transactions that count and then add wait for each other. SQLite has one writer anyway.
func lockOrganisation(ctx context.Context, tx *db.Tx, orgID string) error {
	if tx.Dialect() != db.Postgres {
		return nil
	}
	if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", "organisation "+orgID); err != nil {
		return fmt.Errorf("lock the organisation: %w", err)
	}
	return nil
}

// affected reports whether res changed a row.
func affected(res sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// pageCut gives the rows of a page of limit, and the cursor of the next; rows has one more when there is a next.
func pageCut[T any](rows []T, limit int, id func(T) string) ([]T, *string) {
	if len(rows) <= limit {
		return rows, nil
	}
	rows = rows[:limit]
	next := id(rows[limit-1])
	return rows, &next
}

// requiredName trims a name that must be there.
func requiredName(location, name string) (string, error) {
	name, err := checkName(location, name, "")
	if err == nil && name == "" {
		err = fault.Field(location, "give it a name")
	}
	return name, err
}

const maxDescription = 500

func checkDescription(location, text string) (string, error) {
	text = strings.TrimSpace(text)
	if len(text) > maxDescription || strings.ContainsRune(text, 0) {
		return "", fault.Field(location, "use at most %d characters", maxDescription)
	}
	return text, nil
}

func timeOf(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
