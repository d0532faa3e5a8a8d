package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/gateway"
	"github.com/parley-voice/parley/internal/platform/bus"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/fault"
)

func limited(t *testing.T, c gateway.LimitsConfig) *edge {
	t.Helper()
	return newEdge(t, dbtest.SQLite(t, gateway.Migrations()), c)
}

func from(ip string, h http.Header) http.Header {
	if h == nil {
		h = http.Header{}
	}
	return with(h, "X-Forwarded-For", ip)
}

func (e *edge) status(t *testing.T, method, path string, h http.Header) int {
	t.Helper()
	body := ""
	if method != http.MethodGet {
		body = `{"name":"lamp"}`
	}
	res, text := do(t, method, e.url+path, body, h)
	if res.StatusCode == http.StatusTooManyRequests {
		if p := problemOf(t, res, text); p.Code != fault.RateLimited || res.Header.Get("Retry-After") == "" || res.Header.Get("RateLimit") == "" {
			t.Errorf("%s %v", text, res.Header)
		}
	}
	return res.StatusCode
}

func TestLimitOfAnAddress(t *testing.T) {
	t.Parallel()
	e := limited(t, gateway.LimitsConfig{Address: gateway.Limit{Requests: 3, Window: time.Minute}})
	ask := func(ip string) int { return e.status(t, "GET", "/api/v1/open", from(ip, nil)) }
	for i := range 3 {
		if s := ask("203.0.113.9"); s != 200 {
			t.Fatalf("request %d: %d", i, s)
		}
	}
	if s := ask("203.0.113.9"); s != 429 {
		t.Errorf("a fourth request: %d", s)
	}
	if s := ask("203.0.113.10"); s != 200 {
		t.Errorf("another address: %d", s)
	}
	e.clock.Advance(20 * time.Second) // a third of the window gives back a third
	if s := ask("203.0.113.9"); s != 200 {
		t.Errorf("after a while: %d", s)
	}
	if s := ask("203.0.113.9"); s != 429 {
		t.Errorf("and one more: %d", s)
	}
	for i := range 4 { // one household
		want := 200
		if i == 3 {
			want = 429
		}
		if s := ask(fmt.Sprintf("2001:db8::%d", i+1)); s != want {
			t.Errorf("IPv6 address %d: %d", i, s)
		}
	}
	if s := ask("2001:db8:0:1::1"); s != 200 {
		t.Errorf("the next /64: %d", s)
	}
	// This machine, the UI's files and carriers are not limited.
	for range 5 {
		for path, h := range map[string]http.Header{"/api/v1/open": nil, "/index.html": from("203.0.113.9", nil), "/carriers/x": from("203.0.113.9", nil)} {
			if s := e.status(t, "GET", path, h); s == 429 {
				t.Errorf("%s is limited", path)
			}
		}
	}
}

func TestLimitsOfWhoAsks(t *testing.T) {
	t.Parallel()
	four, none := 4, 0
	rates := map[string]*int{"b": &four, "closed": &none}
	e := limited(t, gateway.LimitsConfig{
		SignIn: gateway.Limit{Requests: 2, Window: time.Minute}, Read: gateway.Limit{Requests: 3, Window: time.Minute}, Write: gateway.Limit{Requests: 2, Window: time.Minute},
		Organisation: gateway.Limit{Requests: 6, Window: time.Minute},
		Rate:         func(_ context.Context, orgID string) (*int, error) { return rates[orgID], nil },
	})
	want := func(name, method, path string, h http.Header, statuses ...int) {
		t.Helper()
		for i, s := range statuses {
			if got := e.status(t, method, path, h); got != s {
				t.Errorf("%s, request %d: %d, want %d", name, i+1, got, s)
			}
		}
	}
	res, _ := do(t, "GET", e.url+"/api/v1/read", "", bearer("owner-a"))
	if res.Header.Get("RateLimit-Policy") != `"read";q=3;w=60, "organisation";q=6;w=60` || res.Header.Get("RateLimit") != `"read";r=2;t=20, "organisation";r=5;t=10` {
		t.Errorf("%v", res.Header)
	}
	want("owner-a reads", "GET", "/api/v1/read", bearer("owner-a"), 200, 200, 429)
	for org, want := range map[string]int64{"a": 3, "b": 0, "closed": 0} {
		if n, counted := e.limits.Used(t.Context(), org); n != want || !counted {
			t.Errorf("organisation %s used %d, %v", org, n, counted)
		}
	}
	want("owner-a writes", "POST", "/api/v1/write", bearer("owner-a"), 200, 200, 429)
	want("reader, of the same organisation", "GET", "/api/v1/read", bearer("reader"), 200, 429)
	want("owner-b, whose organisation has its own rate", "GET", "/api/v1/read", bearer("owner-b"), 200, 200, 200, 429)
	if n, counted := e.limits.Used(t.Context(), "b"); n != 3 || !counted {
		t.Errorf("organisation b used %d, %v", n, counted)
	}
	want("owner-b writes", "POST", "/api/v1/write", bearer("owner-b"), 200)
	if res, body := do(t, "POST", e.url+"/api/v1/write", "", bearer("owner-b")); res.StatusCode != 429 ||
		!strings.Contains(body, "plan includes 4 API requests a minute") || !strings.Contains(body, "bigger plan") {
		t.Errorf("the error does not say which limit it is: %d %s", res.StatusCode, body)
	}
	want("who is not let in is not told of limits", "GET", "/api/v1/read", bearer("wrong"), 401, 401)
	e.clock.Advance(time.Minute)
	want("owner-a, a minute later", "GET", "/api/v1/read", bearer("owner-a"), 200)
	rates["b"] = &none
	if res, _ := do(t, "GET", e.url+"/api/v1/read", "", bearer("owner-b")); res.StatusCode != 429 || res.Header.Get("Retry-After") != "60" {
		t.Errorf("a plan without requests: %d, %v", res.StatusCode, res.Header)
	}
}

