package fleet_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/parley-voice/parley/internal/gateway/fleet"
	"github.com/parley-voice/parley/internal/platform/bus"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// An instance is known as soon as it joins, its state follows, and it is gone as soon as it leaves.
func TestJoinDrainLeave(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var mu sync.Mutex
	var news []string
	stop := r.fleet.Follow(func(c fleet.Change) {
		mu.Lock()
		defer mu.Unlock()
		word := "changed"
		if c.Joined {
			word = "joined"
		} else if c.Left {
			word = "left"
		}
		news = append(news, word)
	})
	defer stop()
	calls := make(chan int, 1)
	calls <- 3
	i := &instance{}
	i.announce(r, fleet.Instance{ID: "m", Role: "media", Version: "1.2", URL: "http://127.0.0.1:1", Region: "eu", Zone: "a", Capacity: 10}, func() int {
		n := <-calls
		calls <- n
		return n
	})
	s := r.fleet.Instances("media")[0]
	if s.Calls != 3 || s.Capacity != 10 || s.Version != "1.2" || s.Region != "eu" || s.Zone != "a" || s.Draining || s.Breaker != fleet.Closed || s.Boot == "" {
		t.Errorf("%+v", s)
	}
	<-calls
	calls <- 7
	if err := i.Announce(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.knows("m", func(s fleet.State) bool { return s.Calls == 7 })
	if err := i.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.knows("m", func(s fleet.State) bool { return s.Draining })
	for range 2 {
		if err := i.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r.forgets("m")
	if i.Announce(t.Context()) == nil {
		t.Error("announced after it left")
	}
	eventually(t, "all the news", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(news, " ") == "joined changed changed left"
	})
}

// The clock announces, with a jitter of a fifth.
func TestAnnouncedByTheClock(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	clock := quartz.NewMock(t)
	trap := clock.Trap().NewTimer("fleet", "announce")
	defer trap.Close()
	n := 0
	m, err := fleet.Join(t.Context(), fleet.MemberConfig{Bus: r.bus, Self: fleet.Instance{ID: "m", Role: "media"}, Calls: func() int { n++; return n },
		TTL: time.Hour, Every: 10 * time.Second, Clock: clock, Rand: chance()})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[time.Duration]bool{}
	for want := 1; want <= 5; want++ {
		call := trap.MustWait(t.Context())
		if call.Duration < 8*time.Second || call.Duration > 12*time.Second {
			t.Errorf("waits %s", call.Duration)
		}
		seen[call.Duration] = true
		call.MustRelease(t.Context())
		r.knows("m", func(s fleet.State) bool { return s.Calls >= want })
		clock.Advance(call.Duration).MustWait(t.Context())
	}
	if len(seen) < 4 {
		t.Errorf("no jitter: %v", seen)
	}
	trap.MustWait(t.Context()).MustRelease(t.Context())
	if err := m.Leave(t.Context()); err != nil {
		t.Error(err)
	}
}

// An instance that dies without a word disappears, and a new run of it may have its id then, whatever its clock says.
func TestDies(t *testing.T) {
	t.Parallel()
	b := embedded(t)
	const ttl = time.Second // the shortest that a bucket can have
	fl, err := fleet.New(fleet.Config{Bus: b, TTL: ttl, Clock: quartz.NewReal()})
	if err != nil {
		t.Fatal(err)
	}
	left := make(chan struct{}, 100)
	fl.Follow(func(c fleet.Change) {
		if c.Left {
			left <- struct{}{}
		}
	})
	fl.Start(t.Context())
	t.Cleanup(fl.Stop)
	<-fl.Ready()
	// Its clock stands still: it never announces itself again.
	dead, err := fleet.Join(t.Context(), fleet.MemberConfig{Bus: b, Self: fleet.Instance{ID: "m", Role: "media"}, TTL: ttl, Clock: quartz.NewMock(t)})
	if err != nil {
		t.Fatal(err)
	}
	late := quartz.NewMock(t)
	late.Set(time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC))
	select {
	case <-left:
	case <-time.After(within):
		t.Fatal("it does not die")
	}
	fl.Stop() // with its short TTL
	r := rigOn(t, b, nil)
	again, err := fleet.Join(t.Context(), fleet.MemberConfig{Bus: b, Self: fleet.Instance{ID: "m", Role: "media"}, TTL: time.Hour, Clock: late})
	if err != nil {
		t.Fatal(err)
	}
	r.knows("m", func(s fleet.State) bool { return s.Boot == again.Self().Boot })
	// The dead one was only asleep. It notices.
	if err := dead.Announce(t.Context()); !fault.Is(err, fault.Conflict) {
		t.Errorf("announced over another: %v", err)
	}
	<-dead.Lost()
	if err := dead.Leave(t.Context()); err != nil {
		t.Error(err)
	}
	if err := again.Announce(t.Context()); err != nil {
		t.Error(err)
	}
	if err := again.Leave(t.Context()); err != nil {
		t.Error(err)
	}
}

