package db_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/fault"
)

type part struct {
	bun.BaseModel `bun:"table:parts"`

	OrganisationID string  `bun:"organisation_id"`
	ThingID        string  `bun:"thing_id,pk"`
	Seq            int     `bun:"seq,pk"`
	Text           *string `bun:"text"`
	Weight         float64 `bun:"weight"`
}

// moving adds a table with a key of two columns and a parent.
func moving() []db.Migrations {
	const parts = `-- +goose Up
CREATE TABLE parts (organisation_id TEXT NOT NULL, thing_id TEXT NOT NULL REFERENCES things (id) ON DELETE CASCADE, seq BIGINT NOT NULL,
  text TEXT, weight DOUBLE PRECISION NOT NULL, PRIMARY KEY (thing_id, seq));
`
	return append(migrations(), db.Migrations{Context: "a_parts", FS: fstest.MapFS{
		"sqlite/00001_parts.sql":   {Data: []byte(parts)},
		"postgres/00001_parts.sql": {Data: []byte(parts + "SELECT parley_tenant_table('parts');\n")},
	}})
}

func fill(t *testing.T, d *db.DB, org string, things int) {
	t.Helper()
	var ts []thing
	var ps []part
	for i := range things {
		id := fmt.Sprintf("%s %05d", org, i)
		ts = append(ts, thing{ID: id, OrganisationID: org, Name: `O'Brien ? \ "x" 漢`, On: i%2 == 0, Blob: []byte{0, 1, 0xff, '\''}, At: 1 << 50})
		for n := range 2 {
			p := part{OrganisationID: org, ThingID: id, Seq: n, Weight: float64(i) / 3}
			if n == 0 {
				p.Text = &id
			}
			ps = append(ps, p)
		}
	}
	err := d.InTenant(t.Context(), org, func(ctx context.Context, tx *db.Tx) error {
		if _, err := tx.NewInsert().Model(&ts).Exec(ctx); err != nil {
			return err
		}
		_, err := tx.NewInsert().Model(&ps).Exec(ctx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// contents gives everything of an organisation, as text by key.
func contents(t *testing.T, d *db.DB, org string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := d.ReadTenant(t.Context(), org, func(ctx context.Context, tx *db.Tx) error {
		var ts []thing
		var ps []part
		if err := errors.Join(tx.NewSelect().Model(&ts).Where("organisation_id = ?", org).Scan(ctx),
			tx.NewSelect().Model(&ps).Where("organisation_id = ?", org).Scan(ctx)); err != nil {
			return err
		}
		for _, x := range ts {
			out[x.ID] = fmt.Sprintf("%q %v %x %d", x.Name, x.On, x.Blob, x.At)
		}
		for _, x := range ps {
			text := "nil"
			if x.Text != nil {
				text = *x.Text
			}
			out[fmt.Sprint(x.ThingID, " part ", x.Seq)] = fmt.Sprintf("%q %v", text, x.Weight)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func same(t *testing.T, got, want map[string]string) {
	t.Helper()
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s: %q, want %q", k, got[k], v)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d rows, want %d", len(got), len(want))
	}
}

// writer writes until told to stop, and knows what was committed.
type writer struct {
	d    *db.DB
	n    int
	rand *rand.Rand
	know map[string]string // name by id
	lost map[string]bool   // deleted
}

func (w *writer) write(ctx context.Context) error {
	w.n++
	id := fmt.Sprintf("w%d %d", w.rand.IntN(1<<30), w.n)
	old := ""
	for k := range w.know {
		old = k
		break
	}
	kind := w.rand.IntN(4)
	err := w.d.InTenant(ctx, orgA, func(ctx context.Context, tx *db.Tx) error {
		switch {
		case kind == 0 && old != "":
			_, err := tx.NewDelete().Model((*thing)(nil)).Where("organisation_id = ? AND id = ?", orgA, old).Exec(ctx)
			return err
		case kind == 1 && old != "":
			_, err := tx.NewUpdate().Model((*thing)(nil)).Set("name = ?", id).Where("organisation_id = ? AND id = ?", orgA, old).Exec(ctx)
			return err
		}
		if err := insert(id, orgA)(ctx, tx); err != nil {
			return err
		}
		_, err := tx.NewInsert().Model(&part{OrganisationID: orgA, ThingID: id, Seq: 1}).Exec(ctx)
		return err
	})
	switch {
	case err != nil:
		return err
	case kind == 0 && old != "":
		delete(w.know, old)
		w.lost[old] = true
	case kind == 1 && old != "":
		w.know[old] = id
	default:
		w.know[id] = id
	}
	return nil
}

// Writers run while an organisation moves to a database of its own and back: what they committed is there, once, and
// nothing else.
func TestMoveWhileWriting(t *testing.T) {
	dbtest.Each(t, moving(), func(t *testing.T, d *db.DB) {
		fill(t, d, orgA, 1500)
		fill(t, d, orgB, 20)
		wantA, wantB := contents(t, d, orgA), contents(t, d, orgB)
		var stop atomic.Bool
		// As much is written at each stage of the move, the closed gate included, as the machine manages.
		budget := make(chan struct{}, 10_000)
		spend := func(string) error {
			for range 60 {
				budget <- struct{}{}
			}
			return nil
		}
		_ = spend("before")
		var wg sync.WaitGroup
		ws := make([]*writer, 3)
		for i := range ws {
			ws[i] = &writer{d: d, rand: rand.New(rand.NewPCG(1, uint64(i))), know: map[string]string{}, lost: map[string]bool{}}
			wg.Go(func() {
				for range budget {
					if err := ws[i].write(context.WithoutCancel(t.Context())); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Go(func() { // who reads is never kept out
			for !stop.Load() {
				err := d.ReadTenant(context.WithoutCancel(t.Context()), orgA, func(ctx context.Context, tx *db.Tx) error {
					n, err := tx.NewSelect().Model((*thing)(nil)).Where("organisation_id = ?", orgA).Where("id LIKE ?", orgA+"%").Count(ctx)
					if n != 1500 {
						t.Errorf("a reader saw %d of 1500 rows", n)
					}
					return err
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
		for _, place := range []string{db.Own, db.Shared} {
			r, err := d.MoveHurt(t.Context(), orgA, place, "", spend)
			if err != nil {
				t.Errorf("%s: %v", place, err)
				break
			}
			if r.Tables["things"] < 1500 || r.Tables["parts"] < 3000 || r.Compared < 4500 {
				t.Errorf("report %+v", r)
			}
			if p, err := d.Placement(t.Context(), orgA); err != nil || p.Placement != place {
				t.Errorf("it is in %+v, %v", p, err)
			}
		}
		stop.Store(true)
		close(budget)
		wg.Wait()
		got := contents(t, d, orgA)
		written := 0
		for _, w := range ws {
			for id, name := range w.know {
				if v := got[id]; v != fmt.Sprintf("%q false  0", name) {
					t.Errorf("%s: %q, want the name %q", id, v, name)
				}
				delete(got, id)
				delete(got, id+" part 1")
				written++
			}
			for id := range w.lost {
				if _, there := got[id]; there {
					t.Errorf("%s was deleted and is there", id)
				}
			}
		}
		if written == 0 {
			t.Error("nobody wrote")
		}
		same(t, got, wantA)
		same(t, contents(t, d, orgB), wantB)
	})
}

// Whatever ends a move in the middle: nothing is lost, readers and writers go on, and a second call finishes it.
func TestMoveIsResumed(t *testing.T) {
	boom := errors.New("boom")
	dbtest.Each(t, moving(), func(t *testing.T, d *db.DB) {
		fill(t, d, orgA, 700)
		for n, stage := range []string{"copied things", "compared", "closed", "placed", "clean"} {
			place := []string{db.Own, db.Shared}[n%2]
			_, err := d.MoveHurt(t.Context(), orgA, place, "", func(s string) error {
				if s == stage {
					return boom
				}
				return nil
			})
			if !errors.Is(err, boom) {
				t.Fatalf("%s: %v", stage, err)
			}
			if stage != "placed" { // there the source is closed and the target not open yet: all wait
				if err := d.InTenant(t.Context(), orgA, insert(fmt.Sprint("at ", stage), orgA)); err != nil {
					t.Fatalf("%s: a write: %v", stage, err)
				}
			}
			want := contents(t, d, orgA)
			if _, err := d.Move(t.Context(), orgA, place, ""); err != nil {
				t.Fatalf("%s: again: %v", stage, err)
			}
			same(t, contents(t, d, orgA), want)
			if _, err := d.Move(t.Context(), orgA, place, ""); !fault.Is(err, fault.Conflict) {
				t.Errorf("%s: a third time: %v", stage, err)
			}
		}
	})
}

// A copy that differs is thrown away, and the organisation stays where it was.
func TestMoveRollsBack(t *testing.T) {
	dbtest.Each(t, moving(), func(t *testing.T, d *db.DB) {
		if err := d.CreatePlacement(t.Context(), orgA, db.Own, ""); err != nil {
			t.Fatal(err)
		}
		fill(t, d, orgA, 50)
		want := contents(t, d, orgA)
		for name, spoil := range map[string]string{
			"a row less": "DELETE FROM things WHERE organisation_id = 'org-a' AND id = 'org-a 00007'",
			"a row more": "INSERT INTO things (id, organisation_id, name, is_on, at) VALUES ('more', 'org-a', 'x', FALSE, 0)",
		} {
			_, err := d.MoveHurt(t.Context(), orgA, db.Shared, "", func(stage string) error {
				if stage != "compared" {
					return nil
				}
				return d.Past(t.Context(), orgA, func(ctx context.Context, tx *db.Tx) error {
					_, err := tx.ExecContext(ctx, spoil)
					return err
				})
			})
			if !errors.Is(err, db.ErrMismatch) {
				t.Fatalf("%s: %v", name, err)
			}
			same(t, contents(t, d, orgA), want)
			if n := count(t, d, ""); n != 0 {
				t.Errorf("%s: %d rows are left in the target", name, n)
			}
			if err := d.InTenant(t.Context(), orgA, insert(name, orgA)); err != nil {
				t.Fatal(err)
			}
			maps.Copy(want, map[string]string{name: fmt.Sprintf("%q false  0", name)})
		}
		// One that was begun can be given up.
		boom := errors.New("boom")
		if _, err := d.MoveHurt(t.Context(), orgA, db.Shared, "", func(string) error { return boom }); !errors.Is(err, boom) {
			t.Fatal(err)
		}
		if err := d.AbortMove(t.Context(), orgA); err != nil {
			t.Fatal(err)
		}
		if err := d.AbortMove(t.Context(), orgA); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		same(t, contents(t, d, orgA), want)
		if _, err := d.Move(t.Context(), orgA, db.Shared, ""); err != nil {
			t.Fatal(err)
		}
		same(t, contents(t, d, orgA), want)
	})
}

// Another process remembers where the organisation was: the gate sends it on.
func TestMoveUnderAnotherProcess(t *testing.T) {
	for _, engine := range []string{db.SQLite, db.Postgres} {
		t.Run(engine, func(t *testing.T) {
			c := db.Config{DataDir: t.TempDir()}
			if engine == db.Postgres {
				c = db.Config{URL: dbtest.PostgresURL(t)}
			}
			here, there := dbtest.Open(t, c, moving()...), dbtest.Open(t, c, moving()...)
			fill(t, here, orgA, 5)
			want := contents(t, there, orgA) // it remembers
			for _, place := range []string{db.Own, db.Shared, db.Own} {
				if _, err := here.Move(t.Context(), orgA, place, ""); err != nil {
					t.Fatal(err)
				}
				same(t, contents(t, there, orgA), want)
				if err := there.InTenant(t.Context(), orgA, insert(place+fmt.Sprint(len(want)), orgA)); err != nil {
					t.Fatal(err)
				}
				want = contents(t, here, orgA)
			}
		})
	}
}
