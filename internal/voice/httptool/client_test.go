package httptool

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/platform/egress"
)

// A tool's arguments go where its author said, not where an answer sends them.
func TestRedirectsAreNotFollowed(t *testing.T) {
	followed := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed = true }))
	t.Cleanup(elsewhere.Close)
	srv := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	t.Cleanup(srv.Close)
	client := NewClient(time.Minute, egress.Rules{}.Dialer(true, time.Minute))
	t.Cleanup(client.CloseIdleConnections)
	tool, err := New(Config{Name: "order", URL: srv.URL, Client: client})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tool.Call(t.Context(), []byte(`{"card":"canary"}`), nil); err == nil || !strings.Contains(err.Error(), "307") || followed {
		t.Errorf("followed %v, %v", followed, err)
	}
}

// Whatever an agent's author writes, a cloud machine's credentials are not to be had.
func TestMetadataIsOutOfReach(t *testing.T) {
	client := NewClient(time.Minute, egress.Rules{}.Dialer(true, time.Minute))
	t.Cleanup(client.CloseIdleConnections)
	for _, u := range []string{"http://169.254.169.254/latest/meta-data/", "http://[::ffff:169.254.169.254]/", "http://[fe80::1]/", "http://[fd00:ec2::254]/",
		"http://100.100.100.200/", "http://0.0.0.0:1/", "http://[::]:1/", "http://224.0.0.1/"} {
		tool, err := New(Config{Name: "order", URL: u, Client: client})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tool.Call(t.Context(), []byte(`{}`), nil); !errors.Is(err, egress.ErrNoServer) {
			t.Errorf("%s: %v", u, err)
		}
	}
}
