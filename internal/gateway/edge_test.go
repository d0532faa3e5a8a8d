package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-voice/parley/internal/gateway"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret/envelope/envelopetest"
)

// edge is the whole gateway with its stores, on one database.
type edge struct {
	url    string
	db     *db.DB
	clock  *quartz.Mock
	keys   *gateway.Keys
	limits *gateway.Limits
	made   atomic.Int64                        // how often a thing was made
	hold   func(context.Context, string) error // what making a thing does first
	logs   *logged
}

type makeThing struct {
	Body struct {
		Name string `json:"name" minLength:"2"`
	}
}

type madeThing struct {
	Location string `header:"Location"`
	Body     struct {
		Name   string `json:"name"`
		Number int64  `json:"number"`
		Secret string `json:"secret"`
	}
}

// canary is a secret that must be found nowhere.
const canary = "canary-5fb1e0c2"

func newEdge(t *testing.T, d *db.DB, c gateway.LimitsConfig) *edge {
	t.Helper()
	clock := quartz.NewMock(t)
	e := &edge{db: d, clock: clock, logs: &logged{}, hold: func(context.Context, string) error { return nil }}
	log := slog.New(slog.NewTextHandler(e.logs, nil))
	c.Clock, c.Log = clock, log
	e.limits = gateway.NewLimits(c)
	e.keys = gateway.NewKeys(gateway.KeysConfig{DB: d, Sealer: envelopetest.New(7), Clock: clock, Log: log})
	cors := gateway.NewCORS(gateway.CORSConfig{DB: d, PublicURL: "https://parley.example", Clock: clock})
	mux := http.NewServeMux()
	api := gateway.NewAPI(mux, gateway.APIConfig{Version: "1", Auth: people(), CORS: cors, Limits: e.limits, Keys: e.keys, Log: log})
	things(api)
	cors.Routes(api)
	huma.Register(api, huma.Operation{OperationID: "make", Method: http.MethodPost, Path: "/api/v1/made", DefaultStatus: http.StatusCreated,
		Metadata: map[string]any{"permission": "thing:create"}}, e.make)
	s := gateway.New(gateway.Config{Addr: "127.0.0.1:0", Handler: mux, CORS: cors, Limits: e.limits, Proxies: trusting(t), Clock: quartz.NewReal(), Log: log})
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := errors.Join(s.Close(context.Background()), <-served); err != nil {
			t.Error(err)
		}
	})
	e.url = "http://" + s.Addr()
	return e
}

