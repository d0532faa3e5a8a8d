package mediastream

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// book is accounts and numbers in memory.
type book struct{ down bool }

func (b book) AuthToken(_ context.Context, sid string) (string, error) {
	switch {
	case b.down:
		return "", errors.New("down")
	case sid != "AC1":
		return "", fault.New(fault.NotFound, "no such account")
	}
	return docsToken, nil
}

func (b book) Route(_ context.Context, _, number string) (Route, error) {
	switch number {
	case "+18005551212":
		return Route{Org: "org-1", Agent: "front-desk"}, nil
	case "+1down":
		return Route{}, errors.New("down")
	}
	return Route{}, fault.New(fault.NotFound, "no such number")
}

const public = "https://voice.example.com/base"

func newHooks(t *testing.T, change func(*Config)) *Server {
	t.Helper()
	pacer := media.NewPacer(media.PacerConfig{Shards: 1})
	c := Config{
		PublicURL: public + "/", Tokens: newTokens(t, TokensConfig{}), Pacer: pacer, Accounts: book{}, Numbers: book{},
		Accept: func(context.Context, media.Leg) {},
	}
	if change != nil {
		change(&c)
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()); pacer.Close() })
	return s
}

func callParams() url.Values {
	return url.Values{"AccountSid": {"AC1"}, "CallSid": {"CA1"}, "From": {"+14158675309"}, "To": {"+18005551212"}, "CallStatus": {"ringing"}}
}

