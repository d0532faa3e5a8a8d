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
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// follows is what an organisation has outside of the database, by region.
type follows struct {
	mu    sync.Mutex
	calls []string
	fail  error // of the next Settle
}

func (f *follows) Check(region string) error {
	if region == "bare" {
		return fault.Field("region", "the region %q has no place for files", region)
	}
	return nil
}

func (f *follows) note(what, from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, fmt.Sprintf("%s %q %q", what, from, to))
	return nil
}

func (f *follows) Copy(_ context.Context, _, from, to string) error { return f.note("copy", from, to) }
func (f *follows) Undo(_ context.Context, _, from, to string) error { return f.note("undo", from, to) }
func (f *follows) Settle(_ context.Context, _, from, to string) error {
	err := f.fail
	f.fail = nil
	return errors.Join(err, f.note("settle", from, to))
}

// regions gives a database with the regions near and far, on PostgreSQL on different servers, bare, and gone, which nobody reaches.
func regions(t *testing.T, fn func(t *testing.T, d *db.DB, f *follows)) {
	for _, engine := range []string{db.SQLite, db.Postgres} {
		t.Run(engine, func(t *testing.T) {
			f := &follows{}
			c := db.Config{DataDir: t.TempDir(), Followers: []db.Follower{f}, Regions: map[string]string{"near": t.TempDir(), "far": t.TempDir(), "bare": t.TempDir(),
				"gone": filepath.Join(os.DevNull, "gone")}}
			if engine == db.Postgres {
				url := dbtest.PostgresURL(t)
				near := url[:strings.LastIndexByte(url[:strings.IndexByte(url, '?')], '/')] + "/{database}" + url[strings.IndexByte(url, '?'):]
				c.URL, c.Regions = url, map[string]string{"near": near, "far": dbtest.RegionURL(t), "bare": near,
					"gone": "postgres://nobody@127.0.0.1:1/{database}?connect_timeout=2"}
			}
			fn(t, dbtest.Open(t, c, moving()...), f)
		})
	}
}

// From one region to another and home again, while somebody writes: what is outside of the database goes along.
func TestMoveToAnotherRegion(t *testing.T) {
	regions(t, func(t *testing.T, d *db.DB, f *follows) {
		fill(t, d, orgA, 600)
		fill(t, d, orgB, 10)
		wantA, wantB := contents(t, d, orgA), contents(t, d, orgB)
		n := 0
		write := func(string) error {
			n++
			id := fmt.Sprint("written ", n)
			wantA[id] = fmt.Sprintf("%q false  0", id)
			return d.InTenant(t.Context(), orgA, insert(id, orgA))
		}
		for _, step := range []struct{ placement, region string }{{db.Own, "near"}, {db.Own, "far"}, {db.Own, ""}, {db.Own, "far"}, {db.Shared, ""}} {
			if _, err := d.MoveHurt(t.Context(), orgA, step.placement, step.region, func(s string) error {
				if s == "closed" || s == "placed" || s == "clean" { // nobody could write then
					return nil
				}
				return write(s)
			}); err != nil {
				t.Fatalf("%+v: %v", step, err)
			}
			if p, err := d.Placement(t.Context(), orgA); err != nil || p.Placement != step.placement || p.Region != step.region {
				t.Errorf("it is in %+v, %v", p, err)
			}
			same(t, contents(t, d, orgA), wantA)
		}
		same(t, contents(t, d, orgB), wantB)
		var want []string
		for _, hop := range []string{`"" "near"`, `"near" "far"`, `"far" ""`, `"" "far"`, `"far" ""`} {
			want = append(want, "copy "+hop, "settle "+hop)
		}
		if !slices.Equal(f.calls, want) {
			t.Errorf("followers were called %q", f.calls)
		}
		if _, err := d.Move(t.Context(), orgA, db.Own, "bare"); !fault.Is(err, fault.Invalid) {
			t.Errorf("to a region without a place for files: %v", err)
		}
		if _, err := d.Move(t.Context(), orgA, db.Own, "nowhere"); !fault.Is(err, fault.Invalid) {
			t.Errorf("to a region that is not there: %v", err)
		}
		f.fail = errors.New("boom")
		if _, err := d.Move(t.Context(), orgA, db.Own, "far"); err == nil {
			t.Error("what is outside of the database did not come along, and the move is over")
		}
		if _, err := d.Move(t.Context(), orgA, db.Own, "far"); err != nil {
			t.Errorf("again: %v", err)
		}
		same(t, contents(t, d, orgA), wantA)
	})
}

