package db

import (
	"container/list"
	"context"
	"errors"
	"sync"
)

const defaultMaxOpen = 64

// pools keeps organisations' own databases open: at most max of them, and of those nobody uses the one that was used
// least recently makes room. Where all are in use, who comes waits.
type pools struct {
	open func(ctx context.Context, p Placement) (*store, error)
	max  int

	mu      sync.Mutex
	byOrg   map[string]*pooled
	recent  list.List // of *pooled, most recent first
	waiting list.List // of chan struct{}
	closed  bool
}

// pooled is one open database, or one that is being opened.
type pooled struct {
	org   string
	place Placement
	store *store
	err   error
	ready chan struct{} // closed once store or err is there
	users int
	at    *list.Element
	drop  bool // close it when the last user is gone
}

var errPoolsClosed = errors.New("db: the database is closed")

func newPools(most int, open func(context.Context, Placement) (*store, error)) *pools {
	if most <= 0 {
		most = defaultMaxOpen
	}
	return &pools{open: open, max: most, byOrg: map[string]*pooled{}}
}

// take gives an organisation's database, opened. The caller calls the function when it is done.
func (p *pools) take(ctx context.Context, place Placement) (*store, func(), error) {
	for {
		e, mine, wait, err := p.reserve(place)
		if err != nil {
			return nil, nil, err
		}
		if wait != nil {
			select {
			case <-wait:
				continue
			case <-ctx.Done():
				return nil, nil, context.Cause(ctx)
			}
		}
		if mine {
			// Others wait for this one too: it must not end with the one who came first.
			e.store, e.err = p.open(context.WithoutCancel(ctx), place)
			close(e.ready)
		}
		select {
		case <-e.ready:
		case <-ctx.Done():
			p.release(e)
			return nil, nil, context.Cause(ctx)
		}
		if e.err != nil {
			p.discard(e)
			return nil, nil, e.err
		}
		return e.store, func() { p.release(e) }, nil
	}
}

// reserve finds or makes the entry, counted as used; or gives a channel that is closed when there may be room.
func (p *pools) reserve(place Placement) (e *pooled, mine bool, wait chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, false, nil, errPoolsClosed
	}
	if e := p.byOrg[place.OrganisationID]; e != nil {
		if e.place.Database == place.Database && e.place.Region == place.Region && !e.drop {
			e.users++
			p.recent.MoveToFront(e.at)
			return e, false, nil, nil
		}
		p.forget(e)
	}
	if p.recent.Len() >= p.max && !p.evict() {
		wait = make(chan struct{})
		p.waiting.PushBack(wait)
		return nil, false, wait, nil
	}
	e = &pooled{org: place.OrganisationID, place: place, ready: make(chan struct{}), users: 1}
	e.at = p.recent.PushFront(e)
	p.byOrg[e.org] = e
	return e, true, nil, nil
}

// evict closes the least recent one that nobody uses. The caller holds mu.
func (p *pools) evict() bool {
	for el := p.recent.Back(); el != nil; el = el.Prev() {
		if e := el.Value.(*pooled); e.users == 0 {
			p.forget(e)
			return true
		}
	}
	return false
}

// forget takes an entry out; it is closed at once, or by its last user. The caller holds mu.
func (p *pools) forget(e *pooled) {
	if p.byOrg[e.org] == e {
		delete(p.byOrg, e.org)
	}
	e.drop = true
	if e.users == 0 {
		p.end(e)
	}
}

// end closes an entry that nobody uses. The caller holds mu.
func (p *pools) end(e *pooled) {
	if e.at != nil {
		p.recent.Remove(e.at)
		e.at = nil
	}
	if e.store != nil {
		_ = e.store.close() // nothing is under way in it
	}
	p.wake()
}

func (p *pools) release(e *pooled) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.users--; e.users > 0 {
		return
	}
	if e.drop {
		p.end(e)
		return
	}
	p.wake()
}

// discard releases an entry that could not be opened: the next one tries again.
func (p *pools) discard(e *pooled) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.users--
	p.forget(e)
}

// wake lets those look again who found no room. The caller holds mu.
func (p *pools) wake() {
	for e := p.waiting.Front(); e != nil; e = p.waiting.Front() {
		close(p.waiting.Remove(e).(chan struct{}))
	}
}

// drop closes an organisation's database once nobody uses it.
func (p *pools) drop(org string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.byOrg[org]; e != nil {
		p.forget(e)
	}
}

// count is how many are open.
func (p *pools) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.recent.Len()
}

func (p *pools) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	var err error
	for _, e := range p.byOrg {
		select {
		case <-e.ready:
			if e.store != nil {
				err = errors.Join(err, e.store.close())
				e.store = nil
			}
		default: // being opened; its user closes it
			e.drop = true
		}
	}
	clear(p.byOrg)
	p.wake()
	return err
}
