package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/quartz"
	"go.uber.org/goleak"

	"github.com/parley-voice/parley/internal/app"
	"github.com/parley-voice/parley/internal/media/audio"
	"github.com/parley-voice/parley/internal/telephony/softphone"
)

const within = 40 * time.Second

// childSettings names the variable that makes this test binary a server: its settings as JSON.
const childSettings = "PARLEY_TEST_SERVE"

func TestMain(m *testing.M) {
	if s := os.Getenv(childCost); s != "" {
		if err := serveCost(s); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if s := os.Getenv(childSettings); s != "" {
		if err := child(s); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m,
		// The search library's workers are the process's.
		goleak.IgnoreTopFunction("github.com/blevesearch/bleve_index_api.AnalysisWorker"))
}

// settings are good ones for a server of a test: free ports on this machine, all data in dir.
func settings(dir, rtp string) app.Config {
	return app.Config{
		HTTPAddr: "127.0.0.1:0", SIPAddr: "127.0.0.1:0", SIPDomain: "parley", SIPTrust: "127.0.0.0/8", RTPPorts: rtp, WebRTCAddr: "127.0.0.1:0",
		DataDir: dir, TwilioAgent: "front-desk", MaxCalls: 10, Drain: within, SessionIdle: time.Hour, LogLevel: "warn", LogFormat: "text",
	}
}

// terminal is what a person at the terminal would read.
type terminal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *terminal) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *terminal) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// server is a running Parley.
type server struct {
	*app.App
	screen *terminal
	logs   *terminal
	stop   context.CancelFunc
	ended  chan error
}

func start(t *testing.T, c app.Config) *server {
	t.Helper()
	s := &server{screen: &terminal{}, logs: &terminal{}, ended: make(chan error, 1)}
	a, err := app.New(c, "test", s.screen, s.logs)
	if err != nil {
		t.Fatal(err)
	}
	s.App = a
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	over := make(chan struct{})
	go func() {
		defer close(over)
		s.ended <- a.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-over
		if t.Failed() {
			t.Log(s.logs.String())
		}
	})
	select {
	case <-a.Started():
	case err := <-s.ended:
		t.Fatalf("it did not start: %v", err)
	case <-time.After(3 * within): // a start writes much to the disk, which others may be busy with
		t.Fatal("it does not start")
	}
	return s
}

var setupLink = regexp.MustCompile(`(http://\S+)/setup#token=(\S+)`)

// link gives the address and the token of the one-time link.
func (o *terminal) link(t *testing.T) (base, token string) {
	t.Helper()
	var m []string
	eventually(t, "the set-up link", func() bool {
		m = setupLink.FindStringSubmatch(o.String())
		return m != nil
	})
	token, err := url.QueryUnescape(m[2])
	if err != nil {
		t.Fatal(err)
	}
	return m[1], token
}

// eventually asks until the answer is yes.
func eventually(t *testing.T, what string, yes func() bool) {
	t.Helper()
	end := time.NewTimer(within)
	defer end.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// client speaks to the API.
type client struct {
	t      *testing.T
	base   string
	header http.Header
	http   *http.Client
}

func newClient(t *testing.T, base string) *client {
	t.Helper()
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &client{t: t, base: base, header: http.Header{}, http: &http.Client{Transport: tr, Timeout: within}}
}

// with gives a client that sends one more header.
func (c *client) with(name, value string) *client {
	o := *c
	o.header = c.header.Clone()
	o.header.Set(name, value)
	return &o
}

// ask sends a request. A body is sent as JSON.
func (c *client) ask(method, path string, body any) (*http.Response, []byte) {
	c.t.Helper()
	res, b, err := c.try(method, path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	return res, b
}

func (c *client) try(method, path string, body any) (*http.Response, []byte, error) {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, nil, err
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, c.base+path, r)
	if err != nil {
		return nil, nil, err
	}
	req.Header = c.header.Clone()
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, nil, err
	}
	b, err := io.ReadAll(res.Body)
	return res, b, errors.Join(err, res.Body.Close())
}

