package app

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
)

// Every table of the schema has a class: it is a tenant's and moves with it, or the master's, or the platform's own. One
// without organisation_id, without a primary key or without row level security fails here, before it is lost in a move.
func TestEveryTableHasAClass(t *testing.T) {
	d := dbtest.Postgres(t, migrations()...)
	tenant, err := d.Tables(t.Context(), db.Tenant)
	if err != nil {
		t.Fatal(err)
	}
	master, err := d.Tables(t.Context(), db.Master)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"outbox": true, "org_gate": true, "org_changes": true}
	for _, table := range append(slices.Clone(tenant), master...) {
		known[table.Name] = true
	}
	for _, m := range migrations() {
		for _, name := range m.Installation {
			known[name] = true
		}
	}
	type found struct {
		Name   string `bun:"name"`
		Forced bool   `bun:"forced"`
	}
	var all []found
	err = d.ReadSystem(t.Context(), "test", func(ctx context.Context, tx *db.Tx) error {
		return tx.NewRaw(`SELECT c.relname AS name, relrowsecurity AND relforcerowsecurity AND EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid) AS forced
			FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace`).Scan(ctx, &all)
	})
	if err != nil || len(all) < 30 {
		t.Fatalf("%d tables, %v", len(all), err)
	}
	for _, table := range all {
		switch {
		case strings.HasPrefix(table.Name, "goose_"):
		case !known[table.Name]:
			t.Errorf("nobody knows whose the rows of %s are", table.Name)
		case !table.Forced && table.Name != "org_gate": // read by a function only
			t.Errorf("%s has no row level security: let parley_tenant_table or parley_system_table follow it in its migration", table.Name)
		}
	}
	for _, table := range tenant {
		if slices.ContainsFunc(master, func(m db.Table) bool { return m.Name == table.Name }) {
			t.Errorf("%s is a tenant's and the master's", table.Name)
		}
	}
}
