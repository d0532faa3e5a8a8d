package envelope_test

import (
	"context"
	"fmt"
	"testing"
	"testing/fstest"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
)

func vendors() db.Migrations {
	table := func(blob, after string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE vendors (id TEXT PRIMARY KEY, organisation_id TEXT NOT NULL, secret " + blob + ");\n" + after)}
	}
	return db.Migrations{Context: "vendors", FS: fstest.MapFS{"sqlite/00001_v.sql": table("BLOB", ""),
		"postgres/00001_v.sql": table("BYTEA", "SELECT parley_tenant_table('vendors');\n")}}
}

// What the master key and old versions sealed is sealed anew, wherever the organisation's rows are; then the versions that
// nothing uses are retired and deleted.
func TestTend(t *testing.T) {
	ms := []db.Migrations{envelope.Migrations(), vendors()}
	dbtest.EachPlacement(t, ms, []string{"a", "b"}, func(t *testing.T, d *db.DB) {
		ctx, clock := t.Context(), quartz.NewMock(t)
		clock.Set(time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC))
		old := master(t, "a")
		k := process(t, d, envelope.Config{Clock: clock}, old)
		aad := func(org string, key []string) []byte { return []byte(org + "/" + key[0]) }
		columns := []envelope.Column{{Table: "vendors", Column: "secret", Org: "organisation_id", Key: []string{"id"}, AAD: aad}}
		put := func(org, id string, sealed []byte) {
			t.Helper()
			err := d.InTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
				_, err := tx.ExecContext(ctx, "INSERT INTO vendors (id, organisation_id, secret) VALUES (?, ?, ?)", id, org, sealed)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		get := func(org, id string) (sealed []byte) {
			t.Helper()
			err := d.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
				return tx.NewRaw("SELECT secret FROM vendors WHERE organisation_id = ? AND id = ?", org, id).Scan(ctx, &sealed)
			})
			if err != nil {
				t.Fatal(err)
			}
			return sealed
		}
		for _, org := range []string{"a", "b"} {
			byMaster, err := old.Seal([]byte("of before"), aad(org, []string{org + "-0"}))
			if err != nil {
				t.Fatal(err)
			}
			put(org, org+"-0", byMaster)
			for i := range 3 {
				id := fmt.Sprintf("%s-%d", org, i+1)
				put(org, id, seal(t, k, org, "x", string(aad(org, []string{id}))))
			}
		}
		put("a", "a-none", nil)
		put("b", "b-bad", []byte{1, 2, 3})
		if _, err := k.Rotate(ctx, "a"); err != nil {
			t.Fatal(err)
		}
		files := true
		tend := func() envelope.Tended {
			t.Helper()
			done, err := k.Tend(ctx, envelope.Tending{Columns: columns, Uses: func(context.Context, string, envelope.KeyID) (bool, error) { return files, nil }})
			if err != nil {
				t.Fatal(err)
			}
			return done
		}
		if done := tend(); done != (envelope.Tended{Resealed: 5, Failed: 1}) {
			t.Errorf("first: %+v", done)
		}
		for _, org := range []string{"a", "b"} {
			active := mustID(t, seal(t, k, org, "", ""))
			for i := range 4 {
				id := fmt.Sprintf("%s-%d", org, i)
				sealed := get(org, id)
				opens(t, k, org, sealed, string(aad(org, []string{id})), map[bool]string{true: "of before", false: "x"}[i == 0])
				if mustID(t, sealed) != active {
					t.Errorf("%s is not under the active version", id)
				}
			}
		}
		clock.Advance(49 * time.Hour)
		if done := tend(); done.Retired != 0 {
			t.Errorf("retired while files use it: %+v", done)
		}
		files = false
		if done := tend(); done.Retired != 1 || done.Deleted != 0 {
			t.Errorf("not retired: %+v", done)
		}
		clock.Advance(31 * 24 * time.Hour)
		if done := tend(); done.Deleted != 1 {
			t.Errorf("not deleted: %+v", done)
		}
		for i := range 4 {
			id := fmt.Sprintf("a-%d", i)
			if _, err := k.Open(ctx, "a", get("a", id), aad("a", []string{id})); err != nil {
				t.Errorf("%s after its old version was deleted: %v", id, err)
			}
		}
	})
}