// A move to a place that is out of reach goes on when it is back, and can be cancelled before.
func TestMoveToNowhereIsCancelled(t *testing.T) {
	regions(t, func(t *testing.T, d *db.DB, f *follows) {
		fill(t, d, orgA, 10)
		want := contents(t, d, orgA)
		for _, from := range []string{db.Shared, db.Own} {
			if from == db.Own {
				if _, err := d.Move(t.Context(), orgA, db.Own, "near"); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := d.Move(t.Context(), orgA, db.Own, "gone"); err == nil {
				t.Fatal("it moved to where nothing is")
			}
			if m, err := d.MoveUnderWay(t.Context(), orgA); err != nil || m == nil || m.State != db.MoveWaiting || m.Problem == "" {
				t.Fatalf("%+v, %v", m, err)
			}
			if err := d.CancelMove(t.Context(), orgA); err != nil {
				t.Fatal(err)
			}
			if _, err := d.Move(t.Context(), orgA, db.Own, "gone"); !fault.Is(err, fault.Conflict) {
				t.Errorf("cancelled, from %s: %v", from, err)
			}
			m, err := d.MoveUnderWay(t.Context(), orgA)
			past, pastErr := d.PastMoves(t.Context(), orgA, "", 1)
			if err := errors.Join(err, pastErr); err != nil || m != nil || len(past) != 1 || past[0].State != db.MoveRolledBack || past[0].Problem == "" {
				t.Errorf("%+v, %+v, %v", m, past, err)
			}
			same(t, contents(t, d, orgA), want)
		}
		if _, err := d.Move(t.Context(), orgA, db.Own, "far"); err != nil {
			t.Errorf("to where there is something: %v", err)
		}
		same(t, contents(t, d, orgA), want)
	})
}

// Facts that wait in an own database's outbox are not dropped with it.
func TestMoveBringsFacts(t *testing.T) {
	dbtest.Each(t, moving(), func(t *testing.T, d *db.DB) {
		if err := d.CreatePlacement(t.Context(), orgA, db.Own, ""); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			if err := d.InTenant(t.Context(), orgA, func(ctx context.Context, tx *db.Tx) error {
				return tx.Publish(ctx, event.CallEnded{CallID: fmt.Sprint(i), OrgID: orgA})
			}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := d.Move(t.Context(), orgA, db.Shared, ""); err != nil {
			t.Fatal(err)
		}
		var keys []string
		if err := d.ReadSystem(t.Context(), "test", func(ctx context.Context, tx *db.Tx) error {
			return tx.NewSelect().Model((*db.OutboxRow)(nil)).Column("key").OrderExpr("seq").Scan(ctx, &keys)
		}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(keys, []string{"0", "1", "2"}) {
			t.Errorf("facts in the master's outbox: %q", keys)
		}
	})
}

// A move says how far it is, is refused to a second one, and can be cancelled until it switches.
func TestMoveIsWatchedAndCancelled(t *testing.T) {
	for _, engine := range []string{db.SQLite, db.Postgres} {
		t.Run(engine, func(t *testing.T) {
			var told []string
			c := db.Config{DataDir: t.TempDir(), Moved: func(_ context.Context, tx *db.Tx, m db.MoveStatus) error {
				told = append(told, m.State+" "+m.To.Placement)
				return tx.PublishFor(context.Background(), m.OrganisationID, event.CallEnded{CallID: m.ID})
			}}
			if engine == db.Postgres {
				c.URL = dbtest.PostgresURL(t)
			}
			d := dbtest.Open(t, c, moving()...)
			fill(t, d, orgA, 30)
			want := contents(t, d, orgA)
			watch := func(stage string) error {
				m, err := d.MoveUnderWay(t.Context(), orgA)
				if err != nil || m == nil || m.Total != 90 || m.Rows > 90 || m.From != (db.Place{Placement: db.Shared}) || m.To != (db.Place{Placement: db.Own}) {
					t.Errorf("%s: %+v, %v", stage, m, err)
				}
				if _, err := d.Move(t.Context(), orgA, db.Own, ""); !fault.Is(err, fault.Conflict) {
					t.Errorf("%s: a second mover: %v", stage, err)
				}
				if stage == "compared" {
					return d.AbortMove(t.Context(), orgA)
				}
				if stage == "closed" || stage == "placed" {
					t.Errorf("it went on to %s", stage)
				}
				return nil
			}
			if _, err := d.MoveHurt(t.Context(), orgA, db.Own, "", watch); !fault.Is(err, fault.Conflict) {
				t.Fatalf("a cancelled move: %v", err)
			}
			same(t, contents(t, d, orgA), want)
			if m, err := d.MoveUnderWay(t.Context(), orgA); m != nil || err != nil {
				t.Errorf("%+v, %v", m, err)
			}
			if _, err := d.MoveHurt(t.Context(), orgA, db.Own, "", func(stage string) error {
				if stage == "closed" || stage == "placed" || stage == "clean" {
					if err := d.CancelMove(t.Context(), orgA); !fault.Is(err, fault.Conflict) {
						t.Errorf("cancelled at %s: %v", stage, err)
					}
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			same(t, contents(t, d, orgA), want)
			past, err := d.PastMoves(t.Context(), orgA, "", 10)
			if err != nil || len(past) != 2 || past[0].State != db.MoveMoved || past[1].State != db.MoveRolledBack || past[0].EndedAt == nil || past[0].Rows != 90 ||
				past[0].To != (db.Place{Placement: db.Own}) {
				t.Errorf("%+v, %v", past, err)
			}
			if older, err := d.PastMoves(t.Context(), orgA, past[0].ID, 10); err != nil || len(older) != 1 || older[0].ID != past[1].ID {
				t.Errorf("%+v, %v", older, err)
			}
			if got := strings.Join(told, ","); got != "rolled_back own,moved own" {
				t.Errorf("told of %s", got)
			}
		})
	}
}

// A move whose process died is left alone for a while, and then anybody goes on with it.
func TestMoveOfADeadProcess(t *testing.T) {
	for _, engine := range []string{db.SQLite, db.Postgres} {
		t.Run(engine, func(t *testing.T) {
			clock := quartz.NewMock(t)
			c := db.Config{DataDir: t.TempDir(), Clock: clock}
			if engine == db.Postgres {
				c.URL = dbtest.PostgresURL(t)
			}
			d := dbtest.Open(t, c, moving()...)
			fill(t, d, orgA, 10)
			want := contents(t, d, orgA)
			if err := d.Master().InTenant(t.Context(), orgA, func(ctx context.Context, tx *db.Tx) error {
				_, err := tx.StartMove(ctx, orgA, db.Own, "")
				return err
			}); err != nil {
				t.Fatal(err)
			}
			todo := func() int {
				ms, err := d.MovesToDo(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				return len(ms)
			}
			if n := todo(); n != 1 {
				t.Errorf("%d moves wait, want 1", n)
			}
			if err := d.Seize(t.Context(), orgA); err != nil {
				t.Fatal(err)
			}
			if n := todo(); n != 0 {
				t.Errorf("%d moves wait though somebody is at it", n)
			}
			if _, err := d.Move(t.Context(), orgA, db.Own, ""); !fault.Is(err, fault.Conflict) {
				t.Errorf("a second mover: %v", err)
			}
			clock.Advance(31 * time.Second)
			if n := todo(); n != 1 {
				t.Errorf("%d moves wait, want 1", n)
			}
			if _, err := d.Move(t.Context(), orgA, db.Own, ""); err != nil {
				t.Fatal(err)
			}
			same(t, contents(t, d, orgA), want)
		})
	}
}

// Writers that are faster than they can be followed wait now and then, and lose nothing.
func TestMoveBrakesWriters(t *testing.T) {
	dbtest.Each(t, moving(), func(t *testing.T, d *db.DB) {
		fill(t, d, orgA, 100)
		want := contents(t, d, orgA)
		write := func(n int) {
			var ts []thing
			for i := range 300 {
				id := fmt.Sprintf("more %d %03d", n, i)
				ts = append(ts, thing{ID: id, OrganisationID: orgA, Name: id})
				want[id] = fmt.Sprintf("%q false  0", id)
			}
			if err := d.InTenant(t.Context(), orgA, func(ctx context.Context, tx *db.Tx) error {
				_, err := tx.NewInsert().Model(&ts).Exec(ctx)
				return err
			}); err != nil {
				t.Error(err)
			}
		}
		n := 0
		r, err := d.MoveBraked(t.Context(), orgA, db.Own, "", func(stage string) error {
			if strings.HasPrefix(stage, "copied") || stage == "compared" {
				n++
				write(n)
			}
			return nil
		})
		if err != nil || r.Brakes == 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		same(t, contents(t, d, orgA), want)
	})
}
