package fleet_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/gateway/fleet"
	"github.com/parley-voice/parley/internal/identity"
)

// A thousand requests are spread over three instances, and each is answered.
func TestBalance(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for n := range 3 {
		r.join(fleet.Instance{ID: id(n), Capacity: 100}, nil)
	}
	srv, _ := r.proxy(fleet.ProxyConfig{})
	got := map[string]int{}
	for range 1000 {
		a := r.get(srv.URL + "/x")
		if a.status != http.StatusOK {
			t.Fatalf("answered %d %s", a.status, a.body)
		}
		got[a.body]++
	}
	for n := range 3 {
		if c := got[id(n)]; c < 300 || c > 370 {
			t.Errorf("%s got %d of 1000: %v", id(n), c, got)
		}
	}
}

// What is between two hops stays there, what the caller claims to be does not cross, and who asks does.
func TestWhatCrosses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var seen *http.Request
	r.join(fleet.Instance{ID: "m"}, func(w http.ResponseWriter, req *http.Request) {
		seen = req
		h := w.Header()
		h.Set("Connection", "X-Hop")
		h.Set("X-Hop", "1")
		h.Set("Parley-Inside", "1")
		h.Set("X-Frame-Options", "SAMEORIGIN")
		h.Add("Set-Cookie", "b=2")
		h.Set("X-Request-Id", "theirs")
		h.Set("Trailer", "X-Sum")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "tea")
		h.Set("X-Sum", "3")
	})
	p, err := r.fleet.Proxy(fleet.ProxyConfig{Role: "media", Fail: problem, Authorize: func(req *http.Request, to fleet.Instance) error {
		req.Header.Set("Authorization", "Bearer for-"+to.ID)
		req.Header.Del("Cookie")
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("X-Frame-Options", "DENY")
		w.Header().Set("Set-Cookie", "a=1")
		w.Header().Set("X-Request-Id", "ours")
		p.ServeHTTP(w, req.WithContext(identity.WithOrigin(req.Context(), &identity.Origin{IP: "2001:db8::7", RequestID: "ours"})))
	}))
	defer srv.Close()
	req := r.request(http.MethodPut, srv.URL+"/a%2Fb/../c?x=1&y=%26", strings.NewReader("body"))
	req.Host = "voice.example.com"
	for _, h := range [][2]string{
		{"Connection", "X-Mine, keep-alive"}, {"X-Mine", "1"}, {"Keep-Alive", "timeout=5"}, {"Proxy-Authorization", "secret"}, {"Te", "gzip"}, {"Proxy-Connection", "close"},
		{"X-Forwarded-For", "6.6.6.6"}, {"Forwarded", "for=6.6.6.6"}, {"X-Real-Ip", "6.6.6.6"}, {"X-Forwarded-Host", "evil"}, {"Parley-Role", "gateway"}, {"X-Request-Id", "mine"},
		{"Authorization", "Bearer users"}, {"Cookie", "session=1"}, {"X-Kept", "yes"},
	} {
		req.Header.Set(h[0], h[1])
	}
	a := r.do(req)
	if a.status != http.StatusTeapot || a.body != "tea" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	for name, want := range map[string]string{
		"X-Mine": "", "Keep-Alive": "", "Proxy-Authorization": "", "Te": "", "Proxy-Connection": "", "X-Real-Ip": "", "Parley-Role": "", "Cookie": "", "X-Kept": "yes",
		"X-Forwarded-For": "2001:db8::7", "X-Forwarded-Host": "voice.example.com", "X-Forwarded-Proto": "http", "X-Request-Id": "ours", "Via": "1.1 parley",
		"Forwarded": `for="[2001:db8::7]";host="voice.example.com";proto=http`, "Authorization": "Bearer for-m",
	} {
		if got := strings.Join(seen.Header.Values(name), "|"); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if seen.Host != "voice.example.com" || seen.URL.RequestURI() != "/a%2Fb/../c?x=1&y=%26" || seen.Method != http.MethodPut {
		t.Errorf("%s %s %s", seen.Method, seen.Host, seen.URL.RequestURI())
	}
	for name, want := range map[string]string{"X-Hop": "", "Parley-Inside": "", "X-Frame-Options": "SAMEORIGIN", "Set-Cookie": "a=1|b=2", "X-Request-Id": "ours"} {
		if got := strings.Join(a.header.Values(name), "|"); got != want {
			t.Errorf("answer's %s: %q, want %q", name, got, want)
		}
	}
}

