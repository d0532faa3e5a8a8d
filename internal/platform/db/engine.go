package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	_ "modernc.org/sqlite" // the "sqlite" driver
)

// store is one open database: the master's, which is the shared one too, or that of one organisation.
type store struct {
	name    string // "" is the master's; else the organisation
	dialect string
	url     string // PostgreSQL only
	path    string // SQLite only
	write   *bun.DB
	read    *bun.DB // the same as write on PostgreSQL
	queue   *queue  // SQLite's one writer; nil on PostgreSQL
}

// openPostgres opens pools of at most so many connections. Those of a budget are closed when they were idle for a while.
func (s *store) openPostgres(url string, conns, idle int, b *budget) error {
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
	at := stdlib.GetConnector(*conf)
	if b != nil {
		at = b.connector(at)
	}
	sqlDB := sql.OpenDB(at)
	sqlDB.SetMaxOpenConns(conns)
	sqlDB.SetMaxIdleConns(idle)
	sqlDB.SetConnMaxLifetime(connLifetime)
	if b != nil {
		sqlDB.SetConnMaxIdleTime(ownIdleTime)
	}
	s.dialect, s.url = Postgres, url
	s.write = bun.NewDB(sqlDB, pgdialect.New())
	s.read = s.write
	return nil
}

func (s *store) openSQLite(path string, readers, cacheKiB int) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("database folder: %w", err)
	}
	w, err := sql.Open("sqlite", sqliteDSN(path, false, cacheKiB))
	if err != nil {
		return fmt.Errorf("open sqlite: %w", err)
	}
	w.SetMaxOpenConns(1)
	w.SetMaxIdleConns(1)
	r, err := sql.Open("sqlite", sqliteDSN(path, true, cacheKiB))
	if err != nil {
		return errors.Join(fmt.Errorf("open sqlite: %w", err), w.Close())
	}
	r.SetMaxOpenConns(readers)
	r.SetMaxIdleConns(readers)
	s.dialect, s.path = SQLite, path
	s.write = bun.NewDB(w, sqlitedialect.New())
	s.read = bun.NewDB(r, sqlitedialect.New())
	s.queue = new(queue)
	return nil
}

// sqliteDSN writes the pragmas of https://www.sqlite.org/pragma.html in the driver's form.
func sqliteDSN(path string, readOnly bool, cacheKiB int) string {
	pragmas := []string{
		fmt.Sprintf("busy_timeout(%d)", sqliteBusy.Milliseconds()),
		"journal_mode(WAL)",
		"synchronous(NORMAL)",
		"foreign_keys(1)",
		"temp_store(MEMORY)",
		fmt.Sprintf("cache_size(-%d)", cacheKiB),
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

// idle is how many of an own database's connections nobody uses.
func (s *store) idle() int { return s.write.Stats().Idle }

// keepIdle closes them but for so many.
func (s *store) keepIdle(n int) {
	s.write.SetMaxIdleConns(n)
	s.write.SetMaxIdleConns(ownMaxIdle)
}

func (s *store) ping(ctx context.Context) error {
	for _, b := range []*bun.DB{s.write, s.read} {
		if err := b.PingContext(ctx); err != nil {
			return fmt.Errorf("open %s database: %w", s.dialect, err)
		}
	}
	return nil
}

func (s *store) close() error {
	err := s.write.Close()
	if s.read != s.write {
		err = errors.Join(s.read.Close(), err)
	}
	return err
}
