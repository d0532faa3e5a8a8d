package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
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
	db    *state
	st    *store
	tx    bun.Tx
	conn  *sql.Conn
	orgID string // "" is the system door
	facts int

	rights  ungated // on tenant tables
	refused error
}

type nestKey struct{ db *state }

// OrgID is the organisation the transaction is bound to, "" in the system door.
func (tx *Tx) OrgID() string { return tx.orgID }

// Now is the time by the database's clock.
func (tx *Tx) Now() time.Time { return tx.db.clock.Now() }

// Dialect is "sqlite" or "postgres".
func (tx *Tx) Dialect() string { return tx.st.dialect }

// InMaster reports whether the transaction is in the master's database, which is the shared one, too.
func (tx *Tx) InMaster() bool { return tx.st.name == "" }

// SQL is the transaction for libraries that take no other; they must neither commit nor roll it back.
func (tx *Tx) SQL() *sql.Tx { return tx.tx.Tx }

// Pgx runs fn on the transaction's own PostgreSQL connection, for libraries that speak pgx. They must neither commit
// nor roll back.
func (tx *Tx) Pgx(fn func(c *pgx.Conn) error) error {
	if tx.st.dialect != Postgres {
		return errors.New("db: Pgx on " + tx.st.dialect)
	}
	return tx.conn.Raw(func(c any) error { return fn(c.(interface{ Conn() *pgx.Conn }).Conn()) })
}

// InTenant runs fn in a write transaction bound to an organisation.
func (d *DB) InTenant(ctx context.Context, orgID string, fn func(ctx context.Context, tx *Tx) error) error {
	if orgID == "" {
		return errors.New("db: InTenant without an organisation")
	}
	return d.tenant(ctx, orgID, false, fn)
}

// ReadTenant runs fn in a read-only snapshot bound to an organisation. It never waits for writers.
func (d *DB) ReadTenant(ctx context.Context, orgID string, fn func(ctx context.Context, tx *Tx) error) error {
	if orgID == "" {
		return errors.New("db: ReadTenant without an organisation")
	}
	return d.tenant(ctx, orgID, true, fn)
}

// InSystem runs fn in a write transaction across organisations, in the master's database, which holds the rows of all
// that share it: see [DB.EachPlacement] for all of them. The reason is audited.
func (d *DB) InSystem(ctx context.Context, reason string, fn func(ctx context.Context, tx *Tx) error) error {
	if err := d.auditSystem(ctx, reason); err != nil {
		return err
	}
	return d.run(ctx, d.at(), scope{rights: d.rights()}, fn)
}

// ReadSystem is InSystem, read-only. It never waits for writers.
func (d *DB) ReadSystem(ctx context.Context, reason string, fn func(ctx context.Context, tx *Tx) error) error {
	if err := d.auditSystem(ctx, reason); err != nil {
		return err
	}
	return d.run(ctx, d.at(), scope{readOnly: true, rights: d.rights()}, fn)
}

// rights is what the system door may do with tenant tables.
func (d *DB) rights() ungated {
	if d.place {
		return mayRead
	}
	return mayNothing
}

func (d *DB) auditSystem(ctx context.Context, reason string) error {
	if reason == "" {
		return errors.New("db: the system door needs a reason")
	}
	d.log.DebugContext(ctx, "system door", "reason", reason)
	d.audit(ctx, reason)
	return nil
}

// scope is what a transaction is bound to.
type scope struct {
	orgID    string // "" is the system door
	readOnly bool
	gated    bool // the organisation may have moved away: see gate.go
	rights   ungated
}

func (s *state) run(ctx context.Context, st *store, sc scope, fn func(context.Context, *Tx) error) error {
	if !sc.readOnly && ctx.Value(nestKey{s}) != nil {
		return ErrNested
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, txTimeout)
		defer cancel()
	}
	pool := st.read
	if !sc.readOnly {
		pool = st.write
		if st.queue != nil {
			if err := st.queue.acquire(ctx); err != nil {
				return fmt.Errorf("wait for the database's writer: %w", err)
			}
			defer st.queue.release()
		}
		ctx = context.WithValue(ctx, nestKey{s}, true)
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		return &notBegun{fmt.Errorf("take a connection: %w", err), st.name != ""}
	}
	defer func() { _ = conn.Close() }() // back to the pool
	btx, err := conn.BeginTx(ctx, st.options(ctx, sc.readOnly))
	if err != nil {
		return &notBegun{fmt.Errorf("begin transaction: %w", err), st.name != ""}
	}
	tx := &Tx{IDB: btx, db: s, st: st, tx: btx, conn: conn.Conn, orgID: sc.orgID, rights: sc.rights}
	if sc.rights != mayAll {
		tx.IDB = guarded{btx, tx}
	}
	done := false
	defer func() {
		if !done { // an error, a panic or runtime.Goexit
			_ = btx.Rollback()
		}
	}()
	if err := tx.enter(ctx, sc); err != nil {
		return &notBegun{err, st.name != ""}
	}
	if err := fn(ctx, tx); err != nil || tx.refused != nil {
		return errors.Join(err, tx.refused)
	}
	if err := btx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	done = true
	if tx.facts > 0 {
		s.wakeRelay(st)
	}
	return nil
}

// enter binds a PostgreSQL transaction to its scope: set_config's third argument makes each setting end with
// the transaction (https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-ADMIN-SET), role included.
func (tx *Tx) enter(ctx context.Context, sc scope) error {
	if tx.st.dialect == SQLite {
		if sc.gated {
			return tx.passSQLite(ctx, sc)
		}
		return nil
	}
	system, gate := "off", "''"
	if sc.orgID == "" {
		system = "on"
	}
	if sc.gated {
		gate = "parley_gate(?, ?)"
	}
	args := []any{sc.orgID, system, appRole}
	if sc.gated {
		args = append(args, sc.orgID, !sc.readOnly)
	}
	var a, b, c, state string
	err := tx.NewRaw("SELECT set_config('app.current_tenant_id', ?, true), set_config('app.system', ?, true), set_config('role', ?, true), "+gate,
		args...).Scan(ctx, &a, &b, &c, &state)
	if err != nil {
		return fmt.Errorf("bind the transaction to its organisation (was the database migrated?): %w", err)
	}
	return gateError(state)
}
