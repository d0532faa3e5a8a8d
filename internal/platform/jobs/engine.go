package jobs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/parley-voice/parley/internal/platform/db"
)

// pgConns are River's own connections: one listens, the others fetch and complete jobs.
const pgConns = 6

// migrateLock is the advisory lock of Migrate.
const migrateLock = 0x6a6f6273 // "jobs"

// access lets an organisation's transactions insert jobs of their own and see no others. River's own connections are the
// owner's, to which row level security does not apply.
const access = `
GRANT SELECT, INSERT, UPDATE ON river_job TO parley_app;
GRANT USAGE ON SEQUENCE river_job_id_seq TO parley_app;
ALTER TABLE river_job ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON river_job TO parley_app USING (
  args->>'organisationId' = nullif(current_setting('app.current_tenant_id', true), '')
  OR current_setting('app.system', true) = 'on')`

// on is River on a driver whose transactions are T.
type on[T any] struct {
	c      Config
	driver riverdriver.Driver[T]
	client *river.Client[T]                        // inserts only
	runner *river.Client[T]                        // works; nil before start
	bind   func(tx *db.Tx, fn func(T) error) error // gives the database's transaction to River
	pool   *pgxpool.Pool                           // nil on SQLite
}

func newEngine(ctx context.Context, c Config) (engine, error) {
	if c.DB.Dialect() == db.SQLite {
		return newOn(&on[*sql.Tx]{c: c, driver: riversqlite.New(c.DB.WriterSQL()),
			bind: func(tx *db.Tx, fn func(*sql.Tx) error) error { return fn(tx.SQL()) }})
	}
	conf, err := pgxpool.ParseConfig(c.DB.URL())
	if err != nil {
		return nil, err
	}
	conf.MaxConns = pgConns
	pool, err := pgxpool.NewWithConfig(ctx, conf)
	if err != nil {
		return nil, err
	}
	e, err := newOn(&on[pgx.Tx]{c: c, driver: riverpgxv5.New(pool), pool: pool, bind: func(tx *db.Tx, fn func(pgx.Tx) error) error {
		return tx.Pgx(func(conn *pgx.Conn) error { return fn(&borrowed{conn: conn}) })
	}})
	if err != nil {
		pool.Close()
	}
	return e, err
}

func newOn[T any](e *on[T]) (engine, error) {
	var err error
	e.client, err = river.NewClient(e.driver, &river.Config{Logger: e.c.Log})
	return e, err
}

func (e *on[T]) insert(ctx context.Context, tx *db.Tx, args river.JobArgs, o *river.InsertOpts) error {
	return e.bind(tx, func(t T) error {
		_, err := e.client.InsertTx(ctx, t, args, o)
		return err
	})
}

func (e *on[T]) start(ctx context.Context, c *river.Config) error {
	if e.pool == nil {
		// SQLite has one process: it is asked, and not told.
		c.PollOnly, c.FetchPollInterval, c.FetchCooldown = true, e.c.Poll, min(e.c.Poll, river.FetchCooldownDefault)
	}
	c.SoftStopTimeout = softStop
	r, err := river.NewClient(e.driver, c)
	if err != nil {
		return err
	}
	if err := r.Start(ctx); err != nil {
		return err
	}
	e.runner = r
	return nil
}

func (e *on[T]) stop(ctx context.Context) error { return e.runner.Stop(ctx) }

func (e *on[T]) close() {
	if e.pool != nil {
		e.pool.Close()
	}
}

func (e *on[T]) migrate(ctx context.Context) error {
	m, err := rivermigrate.New(e.driver, &rivermigrate.Config{Logger: e.c.Log})
	if err != nil {
		return err
	}
	if e.pool == nil {
		_, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil)
		return err
	}
	conn, err := e.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", migrateLock); err != nil {
		return err
	}
	defer func() { _, _ = conn.Exec(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", migrateLock) }()
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	var done bool
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = current_schema() AND tablename = 'river_job' AND policyname = 'tenant')").Scan(&done)
	if err != nil || done {
		return err
	}
	if _, err := conn.Exec(ctx, access); err != nil {
		return fmt.Errorf("grant the queue (was the database migrated first?): %w", err)
	}
	return nil
}

// borrowed is a transaction that database/sql began, as pgx knows transactions. River only runs statements in it.
type borrowed struct {
	pgx.Tx // nil: what River does not use
	conn   *pgx.Conn
}

var errBorrowed = errors.New("jobs: the transaction is the database's to end")

// Exec implements pgx.Tx.
func (b *borrowed) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return b.conn.Exec(ctx, sql, described(args)...)
}

// Query implements pgx.Tx.
func (b *borrowed) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return b.conn.Query(ctx, sql, described(args)...)
}

// QueryRow implements pgx.Tx.
func (b *borrowed) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return b.conn.QueryRow(ctx, sql, described(args)...)
}

// described asks pgx to let the server tell the types of arguments and columns: the connection's own mode is the simple
// protocol, whose text River's arrays and enums do not fit.
func described(args []any) []any {
	return append([]any{pgx.QueryExecModeDescribeExec}, args...)
}

// Conn implements pgx.Tx.
func (b *borrowed) Conn() *pgx.Conn { return b.conn }

// Begin implements pgx.Tx.
func (*borrowed) Begin(context.Context) (pgx.Tx, error) { return nil, errBorrowed }

// Commit implements pgx.Tx.
func (*borrowed) Commit(context.Context) error { return errBorrowed }

// Rollback implements pgx.Tx.
func (*borrowed) Rollback(context.Context) error { return errBorrowed }