// want asks and fails on another status; the answer is read into out.
func (c *client) want(status int, method, path string, body, out any) {
	c.t.Helper()
	res, b := c.ask(method, path, body)
	if res.StatusCode != status {
		c.t.Fatalf("%s %s: %d, want %d: %s", method, path, res.StatusCode, status, b)
	}
	if out != nil {
		if err := json.Unmarshal(b, out); err != nil {
			c.t.Fatalf("%s %s: %v: %s", method, path, err, b)
		}
	}
}

const (
	email    = "owner@example.com"
	password = "correct horse battery"
)

// owner sets the installation up, signs in and gives a client with an API token.
func owner(t *testing.T, screen *terminal) *client {
	t.Helper()
	base, token := screen.link(t)
	c := newClient(t, base)
	var setup struct{ NeedsOwner bool }
	c.want(200, "GET", "/api/v1/setup", nil, &setup)
	if !setup.NeedsOwner {
		t.Fatal("no owner is needed")
	}
	account := map[string]string{"token": "x" + token, "email": email, "name": "Olga", "password": password, "organisationName": "Clinic"}
	if res, b := c.ask("POST", "/api/v1/setup", account); res.StatusCode < 400 || res.StatusCode > 499 {
		t.Fatalf("a wrong set-up token: %d %s", res.StatusCode, b)
	}
	account["token"] = token
	c.want(201, "POST", "/api/v1/setup", account, nil)
	if res, b := c.ask("POST", "/api/v1/setup", account); res.StatusCode < 400 || res.StatusCode > 499 {
		t.Fatalf("the set-up token works twice: %d %s", res.StatusCode, b)
	}
	c.want(401, "POST", "/api/v1/auth/sign-in", map[string]string{"email": email, "password": "wrong"}, nil)
	return signIn(t, base)
}

func signIn(t *testing.T, base string) *client {
	t.Helper()
	c := newClient(t, base)
	res, b := c.ask("POST", "/api/v1/auth/sign-in", map[string]string{"email": email, "password": password})
	if res.StatusCode != 200 || len(res.Cookies()) == 0 {
		t.Fatalf("sign in: %d %s", res.StatusCode, b)
	}
	cookie := res.Cookies()[0]
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode {
		t.Errorf("the cookie is %v", cookie)
	}
	browser := c.with("Cookie", cookie.Name+"="+cookie.Value)
	var me struct {
		User         struct{ Email string }
		Organisation struct{ Name string }
	}
	browser.want(200, "GET", "/api/v1/me", nil, &me)
	if me.User.Email != email || me.Organisation.Name != "Clinic" {
		t.Errorf("me is %+v", me)
	}
	var key struct{ Secret string }
	browser.want(201, "POST", "/api/v1/tokens", map[string]string{"name": "test"}, &key)
	return c.with("Authorization", "Bearer "+key.Secret)
}

// call is what the tests read of a call.
type call struct {
	ID, Status, Direction, Channel, From, To, AgentSlug, ExternalID, EndedBy, EndReason, Codec string

	StartedAt  time.Time
	AnsweredAt *time.Time
	EndedAt    *time.Time
	DurationMs int64
	Turns      int
	Metadata   map[string]any
	Latency    struct{ P50Ms *float64 }
	Recording  struct {
		State             string
		DurationMs, Bytes int64
	}
	Legs []struct {
		Channel, Codec string
		EndedAt        *time.Time
		Stats          *struct{}
	}
}

func (c *client) calls(query string) []call {
	c.t.Helper()
	var page struct{ Items []call }
	c.want(200, "GET", "/api/v1/calls"+query, nil, &page)
	return page.Items
}

func (c *client) call(id string) (out call) {
	c.t.Helper()
	c.want(200, "GET", "/api/v1/calls/"+id, nil, &out)
	return out
}

// newest waits for a call that is not among those known.
func (c *client) newest(known ...string) call {
	c.t.Helper()
	var out call
	eventually(c.t, "a call in the list", func() bool {
		for _, k := range c.calls("") {
			if !slices.Contains(known, k.ID) {
				out = k
				return true
			}
		}
		return false
	})
	return out
}

