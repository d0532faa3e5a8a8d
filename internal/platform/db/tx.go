package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
)

// txTimeout ends a transaction whose context has no deadline of its own.
const txTimeout = 30 * time.Second

// appRole is who PostgreSQL transactions run as; see migrations/postgres.
const appRole = "parley_app"

// ErrNested is returned for a write transaction begun inside another one. On SQLite it would wait for itself for
// ever, so it is refused on both engines: hand the Tx down instead.
var ErrNested = errors.New("db: a write transaction is already open in this context; use its Tx")

// Tx is a transaction with its scope. It embeds bun's query builders; it commits when the function that got it
// returns nil, and rolls back on an error or a panic. It must not be kept or used by other goroutines.
type Tx struct {
	bun.IDB
	db    *DB
	tx    bun.Tx
	conn  *sql.Conn
	orgID string // "" is the system door
	facts int
}

type nestKey struct{ db *DB }

// OrgID is the organisation the transaction is bound to, "" in the system door.
func (tx *Tx) OrgID() string { return tx.orgID }

// Now is the time by the database's clock.
func (tx *Tx) Now() time.Time { return tx.db.clock.Now() }

// Dialect is "sqlite" or "postgres".
func (tx *Tx) Dialect() string { return tx.db.dialect }

// SQL is the transaction for libraries that take no other; they must neither commit nor roll it back.
func (tx *Tx) SQL() *sql.Tx { return tx.tx.Tx }

// Pgx runs fn on the transaction's own PostgreSQL connection, for libraries that speak pgx. They must neither commit
// nor roll back.
func (tx *Tx) Pgx(fn func(c *pgx.Conn) error) error {
	if tx.db.dialect != Postgres {
		return errors.New("db: Pgx on " + tx.db.dialect)
	}
	return tx.conn.Raw(func(c any) error { return fn(c.(*stdlib.Conn).Conn()) })
}

// InTenant runs fn in a write transaction bound to an organisation.
func (d *DB) InTenant(ctx context.Context, orgID string, fn func(ctx context.Context, tx *Tx) error) error {
	if orgID == "" {
		return errors.New("db: InTenant without an organisation")
	}
	return d.run(ctx, orgID, false, fn)
}

// ReadTenant runs fn in a read-only snapshot bound to an organisation. It never waits for writers.
func (d *DB) ReadTenant(ctx context.Context, orgID string, fn func(ctx context.Context, tx *Tx) error) error {
	if orgID == "" {
		return errors.New("db: ReadTenant without an organisation")
	}
	return d.run(ctx, orgID, true, fn)
}

// InSystem runs fn in a write transaction across organisations. The reason is audited.
func (d *DB) InSystem(ctx context.Context, reason string, fn func(ctx context.Context, tx *Tx) error) error {
	if err := d.auditSystem(ctx, reason); err != nil {
		return err
	}
	return d.run(ctx, "", false, fn)
}

// ReadSystem runs fn in a read-only snapshot across organisations. The reason is audited.
func (d *DB) ReadSystem(ctx context.Context, reason string, fn func(ctx context.Context, tx *Tx) error) error {
	if err := d.auditSystem(ctx, reason); err != nil {
		return err
	}
	return d.run(ctx, "", true, fn)
}

func (d *DB) auditSystem(ctx context.Context, reason string) error {
	if reason == "" {
		return errors.New("db: the system door needs a reason")
	}
	d.log.DebugContext(ctx, "system door", "reason", reason)
	d.audit(ctx, reason)
	return nil
}

func (d *DB) run(ctx context.Context, orgID string, readOnly bool, fn func(context.Context, *Tx) error) error {
	if !readOnly && ctx.Value(nestKey{d}) != nil {
		return ErrNested
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, txTimeout)
		defer cancel()
	}
	pool := d.read
	if !readOnly {
		pool = d.write
		if d.queue != nil {
			if err := d.queue.acquire(ctx); err != nil {
				return fmt.Errorf("wait for the database's writer: %w", err)
			}
			defer d.queue.release()
		}
		ctx = context.WithValue(ctx, nestKey{d}, true)
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		return fmt.Errorf("take a connection: %w", err)
	}
	defer func() { _ = conn.Close() }() // back to the pool
	btx, err := conn.BeginTx(ctx, &sql.TxOptions{ReadOnly: readOnly})
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	tx := &Tx{IDB: btx, db: d, tx: btx, conn: conn.Conn, orgID: orgID}
	done := false
	defer func() {
		if !done { // an error, a panic or runtime.Goexit
			_ = btx.Rollback()
		}
	}()
	if err := tx.enter(ctx); err != nil {
		return err
	}
	if err := fn(ctx, tx); err != nil {
		return err
	}
	if err := btx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	done = true
	if tx.facts > 0 {
		d.wakeRelay()
	}
	return nil
}

// enter binds a PostgreSQL transaction to its scope: set_config's third argument makes each setting end with
// the transaction (https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-ADMIN-SET), role included.
func (tx *Tx) enter(ctx context.Context) error {
	if tx.db.dialect != Postgres {
		return nil
	}
	system := "off"
	if tx.orgID == "" {
		system = "on"
	}
	_, err := tx.ExecContext(ctx, "SELECT set_config('app.current_tenant_id', ?, true), set_config('app.system', ?, true), set_config('role', ?, true)",
		tx.orgID, system, appRole)
	if err != nil {
		return fmt.Errorf("bind the transaction to its organisation (was the database migrated?): %w", err)
	}
	return nil
}
