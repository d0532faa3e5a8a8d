package db

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"github.com/uptrace/bun"
)

// Tenant tables are reached where their organisation is, through a gate that knows whether it has moved. A statement that
// names one beside that is refused: the system door of the whole DB, where it would find the shared database only, and
// every write but those of InTenant. So a mistake shows in the first test that meets it, not in the first move.

// ungated is what a transaction may not do with tenant tables.
type ungated int

const (
	mayAll     ungated = iota // it passed the gate, or is the mover's
	mayRead                   // the system door of one database: see EachPlacement
	mayNothing                // the system door of all, and the master's doors
)

// guarded refuses a transaction's statements on tenant tables.
type guarded struct {
	bun.IDB
	tx *Tx
}

// check gives the error for a statement that the transaction may not run. The transaction fails by it even where nobody
// looks at it.
func (tx *Tx) check(query string) error {
	if tx.rights == mayAll {
		return nil
	}
	var bad string
	tablesOf(query, func(verb, table string) {
		if bad == "" && tx.db.tenantTable(table) && (tx.rights == mayNothing || verb != "FROM" && verb != "JOIN") {
			bad = table
		}
	})
	if bad == "" {
		return nil
	}
	tx.refused = fmt.Errorf("db: the tenant table %s through a door that does not know its organisation; use InTenant or ReadTenant, and EachPlacement to read of all", bad)
	return tx.refused
}

// ExecContext implements bun.IConn.
func (g guarded) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := g.tx.check(query); err != nil {
		return nil, err
	}
	return g.IDB.ExecContext(ctx, query, args...)
}

// QueryContext implements bun.IConn.
func (g guarded) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := g.tx.check(query); err != nil {
		return nil, err
	}
	return g.IDB.QueryContext(ctx, query, args...)
}

// QueryRowContext implements bun.IConn. A row cannot be made that has an error: the transaction has it.
func (g guarded) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if g.tx.check(query) != nil {
		ended, cancel := context.WithCancel(ctx)
		cancel()
		return g.IDB.QueryRowContext(ended, query, args...)
	}
	return g.IDB.QueryRowContext(ctx, query, args...)
}

// NewSelect implements bun.IDB, and so do those that follow: bun would run their statements on the connection itself.
func (g guarded) NewSelect() *bun.SelectQuery { return g.IDB.NewSelect().Conn(g) }

// NewInsert implements bun.IDB.
func (g guarded) NewInsert() *bun.InsertQuery { return g.IDB.NewInsert().Conn(g) }

// NewUpdate implements bun.IDB.
func (g guarded) NewUpdate() *bun.UpdateQuery { return g.IDB.NewUpdate().Conn(g) }

// NewDelete implements bun.IDB.
func (g guarded) NewDelete() *bun.DeleteQuery { return g.IDB.NewDelete().Conn(g) }

// NewMerge implements bun.IDB.
func (g guarded) NewMerge() *bun.MergeQuery { return g.IDB.NewMerge().Conn(g) }

// NewRaw implements bun.IDB.
func (g guarded) NewRaw(query string, args ...any) *bun.RawQuery {
	return g.IDB.NewRaw(query, args...).Conn(g)
}

// tablesOf calls fn with each table that a statement names after FROM, JOIN, INTO or UPDATE. It knows as much of SQL as
// that takes: text and names in quotes, comments not.
func tablesOf(query string, fn func(verb, table string)) {
	verb := ""
	for i := 0; i < len(query); {
		switch c := query[i]; {
		case c == '\'':
			for i++; i < len(query) && query[i] != '\''; i++ {
			}
			i++ // a doubled quote begins another text at once
			verb = ""
		case c == '"':
			end := strings.IndexByte(query[i+1:], '"')
			if end < 0 {
				return
			}
			if verb != "" {
				fn(verb, query[i+1:i+1+end])
			}
			verb, i = "", i+end+2
		case isWord(c):
			from := i
			for ; i < len(query) && isWord(query[i]); i++ {
			}
			word := query[from:i]
			if verb != "" && !strings.EqualFold(word, "ONLY") {
				fn(verb, word)
				verb = ""
				continue
			}
			if v := strings.ToUpper(word); len(word) <= 6 && (v == "FROM" || v == "JOIN" || v == "INTO" || v == "UPDATE") {
				verb = v
			}
			if strings.EqualFold(word, "DELETE") { // DELETE FROM writes
				if rest := strings.TrimLeft(query[i:], " \n\t"); len(rest) > 5 && strings.EqualFold(rest[:4], "FROM") {
					verb, i = "DELETE", len(query)-len(rest)+4
				}
			}
		default:
			if c != ' ' && c != '\n' && c != '\t' {
				verb = ""
			}
			i++
		}
	}
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// tenantTable reports whether a table is one that moves with its organisation.
func (s *state) tenantTable(name string) bool {
	t := s.tenants.Load()
	return t != nil && (*t)[name]
}

var createTable = regexp.MustCompile(`(?i)CREATE TABLE (?:IF NOT EXISTS )?"?(\w+)"?`)

// noteTenantTables remembers the names of tenant tables, as the migrations make them.
func (s *state) noteTenantTables(ms []Migrations) error {
	names := map[string]bool{}
	for _, m := range ms {
		if m.Scope != Tenant {
			continue
		}
		err := fs.WalkDir(m.FS, s.master.dialect, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			b, err := fs.ReadFile(m.FS, path)
			for _, found := range createTable.FindAllStringSubmatch(string(b), -1) {
				names[found[1]] = !hidden(found[1])
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("read the migrations of %s: %w", m.Context, err)
		}
	}
	for _, m := range ms {
		for _, t := range m.Installation {
			delete(names, t)
		}
	}
	s.tenants.Store(&names)
	return nil
}
