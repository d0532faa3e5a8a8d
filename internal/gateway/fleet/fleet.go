package fleet

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/coder/quartz"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-voice/parley/internal/platform/breaker"
	"github.com/parley-voice/parley/internal/platform/bus"
)

// maxPeers bounds what is known. An installation has tens.
const maxPeers = 1000

const followPause = time.Second // before a watch that broke is made again

// Config is what New needs. Zero values are the defaults named.
type Config struct {
	Bus      *bus.Bus
	TTL      time.Duration // TTL; the same in every process
	Clock    quartz.Clock
	Rand     func() float64 // from 0 to below 1
	Log      *slog.Logger
	Registry prometheus.Registerer // nil counts nothing
}

// Fleet knows which instances there are and how they are. It is safe for concurrent use.
type Fleet struct {
	c       Config
	metrics *metrics

	mu        sync.Mutex
	peers     map[string]*peer // by id
	heard     time.Time        // when anything was heard of anybody
	synced    bool             // all that was announced before is known
	ready     chan struct{}    // closed once synced
	deaf      bool             // the watch broke, and the log knows
	followers map[int]func(Change)
	following int

	cancel context.CancelFunc
	over   chan struct{}
}

// peer is an instance with what this process knows of it by itself.
type peer struct {
	Instance
	seen     time.Time // by our clock
	absent   int       // listings in a row that lacked it
	breaker  breaker.Breaker
	inflight int // requests of ours under way
	sent     int // requests of ours since its last announcement
	placed   int // those of them that take a place
	pending  int // those of inflight that take a place
}

// Change is an instance that came, changed or went.
type Change struct {
	Instance Instance
	Joined   bool
	Left     bool
}

// New makes a fleet of which nothing is known before Start.
func New(c Config) (*Fleet, error) {
	if c.Bus == nil {
		return nil, errors.New("fleet: New needs the bus")
	}
	if c.TTL == 0 {
		c.TTL = TTL
	}
	if c.Clock == nil {
		c.Clock = quartz.NewReal()
	}
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	f := &Fleet{c: c, peers: map[string]*peer{}, followers: map[int]func(Change){}, ready: make(chan struct{}), over: make(chan struct{})}
	f.metrics = newMetrics(c.Registry, f)
	return f, nil
}

// Start begins to follow the announcements, until Stop.
func (f *Fleet) Start(ctx context.Context) {
	ctx, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go f.run(ctx)
}

// Ready is closed when all that was announced before Start is known.
func (f *Fleet) Ready() <-chan struct{} { return f.ready }

// Stop ends following. It is safe before Start, and twice.
func (f *Fleet) Stop() {
	if f.cancel != nil {
		f.cancel()
		<-f.over
	}
}