// trusting lets tests say where they call from.
func trusting(t *testing.T) gateway.Proxies {
	t.Helper()
	p, err := gateway.ParseProxies("127.0.0.0/8", "")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (e *edge) make(ctx context.Context, in *makeThing) (*madeThing, error) {
	if err := e.hold(ctx, in.Body.Name); err != nil {
		return nil, err
	}
	out := &madeThing{Location: "/api/v1/made/1"}
	out.Body.Name, out.Body.Number, out.Body.Secret = in.Body.Name, e.made.Add(1), canary
	return out, nil
}

func with(h http.Header, more ...string) http.Header {
	h = h.Clone()
	for i := 0; i < len(more); i += 2 {
		h.Set(more[i], more[i+1])
	}
	return h
}

func eachEdge(t *testing.T, fn func(t *testing.T, e *edge)) {
	t.Helper()
	dbtest.Each(t, []db.Migrations{gateway.Migrations()}, func(t *testing.T, d *db.DB) { fn(t, newEdge(t, d, gateway.LimitsConfig{})) })
}

func TestRepeatedPost(t *testing.T) {
	eachEdge(t, func(t *testing.T, e *edge) {
		lamp := `{"name":"lamp"}`
		post := func(who, key, body string) (*http.Response, string) {
			return do(t, "POST", e.url+"/api/v1/made", body, with(bearer(who), "Idempotency-Key", key))
		}
		first, text := post("owner-a", "key-1", lamp)
		if first.StatusCode != 201 || first.Header.Get("Idempotency-Replayed") != "" {
			t.Fatalf("%d %s", first.StatusCode, text)
		}
		for _, key := range []string{"key-1", `"key-1"`} { // as a structured field, and as most write it
			again, text2 := post("owner-a", key, lamp)
			if again.StatusCode != 201 || text2 != text || again.Header.Get("Idempotency-Replayed") != "true" || again.Header.Get("Location") != first.Header.Get("Location") ||
				again.Header.Get("Content-Type") != first.Header.Get("Content-Type") {
				t.Errorf("repeated: %d %s %v", again.StatusCode, text2, again.Header)
			}
		}
		if n := e.made.Load(); n != 1 {
			t.Errorf("made %d times", n)
		}
		for name, c := range map[string]struct {
			who, key, body string
			status         int
		}{
			"another body":     {"owner-a", "key-1", `{"name":"table"}`, 422},
			"another person":   {"owner-b", "key-1", lamp, 201},
			"another key":      {"owner-a", "key-2", lamp, 201},
			"a key too long":   {"owner-a", strings.Repeat("k", 256), lamp, 422},
			"a key of spaces":  {"owner-a", "a b", lamp, 422},
			"nobody":           {"wrong", "key-1", lamp, 401},
			"no permission":    {"reader", "key-1", lamp, 403},
			"a body too short": {"owner-a", "key-3", `{"name":"x"}`, 422},
		} {
			if res, text := post(c.who, c.key, c.body); res.StatusCode != c.status {
				t.Errorf("%s: %d %s", name, res.StatusCode, text)
			}
		}
		if res, text := post("owner-a", "key-3", lamp); res.StatusCode != 201 {
			t.Errorf("a request that was refused, put right: %d %s", res.StatusCode, text)
		}
		if n := e.made.Load(); n != 4 {
			t.Errorf("made %d times", n)
		}
		e.sealed(t)
		e.clock.Advance(24*time.Hour + time.Second)
		if res, _ := post("owner-a", "key-1", `{"name":"chair"}`); res.StatusCode != 201 || res.Header.Get("Idempotency-Replayed") != "" {
			t.Errorf("after a day: %d", res.StatusCode)
		}
		if err := e.keys.Sweep(t.Context()); err != nil || e.rows(t) != 1 {
			t.Errorf("%d keys are left (%v)", e.rows(t), err)
		}
	})
}

func (e *edge) rows(t *testing.T) (n int) {
	t.Helper()
	err := e.db.EachPlacement(t.Context(), "test", func(ctx context.Context, in *db.DB) error {
		return in.ReadSystem(ctx, "test", func(ctx context.Context, tx *db.Tx) error {
			return tx.NewSelect().Table("idempotency_keys").ColumnExpr("count(*)").Scan(ctx, &n)
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// sealed looks that what is kept can be read by nobody.
func (e *edge) sealed(t *testing.T) {
	t.Helper()
	var kept [][]byte
	err := e.db.EachPlacement(t.Context(), "test", func(ctx context.Context, in *db.DB) error {
		return in.ReadSystem(ctx, "test", func(ctx context.Context, tx *db.Tx) error {
			return tx.NewSelect().Table("idempotency_keys").Column("answer").Scan(ctx, &kept)
		})
	})
	if err != nil || len(kept) == 0 {
		t.Fatalf("%d answers: %v", len(kept), err)
	}
	for _, k := range kept {
		if len(k) == 0 || strings.Contains(string(k), canary) || strings.Contains(string(k), "lamp") {
			t.Errorf("an answer is kept in the clear: %q", k)
		}
	}
	if strings.Contains(e.logs.String(), canary) {
		t.Error("the log has the secret")
	}
}

func TestRepeatedWhileItIsWorkedOn(t *testing.T) {
	eachEdge(t, func(t *testing.T, e *edge) {
		began, finish := make(chan struct{}), make(chan struct{})
		e.hold = func(context.Context, string) error { close(began); <-finish; return nil }
		header := with(bearer("owner-a"), "Idempotency-Key", "k")
		status := make(chan int, 1)
		go func() {
			res, _ := do(t, "POST", e.url+"/api/v1/made", `{"name":"lamp"}`, header)
			status <- res.StatusCode
		}()
		<-began
		res, text := do(t, "POST", e.url+"/api/v1/made", `{"name":"lamp"}`, header)
		if p := problemOf(t, res, text); res.StatusCode != 409 || p.Code != fault.Conflict || res.Header.Get("Retry-After") == "" {
			t.Errorf("meanwhile: %d %s", res.StatusCode, text)
		}
		close(finish)
		if s := <-status; s != 201 {
			t.Errorf("the first one: %d", s)
		}
		if res, _ := do(t, "POST", e.url+"/api/v1/made", `{"name":"lamp"}`, header); res.StatusCode != 201 || res.Header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("afterwards: %d", res.StatusCode)
		}
	})
}

// The client is gone, the operation is done all the same, and the answer waits for the client to come back.
func TestClientGoesAway(t *testing.T) {
	eachEdge(t, func(t *testing.T, e *edge) {
		began, finish := make(chan struct{}), make(chan struct{})
		var once sync.Once
		e.hold = func(ctx context.Context, _ string) error {
			once.Do(func() { close(began) })
			<-finish
			return ctx.Err()
		}
		ctx, leave := context.WithCancel(t.Context())
		gone := make(chan error, 1)
		go func() {
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url+"/api/v1/made", strings.NewReader(`{"name":"lamp"}`))
			if err == nil {
				r.Header = with(bearer("owner-a"), "Idempotency-Key", "k")
				_, err = http.DefaultClient.Do(r)
			}
			gone <- err
		}()
		<-began
		leave()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Fatalf("the client: %v", err)
		}
		close(finish)
		eventually(t, "the answer", func() bool {
			res, _ := do(t, "POST", e.url+"/api/v1/made", `{"name":"lamp"}`, with(bearer("owner-a"), "Idempotency-Key", "k"))
			return res.StatusCode == 201 && res.Header.Get("Idempotency-Replayed") == "true"
		})
		if n := e.made.Load(); n != 1 {
			t.Errorf("made %d times", n)
		}
	})
}

// eventually asks until the answer is yes.
func eventually(t *testing.T, what string, yes func() bool) {
	t.Helper()
	end := time.After(within)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-end:
			t.Fatalf("%s never came", what)
		case <-tick.C:
		}
	}
}

func TestWhatIsKept(t *testing.T) {
	eachEdge(t, func(t *testing.T, e *edge) {
		answers := map[string]error{
			"conflict": fault.New(fault.Conflict, "it is taken"), "away": fault.New(fault.Unavailable, "try again"),
			"broken": errors.New("the disk burns"), "upstream": fault.New(fault.Upstream, "the carrier failed"),
		}
		calls := map[string]int{}
		e.hold = func(_ context.Context, name string) error {
			calls[name]++
			if name == "panic" {
				panic("the secret word")
			}
			return answers[name]
		}
		for name, want := range map[string]struct{ first, second, calls int }{
			"conflict": {409, 409, 2}, "away": {503, 503, 2}, // nothing was changed: it may be tried again
			"broken": {500, 500, 1}, "upstream": {502, 502, 1}, "panic": {500, 409, 1}, // nobody knows
		} {
			for i, status := range []int{want.first, want.second} {
				res, text := do(t, "POST", e.url+"/api/v1/made", `{"name":"`+name+`"}`, with(bearer("owner-a"), "Idempotency-Key", name))
				if res.StatusCode != status {
					t.Errorf("%s, request %d: %d %s", name, i+1, res.StatusCode, text)
				}
			}
			if calls[name] != want.calls {
				t.Errorf("%s was done %d times", name, calls[name])
			}
		}
		e.clock.Advance(time.Hour)
		res, text := do(t, "POST", e.url+"/api/v1/made", `{"name":"panic"}`, with(bearer("owner-a"), "Idempotency-Key", "panic"))
		if res.StatusCode != 409 || !strings.Contains(text, "interrupted") {
			t.Errorf("an hour after a panic: %d %s", res.StatusCode, text)
		}
	})
}

func TestUnchanged(t *testing.T) {
	eachEdge(t, func(t *testing.T, e *edge) {
		res, text := do(t, "GET", e.url+"/api/v1/read", "", bearer("owner-a"))
		tag := res.Header.Get("ETag")
		if res.StatusCode != 200 || len(tag) < 20 || tag[0] != '"' || res.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %s %v", res.StatusCode, text, res.Header)
		}
		for match, status := range map[string]int{tag: 304, "W/" + tag: 304, `"other", ` + tag: 304, "*": 304, strings.TrimSuffix(tag, `"`) + `-gzip"`: 304, `"other"`: 200} {
			res, text := do(t, "GET", e.url+"/api/v1/read", "", with(bearer("owner-a"), "If-None-Match", match))
			if res.StatusCode != status || (status == 304) != (text == "") {
				t.Errorf("%s: %d %s", match, res.StatusCode, text)
			}
		}
		// Another organisation's answer is another one, and who may not read is not told that nothing changed.
		if res, _ := do(t, "GET", e.url+"/api/v1/read", "", with(bearer("owner-b"), "If-None-Match", tag)); res.StatusCode != 200 {
			t.Errorf("another organisation: %d", res.StatusCode)
		}
		if res, _ := do(t, "GET", e.url+"/api/v1/read", "", with(bearer("nothing"), "If-None-Match", "*")); res.StatusCode != 403 {
			t.Errorf("without permission: %d", res.StatusCode)
		}
	})
}

