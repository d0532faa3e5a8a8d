package telephony

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// trunkRow is a trunk as it is stored.
type trunkRow struct {
	bun.BaseModel `bun:"table:trunks"`

	ID             string `bun:",pk"`
	OrganisationID string
	Name           string
	Address        string
	Transport      string
	Proxy          string
	Username       string
	Secret         []byte // nil: no password
	Domain         string
	NumberFormat   string
	Prefix         string
	AssertIdentity bool
	Lines          int `bun:"max_lines"`
	PerSecond      int
	EncryptedOnly  bool
	Enabled        bool
	SecretBy       string
	SecretAt       int64
	SecretUsedAt   int64
	CreatedAt      int64
	UpdatedAt      int64
}

// callerRow is a caller number as it is stored.
type callerRow struct {
	bun.BaseModel `bun:"table:caller_numbers"`

	ID             string `bun:",pk"`
	OrganisationID string
	Number         string
	DisplayName    string
	TrunkID        string
	Country        string
	Region         string
	Area           string
	Enabled        bool
	CreatedAt      int64
	UpdatedAt      int64
}

// byID finds a row of the transaction's organisation; what it is called stands in the error.
func byID[T any](ctx context.Context, tx *db.Tx, what, id string) (*T, error) {
	row := new(T)
	err := tx.NewSelect().Model(row).Where("organisation_id = ?", tx.OrgID()).Where("id = ?", id).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "there is no %s %q", what, clip(id))
	}
	if err != nil {
		return nil, fmt.Errorf("select %s: %w", what, err)
	}
	return row, nil
}

func trunkByID(ctx context.Context, tx *db.Tx, id string) (*trunkRow, error) {
	return byID[trunkRow](ctx, tx, "trunk", id)
}

func callerByID(ctx context.Context, tx *db.Tx, id string) (*callerRow, error) {
	return byID[callerRow](ctx, tx, "caller number", id)
}

func clip(s string) string { return s[:min(len(s), 64)] }

// listTrunks gives a page of trunks after the one with id after, oldest first.
func listTrunks(ctx context.Context, tx *db.Tx, after string, limit int) (rows []trunkRow, err error) {
	err = tx.NewSelect().Model(&rows).Where("organisation_id = ?", tx.OrgID()).Where("id > ?", after).OrderExpr("id").Limit(int64(limit)).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("list trunks: %w", err)
	}
	return rows, nil
}

// listCallers gives a page of caller numbers after the one with id after, oldest first. trunk "" is all of them.
func listCallers(ctx context.Context, tx *db.Tx, trunk, after string, limit int) (rows []callerRow, err error) {
	q := tx.NewSelect().Model(&rows).Where("organisation_id = ?", tx.OrgID()).Where("id > ?", after)
	if trunk != "" {
		q = q.Where("trunk_id = ?", trunk)
	}
	if err := q.OrderExpr("id").Limit(int64(limit)).Scan(ctx); err != nil {
		return nil, fmt.Errorf("list caller numbers: %w", err)
	}
	return rows, nil
}

// usableCallers gives the numbers that may be shown through a trunk.
func usableCallers(ctx context.Context, tx *db.Tx, trunk string) (rows []callerRow, err error) {
	err = tx.NewSelect().Model(&rows).Where("organisation_id = ?", tx.OrgID()).Where("enabled = ?", true).Where("trunk_id = '' OR trunk_id = ?", trunk).
		OrderExpr("id").Limit(callersMax).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("list caller numbers: %w", err)
	}
	return rows, nil
}

// insert adds a row unless the organisation has most of its kind already.
func insert[T any](ctx context.Context, tx *db.Tx, row *T, what string, most int) error {
	n, err := tx.NewSelect().Model((*T)(nil)).Where("organisation_id = ?", tx.OrgID()).Count(ctx)
	if err != nil {
		return fmt.Errorf("count %s: %w", what, err)
	}
	if n >= int64(most) {
		return fault.New(fault.Conflict, "there are %d %s already; delete one first", n, what)
	}
	if _, err := tx.NewInsert().Model(row).Exec(ctx); err != nil {
		return fmt.Errorf("insert into %s: %w", what, err)
	}
	return nil
}

// update stores all of a row but what never changes.
func update[T any](ctx context.Context, tx *db.Tx, row *T, what, id string) error {
	_, err := tx.NewUpdate().Model(row).ExcludeColumn("id", "organisation_id", "created_at").Where("organisation_id = ?", tx.OrgID()).Where("id = ?", id).Exec(ctx)
	if err != nil {
		return fmt.Errorf("update %s: %w", what, err)
	}
	return nil
}

// remove deletes a row.
func remove[T any](ctx context.Context, tx *db.Tx, what, id string) error {
	_, err := tx.NewDelete().Model((*T)(nil)).Where("organisation_id = ?", tx.OrgID()).Where("id = ?", id).Exec(ctx)
	if err != nil {
		return fmt.Errorf("delete %s: %w", what, err)
	}
	return nil
}

// callersWith gives the organisation's rows of a number: one, or none.
func callersWith(ctx context.Context, tx *db.Tx, number string) (rows []callerRow, err error) {
	if err := tx.NewSelect().Model(&rows).Where("organisation_id = ?", tx.OrgID()).Where("number = ?", number).Scan(ctx); err != nil {
		return nil, fmt.Errorf("select caller number: %w", err)
	}
	return rows, nil
}

// trunksWithSecret gives a page of the trunks that have a password.
func trunksWithSecret(ctx context.Context, tx *db.Tx, after string, limit int) (rows []trunkRow, err error) {
	err = tx.NewSelect().Model(&rows).Where("organisation_id = ?", tx.OrgID()).Where("id > ?", after).Where("secret IS NOT NULL").
		OrderExpr("id").Limit(int64(limit)).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("list trunks with a password: %w", err)
	}
	return rows, nil
}
