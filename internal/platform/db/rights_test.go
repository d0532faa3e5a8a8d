package db_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
)

// A database user that may not make roles gets told what an administrator must run, and after that it works.
func TestUserWithoutCreateRole(t *testing.T) {
	_ = dbtest.Postgres(t) // the server has the role parley_app already, as it may have in production
	u, err := url.Parse(dbtest.PostgresURL(t))
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(u.Path, "/")
	user := name + "_owner"
	dbtest.Admin(t, "CREATE ROLE "+user+" LOGIN PASSWORD 'x'")
	t.Cleanup(func() {
		dbtest.Admin(t, "DROP DATABASE "+name+" WITH (FORCE)")
		dbtest.Admin(t, "REVOKE parley_app FROM "+user)
		dbtest.Admin(t, "DROP ROLE "+user)
	})
	dbtest.Admin(t, "ALTER DATABASE "+name+" OWNER TO "+user)
	u.User = url.UserPassword(user, "x")

	d, err := db.Open(t.Context(), db.Config{URL: u.String()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	remedy := "GRANT parley_app TO " + user
	if err := d.Migrate(t.Context(), migrations()...); err == nil || !strings.Contains(err.Error(), remedy) {
		t.Fatalf("error %v, want the remedy %q", err, remedy)
	}
	dbtest.Admin(t, remedy)
	if err := d.Migrate(t.Context(), migrations()...); err != nil {
		t.Fatal(err)
	}
	if err := d.InTenant(t.Context(), orgA, insert("1", orgA)); err != nil {
		t.Fatal(err)
	}
	if n := count(t, d, orgB); n != 0 {
		t.Errorf("organisation B sees %d rows of A", n)
	}
}
