package db

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations
var ownMigrations embed.FS

const migrateTimeout = 5 * time.Minute

// Migrations is one context's history of its tables.
type Migrations struct {
	Context string // names the version table: goose_<context>
	FS      fs.FS  // has sqlite/*.sql and postgres/*.sql, in goose's format
}

// Migrate brings the schema up to date: the platform's own tables first, then each context in the order given.
// Processes that start together wait for each other.
func (d *DB) Migrate(ctx context.Context, ms ...Migrations) error {
	ctx, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	own, err := fs.Sub(ownMigrations, "migrations")
	if err != nil {
		return fmt.Errorf("platform migrations: %w", err)
	}
	conn, done, err := d.migrationDB(ctx)
	if err != nil {
		return err
	}
	defer done()
	for _, m := range append([]Migrations{{Context: "platform", FS: own}}, ms...) {
		if err := d.migrateOne(ctx, conn, m); err != nil {
			return fmt.Errorf("migrate %s: %w", m.Context, err)
		}
	}
	return nil
}

// migrationDB gives the connections to migrate with. SQLite's is the one writer, held for the whole time.
// PostgreSQL's are their own, as the owner, with the system door open for changes of rows.
func (d *DB) migrationDB(ctx context.Context) (*sql.DB, func(), error) {
	if d.dialect == SQLite {
		if err := d.queue.acquire(ctx); err != nil {
			return nil, nil, fmt.Errorf("wait for the database's writer: %w", err)
		}
		return d.write.DB, d.queue.release, nil
	}
	conf, err := pgx.ParseConfig(d.url)
	if err != nil {
		return nil, nil, fmt.Errorf("database url: %w", err)
	}
	system := stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, "SET app.system = 'on'")
		return err
	})
	conn := stdlib.OpenDB(*conf, system)
	return conn, func() { _ = conn.Close() }, nil
}

func (d *DB) migrateOne(ctx context.Context, conn *sql.DB, m Migrations) error {
	if m.Context == "" || m.FS == nil {
		return errors.New("Migrations needs Context and FS")
	}
	sub, err := fs.Sub(m.FS, d.dialect)
	if err != nil {
		return err
	}
	opts := []goose.ProviderOption{
		goose.WithTableName("goose_" + m.Context),
		goose.WithDisableGlobalRegistry(true),
		goose.WithLogger(goose.NopLogger()),
	}
	dialect := goose.DialectSQLite3
	if d.dialect == Postgres {
		dialect = goose.DialectPostgres
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 120))
		if err != nil {
			return err
		}
		opts = append(opts, goose.WithSessionLocker(locker))
	}
	p, err := goose.NewProvider(dialect, conn, sub, opts...)
	if err != nil {
		return err
	}
	res, err := p.Up(ctx)
	if err != nil {
		return err
	}
	for _, r := range res {
		d.log.InfoContext(ctx, "migrated", "context", m.Context, "file", r.Source.Path, "took", r.Duration)
	}
	return nil
}
