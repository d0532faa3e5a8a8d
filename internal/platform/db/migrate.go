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

// Scope says whose tables a context's are.
type Scope int

// The scopes.
const (
	// Tenant tables hold organisations' own data: they are in the shared database and in each own one.
	Tenant Scope = iota
	// Master tables are in the master's database only: who organisations and people are, sessions, the platform's own.
	Master
)

// Migrations is one context's history of its tables.
type Migrations struct {
	Context string // names the version table: goose_<context>
	FS      fs.FS  // has sqlite/*.sql and postgres/*.sql, in goose's format
	Scope   Scope
	// Names are the columns whose values outsiders use without naming an organisation: see [DB.Claim].
	Names []Name
	// Installation names tables of a Tenant context that are the master's all the same, such as the platform's log beside
	// the organisations': reached through the system door, and never moved. Each own database has an empty twin.
	Installation []string
}

// Migrate brings the schema up to date: the platform's own tables first, then each context in the order given.
// Processes that start together wait for each other. Organisations' own databases follow when they are opened.
func (d *DB) Migrate(ctx context.Context, ms ...Migrations) error {
	ctx, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	own, err := ownSets()
	if err != nil {
		return err
	}
	ms = append(own, ms...)
	if err := d.migrateStore(ctx, d.master, ms, contexts(ms)); err != nil {
		return err
	}
	d.schema.Lock()
	d.schema.ms, d.schema.tables = ms, nil
	d.schema.Unlock()
	if err := d.noteTenantTables(ms); err != nil {
		return err
	}
	return d.noteNames(ctx)
}

// ownSets are the platform's own tables: those of every database, and those of the master's.
func ownSets() ([]Migrations, error) {
	platform, err1 := fs.Sub(ownMigrations, "migrations")
	master, err2 := fs.Sub(ownMigrations, "migrations/master")
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("platform migrations: %w", err)
	}
	return []Migrations{{Context: "platform", FS: platform}, {Context: "placement", FS: master, Scope: Master}}, nil
}

// tenantSets are those that an organisation's own database has, and the names of all contexts.
func (s *state) tenantSets() (out []Migrations, all []string, err error) {
	s.schema.Lock()
	defer s.schema.Unlock()
	if s.schema.ms == nil {
		return nil, nil, errors.New("db: Migrate comes before an organisation's own database")
	}
	for _, m := range s.schema.ms {
		if m.Scope == Tenant {
			out = append(out, m)
		}
	}
	return out, contexts(s.schema.ms), nil
}

func contexts(ms []Migrations) (names []string) {
	for _, m := range ms {
		names = append(names, m.Context)
	}
	return names
}

// migrateStore brings a database up to date, unless it is. all are the names of the contexts that this program has.
func (s *state) migrateStore(ctx context.Context, st *store, ms []Migrations, all []string) error {
	done, err := st.upToDate(ctx, ms, all)
	if done || err != nil && !denied(err) {
		return err
	}
	if may, err := st.owned(ctx); err != nil {
		return err
	} else if !may {
		return s.follow(ctx, st, ms, all)
	}
	conn, release, err := st.migrationDB(ctx)
	if err != nil {
		return err
	}
	defer release()
	for _, m := range ms {
		if err := s.migrateOne(ctx, st.dialect, conn, m); err != nil {
			return fmt.Errorf("migrate %s: %w", m.Context, err)
		}
	}
	if st.dialect == Postgres {
		return showVersions(ctx, conn, ms)
	}
	return nil
}

// migrationDB gives the connections to migrate with. SQLite's is the one writer, held for the whole time.
// PostgreSQL's are their own, as the owner, with the system door open for changes of rows.
func (s *store) migrationDB(ctx context.Context) (*sql.DB, func(), error) {
	if s.dialect == SQLite {
		if err := s.queue.acquire(ctx); err != nil {
			return nil, nil, fmt.Errorf("wait for the database's writer: %w", err)
		}
		return s.write.DB, s.queue.release, nil
	}
	conf, err := pgx.ParseConfig(s.url)
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

func (s *state) migrateOne(ctx context.Context, engine string, conn *sql.DB, m Migrations) error {
	p, err := m.provider(engine, conn)
	if err != nil {
		return err
	}
	res, err := p.Up(ctx)
	if err != nil {
		return err
	}
	for _, r := range res {
		s.log.InfoContext(ctx, "migrated", "context", m.Context, "file", r.Source.Path, "took", r.Duration)
	}
	return nil
}

// provider reads the history of one context.
func (m *Migrations) provider(engine string, conn *sql.DB) (*goose.Provider, error) {
	if m.Context == "" || m.FS == nil {
		return nil, errors.New("Migrations needs Context and FS")
	}
	sub, err := fs.Sub(m.FS, engine)
	if err != nil {
		return nil, err
	}
	opts := []goose.ProviderOption{
		goose.WithTableName(versionTables + m.Context),
		goose.WithDisableGlobalRegistry(true),
		goose.WithLogger(goose.NopLogger()),
	}
	dialect := goose.DialectSQLite3
	if engine == Postgres {
		dialect = goose.DialectPostgres
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 120))
		if err != nil {
			return nil, err
		}
		opts = append(opts, goose.WithSessionLocker(locker))
	}
	return goose.NewProvider(dialect, conn, sub, opts...)
}
