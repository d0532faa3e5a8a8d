package telephony

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/breaker"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Why a gate lets no call through, for errors.Is: none of them says anything of the carrier, and none has sent anything.
var (
	ErrLinesBusy = errors.New("telephony: all lines of the trunk are busy")         // fault.LimitReached
	ErrTooFast   = errors.New("telephony: the trunk takes no more calls a second")  // fault.RateLimited
	ErrTrunkOut  = errors.New("telephony: calls are kept away from a broken trunk") // fault.Unavailable
)

// trunkJudged is when calls are kept away from a trunk: half of at least ten in a minute failed by the trunk, or three in a row were
// not answered by it at all. Then one call at a time tries it.
var trunkJudged = breaker.Settings{Window: time.Minute, Enough: 10, Share: 0.5, Refusals: 3, Probes: 2, First: 15 * time.Second, Most: 5 * time.Minute}

// GatesConfig is what NewGates needs.
type GatesConfig struct {
	Node  string         // this process, in what is told
	Rand  func() float64 // from 0 to below 1
	Clock quartz.Clock
	// Tell is told of a trunk whose state changed. It must not wait.
	Tell func(event.TrunkState)
}

// Gates keep the limits of trunks in this process: calls at once, calls begun a second, and none to a trunk that is broken.
type Gates struct {
	c GatesConfig

	mu    sync.Mutex
	gates map[string]*gate // by the trunk's id; those of trunks without news are forgotten
}

// gate is one trunk's.
type gate struct {
	org, name string
	calls     int
	begun     []time.Time // the last ones, a ring
	next      int
	breaker   breaker.Breaker
	last      string // the last failure
}

// NewGates makes Gates.
func NewGates(c GatesConfig) *Gates {
	return &Gates{c: c, gates: map[string]*gate{}}
}

// Passage is one call that a gate let through. Judge it when it is known whether the trunk works, and End it with the call.
type Passage struct {
	g      *Gates
	id     string
	gen    uint64
	judged bool
	ended  bool
}

// Pass lets a call through a trunk, or says why not: see the errors above. counted says that calls at once and calls a second are
// counted elsewhere, together with other processes.
func (g *Gates) Pass(orgID string, t Trunk, counted bool) (*Passage, error) {
	now := g.c.Clock.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	b := g.gates[t.ID]
	if b == nil {
		b = &gate{org: orgID, breaker: breaker.New(trunkJudged)}
		g.gates[t.ID] = b
	}
	b.name = t.Name
	before := b.breaker.State()
	if !b.breaker.Ready(now) {
		return nil, fault.Wrap(fault.Unavailable, ErrTrunkOut, "the trunk %q is out of order: %s", t.Name, b.reason(now))
	}
	if b.calls >= t.Lines && !counted {
		return nil, LinesBusy(t)
	}
	if wait := b.wait(now, t.PerSecond); wait > 0 && !counted {
		return nil, TooFast(t, wait)
	}
	gen, _ := b.breaker.Allow(now)
	b.begun[b.next] = now
	b.next = (b.next + 1) % len(b.begun)
	b.calls++
	if b.breaker.State() != before {
		g.tell(t.ID, b, now)
	}
	return &Passage{g: g, id: t.ID, gen: gen}, nil
}

// LinesBusy is the error of one more call than a trunk carries.
func LinesBusy(t Trunk) error {
	return fault.Wrap(fault.LimitReached, ErrLinesBusy, "the trunk %q carries %d calls, as many as it may (lines); wait for one to end", t.Name, t.Lines)
}

// TooFast is the error of a call that begins too soon after others; the next one is possible after wait.
func TooFast(t Trunk, wait time.Duration) error {
	return fault.Wrap(fault.RateLimited, ErrTooFast, "the trunk %q takes %d calls a second; the next one is possible in %d ms", t.Name, t.PerSecond, wait.Milliseconds()+1)
}

// wait is how long until another call may begin, when at most perSecond may in any second.
func (b *gate) wait(now time.Time, perSecond int) time.Duration {
	if len(b.begun) != perSecond { // at first, or the limit changed: what began lately counts on, as far as there is room
		kept := make([]time.Time, perSecond)
		for i := range min(perSecond, len(b.begun)) { // the newest
			kept[perSecond-1-i] = b.begun[(b.next-1-i+2*len(b.begun))%len(b.begun)]
		}
		b.begun, b.next = kept, 0
	}
	oldest := b.begun[b.next]
	if oldest.IsZero() {
		return 0
	}
	return oldest.Add(time.Second).Sub(now)
}

// Judge says whether the trunk worked: Good when it brought the call to whoever was called, busy or not; Bad when it failed, Refused
// when it said nothing at all. Only the first time counts. why is the failure, for a person.
func (p *Passage) Judge(o breaker.Outcome, why string) {
	now := p.g.c.Clock.Now()
	p.g.mu.Lock()
	defer p.g.mu.Unlock()
	p.judge(o, why, now)
}

func (p *Passage) judge(o breaker.Outcome, why string, now time.Time) {
	b := p.g.gates[p.id]
	if p.judged || b == nil {
		return
	}
	p.judged = true
	before := b.breaker.State()
	if o == breaker.Bad || o == breaker.Refused {
		b.last = why
	}
	b.breaker.Done(p.gen, o, now, p.g.c.Rand())
	if b.breaker.State() != before {
		p.g.tell(p.id, b, now)
	}
}

// End gives the line back. It is safe twice.
func (p *Passage) End() {
	now := p.g.c.Clock.Now()
	p.g.mu.Lock()
	defer p.g.mu.Unlock()
	b := p.g.gates[p.id]
	if p.ended || b == nil {
		return
	}
	p.judge(breaker.Unjudged, "", now)
	p.ended = true
	b.calls--
}

// reason says why calls are kept away, "" when they are not.
func (b *gate) reason(now time.Time) string {
	switch b.breaker.StateAt(now) {
	case breaker.Open:
		return fmt.Sprintf("too many calls failed by it, the last one because %s; it is tried again in %s", b.last, max(time.Second, b.breaker.Until().Sub(now).Round(time.Second)))
	case breaker.HalfOpen:
		return fmt.Sprintf("too many calls failed by it, the last one because %s; one call at a time tries it", b.last)
	}
	return ""
}

func (g *Gates) tell(id string, b *gate, now time.Time) {
	if g.c.Tell != nil {
		g.c.Tell(g.stateOf(id, b, now))
	}
}

func (g *Gates) stateOf(id string, b *gate, now time.Time) event.TrunkState {
	s := event.TrunkState{TrunkID: id, OrgID: b.org, Node: g.c.Node, State: string(b.breaker.StateAt(now)), Reason: b.reason(now), Calls: b.calls, At: now.UnixMilli()}
	if b.breaker.StateAt(now) == breaker.Open {
		s.Until = b.breaker.Until().UnixMilli()
	}
	return s
}

// States gives the state of every trunk with news: calls, failures lately, or a breaker that is not closed. It forgets the others.
func (g *Gates) States() []event.TrunkState {
	now := g.c.Clock.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []event.TrunkState
	for id, b := range g.gates {
		newest := b.begun[(b.next+len(b.begun)-1)%len(b.begun)]
		if b.calls == 0 && b.breaker.State() == breaker.Closed && now.Sub(newest) > trunkJudged.Window {
			delete(g.gates, id)
			continue
		}
		out = append(out, g.stateOf(id, b, now))
	}
	return out
}
