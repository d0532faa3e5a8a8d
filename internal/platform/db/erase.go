package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// An organisation that is erased keeps a row in placements, in which nothing is but its id: who remembers where it was is
// sent there by the gate and told that it is gone, in every process, and its id is never given again.
const (
	placeErasing = "erasing" // nobody gets in any more; Within still does
	placeErased  = "erased"
)

var errErased = fault.New(fault.NotFound, "there is no such organisation: it was erased")

// standing refuses who comes to an organisation that is not there.
func (p *Placement) standing() error {
	switch p.State {
	case placeActive:
		return nil
	case placeErasing, placeErased:
		return errErased
	}
	return fault.New(fault.Unavailable, "the organisation's database is being made; try again in a moment")
}

// IsGone reports whether an error says that the organisation was erased: nothing more can be kept of it.
func IsGone(err error) bool { return errors.Is(err, errErased) }

// IsErased reports whether an organisation was erased, or is being erased.
func (d *DB) IsErased(ctx context.Context, orgID string) (bool, error) {
	p, err := d.Placement(ctx, orgID)
	return p.State == placeErasing || p.State == placeErased, err
}

// CloseForErasure keeps everybody out of an organisation from now on, readers and writers, in every process. Those that are
// in may finish: it waits for them. To close again changes nothing.
func (d *DB) CloseForErasure(ctx context.Context, orgID string) error {
	if moving, err := d.moveRow(ctx, orgID); err != nil || moving != nil {
		if err == nil {
			err = fault.New(fault.Conflict, "the organisation is being moved; finish the move, or abort it, first")
		}
		return err
	}
	p, err := d.Placement(ctx, orgID)
	if err != nil || p.State == placeErased {
		return err
	}
	if p.CreatedAt == 0 {
		p.CreatedAt = d.clock.Now().UnixMilli()
	}
	p.State, p.UpdatedAt = placeErasing, d.clock.Now().UnixMilli()
	if err := d.savePlacement(ctx, p); err != nil {
		return err
	}
	if err := d.setGate(ctx, d.master, orgID, gateGone, time.Time{}, nil); err != nil || !p.own() {
		return err
	}
	st, done, err := d.pools.take(ctx, p, passing)
	if err != nil {
		return err
	}
	defer done()
	return d.setGate(ctx, st, orgID, gateGone, time.Time{}, nil)
}

// EraseRows deletes an organisation's rows in the tables of tenants, or its database, with the facts that wait to be
// published and its names. Nobody must be in it: see CloseForErasure. It may be called again.
func (d *DB) EraseRows(ctx context.Context, orgID string) error {
	tables, err := d.Tables(ctx, Tenant)
	if err != nil {
		return err
	}
	p, err := d.Placement(ctx, orgID)
	if err != nil {
		return err
	}
	if p.own() {
		d.pools.drop(orgID)
		if err := d.dropOwn(ctx, p); err != nil {
			return err
		}
	}
	if err := d.empty(ctx, d.master, orgID, tables); err != nil {
		return err
	}
	return d.run(ctx, d.master, scope{}, func(ctx context.Context, tx *Tx) error {
		for _, table := range []string{"outbox", "org_changes", "org_names", "org_moves", "org_moves_past"} {
			if _, err := tx.NewRaw("DELETE FROM ? WHERE organisation_id = ?", bun.Ident(table), orgID).Exec(ctx); err != nil {
				return fmt.Errorf("delete from %s: %w", table, err)
			}
		}
		return nil
	})
}

// Closed runs fn in a read-only transaction of an organisation that is closed, where it was.
func (d *DB) Closed(ctx context.Context, orgID string, fn func(ctx context.Context, tx *Tx) error) error {
	p, err := d.Placement(ctx, orgID)
	if err != nil {
		return err
	}
	if p.State != placeErasing {
		return fault.New(fault.NotPossible, "the organisation is not closed")
	}
	st := d.master
	if p.own() {
		own, done, err := d.pools.take(ctx, p, passing)
		if err != nil {
			return err
		}
		defer done()
		st = own
	}
	return d.run(ctx, st, scope{orgID: orgID, readOnly: true}, fn)
}

