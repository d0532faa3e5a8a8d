package app

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/coder/quartz"
	"go.uber.org/goleak"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/platform/bus"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/telephony/sip"
)

const forever = 10 * time.Minute // longer than any test

// ownBus is a bus of the test's own.
func ownBus(t *testing.T) *bus.Bus {
	t.Helper()
	b := must(bus.Open(t.Context(), bus.Config{DataDir: t.TempDir(), Clock: quartz.NewReal(), Log: slog.New(slog.DiscardHandler)}))(t)
	t.Cleanup(b.Close)
	return b
}

// sharing is one process's count.
func sharing(t *testing.T, b *bus.Bus, node string, c placesConfig) *places {
	t.Helper()
	c.Node, c.Bus, c.Log = node, b, slog.New(slog.DiscardHandler)
	if c.Clock == nil {
		c.Clock = quartz.NewReal()
	}
	if c.TTL == 0 {
		c.TTL = forever
	}
	if c.Wait == 0 {
		c.Wait = patience
	}
	if c.Limited == nil {
		c.Limited = func(context.Context, string) bool { return true }
	}
	p := must(newPlaces(t.Context(), c))(t)
	t.Cleanup(func() { _ = p.close(context.Background()) })
	return p
}

// taken takes a place, and reports whether there was one.
func (p *places) taken(t *testing.T, most int64) bool {
	t.Helper()
	err := p.take(context.Background(), ours, most)
	if err != nil && !fault.Is(err, fault.LimitReached) {
		t.Errorf("neither taken nor refused: %v", err)
	}
	return err == nil
}