// kept waits until a call is over and its recording is stored.
func (c *client) kept(id string) (out call) {
	c.t.Helper()
	eventually(c.t, "the end of the call and its recording", func() bool {
		out = c.call(id)
		return out.Status == "ended" && out.Recording.State != "recording"
	})
	return out
}

type item struct {
	Speaker, Text  string
	Turn           int
	StartMs, EndMs int64
	Final          bool
}

func (c *client) transcript(id string) []item {
	c.t.Helper()
	var page struct{ Items []item }
	c.want(200, "GET", "/api/v1/calls/"+id+"/transcript", nil, &page)
	return page.Items
}

func said(items []item, speaker string, turn int) bool {
	return slices.ContainsFunc(items, func(i item) bool { return i.Speaker == speaker && i.Turn >= turn && i.Text != "" })
}

type entry struct {
	Seq  int64
	Kind string
	Text string
	AtUs int64
	Data map[string]any
}

// events reads the whole log and checks that no entry is missing.
func (c *client) events(id string) (out []entry) {
	c.t.Helper()
	res, b := c.ask("GET", "/api/v1/calls/"+id+"/events?format=ndjson", nil)
	if res.StatusCode != 200 || !strings.HasPrefix(res.Header.Get("Content-Type"), "application/x-ndjson") {
		c.t.Fatalf("events: %d %s", res.StatusCode, b)
	}
	for i, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		var e entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			c.t.Fatalf("event %d: %v: %s", i, err, line)
		}
		if e.Seq != int64(i+1) {
			c.t.Fatalf("event %d has the number %d", i+1, e.Seq)
		}
		out = append(out, e)
	}
	return out
}

func kinds(entries []entry) map[string]int {
	out := map[string]int{}
	for _, e := range entries {
		out[e.Kind]++
	}
	return out
}

// phone is a softphone in a call.
type phone struct {
	cancel context.CancelFunc
	result chan phoneResult
	lines  chan string
}

type phoneResult struct {
	softphone.Result
	err error
}

func ring(t *testing.T, sip, user, wav string) *phone {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	p := &phone{cancel: cancel, result: make(chan phoneResult, 1), lines: make(chan string, 64)}
	over := make(chan struct{})
	go func() {
		defer close(over)
		r, err := softphone.Call(ctx, softphone.Options{
			URI: "sip:" + user + "@" + sip, WAVIn: wav, Duration: within, Clock: quartz.NewReal(), From: "caller", Log: slog.New(slog.DiscardHandler),
			Print: func(line string) {
				select {
				case p.lines <- line:
				default:
				}
			},
		})
		p.result <- phoneResult{r, err}
	}()
	t.Cleanup(func() {
		cancel()
		<-over
	})
	return p
}

// answered waits until the far end answered.
func (p *phone) answered(t *testing.T) {
	t.Helper()
	end := time.NewTimer(within)
	defer end.Stop()
	for {
		select {
		case line := <-p.lines:
			if strings.HasPrefix(line, "answered") {
				return
			}
		case r := <-p.result:
			t.Fatalf("not answered: %+v", r)
		case <-end.C:
			t.Fatal("nobody answers")
		}
	}
}

func (p *phone) over(t *testing.T) phoneResult {
	t.Helper()
	select {
	case r := <-p.result:
		return r
	case <-time.After(within):
		t.Fatal("the call does not end")
	}
	return phoneResult{}
}

// question makes a WAV file of somebody asking something.
func question(t *testing.T) string {
	t.Helper()
	ulaw, err := os.ReadFile("../load/speech.ulaw")
	if err != nil {
		t.Fatal(err)
	}
	codec, err := audio.NewCodec("pcmu")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "question.wav")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := audio.NewWAVWriter(f, 8000, 1)
	if err != nil {
		t.Fatal(err)
	}
	pcm := make([]int16, 160)
	for len(ulaw) >= 160 {
		if _, err := codec.Decode(pcm, ulaw[:160]); err != nil {
			t.Fatal(err)
		}
		ulaw = ulaw[160:]
		if err := w.Write(pcm); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}
