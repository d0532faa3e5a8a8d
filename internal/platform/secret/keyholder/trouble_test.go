package keyholder_test

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/platform/bus"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret/keyholder"
)

// No offer is believed that a worker did not sign, so nobody else is given a data key to wrap.
func TestOffersOfOthers(t *testing.T) {
	h := build(t)
	h.holder("one", master(t))
	mine, err := hpke.DHKEM(ecdh.X25519()).GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	c := h.asker("gateway")
	through := c.Bus
	p := &tap{Bus: through}
	c.Bus = p
	a := find(t, c)
	gateway := h.signing("gateway")
	public := base64.RawURLEncoding.EncodeToString(mine.PublicKey().Bytes())
	for what, change := range map[string]func(o map[string]any){
		"another public key": func(o map[string]any) { o["public"] = mine.PublicKey().Bytes() },
		"another holder":     func(o map[string]any) { o["holder"] = "two" },
		"another wrapper":    func(o map[string]any) { o["wrapper"] = "local:mine" },
		"no token":           func(o map[string]any) { delete(o, "token") },
		"nothing":            func(o map[string]any) { clear(o) },
		"signed by another role": func(o map[string]any) {
			o["public"] = mine.PublicKey().Bytes()
			o["token"], err = gateway.Token(t.Context(), "gateway", "askers for keys", "one", time.Minute, map[string]string{"public": public, "wrapper": fmt.Sprint(o["wrapper"])})
			if err != nil {
				t.Error(err)
			}
		},
	} {
		asked := 0
		p.answer = func(ctx context.Context, q bus.Question) ([]byte, error) {
			asked++
			if len(q.Data) > 0 {
				t.Errorf("%s: a request was sent", what)
			}
			b, err := through.Ask(ctx, q)
			if err != nil {
				return nil, err
			}
			var o map[string]any
			if err := json.Unmarshal(b, &o); err != nil {
				return nil, err
			}
			change(o)
			return json.Marshal(o)
		}
		if _, err := a.Wrapper(a.Current()).Wrap(t.Context(), dataKey, place); !fault.Is(err, fault.Unavailable) || asked != 3 {
			t.Errorf("%s: asked %d times, %v", what, asked, err)
		}
	}
}