// soon waits for something that another goroutine does.
func soon(t *testing.T, what string, yes func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(patience)
	defer end.Stop()
	for !yes() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// Two processes take calls for one organisation at the same time: together they answer as many as its plan includes.
func TestCallsAtOnceOfTwoProcesses(t *testing.T) {
	const most, callers = 3, 5 // callers of each process
	b := ownBus(t)
	shared := []*places{sharing(t, b, "media.one", placesConfig{}), sharing(t, b, "media.two", placesConfig{})}
	rigs := []*exchangeRig{newExchangeRig(t), newExchangeRig(t)}
	for i, r := range rigs {
		r.says.Limits.Calls = number(most)
		r.places = shared[i]
		r.phone(ours, "desk")
		r.listen(map[string]*phone{"desk": ringer(t, r, "pcmu", nil)})
	}
	var mu sync.Mutex
	var answered []media.Leg
	var wg sync.WaitGroup
	for _, r := range rigs {
		anna := ringer(t, r, "pcmu", nil)
		for range callers {
			wg.Go(func() {
				l, err := anna.Dial(t.Context(), sip.DialRequest{To: "sip:desk@" + r.sip.Addr().String(), From: "anna"})
				if err != nil {
					t.Error(err)
					return
				}
				if err := l.Answer(t.Context()); err == nil {
					mu.Lock()
					answered = append(answered, l)
					mu.Unlock()
				} else if end := l.End(); end.Status != 486 {
					t.Errorf("a caller was told %+v", end)
				}
			})
		}
	}
	wg.Wait()
	if len(answered) != most {
		t.Errorf("%d calls at once, the plan includes %d", len(answered), most)
	}
	for _, l := range answered {
		hangUp(t, l)
	}
	for _, r := range rigs { // what is over is free everywhere
		r.wg.Wait()
	}
	for _, r := range rigs {
		for range most {
			soon(t, "a free place", func() bool { return r.places.taken(t, most) })
		}
		if r.places.taken(t, most) {
			t.Error("one more than there are places")
		}
		for range most {
			r.places.give(ours)
		}
	}
}

// What a process had that died is free once it is not heard any more, and not before.
func TestCallsOfADeadProcessAreGivenBack(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	b := ownBus(t)
	lasting := sharing(t, b, "media.lasting", placesConfig{})
	for range 2 {
		if !lasting.taken(t, 2) {
			t.Fatal("there are two places")
		}
	}
	heir := sharing(t, b, "media.heir", placesConfig{})
	if heir.taken(t, 2) {
		t.Fatal("a process that lives lost its places")
	}
	lasting.cancel() // it dies: nothing is given back, nothing said
	<-lasting.over
	if heir.taken(t, 2) {
		t.Fatal("a process that may come back lost its places at once")
	}
	if err := lasting.carriers.Delete(t.Context(), "media.lasting", 0); err != nil { // what the bus does after carrierTTL
		t.Fatal(err)
	}
	for i := range 3 {
		if heir.taken(t, 2) != (i < 2) {
			t.Errorf("place %d: the places of a dead process are not free, or too many are", i+1)
		}
	}
	_ = heir.close(t.Context())
	b.Close()
	goleak.VerifyNone(t, leaks)
}

// The bus itself forgets a process that says nothing.
func TestCarriersExpire(t *testing.T) {
	b := ownBus(t)
	silent := sharing(t, b, "media.silent", placesConfig{TTL: time.Second, Clock: quartz.NewMock(t)}) // its clock stands still
	heir := sharing(t, b, "media.heir", placesConfig{TTL: time.Second})
	if !silent.taken(t, 1) {
		t.Fatal("there is a place")
	}
	soon(t, "the place of a process that is silent", func() bool { return heir.taken(t, 1) })
}

// A limit counts the calls that ran before it was set, in all processes.
func TestLimitThatIsNewerThanTheCalls(t *testing.T) {
	b := ownBus(t)
	clock := quartz.NewMock(t)
	one, two := sharing(t, b, "media.one", placesConfig{Clock: clock}), sharing(t, b, "media.two", placesConfig{})
	for range 2 {
		if !one.taken(t, -1) {
			t.Fatal("there is no limit")
		}
	}
	if !two.taken(t, 2) { // nobody was told yet
		t.Fatal("the others know of calls without a limit")
	}
	two.give(ours)
	clock.Advance(forever / 3).MustWait(t.Context())
	soon(t, "the other process's calls to be known", func() bool {
		if !two.taken(t, 2) {
			return true
		}
		two.give(ours)
		return false
	})
}

// While the bus is away calls are counted by what was last known, and do not wait; afterwards the others are told.
func TestCallsAtOnceWithoutTheBus(t *testing.T) {
	b := ownBus(t)
	one, two := sharing(t, b, "media.one", placesConfig{}), sharing(t, b, "media.two", placesConfig{})
	if !one.taken(t, 4) || !two.taken(t, 4) || !one.taken(t, 4) { // one knows of two's call now
		t.Fatal("there are four places")
	}
	b.Close()
	if !one.taken(t, 4) || one.taken(t, 4) {
		t.Error("three and one of the other process are four")
	}
	if !one.isAway() {
		t.Error("calls go on waiting for the bus")
	}
	one.give(ours)
	if !one.taken(t, 4) || one.taken(t, 4) {
		t.Error("a place that was given back is free here")
	}
}

// A bus that lost its memory is told again of all calls.
func TestBusForgetsTheCalls(t *testing.T) {
	b := ownBus(t)
	clock := quartz.NewMock(t)
	one, two := sharing(t, b, "media.one", placesConfig{Clock: clock}), sharing(t, b, "media.two", placesConfig{})
	if !one.taken(t, 1) {
		t.Fatal("there is a place")
	}
	for kv, key := range map[*bus.KV]string{one.counts: ours, one.carriers: "media.one"} {
		if err := kv.Delete(t.Context(), key, 0); err != nil {
			t.Fatal(err)
		}
	}
	one.lose(context.DeadlineExceeded)
	clock.Advance(forever / 3).MustWait(t.Context())
	soon(t, "the calls to be told again", func() bool {
		e, err := two.counts.Get(t.Context(), ours)
		return err == nil && string(e.Value) == `{"media.one":1}`
	})
	if two.taken(t, 1) {
		t.Error("the place was given away twice")
	}
	one.give(ours)
	soon(t, "the place that was given back", func() bool { return two.taken(t, 1) })
	two.give(ours)
	soon(t, "nothing to be left of an organisation without calls", func() bool { return len(one.known()) == 0 && len(two.known()) == 0 })
}