// Left counts the rows that an organisation still has in the master's database, by table; tables with none are left out. An
// own database of it counts as a table of that name.
func (d *DB) Left(ctx context.Context, orgID string, except ...string) (map[string]int64, error) {
	left := map[string]int64{}
	var tables []Table
	for _, sc := range []Scope{Master, Tenant} {
		ts, err := d.Tables(ctx, sc)
		if err != nil {
			return nil, err
		}
		tables = append(tables, ts...)
	}
	tables = append(tables, Table{Name: "outbox", Tenant: true}, Table{Name: "org_changes", Tenant: true})
	for i := range tables {
		t := &tables[i]
		if !t.Tenant || slices.Contains(except, t.Name) {
			continue
		}
		err := d.run(ctx, d.master, scope{readOnly: true}, func(ctx context.Context, tx *Tx) error {
			n, err := t.count(ctx, tx, orgID)
			if n > 0 {
				left[t.Name] = n
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return left, nil
}

// Bury leaves of an erased organisation only that there was one.
func (d *DB) Bury(ctx context.Context, orgID string) error {
	now := d.clock.Now().UnixMilli()
	return d.savePlacement(ctx, Placement{OrganisationID: orgID, Placement: Shared, State: placeErased, CreatedAt: now, UpdatedAt: now})
}

// Unplace takes back CreatePlacement for an organisation that came to nothing, with all its rows.
func (d *DB) Unplace(ctx context.Context, orgID string) error {
	if err := d.EraseRows(ctx, orgID); err != nil {
		return err
	}
	err := d.run(ctx, d.master, scope{}, func(ctx context.Context, tx *Tx) error {
		_, err := tx.NewDelete().Model((*Placement)(nil)).Where("organisation_id = ?", orgID).Exec(ctx)
		return err
	})
	d.dir.forget(orgID)
	return errors.Join(err, d.setGate(ctx, d.master, orgID, "", time.Time{}, nil))
}

// Overwriting has SQLite overwrite what is deleted (https://www.sqlite.org/pragma.html#pragma_secure_delete) until the
// function is called.
func (d *DB) Overwriting(ctx context.Context) (func(), error) {
	if d.master.dialect != SQLite {
		return func() {}, nil
	}
	set := func(ctx context.Context, on int) error {
		conn, done, err := d.master.migrationDB(ctx)
		if err != nil {
			return err
		}
		defer done()
		_, err = conn.ExecContext(ctx, fmt.Sprintf("PRAGMA secure_delete = %d", on))
		return err
	}
	if err := set(ctx, 1); err != nil {
		return nil, err
	}
	return func() { _ = set(context.WithoutCancel(ctx), 0) }, nil // the next connection does without anyway
}

// Scrub makes the master's database forget deleted rows in its files, too: on SQLite the write-ahead log is emptied, and with
// rewrite the file is written anew, without what lay in its unused places; on PostgreSQL dead rows are vacuumed.
func (d *DB) Scrub(ctx context.Context, rewrite bool) error {
	if d.master.dialect == Postgres {
		tables, err := d.Tables(ctx, Tenant)
		if err != nil {
			return err
		}
		conn, done, err := d.master.migrationDB(ctx)
		if err != nil {
			return err
		}
		defer done()
		for _, t := range tables {
			if _, err := conn.ExecContext(ctx, "VACUUM "+quote(t.Name)); err != nil {
				return fmt.Errorf("vacuum %s: %w", t.Name, err)
			}
		}
		return nil
	}
	if rewrite {
		// On a connection of its own: the others keep temporary tables in memory.
		conn, err := sql.Open("sqlite", sqliteDSN(d.master.path, false, ownCacheKiB)+"&_pragma=temp_store(FILE)")
		if err != nil {
			return err
		}
		conn.SetMaxOpenConns(1)
		_, err = conn.ExecContext(ctx, "VACUUM")
		if err = errors.Join(err, conn.Close()); err != nil {
			return fmt.Errorf("write the database anew: %w", err)
		}
	}
	conn, done, err := d.master.migrationDB(ctx)
	if err != nil {
		return err
	}
	defer done()
	var busy, logged, moved int
	if err := conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &logged, &moved); err != nil {
		return fmt.Errorf("empty the write-ahead log: %w", err)
	}
	if busy != 0 {
		return fault.New(fault.Unavailable, "somebody reads the database; the write-ahead log cannot be emptied yet")
	}
	return nil
}

// Files lists the files of the databases on SQLite; none on PostgreSQL.
func (d *DB) Files(ctx context.Context) ([]string, error) {
	if d.master.dialect != SQLite {
		return nil, nil
	}
	files := []string{d.master.path, d.master.path + "-wal"}
	ps, err := d.Placements(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range ps {
		if !p.own() || p.Database == "" {
			continue
		}
		path, err := d.filePath(p)
		if err != nil {
			return nil, err
		}
		files = append(files, filepath.Clean(path), filepath.Clean(path)+"-wal")
	}
	return files, nil
}
