package media

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/quartz"
)

// Beat is one tick of a paced leg.
type Beat struct {
	Now  time.Time     // when the tick really began
	Due  time.Time     // when it should have begun; exactly 20 ms after the one before, unless beats were skipped
	Late time.Duration // Now - Due, never negative
}

// Paced is driven by a Pacer every 20 ms. Tick must not block and must not allocate: legs of the same shard
// wait for it.
type Paced interface {
	Tick(Beat)
}

// PacerConfig is what a Pacer needs.
type PacerConfig struct {
	Clock quartz.Clock // nil: the real clock
	Log   *slog.Logger // nil: discarded
	// Shards is the number of goroutines; their beats are spread evenly over the 20 ms. 0 means 20, one each
	// millisecond, which keeps the share of one shard small however many legs there are.
	Shards int
}

// maxCatchUp bounds how many missed beats a shard makes up for after a stall of the process. Beyond it the
// schedule is moved: sending a second of frames in one burst helps nobody.
const maxCatchUp = 5

// Pacer drives legs at 20 ms on a few goroutines with an absolute schedule, so that a late beat does not
// shift the ones after it. New legs go to the shard that has fewest.
//
// A panic in a leg's Tick removes that leg and is reported to the callback given with Add; the other legs
// go on.
type Pacer struct {
	clock  quartz.Clock
	log    *slog.Logger
	shards []*shard
	stop   chan struct{}
	wg     sync.WaitGroup
	once   sync.Once

	beats, late, skipped, panics atomic.Uint64
}

// PacerStats are counters since the Pacer began.
type PacerStats struct {
	Legs    int
	Beats   uint64 // ticks given to legs
	Late    uint64 // of these, begun more than 20 ms after their time
	Skipped uint64 // beats of a shard that were given up after a long stall
	Panics  uint64
}

// Slot is a leg's place in a Pacer.
type Slot struct {
	leg     Paced
	shard   *shard
	onPanic func(error)
	index   int // in shard.live, -1 while not in it; owned by the shard's goroutine
	removed atomic.Bool
}

type shard struct {
	pacer  *Pacer
	offset time.Duration
	count  atomic.Int64

	mu      sync.Mutex
	joining []*Slot
	leaving []*Slot

	live []*Slot // owned by run
}

// NewPacer starts a Pacer. Close ends it.
func NewPacer(c PacerConfig) *Pacer {
	if c.Clock == nil {
		c.Clock = quartz.NewReal()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Shards <= 0 {
		c.Shards = 20
	}
	p := &Pacer{clock: c.Clock, log: c.Log, stop: make(chan struct{})}
	start := c.Clock.Now()
	for i := range c.Shards {
		s := &shard{pacer: p, offset: FrameDuration * time.Duration(i) / time.Duration(c.Shards)}
		p.shards = append(p.shards, s)
		// The timers are made here and not in the goroutines so that a test that advances a mock clock right
		// after NewPacer finds them.
		due := start.Add(s.offset)
		timer := c.Clock.NewTimer(due.Sub(start), "pacer")
		p.wg.Go(func() { s.run(timer, due) })
	}
	return p
}

// Add begins to tick leg within 20 ms. onPanic, which may be nil, is called on the shard's goroutine when a
// Tick panicked; the leg has been removed by then. Add costs the same however many legs there are.
func (p *Pacer) Add(leg Paced, onPanic func(error)) *Slot {
	best := p.shards[0]
	for _, s := range p.shards[1:] {
		if s.count.Load() < best.count.Load() {
			best = s
		}
	}
	slot := &Slot{leg: leg, shard: best, onPanic: onPanic, index: -1}
	best.count.Add(1)
	best.mu.Lock()
	best.joining = append(best.joining, slot)
	best.mu.Unlock()
	return slot
}

// Remove ends the ticks of a slot. It does not wait: a Tick under way may still finish, and Tick itself
// may call it. It is safe to call twice and on a nil slot.
func (p *Pacer) Remove(slot *Slot) {
	if slot == nil || !slot.removed.CompareAndSwap(false, true) {
		return
	}
	s := slot.shard
	s.count.Add(-1)
	s.mu.Lock()
	s.leaving = append(s.leaving, slot)
	s.mu.Unlock()
}

// Stats returns the counters.
func (p *Pacer) Stats() PacerStats {
	st := PacerStats{Beats: p.beats.Load(), Late: p.late.Load(), Skipped: p.skipped.Load(), Panics: p.panics.Load()}
	for _, s := range p.shards {
		st.Legs += int(s.count.Load())
	}
	return st
}

// Close stops all ticks and waits for those under way. It must not be called from a Tick.
func (p *Pacer) Close() {
	p.once.Do(func() { close(p.stop) })
	p.wg.Wait()
}

func (s *shard) run(timer *quartz.Timer, due time.Time) {
	defer timer.Stop()
	for {
		select {
		case <-s.pacer.stop:
			return
		case <-timer.C:
		}
		due = s.catchUp(due)
		timer.Reset(max(0, due.Sub(s.pacer.clock.Now())), "pacer")
	}
}

// catchUp gives every beat that is due, at most maxCatchUp of them, and returns when the next one is.
func (s *shard) catchUp(due time.Time) time.Time {
	now := s.pacer.clock.Now()
	if behind := int(now.Sub(due) / FrameDuration); behind >= maxCatchUp {
		skip := behind - maxCatchUp + 1
		s.pacer.skipped.Add(uint64(skip))
		due = due.Add(time.Duration(skip) * FrameDuration)
	}
	for n := 0; n < maxCatchUp && !now.Before(due); n++ {
		s.beat(due)
		due = due.Add(FrameDuration)
		now = s.pacer.clock.Now()
	}
	return due
}

func (s *shard) beat(due time.Time) {
	s.settle()
	if len(s.live) == 0 {
		return
	}
	var late uint64
	for _, slot := range s.live {
		if slot.removed.Load() {
			continue
		}
		now := s.pacer.clock.Now()
		b := Beat{Now: now, Due: due, Late: max(0, now.Sub(due))}
		if b.Late > FrameDuration {
			late++
		}
		s.tick(slot, b)
	}
	s.pacer.beats.Add(uint64(len(s.live)))
	if late > 0 {
		s.pacer.late.Add(late)
	}
}

// settle takes in the slots that joined and lets go of those that left since the last beat.
func (s *shard) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, slot := range s.joining {
		slot.index = len(s.live)
		s.live = append(s.live, slot)
		s.joining[i] = nil
	}
	s.joining = s.joining[:0]
	for i, slot := range s.leaving {
		last := len(s.live) - 1
		s.live[slot.index] = s.live[last]
		s.live[slot.index].index = slot.index
		s.live[last] = nil
		s.live = s.live[:last]
		slot.index = -1
		s.leaving[i] = nil
	}
	s.leaving = s.leaving[:0]
}

func (s *shard) tick(slot *Slot, b Beat) {
	defer func() {
		if v := recover(); v != nil {
			s.panicked(slot, v)
		}
	}()
	slot.leg.Tick(b)
}

func (s *shard) panicked(slot *Slot, v any) {
	p := s.pacer
	p.panics.Add(1)
	p.Remove(slot)
	p.log.Error("a leg panicked in its tick and was removed", "panic", v, "stack", string(debug.Stack()))
	if slot.onPanic == nil {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			p.log.Error("the panic callback of a leg panicked", "panic", v)
		}
	}()
	slot.onPanic(fmt.Errorf("media: panic in tick: %v", v))
}