// An answer that somebody else sealed, altered or sent in the clear is none.
func TestAnswersOfOthers(t *testing.T) {
	h := build(t)
	local := master(t)
	h.holder("one", local)
	c := h.asker("gateway")
	through := c.Bus
	p := &tap{Bus: through}
	c.Bus = p
	w := find(t, c).Wrapper(local.ID())
	var before []byte
	for what, change := range map[string]func(b []byte) []byte{
		"altered":            func(b []byte) []byte { return bytes.Replace(b, []byte(`"sealed":"`), []byte(`"sealed":"AAAA`), 1) },
		"rubbish":            func([]byte) []byte { return []byte("no") },
		"empty":              func([]byte) []byte { return nil },
		"refused by anybody": func([]byte) []byte { return []byte(`{"problem":"forbidden"}`) },
		"an earlier one":     func([]byte) []byte { return before },
		"far too long":       func([]byte) []byte { return make([]byte, 65<<10) },
	} {
		p.answer = func(ctx context.Context, q bus.Question) ([]byte, error) {
			b, err := through.Ask(ctx, q)
			if len(q.Data) == 0 || err != nil {
				return b, err
			}
			return change(b), nil
		}
		if what == "an earlier one" {
			p.answer = func(ctx context.Context, q bus.Question) ([]byte, error) {
				b, err := through.Ask(ctx, q)
				before = b
				return b, err
			}
			if _, err := w.Wrap(t.Context(), dataKey, place); err != nil {
				t.Fatal(err)
			}
			earlier := before
			p.answer = func(ctx context.Context, q bus.Question) ([]byte, error) {
				if len(q.Data) == 0 {
					return through.Ask(ctx, q)
				}
				return earlier, nil
			}
		}
		if _, err := w.Wrap(t.Context(), dataKey, place); !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Who waits for a holder says so, and finds it once it is there.
func TestFindWaits(t *testing.T) {
	h := build(t)
	c := h.asker("gateway")
	log := &text{}
	c.Log = slog.New(slog.NewTextHandler(log, nil))
	found := make(chan error, 1)
	go func() {
		_, err := keyholder.Find(t.Context(), c)
		found <- err
	}()
	eventually(t, "word of waiting", func() bool { return strings.Contains(log.String(), "waiting for a process that has the master key") })
	h.holder("one", master(t))
	if err := <-found; err != nil {
		t.Error(err)
	}
}

// Without a holder nobody waits for ever, at the start or later, and is told what to do.
func TestNobodyAnswers(t *testing.T) {
	h := build(t)
	c := h.asker("gateway")
	mock := quartz.NewMock(t)
	trap := mock.Trap().NewTicker("keyholder", "again")
	c.Clock = mock
	gone := make(chan error, 1)
	go func() {
		_, err := keyholder.Find(t.Context(), c)
		gone <- err
	}()
	trap.MustWait(t.Context()).MustRelease(t.Context())
	trap.Close()
	for range 240 { // a minute
		mock.Advance(250 * time.Millisecond).MustWait(t.Context())
	}
	err := <-gone
	remedy := func(what string, err error, code fault.Code) {
		t.Helper()
		if !fault.Is(err, code) || !strings.Contains(err.Error(), "role worker") || !strings.Contains(err.Error(), "deploy/nats/parley.conf") {
			t.Errorf("%s: %v", what, err)
		}
	}
	remedy("at the start", err, fault.Unavailable)

	local := master(t)
	c.Clock, c.Wait = nil, 2*time.Second
	b := h.holder("one", local)
	w := find(t, c).Wrapper(local.ID())
	b.Close()
	_, err = w.Wrap(t.Context(), dataKey, place)
	remedy("later", err, fault.Unavailable)

	// One that takes questions and says nothing, such as one that hangs.
	silent := h.bus("worker", true)
	if err := silent.Answer(t.Context(), "keys", "silent", func(ctx context.Context, _ string, _ []byte) []byte { <-ctx.Done(); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := silent.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.Wait = 50 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err = keyholder.Find(ctx, c)
	remedy("by one that hangs", err, fault.Timeout)
}

// What a server does not let a process ask is not answered, and its remedy is the same.
func TestRoleThatTheServerRefuses(t *testing.T) {
	h := build(t)
	h.holder("one", master(t))
	c := h.asker("gateway")
	c.Bus, c.Wait = h.bus("media", true), 50*time.Millisecond // with another role's nkey
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := keyholder.Find(ctx, c); !fault.Is(err, fault.Timeout) || !strings.Contains(err.Error(), "lets this one publish parley.ask.keys.gateway") {
		t.Errorf("it is told %v", err)
	}
}

// Of several holders one may stop, or not have what another one has: the question goes to the next.
func TestOneOfSeveral(t *testing.T) {
	h := build(t)
	local := master(t)
	one := h.holder("one", local)
	h.holder("two", local)
	c := h.asker("gateway")
	p := &tap{Bus: c.Bus}
	c.Bus = p
	w := find(t, c).Wrapper(local.ID())
	for range 8 {
		if _, err := w.Wrap(t.Context(), dataKey, place); err != nil {
			t.Fatal(err)
		}
	}
	// Its offer is the last thing it does.
	through, stopped := p.Bus, false
	p.answer = func(ctx context.Context, q bus.Question) ([]byte, error) {
		b, err := through.Ask(ctx, q)
		if len(q.Data) == 0 && !stopped && bytes.Contains(b, []byte(`"holder":"one"`)) {
			stopped = true
			one.Close()
		}
		return b, err
	}
	for i := 0; !stopped; i++ {
		if _, err := w.Wrap(t.Context(), dataKey, place); err != nil {
			t.Fatal(err)
		}
		if i > 10_000 {
			t.Fatal("one of two is never asked")
		}
	}
	if _, err := w.Wrap(t.Context(), dataKey, place); err != nil {
		t.Error(err)
	}
}

// What a holder's own key service says is what who asked is told: its refusal ends it, its absence does not.
func TestWhatTheKeyServiceSays(t *testing.T) {
	h := build(t)
	f := &failing{}
	h.holder("one", f)
	w := find(t, h.asker("gateway")).Wrapper(f.ID())
	for _, code := range []fault.Code{fault.Forbidden, fault.NotFound, fault.Timeout, fault.Unavailable} {
		f.set(fault.New(code, "the key service says no"))
		if _, err := w.Unwrap(t.Context(), dataKey, place); !fault.Is(err, code) || !strings.Contains(err.Error(), "the key service says no") {
			t.Errorf("%s: %v", code, err)
		}
	}
	f.set(errors.New("dial tcp 10.0.0.9: refused"))
	if _, err := w.Unwrap(t.Context(), dataKey, place); !fault.Is(err, fault.Unavailable) || strings.Contains(err.Error(), "10.0.0.9") {
		t.Errorf("it is told %v", err)
	}
}

// failing is a key service that fails.
type failing struct {
	mu  sync.Mutex
	err error
}

func (f *failing) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *failing) fail() ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return nil, f.err
}

func (*failing) ID() string                                               { return "kms:failing" }
func (f *failing) Wrap(context.Context, []byte, string) ([]byte, error)   { return f.fail() }
func (f *failing) Unwrap(context.Context, []byte, string) ([]byte, error) { return f.fail() }

func TestConfigurationsThatAreNotWhole(t *testing.T) {
	if err := keyholder.Serve(t.Context(), keyholder.HolderConfig{}); err == nil {
		t.Error("a holder of nothing serves")
	}
	if _, err := keyholder.Find(t.Context(), keyholder.AskerConfig{}); err == nil {
		t.Error("nobody finds somebody")
	}
}