func TestChangedMeanwhile(t *testing.T) {
	eachEdge(t, func(t *testing.T, e *edge) {
		url := e.url + "/api/v1/organisation/origins"
		put := func(origin, match string) int {
			h := bearer("owner-a")
			if match != "" {
				h.Set("If-Match", match)
			}
			res, text := do(t, "PUT", url, `{"items":["`+origin+`"]}`, h)
			if res.StatusCode != 200 && problemOf(t, res, text).Code != fault.Changed {
				t.Errorf("%d %s", res.StatusCode, text)
			}
			return res.StatusCode
		}
		tag := func() string {
			res, _ := do(t, "GET", url, "", bearer("owner-a"))
			return res.Header.Get("ETag")
		}
		empty := tag()
		if s := put("https://one.example", empty); s != 200 {
			t.Errorf("what was read: %d", s)
		}
		if s := put("https://two.example", empty); s != 412 {
			t.Errorf("what was read before: %d", s)
		}
		if s := put("https://two.example", "W/"+tag()); s != 412 {
			t.Errorf("a weak tag: %d", s)
		}
		if s := put("https://two.example", "*"); s != 200 {
			t.Errorf("whatever there is: %d", s)
		}
		if s := put("https://three.example", ""); s != 200 {
			t.Errorf("unconditionally: %d", s)
		}
		// Of many at once that read the same, one goes through.
		for round := range 5 {
			start, before := make(chan struct{}), tag()
			var won, lost atomic.Int64
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					<-start
					switch put("https://"+string(rune('a'+round))+string(rune('a'+i))+".example", before) {
					case 200:
						won.Add(1)
					case 412:
						lost.Add(1)
					}
				})
			}
			close(start)
			wg.Wait()
			if won.Load() != 1 || lost.Load() != 7 {
				t.Errorf("round %d: %d went through, %d were refused", round, won.Load(), lost.Load())
			}
		}
		// An operation that does not compare says so, and does nothing.
		if res, text := do(t, "POST", e.url+"/api/v1/made", `{"name":"lamp"}`, with(bearer("owner-a"), "If-Match", `"x"`)); res.StatusCode != 412 || e.made.Load() != 0 {
			t.Errorf("%d %s", res.StatusCode, text)
		}
	})
}

func TestDeclared(t *testing.T) {
	mux := http.NewServeMux()
	api := gateway.NewAPI(mux, gateway.APIConfig{Version: "1", Auth: people(), Log: slog.New(slog.DiscardHandler)})
	things(api)
	(&gateway.CORS{}).Routes(api)
	doc, err := json.Marshal(api.OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	var parsed struct {
		Paths map[string]map[string]struct {
			Parameters []struct{ Name, In string }
		}
	}
	if err := json.Unmarshal(doc, &parsed); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, method, header string }{
		{"/api/v1/write", "post", "Idempotency-Key"}, {"/api/v1/read", "get", "If-None-Match"}, {"/api/v1/organisation/origins", "put", "If-Match"},
	} {
		found := false
		for _, p := range parsed.Paths[c.path][c.method].Parameters {
			found = found || (p.Name == c.header && p.In == "header")
		}
		if !found {
			t.Errorf("%s %s does not declare %s", c.method, c.path, c.header)
		}
	}
}
