// Package dbtest gives tests a fresh database on each engine, so that every store runs one suite on both.
//
// PostgreSQL is the server at PARLEY_TEST_POSTGRES when that is set; its user must be allowed to create
// databases. Otherwise a private cluster is started, one for each test binary: on a unix socket in a temporary
// folder, as the user postgres when the tests run as root. It ends with the test binary, however that ends,
// because its guardian waits on a pipe that the binary holds. A missing PostgreSQL fails the test; it never skips.
//
// Migrations run once for each test binary: a test's database is a copy of what they made.
package dbtest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/platform/db"
)

const setupTimeout = 2 * time.Minute

// Each runs fn as the subtests "sqlite" and "postgres", each with a fresh database that is migrated to ms.
func Each(t *testing.T, ms []db.Migrations, fn func(t *testing.T, d *db.DB)) {
	t.Helper()
	t.Run(db.SQLite, func(t *testing.T) { fn(t, SQLite(t, ms...)) })
	t.Run(db.Postgres, func(t *testing.T) { fn(t, Postgres(t, ms...)) })
}

// EachPlacement is Each, with the organisations in the shared database and again each in one of its own: four subtests.
func EachPlacement(t *testing.T, ms []db.Migrations, orgs []string, fn func(t *testing.T, d *db.DB)) {
	t.Helper()
	for _, place := range []string{db.Shared, db.Own} {
		t.Run(place, func(t *testing.T) {
			Each(t, ms, func(t *testing.T, d *db.DB) {
				for _, o := range orgs {
					if err := d.CreatePlacement(t.Context(), o, place, ""); err != nil {
						t.Fatalf("place organisation %s: %v", o, err)
					}
				}
				fn(t, d)
			})
		})
	}
}

// SQLite gives a fresh SQLite database, migrated to ms and closed when the test ends.
func SQLite(t testing.TB, ms ...db.Migrations) *db.DB {
	t.Helper()
	dir := t.TempDir()
	Fill(t, dir, ms...)
	return Open(t, db.Config{DataDir: dir}, ms...)
}

// Postgres gives a fresh PostgreSQL database, migrated to ms and closed and dropped when the test ends.
func Postgres(t testing.TB, ms ...db.Migrations) *db.DB {
	t.Helper()
	return Open(t, db.Config{URL: PostgresURL(t, ms...)}, ms...)
}

// Open opens and migrates a database of the caller's own configuration, and closes it when the test ends.
func Open(t testing.TB, c db.Config, ms ...db.Migrations) *db.DB {
	t.Helper()
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	d, err := db.Open(ctx, c)
	if err != nil {
		t.Fatalf("open database: %v", err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close database: %v", err)
		}
	})
	if err := d.Migrate(ctx, ms...); err != nil {
		t.Fatalf("migrate: %v", err)
	}
	return d
}

// randomName is a name no other test process uses on the same server.
func randomName() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return "parley_test_" + hex.EncodeToString(b[:])
}
