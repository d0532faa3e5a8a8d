package app

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/egress"
	"github.com/parley-voice/parley/internal/voice/provider/openai"
)

// Beside the server runs a model: the first organisation reaches it, another only when the settings name it, and
// nobody when they deny it.
func TestWhoReachesPrivateNetworks(t *testing.T) {
	beside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"data":[{"id":"llama"}]}`))
	}))
	t.Cleanup(beside.Close)
	for _, c := range []struct {
		private, allow, deny string
		first, other         bool
	}{
		{"", "", "", true, false},
		{privateFirst, "", "", true, false},
		{privateAll, "", "", true, true},
		{privateNone, "", "", false, false},
		{privateNone, "127.0.0.1", "", true, true},
		{privateFirst, "127.0.0.0/8", "", true, true},
		{privateAll, "", "127.0.0.0/8", false, false},
		{privateAll, "", "*", false, false},
		{privateNone, "127.0.0.1", "*", true, true},
	} {
		rules, err := egress.Parse(c.allow, c.deny)
		if err != nil {
			t.Fatal(err)
		}
		oldest := ""
		o := newOutbound(rules, c.private, func(context.Context) (string, error) {
			if oldest == "" {
				return "", errors.New("the database is away")
			}
			return oldest, nil
		})
		if c.private == "" && o.inside(t.Context(), "first") {
			t.Error("it is open while nobody knows who is the first")
		}
		oldest = "first"
		for org, want := range map[string]bool{"first": c.first, "other": c.other} {
			ctx := identity.With(t.Context(), identity.Principal{OrgID: org})
			res, err := o.client(ctx, org).Get(beside.URL)
			if err == nil {
				_ = res.Body.Close()
			}
			if (err == nil) != want {
				t.Errorf("%+v: a tool of %s: %v", c, org, err)
			}
			_, err = prober{config: openai.Config{}, to: func() *outbound { return o }}.Probe(ctx, "llm", beside.URL, "")
			if (err == nil) != want {
				t.Errorf("%+v: a vendor of %s: %v", c, org, err)
			}
			if !want && !strings.Contains(err.Error(), "outbound-") {
				t.Errorf("the error names no setting: %v", err)
			}
		}
		o.close()
	}
}

// Where nothing is sent in the clear, vendors, tools and webhooks are asked by https only.
func TestNothingInTheClear(t *testing.T) {
	a := &App{cfg: Config{Strict: true}}
	o, err := a.newOutbound()
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	asked := make(chan struct{}, 8)
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked <- struct{}{} }))
	defer srv.Close()
	for _, c := range []*http.Client{o.tools, o.toolsInside} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		if res, err := c.Do(req); err == nil || !strings.Contains(err.Error(), "not https") {
			t.Errorf("a tool by http: %v", err)
			if err == nil {
				_ = res.Body.Close()
			}
		}
	}
	for address, ok := range map[string]bool{"http://127.0.0.1/v1": false, "ws://127.0.0.1/v1": false, "https://api.example.com/v1": true, "wss://api.example.com/v1": true, "%": false} {
		if err := o.permits(address); (err == nil) != ok {
			t.Errorf("a vendor at %s: %v", address, err)
		}
		if err := (&outbound{}).permits(address); err != nil {
			t.Errorf("a vendor at %s, without strict: %v", address, err)
		}
	}
	_, err = prober{to: func() *outbound { return o }}.Probe(t.Context(), "llm", srv.URL, "canary")
	if err == nil || len(asked) != 0 {
		t.Errorf("a vendor was asked in the clear: %v", err)
	}
}
