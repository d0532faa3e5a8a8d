package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sort"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// Staging is a database beside the others, a SQLite file, in which rows that were written by an older Parley are brought to
// today's schema before they go where they belong. It has the tables of both scopes, as a shared database on SQLite.
type Staging struct {
	*DB
	sets []Migrations
}

// Versions tells how far each context's history goes in this program.
func (d *DB) Versions() (map[string]int64, error) {
	d.schema.Lock()
	ms := d.schema.ms
	d.schema.Unlock()
	if ms == nil {
		return nil, errors.New("db: Migrate comes before Versions")
	}
	conn, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return nil, err
	}
	defer conn.Close() //nolint:errcheck // in memory
	out := map[string]int64{}
	for _, m := range ms {
		p, err := m.provider(SQLite, conn)
		if err != nil {
			return nil, err
		}
		for _, s := range p.ListSources() {
			out[m.Context] = max(out[m.Context], s.Version)
		}
	}
	return out, nil
}

// NewStaging makes a database in a folder, with the schema as of some versions: those of [DB.Versions] when the rows were
// written. Newer ones than this program knows are refused. Close it; the folder is the caller's.
func (d *DB) NewStaging(ctx context.Context, dir string, versions map[string]int64) (*Staging, error) {
	known, err := d.Versions()
	if err != nil {
		return nil, err
	}
	var ahead []string
	for name, v := range versions {
		if v > known[name] {
			ahead = append(ahead, fmt.Sprintf("%s %d (here %d)", name, v, known[name]))
		}
	}
	if len(ahead) > 0 {
		sort.Strings(ahead)
		return nil, fault.New(fault.NotPossible, "the file was made by a newer Parley: its tables are %v; update this installation first", ahead)
	}
	side, err := Open(ctx, Config{DataDir: dir, Clock: d.clock, Log: d.log})
	if err != nil {
		return nil, err
	}
	d.schema.Lock()
	s := &Staging{DB: side, sets: d.schema.ms}
	d.schema.Unlock()
	if err := s.upTo(ctx, versions); err != nil {
		return nil, errors.Join(err, side.Close())
	}
	return s, nil
}

func (s *Staging) upTo(ctx context.Context, versions map[string]int64) error {
	conn, done, err := s.master.migrationDB(ctx)
	if err != nil {
		return err
	}
	defer done()
	for _, m := range s.sets {
		if versions[m.Context] == 0 {
			continue // a context that is newer than the rows
		}
		p, err := m.provider(SQLite, conn)
		if err != nil {
			return err
		}
		if _, err := p.UpTo(ctx, versions[m.Context]); err != nil {
			return fmt.Errorf("make the tables of %s: %w", m.Context, err)
		}
	}
	return nil
}

// Upgrade brings everything to today's schema.
func (s *Staging) Upgrade(ctx context.Context) error { return s.Migrate(ctx, s.sets[2:]...) } // without the platform's own

// Now gives the tables as they are at the moment, by name.
func (s *Staging) Now(ctx context.Context) (map[string]Table, error) {
	ts, err := readTables(ctx, s.master.read.DB)
	if err != nil {
		return nil, err
	}
	out := map[string]Table{}
	for _, t := range ts {
		out[t.Name] = t
	}
	return out, nil
}

// Write runs fn in a transaction of the staging database.
func (s *Staging) Write(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	return s.run(ctx, s.master, scope{}, fn)
}

// Read runs fn in a read-only transaction of the staging database.
func (s *Staging) Read(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	return s.run(ctx, s.master, scope{readOnly: true}, fn)
}
