package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/coder/quartz"
	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/goleak"

	"github.com/parley-voice/parley/internal/gateway"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// directory knows people by a word that is both their token and their session.
type directory struct {
	mu    sync.Mutex
	known map[string]identity.Principal
}

func people() *directory {
	return &directory{known: map[string]identity.Principal{
		"owner-a": {UserID: "1", OrgID: "a", Role: "owner", Permissions: []string{"*"}},
		"owner-b": {UserID: "2", OrgID: "b", Role: "owner", Permissions: []string{"*"}},
		"reader":  {UserID: "3", OrgID: "a", Role: "reader", Permissions: []string{"thing:read"}},
		"nothing": {UserID: "4", OrgID: "a", Role: "guest"},
	}}
}

func (d *directory) find(word string) (identity.Principal, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p, ok := d.known[word]; ok {
		return p, nil
	}
	if word == "broken" {
		return identity.Principal{}, errors.New("dial tcp 10.0.0.9:5432: connection refused")
	}
	return identity.Principal{}, fault.New(fault.Unauthorized, "unknown token")
}

func (d *directory) forget(word string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.known, word)
}

// demote takes away what somebody may do.
func (d *directory) demote(word string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.known[word]
	p.Permissions = []string{"thing:read"}
	d.known[word] = p
}

func (d *directory) Bearer(_ context.Context, token, _ string) (identity.Principal, error) {
	return d.find(token)
}

func (d *directory) Session(_ context.Context, cookie string) (identity.Principal, error) {
	return d.find(cookie)
}

func (d *directory) Still(_ context.Context, p identity.Principal) (identity.Principal, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, known := range d.known {
		if known.UserID == p.UserID {
			return known, nil
		}
	}
	return identity.Principal{}, fault.New(fault.Unauthorized, "signed out")
}

type thingInput struct {
	Limit int `query:"limit" minimum:"1" maximum:"10" default:"5"`
	Body  struct {
		Name string `json:"name" minLength:"2"`
		Age  int    `json:"age,omitempty" minimum:"0"`
	}
}

func things(api huma.API) {
	op := func(id, method, permission string) huma.Operation {
		o := huma.Operation{OperationID: id, Method: method, Path: "/api/v1/" + id}
		if permission != "" {
			o.Metadata = map[string]any{"permission": permission}
		}
		return o
	}
	type out struct {
		Body struct {
			Org string `json:"org"`
		}
	}
	answer := func(ctx context.Context) *out {
		o := &out{}
		p, _ := identity.From(ctx)
		o.Body.Org = p.OrgID
		return o
	}
	fine := func(ctx context.Context, _ *struct{}) (*out, error) { return answer(ctx), nil }
	huma.Register(api, op("open", http.MethodGet, "public"), fine)
	huma.Register(api, op("enter", http.MethodPost, "public"), fine)
	huma.Register(api, op("unmarked", http.MethodGet, ""), fine)
	huma.Register(api, op("read", http.MethodGet, "thing:read"), fine)
	huma.Register(api, op("write", http.MethodPost, "thing:write"), func(ctx context.Context, _ *thingInput) (*out, error) { return answer(ctx), nil })
	huma.Register(api, op("panic", http.MethodGet, "public"), func(context.Context, *struct{}) (*out, error) { panic("the secret word") })
	huma.Register(api, op("error", http.MethodGet, "public"), func(context.Context, *struct{}) (*out, error) {
		return nil, errors.New("open /var/lib/secret: permission denied")
	})
	huma.Register(api, op("conflict", http.MethodGet, "public"), func(context.Context, *struct{}) (*out, error) {
		return nil, fault.New(fault.Conflict, "the name is taken; choose another")
	})
}