// post signs p as the carrier does for the public URL.
func post(h http.Handler, path string, p url.Values, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "http://10.0.0.7:8080"+path, strings.NewReader(p.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
	r.Header.Set(SignatureHeader, Sign(docsToken, public+path, p))
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestVoiceConnectsToTheStream(t *testing.T) {
	s := newHooks(t, nil)
	w := post(s.Voice(), VoicePath+"?x=%2Fa", callParams(), nil)
	var got response
	if err := xml.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || w.Header().Get("Content-Type") != "application/xml" {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	if got.Connect == nil || got.Connect.Stream.URL != "wss://voice.example.com/base"+MediaPath || len(got.Connect.Stream.Parameters) != 1 {
		t.Fatalf("instructions %s", w.Body)
	}
	p := got.Connect.Stream.Parameters[0]
	if len(p.Name)+len(p.Value) >= 500 {
		t.Errorf("the parameter has %d characters, the carrier takes fewer than 500", len(p.Name)+len(p.Value))
	}
	c, err := s.cfg.Tokens.Verify(context.Background(), p.Value, "CA1")
	if err != nil || c.Agent != "front-desk" || c.Org != "org-1" || c.From != "+14158675309" || c.To != "+18005551212" || !c.Single {
		t.Errorf("claims %+v, %v", c, err)
	}
}

func TestVoiceRejects(t *testing.T) {
	s := newHooks(t, nil)
	unknown := callParams()
	unknown.Set("To", "+18005550000")
	if w := post(s.Voice(), VoicePath, unknown, nil); w.Code != 200 || !strings.Contains(w.Body.String(), `<Reject reason="rejected">`) {
		t.Errorf("unknown number: %d %s", w.Code, w.Body)
	}
	down := callParams()
	down.Set("To", "+1down")
	if w := post(s.Voice(), VoicePath, down, nil); w.Code != http.StatusServiceUnavailable {
		t.Errorf("numbers down: %d", w.Code)
	}
	if w := post(newHooks(t, func(c *Config) { c.Numbers = nil }).Voice(), VoicePath, callParams(), nil); !strings.Contains(w.Body.String(), "rejected") {
		t.Errorf("no numbers: %s", w.Body)
	}
	s.Drain()
	if w := post(s.Voice(), VoicePath, callParams(), nil); !strings.Contains(w.Body.String(), `reason="busy"`) {
		t.Errorf("draining: %s", w.Body)
	}
}

func TestWebhookRefusals(t *testing.T) {
	s := newHooks(t, nil)
	for name, tc := range map[string]struct {
		params func(url.Values)
		change func(*http.Request)
		code   int
	}{
		"no signature":    {nil, func(r *http.Request) { r.Header.Del(SignatureHeader) }, 403},
		"wrong signature": {nil, func(r *http.Request) { r.Header.Set(SignatureHeader, "AAAA") }, 403},
		"other path":      {nil, func(r *http.Request) { r.URL.Path = "/elsewhere" }, 403},
		"unknown account": {func(p url.Values) { p.Set("AccountSid", "AC2") }, nil, 403},
		"no account":      {func(p url.Values) { p.Del("AccountSid") }, nil, 403},
		"get":             {nil, func(r *http.Request) { r.Method = http.MethodGet }, 405},
		"plain text":      {nil, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 422},
		"unsigned json":   {nil, func(r *http.Request) { asJSON(r, `{"AccountSid":"AC1"}`) }, 422},
		"broken json":     {nil, func(r *http.Request) { asJSON(r, `[`) }, 422},
		"broken form":     {nil, func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("%zz")) }, 422},
		"too big":         {nil, func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(strings.Repeat("x", maxWebhook+1))) }, 413},
		"reader breaks":   {nil, func(r *http.Request) { r.Body = io.NopCloser(brokenReader{}) }, 413},
	} {
		t.Run(name, func(t *testing.T) {
			p := callParams()
			if tc.params != nil {
				tc.params(p)
			}
			w := post(s.Voice(), VoicePath, p, tc.change)
			if w.Code != tc.code || w.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	if w := post(newHooks(t, func(c *Config) { c.Accounts = book{down: true} }).Voice(), VoicePath, callParams(), nil); w.Code != 503 {
		t.Errorf("accounts down: %d", w.Code)
	}
	if w := post(newHooks(t, func(c *Config) { c.Accounts = nil }).Voice(), VoicePath, callParams(), nil); w.Code != 403 {
		t.Errorf("no accounts: %d", w.Code)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("gone") }

func asJSON(r *http.Request, body string) {
	r.Header.Set("Content-Type", "application/json")
	r.Body = io.NopCloser(strings.NewReader(body))
}

func TestWithoutPublicURL(t *testing.T) {
	s := newHooks(t, func(c *Config) { c.PublicURL = "" })
	p := callParams()
	w := post(s.Voice(), VoicePath, p, func(r *http.Request) {
		r.Header.Set(SignatureHeader, Sign(docsToken, "http://10.0.0.7:8080"+VoicePath, p))
	})
	if !strings.Contains(w.Body.String(), "ws://10.0.0.7:8080"+MediaPath) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, bad := range []string{"voice.example.com", "ftp://x", "https://", "https://x?y=1", ":"} {
		if _, err := New(Config{PublicURL: bad, Tokens: s.cfg.Tokens, Accept: s.cfg.Accept, Pacer: s.cfg.Pacer}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := New(Config{}); err == nil {
		t.Error("a server of nothing")
	}
}

func TestStatusCallback(t *testing.T) {
	var got []Status
	s := newHooks(t, func(c *Config) { c.OnStatus = func(_ context.Context, s Status) { got = append(got, s) } })
	p := callParams()
	p.Set("CallStatus", "completed")
	p.Set("CallDuration", "12")
	if w := post(s.StatusCallback(), StatusPath, p, nil); w.Code != http.StatusNoContent {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if len(got) != 1 || got[0].CallSid != "CA1" || got[0].CallStatus != "completed" || got[0].DurationSeconds != "12" {
		t.Errorf("%+v", got)
	}
	p.Del("CallStatus")
	if w := post(s.StatusCallback(), StatusPath, p, nil); w.Code != 422 {
		t.Errorf("no status: %d", w.Code)
	}
	if w := post(s.StatusCallback(), StatusPath, p, func(r *http.Request) { r.Header.Del(SignatureHeader) }); w.Code != 403 || len(got) != 1 {
		t.Errorf("unsigned: %d", w.Code)
	}
}

func FuzzWebhook(f *testing.F) {
	f.Add("application/x-www-form-urlencoded", "AccountSid=AC1&To=x", "")
	f.Add("application/json", `{"AccountSid":"AC1","a":{"b":[1]}}`, "bodySHA256=00")
	f.Fuzz(func(t *testing.T, kind, body, query string) {
		r := httptest.NewRequest(http.MethodPost, "http://x/", strings.NewReader(body))
		r.URL.RawQuery = query
		r.Header.Set("Content-Type", kind)
		p, err := readParams(r, []byte(body))
		if err == nil && verifySignature(docsToken, "http://x/?"+query, p, []byte(body), "AAAA") {
			t.Fatal("a signature of nothing was accepted")
		}
	})
}

func TestRESTControl(t *testing.T) {
	var status int
	var seen []string
	stop := make(chan struct{})
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, pass, _ := r.BasicAuth()
		_ = r.ParseForm()
		if status == 0 {
			<-stop
			return
		}
		seen = append(seen, r.Method+" "+r.URL.Path+" "+user+":"+pass+" "+r.Form.Get("Status")+r.Form.Get("Twiml"))
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"code":20404,"message":"said the carrier"}`)
	}))
	defer api.Close()
	defer close(stop)
	rest := NewREST(RESTConfig{Accounts: book{}, BaseURL: api.URL + "/"})
	ctx := context.Background()
	for code, want := range map[int]fault.Code{200: "", 404: fault.NotFound, 401: fault.Upstream, 500: fault.Upstream} {
		status = code
		if err := rest.Hangup(ctx, "AC1", "CA1"); fault.CodeOf(err) != want {
			t.Errorf("%d: %v", code, err)
		}
	}
	if seen[0] != "POST /2010-04-01/Accounts/AC1/Calls/CA1.json AC1:12345 completed" {
		t.Errorf("sent %s", seen[0])
	}
	status, seen = 200, nil
	twiml, err := dialTwiML("sip:a&b@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if err := rest.Redirect(ctx, "AC1", "CA1", twiml); err != nil || !strings.Contains(seen[0], "<Dial><Sip>sip:a&amp;b@example.com</Sip></Dial>") {
		t.Errorf("%v %v", err, seen)
	}
	if err := rest.Hangup(ctx, "AC1", "../x"); !fault.Is(err, fault.Invalid) {
		t.Errorf("a call SID with a path: %v", err)
	}
	if err := rest.Hangup(ctx, "AC9", "CA1"); !fault.Is(err, fault.NotFound) {
		t.Errorf("unknown account: %v", err)
	}
	status = 0
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if err := rest.Hangup(short, "AC1", "CA1"); !fault.Is(err, fault.Timeout) {
		t.Errorf("no answer: %v", err)
	}
	if err := NewREST(RESTConfig{Accounts: book{}, BaseURL: "http://127.0.0.1:1"}).Hangup(ctx, "AC1", "CA1"); !fault.Is(err, fault.Upstream) {
		t.Errorf("unreachable: %v", err)
	}
}

// steering records what a leg asks of the carrier.
type steering struct{ asked []string }

func (s *steering) Hangup(_ context.Context, account, call string) error {
	s.asked = append(s.asked, "hangup "+account+" "+call)
	return fault.New(fault.NotFound, "over already")
}

func (s *steering) Redirect(_ context.Context, account, call, twiml string) error {
	if strings.Contains(twiml, "+100") {
		return fault.New(fault.Upstream, "no")
	}
	s.asked = append(s.asked, "redirect "+account+" "+call)
	return nil
}

func TestTransferAndHangupByREST(t *testing.T) {
	st := &steering{}
	b := newBench(t, func(c *Config) { c.Control = st })
	p := b.dial()
	p.begin(b.token("a"))
	l := b.leg()
	if err := l.Transfer(p.ctx, "+100"); !fault.Is(err, fault.Upstream) {
		t.Errorf("refused transfer: %v", err)
	}
	if err := l.Transfer(p.ctx, "+14155550123"); err != nil {
		t.Fatal(err)
	}
	p.closed()
	wait(t, "done", l.Done())
	q := b.dial()
	q.begin(b.token("a"))
	l = b.leg()
	if err := l.Hangup(q.ctx, media.Cause{By: "agent", Code: "normal"}); err != nil {
		t.Fatal(err)
	}
	q.closed()
	wait(t, "done", l.Done())
	if len(st.asked) != 2 || st.asked[0] != "redirect AC1 CA1" || st.asked[1] != "hangup AC1 CA1" {
		t.Errorf("asked %v", st.asked)
	}
}
