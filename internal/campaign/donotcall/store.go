package donotcall

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// rowsAtOnce keeps a statement below what databases take.
const rowsAtOnce = 500

type listRow struct {
	bun.BaseModel `bun:"table:do_not_call_lists"`

	ID             string `bun:",pk"`
	OrganisationID string
	Name           string
	Description    string
	Scope          Scope
	Own            bool
	Version        int64
	Numbers        int64
	CreatedBy      string
	CreatedAt      int64
	UpdatedAt      int64
}

type numberRow struct {
	bun.BaseModel `bun:"table:do_not_call_numbers"`

	OrganisationID string `bun:",pk"`
	ListID         string `bun:",pk"`
	Number         string `bun:",pk"`
	Source         Source
	Reason         string
	CallID         string
	AddedBy        string
	AddedAt        int64
}

type removalRow struct {
	bun.BaseModel `bun:"table:do_not_call_removals"`

	ID             string `bun:",pk"`
	OrganisationID string
	ListID         string
	Number         string
	Source         Source
	AddedAt        int64
	Reason         string
	RemovedBy      string
	RemovedAt      int64
}

type registerRow struct {
	bun.BaseModel `bun:"table:do_not_call_registers"`

	ID             string `bun:",pk"`
	OrganisationID string
	Name           string
	Digest         string
	Numbers        int64
	Bytes          int64
	AsOf           int64
	Asked          bool
	Stored         bool
	ImportedBy     string
	ImportedAt     int64
	ReplacedAt     int64
}

func listByID(ctx context.Context, tx *db.Tx, id string) (*listRow, error) {
	var row listRow
	err := tx.NewSelect().Model(&row).Where("organisation_id = ?", tx.OrgID()).Where("id = ?", id).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "there is no do-not-call list %q", id)
	}
	if err != nil {
		return nil, fmt.Errorf("select list: %w", err)
	}
	return &row, nil
}

// lockList finds a list and keeps others from changing it until the transaction ends.
func lockList(ctx context.Context, tx *db.Tx, id string) (*listRow, error) {
	if err := tx.Lock(ctx, "do-not-call list "+id); err != nil {
		return nil, err
	}
	return listByID(ctx, tx, id)
}

// ownList finds the organisation's own list, and makes it where there is none yet.
func ownList(ctx context.Context, tx *db.Tx, now int64) (*listRow, error) {
	for {
		var row listRow
		err := tx.NewSelect().Model(&row).Where("organisation_id = ?", tx.OrgID()).Where("own").Scan(ctx)
		if err == nil {
			return &row, nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return nil, fmt.Errorf("select the organisation's list: %w", err)
		}
		row = listRow{ID: newID(), OrganisationID: tx.OrgID(), Name: ownName, Description: "Who asked not to be called. No campaign calls them.", Scope: ScopeOrganisation, Own: true,
			Version: 1, CreatedAt: now, UpdatedAt: now}
		if err := free(ctx, tx, &row); err != nil {
			return nil, err
		}
		// Another process may be making it at this moment: its is as good.
		if _, err := tx.NewInsert().Model(&row).On("CONFLICT DO NOTHING").Exec(ctx); err != nil {
			return nil, fmt.Errorf("insert the organisation's list: %w", err)
		}
	}
}

// free gives the organisation's list another name where somebody took its usual one.
func free(ctx context.Context, tx *db.Tx, row *listRow) error {
	n, err := tx.NewSelect().Model((*listRow)(nil)).Where("organisation_id = ?", tx.OrgID()).Where("name = ?", row.Name).Count(ctx)
	if n > 0 {
		row.Name += " " + row.ID
	}
	return err
}

// grew notes that a list's numbers changed: how many there are, and that decisions see another list from now on.
func grew(ctx context.Context, tx *db.Tx, listID string, by, now int64) error {
	if by == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, "UPDATE do_not_call_lists SET version = version + 1, numbers = numbers + ?, updated_at = ? WHERE organisation_id = ? AND id = ?",
		by, now, tx.OrgID(), listID)
	if err != nil {
		return fmt.Errorf("count a list's numbers: %w", err)
	}
	return nil
}

// put adds numbers to a list, and gives how many were not on it.
func put(ctx context.Context, tx *db.Tx, rows []numberRow) (added int64, err error) {
	for chunk := range slices.Chunk(rows, rowsAtOnce) {
		res, err := tx.NewInsert().Model(&chunk).On("CONFLICT (organisation_id, number, list_id) DO NOTHING").Returning("NULL").Exec(ctx)
		if err != nil {
			return added, fmt.Errorf("insert numbers: %w", err)
		}
		n, err := res.RowsAffected()
		if err != nil {
			return added, err
		}
		added += n
	}
	return added, nil
}

// on gives where some numbers stand.
func on(ctx context.Context, tx *db.Tx, listID string, numbers []string) ([]numberRow, error) {
	var out []numberRow
	for chunk := range slices.Chunk(numbers, rowsAtOnce) {
		var rows []numberRow
		q := tx.NewSelect().Model(&rows).Where("organisation_id = ?", tx.OrgID()).Where("number IN (?)", bun.List(chunk))
		if listID != "" {
			q = q.Where("list_id = ?", listID)
		}
		if err := q.Scan(ctx); err != nil {
			return nil, fmt.Errorf("look numbers up: %w", err)
		}
		out = append(out, rows...)
	}
	return out, nil
}
