package compliance

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/bus"
)

// shelf is a Sink in memory. fail is asked after a batch is kept, as a server's answer may be lost after it has written.
type shelf struct {
	mu      sync.Mutex
	kept    map[string]AuditEntry
	order   []int64 // of entries that were new
	batches []int
	fail    func(batch int) error
	wait    bool // until ctx ends
	closed  bool
}

func (s *shelf) Place() string { return "shelf" }

func (s *shelf) Write(ctx context.Context, entries []AuditEntry) error {
	s.mu.Lock()
	wait := s.wait
	s.mu.Unlock()
	if wait {
		<-ctx.Done()
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batches = append(s.batches, len(entries))
	if s.kept == nil {
		s.kept = map[string]AuditEntry{}
	}
	for _, e := range entries {
		if _, there := s.kept[e.ID]; !there {
			s.order = append(s.order, e.Seq)
		}
		s.kept[e.ID] = e
	}
	if s.fail != nil {
		return s.fail(len(s.batches))
	}
	return nil
}

func (s *shelf) Close() error { s.mu.Lock(); defer s.mu.Unlock(); s.closed = true; return nil }

func (s *shelf) seen() (order []int64, batches []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.order), slices.Clone(s.batches)
}

// copying gives a rig whose service has a sink, and what stops at each pause of the copier.
func copying(t *testing.T, r *rig, sink *shelf) (*rig, *quartz.Trap) {
	t.Helper()
	out := newRig(t, r.d, r.clock, func(c *Config) { c.Sink = sink })
	out.next = r.next
	trap := r.clock.Trap().NewTimer("compliance", "copy")
	t.Cleanup(func() {
		trap.Close()
		out.Close()
	})
	return out, trap
}

// pause waits until the copier has nothing to do, or has failed, and gives for how long it means to wait.
func pause(t *testing.T, trap *quartz.Trap) time.Duration {
	t.Helper()
	call := trap.MustWait(t.Context())
	call.MustRelease(t.Context())
	return call.Duration
}

func copied(t *testing.T, r *rig) CopyState {
	t.Helper()
	v, err := r.CopyState(t.Context())
	must(t, err)
	return v
}

func wholeTo(n int) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = int64(i) + 1
	}
	return out
}

func TestCopy(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		sink := &shelf{}
		r, trap := copying(t, r, sink)
		r.fill(identity.Platform, 403) // what was there before there was a sink
		r.fill(orgA, 2)
		if v := copied(t, r); v.Behind() != 403 || v.Oldest.IsZero() {
			t.Errorf("before: %+v", v)
		}
		r.startCopy(t.Context())
		if d := pause(t, trap); d != copyIdle {
			t.Errorf("it waits for %s", d)
		}
		order, batches := sink.seen()
		if !slices.Equal(order, wholeTo(403)) || !slices.Equal(batches, []int{200, 200, 3}) {
			t.Errorf("%d entries in %v", len(order), batches)
		}
		if v := copied(t, r); v.Behind() != 0 || !v.Oldest.IsZero() || v.Copied != 403 {
			t.Errorf("after: %+v", v)
		}
		// What comes is copied when it comes, not at the next look: the clock stands.
		r.fill(identity.Platform, 1)
		pause(t, trap)
		// Another process appends: this one sees it at its next look.
		other := newRig(t, r.d, r.clock, nil)
		other.next = r.next
		other.fill(identity.Platform, 1)
		r.clock.Advance(copyIdle).MustWait(t.Context())
		pause(t, trap)
		if order, _ := sink.seen(); !slices.Equal(order, wholeTo(405)) {
			t.Errorf("then %d entries", len(order))
		}
		items, _, err := r.Entries(t.Context(), identity.Platform, AuditFilter{}, "", 10)
		must(t, err)
		if got := sink.kept[items[0].ID]; got.Hash != items[0].Hash || got.sum(identity.Platform) != got.Hash {
			t.Errorf("the copy is %+v of %+v", got, items[0])
		}
		if n, failures := r.Copied(); n != 405 || failures != 0 {
			t.Errorf("%d copied, %d failures", n, failures)
		}
		r.Close()
		r.Close()
		if !sink.closed {
			t.Error("the sink was not closed")
		}
	})
}

// A sink that fails is tried again, more and more rarely; nothing is lost, nothing is there twice, and who appends does not notice.
func TestCopyGoesOnAfterFailures(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		sink := &shelf{fail: func(batch int) error {
			if batch <= 8 {
				return errors.New("away")
			}
			return nil
		}}
		r, trap := copying(t, r, sink)
		r.fill(identity.Platform, 2)
		r.startCopy(t.Context())
		var waits []time.Duration
		for range 8 {
			waits = append(waits, pause(t, trap))
			r.fill(identity.Platform, 30) // nothing new wakes it
			r.clock.Advance(waits[len(waits)-1]).MustWait(t.Context())
		}
		if d := pause(t, trap); d != copyIdle {
			t.Errorf("after it worked it waits for %s", d)
		}
		want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60}
		for i := range want {
			want[i] *= time.Second
		}
		if !slices.Equal(waits, want) {
			t.Errorf("it waited %v", waits)
		}
		order, batches := sink.seen()
		if !slices.Equal(order, wholeTo(242)) || slices.Max(batches) > copyRows {
			t.Errorf("%d entries in batches %v", len(order), batches)
		}
		if _, failures := r.Copied(); failures != 8 {
			t.Errorf("%d failures", failures)
		}
	})
}

