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