// serve gives the whole gateway over HTTP, and what it logged.
func serve(t *testing.T) (string, *logged) {
	t.Helper()
	logs := &logged{}
	log := slog.New(slog.NewTextHandler(logs, nil))
	mux := http.NewServeMux()
	things(gateway.NewAPI(mux, gateway.APIConfig{Version: "1", Auth: people(), Log: log}))
	mux.HandleFunc("GET /plain-panic", func(http.ResponseWriter, *http.Request) { panic("the secret word") })
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(w, r.Body); err != nil {
			gateway.WriteProblem(w, fault.Wrap(fault.TooLarge, err, "too much"))
		}
	})
	s := gateway.New(gateway.Config{Addr: "127.0.0.1:0", Handler: mux, Clock: quartz.NewReal(), Log: log})
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	t.Cleanup(func() {
		if err := errors.Join(s.Close(context.Background()), s.Close(context.Background()), <-served); err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return "http://" + s.Addr(), logs
}

type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func do(t *testing.T, method, url, body string, header http.Header) (*http.Response, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(r.Header, header)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

func cookie(session string, more ...string) http.Header {
	h := http.Header{"Cookie": {gateway.SessionCookie + "=" + session}}
	for i := 0; i < len(more); i += 2 {
		h.Set(more[i], more[i+1])
	}
	return h
}

func TestWhoMayDoWhat(t *testing.T) {
	url, _ := serve(t)
	const thing = `{"name":"lamp"}`
	for _, c := range []struct {
		name, method, path string
		header             http.Header
		status             int
		code               string
	}{
		{"public", "GET", "/api/v1/open", nil, 200, ""},
		{"public, and a wrong token", "GET", "/api/v1/open", bearer("wrong"), 200, ""},
		{"public, from our own page", "POST", "/api/v1/enter", http.Header{"Sec-Fetch-Site": {"same-origin"}}, 200, ""},
		{"public, from another site", "POST", "/api/v1/enter", http.Header{"Sec-Fetch-Site": {"cross-site"}}, 403, "forbidden"},
		{"public, from another origin", "POST", "/api/v1/enter", http.Header{"Origin": {"https://evil.example"}}, 403, "forbidden"},
		{"public, read from another site", "GET", "/api/v1/open", http.Header{"Sec-Fetch-Site": {"cross-site"}}, 200, ""},
		{"nobody", "GET", "/api/v1/read", nil, 401, "unauthorized"},
		{"wrong token", "GET", "/api/v1/read", bearer("wrong"), 401, "unauthorized"},
		{"other scheme", "GET", "/api/v1/read", http.Header{"Authorization": {"Basic b3duZXItYTo="}}, 401, "unauthorized"},
		{"reader reads", "GET", "/api/v1/read", bearer("reader"), 200, ""},
		{"reader reads by session", "GET", "/api/v1/read", cookie("reader"), 200, ""},
		{"reader writes", "POST", "/api/v1/write", bearer("reader"), 403, "forbidden"},
		{"owner writes", "POST", "/api/v1/write", bearer("owner-a"), 200, ""},
		{"no permission is named", "GET", "/api/v1/unmarked", bearer("owner-a"), 403, "forbidden"},
		{"no permission is named, nobody", "GET", "/api/v1/unmarked", nil, 401, "unauthorized"},
		{"identity is away", "GET", "/api/v1/read", bearer("broken"), 500, "internal"},
		{"cookie from our own page", "POST", "/api/v1/write", cookie("owner-a", "Sec-Fetch-Site", "same-origin"), 200, ""},
		{"cookie from another site", "POST", "/api/v1/write", cookie("owner-a", "Sec-Fetch-Site", "cross-site"), 403, "forbidden"},
		{"cookie from another origin", "POST", "/api/v1/write", cookie("owner-a", "Origin", "https://evil.example"), 403, "forbidden"},
		{"token from another origin", "POST", "/api/v1/write", http.Header{"Authorization": {"Bearer owner-a"}, "Origin": {"https://evil.example"}}, 200, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			body := ""
			if c.method == http.MethodPost {
				body = thing
			}
			res, text := do(t, c.method, url+c.path, body, c.header)
			if res.StatusCode != c.status {
				t.Fatalf("status %d, want %d: %s", res.StatusCode, c.status, text)
			}
			if c.status == 401 && res.Header.Get("WWW-Authenticate") == "" {
				t.Error("no WWW-Authenticate")
			}
			if c.status >= 400 {
				if p := problemOf(t, res, text); string(p.Code) != c.code || p.Status != c.status {
					t.Errorf("problem %+v", p)
				}
			}
			if strings.Contains(text, "10.0.0.9") {
				t.Errorf("the answer tells of the inside: %s", text)
			}
		})
	}
}

// TestRefusalsAreLogged looks for who tried what was refused: the access log is where wrong input and too many requests are kept.
func TestRefusalsAreLogged(t *testing.T) {
	url, logs := serve(t)
	for _, c := range []struct {
		header http.Header
		body   string
		status int
		who    string
	}{
		{bearer("owner-a"), `{"nme":"lamp"}`, 422, " organisation=a "},
		{bearer("reader"), `{"name":"lamp"}`, 403, " organisation=a "},
		{bearer("wrong"), `{"name":"lamp"}`, 401, ""},
	} {
		if res, text := do(t, "POST", url+"/api/v1/write", c.body, c.header); res.StatusCode != c.status {
			t.Fatalf("%d, want %d: %s", res.StatusCode, c.status, text)
		}
		line := ""
		eventually(t, "the log", func() bool {
			for l := range strings.Lines(logs.String()) {
				if strings.Contains(l, fmt.Sprintf("status=%d", c.status)) {
					line = l
				}
			}
			return line != ""
		})
		if !strings.Contains(line, `route="POST /api/v1/write"`) || !strings.Contains(line, c.who) || c.who == "" && strings.Contains(line, "organisation=") {
			t.Errorf("%s", line)
		}
	}
}

func problemOf(t *testing.T, res *http.Response, text string) fault.Error {
	t.Helper()
	if ct := res.Header.Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("content type %q", ct)
	}
	var p fault.Error
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if p.Code == "" || p.Title == "" || p.Message == "" {
		t.Errorf("problem lacks a part: %s", text)
	}
	return p
}

