package db

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// Table is a table as the schema has it.
type Table struct {
	Name    string
	Columns []string
	Types   []string // SQLite's, by column: TEXT, BIGINT, BOOLEAN, BLOB, ...
	Key     []string // primary key, in its order
	Parents []string // tables that its foreign keys lead to, other than itself
	Tenant  bool     // it has organisation_id
}

// hidden are the platform's own tables, which stay where they are when an organisation moves.
func hidden(name string) bool {
	return name == "outbox" || name == "org_gate" || name == "org_changes" || strings.HasPrefix(name, "goose_") || strings.HasPrefix(name, "sqlite_")
}

// Tables lists the tables of a scope, parents first, as the migrations make them: read from the schema of an empty
// database, not from a list that somebody would have to keep. Those of the platform itself are left out. Of the scope
// [Tenant] each has organisation_id and a primary key.
func (d *DB) Tables(ctx context.Context, sc Scope) ([]Table, error) {
	d.schema.Lock()
	defer d.schema.Unlock()
	if d.schema.ms == nil {
		return nil, fmt.Errorf("db: Migrate comes before Tables")
	}
	if ts, ok := d.schema.tables[sc]; ok {
		return ts, nil
	}
	var ms []Migrations
	for _, m := range d.schema.ms {
		if m.Scope == sc || m.Context == "platform" {
			ms = append(ms, m)
		}
	}
	conn, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return nil, err
	}
	defer conn.Close() //nolint:errcheck // in memory
	conn.SetMaxOpenConns(1)
	for _, m := range ms {
		if err := d.migrateOne(ctx, SQLite, conn, m); err != nil {
			return nil, fmt.Errorf("read the schema of %s: %w", m.Context, err)
		}
	}
	ts, err := readTables(ctx, conn)
	if err != nil {
		return nil, fmt.Errorf("read the schema: %w", err)
	}
	if sc == Tenant {
		for _, m := range ms {
			ts = slices.DeleteFunc(ts, func(t Table) bool { return slices.Contains(m.Installation, t.Name) })
		}
		for _, t := range ts {
			switch {
			case !t.Tenant:
				return nil, fmt.Errorf("db: the table %s of a tenant context has no organisation_id: name it in Installation, or give it one", t.Name)
			case len(t.Key) == 0:
				return nil, fmt.Errorf("db: the tenant table %s has no primary key: it could not be moved", t.Name)
			}
		}
	}
	if d.schema.tables == nil {
		d.schema.tables = map[Scope][]Table{}
	}
	d.schema.tables[sc] = ts
	return ts, nil
}

func readTables(ctx context.Context, conn *sql.DB) ([]Table, error) {
	var names []string
	if err := each(ctx, conn, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name", func(scan func(...any) error) error {
		var n string
		err := scan(&n)
		if !hidden(n) {
			names = append(names, n)
		}
		return err
	}); err != nil {
		return nil, err
	}
	var ts []Table
	for _, n := range names {
		t := Table{Name: n}
		key := map[int]string{}
		if err := each(ctx, conn, "SELECT name, type, pk FROM pragma_table_info("+quoteText(n)+") ORDER BY cid", func(scan func(...any) error) error {
			var col, typ string
			var pk int
			err := scan(&col, &typ, &pk)
			t.Columns, t.Types = append(t.Columns, col), append(t.Types, strings.ToUpper(typ))
			t.Tenant = t.Tenant || col == "organisation_id"
			if pk > 0 {
				key[pk] = col
			}
			return err
		}); err != nil {
			return nil, err
		}
		for i := 1; i <= len(key); i++ {
			t.Key = append(t.Key, key[i])
		}
		if err := each(ctx, conn, `SELECT DISTINCT "table" FROM pragma_foreign_key_list(`+quoteText(n)+")", func(scan func(...any) error) error {
			var p string
			err := scan(&p)
			if p != n {
				t.Parents = append(t.Parents, p)
			}
			return err
		}); err != nil {
			return nil, err
		}
		ts = append(ts, t)
	}
	return parentsFirst(ts), nil
}

// parentsFirst orders tables so that rows can be inserted in order and deleted in reverse.
func parentsFirst(ts []Table) []Table {
	byName := map[string]Table{}
	for _, t := range ts {
		byName[t.Name] = t
	}
	sort.Slice(ts, func(i, j int) bool { return ts[i].Name < ts[j].Name })
	var out []Table
	seen := map[string]bool{}
	var visit func(t Table)
	visit = func(t Table) {
		if seen[t.Name] {
			return
		}
		seen[t.Name] = true
		for _, p := range t.Parents {
			if parent, ok := byName[p]; ok {
				visit(parent)
			}
		}
		out = append(out, t)
	}
	for _, t := range ts {
		visit(t)
	}
	return out
}

func each(ctx context.Context, conn *sql.DB, query string, fn func(scan func(...any) error) error) error {
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // rows.Err tells
	for rows.Next() {
		if err := fn(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

func quoteText(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
