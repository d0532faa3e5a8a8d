package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/coder/websocket"

	"github.com/parley-voice/parley/api/client"
	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/gateway"
	"github.com/parley-voice/parley/internal/platform/bus"
)

// instance is a gateway's realtime feed on a bus that several share.
type instance struct {
	feed
	srv *httptest.Server
}

func onBus(t *testing.T, b *bus.Bus) *instance {
	t.Helper()
	hub := gateway.NewHub(people(), nil, quartz.NewReal(), slog.New(slog.DiscardHandler))
	sub, err := b.Subscribe(t.Context(), bus.SubConfig{Live: true, From: 1}, func(_ context.Context, m bus.Msg) error {
		hub.Publish(m.OrgID, gateway.Event{ID: m.Seq, Type: "call:status", Room: "org", At: m.At, Data: m.Data})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(hub)
	t.Cleanup(func() {
		hub.Close()
		sub.Stop()
		srv.Close()
	})
	return &instance{feed{hub, srv.URL}, srv}
}

// balancer hands connections to one backend, and breaks them all off when that dies.
type balancer struct {
	ln net.Listener
	mu sync.Mutex
	to string
	// open are the connections through it.
	open map[net.Conn]struct{}
}

func balance(t *testing.T, to string) *balancer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a listener of a test
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{ln: ln, to: to, open: map[net.Conn]struct{}{}}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() { b.join(c) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		b.kill("")
		all.Wait()
	})
	return b
}

func (b *balancer) join(c net.Conn) {
	b.mu.Lock()
	to := b.to
	b.mu.Unlock()
	out, err := net.Dial("tcp", strings.TrimPrefix(to, "http://")) //nolint:noctx // within this machine
	if err != nil {
		_ = c.Close()
		return
	}
	b.mu.Lock()
	b.open[c], b.open[out] = struct{}{}, struct{}{}
	gone := b.to != to
	b.mu.Unlock()
	if gone {
		b.kill(b.to)
	}
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(c, out); _ = c.Close() })
	both.Go(func() { _, _ = io.Copy(out, c); _ = out.Close() })
	both.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.open, c)
	delete(b.open, out)
}

