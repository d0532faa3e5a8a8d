package jobs_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/jobs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type hello struct {
	Name string `json:"name"`
}

func (hello) Kind() string { return "test.hello" }

type sweep struct{}

func (sweep) Kind() string { return "test.sweep" }

func open(t *testing.T, d *db.DB) *jobs.Jobs {
	t.Helper()
	j, err := jobs.Open(t.Context(), jobs.Config{DB: d, Poll: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	for range 2 {
		if err := j.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return j
}

func start(t *testing.T, j *jobs.Jobs) {
	t.Helper()
	if err := errors.Join(j.Start(t.Context()), j.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
}

func TestJobs(t *testing.T) {
	dbtest.Each(t, nil, func(t *testing.T, d *db.DB) {
		j := open(t, d)
		if err := errors.Join(j.Stop(), j.Stop()); err != nil { // before Start
			t.Error(err)
		}
		got := make(chan string, 10)
		if err := jobs.Register(j, jobs.KindConfig{}, func(_ context.Context, org string, a hello) error {
			got <- org + " " + a.Name
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		boom := errors.New("boom")
		err := d.InTenant(t.Context(), "a", func(ctx context.Context, tx *db.Tx) error {
			return errors.Join(jobs.Insert(ctx, j, tx, hello{"never"}, jobs.Options{}), boom)
		})
		if !errors.Is(err, boom) {
			t.Fatal(err)
		}
		err = d.InTenant(t.Context(), "a", func(ctx context.Context, tx *db.Tx) error {
			for range 2 { // the second is the same
				if err := jobs.Insert(ctx, j, tx, hello{"one"}, jobs.Options{Unique: true}); err != nil {
					return err
				}
			}
			return jobs.Insert(ctx, j, tx, hello{"far"}, jobs.Options{At: time.Now().Add(time.Hour)})
		})
		if err != nil {
			t.Fatal(err)
		}
		start(t, j)
		if s := <-got; s != "a one" {
			t.Errorf("did %q", s)
		}
		err = d.InSystem(t.Context(), "test", func(ctx context.Context, tx *db.Tx) error {
			return jobs.Insert(ctx, j, tx, hello{"two"}, jobs.Options{})
		})
		if err != nil {
			t.Fatal(err)
		}
		if s := <-got; s != " two" {
			t.Errorf("did %q", s)
		}
		if err := j.Stop(); err != nil {
			t.Error(err)
		}
		if len(got) != 0 {
			t.Errorf("did %q, too", <-got)
		}
	})
}

func TestEveryAndFailures(t *testing.T) {
	dbtest.Each(t, nil, func(t *testing.T, d *db.DB) {
		j := open(t, d)
		swept := make(chan struct{}, 10)
		tries := make(chan int, 10)
		n := 0
		if err := errors.Join(
			jobs.Register(j, jobs.KindConfig{}, func(context.Context, string, sweep) error {
				swept <- struct{}{}
				return nil
			}),
			jobs.Register(j, jobs.KindConfig{Timeout: time.Minute}, func(_ context.Context, _ string, a hello) error {
				n++
				tries <- n
				if n == 1 {
					panic("once")
				}
				return nil
			}),
			jobs.Every(j, time.Hour, sweep{}),
		); err != nil {
			t.Fatal(err)
		}
		if err := jobs.Every(j, 0, sweep{}); err == nil {
			t.Error("an interval of nothing was taken")
		}
		if err := jobs.Register(j, jobs.KindConfig{}, func(context.Context, string, sweep) error { return nil }); err == nil {
			t.Error("a kind was registered twice")
		}
		start(t, j)
		<-swept
		err := d.InTenant(t.Context(), "a", func(ctx context.Context, tx *db.Tx) error {
			return jobs.Insert(ctx, j, tx, hello{"once more"}, jobs.Options{})
		})
		if err != nil {
			t.Fatal(err)
		}
		if a, z := <-tries, <-tries; a != 1 || z != 2 {
			t.Errorf("tries %d, %d", a, z)
		}
		if err := j.Stop(); err != nil {
			t.Error(err)
		}
		if len(tries) != 0 {
			t.Error("what was done was done again")
		}
	})
}

func TestOrganisationsSeeTheirOwnJobs(t *testing.T) {
	d := dbtest.Postgres(t)
	j := open(t, d)
	for _, org := range []string{"a", "b"} {
		err := d.InTenant(t.Context(), org, func(ctx context.Context, tx *db.Tx) error {
			return jobs.Insert(ctx, j, tx, hello{org}, jobs.Options{})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	err := d.ReadTenant(t.Context(), "a", func(ctx context.Context, tx *db.Tx) error {
		var names []string
		if err := tx.NewRaw("SELECT args->'args'->>'name' FROM river_job").Scan(ctx, &names); err != nil {
			return err
		}
		if len(names) != 1 || names[0] != "a" {
			t.Errorf("organisation a sees %v", names)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
