package db_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
)

// Doors that do not know the organisation lead past its gate: tenant tables are refused there.
func TestTenantTablesNeedTheirOrganisation(t *testing.T) {
	dbtest.Each(t, migrations(), func(t *testing.T, d *db.DB) {
		if err := d.InTenant(t.Context(), orgA, insert("1", orgA)); err != nil {
			t.Fatal(err)
		}
		read := func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.NewSelect().Model((*thing)(nil)).Count(ctx)
			return err
		}
		raw := func(q string) func(context.Context, *db.Tx) error {
			return func(ctx context.Context, tx *db.Tx) error { _, err := tx.ExecContext(ctx, q); return err }
		}
		row := func(ctx context.Context, tx *db.Tx) error {
			var n int
			_ = tx.QueryRowContext(ctx, "SELECT count(*) FROM things").Scan(&n)
			return nil // whoever does not look is stopped all the same
		}
		for name, err := range map[string]error{
			"insert":            d.InSystem(t.Context(), "test", insert("2", orgA)),
			"read":              d.ReadSystem(t.Context(), "test", read),
			"row":               d.ReadSystem(t.Context(), "test", row),
			"delete":            d.InSystem(t.Context(), "test", raw(`DELETE FROM "things"`)),
			"update":            d.InSystem(t.Context(), "test", raw("update things set name = 'x'")),
			"master's":          d.Master().InTenant(t.Context(), orgA, insert("2", orgA)),
			"master's read":     d.Master().ReadTenant(t.Context(), orgA, read),
			"each":              d.EachPlacement(t.Context(), "test", func(ctx context.Context, in *db.DB) error { return in.InSystem(ctx, "test", insert("2", orgA)) }),
			"a table without a": d.InSystem(t.Context(), "test", raw("INSERT INTO things SELECT * FROM things WHERE id = '1'")),
		} {
			if err == nil || !strings.Contains(err.Error(), "things") {
				t.Errorf("%s: %v", name, err)
			}
		}
		for name, err := range map[string]error{
			"read of all": d.EachPlacement(t.Context(), "test", func(ctx context.Context, in *db.DB) error { return in.ReadSystem(ctx, "test", read) }),
			"write of one": d.EachPlacement(t.Context(), "test", func(ctx context.Context, in *db.DB) error {
				return in.InTenant(ctx, orgA, raw("UPDATE things SET name = 'y' WHERE organisation_id = 'org-a'"))
			}),
			"the word in a text": d.InSystem(t.Context(), "test", raw("DELETE FROM globals WHERE id = 'it''s FROM things'")),
		} {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := count(t, d, orgA); n != 1 {
			t.Errorf("%d rows", n)
		}
	})
}

func TestTablesOf(t *testing.T) {
	for q, want := range map[string]string{
		`SELECT "c"."id" FROM "calls" AS "c" LEFT JOIN legs ON x = 'FROM y'`: "FROM calls,JOIN legs",
		`DELETE FROM "calls" WHERE id IN (SELECT id FROM only old)`:          "DELETE calls,FROM old",
		"delete\n\tfrom calls":                    "DELETE calls",
		`UPDATE "calls" SET a = 'it''s' FROM b`:   "UPDATE calls,FROM b",
		`INSERT INTO "calls" ("from") VALUES (1)`: "INTO calls",
		`SELECT extract(epoch FROM (now()))`:      "",
		`WITH x AS (SELECT 1 FROM a) DELETE`:      "FROM a",
		`SELECT 'open FROM`:                       "",
		`SELECT "open FROM`:                       "",
	} {
		if got := strings.Join(db.TablesOf(q), ","); got != want {
			t.Errorf("%s: %q, want %q", q, got, want)
		}
	}
}

// A table of a tenant context says whose its rows are, or that it is the installation's.
func TestTablesWithoutAClass(t *testing.T) {
	set := func(sql string, installation ...string) []db.Migrations {
		fs := fstest.MapFS{"sqlite/00001_x.sql": {Data: []byte("-- +goose Up\n" + sql)}}
		return []db.Migrations{{Context: "x", FS: fs, Installation: installation}}
	}
	for sql, word := range map[string]string{
		"CREATE TABLE odd (id TEXT PRIMARY KEY);":           "organisation_id",
		"CREATE TABLE odd (organisation_id TEXT NOT NULL);": "primary key",
	} {
		if _, err := dbtest.SQLite(t, set(sql)...).Tables(t.Context(), db.Tenant); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v", sql, err)
		}
		ts, err := dbtest.SQLite(t, set(sql, "odd")...).Tables(t.Context(), db.Tenant)
		if err != nil || slices.ContainsFunc(ts, func(t db.Table) bool { return t.Name == "odd" }) {
			t.Errorf("%s: %v, %v", sql, ts, err)
		}
	}
}
