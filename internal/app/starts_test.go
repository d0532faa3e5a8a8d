package app

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/telephony"
)

// Two media processes begin calls through one trunk as fast as they can: in no second begin more than it takes, of both together,
// and both get some.
func TestCallsASecondOfTwoProcesses(t *testing.T) {
	const perSecond = 3
	b := ownBus(t)
	clock := quartz.NewMock(t)
	trunk := telephony.Trunk{ID: "018f0000-0000-7000-8000-0000000000f1", Name: "Carrier", Lines: 1000, PerSecond: perSecond}
	var processes []*calls
	for _, node := range []string{"media.one", "media.two"} {
		p := sharing(t, b, node, placesConfig{Clock: clock})
		p.skew = 0 // they have one clock
		processes = append(processes, &calls{places: p, gates: telephony.NewGates(telephony.GatesConfig{Node: node, Clock: clock, Rand: func() float64 { return 0 }})})
	}
	var mu sync.Mutex
	var begun []time.Time
	got := make([]int, len(processes))
	for round := range 40 { // every 100 ms, for 4 s
		var wg sync.WaitGroup
		for i := range processes {
			i = (i + round) % len(processes)
			wg.Go(func() {
				for range 2 {
					l, err := processes[i].through(t.Context(), line{org: ours}, trunk)
					if err == nil {
						mu.Lock()
						begun, got[i] = append(begun, clock.Now()), got[i]+1
						mu.Unlock()
						processes[i].offTrunk(l)
					} else if !errors.Is(err, telephony.ErrTooFast) || !fault.Is(err, fault.RateLimited) {
						t.Errorf("neither begun nor too fast: %v", err)
					}
				}
			})
		}
		wg.Wait()
		clock.Advance(100 * time.Millisecond).MustWait(t.Context())
	}
	slices.SortFunc(begun, time.Time.Compare)
	for i := range begun {
		if i >= perSecond && begun[i].Sub(begun[i-perSecond]) < time.Second {
			t.Fatalf("%d calls in less than a second: %v", perSecond+1, begun[i-perSecond:i+1])
		}
	}
	if len(begun) != 4*perSecond {
		t.Errorf("%d calls in 4 s, not %d: %v", len(begun), 4*perSecond, got)
	}
}

// Times are the bus's: processes whose clocks differ by an hour see the same second.
func TestClocksOfProcessesDiffer(t *testing.T) {
	b := ownBus(t)
	fast := quartz.NewMock(t)
	fast.Set(time.Now().Add(time.Hour))
	one, two := sharing(t, b, "media.one", placesConfig{}), sharing(t, b, "media.two", placesConfig{Clock: fast})
	if apart := two.skew - one.skew; apart > -59*time.Minute || apart < -61*time.Minute {
		t.Errorf("clocks that are an hour apart are compared as %s apart", apart)
	}
}

// Without the bus each process goes by what it last knew, and calls wait for nothing.
func TestCallsASecondWithoutTheBus(t *testing.T) {
	b := ownBus(t)
	clock := quartz.NewMock(t)
	one, two := sharing(t, b, "media.one", placesConfig{Clock: clock}), sharing(t, b, "media.two", placesConfig{Clock: clock})
	one.skew, two.skew = 0, 0
	start := func(p *places) bool { return p.start(context.Background(), "trunk", 3) == 0 }
	if !start(one) || !start(two) || !start(one) { // one knows of two's call now
		t.Fatal("three calls a second may begin")
	}
	if two.start(t.Context(), "trunk", 3) != time.Second || start(one) {
		t.Error("a fourth call began in the same second")
	}
	b.Close()
	clock.Advance(time.Second).MustWait(t.Context())
	for i := range 4 {
		if start(one) != (i < 3) {
			t.Errorf("call %d without the bus", i+1)
		}
	}
	if !one.isAway() {
		t.Error("calls go on waiting for the bus")
	}
	clock.Advance(2 * time.Minute)
	one.forgetStarts()
	if len(one.trunks) > 0 {
		t.Error("a trunk that nobody uses is not forgotten")
	}
}

// A time that is far ahead, of a process whose clock was wrong, keeps nobody waiting.
func TestStartsOfTheFuture(t *testing.T) {
	s := trunkStarts{begun: []int64{1_000, 900_000}}
	if wait := s.full(1_500, 1); wait != 500*time.Millisecond || len(s.begun) != 1 {
		t.Errorf("wait %s for %v", wait, s.begun)
	}
}
