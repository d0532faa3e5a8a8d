package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// A database user that owns nothing brings no schema up to date. It waits until the one who may has done so, and looks at
// the tables that goose notes its versions in: parley_app may read them.

const (
	followTimeout = time.Minute
	followEvery   = 250 * time.Millisecond
	ownFollow     = 5 * time.Second // for an organisation's own database; whoever waits is answered then
)

// owned reports whether our user may bring the schema up to date: where there are tables who may note a version, where there
// are none who may make them.
func (s *store) owned(ctx context.Context) (may bool, err error) {
	if s.dialect != Postgres {
		return true, nil
	}
	err = s.read.DB.QueryRowContext(ctx, `SELECT coalesce(has_table_privilege(to_regclass('goose_platform'), 'INSERT'),
		has_schema_privilege(current_schema(), 'CREATE'), false)`).Scan(&may)
	if err != nil {
		return false, fmt.Errorf("may the database user change the schema: %w", err)
	}
	return may, nil
}

// denied reports whether the user lacks a right: insufficient_privilege.
func denied(err error) bool {
	var state interface{ SQLState() string }
	return errors.As(err, &state) && state.SQLState() == "42501"
}

// follow waits until the schema is as new as ms.
func (s *state) follow(ctx context.Context, st *store, ms []Migrations, all []string) error {
	most := followTimeout
	if st != s.master {
		most = ownFollow
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	tick := s.clock.NewTicker(followEvery, "db", "follow")
	defer tick.Stop()
	for {
		done, err := st.upToDate(ctx, ms, all)
		if done || fault.Is(err, fault.Unavailable) { // it is, or is newer than we are
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if err == nil {
				err = errors.New("its tables are older than this program")
			}
			return fault.Wrap(fault.Unavailable, err, "%s is not up to date, and this process's database user may not change that; start a process with the worker role, whose user owns the tables", st.called())
		}
	}
}

// showVersions lets parley_app, and so every user of Parley's, read how new the schema is. Processes that start together do
// it once.
func showVersions(ctx context.Context, conn *sql.DB, ms []Migrations) error {
	for _, m := range ms {
		var shown bool
		table := quote(versionTables + m.Context)
		err := conn.QueryRowContext(ctx, "SELECT has_table_privilege('parley_app', $1, 'SELECT')", table).Scan(&shown)
		if err == nil && !shown {
			err = showTable(ctx, conn, table)
		}
		if err != nil {
			return fmt.Errorf("let others see the version of %s: %w", m.Context, err)
		}
	}
	return nil
}

func showTable(ctx context.Context, conn *sql.DB, table string) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after Commit it says that there is nothing to do
	// Two that grant on one table at once disturb each other.
	if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(hashtext($1))", "parley versions"); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "GRANT SELECT ON "+table+" TO parley_app"); err != nil {
		return err
	}
	return tx.Commit()
}
