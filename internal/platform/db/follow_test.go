package db_test

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// A database user that owns nothing waits for the tables, does everything with their rows that row level security lets it, and
// changes no table.
func TestUserWhoOwnsNothing(t *testing.T) {
	_ = dbtest.Postgres(t) // the server has the role parley_app
	at := dbtest.PostgresURL(t)
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(u.Path, "/")
	user := name + "_user"
	dbtest.AdminIn(t, name, "REVOKE CREATE ON SCHEMA public FROM PUBLIC; CREATE ROLE "+user+" LOGIN PASSWORD 'x'; GRANT parley_app TO "+user)
	t.Cleanup(func() {
		dbtest.Admin(t, "DROP DATABASE "+name+" WITH (FORCE)")
		dbtest.Admin(t, "DROP ROLE "+user)
	})
	u.User = url.UserPassword(user, "x")
	guest, err := db.Open(t.Context(), db.Config{URL: u.String()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = guest.Close() }()

	hurried, cancel := context.WithCancel(t.Context())
	cancel()
	if err := guest.Migrate(hurried, migrations()...); err == nil {
		t.Fatal("it does not wait")
	}
	waits := make(chan error, 1)
	go func() { waits <- guest.Migrate(t.Context(), migrations()...) }()
	owner, err := db.Open(t.Context(), db.Config{URL: at})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = owner.Close() }()
	if err := owner.Migrate(t.Context(), migrations()...); err != nil {
		t.Fatal(err)
	}
	if err := <-waits; err != nil {
		t.Fatal(err)
	}
	if err := guest.InTenant(t.Context(), orgA, insert("1", orgA)); err != nil {
		t.Fatal(err)
	}
	if a, b := count(t, guest, orgA), count(t, guest, orgB); a != 1 || b != 0 {
		t.Errorf("it sees %d rows of A as A, and %d as B", a, b)
	}
	if err := guest.CreatePlacement(t.Context(), orgB, db.Own, ""); !fault.Is(err, fault.NotPossible) {
		t.Errorf("it makes a database: %v", err)
	}
	for _, sql := range []string{"DROP TABLE things", "ALTER TABLE things DISABLE ROW LEVEL SECURITY", "CREATE TABLE mine (id TEXT)", "DROP POLICY tenant ON things"} {
		err := guest.InSystem(t.Context(), "a test", func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.NewRaw("RESET ROLE; " + sql).Exec(ctx)
			return err
		})
		if err == nil || !strings.Contains(err.Error(), "42501") { // insufficient_privilege
			t.Errorf("%s: %v", sql, err)
		}
	}
}
