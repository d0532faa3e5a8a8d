package app

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// A trunk's calls a second are counted in all media processes together: among the PLACES each trunk that is used has a value with
// the times at which its last calls began. Whoever begins one writes it anew over the revision they know. Times are the bus's, which
// each process compares its clock with whenever it says that it is there; what it is wrong by is less than the way to the bus.
//
// While the bus is away each process goes by what it last knew: together they may begin more then.

// trunkStarts is when the last calls through a trunk began, in any process.
type trunkStarts struct {
	mu       sync.Mutex
	begun    []int64 // Unix milliseconds by the bus's clock, of less than a second, in order
	revision uint64  // of the value; 0: there is none
	last     int64   // when it was used here
}

const startsWindow = time.Second

func startsKey(trunkID string) string { return "starts-" + trunkID }

// compare learns how far the bus's clock is ahead of this one, by the value that was put after put.
func (p *places) compare(ctx context.Context, put time.Time) error {
	e, err := p.carriers.Get(ctx, p.c.Node)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.skew = e.At.Sub(put)
	p.mu.Unlock()
	return nil
}

// busNow is what the bus's clock shows, in milliseconds.
func (p *places) busNow() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.c.Clock.Now().Add(p.skew).UnixMilli()
}

// start counts a call that begins through a trunk, if it takes one more in this second; else it is how long to wait.
func (p *places) start(ctx context.Context, trunkID string, perSecond int) (wait time.Duration) {
	p.mu.Lock()
	s := p.trunks[trunkID]
	if s == nil {
		s = &trunkStarts{}
		p.trunks[trunkID] = s
	}
	p.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	within, cancel := context.WithTimeout(ctx, p.c.Wait)
	defer cancel()
	for range placeTries {
		now := p.busNow()
		s.last = now
		if wait := s.full(now, perSecond); wait > 0 || p.isAway() {
			if wait == 0 {
				s.begun = append(s.begun, now)
			}
			return wait
		}
		begun := append(slices.Clone(s.begun), now)
		revision, err := p.putStarts(within, trunkID, begun, s.revision)
		if err == nil {
			s.begun, s.revision = begun, revision
			return 0
		}
		if fault.Is(err, fault.Conflict) {
			err = p.readStarts(within, trunkID, s)
		}
		if err != nil && ctx.Err() != nil {
			return startsWindow // nobody waits for the call any more
		}
		if err != nil {
			p.lose(err)
		}
	}
	return startsWindow // they begin faster than they can be counted
}

// full is how long until one more may begin; 0: now.
func (s *trunkStarts) full(now int64, perSecond int) time.Duration {
	kept := make([]int64, 0, len(s.begun)+1)
	for _, at := range s.begun { // one that is far ahead is of a clock that was wrong
		if off := at - now; -off < startsWindow.Milliseconds() && off < startsWindow.Milliseconds() {
			kept = append(kept, at)
		}
	}
	s.begun = kept
	if len(s.begun) < perSecond {
		return 0
	}
	return startsWindow - time.Duration(now-s.begun[len(s.begun)-perSecond])*time.Millisecond
}

func (p *places) putStarts(ctx context.Context, trunkID string, begun []int64, revision uint64) (uint64, error) {
	value, err := json.Marshal(begun)
	if err != nil {
		return 0, err
	}
	if revision == 0 {
		return p.counts.Create(ctx, startsKey(trunkID), value, 0)
	}
	return p.counts.Update(ctx, startsKey(trunkID), value, revision)
}

// readStarts learns what began elsewhere.
func (p *places) readStarts(ctx context.Context, trunkID string, s *trunkStarts) error {
	e, err := p.counts.Get(ctx, startsKey(trunkID))
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	var begun []int64
	if err == nil {
		if err := json.Unmarshal(e.Value, &begun); err != nil {
			return fmt.Errorf("the last calls of trunk %s: %w", trunkID, err)
		}
		s.begun = begun
	} // else the bus forgot; what is known here counts on
	s.revision = e.Revision
	return nil
}

// forgetStarts forgets trunks that nobody called through for a while.
func (p *places) forgetStarts() {
	old := p.busNow() - time.Minute.Milliseconds()
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, s := range p.trunks {
		if s.mu.TryLock() {
			if s.last < old {
				delete(p.trunks, id)
			}
			s.mu.Unlock()
		}
	}
}
