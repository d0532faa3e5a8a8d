package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// The gate is a row in the very database that a transaction is in, read by the transaction itself: what a process
// remembers of where an organisation is may be old, the gate is not. "gone" sends readers and writers on to where the
// organisation is now; "closed" lets readers in and has writers wait, for the moment in which it is moved. On SQLite
// a write transaction is alone anyway; on PostgreSQL parley_gate takes a lock that whoever closes the gate must have alone.
const (
	gateClosed = "closed"
	gateGone   = "gone"

	gateLock  = 1885433191 // held by writers until they commit; see migrations/postgres/00002_gate.sql
	readLock  = 1885433192 // by readers
	gatePoll  = 10 * time.Millisecond
	gateRetry = 200 * time.Millisecond
)

var (
	errGone   = errors.New("db: the organisation is in another database now")
	errClosed = errors.New("db: the organisation is just being moved")
)

// notBegun is an error from before the transaction's function ran.
type notBegun struct {
	error
	own bool // in an own database
}

// Unwrap gives the cause.
func (e *notBegun) Unwrap() error { return e.error }

func gateError(state string) error {
	switch state {
	case gateGone:
		return errGone
	case gateClosed:
		return errClosed
	}
	return nil
}

func (tx *Tx) passSQLite(ctx context.Context, sc scope) error {
	var state string
	var until int64
	err := tx.NewRaw("SELECT state, until FROM org_gate WHERE organisation_id = ?", sc.orgID).Scan(ctx, &state, &until)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("read the organisation's gate (was the database migrated?): %w", err)
	case state == gateClosed && (sc.readOnly || until <= tx.db.clock.Now().UnixMilli()):
		return nil
	}
	return gateError(state)
}

// tenant runs fn where the organisation is.
func (d *DB) tenant(ctx context.Context, orgID string, readOnly bool, fn func(context.Context, *Tx) error) error {
	if d.pin != nil && !d.place {
		return d.run(ctx, d.pin, scope{orgID: orgID, readOnly: readOnly, rights: mayNothing}, fn)
	}
	if !readOnly && ctx.Value(nestKey{d.state}) != nil {
		return ErrNested
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, txTimeout)
		defer cancel()
	}
	for failed := ""; ; {
		err := d.once(ctx, orgID, readOnly, fn)
		var away *notBegun
		switch {
		case errors.Is(err, errClosed):
		case errors.Is(err, errGone) && d.pin != nil:
			return err
		case errors.Is(err, errGone):
			d.leave(orgID)
		case errors.As(err, &away) && away.own && d.pin == nil && away.Error() != failed && ctx.Err() == nil:
			// Its database may have been removed after it was moved: look where it is now, and try again unless it is the same.
			failed = away.Error()
			d.leave(orgID)
			continue
		default:
			return err
		}
		if d.pause(ctx, gatePoll, "gate") != nil {
			return fault.Wrap(fault.Unavailable, err, "the organisation is just being moved; try again in a moment")
		}
	}
}

// pause waits for a while, or gives why not. The tag is for tests that hold the clock.
func (s *state) pause(ctx context.Context, d time.Duration, tag string) error {
	t := s.clock.NewTimer(d, "db", tag)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// leave forgets where an organisation was.
func (d *DB) leave(orgID string) {
	d.dir.forget(orgID)
	d.pools.drop(orgID)
}

func (d *DB) once(ctx context.Context, orgID string, readOnly bool, fn func(context.Context, *Tx) error) error {
	if d.pin != nil { // it must be here
		return d.run(ctx, d.pin, scope{orgID: orgID, readOnly: readOnly, gated: true}, fn)
	}
	st, done, err := d.reach(ctx, orgID)
	if err != nil {
		return err
	}
	defer done()
	return d.run(ctx, st, scope{orgID: orgID, readOnly: readOnly, gated: true}, fn)
}

// setGate writes an organisation's gate in a database, "" to open it. check, if given, runs in the same transaction,
// while nobody else writes for the organisation.
func (s *state) setGate(ctx context.Context, st *store, orgID, state string, until time.Time, check func(context.Context, *sql.Tx) error) error {
	conn, done, err := st.migrationDB(ctx) // as the owner: parley_app has no rights on the gate
	if err != nil {
		return err
	}
	defer done()
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if st.dialect == Postgres {
		// Who waits for the lock alone keeps others from sharing it: not for long.
		if _, err := tx.ExecContext(ctx, fmt.Sprintf("SET LOCAL lock_timeout = %d", gateRetry.Milliseconds()*10)); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1, hashtext($2))", gateLock, orgID); err != nil {
			return fmt.Errorf("close the organisation's gate: %w", err)
		}
	}
	if check != nil {
		if err := check(ctx, tx); err != nil {
			return err
		}
	}
	if state == "" {
		_, err = tx.ExecContext(ctx, "DELETE FROM org_gate WHERE organisation_id = $1", orgID)
	} else {
		_, err = tx.ExecContext(ctx, `INSERT INTO org_gate (organisation_id, state, until) VALUES ($1, $2, $3)
			ON CONFLICT (organisation_id) DO UPDATE SET state = excluded.state, until = excluded.until`, orgID, state, until.UnixMilli())
	}
	if err != nil {
		return fmt.Errorf("write the organisation's gate: %w", err)
	}
	return tx.Commit()
}