// What is sent arrives piece by piece, both ways at once.
func TestStreams(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.join(fleet.Instance{ID: "m"}, func(w http.ResponseWriter, req *http.Request) {
		ctl := http.NewResponseController(w)
		_ = ctl.EnableFullDuplex()
		for lines := bufio.NewScanner(req.Body); lines.Scan(); {
			_, _ = fmt.Fprintf(w, "heard %s\n", lines.Text())
			_ = ctl.Flush()
		}
	})
	srv, _ := r.proxy(fleet.ProxyConfig{})
	out, in := io.Pipe()
	req := r.request(http.MethodPost, srv.URL+"/echo", out)
	go func() { _, _ = io.WriteString(in, "0\n") }() // the server answers when it has something
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	for n := range 5 {
		if !lines.Scan() || lines.Text() != fmt.Sprintf("heard %d", n) {
			t.Fatalf("%d: %q %v", n, lines.Text(), lines.Err())
		}
		if _, err := fmt.Fprintf(in, "%d\n", n+1); err != nil {
			t.Fatal(err)
		}
	}
	_ = in.Close()
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Error(err)
	}
}

// Bodies are bounded, whether they say how long they are or not.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	m := r.join(fleet.Instance{ID: "m"}, func(_ http.ResponseWriter, req *http.Request) { _, _ = io.Copy(io.Discard, req.Body) })
	srv, _ := r.proxy(fleet.ProxyConfig{MaxBody: 1000})
	for name, body := range map[string]io.Reader{"said": strings.NewReader(strings.Repeat("x", 1001)), "not said": io.LimitReader(zeros{}, 1<<20)} {
		if a := r.do(r.request(http.MethodPost, srv.URL, body)); a.status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if a := r.do(r.request(http.MethodPost, srv.URL, strings.NewReader(strings.Repeat("x", 1000)))); a.status != http.StatusOK {
		t.Errorf("the most: %d", a.status)
	}
	if s := r.fleet.Instances("")[0]; s.Breaker != fleet.Closed || s.InFlight != 0 || m.asked() == 0 {
		t.Errorf("%+v", s)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// One that does not answer is given up, and what it may have begun is not begun elsewhere.
func TestHangs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	asked, over := make(chan struct{}), make(chan struct{})
	defer close(over)
	r.join(fleet.Instance{ID: "hangs", Capacity: 10}, func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/half" {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
		}
		asked <- struct{}{}
		select {
		case <-req.Context().Done():
		case <-over:
		}
	})
	other := r.join(fleet.Instance{ID: "well", Capacity: 10, Calls: 9}, nil)
	srv, _ := r.proxy(fleet.ProxyConfig{HeaderTimeout: time.Second})
	got := make(chan answer, 1)
	go func() {
		a, err := try(r.request(http.MethodGet, srv.URL+"/", nil))
		if err != nil {
			t.Error(err)
		}
		got <- a
	}()
	<-asked
	r.clock.Advance(time.Second).MustWait(t.Context())
	if a := <-got; a.status != http.StatusGatewayTimeout || !strings.Contains(a.body, "too long") {
		t.Errorf("%d %s", a.status, a.body)
	}
	srv, _ = r.proxy(fleet.ProxyConfig{HeaderTimeout: time.Minute, IdleTimeout: time.Second})
	failed := make(chan error, 1)
	go func() {
		_, err := try(r.request(http.MethodGet, srv.URL+"/half", nil))
		failed <- err
	}()
	<-asked
	eventually(t, "the end of the half answer", func() bool {
		if d, ok := r.clock.Peek(); ok && d <= time.Second {
			r.clock.Advance(d)
		}
		select {
		case err := <-failed:
			if err == nil {
				t.Error("half an answer looked whole")
			}
			return true
		default:
			return false
		}
	})
	if n := other.asked(); n != 0 {
		t.Errorf("the other one was asked %d times", n)
	}
}

