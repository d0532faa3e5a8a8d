package bus_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/parley-voice/parley/internal/platform/bus"
	"github.com/parley-voice/parley/internal/platform/fault"
)

func openKV(t *testing.T, b *bus.Bus, name string, ttl time.Duration) *bus.KV {
	t.Helper()
	kv, err := b.KV(t.Context(), name, ttl)
	if err != nil {
		t.Fatal(err)
	}
	return kv
}

// The server in this process and one of its own behave the same.
func TestKV(t *testing.T) {
	for name, c := range map[string]bus.Config{"embedded": {DataDir: t.TempDir()}, "external": {URL: natsServer(t, true)}} {
		t.Run(name, func(t *testing.T) {
			b, err := bus.Open(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(b.Close)
			testKV(t, openKV(t, b, "test", time.Hour), openKV(t, b, "test", time.Hour), openKV(t, b, "other", time.Hour))
			testExpiry(t, b)
		})
	}
}

func testKV(t *testing.T, kv, again, other *bus.KV) {
	ctx := t.Context()
	if _, err := kv.Get(ctx, "k"); !fault.Is(err, fault.NotFound) {
		t.Errorf("nothing: %v", err)
	}
	rev, err := kv.Create(ctx, "k", []byte("one"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Create(ctx, "k", []byte("two"), 0); !fault.Is(err, fault.Conflict) {
		t.Errorf("created twice: %v", err)
	}
	next, err := again.Update(ctx, "k", []byte("two"), rev)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Update(ctx, "k", []byte("three"), rev); !fault.Is(err, fault.Conflict) {
		t.Errorf("an old revision was taken: %v", err)
	}
	if err := kv.Delete(ctx, "k", rev); !fault.Is(err, fault.Conflict) {
		t.Errorf("an old revision was deleted: %v", err)
	}
	if e, err := kv.Get(ctx, "k"); err != nil || string(e.Value) != "two" || e.Revision != next {
		t.Errorf("%+v %v", e, err)
	}
	if _, err := other.Get(ctx, "k"); !fault.Is(err, fault.NotFound) {
		t.Errorf("another bucket: %v", err)
	}
	if err := kv.Delete(ctx, "k", next); err != nil {
		t.Error(err)
	}
	if _, err := kv.Create(ctx, "k", nil, 0); err != nil {
		t.Errorf("after the deletion: %v", err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5 {
				if _, err := kv.Incr(ctx, "n", 2); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n, err := again.Incr(ctx, "n", -1); err != nil || n != 39 {
		t.Errorf("counted %d, %v", n, err)
	}
	if _, err := kv.Incr(ctx, "k", 1); err == nil {
		t.Error("counted what is no number")
	}
}

// A value goes when its time is over, the bucket's or its own. A second is the shortest time a key may have.
func testExpiry(t *testing.T, b *bus.Bus) {
	short, long := openKV(t, b, "short", time.Second), openKV(t, b, "long", time.Hour)
	if _, err := short.Put(t.Context(), "k", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := long.Create(t.Context(), "k", []byte("x"), time.Second); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for _, kv := range []*bus.KV{short, long} {
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			if _, err := kv.Get(ctx, "k"); fault.Is(err, fault.NotFound) {
				tick.Stop()
				break
			} else if err != nil {
				t.Fatal(err)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				t.Fatal("a value does not expire")
			}
		}
		if _, err := kv.Create(ctx, "k", nil, 0); err != nil {
			t.Errorf("after its time: %v", err)
		}
	}
}

// A server that goes away while we are connected is waited for no longer than the caller likes.
func TestKVExternalServerGone(t *testing.T) {
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server did not start")
	}
	b, err := bus.Open(t.Context(), bus.Config{URL: srv.ClientURL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	kv := openKV(t, b, "test", time.Hour)
	srv.Shutdown()
	srv.WaitForShutdown()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := kv.Put(ctx, "k", nil); err == nil {
		t.Error("put")
	}
	if _, err := kv.Get(ctx, "k"); err == nil || fault.Is(err, fault.NotFound) {
		t.Errorf("read: %v", err)
	}
	if _, err := kv.Incr(ctx, "k", 1); err == nil {
		t.Error("counted")
	}
}

// What cannot be reached is an error, in time.
func TestKVServerGone(t *testing.T) {
	b := open(t, t.TempDir())
	kv := openKV(t, b, "test", time.Hour)
	b.Close()
	if _, err := kv.Put(t.Context(), "k", nil); err == nil {
		t.Error("put")
	}
	if _, err := kv.Get(t.Context(), "k"); err == nil || fault.Is(err, fault.NotFound) {
		t.Errorf("read: %v", err)
	}
	if _, err := kv.Incr(t.Context(), "k", 1); err == nil {
		t.Error("counted")
	}
}
