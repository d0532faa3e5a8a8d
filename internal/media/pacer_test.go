package media

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/quartz"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type counter struct {
	n    atomic.Int64
	late atomic.Int64 // the largest lateness, ns
	do   func(Beat)
}

func (c *counter) Tick(b Beat) {
	c.n.Add(1)
	if int64(b.Late) > c.late.Load() {
		c.late.Store(int64(b.Late))
	}
	if c.do != nil {
		c.do(b)
	}
}

func newMockPacer(t *testing.T, shards int) (*Pacer, *quartz.Mock, func(time.Duration)) {
	t.Helper()
	clock := quartz.NewMock(t)
	// Every beat ends by arming the shard's timer again: trapping the reset tells that the beat is over.
	trap := clock.Trap().TimerReset("pacer")
	p := NewPacer(PacerConfig{Clock: clock, Shards: shards})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(func() { trap.Close(); p.Close(); cancel() })
	if shards == 1 { // the first beat is at once, before anything joined
		trap.MustWait(ctx).MustRelease(ctx)
	}
	step := func(d time.Duration) {
		clock.Advance(d)
		trap.MustWait(ctx).MustRelease(ctx)
	}
	return p, clock, step
}

func TestPacerTicksEvery20ms(t *testing.T) {
	p, _, step := newMockPacer(t, 1)
	var dues []time.Time
	leg := &counter{}
	leg.do = func(b Beat) { dues = append(dues, b.Due) }
	slot := p.Add(leg, nil)
	for range 50 {
		step(FrameDuration)
	}
	if len(dues) != 50 {
		t.Fatalf("%d ticks in 50 beats", len(dues))
	}
	for i := 1; i < len(dues); i++ {
		if d := dues[i].Sub(dues[i-1]); d != FrameDuration {
			t.Errorf("tick %d is due %v after the one before", i, d)
		}
	}
	p.Remove(slot)
	p.Remove(slot)
	p.Remove(nil)
	step(FrameDuration)
	if leg.n.Load() != 50 || p.Stats().Legs != 0 {
		t.Errorf("a removed leg was ticked: %d ticks, %+v", leg.n.Load(), p.Stats())
	}
	if st := p.Stats(); st.Late != 0 || st.Skipped != 0 || st.Beats != 50 {
		t.Errorf("stats %+v", st)
	}
}

func TestPacerSpreadsLegsOverShards(t *testing.T) {
	p, _, _ := newMockPacer(t, 20)
	for range 40 {
		p.Add(&counter{}, nil)
	}
	seen := map[time.Duration]bool{}
	for _, s := range p.shards {
		if s.count.Load() != 2 {
			t.Errorf("shard at %v has %d legs, want 2", s.offset, s.count.Load())
		}
		seen[s.offset] = true
	}
	if len(seen) != 20 {
		t.Errorf("%d distinct offsets, want 20", len(seen))
	}
}

func TestPacerCatchesUpBoundedly(t *testing.T) {
	for _, tc := range []struct {
		name               string
		stall              time.Duration
		ticks              int64
		lateTicks, skipped uint64
	}{
		{"one beat", 20 * time.Millisecond, 1, 0, 0},
		{"just late", 39 * time.Millisecond, 1, 0, 0},
		{"two beats behind", 60 * time.Millisecond, 3, 1, 0},
		{"at the bound", 100 * time.Millisecond, 5, 3, 0},
		{"far beyond it", time.Second, 5, 3, 45},
	} {
		t.Run(tc.name, func(t *testing.T) {
			clock := quartz.NewMock(t)
			p := &Pacer{clock: clock}
			s := &shard{pacer: p}
			p.shards = []*shard{s}
			leg := &counter{}
			p.Add(leg, nil)
			due := clock.Now().Add(FrameDuration)
			clock.Advance(tc.stall)
			next := s.catchUp(due)
			st := p.Stats()
			if leg.n.Load() != tc.ticks || st.Late != tc.lateTicks || st.Skipped != tc.skipped {
				t.Errorf("%d ticks, %d late, %d skipped; want %d, %d, %d", leg.n.Load(), st.Late, st.Skipped, tc.ticks, tc.lateTicks, tc.skipped)
			}
			if wait := next.Sub(clock.Now()); wait <= 0 || wait > FrameDuration {
				t.Errorf("the next beat is due in %v", wait)
			}
			if next.Sub(due)%FrameDuration != 0 {
				t.Errorf("the schedule drifted: %v", next.Sub(due))
			}
		})
	}
}

func TestPacerPanicEndsThatLegOnly(t *testing.T) {
	p, _, step := newMockPacer(t, 1)
	var reported error
	bad := &counter{do: func(Beat) { panic("boom") }}
	p.Add(bad, func(err error) { reported = err; panic(errors.New("again")) })
	good := &counter{}
	p.Add(good, nil)
	step(FrameDuration)
	step(FrameDuration)
	step(FrameDuration)
	if bad.n.Load() != 1 || good.n.Load() != 3 {
		t.Errorf("bad leg ticked %d times, good leg %d; want 1 and 3", bad.n.Load(), good.n.Load())
	}
	if reported == nil || p.Stats().Panics != 1 || p.Stats().Legs != 1 {
		t.Errorf("reported %v, stats %+v", reported, p.Stats())
	}
}

func TestPacerRemoveFromTickAndBeforeFirstTick(t *testing.T) {
	p, _, step := newMockPacer(t, 1)
	var own *Slot
	self := &counter{}
	self.do = func(Beat) { p.Remove(own) }
	own = p.Add(self, nil)
	never := &counter{}
	p.Remove(p.Add(never, nil))
	last := &counter{}
	p.Add(last, nil)
	step(FrameDuration)
	step(FrameDuration)
	if self.n.Load() != 1 || never.n.Load() != 0 || last.n.Load() != 2 {
		t.Errorf("ticks %d %d %d; want 1 0 2", self.n.Load(), never.n.Load(), last.n.Load())
	}
}

func TestPacerCloseTwiceWithRealClock(t *testing.T) {
	p := NewPacer(PacerConfig{})
	ticked := make(chan struct{}, 1)
	p.Add(&counter{do: func(Beat) {
		select {
		case ticked <- struct{}{}:
		default:
		}
	}}, nil)
	<-ticked
	p.Close()
	p.Close()
}

// BenchmarkPacerBeat is the Pacer's own cost for one leg and one 20 ms beat.
func BenchmarkPacerBeat(b *testing.B) {
	p := &Pacer{clock: quartz.NewReal()}
	s := &shard{pacer: p}
	p.shards = []*shard{s}
	for range 500 {
		p.Add(&counter{}, nil)
	}
	s.settle()
	due := time.Now().Add(time.Hour)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += 500 {
		s.beat(due)
	}
}
