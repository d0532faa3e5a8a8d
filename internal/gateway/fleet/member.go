package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/platform/bus"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Announcements of all roles are in one bucket.
const (
	Bucket = "FLEET"
	TTL    = 10 * time.Second // an instance that says nothing for so long is gone
	Every  = 3 * time.Second  // how often it says something, more or less a fifth
)

const (
	jitter       = 0.2
	leaveTimeout = 2 * time.Second
)

// MemberConfig is what Join needs. Zero values are the defaults named.
type MemberConfig struct {
	Bus   *bus.Bus
	Self  Instance      // Boot and Started are made, Calls is asked for
	Calls func() int    // running now; nil is none
	TTL   time.Duration // TTL; the same in every process
	Every time.Duration // Every; below a third of TTL
	Clock quartz.Clock
	Rand  func() float64 // from 0 to below 1
	Log   *slog.Logger
}

func (c *MemberConfig) defaults() {
	if c.Calls == nil {
		c.Calls = func() int { return 0 }
	}
	if c.TTL == 0 {
		c.TTL = TTL
	}
	if c.Every == 0 {
		c.Every = Every
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
}

// Member announces this process until Leave. It is safe for concurrent use.
type Member struct {
	c    MemberConfig
	self Instance // all but Calls and Draining stay as they are

	beating  sync.Mutex // one announcement at a time; what follows is guarded by it
	kv       *bus.KV
	revision uint64
	draining bool
	gone     bool // left, or lost
	failing  bool // the last announcement failed, and the log knows

	cancel context.CancelFunc
	over   chan struct{}
	lost   chan struct{}
}

// Join announces this process, and goes on announcing it. When its id is announced already it waits whether that comes from
// an earlier run that died: such an announcement expires. When it is renewed instead, another process has the id, and that
// is a fault of code Conflict.
func Join(ctx context.Context, c MemberConfig) (*Member, error) {
	c.defaults()
	m := &Member{c: c, self: c.Self, over: make(chan struct{}), lost: make(chan struct{})}
	m.self.Started = c.Clock.Now().UTC()
	m.self.Boot = strconv.FormatInt(m.self.Started.UnixNano(), 36) + "-" + strconv.FormatUint(uint64(c.Rand()*(1<<52)), 36)
	if err := m.self.Valid(); err != nil {
		return nil, err
	}
	if err := m.claim(ctx); err != nil {
		return nil, err
	}
	loop, cancel := context.WithCancel(context.WithoutCancel(ctx))
	m.cancel = cancel
	go m.run(loop)
	return m, nil
}

// claim takes the id.
func (m *Member) claim(ctx context.Context) (err error) {
	m.beating.Lock()
	defer m.beating.Unlock()
	if m.kv, err = m.c.Bus.KV(ctx, Bucket, m.c.TTL); err != nil {
		return err
	}
	var other bus.Entry
	for waited := time.Duration(0); ; waited += m.c.TTL / 10 {
		if m.revision, err = m.kv.Create(ctx, m.self.ID, m.announcement(), 0); !fault.Is(err, fault.Conflict) {
			return err
		}
		e, err := m.kv.Get(ctx, m.self.ID)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return err
		}
		switch {
		case other.Revision == 0:
			m.c.Log.Info("this process's id is still announced; an earlier run's announcement expires", "id", m.self.ID, "within", m.c.TTL)
			other = e
		case e.Revision != other.Revision || waited > 2*m.c.TTL:
			return m.taken(e.Value)
		}
		if err := pause(ctx, m.c.Clock, m.c.TTL/10, "wait"); err != nil {
			return err
		}
	}
}

// taken says that another process has the id.
func (m *Member) taken(announcement []byte) error {
	where := "elsewhere"
	if o, err := ParseInstance(m.self.ID, announcement); err == nil {
		where = "as " + o.Role
		if o.URL != "" {
			where += " at " + o.URL
		}
	}
	return fault.New(fault.Conflict, "another process runs %s under the id %q; give each process a node name of its own", where, m.self.ID)
}

