package bus_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/coder/quartz"
	"go.uber.org/goleak"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/bus"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
)

const org = "0192aaaa-0000-7000-8000-000000000001"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, dir string) *bus.Bus {
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Config{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func publish(t testing.TB, b *bus.Bus, id string, f event.Fact) {
	t.Helper()
	if err := b.Publish(t.Context(), org, id, f); err != nil {
		t.Fatal(err)
	}
}

// collect subscribes and hands every message over.
func collect(t testing.TB, b *bus.Bus, c bus.SubConfig) (<-chan bus.Msg, *bus.Subscription) {
	t.Helper()
	got := make(chan bus.Msg, 100)
	s, err := b.Subscribe(t.Context(), c, func(_ context.Context, m bus.Msg) error {
		got <- m
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return got, s
}

func TestPublishAndSubscribe(t *testing.T) {
	b := open(t, t.TempDir())
	live, _ := collect(t, b, bus.SubConfig{Live: true})
	publish(t, b, "id-1", event.CallEnded{CallID: "c1", OrgID: org, DurationMS: 7})
	publish(t, b, "id-1", event.CallEnded{CallID: "c1", OrgID: org, DurationMS: 7}) // a repeat
	if !b.PublishLive(org, event.CallStatus{CallID: "c1", Status: "ended"}) {
		t.Error("live news was not taken")
	}
	facts, _ := collect(t, b, bus.SubConfig{Durable: "test"})
	m := <-facts
	if m.ID != "id-1" || m.OrgID != org || m.Type != "call.ended" || m.Key != "c1" || m.Seq != 1 || m.At.IsZero() {
		t.Errorf("got %+v", m)
	}
	var f event.CallEnded
	if err := json.Unmarshal(m.Data, &f); err != nil || f.DurationMS != 7 {
		t.Errorf("%+v %v", f, err)
	}
	first, second := <-live, <-live
	if first.ID != "id-1" || second.Type != "call.status" || first.Seq+1 != second.Seq || second.ID == "" {
		t.Errorf("the feed got %+v, then %+v", first, second)
	}
	publish(t, b, "id-2", event.CallEnded{CallID: "c2"})
	if m := <-facts; m.ID != "id-2" {
		t.Errorf("the repeat came through: %+v", m)
	}
}

func TestResumeFromASequence(t *testing.T) {
	b := open(t, t.TempDir())
	for i := range 5 {
		publish(t, b, fmt.Sprint(i), event.CallError{CallID: fmt.Sprint(i)})
	}
	got, _ := collect(t, b, bus.SubConfig{From: 4})
	if a, z := <-got, <-got; a.Key != "3" || z.Key != "4" {
		t.Errorf("got %s, %s", a.Key, z.Key)
	}
}

func TestFilter(t *testing.T) {
	b := open(t, t.TempDir())
	all := []event.Fact{event.CallStarted{CallID: "a"}, event.CallEnded{CallID: "b"}, event.CallError{CallID: "c"}}
	for i, f := range all {
		publish(t, b, fmt.Sprint("x", i), f)
		if err := b.Publish(t.Context(), "other", fmt.Sprint("y", i), f); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range []struct {
		sub  bus.SubConfig
		want string
	}{
		{bus.SubConfig{Filter: []string{"call.ended"}, OrgID: org}, "b"},
		{bus.SubConfig{Filter: []string{"call.ended", "call.error"}}, "bbcc"},
		{bus.SubConfig{Filter: []string{"call.*"}, OrgID: "other"}, "abc"},
		{bus.SubConfig{}, "aabbcc"},
	} {
		c.sub.Durable = fmt.Sprint("filter", i)
		got, s := collect(t, b, c.sub)
		var keys string
		for range c.want {
			keys += (<-got).Key
		}
		s.Stop()
		if keys != c.want || len(got) != 0 {
			t.Errorf("%+v: got %s and %d more, want %s", c.sub, keys, len(got), c.want)
		}
	}
	for _, bad := range []bus.SubConfig{{Filter: []string{">"}}, {OrgID: "a.b"}, {Durable: "x", Live: true}, {Filter: []string{""}}} {
		if _, err := b.Subscribe(t.Context(), bad, func(context.Context, bus.Msg) error { return nil }); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

// A durable subscription goes on where it was, in a new process too, and repeats what failed or panicked.
func TestDurableAcrossRestart(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	publish(t, b, "1", event.CallError{CallID: "1"})
	publish(t, b, "2", event.CallError{CallID: "2"})
	var mu sync.Mutex
	var seen []string
	done := make(chan struct{})
	fails := 0
	s, err := b.Subscribe(t.Context(), bus.SubConfig{Durable: "d"}, func(_ context.Context, m bus.Msg) error {
		mu.Lock()
		defer mu.Unlock()
		if m.Key == "1" && fails < 2 {
			if fails++; fails == 1 {
				return errors.New("not yet")
			}
			panic("not yet either")
		}
		if seen = append(seen, m.Key); len(seen) == 2 {
			close(done)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	<-done
	s.Stop()
	s.Stop()
	slices.Sort(seen)
	if !slices.Equal(seen, []string{"1", "2"}) {
		t.Errorf("handled %v", seen)
	}
	b.Close()
	b.Close()

	b = open(t, dir)
	publish(t, b, "3", event.CallError{CallID: "3"})
	got, _ := collect(t, b, bus.SubConfig{Durable: "d"})
	if m := <-got; m.Key != "3" || m.Seq != 3 {
		t.Errorf("after the restart got %+v", m)
	}
	// The feed's sequence outlives the restart, too.
	feed, _ := collect(t, b, bus.SubConfig{Live: true, From: 1})
	if m := <-feed; m.Key != "1" || m.Seq != 1 {
		t.Errorf("the feed began with %+v", m)
	}
}

func TestBadNames(t *testing.T) {
	b := open(t, t.TempDir())
	for _, o := range []string{"", "a.b", "*", "a b", ">"} {
		if err := b.Publish(t.Context(), o, "1", event.CallError{}); err == nil {
			t.Errorf("organisation %q was taken", o)
		}
		if b.PublishLive(o, event.CallError{}) {
			t.Errorf("live: organisation %q was taken", o)
		}
	}
	if b.Dropped() != 5 {
		t.Errorf("%d counted", b.Dropped())
	}
}

func TestLiveNeverBlocks(t *testing.T) {
	b := open(t, t.TempDir())
	taken := uint64(0)
	const n = 50_000
	for range n {
		if b.PublishLive(org, event.CallStatus{CallID: "c"}) {
			taken++
		}
	}
	if taken+b.Dropped() != n {
		t.Errorf("%d taken and %d dropped of %d", taken, b.Dropped(), n)
	}
	b.Close()
	if b.PublishLive(org, event.CallStatus{}) {
		t.Error("taken after Close")
	}
}

func TestOpenErrors(t *testing.T) {
	if b, err := bus.Open(t.Context(), bus.Config{URL: "nats://127.0.0.1:1"}); err == nil {
		b.Close()
		t.Error("connected to nothing")
	}
	if b, err := bus.Open(t.Context(), bus.Config{DataDir: "/dev/null"}); err == nil {
		b.Close()
		t.Error("stored in nothing")
	}
}

func outbox(t testing.TB, d *db.DB) (n int64) {
	t.Helper()
	err := d.EachPlacement(t.Context(), "test", func(ctx context.Context, in *db.DB) error {
		return in.ReadSystem(ctx, "test", func(ctx context.Context, tx *db.Tx) error {
			here, err := tx.NewSelect().Model((*db.OutboxRow)(nil)).Count(ctx)
			n += here
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func commit(t testing.TB, d *db.DB, facts ...event.Fact) {
	t.Helper()
	err := d.InTenant(t.Context(), org, func(ctx context.Context, tx *db.Tx) error { return tx.Publish(ctx, facts...) })
	if err != nil {
		t.Fatal(err)
	}
}

func TestRelay(t *testing.T) {
	dbtest.EachPlacement(t, nil, []string{org}, func(t *testing.T, d *db.DB) {
		b := open(t, t.TempDir())
		got, _ := collect(t, b, bus.SubConfig{Durable: "test"})
		r := bus.NewRelay(d, b)
		r.Stop() // before Start
		commit(t, d, event.CallStarted{CallID: "before"})
		r.Start(t.Context())
		r.Start(t.Context())
		defer r.Stop()
		if m := <-got; m.Key != "before" || m.OrgID != org {
			t.Errorf("got %+v", m)
		}
		var want, keys []string
		for i := range 20 {
			commit(t, d, event.CallEnded{CallID: fmt.Sprint(i)}, event.CallError{CallID: fmt.Sprint(i)})
			want = append(want, fmt.Sprint(i), fmt.Sprint(i))
		}
		for range want {
			keys = append(keys, (<-got).Key)
		}
		if !slices.Equal(keys, want) {
			t.Errorf("order %v", keys)
		}
		r.Stop()
		if n := outbox(t, d); n != 0 {
			t.Errorf("%d rows left in the outbox", n)
		}
	})
}

// What goes out twice, because the process died before it deleted the row, arrives once.
func TestRelayAfterACrash(t *testing.T) {
	dbtest.Each(t, nil, func(t *testing.T, d *db.DB) {
		b := open(t, t.TempDir())
		commit(t, d, event.CallEnded{CallID: "1"})
		var rows []db.OutboxRow
		if err := d.ReadSystem(t.Context(), "test", func(ctx context.Context, tx *db.Tx) error {
			return tx.NewSelect().Model(&rows).Scan(ctx)
		}); err != nil || len(rows) != 1 {
			t.Fatal(rows, err)
		}
		publish(t, b, rows[0].ID, event.CallEnded{CallID: "1"}) // published, not deleted
		commit(t, d, event.CallEnded{CallID: "2"})
		r := bus.NewRelay(d, b)
		if n, err := r.Flush(t.Context()); n != 2 || err != nil {
			t.Fatal(n, err)
		}
		got, _ := collect(t, b, bus.SubConfig{Durable: "test"})
		if a, z := <-got, <-got; a.Key != "1" || z.Key != "2" {
			t.Errorf("got %s, %s", a.Key, z.Key)
		}
	})
}

func TestRelayWithoutABus(t *testing.T) {
	dbtest.Each(t, nil, func(t *testing.T, d *db.DB) {
		b := open(t, t.TempDir())
		b.Close()
		commit(t, d, event.CallEnded{CallID: "1"})
		if _, err := bus.NewRelay(d, b).Flush(t.Context()); err == nil {
			t.Error("no error")
		}
		if n := outbox(t, d); n != 1 {
			t.Errorf("%d rows in the outbox, want the fact to wait", n)
		}
	})
}

// A fact that can never go out must not stop the others.
func TestRelayDropsTheImpossible(t *testing.T) {
	d := dbtest.SQLite(t)
	b := open(t, t.TempDir())
	commit(t, d, event.CallError{CallID: "big", Message: strings.Repeat("x", 1<<20)}, event.CallError{CallID: "small"})
	if _, err := bus.NewRelay(d, b).Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, _ := collect(t, b, bus.SubConfig{Durable: "test"})
	if m := <-got; m.Key != "small" {
		t.Errorf("got %s", m.Key)
	}
	if n := outbox(t, d); n != 0 {
		t.Errorf("%d rows left", n)
	}
}

// Facts of other processes give no signal: the clock finds them.
func TestRelayPolls(t *testing.T) {
	dir := t.TempDir()
	d := dbtest.Open(t, db.Config{DataDir: dir})
	other := dbtest.Open(t, db.Config{DataDir: dir})
	clock := quartz.NewMock(t)
	trap := clock.Trap().NewTicker("relay")
	b, err := bus.Open(t.Context(), bus.Config{DataDir: t.TempDir(), Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	got, _ := collect(t, b, bus.SubConfig{Durable: "test"})
	r := bus.NewRelay(d, b)
	r.Start(t.Context())
	defer r.Stop()
	trap.MustWait(t.Context()).MustRelease(t.Context())
	trap.Close()
	commit(t, other, event.CallEnded{CallID: "1"})
	for len(got) == 0 {
		_, w := clock.AdvanceNext()
		w.MustWait(t.Context())
	}
	if m := <-got; m.Key != "1" {
		t.Errorf("got %+v", m)
	}
}

func BenchmarkRelay(b *testing.B) {
	d := dbtest.SQLite(b)
	bs := open(b, b.TempDir())
	r := bus.NewRelay(d, bs)
	facts := make([]event.Fact, 500)
	for i := range facts {
		facts[i] = event.CallEnded{CallID: "c"}
	}
	for b.Loop() {
		commit(b, d, facts...)
		if n, err := r.Flush(b.Context()); n != len(facts) || err != nil {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(b.N*len(facts))/b.Elapsed().Seconds(), "facts/s")
}
