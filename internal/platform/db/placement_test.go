package db_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Nothing crosses from one organisation to another, wherever they are: by id, by list, by write.
func TestIsolation(t *testing.T) {
	dbtest.EachPlacement(t, migrations(), []string{orgA, orgB}, func(t *testing.T, d *db.DB) {
		ctx := t.Context()
		for _, o := range []string{orgA, orgB} {
			if err := d.InTenant(ctx, o, insert("of "+o, o)); err != nil {
				t.Fatal(err)
			}
		}
		p, err := d.Placement(ctx, orgA)
		if err != nil {
			t.Fatal(err)
		}
		// The other's id gives nothing, with the organisation named as every query does.
		err = d.ReadTenant(ctx, orgA, func(ctx context.Context, tx *db.Tx) error {
			if in := tx.InMaster(); in != (p.Placement == db.Shared) {
				t.Errorf("in the master's database: %v, placement %s", in, p.Placement)
			}
			n, err := tx.NewSelect().Model((*thing)(nil)).Where("organisation_id = ? AND id = ?", orgA, "of "+orgB).Count(ctx)
			if n != 0 {
				t.Errorf("A finds %d rows of B", n)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if d.Dialect() == db.SQLite && p.Placement == db.Shared {
			return // the WHERE is all there is; queries are tested to have it
		}
		// Without any WHERE: row level security holds, and in a database of its own there is nobody else.
		if n := count(t, d, orgA); n != 1 {
			t.Errorf("A sees %d rows without a WHERE", n)
		}
		err = d.InTenant(ctx, orgA, func(ctx context.Context, tx *db.Tx) error {
			for _, q := range []string{"UPDATE things SET name = 'mine'", "DELETE FROM things"} {
				res, err := tx.ExecContext(ctx, q)
				if err != nil {
					return err
				}
				if n, _ := res.RowsAffected(); n != 1 {
					t.Errorf("%s changed %d rows, want its own", q, n)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := count(t, d, orgB); n != 1 {
			t.Errorf("B has %d rows after A deleted everything", n)
		}
	})
}

func TestCreatePlacement(t *testing.T) {
	dbtest.Each(t, migrations(), func(t *testing.T, d *db.DB) {
		ctx := t.Context()
		for range 2 { // it can be repeated
			if err := d.CreatePlacement(ctx, orgA, db.Own, ""); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.CreatePlacement(ctx, orgA, db.Shared, ""); !fault.Is(err, fault.Conflict) {
			t.Errorf("another place: %v", err)
		}
		if err := d.InTenant(ctx, orgB, insert("1", orgB)); err != nil {
			t.Fatal(err)
		}
		if err := d.CreatePlacement(ctx, orgB, db.Own, ""); !fault.Is(err, fault.Conflict) {
			t.Errorf("an organisation with data: %v", err)
		}
		if n := count(t, d, orgB); n != 1 {
			t.Errorf("B has %d rows after its placement was refused", n)
		}
		for name, err := range map[string]error{
			"placement": d.CreatePlacement(ctx, "org-c", "cloud", ""),
			"region":    d.CreatePlacement(ctx, "org-c", db.Own, "mars"),
			"shared":    d.CreatePlacement(ctx, "org-c", db.Shared, "mars"),
			"id":        d.CreatePlacement(ctx, "", db.Own, ""),
		} {
			if err == nil {
				t.Errorf("%s: no error", name)
			}
		}
	})
}

func TestRegions(t *testing.T) {
	dir := t.TempDir()
	eu := filepath.Join(dir, "eu")
	d := dbtest.Open(t, db.Config{DataDir: dir, Regions: map[string]string{"eu": eu}}, migrations()...)
	if err := d.CreatePlacement(t.Context(), orgA, db.Own, "eu"); err != nil {
		t.Fatal(err)
	}
	if err := d.InTenant(t.Context(), orgA, insert("1", orgA)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(eu, orgA+".db")); err != nil {
		t.Error(err)
	}
	for at, regions := range map[string]map[string]string{
		"another kind": {"eu": "postgres://x/{database}"}, "name": {"E U": "/tmp/x"},
	} {
		if d, err := db.Open(t.Context(), db.Config{DataDir: t.TempDir(), Regions: regions}); err == nil {
			_ = d.Close()
			t.Errorf("%s: no error", at)
		}
	}
	url := dbtest.PostgresURL(t)
	_, query, _ := strings.Cut(url, "?")
	if d, err := db.Open(t.Context(), db.Config{URL: url, Regions: map[string]string{"eu": url}}); err == nil {
		_ = d.Close()
		t.Error("a URL without {database}")
	}
	// The template of a region leads to the same server here.
	template := strings.SplitAfter(url, "://")[0] + "parley_owner@/{database}?" + query
	if os.Getenv(dbtest.EnvPostgres) != "" {
		base, _, _ := strings.Cut(url, "?")
		template = base[:strings.LastIndex(base, "/")] + "/{database}?" + query
	}
	pg := dbtest.Open(t, db.Config{URL: url, Regions: map[string]string{"eu": template}}, migrations()...)
	if err := pg.CreatePlacement(t.Context(), orgA, db.Own, "eu"); err != nil {
		t.Fatal(err)
	}
	if err := pg.InTenant(t.Context(), orgA, insert("1", orgA)); err != nil {
		t.Fatal(err)
	}
}

// Master tables stay in the master's database, whatever place the organisation has.
func TestMasterView(t *testing.T) {
	dbtest.Each(t, migrations(), func(t *testing.T, d *db.DB) {
		ctx := t.Context()
		if err := d.CreatePlacement(ctx, orgA, db.Own, ""); err != nil {
			t.Fatal(err)
		}
		m := d.Master()
		if err := m.InTenant(ctx, orgA, func(ctx context.Context, tx *db.Tx) error {
			if !tx.InMaster() {
				t.Error("it is not the master's database")
			}
			return tx.Publish(ctx, event.CallEnded{CallID: "1", OrgID: orgA})
		}); err != nil {
			t.Fatal(err)
		}
		if err := m.InTenant(ctx, orgA, func(ctx context.Context, _ *db.Tx) error {
			return d.InTenant(ctx, orgA, insert("2", orgA))
		}); !errors.Is(err, db.ErrNested) {
			t.Errorf("a write within a write: %v", err)
		}
	})
}

func TestEachPlacement(t *testing.T) {
	dbtest.Each(t, migrations(), func(t *testing.T, d *db.DB) {
		ctx := t.Context()
		for _, o := range []string{orgA, orgB, "org-c"} {
			if o != orgB {
				if err := d.CreatePlacement(ctx, o, db.Own, ""); err != nil {
					t.Fatal(err)
				}
			}
			if err := d.InTenant(ctx, o, func(ctx context.Context, tx *db.Tx) error {
				return errors.Join(insert("of "+o, o)(ctx, tx), tx.Publish(ctx, event.CallEnded{CallID: "c", OrgID: o}))
			}); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		boom := errors.New("boom")
		err := d.EachPlacement(ctx, "test", func(ctx context.Context, in *db.DB) error {
			var ts []thing
			if err := in.ReadSystem(ctx, "test", func(ctx context.Context, tx *db.Tx) error { return tx.NewSelect().Model(&ts).Scan(ctx) }); err != nil {
				return err
			}
			for _, th := range ts {
				got = append(got, th.ID)
			}
			return boom // it goes on all the same
		})
		slices.Sort(got)
		if !errors.Is(err, boom) || fmt.Sprint(got) != "[of org-a of org-b of org-c]" {
			t.Errorf("got %v, %v", got, err)
		}
		pending := d.OutboxPending()
		slices.Sort(pending)
		if fmt.Sprint(pending) != "[org-a org-c]" || len(d.OutboxPending()) != 0 {
			t.Errorf("facts wait in %v", pending)
		}
	})
}

// More own databases than may be open at once, and more than there may be connections: each has its turn, and nothing is lost.
func TestOwnDatabasesTakeTurns(t *testing.T) {
	for name, c := range map[string]db.Config{
		"files":       {DataDir: t.TempDir(), MaxOpen: 2},
		"databases":   {URL: dbtest.PostgresURL(t), MaxOpen: 2},
		"connections": {URL: dbtest.PostgresURL(t), OwnConns: 2},
	} {
		t.Run(name, func(t *testing.T) {
			d := dbtest.Open(t, c, migrations()...)
			orgs := makeOwn(t, d, 4)
			var wg sync.WaitGroup
			for _, o := range orgs {
				for w := range 3 {
					wg.Go(func() {
						for i := range 3 {
							if err := d.InTenant(t.Context(), o, insert(fmt.Sprintf("%s %d %d", o, w, i), o)); err != nil {
								t.Error(err)
							}
						}
					})
				}
			}
			wg.Wait()
			for _, o := range orgs {
				if n := count(t, d, o); n != 9 {
					t.Errorf("%s has %d rows", o, n)
				}
			}
			if n := d.OwnOpen(); c.MaxOpen > 0 && n > c.MaxOpen {
				t.Errorf("%d are open", n)
			}
			if n := d.OwnConnections(); c.OwnConns > 0 && (n < 1 || n > c.OwnConns) {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// makeOwn makes organisations with databases of their own.
func makeOwn(t testing.TB, d *db.DB, n int) (orgs []string) {
	t.Helper()
	for i := range n {
		o := fmt.Sprintf("org-%d", i)
		orgs = append(orgs, o)
		if err := d.CreatePlacement(t.Context(), o, db.Own, ""); err != nil {
			t.Fatal(err)
		}
	}
	return orgs
}

// When more are used in turn than may be open, most are found open all the same.
func TestManyInTurn(t *testing.T) {
	d := dbtest.Open(t, db.Config{DataDir: t.TempDir(), MaxOpen: 4, Clock: quartz.NewMock(t)}, migrations()...)
	orgs := makeOwn(t, d, 6)
	found := 0
	for range 10 {
		for _, o := range orgs {
			if d.HasOpen(o) {
				found++
			}
			if err := d.InTenant(t.Context(), o, func(context.Context, *db.Tx) error { return nil }); err != nil {
				t.Fatal(err)
			}
		}
	}
	if found < 24 { // the least recently used would always be the next
		t.Errorf("%d of 60 were open", found)
	}
}

// A look into all databases does not close those that are used for their own sake, but for one.
func TestPassingByClosesNothing(t *testing.T) {
	d := dbtest.Open(t, db.Config{DataDir: t.TempDir(), MaxOpen: 3}, migrations()...)
	orgs := makeOwn(t, d, 8)
	used := []string{orgs[4], orgs[5], orgs[6]}
	for _, o := range used {
		if err := d.InTenant(t.Context(), o, insert("1", o)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		seen := 0
		if err := d.EachPlacement(t.Context(), "test", func(context.Context, *db.DB) error { seen++; return nil }); err != nil || seen != 9 {
			t.Fatalf("%d seen: %v", seen, err)
		}
	}
	for _, o := range used[1:] {
		if !d.HasOpen(o) {
			t.Errorf("%s was closed", o)
		}
	}
	if n := d.OwnOpen(); n != 3 {
		t.Errorf("%d are open", n)
	}
}

func TestNames(t *testing.T) {
	ms := migrations()
	ms[0].Names = []db.Name{{Kind: "thing", Table: "things", Column: "name", Unique: true}, {Kind: "many", Table: "things", Column: "name"}}
	dbtest.Each(t, ms, func(t *testing.T, d *db.DB) {
		ctx := t.Context()
		for range 2 {
			if err := d.Claim(ctx, "thing", "n", orgA); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.Claim(ctx, "thing", "n", orgB); !fault.Is(err, fault.Conflict) {
			t.Errorf("taken: %v", err)
		}
		if err := errors.Join(d.Claim(ctx, "many", "n", orgA), d.Claim(ctx, "many", "n", orgB)); err != nil {
			t.Error(err)
		}
		if orgs, err := d.Holders(ctx, "many", "n", 9); err != nil || fmt.Sprint(orgs) != "[org-a org-b]" {
			t.Errorf("%v %v", orgs, err)
		}
		if err := errors.Join(d.Release(ctx, "thing", "n", orgA), d.Claim(ctx, "thing", "n", orgB)); err != nil {
			t.Error(err)
		}
		if err := d.Claim(ctx, "else", "n", orgA); err == nil {
			t.Error("a kind that nobody declares")
		}
		// Rows that are older than the list are entered when the schema is brought up to date.
		if err := d.InTenant(ctx, orgA, insert("old", orgA)); err != nil {
			t.Fatal(err)
		}
		if err := d.Migrate(ctx, ms...); err != nil {
			t.Fatal(err)
		}
		if orgs, err := d.Holders(ctx, "thing", "old", 9); err != nil || fmt.Sprint(orgs) != "[org-a]" {
			t.Errorf("%v %v", orgs, err)
		}
	})
}