// A process that ends between writing and noting, and one that begins anew.
func TestCopyAfterARestart(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		sink := &shelf{fail: func(batch int) error {
			if batch == 2 {
				return errors.New("the answer is lost")
			}
			return nil
		}}
		first, trap := copying(t, r, sink)
		first.fill(identity.Platform, 300)
		first.startCopy(t.Context())
		pause(t, trap)
		if v := copied(t, first); v.Copied != 200 || v.Why != "the answer is lost" {
			t.Errorf("%+v", v)
		}
		trap.Close()
		first.Close()
		second, trap := copying(t, first, sink)
		second.startCopy(t.Context())
		pause(t, trap)
		order, batches := sink.seen()
		if !slices.Equal(order, wholeTo(300)) || !slices.Equal(batches, []int{200, 100, 100}) {
			t.Errorf("%d entries in %v", len(order), batches)
		}
	})
}

// A sink that does not answer holds up nobody: not those who append, not the process that stops.
func TestCopyIsWaitedForByNobody(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		sink := &shelf{wait: true}
		r, _ = copying(t, r, sink)
		r.fill(identity.Platform, copyRows)
		r.startCopy(t.Context())
		r.fill(identity.Platform, 2*copyRows)
		if v := copied(t, r); v.Behind() != 3*copyRows || v.Copied != 0 {
			t.Errorf("%+v", v)
		}
		must(t, r.CheckCopy(t.Context()))
		r.clock.Advance(copyLate + time.Second)
		var late *CopyLate
		if err := r.CheckCopy(t.Context()); !errors.As(err, &late) || !late.Degraded() || late.Behind() != 3*copyRows {
			t.Errorf("the health says %v", err)
		}
		r.Close()
	})
}

// Large entries make small batches; one that is larger than a batch goes alone.
func TestCopyBatch(t *testing.T) {
	large, huge := strings.Repeat("x", 1<<20), strings.Repeat("x", copyBytes)
	for name, c := range map[string]struct {
		rows []entryRow
		want int
	}{
		"none": {nil, 0}, "small ones": {make([]entryRow, copyRows), copyRows},
		"large ones": {[]entryRow{{After: large}, {Before: large}, {After: large}, {After: large}}, 3},
		"a huge one": {[]entryRow{{After: huge}, {}}, 1}, "then a huge one": {[]entryRow{{}, {After: huge}}, 1},
	} {
		if got := len(batch(c.rows)); got != c.want {
			t.Errorf("%s: %d", name, got)
		}
	}
}

// trails is a TrailSink in memory that fails as often as it is told to.
type trails struct {
	mu    sync.Mutex
	kept  map[string][]AuditEntry
	fails int
}

func (s *trails) WriteTrail(_ context.Context, org string, entries []AuditEntry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails > 0 {
		s.fails--
		return errors.New("away")
	}
	s.kept[org] = append(s.kept[org], entries...)
	return nil
}

// What organisations do is copied as it stands in their trails, each under its own, also when the copy is asked for first; what the sink
// refused is copied when it comes again.
func TestTrailsAreCopied(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		sink := &trails{kept: map[string][]AuditEntry{}}
		r.cfg.TrailSink = sink
		facts := []bus.Msg{r.fact(orgA, full(1)), r.fact(orgB, full(2)), r.fact(identity.Platform, full(3)), r.fact(orgA, full(4))}
		must(t, r.take(t.Context(), facts[:1])) // the others are in no trail yet
		sink.fails = 1
		if err := r.copyTrails(t.Context(), facts); err == nil {
			t.Error("a copy that failed was taken for one")
		}
		if len(sink.kept[orgA])+len(sink.kept[orgB]) == 0 {
			t.Error("one organisation's failure kept the others waiting")
		}
		sink.kept = map[string][]AuditEntry{}
		must(t, r.copyTrails(t.Context(), facts))
		if len(sink.kept) != 2 || len(sink.kept[orgA]) != 2 || len(sink.kept[orgB]) != 1 {
			t.Fatalf("copied %+v", sink.kept)
		}
		for org, entries := range sink.kept {
			for _, e := range entries {
				if e.sum(org) != e.Hash {
					t.Errorf("the copy of entry %d is not what is chained", e.Seq)
				}
			}
		}
	})
}