// run watches the bucket, again and again when a watch breaks.
func (f *Fleet) run(ctx context.Context) {
	defer close(f.over)
	for ctx.Err() == nil {
		err := f.watch(ctx)
		if ctx.Err() != nil {
			return
		}
		if !errors.Is(err, errSilence) && !f.deaf {
			f.deaf = true
			f.c.Log.Warn("instances are not heard; the last that was known is used", "error", err)
		}
		t := f.c.Clock.NewTimer(followPause, "fleet", "follow")
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
}

// errSilence ends a watch in which nothing was heard: this process's own announcement should have come at least, so the
// watch may have lost its bucket with a bus that was started again.
var errSilence = errors.New("fleet: nothing is heard")

// watch follows the bucket until it breaks or is silent.
func (f *Fleet) watch(ctx context.Context) error {
	kv, err := f.c.Bus.KV(ctx, Bucket, f.c.TTL)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := f.c.Clock.AfterFunc(f.c.TTL, func() { cancel(errSilence) }, "fleet", "silence")
	defer silence.Stop()
	since := f.c.Clock.Now()
	err = kv.Watch(ctx, func(c bus.Change) {
		silence.Reset(f.c.TTL)
		f.receive(c)
	}, func() { f.listed(since) })
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// listed is told when a watch that began at since has handed on all that was announced. Who is not in it twice, a TTL
// apart, is gone; once may be because a bus that was started again remembers nobody.
func (f *Fleet) listed(since time.Time) {
	if f.deaf {
		f.deaf = false
		f.c.Log.Info("instances are heard again")
	}
	var changes []Change
	f.mu.Lock()
	if !f.synced {
		f.synced = true
		close(f.ready)
	}
	for id, p := range f.peers {
		if p.seen.Before(since) {
			if p.absent++; p.absent > 1 {
				changes = f.drop(changes, id)
			}
		}
	}
	f.tell(changes) // unlocks
}

// receive takes one announcement, or the news that one is gone.
func (f *Fleet) receive(c bus.Change) {
	var changes []Change
	f.mu.Lock()
	now := f.c.Clock.Now()
	if now.Sub(f.heard) > f.c.TTL/2 {
		// Nobody was heard meanwhile: that is no sign that one of them died. Each has the time to be heard again.
		for _, p := range f.peers {
			p.seen = now
		}
	}
	f.heard = now
	if c.Gone {
		changes = f.drop(changes, c.Key)
	} else if i, err := ParseInstance(c.Key, c.Value); err != nil {
		f.c.Log.Warn("an announcement is ignored", "error", err)
		changes = f.drop(changes, c.Key)
	} else {
		changes = f.take(changes, i, now)
	}
	for id, p := range f.peers {
		if now.Sub(p.seen) > f.c.TTL {
			changes = f.drop(changes, id)
		}
	}
	f.tell(changes)
}

// take keeps an announcement. The caller holds the lock.
func (f *Fleet) take(changes []Change, i Instance, now time.Time) []Change {
	p := f.peers[i.ID]
	switch {
	case p == nil && len(f.peers) >= maxPeers:
		f.c.Log.Error("too many instances are announced; one is ignored", "id", i.ID, "known", len(f.peers))
		return changes
	case p == nil || p.Boot != i.Boot:
		if p != nil { // started again: what was known of the run before says nothing
			changes = f.drop(changes, i.ID)
		}
		p = &peer{breaker: breaker.New(judged)}
		f.peers[i.ID] = p
		changes = append(changes, Change{Instance: i, Joined: true})
	case p.Instance != i:
		changes = append(changes, Change{Instance: i})
	}
	p.Instance, p.seen, p.absent = i, now, 0
	// It has counted what it was sent, but for what may still be on its way.
	p.sent, p.placed = p.inflight, p.pending
	return changes
}

// drop forgets an instance. Requests of ours that it still answers go on. The caller holds the lock.
func (f *Fleet) drop(changes []Change, id string) []Change {
	p := f.peers[id]
	if p == nil {
		return changes
	}
	delete(f.peers, id)
	return append(changes, Change{Instance: p.Instance, Left: true})
}

// tell logs the changes and hands them to those who follow. It gives up the lock, which the caller holds.
func (f *Fleet) tell(changes []Change) {
	followers := make([]func(Change), 0, len(f.followers))
	for _, fn := range f.followers {
		followers = append(followers, fn)
	}
	f.mu.Unlock()
	for _, c := range changes {
		switch {
		case c.Joined:
			f.c.Log.Info("instance joined", "id", c.Instance.ID, "role", c.Instance.Role, "version", c.Instance.Version)
		case c.Left:
			f.c.Log.Info("instance left", "id", c.Instance.ID, "role", c.Instance.Role)
		}
		for _, fn := range followers {
			fn(c)
		}
	}
}

// Follow has fn called for each change from now on, in order, until stop is called. fn must not block, nor call stop.
func (f *Fleet) Follow(fn func(Change)) (stop func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.following++
	n := f.following
	f.followers[n] = fn
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.followers, n)
	}
}

// State is an instance with what this process knows of it by itself.
type State struct {
	Instance
	Breaker  BreakerState
	Age      time.Duration // since its last announcement was received here
	InFlight int           // requests from here that it has not answered
}

// Instances gives the instances of a role, or of all when role is "", by role and id.
func (f *Fleet) Instances(role string) []State {
	f.mu.Lock()
	now := f.c.Clock.Now()
	out := make([]State, 0, len(f.peers))
	for _, p := range f.peers {
		if role == "" || p.Has(role) {
			out = append(out, State{Instance: p.Instance, Breaker: p.breaker.StateAt(now), Age: now.Sub(p.seen), InFlight: p.inflight})
		}
	}
	f.mu.Unlock()
	slices.SortFunc(out, func(a, b State) int { return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.ID, b.ID)) })
	return out
}