func (m *Member) announcement() []byte {
	i := m.self
	i.Calls, i.Draining = max(0, min(m.c.Calls(), maxPlaces)), m.draining
	data, err := json.Marshal(i)
	if err != nil { // strings, numbers and a time
		panic(err)
	}
	return data
}

func (m *Member) run(ctx context.Context) {
	defer close(m.over)
	for {
		wait := time.Duration(float64(m.c.Every) * (1 - jitter + 2*jitter*m.c.Rand()))
		t := m.c.Clock.NewTimer(wait, "fleet", "announce")
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		if m.Announce(ctx) != nil && m.isLost() {
			return
		}
	}
}

// Announce says now how it is; Drain and the clock call it, and whoever cannot wait for the next time.
func (m *Member) Announce(ctx context.Context) error {
	m.beating.Lock()
	defer m.beating.Unlock()
	if m.gone {
		return fault.New(fault.NotPossible, "%s is no member any more", m.self.ID)
	}
	err := m.announce(ctx)
	switch {
	case err != nil && ctx.Err() == nil && !m.failing && !m.gone:
		m.failing = true
		m.c.Log.Warn("this process is not announced; nobody sends it work until the bus answers", "id", m.self.ID, "error", err)
	case err == nil && m.failing:
		m.failing = false
		m.c.Log.Info("this process is announced again", "id", m.self.ID)
	}
	return err
}

// announce renews the announcement. It is ours as long as nobody else wrote it; one that expired is made again.
func (m *Member) announce(ctx context.Context) error {
	rev, err := m.kv.Update(ctx, m.self.ID, m.announcement(), m.revision)
	if err == nil {
		m.revision = rev
		return nil
	}
	// A bus that lost its memory has no bucket either: opening makes it.
	if kv, again := m.c.Bus.KV(ctx, Bucket, m.c.TTL); again == nil {
		m.kv = kv
	} else {
		return err
	}
	e, err := m.kv.Get(ctx, m.self.ID)
	switch {
	case fault.Is(err, fault.NotFound):
		if rev, err = m.kv.Create(ctx, m.self.ID, m.announcement(), 0); err == nil {
			m.revision = rev
		}
		return err
	case err != nil:
		return err
	}
	if o, err := ParseInstance(m.self.ID, e.Value); err != nil || o.Boot != m.self.Boot {
		m.gone = true
		close(m.lost)
		err := m.taken(e.Value)
		m.c.Log.Error("this process lost its id while it could not be heard", "id", m.self.ID, "error", err)
		return err
	}
	m.revision = e.Revision // our own, of which the answer was lost
	if rev, err = m.kv.Update(ctx, m.self.ID, m.announcement(), m.revision); err == nil {
		m.revision = rev
	}
	return err
}

// Drain says that this process takes no new work, at once. It says so at each later announcement even when this one fails.
func (m *Member) Drain(ctx context.Context) error {
	m.beating.Lock()
	m.draining = true
	m.beating.Unlock()
	return m.Announce(ctx)
}

// Lost is closed when another process announces the same id: this one was not heard for so long that it counted as dead.
func (m *Member) Lost() <-chan struct{} { return m.lost }

func (m *Member) isLost() bool {
	select {
	case <-m.lost:
		return true
	default:
		return false
	}
}

// Self is what is announced, but for what changes.
func (m *Member) Self() Instance { return m.self }

// Leave says goodbye and stops. It is safe twice.
func (m *Member) Leave(ctx context.Context) error {
	m.cancel()
	<-m.over
	m.beating.Lock()
	defer m.beating.Unlock()
	if m.gone {
		return nil
	}
	m.gone = true
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	if err := m.kv.Delete(ctx, m.self.ID, m.revision); err != nil && !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.NotFound) {
		return fmt.Errorf("say goodbye: %w", err)
	}
	return nil
}
