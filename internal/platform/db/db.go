package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/quartz"

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
	// Regions are the places, by name, where organisations may have databases of their own: a PostgreSQL URL in which
	// {database} stands for the database's name, or a folder for SQLite. The region "" is where the master's database
	// is, and always there.
	Regions map[string]string
	MaxOpen int // organisations' own databases open at once; 64, and on PostgreSQL at most three quarters of OwnConns
	// OwnConns is how many connections to organisations' own databases there are at once, on PostgreSQL; 64.
	OwnConns int
	// Followers move what organisations have outside of the database when they move to another region.
	Followers []Follower
	// Moved is told, in the transaction that ends it, of a move that is over. An error keeps it from ending.
	Moved func(ctx context.Context, tx *Tx, m MoveStatus) error
}

// DB is the master's database and those of the organisations that have one of their own. It is safe for concurrent use.
type DB struct {
	*state
	pin *store // every door leads here; nil: they lead where the organisation is, see doc.go
	// place is set where pin is one of the databases with tenant tables, of [DB.EachPlacement], and not the master's doors.
	place bool
}

// state is what the views of one DB share.
type state struct {
	c      Config
	master *store
	clock  quartz.Clock
	log    *slog.Logger
	audit  func(ctx context.Context, reason string)
	signal chan struct{}
	facts  struct { // own databases in which facts wait
		sync.Mutex
		in map[string]bool
	}
	dir     directory
	tenants atomic.Pointer[map[string]bool] // the names of tenant tables
	pools   *pools
	budget  *budget // of connections to own databases
	schema  struct {
		sync.Mutex
		ms     []Migrations // of the last Migrate: own databases are brought there when they are opened
		tables map[Scope][]Table
	}
}

// Open opens the database and proves that it answers. It changes no schema: see [DB.Migrate].
func Open(ctx context.Context, c Config) (*DB, error) {
	s := &state{c: c, master: &store{}, clock: c.Clock, log: c.Log, audit: c.Audit, signal: make(chan struct{}, 1)}
	if s.clock == nil {
		s.clock = quartz.NewReal()
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.audit == nil {
		s.audit = func(context.Context, string) {}
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	var err error
	switch scheme, _, _ := strings.Cut(c.URL, "://"); {
	case scheme == "postgres" || scheme == "postgresql":
		err = s.master.openPostgres(c.URL, pgMaxConns, pgMaxIdle, nil)
	case strings.Contains(c.URL, "://"):
		return nil, fault.Field("database url", "unknown database %q: leave it empty or give a path for SQLite, or use postgres://", scheme)
	default:
		var path string
		if path, err = c.sqlitePath(); err == nil {
			err = s.master.openSQLite(path, max(sqliteMinReader, runtime.GOMAXPROCS(0)), sqliteCacheKiB)
		}
	}
	if err != nil {
		return nil, err
	}
	d := &DB{state: s}
	s.pools = newPools(c.mostOpen(s.master.dialect), s.clock, d.openPooled)
	s.budget = newBudget(c.ownConns(), s.clock, s.pools.shed)
	if err := errors.Join(s.master.ping(ctx), s.checkRegions()); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (c *Config) sqlitePath() (string, error) {
	path := strings.TrimPrefix(c.URL, "sqlite:")
	if path == "" {
		path = filepath.Join(c.DataDir, "parley.db")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("database path: %w", err)
	}
	return path, nil
}

func (c *Config) ownConns() int {
	if c.OwnConns > 0 {
		return c.OwnConns
	}
	return defaultOwnConns
}

// mostOpen is how many own databases may be open: on PostgreSQL no more than can have a connection each, with some left for
// those that need a second one, else they take them from each other.
func (c *Config) mostOpen(dialect string) int {
	n := c.MaxOpen
	if n <= 0 {
		n = defaultMaxOpen
	}
	if dialect == Postgres {
		n = min(n, max(1, c.ownConns()*3/4))
	}
	return n
}

// Master is the same database with every door leading to the master's: for a context whose tables are of the scope
// [Master], such as people and sessions. An organisation's transaction is bound to it by row level security all the same.
func (d *DB) Master() *DB { return &DB{state: d.state, pin: d.master} }

// Dialect is "sqlite" or "postgres".
func (d *DB) Dialect() string { return d.at().dialect }

// at is where the system door leads.
func (d *DB) at() *store {
	if d.pin != nil {
		return d.pin
	}
	return d.master
}

// URL is the address of the PostgreSQL server, with its password; "" on SQLite. For libraries that bring
// their own pool.
func (d *DB) URL() string { return d.master.url }

// WriterSQL is the pool that writes, without a door: for libraries that keep tables of their own, such as the job queue.
// On SQLite it has one connection, which they must give back at once.
func (d *DB) WriterSQL() *sql.DB { return d.master.write.DB }

// Ping proves that the database answers.
func (d *DB) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	return d.at().read.PingContext(ctx)
}

// WritersWaiting is how many writers queue for SQLite's one write connection; 0 on PostgreSQL.
func (d *DB) WritersWaiting() int {
	if d.at().queue == nil {
		return 0
	}
	return d.at().queue.length()
}

// Close closes all connections. Transactions that are under way fail.
func (d *DB) Close() error { return errors.Join(d.pools.close(), d.master.close()) }
