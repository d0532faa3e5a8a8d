package app

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/bus"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// How many calls at once an organisation has in all media processes, where its plan limits them. In the bucket PLACES each
// organisation has a value that says how many calls each process carries. Whoever takes a place writes it anew over the
// revision they know: of two who want the last place one gets it. In the bucket CARRIERS each process has a value that
// expires when it is not renewed: what one had that is not there any more is free.
//
// A call waits for the bus for placeWait at most. While the bus is away calls are counted by what was last known of the others,
// and wait for nothing; an organisation may then have more calls than its plan includes, at most its limit in each process.
// So it may when a process that was cut off for longer than carrierTTL comes back with its calls. Calls that run are never cut.

const (
	placesBucket   = "PLACES"
	carriersBucket = "CARRIERS"
	placesKept     = time.Hour // a value that nobody writes is forgotten
	carrierTTL     = 10 * time.Second
	placeWait      = time.Second
	placeTries     = 64 // of a write that others disturb
)

// placesConfig is what newPlaces needs.
type placesConfig struct {
	Node string // this process, as the others know it
	Bus  *bus.Bus
	// Limited tells whether an organisation's plan limits its calls. Of others nothing is told.
	Limited func(ctx context.Context, orgID string) bool
	TTL     time.Duration // default carrierTTL; the same in every process
	Wait    time.Duration // default placeWait
	Clock   quartz.Clock
	Log     *slog.Logger
}

// places counts calls together with other media processes. It is safe for concurrent use.
type places struct {
	c                placesConfig
	counts, carriers *bus.KV
	changed          chan struct{} // a place was given back; one signal is as good as many
	cancel           context.CancelFunc
	over             chan struct{}
	revision         uint64 // of this process's value among the carriers; the loop's

	mu     sync.Mutex
	away   bool // the bus does not answer
	orgs   map[string]*orgPlaces
	trunks map[string]*trunkStarts
	skew   time.Duration // of the bus's clock, ahead of this one
}

// orgPlaces is what an organisation has here, and as last seen elsewhere.
type orgPlaces struct {
	held int64 // calls of this process; guarded by places.mu

	mu       sync.Mutex       // one change at a time; before places.mu
	others   map[string]int64 // by process
	revision uint64           // of the value that they were read from; 0: there is none
	told     int64            // what the value says of this process
	unsure   bool             // it may say something else
	shared   bool             // the plan limits them
	written  time.Time
}

// newPlaces opens the buckets, and says that this process is there until close.
func newPlaces(ctx context.Context, c placesConfig) (_ *places, err error) {
	if c.TTL == 0 {
		c.TTL = carrierTTL
	}
	if c.Wait == 0 {
		c.Wait = placeWait
	}
	p := &places{c: c, changed: make(chan struct{}, 1), over: make(chan struct{}), orgs: map[string]*orgPlaces{}, trunks: map[string]*trunkStarts{}}
	if p.counts, err = c.Bus.KV(ctx, placesBucket, placesKept); err != nil {
		return nil, err
	}
	if p.carriers, err = c.Bus.KV(ctx, carriersBucket, c.TTL); err != nil {
		return nil, err
	}
	put := c.Clock.Now()
	if p.revision, err = p.carriers.Put(ctx, c.Node, []byte("1")); err != nil {
		return nil, err
	}
	if err := p.compare(ctx, put); err != nil {
		return nil, err
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p.cancel = cancel
	go p.run(life)
	return p, nil
}

// close tells the others that this process has no calls any more. It is safe twice.
func (p *places) close(ctx context.Context) error {
	p.cancel()
	<-p.over
	if p.isAway() {
		return nil // it expires
	}
	ctx, cancel := context.WithTimeout(ctx, p.c.Wait)
	defer cancel()
	return p.carriers.Delete(ctx, p.c.Node, 0)
}

// run renews what this process says of itself, and tells the others of places that were given back.
func (p *places) run(ctx context.Context) {
	defer close(p.over)
	tick := p.c.Clock.NewTicker(p.c.TTL/3, "app", "places")
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.renew(ctx)
		case <-p.changed:
		}
		p.tell(ctx)
		p.forgetStarts()
	}
}

// take takes a place for a call of orgID. most is how many the plan includes; negative is any number.
func (p *places) take(ctx context.Context, orgID string, most int64) error {
	o := p.lock(orgID)
	defer o.mu.Unlock()
	if most < 0 {
		p.add(o, 1)
		return nil
	}
	o.shared = true
	if !p.isAway() {
		within, cancel := context.WithTimeout(ctx, p.c.Wait)
		defer cancel()
		err := p.write(within, o, orgID, 1, most)
		if err == nil || fault.Is(err, fault.LimitReached) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		p.lose(err)
	}
	if p.heldBy(o)+sum(o.others) >= most {
		return identity.LimitReached(most, "calls at once")
	}
	p.add(o, 1)
	return nil
}

