package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/app"
	"github.com/parley-voice/parley/internal/compliance"
	"github.com/parley-voice/parley/internal/telephony/sip"
	"github.com/parley-voice/parley/internal/telephony/softphone"
)

// The key file is replaced while the server runs and a call goes on: the call, sign-ins, SIP accounts and vendors' keys go
// on, before and after a restart; what was sealed and signed before is read and proved as before; the old key opens nothing.
func TestRotateTheKeyFile(t *testing.T) {
	c := settings(t.TempDir(), "45360-45399")
	c.SIPTrust = "203.0.113.0/24" // so that a call from here needs a password
	s, api := openWith(t, c)
	vendor := modelServer(t, "sk-of-the-vendor")
	var model struct{ ID string }
	api.want(http.StatusCreated, "POST", "/api/v1/models", map[string]any{"name": "box", "baseUrls": map[string]string{"llm": vendor + "/v1"},
		"keys": map[string]string{"llm": "sk-of-the-vendor"}}, &model)
	api.want(http.StatusCreated, "POST", "/api/v1/phones", map[string]string{"username": "desk", "password": "a phone's password"}, nil)
	before := audit(t, c)

	running := callAs(t, s, "desk", "a phone's password")
	id := api.newest().ID
	eventually(t, "the running call", func() bool { return api.call(id).Status == "in_progress" })
	old, err := os.ReadFile(filepath.Join(c.DataDir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	rotate := func() {
		t.Helper()
		a := admin(t, c)
		defer a.Close()
		if _, n, err := a.RotateKey(t.Context(), func(int) {}); err != nil || n < 2 { // the organisation's and the installation's
			t.Fatalf("%d keys were wrapped: %v", n, err)
		}
	}
	rotate()
	works := func(s *server, api *client) {
		t.Helper()
		signIn(t, api.base)
		if _, b := api.ask("POST", "/api/v1/models/"+model.ID+"/probe", nil); !bytes.Contains(b, []byte(`"ok":true`)) {
			t.Errorf("the vendor's key: %s", b)
		}
		callAs(t, s, "desk", "a phone's password")()
	}
	works(s, api)
	if got := api.call(id); got.Status != "in_progress" {
		t.Errorf("the call that was running is %+v", got)
	}
	running()
	if got := api.kept(id); got.Recording.State != "available" {
		t.Errorf("its recording is %+v", got.Recording)
	}
	readable := func(api *client) {
		t.Helper()
		for _, path := range []string{"/events", "/recording", "/transcript"} {
			if res, b := api.ask("GET", "/api/v1/calls/"+id+path, nil); res.StatusCode != http.StatusOK || len(b) == 0 {
				t.Errorf("%s: %d %.200s", path, res.StatusCode, b)
			}
		}
	}
	readable(api)
	rotate() // key.previous is now the one in between; nothing is wrapped by the first any longer
	s.stop()
	if err := <-s.ended; err != nil {
		t.Fatal(err)
	}
	s.ended <- nil

	again := start(t, c)
	api = signIn(t, "http://"+again.HTTPAddr())
	works(again, api)
	readable(api)
	after := audit(t, c)
	if !bytes.Equal(after.keys, before.keys) {
		t.Errorf("the audit trail is signed with other keys: %s, then %s", before.keys, after.keys)
	}
	after.proved(t, before.keys)
	before.proved(t, before.keys)
	again.stop()
	if err := <-again.ended; err != nil {
		t.Fatal(err)
	}
	again.ended <- nil

	// Only the first key, and all the rest: nothing opens.
	for _, name := range []string{"key", "key.previous"} {
		if err := os.WriteFile(filepath.Join(c.DataDir, name), old, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if a, err := app.OpenAdmin(t.Context(), c, "test", &terminal{}); err == nil {
		a.Close()
		t.Error("the first key still opens the installation")
	}
}

// modelServer is a vendor that knows one key.
func modelServer(t *testing.T, key string) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+key {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"data":[{"id":"llama"}]}`)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// callAs calls an agent with a phone's name and password, and gives what hangs up once it was answered.
func callAs(t *testing.T, s *server, user, password string) (hangUp func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*within)
	p := &phone{cancel: cancel, result: make(chan phoneResult, 1), lines: make(chan string, 64)}
	over := make(chan struct{})
	go func() {
		defer close(over)
		r, err := softphone.Call(ctx, softphone.Options{URI: "sip:sim@" + s.SIPAddr(), Duration: 2 * within, Clock: quartz.NewReal(), From: user,
			Auth: sip.Auth{Username: user, Password: password}, Log: slog.New(slog.DiscardHandler), Print: func(line string) {
				select {
				case p.lines <- line:
				default:
				}
			}})
		p.result <- phoneResult{r, err}
	}()
	t.Cleanup(func() { cancel(); <-over })
	p.answered(t)
	return func() { cancel(); <-over }
}

// trail is an audit trail as it was exported, and the keys that signed it.
type trail struct{ file, keys []byte }

func audit(t *testing.T, c app.Config) (out trail) {
	t.Helper()
	a := admin(t, c)
	defer a.Close()
	var file bytes.Buffer
	if err := a.ExportAudit(t.Context(), "Clinic", &file); err != nil {
		t.Fatal(err)
	}
	keys, err := a.AuditKeys(t.Context(), "Clinic")
	if err != nil {
		t.Fatal(err)
	}
	out.file = file.Bytes()
	out.keys, err = json.Marshal(keys)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// proved does what "parley audit verify" does.
func (a trail) proved(t *testing.T, keys []byte) {
	t.Helper()
	trusted, err := compliance.ParseKeys(keys)
	if err != nil {
		t.Fatal(err)
	}
	rep, err := compliance.Verify(bytes.NewReader(a.file), compliance.VerifyOptions{Keys: trusted})
	if err != nil || !rep.Trusted {
		t.Errorf("%+v, %v", rep, err)
	}
}
