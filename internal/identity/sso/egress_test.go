package sso

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/parley-voice/parley/internal/platform/egress"
)

func TestClientReachesNothingPrivate(t *testing.T) {
	asked := false
	web := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer web.Close()
	_, err := newClient(egress.Rules{}.Dialer(false, fetchTimeout), false).Get(web.URL)
	if !errors.Is(err, egress.ErrPrivate) || asked {
		t.Errorf("asked %v: %v", asked, err)
	}
	_, err = newClient(egress.Rules{}.Dialer(false, fetchTimeout), false).Get(strings.Replace(web.URL, "127.0.0.1", "localhost", 1)) // by a name too
	if !errors.Is(err, egress.ErrPrivate) || asked {
		t.Errorf("asked %v: %v", asked, err)
	}
	if _, err := newClient(egress.Rules{}.Dialer(false, fetchTimeout), false).Get("http://login.example/"); err == nil || !strings.Contains(err.Error(), "not https") {
		t.Errorf("%v", err)
	}
}

func TestClientIsBounded(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/long":
			for range fetchMax/1024 + 1 {
				_, _ = w.Write(make([]byte, 1024))
			}
		case "/round":
			http.Redirect(w, r, "/round", http.StatusFound)
		case "/out":
			http.Redirect(w, r, "http://login.example/", http.StatusFound)
		}
	}))
	defer web.Close()
	c := newClient(egress.Rules{}.Dialer(true, fetchTimeout), true)
	defer c.CloseIdleConnections()
	res, err := c.Get(web.URL + "/long")
	if err == nil {
		_, err = io.ReadAll(res.Body)
		_ = res.Body.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "longer") {
		t.Errorf("a long answer: %v", err)
	}
	for _, path := range []string{"/round", "/out"} {
		if res, err := c.Get(web.URL + path); err == nil {
			_ = res.Body.Close()
			t.Errorf("%s was followed", path)
		}
	}
}

func TestNormalDomain(t *testing.T) {
	for in, want := range map[string]string{
		"Example.com": "example.com", "@example.com": "example.com", " example.co.uk ": "example.co.uk", "bücher.example": "xn--bcher-kva.example",
		"com": "", "co.uk": "", "127.0.0.1": "", "": "", "a b.example": "", "localhost": "", "-x.example": "",
	} {
		got, err := normalDomain(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}