// A caller who goes away ends the request at the instance, and says nothing about it.
func TestCallerGoesAway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	asked, ended := make(chan struct{}), make(chan struct{})
	r.join(fleet.Instance{ID: "m"}, func(_ http.ResponseWriter, req *http.Request) {
		asked <- struct{}{}
		<-req.Context().Done()
		ended <- struct{}{}
	})
	srv, _ := r.proxy(fleet.ProxyConfig{})
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-asked
			cancel()
		}()
		if _, err := try(r.request(http.MethodGet, srv.URL, nil).WithContext(ctx)); err == nil {
			t.Error("answered")
		}
		cancel()
		<-ended
	}
	eventually(t, "the end of all requests", func() bool { return r.fleet.Instances("")[0].InFlight == 0 })
	if s := r.fleet.Instances("")[0]; s.Breaker != fleet.Closed {
		t.Errorf("%+v", s)
	}
}

// The breaker of an instance opens when it fails, and closes when it works again.
func TestBreakerOfAnInstance(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var broken atomic.Bool
	broken.Store(true)
	m := r.join(fleet.Instance{ID: "m"}, func(w http.ResponseWriter, _ *http.Request) {
		if broken.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	srv, _ := r.proxy(fleet.ProxyConfig{})
	state := func() fleet.BreakerState { return r.fleet.Instances("")[0].Breaker }
	for range 20 {
		if a := r.get(srv.URL); a.status != http.StatusInternalServerError {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if rep := r.fleet.Report("media"); state() != fleet.Open || rep.Status != fleet.Down {
		t.Fatalf("%s, %+v", state(), rep)
	}
	a := r.get(srv.URL)
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || !strings.Contains(a.body, "no media process answers") || m.asked() != 20 {
		t.Errorf("%d %v %s, asked %d times", a.status, a.header, a.body, m.asked())
	}
	r.clock.Advance(5 * time.Second).MustWait(t.Context())
	if state() != fleet.HalfOpen {
		t.Errorf("then %s", state())
	}
	if a := r.get(srv.URL); a.status != http.StatusInternalServerError || state() != fleet.Open {
		t.Errorf("a failed probe: %d %s", a.status, state())
	}
	broken.Store(false)
	r.clock.Advance(10 * time.Second).MustWait(t.Context())
	for range 2 {
		if a := r.get(srv.URL); a.status != http.StatusOK {
			t.Errorf("a probe: %d %s", a.status, a.body)
		}
	}
	if rep := r.fleet.Report("media"); state() != fleet.Closed || rep.Status != fleet.OK {
		t.Errorf("%s, %+v", state(), rep)
	}
}

// Instances prove who they are, ask who we are, and nothing is ever said in the clear where that is set.
func TestTLS(t *testing.T) {
	t.Parallel()
	r := realRig(t)
	inner := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.WriteString(w, req.TLS.PeerCertificates[0].Subject.String())
	}))
	inner.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS13}
	inner.StartTLS()
	defer inner.Close()
	known := x509.NewCertPool()
	known.AddCert(inner.Certificate())
	secure := r.join(fleet.Instance{ID: "secure", URL: inner.URL}, nil)
	mutual := &tls.Config{RootCAs: known, Certificates: inner.TLS.Certificates, MinVersion: tls.VersionTLS13}
	for name, c := range map[string]struct {
		tls    *tls.Config
		status int
	}{
		"mutual":                {mutual, http.StatusOK},
		"nobody knows them":     {&tls.Config{RootCAs: x509.NewCertPool(), Certificates: inner.TLS.Certificates, MinVersion: tls.VersionTLS13}, http.StatusBadGateway},
		"they do not know us":   {&tls.Config{RootCAs: known, MinVersion: tls.VersionTLS13}, http.StatusBadGateway},
		"what the system knows": {nil, http.StatusBadGateway},
	} {
		srv, _ := r.proxy(fleet.ProxyConfig{TLS: c.tls})
		if a := r.get(srv.URL); a.status != c.status {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if err := secure.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.forgets("secure")
	clear := r.join(fleet.Instance{ID: "clear"}, nil)
	srv, _ := r.proxy(fleet.ProxyConfig{TLS: mutual})
	if a := r.get(srv.URL); a.status != http.StatusBadGateway || clear.asked() != 0 || strings.Contains(a.body, "127.0.0.1") {
		t.Errorf("in the clear: %d %s", a.status, a.body)
	}
}