// A process whose id another one has is refused, and told where that one is.
func TestTwoWithOneID(t *testing.T) {
	t.Parallel()
	b := embedded(t)
	self := fleet.Instance{ID: "m", Role: "media", URL: "http://10.0.0.9:81"}
	first, err := fleet.Join(t.Context(), fleet.MemberConfig{Bus: b, Self: self, TTL: time.Hour, Every: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	clock := quartz.NewMock(t)
	trap := clock.Trap().NewTimer("fleet", "wait")
	defer trap.Close()
	refused := make(chan error, 1)
	go func() {
		_, err := fleet.Join(t.Context(), fleet.MemberConfig{Bus: b, Self: self, TTL: time.Hour, Clock: clock})
		refused <- err
	}()
	for done := false; !done; {
		call := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			defer close(call)
			if c, err := trap.Wait(ctx); err == nil {
				c.MustRelease(t.Context())
				clock.Advance(c.Duration).MustWait(t.Context())
			}
		}()
		select {
		case err = <-refused:
			done = true
		case <-call:
		}
		cancel()
		<-call
	}
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "http://10.0.0.9:81") {
		t.Errorf("got %v", err)
	}
	if err := first.Leave(t.Context()); err != nil {
		t.Error(err)
	}
}

// A process that is cut off while it waits for its id gives up.
func TestJoinCancelled(t *testing.T) {
	t.Parallel()
	b := embedded(t)
	self := fleet.Instance{ID: "m", Role: "media"}
	first, err := fleet.Join(t.Context(), fleet.MemberConfig{Bus: b, Self: self, TTL: time.Hour, Clock: quartz.NewMock(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.Leave(context.Background()) }()
	ctx, cancel := context.WithCancel(t.Context())
	clock := quartz.NewMock(t)
	trap := clock.Trap().NewTimer("fleet", "wait")
	defer trap.Close()
	over := make(chan error, 1)
	go func() {
		_, err := fleet.Join(ctx, fleet.MemberConfig{Bus: b, Self: self, TTL: time.Hour, Clock: clock})
		over <- err
	}()
	trap.MustWait(t.Context()).MustRelease(t.Context())
	cancel()
	if err := <-over; err == nil {
		t.Error("joined")
	}
}

// A bus that was started again remembers nobody. Everybody stays known meanwhile, and is announced again.
func TestBusStartsAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv := natsServer(t, dir, server.RANDOM_PORT)
	b, err := bus.Open(t.Context(), bus.Config{URL: srv.ClientURL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	// The TTL is long: only silence after an advance of the clock makes the fleet look again.
	clock := quartz.NewMock(t)
	fl, err := fleet.New(fleet.Config{Bus: b, TTL: time.Hour, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	fl.Start(t.Context())
	t.Cleanup(fl.Stop)
	<-fl.Ready()
	m, err := fleet.Join(t.Context(), fleet.MemberConfig{Bus: b, Self: fleet.Instance{ID: "m", Role: "media"}, TTL: time.Hour, Clock: quartz.NewMock(t)})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "m", func() bool { return len(fl.Instances("")) == 1 })
	port := srv.Addr().String()
	srv.Shutdown()
	srv.WaitForShutdown()
	if m.Announce(t.Context()) == nil {
		t.Error("announced to nobody")
	}
	_, p, _ := strings.Cut(port, ":")
	natsServer(t, dir, atoi(t, p))
	if len(fl.Instances("")) != 1 {
		t.Error("forgotten because the bus is away")
	}
	eventually(t, "an announcement", func() bool { return m.Announce(t.Context()) == nil })
	if err := m.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the watch is made again", func() bool {
		if _, ok := clock.Peek(); ok {
			clock.AdvanceNext()
		}
		is := fl.Instances("")
		return len(is) == 1 && is[0].Draining
	})
	if err := m.Leave(t.Context()); err != nil {
		t.Error(err)
	}
}
