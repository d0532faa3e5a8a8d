package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// Snapshot is one database's copy.
type Snapshot struct {
	Path           string // of the copy
	OrganisationID string // "" is the master's
	Region         string
	Database       string // the file's name
}

// SnapshotTo copies every SQLite database into a folder while they are used: each copy is what one reader would have seen
// at one instant (https://www.sqlite.org/lang_vacuum.html#vacuuminto). Organisations' own databases come first, so that
// the master's copy knows of no organisation whose database was made later. PostgreSQL has its own tools.
func (d *DB) SnapshotTo(ctx context.Context, dir string) ([]Snapshot, error) {
	if d.master.dialect != SQLite {
		return nil, fault.New(fault.NotPossible, "on PostgreSQL use its own tools, such as pg_dump; see docs/backup.md")
	}
	var moving bool
	if err := d.run(ctx, d.master, scope{readOnly: true}, func(ctx context.Context, tx *Tx) (err error) {
		moving, err = tx.NewSelect().Model((*moveRow)(nil)).Exists(ctx)
		return err
	}); err != nil {
		return nil, err
	}
	if moving {
		return nil, fault.New(fault.Conflict, "an organisation is being moved: its rows are in two places; finish the move first")
	}
	ps, err := d.Placements(ctx)
	if err != nil {
		return nil, err
	}
	var out []Snapshot
	for _, p := range ps {
		if !p.own() || p.State != placeActive {
			continue
		}
		from, err := d.filePath(p)
		if err != nil {
			return nil, err
		}
		s := Snapshot{Path: filepath.Join(dir, p.Database), OrganisationID: p.OrganisationID, Region: p.Region, Database: p.Database}
		if err := vacuumInto(ctx, from, s.Path); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	s := Snapshot{Path: filepath.Join(dir, "parley.db"), Database: "parley.db"}
	return append(out, s), vacuumInto(ctx, d.master.path, s.Path)
}

func vacuumInto(ctx context.Context, from, to string) error {
	conn, err := sql.Open("sqlite", sqliteDSN(from, false, ownCacheKiB))
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // it only read
	if _, err := conn.ExecContext(ctx, "VACUUM INTO ?", to); err != nil {
		return fmt.Errorf("copy the database %s: %w", filepath.Base(from), err)
	}
	return nil
}

// CheckFile proves that a SQLite file is whole.
func CheckFile(ctx context.Context, path string) error {
	conn, err := sql.Open("sqlite", sqliteDSN(path, true, ownCacheKiB))
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // it only read
	var answer string
	if err := conn.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&answer); err != nil {
		return fmt.Errorf("check the database %s: %w", filepath.Base(path), err)
	}
	if answer != "ok" {
		return errors.New("the database " + filepath.Base(path) + " is damaged: " + answer)
	}
	return nil
}