func TestProblems(t *testing.T) {
	url, logs := serve(t)
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		code                     fault.Code
		locations                []string
		says                     string
	}{
		{"a field is too short", "POST", "/api/v1/write", `{"name":"x"}`, 422, fault.Invalid, []string{"body.name"}, "body.name"},
		{"a field is missing", "POST", "/api/v1/write", `{}`, 422, fault.Invalid, []string{"body"}, "name"},
		{"two fields", "POST", "/api/v1/write?limit=99", `{"name":"x"}`, 422, fault.Invalid, []string{"query.limit", "body.name"}, ""},
		{"an unknown field", "POST", "/api/v1/write", `{"name":"lamp","colour":"red"}`, 422, fault.Invalid, []string{"body.colour"}, "colour"},
		{"no number", "POST", "/api/v1/write?limit=x", `{"name":"lamp"}`, 422, fault.Invalid, []string{"query.limit"}, "query.limit"},
		{"no JSON", "POST", "/api/v1/write", `{"name"`, 400, fault.Invalid, nil, ""},
		{"a fault of the context", "GET", "/api/v1/conflict", "", 409, fault.Conflict, nil, "choose another"},
		{"a panic", "GET", "/api/v1/panic", "", 500, fault.Internal, nil, "logged"},
		{"an error", "GET", "/api/v1/error", "", 500, fault.Internal, nil, "logged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, text := do(t, c.method, url+c.path, c.body, bearer("owner-a"))
			if res.StatusCode != c.status {
				t.Fatalf("status %d: %s", res.StatusCode, text)
			}
			p := problemOf(t, res, text)
			if p.Code != c.code || !strings.Contains(p.Message, c.says) {
				t.Errorf("got %s", text)
			}
			for _, want := range c.locations {
				found := false
				for _, d := range p.Details {
					found = found || d.Location == want
				}
				if !found {
					t.Errorf("%s is not named: %s", want, text)
				}
			}
			if strings.Contains(text, "secret") || strings.Contains(text, "goroutine") {
				t.Errorf("the answer tells of the inside: %s", text)
			}
		})
	}
	for _, want := range []string{"the secret word", "permission denied", "operation=error"} {
		if !strings.Contains(logs.String(), want) {
			t.Errorf("the log lacks %q", want)
		}
	}
}

