package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/coder/quartz"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite" // the "sqlite" driver

	"github.com/parley-voice/parley/internal/platform/fault"
)

// The two engines, as [DB.Dialect] names them.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

const (
	pgMaxConns      = 24
	pgMaxIdle       = 12
	connLifetime    = 30 * time.Minute
	openTimeout     = 10 * time.Second
	sqliteBusy      = 10 * time.Second // another process (a CLI command) holds the file's write lock
	sqliteCacheKiB  = 16 * 1024
	sqliteMinReader = 4
)

// Config is what Open needs.
type Config struct {
	URL     string       // "" is <DataDir>/parley.db; a path or sqlite:path; postgres://...
	DataDir string       // made when missing
	Clock   quartz.Clock // nil is the real one
	Log     *slog.Logger // nil discards
	// Audit is told of every use of the system door. It must not block.
	Audit func(ctx context.Context, reason string)
}

// DB is an open database. It is safe for concurrent use.
type DB struct {
	dialect string
	url     string // PostgreSQL only
	write   *bun.DB
	read    *bun.DB // the same as write on PostgreSQL
	queue   *queue  // SQLite's one writer; nil on PostgreSQL
	clock   quartz.Clock
	log     *slog.Logger
	audit   func(ctx context.Context, reason string)
	signal  chan struct{}
}

// Open opens the database and proves that it answers. It changes no schema: see [DB.Migrate].
func Open(ctx context.Context, c Config) (*DB, error) {
	d := &DB{clock: c.Clock, log: c.Log, audit: c.Audit, signal: make(chan struct{}, 1)}
	if d.clock == nil {
		d.clock = quartz.NewReal()
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if d.audit == nil {
		d.audit = func(context.Context, string) {}
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	var err error
	switch scheme, _, _ := strings.Cut(c.URL, "://"); {
	case scheme == "postgres" || scheme == "postgresql":
		err = d.openPostgres(c.URL)
	case strings.Contains(c.URL, "://"):
		return nil, fault.Field("database url", "unknown database %q: leave it empty or give a path for SQLite, or use postgres://", scheme)
	default:
		err = d.openSQLite(c)
	}
	if err != nil {
		return nil, err
	}
	for _, b := range []*bun.DB{d.write, d.read} {
		if err := b.PingContext(ctx); err != nil {
			_ = d.Close()
			return nil, fmt.Errorf("open %s database: %w", d.dialect, err)
		}
	}
	return d, nil
}

func (d *DB) openPostgres(url string) error {
	conf, err := pgx.ParseConfig(url)
	if err != nil {
		// pgx redacts the password in this error.
		return fmt.Errorf("database url: %w", err)
	}
	// bun writes arguments into the text, so every text is new: a cache of prepared statements would only churn.
	conf.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	if conf.ConnectTimeout == 0 {
		conf.ConnectTimeout = openTimeout
	}
	sqlDB := stdlib.OpenDB(*conf)
	sqlDB.SetMaxOpenConns(pgMaxConns)
	sqlDB.SetMaxIdleConns(pgMaxIdle)
	sqlDB.SetConnMaxLifetime(connLifetime)
	d.dialect, d.url = Postgres, url
	d.write = bun.NewDB(sqlDB, pgdialect.New())
	d.read = d.write
	return nil
}

func (d *DB) openSQLite(c Config) error {
	path := strings.TrimPrefix(c.URL, "sqlite:")
	if path == "" {
		path = filepath.Join(c.DataDir, "parley.db")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("database path: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("database folder: %w", err)
	}
	w, err := sql.Open("sqlite", sqliteDSN(path, false))
	if err != nil {
		return fmt.Errorf("open sqlite: %w", err)
	}
	w.SetMaxOpenConns(1)
	w.SetMaxIdleConns(1)
	r, err := sql.Open("sqlite", sqliteDSN(path, true))
	if err != nil {
		return errors.Join(fmt.Errorf("open sqlite: %w", err), w.Close())
	}
	readers := max(sqliteMinReader, runtime.GOMAXPROCS(0))
	r.SetMaxOpenConns(readers)
	r.SetMaxIdleConns(readers)
	d.dialect = SQLite
	d.write = bun.NewDB(w, sqlitedialect.New())
	d.read = bun.NewDB(r, sqlitedialect.New())
	d.queue = new(queue)
	return nil
}

// sqliteDSN writes the pragmas of https://www.sqlite.org/pragma.html in the driver's form.
func sqliteDSN(path string, readOnly bool) string {
	pragmas := []string{
		fmt.Sprintf("busy_timeout(%d)", sqliteBusy.Milliseconds()),
		"journal_mode(WAL)",
		"synchronous(NORMAL)",
		"foreign_keys(1)",
		"temp_store(MEMORY)",
		fmt.Sprintf("cache_size(-%d)", sqliteCacheKiB),
	}
	if readOnly {
		pragmas = append(pragmas, "query_only(1)")
	}
	dsn := "file:" + strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path) + "?_txlock=immediate"
	for _, p := range pragmas {
		dsn += "&_pragma=" + p
	}
	return dsn
}

// Dialect is "sqlite" or "postgres".
func (d *DB) Dialect() string { return d.dialect }

// URL is the address of the PostgreSQL server, with its password; "" on SQLite. For libraries that bring
// their own pool.
func (d *DB) URL() string { return d.url }

// WriterSQL is the pool that writes, without a door: for libraries that keep tables of their own, such as the job queue.
// On SQLite it has one connection, which they must give back at once.
func (d *DB) WriterSQL() *sql.DB { return d.write.DB }

// Ping proves that the database answers.
func (d *DB) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	return d.read.PingContext(ctx)
}

// WritersWaiting is how many writers queue for SQLite's one write connection; 0 on PostgreSQL.
func (d *DB) WritersWaiting() int {
	if d.queue == nil {
		return 0
	}
	return d.queue.length()
}

// Close closes all connections. Transactions that are under way fail.
func (d *DB) Close() error {
	err := d.write.Close()
	if d.read != d.write {
		err = errors.Join(d.read.Close(), err)
	}
	return err
}
