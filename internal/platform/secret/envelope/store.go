package envelope

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/db"
)

//go:embed migrations
var migrations embed.FS

// Migrations is the history of the tables.
func Migrations() db.Migrations {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return db.Migrations{Context: "envelope", FS: sub, Scope: db.Master}
}

// States of a data key.
const (
	stateActive  = "active"
	stateOld     = "old"
	stateRetired = "retired"
)

type keyRow struct {
	bun.BaseModel `bun:"table:data_keys,alias:k"`

	OrganisationID string `bun:"organisation_id,pk"`
	KeyID          string `bun:"key_id,pk"`
	Version        int64  `bun:"version"`
	State          string `bun:"state"`
	WrapperID      string `bun:"wrapper_id"`
	Wrapped        []byte `bun:"wrapped"`
	Fingerprint    string `bun:"fingerprint"`
	CreatedAt      int64  `bun:"created_at"`
	ChangedAt      int64  `bun:"changed_at"`
}

// aad binds a wrapped key to its row.
func (r *keyRow) aad() string { return r.OrganisationID + "/" + r.KeyID }

type tombstoneRow struct {
	bun.BaseModel `bun:"table:data_key_tombstones"`

	OrganisationID string `bun:"organisation_id,pk"`
	ShreddedAt     int64  `bun:"shredded_at"`
	Keys           string `bun:"keys"`
}

type stateRow struct {
	bun.BaseModel `bun:"table:data_key_state"`

	ID        int64  `bun:"id,pk"`
	WrapperID string `bun:"wrapper_id"`
	Changes   int64  `bun:"changes"`
	Adopted   bool   `bun:"adopted"`
}

type keptRow struct {
	bun.BaseModel `bun:"table:kept_secrets"`

	Name      string `bun:"name,pk"`
	Sealed    []byte `bun:"sealed"`
	CreatedAt int64  `bun:"created_at"`
}

func (k *Keyring) read(ctx context.Context, fn func(ctx context.Context, tx *db.Tx) error) error {
	return k.c.DB.Master().ReadSystem(ctx, "read the data keys", fn)
}

func (k *Keyring) write(ctx context.Context, fn func(ctx context.Context, tx *db.Tx) error) error {
	return k.c.DB.Master().InSystem(ctx, "change the data keys", fn)
}

// noRow makes "not there" a nil.
func noRow[T any](r *T, err error) (*T, error) {
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

func stateOf(ctx context.Context, tx *db.Tx) (*stateRow, error) {
	var s stateRow
	return noRow(&s, tx.NewSelect().Model(&s).Where("id = 1").Scan(ctx))
}

func tombstoneOf(ctx context.Context, tx *db.Tx, org string) (*tombstoneRow, error) {
	var t tombstoneRow
	return noRow(&t, tx.NewSelect().Model(&t).Where("organisation_id = ?", org).Scan(ctx))
}

func rowsOf(ctx context.Context, tx *db.Tx, org string) (rows []keyRow, err error) {
	err = tx.NewSelect().Model(&rows).Where("organisation_id = ?", org).Order("version").Scan(ctx)
	return rows, err
}

// changed tells other processes that what they have in memory may be over.
func changed(ctx context.Context, tx *db.Tx) error {
	_, err := tx.NewUpdate().Model((*stateRow)(nil)).Set("changes = changes + 1").Where("id = 1").Exec(ctx)
	return err
}

// lock makes transactions that change an organisation's keys, or what wraps, wait for each other.
func lock(ctx context.Context, tx *db.Tx, org string) error {
	if err := tx.Lock(ctx, "data key wrapper"); err != nil {
		return err
	}
	return tx.Lock(ctx, "data keys "+org)
}

func (k *Keyring) readState(ctx context.Context) (*stateRow, error) {
	var s *stateRow
	err := k.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		s, err = stateOf(ctx, tx)
		return err
	})
	if err == nil && s == nil {
		err = errors.New("envelope: Start has not run")
	}
	if err != nil {
		return nil, fmt.Errorf("read the state of the data keys: %w", err)
	}
	return s, nil
}

// currentWrapper gives the id of what wraps new keys, and in a new installation makes it that of the settings.
func (k *Keyring) currentWrapper(ctx context.Context) (string, error) {
	s, err := k.readState(ctx)
	if err == nil {
		return s.WrapperID, nil
	}
	err = k.write(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		_, err = tx.NewInsert().Model(&stateRow{ID: 1, WrapperID: k.c.Wrapper.ID()}).On("CONFLICT (id) DO NOTHING").Exec(ctx)
		if err != nil {
			return err
		}
		s, err = stateOf(ctx, tx)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("begin to keep data keys: %w", err)
	}
	return s.WrapperID, nil
}