// give gives a place back. It waits for nothing.
func (p *places) give(orgID string) {
	p.mu.Lock()
	if o := p.orgs[orgID]; o != nil && o.held > 0 {
		o.held--
	}
	p.mu.Unlock()
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// write makes the value say what this process has of orgID, and more: a fault of code LimitReached when most does not allow
// that. The caller has o's lock.
func (p *places) write(ctx context.Context, o *orgPlaces, orgID string, more, most int64) error {
	for range placeTries {
		held := p.heldBy(o) + more
		if more > 0 && held+sum(o.others) > most {
			if err := p.look(ctx, o, orgID, held, most); err != nil {
				return err
			}
		}
		err := p.put(ctx, o, orgID, held)
		if err == nil {
			p.add(o, more)
			o.told, o.unsure, o.written = held, false, p.c.Clock.Now()
			return nil
		}
		o.unsure = true // a write whose answer was lost may have come
		if !fault.Is(err, fault.Conflict) {
			return err
		}
		if err := p.read(ctx, o, orgID); err != nil {
			return err
		}
	}
	return fault.New(fault.Unavailable, "an organisation's calls change too fast to be counted")
}

// look reads again what the others have, and leaves out who is not there any more, until there is room for held.
func (p *places) look(ctx context.Context, o *orgPlaces, orgID string, held, most int64) error {
	if err := p.read(ctx, o, orgID); err != nil || held+sum(o.others) <= most {
		return err
	}
	for node := range o.others {
		if _, err := p.carriers.Get(ctx, node); fault.Is(err, fault.NotFound) {
			delete(o.others, node)
		} else if err != nil {
			return err
		}
	}
	if held+sum(o.others) > most {
		return identity.LimitReached(most, "calls at once")
	}
	return nil
}

// put writes the value over the one that is known.
func (p *places) put(ctx context.Context, o *orgPlaces, orgID string, held int64) error {
	all := maps.Clone(o.others)
	if held > 0 {
		all[p.c.Node] = held
	}
	if len(all) == 0 && o.revision > 0 {
		err := p.counts.Delete(ctx, orgID, o.revision)
		if err == nil {
			o.revision = 0
		}
		return err
	}
	if len(all) == 0 {
		return nil
	}
	value, err := json.Marshal(all)
	if err != nil {
		return err
	}
	var revision uint64
	if o.revision == 0 {
		revision, err = p.counts.Create(ctx, orgID, value, 0)
	} else {
		revision, err = p.counts.Update(ctx, orgID, value, o.revision)
	}
	if err == nil {
		o.revision = revision
	}
	return err
}

// read learns what the others have.
func (p *places) read(ctx context.Context, o *orgPlaces, orgID string) error {
	e, err := p.counts.Get(ctx, orgID)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	others := map[string]int64{}
	if err == nil {
		if err := json.Unmarshal(e.Value, &others); err != nil {
			return fmt.Errorf("the calls of %s: %w", orgID, err)
		}
	}
	delete(others, p.c.Node)
	o.revision, o.others = e.Revision, others
	return nil
}

// renew says that this process is there. A bus that forgot, or did not hear of it for long, is told of all its calls again.
func (p *places) renew(ctx context.Context) {
	within, cancel := context.WithTimeout(ctx, 2*p.c.Wait)
	defer cancel()
	put := p.c.Clock.Now()
	revision, err := p.carriers.Update(within, p.c.Node, []byte("1"), p.revision)
	forgot := err != nil
	if forgot {
		put = p.c.Clock.Now()
		revision, err = p.carriers.Put(within, p.c.Node, []byte("1"))
	}
	if err == nil {
		err = p.compare(within, put)
	}
	if err != nil {
		if ctx.Err() == nil {
			p.lose(err)
		}
		return
	}
	p.revision = revision
	p.found()
	for orgID := range p.known() {
		o := p.lock(orgID)
		old := p.c.Clock.Now().Sub(o.written) > placesKept/3
		if !o.shared && p.heldBy(o) > 0 { // the limit may be newer than the calls
			o.shared = p.c.Limited(ctx, orgID)
		}
		o.unsure = o.unsure || o.told > 0 && (forgot || old)
		o.mu.Unlock()
	}
}

// tell tells the others what changed, and forgets organisations without calls.
func (p *places) tell(ctx context.Context) {
	for orgID := range p.known() {
		o := p.lock(orgID)
		if o.shared && (o.unsure || o.told != p.heldBy(o)) && !p.isAway() && ctx.Err() == nil {
			within, cancel := context.WithTimeout(ctx, p.c.Wait)
			if err := p.write(within, o, orgID, 0, 0); err != nil && ctx.Err() == nil {
				p.lose(err)
			}
			cancel()
		}
		if !o.unsure && o.told == 0 {
			p.forget(orgID, o)
		}
		o.mu.Unlock()
	}
}

// lock gives an organisation's places, locked.
func (p *places) lock(orgID string) *orgPlaces {
	for {
		p.mu.Lock()
		o := p.orgs[orgID]
		if o == nil {
			o = &orgPlaces{others: map[string]int64{}}
			p.orgs[orgID] = o
		}
		p.mu.Unlock()
		o.mu.Lock()
		p.mu.Lock()
		current := p.orgs[orgID] == o // not forgotten meanwhile
		p.mu.Unlock()
		if current {
			return o
		}
		o.mu.Unlock()
	}
}

func (p *places) forget(orgID string, o *orgPlaces) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o.held == 0 {
		delete(p.orgs, orgID)
	}
}

func (p *places) known() map[string]*orgPlaces {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.orgs)
}

func (p *places) add(o *orgPlaces, n int64) {
	p.mu.Lock()
	o.held += n
	p.mu.Unlock()
}

func (p *places) heldBy(o *orgPlaces) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return o.held
}

func (p *places) isAway() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.away
}

// lose has calls wait for the bus no longer, until it answers.
func (p *places) lose(err error) {
	p.mu.Lock()
	was := p.away
	p.away = true
	p.mu.Unlock()
	if !was {
		p.c.Log.Warn("calls at once are not counted together with other media processes, each counts by what it last knew of them", "error", err)
	}
}

func (p *places) found() {
	p.mu.Lock()
	was := p.away
	p.away = false
	p.mu.Unlock()
	if was {
		p.c.Log.Info("calls at once are counted together again")
	}
}

func sum(counts map[string]int64) (n int64) {
	for _, c := range counts {
		n += c
	}
	return n
}