func TestMiddleware(t *testing.T) {
	url, _ := serve(t)
	res, text := do(t, "GET", url+"/plain-panic", "", nil)
	if res.StatusCode != 500 || strings.Contains(text, "secret") {
		t.Errorf("a panic outside the API: %d %s", res.StatusCode, text)
	}
	res, _ = do(t, "GET", url+"/api/v1/open", "", http.Header{"X-Request-Id": {"abc-1"}})
	if res.Header.Get("X-Request-Id") != "abc-1" || !strings.Contains(res.Header.Get("Content-Security-Policy"), "default-src 'self'") ||
		res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header.Get("X-Frame-Options") != "DENY" {
		t.Errorf("headers %v", res.Header)
	}
	res, _ = do(t, "GET", url+"/api/v1/open", "", http.Header{"X-Request-Id": {"<script>"}})
	if id := res.Header.Get("X-Request-Id"); len(id) != 16 {
		t.Errorf("a harmful request id became %q", id)
	}
	res, _ = do(t, "POST", url+"/echo", strings.Repeat("x", 4<<20+1), nil)
	if res.StatusCode != http.StatusRequestEntityTooLarge && res.StatusCode != http.StatusOK {
		t.Errorf("too large a body: %d", res.StatusCode)
	}
}

func TestStaticUI(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{
		"index.html":       {Data: []byte("<title>start</title>")},
		"favicon.svg":      {Data: []byte("<svg/>")},
		"assets/app-1a.js": {Data: []byte("run()")},
	}
	mux := http.NewServeMux()
	gateway.MountUI(mux, files, true)
	for path, want := range map[string]struct {
		status      int
		body, cache string
	}{
		"/":                  {200, "start", "no-cache"},
		"/calls/123":         {200, "start", "no-cache"},
		"/index.html":        {301, "", "no-cache"},
		"/favicon.svg":       {200, "svg", "no-cache"},
		"/assets/app-1a.js":  {200, "run()", "public, max-age=31536000, immutable"},
		"/assets/app-old.js": {404, "", ""},
		"/assets":            {200, "start", "no-cache"},
		"/api/v1/nothing":    {404, "", ""},
		"/carriers/nobody":   {404, "", ""},
	} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != want.status || !strings.Contains(w.Body.String(), want.body) || w.Header().Get("Cache-Control") != want.cache {
			t.Errorf("%s: %d %q %q", path, w.Code, w.Body, w.Header().Get("Cache-Control"))
		}
	}
	bare := http.NewServeMux()
	gateway.MountUI(bare, files, false)
	w := httptest.NewRecorder()
	bare.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != 404 || !strings.Contains(w.Body.String(), "make build") {
		t.Errorf("a binary without the UI answers %d %s", w.Code, w.Body)
	}
	gateway.MountDocs(bare)
	w = httptest.NewRecorder()
	bare.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/docs", nil))
	if w.Code != 200 || !strings.Contains(w.Body.String(), "/api/openapi.json") {
		t.Errorf("docs: %d %s", w.Code, w.Body)
	}
}

// works is an error of a part that works all the same.
type works struct{}

func (works) Error() string  { return "10.0.0.9 is slow" }
func (works) Degraded() bool { return true }

func TestHealth(t *testing.T) {
	t.Parallel()
	var down error
	h := gateway.NewHealth("1.2", gateway.Check{Name: "database", Run: func(context.Context) error { return down }})
	mux := http.NewServeMux()
	h.Mount(mux)
	ask := func(path string, status int, says string) {
		t.Helper()
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		var rep struct{ Status, Version string }
		if err := json.Unmarshal(w.Body.Bytes(), &rep); err != nil || w.Code != status || rep.Status != says || rep.Version != "1.2" {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		if strings.Contains(w.Body.String(), "10.0.0.9") {
			t.Errorf("%s tells addresses: %s", path, w.Body)
		}
	}
	ask("/health", 200, "ok")
	ask("/health/ready", 200, "ok")
	down = errors.New("dial 10.0.0.9: refused")
	ask("/health", 503, "failing")
	ask("/health/ready", 503, "failing")
	ask("/health/live", 200, "ok")
	down = nil
	other := gateway.NewHealth("1.2", gateway.Check{Name: "media", Elsewhere: true, Run: func(context.Context) error { return down }})
	mux = http.NewServeMux()
	other.Mount(mux)
	ask("/health", 200, "ok")
	down = works{}
	ask("/health", 200, "degraded")
	ask("/health/ready", 200, "ok")
	down = errors.New("dial 10.0.0.9: refused")
	ask("/health", 503, "failing")
	ask("/health/ready", 200, "ok")
	down = nil
	mux = http.NewServeMux()
	h.Mount(mux)
	h.Drain()
	ask("/health/ready", 503, "draining")
	ask("/health/live", 200, "ok")
}
