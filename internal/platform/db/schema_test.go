package db_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// later is the history of a Parley that came later: things has a column more.
func later() []db.Migrations {
	ms := migrations()
	files := ms[0].FS.(fstest.MapFS)
	for _, engine := range []string{db.SQLite, db.Postgres} {
		files[engine+"/00002_colour.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nALTER TABLE things ADD COLUMN colour TEXT NOT NULL DEFAULT 'red';\n")}
	}
	return ms
}

// colours reads what only the later schema has.
func colours(ctx context.Context, d *db.DB, org string) (out []string, err error) {
	err = d.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		return tx.NewRaw("SELECT colour FROM things WHERE organisation_id = ?", org).Scan(ctx, &out)
	})
	return out, err
}

// An organisation's own database is brought up to date when it is opened, and one that a newer Parley was at is refused, as is
// the master's. The processes of several versions have the same databases one after the other.
func TestSchemaOfOwnDatabases(t *testing.T) {
	for engine, conf := range map[string]func(t *testing.T) db.Config{
		db.SQLite:   func(t *testing.T) db.Config { return db.Config{DataDir: t.TempDir()} },
		db.Postgres: func(t *testing.T) db.Config { return db.Config{URL: dbtest.PostgresURL(t)} },
	} {
		t.Run(engine, func(t *testing.T) {
			ctx, c := t.Context(), conf(t)
			old := dbtest.Open(t, c, migrations()...)
			for _, o := range []string{orgA, orgB} {
				if err := old.CreatePlacement(ctx, o, db.Own, ""); err != nil {
					t.Fatal(err)
				}
				if err := old.InTenant(ctx, o, insert("of "+o, o)); err != nil {
					t.Fatal(err)
				}
			}
			again := dbtest.Open(t, c, migrations()...) // the same version
			if n := count(t, again, orgA); n != 1 {
				t.Errorf("opened again: %d rows", n)
			}

			next := dbtest.Open(t, c, later()...)
			for range 2 { // migrated, and then found to be so
				if got, err := colours(ctx, next, orgA); err != nil || fmt.Sprint(got) != "[red]" {
					t.Fatalf("the older schema was not migrated: %v %v", got, err)
				}
				next.CloseOwn(orgA)
			}

			// The older process goes on with what it has open, and with what nobody migrated.
			if n := count(t, old, orgB); n != 1 {
				t.Errorf("B has %d rows", n)
			}
			refused := func(what string, err error, names ...string) {
				t.Helper()
				if !fault.Is(err, fault.Unavailable) {
					t.Fatalf("%s: %v", what, err)
				}
				for _, n := range names {
					if !strings.Contains(err.Error(), n) {
						t.Errorf("%s: %q does not say %q", what, err, n)
					}
				}
			}
			old.CloseOwn(orgA)
			refused("an own database", old.ReadTenant(ctx, orgA, func(context.Context, *db.Tx) error { return nil }),
				orgA, "things 2 (here 1)", "newer Parley")
			fresh, err := db.Open(ctx, c)
			if err != nil {
				t.Fatal(err)
			}
			defer fresh.Close() //nolint:errcheck // it did nothing
			refused("the master's", fresh.Migrate(ctx, migrations()...), "things 2 (here 1)", "newer Parley")
			refused("a context that is not known", fresh.Migrate(ctx, later()[:1]...), "globals 1 (not known here)")
			if err := fresh.Migrate(ctx, later()...); err != nil {
				t.Errorf("the newer one: %v", err)
			}
		})
	}
}

// A database that was restored from before an update is seen as it is, whatever was true of it.
func TestRestoredOwnDatabaseIsMigrated(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	old := dbtest.Open(t, db.Config{DataDir: dir}, migrations()...)
	if err := old.CreatePlacement(ctx, orgA, db.Own, ""); err != nil {
		t.Fatal(err)
	}
	if err := old.InTenant(ctx, orgA, insert("1", orgA)); err != nil {
		t.Fatal(err)
	}
	saved, err := old.SnapshotTo(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	next := dbtest.Open(t, db.Config{DataDir: dir}, later()...)
	if _, err := colours(ctx, next, orgA); err != nil {
		t.Fatal(err)
	}
	old.CloseOwn(orgA)
	next.CloseOwn(orgA)
	replaceFile(t, filepath.Join(dir, "org", orgA+".db"), saved[0].Path)
	if got, err := colours(ctx, next, orgA); err != nil || fmt.Sprint(got) != "[red]" {
		t.Errorf("%v %v", got, err)
	}
}

func replaceFile(t *testing.T, to, from string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		_ = os.Remove(to + suffix)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