// kill breaks off every connection without a word; new ones go to another.
func (b *balancer) kill(to string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.to = to
	for c := range b.open {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
}

// A client follows the feed through one gateway, which dies; another, which drains; and a third. It gets every event
// once, in order, and is never told to read its state again.
func TestResumeElsewhere(t *testing.T) {
	t.Parallel()
	b, err := bus.Open(t.Context(), bus.Config{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	first := onBus(t, b)
	front := balance(t, first.url)
	const events = 600
	say := func(n int) {
		if !b.PublishLive("a", event.CallStatus{CallID: "c", At: int64(n)}) {
			t.Error("dropped")
		}
	}
	var mu sync.Mutex
	var got []int64
	last := uint64(0)
	ctx, cancel := context.WithTimeout(t.Context(), 2*within)
	defer cancel()
	over := make(chan error, 1)
	ready := make(chan struct{})
	go func() {
		over <- client.Follow(ctx, client.FeedConfig{
			URL: "http://" + front.ln.Addr().String(), Token: "owner-a", Rooms: []string{"org"},
			OnSubscribed: sync.OnceFunc(func() { close(ready) }),
			OnReset:      func() { t.Error("told to read the state again") },
		}, func(e client.FeedEvent) error {
			var at event.CallStatus
			if err := json.Unmarshal(e.Data, &at); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if e.ID <= last {
				t.Errorf("%d after %d", e.ID, last)
			}
			last = e.ID
			if got = append(got, at.At); len(got) == events {
				return io.EOF
			}
			return nil
		})
	}()
	<-ready
	heard := func(n int) {
		t.Helper()
		eventually(t, "what was said", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(got) >= n
		})
	}
	said := make(chan struct{})
	go func() {
		defer close(said)
		for n := range events {
			say(n)
			if n%100 == 99 { // not all at once
				heard(n / 2)
			}
		}
	}()
	heard(100)
	second := onBus(t, b)
	front.kill(second.url)
	first.srv.Close()
	heard(300)
	third := onBus(t, b)
	front.mu.Lock()
	front.to = third.url
	front.mu.Unlock()
	second.Drain(t.Context(), time.Millisecond)
	<-said
	if err := <-over; !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	for n, at := range got {
		if at != int64(n) {
			t.Fatalf("event %d is number %d", n, at)
		}
	}
}

// Draining tells clients one after the other, so that they do not come back all at once.
func TestHubDrains(t *testing.T) {
	t.Parallel()
	clock := quartz.NewMock(t)
	hub := gateway.NewHub(people(), nil, clock, slog.New(slog.DiscardHandler))
	srv := httptest.NewServer(hub)
	t.Cleanup(srv.Close)
	f := feed{hub, srv.URL}
	closed := make(chan error, 4)
	for range 4 {
		s := f.dial(t, "owner-a")
		s.subscribe(0, "org")
		s.want("subscribed", 0)
		go func() {
			_, err := s.next()
			closed <- err
		}()
	}
	trap := clock.Trap().NewTimer("realtime", "wait")
	defer trap.Close()
	over := make(chan struct{})
	go func() {
		defer close(over)
		hub.Drain(t.Context(), 4*time.Second)
	}()
	for n := range 3 {
		call := trap.MustWait(t.Context())
		if call.Duration != time.Second {
			t.Errorf("waits %s", call.Duration)
		}
		if err := <-closed; websocket.CloseStatus(err) != websocket.StatusServiceRestart {
			t.Errorf("closed by %v", err)
		}
		if left := 3 - n; hub.Clients() < left {
			t.Errorf("%d clients are left, want %d", hub.Clients(), left)
		}
		call.MustRelease(t.Context())
		clock.Advance(time.Second).MustWait(t.Context())
	}
	trap.MustWait(t.Context()).MustRelease(t.Context()) // for the last to say goodbye
	<-closed
	<-over
	if hub.Clients() != 0 {
		t.Errorf("%d clients are left", hub.Clients())
	}
}

// An answer that breaks off does not look whole.
func TestBrokenOffAnswer(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /half", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	s := run(t, gateway.Config{Handler: mux, Log: slog.New(slog.DiscardHandler)})
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr()+"/half", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if body, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("%q looks whole", body)
	}
}

// Following ends when coming back would not help, and says when events were lost.
func TestFollow(t *testing.T) {
	t.Parallel()
	f := newFeed(t)
	f.say(7, "a", "call:1", "call:status")
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	never := func(e client.FeedEvent) error { return errors.New("an event: " + e.Type) }
	for name, c := range map[string]struct {
		config client.FeedConfig
		says   string
	}{
		"a token that is none":       {client.FeedConfig{Token: "none"}, "401"},
		"a token that may not":       {client.FeedConfig{Token: "nothing"}, "403"},
		"a room that is none":        {client.FeedConfig{Token: "owner-a", Rooms: []string{"kitchen"}}, "unknown room"},
		"whoever follows has failed": {client.FeedConfig{Token: "owner-a", Rooms: []string{"call:1"}, After: 6}, "an event: call:status"},
	} {
		c.config.URL = f.url
		if err := client.Follow(ctx, c.config, never); err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	lost := make(chan struct{}, 1)
	until, stop := context.WithCancel(ctx)
	over := make(chan error, 1)
	go func() {
		over <- client.Follow(until, client.FeedConfig{URL: f.url, Token: "owner-a", Rooms: []string{"call:1"}, After: 99, OnReset: func() { lost <- struct{}{} }}, never)
	}()
	select {
	case <-lost:
	case <-ctx.Done():
		t.Error("nothing was said to be lost")
	}
	stop()
	if err := <-over; !errors.Is(err, context.Canceled) {
		t.Errorf("ended by %v", err)
	}
}