// seen remembers the keys that a store was told.
type seen struct {
	gateway.Shared
	mu   sync.Mutex
	keys map[string]bool
}

func (s *seen) Put(ctx context.Context, key string, value []byte, revision uint64) error {
	s.mu.Lock()
	s.keys[key] = true
	s.mu.Unlock()
	return s.Shared.Put(ctx, key, value, revision)
}

// away is a store that does not answer.
type away struct{}

func (away) Get(context.Context, string) ([]byte, uint64, error) {
	return nil, 0, context.DeadlineExceeded
}

func (away) Put(context.Context, string, []byte, uint64) error { return context.DeadlineExceeded }

func TestLimitsAcrossInstances(t *testing.T) {
	t.Parallel()
	nats, err := bus.Open(t.Context(), bus.Config{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nats.Close)
	bucket, err := nats.KV(t.Context(), "LIMITS", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	shared := &seen{Shared: gateway.SharedKV(bucket), keys: map[string]bool{}}
	c := gateway.LimitsConfig{Read: gateway.Limit{Requests: 10, Window: time.Minute}, Shared: shared}
	one, two := limited(t, c), limited(t, c)
	left := func(e *edge, want string) {
		t.Helper()
		res, _ := do(t, "GET", e.url+"/api/v1/read", "", bearer("owner-a"))
		_, after, _ := strings.Cut(res.Header.Get("RateLimit"), "r=")
		if n, _, _ := strings.Cut(after, ";"); n != want {
			t.Errorf("%s are left, want %s", n, want)
		}
	}
	tell := func(e *edge) {
		t.Helper()
		if err := e.limits.Exchange(t.Context()); err != nil {
			t.Error(err)
		}
	}
	for _, n := range []string{"9", "8", "7", "6"} {
		left(one, n)
	}
	left(two, "9") // nothing was told yet
	tell(one)
	tell(two)
	left(two, "4") // four there, two here
	left(one, "5") // it learns of the others when it is used again
	tell(two)
	tell(one)
	left(one, "2") // 4 + 2 + 1, and this one
	if n, counted := one.limits.Used(t.Context(), "a"); counted {
		t.Errorf("an organisation without a limit used %d", n)
	}
	for key := range shared.keys {
		if len(key) != 32 || strings.Trim(key, "0123456789abcdef") != "" {
			t.Errorf("the store tells who asked: %q", key)
		}
	}
	one.clock.Advance(time.Hour)
	two.clock.Advance(time.Hour)
	tell(one)
	left(two, "9")
}

// While the store is away each instance counts alone, and says so once.
func TestLimitsWithoutTheStore(t *testing.T) {
	t.Parallel()
	e := limited(t, gateway.LimitsConfig{Read: gateway.Limit{Requests: 10, Window: time.Minute}, Shared: away{}})
	ctx, cancel := context.WithCancel(t.Context())
	trap := e.clock.Trap().NewTicker("limits", "share")
	defer trap.Close()
	over := make(chan struct{})
	go func() { defer close(over); e.limits.Share(ctx) }()
	t.Cleanup(func() { cancel(); <-over })
	trap.MustWait(t.Context()).MustRelease(t.Context())
	eventually(t, "the warning", func() bool {
		if s := e.status(t, "GET", "/api/v1/read", bearer("owner-a")); s != 200 && s != 429 {
			t.Errorf("status %d", s)
		}
		e.clock.Advance(time.Second).MustWait(t.Context())
		return strings.Contains(e.logs.String(), "counts alone")
	})
	if n := strings.Count(e.logs.String(), "counts alone"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

func TestParseLimit(t *testing.T) {
	t.Parallel()
	if l, err := gateway.ParseLimit("600/1m"); err != nil || l.Requests != 600 || l.Window != time.Minute {
		t.Errorf("%+v %v", l, err)
	}
	if l, err := gateway.ParseLimit("off"); err != nil || l.Requests != 0 {
		t.Errorf("%+v %v", l, err)
	}
	for _, bad := range []string{"", "600", "0/1m", "-1/1m", "10/1ms", "10/48h", "ten/1m"} {
		if _, err := gateway.ParseLimit(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
