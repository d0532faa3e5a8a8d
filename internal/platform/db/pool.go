package db

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/coder/quartz"
)

const (
	defaultMaxOpen = 64
	// scarce: when one that was used as lately as this would have to make room, there are more in use than may be open. Then
	// who comes is a guest, the first to be closed again, and guests at once have a share of the places only: so most
	// are found open. Else each would be closed just before its turn.
	scarce     = 10 * time.Second
	guestShare = 8
	// checkedFor is how long a database that was found to be up to date is taken to be so when it is opened again.
	checkedFor = time.Minute
)

// Why a database is taken.
const (
	// warm is for the organisation's own sake: it is likely to be asked for again soon.
	warm = false
	// passing is for a look into one database after the other. It takes no place from those that are in use: it is the
	// first to be closed again, unless somebody else comes for it.
	passing = true
)

// pools keeps organisations' own databases open: at most max of them, and of those nobody uses the one that was used
// least recently makes room. Where all are in use, who comes waits.
type pools struct {
	// open opens one. checked: it need not look whether it is up to date.
	open  func(ctx context.Context, p Placement, checked bool) (*store, error)
	max   int
	clock quartz.Clock

	mu      sync.Mutex
	byOrg   map[string]*pooled
	recent  list.List // of *pooled, most recent first
	checked map[string]checked
	waiting list.List // of chan struct{}
	ended   []*store  // to be closed by unlock: that may take a while
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
	cold  bool      // nobody took it but in passing
	guest bool      // it was taken once, when room was scarce
	known bool      // it is up to date
	used  time.Time // not in passing
	at    *list.Element
	drop  bool // close it when the last user is gone
}

// checked is when which database was found to be up to date.
type checked struct {
	database, region string
	at               time.Time
}

var errPoolsClosed = errors.New("db: the database is closed")

func newPools(most int, clock quartz.Clock, open func(context.Context, Placement, bool) (*store, error)) *pools {
	return &pools{open: open, max: most, clock: clock, byOrg: map[string]*pooled{}, checked: map[string]checked{}}
}

// unlock gives mu back and closes what was ended meanwhile: nothing is under way in it.
func (p *pools) unlock() {
	ended := p.ended
	p.ended = nil
	p.mu.Unlock()
	for _, st := range ended {
		_ = st.close()
	}
}

// take gives an organisation's database, opened. The caller calls the function when it is done.
func (p *pools) take(ctx context.Context, place Placement, cold bool) (*store, func(), error) {
	for {
		e, mine, wait, err := p.reserve(place, cold)
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
			e.store, e.err = p.open(context.WithoutCancel(ctx), place, e.known)
			p.note(e)
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
func (p *pools) reserve(place Placement, cold bool) (e *pooled, mine bool, wait chan struct{}, err error) {
	p.mu.Lock()
	defer p.unlock()
	if p.closed {
		return nil, false, nil, errPoolsClosed
	}
	if e := p.byOrg[place.OrganisationID]; e != nil {
		if e.place.Database == place.Database && e.place.Region == place.Region && !e.drop {
			e.users++
			if !cold {
				e.cold, e.guest, e.used = false, false, p.clock.Now()
				p.recent.MoveToFront(e.at)
			}
			return e, false, nil, nil
		}
		p.forget(e)
	}
	now := p.clock.Now()
	e = &pooled{org: place.OrganisationID, place: place, ready: make(chan struct{}), users: 1, cold: cold}
	if !cold {
		e.used = now
	}
	if p.recent.Len() >= p.max {
		old, guests := p.oldest()
		e.guest = !cold && old != nil && now.Sub(old.used) < scarce
		if old == nil || e.guest && !old.guest && guests >= max(1, p.max/guestShare) {
			wait = make(chan struct{})
			p.waiting.PushBack(wait)
			return nil, false, wait, nil
		}
		p.forget(old)
	}
	c := p.checked[e.org]
	e.known = c.database == place.Database && c.region == place.Region && now.Sub(c.at) < checkedFor
	e.at = p.recent.PushFront(e)
	p.byOrg[e.org] = e
	return e, true, nil, nil
}

// note remembers that a database that was opened is up to date.
func (p *pools) note(e *pooled) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.err == nil && !e.known && !e.drop {
		if len(p.checked) >= maxRemembered {
			clear(p.checked)
		}
		p.checked[e.org] = checked{e.place.Database, e.place.Region, p.clock.Now()}
	}
}

// oldest gives the least recent one that nobody uses, and how many guests are in use. The caller holds mu.
func (p *pools) oldest() (free *pooled, guests int) {
	for el := p.recent.Back(); el != nil; el = el.Prev() {
		e := el.Value.(*pooled)
		if e.users == 0 && free == nil {
			free = e
		}
		if e.users > 0 && e.guest {
			guests++
		}
	}
	return free, guests
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
		p.ended = append(p.ended, e.store)
	}
	p.wake()
}

func (p *pools) release(e *pooled) {
	p.mu.Lock()
	defer p.unlock()
	if e.users--; e.users > 0 {
		return
	}
	if e.drop {
		p.end(e)
		return
	}
	if e.cold || e.guest {
		p.recent.MoveToBack(e.at)
	}
	p.wake()
}

// discard releases an entry that could not be opened: the next one tries again.
func (p *pools) discard(e *pooled) {
	p.mu.Lock()
	defer p.unlock()
	e.users--
	p.forget(e)
}

// wake lets those look again who found no room. The caller holds mu.
func (p *pools) wake() {
	for e := p.waiting.Front(); e != nil; e = p.waiting.Front() {
		close(p.waiting.Remove(e).(chan struct{}))
	}
}

// drop closes an organisation's database once nobody uses it. It may be another one the next time.
func (p *pools) drop(org string) {
	p.mu.Lock()
	defer p.unlock()
	delete(p.checked, org)
	if e := p.byOrg[org]; e != nil {
		p.forget(e)
	}
}

// shed closes idle connections, and reports whether there were any: what a database has beyond one, else that of the
// database that was used least recently.
func (p *pools) shed() bool {
	for _, keep := range []int{1, 0} {
		if st := p.idle(keep); st != nil {
			st.keepIdle(keep)
			return true
		}
	}
	return false
}

// idle gives a database with more idle connections than that, the least recent.
func (p *pools) idle(more int) *store {
	p.mu.Lock()
	defer p.mu.Unlock()
	for at := p.recent.Back(); at != nil; at = at.Prev() {
		e := at.Value.(*pooled)
		select {
		case <-e.ready:
			if e.store != nil && e.store.idle() > more {
				return e.store
			}
		default: // being opened
		}
	}
	return nil
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
