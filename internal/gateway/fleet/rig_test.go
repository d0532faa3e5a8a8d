package fleet_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/goleak"

	"github.com/parley-voice/parley/internal/gateway/fleet"
	"github.com/parley-voice/parley/internal/platform/bus"
	"github.com/parley-voice/parley/internal/platform/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const within = 30 * time.Second

// eventually asks until the answer is yes.
func eventually(t testing.TB, what string, yes func() bool) {
	t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		if yes() {
			tick.Stop()
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			tick.Stop()
			t.Fatalf("%s: not within %s", what, within)
		}
	}
}

// logs collects what is logged.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// rig is a bus with a fleet that follows it, and the instances that are announced on it.
type rig struct {
	t     testing.TB
	bus   *bus.Bus
	fleet *fleet.Fleet
	clock *quartz.Mock // of the fleet and its proxies
	log   *logs
}

func newRig(t testing.TB) *rig {
	t.Helper()
	return rigOn(t, embedded(t), nil)
}

// realRig is a rig whose clock runs by itself.
func realRig(t testing.TB) *rig {
	t.Helper()
	return rigOn(t, embedded(t), quartz.NewReal())
}

// rigOn is a rig whose fleet never forgets anybody by time: the bus's clock is real and busy machines are slow.
// real nil is a clock that the test moves.
func rigOn(t testing.TB, b *bus.Bus, real quartz.Clock) *rig {
	t.Helper()
	r := &rig{t: t, bus: b, log: &logs{}}
	if real == nil {
		r.clock = quartz.NewMock(t)
		real = r.clock
	}
	var err error
	r.fleet, err = fleet.New(fleet.Config{Bus: b, TTL: time.Hour, Clock: real, Rand: chance(), Log: slog.New(slog.NewTextHandler(r.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	r.fleet.Start(t.Context())
	t.Cleanup(r.fleet.Stop)
	select {
	case <-r.fleet.Ready():
	case <-time.After(within):
		t.Fatal("nothing is heard of the bus")
	}
	return r
}

// chance is a reproducible source that any goroutine may ask (a linear congruential generator).
func chance() func() float64 {
	var mu sync.Mutex
	x := uint64(1)
	return func() float64 {
		mu.Lock()
		defer mu.Unlock()
		x = x*6364136223846793005 + 1442695040888963407
		return float64(x>>11) / (1 << 53)
	}
}

// instance is a process of a role: a server, and its announcement.
type instance struct {
	*fleet.Member
	srv  *httptest.Server
	mu   sync.Mutex
	hits int
}

func (i *instance) asked() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.hits
}

// join starts an instance. What self leaves out is made up. h nil says who it is.
func (r *rig) join(self fleet.Instance, h http.HandlerFunc) *instance {
	r.t.Helper()
	i := &instance{}
	if h == nil {
		h = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, self.ID) }
	}
	i.srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		i.mu.Lock()
		i.hits++
		i.mu.Unlock()
		h(w, req)
	}))
	r.t.Cleanup(func() {
		i.srv.CloseClientConnections()
		i.srv.Close()
	})
	if self.URL == "" {
		self.URL = i.srv.URL
	}
	if self.Role == "" {
		self.Role = "media"
	}
	i.announce(r, self, func() int { return self.Calls })
	return i
}

// announce has an instance join, and waits until the fleet knows it.
func (i *instance) announce(r *rig, self fleet.Instance, calls func() int) {
	r.t.Helper()
	var err error
	i.Member, err = fleet.Join(r.t.Context(), fleet.MemberConfig{Bus: r.bus, Self: self, Calls: calls, TTL: time.Hour, Clock: quartz.NewMock(r.t), Rand: chance()})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = i.Leave(context.Background()) })
	r.knows(self.ID, func(fleet.State) bool { return true })
}

// knows waits until the fleet knows an instance that is so.
func (r *rig) knows(id string, so func(fleet.State) bool) {
	r.t.Helper()
	eventually(r.t, id+" is known", func() bool {
		for _, s := range r.fleet.Instances("") {
			if s.ID == id && so(s) {
				return true
			}
		}
		return false
	})
}

// forgets waits until the fleet does not know an instance.
func (r *rig) forgets(id string) {
	r.t.Helper()
	eventually(r.t, id+" is forgotten", func() bool {
		for _, s := range r.fleet.Instances("") {
			if s.ID == id {
				return false
			}
		}
		return true
	})
}

// problem is how failures are answered.
func problem(w http.ResponseWriter, err error) {
	var f *fault.Error
	if !errors.As(err, &f) {
		f = fault.New(fault.Internal, "no fault: %v", err)
	}
	w.WriteHeader(f.Status)
	_ = json.NewEncoder(w).Encode(f)
}

// proxy puts a gateway in front of a role.
func (r *rig) proxy(c fleet.ProxyConfig) (*httptest.Server, *fleet.Proxy) {
	r.t.Helper()
	if c.Role == "" {
		c.Role = "media"
	}
	c.Fail = problem
	p, err := r.fleet.Proxy(c)
	if err != nil {
		r.t.Fatal(err)
	}
	srv := httptest.NewServer(p)
	r.t.Cleanup(func() {
		p.Close()
		srv.CloseClientConnections()
		srv.Close()
	})
	return srv, p
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (r *rig) do(req *http.Request) answer {
	r.t.Helper()
	a, err := try(req)
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

func try(req *http.Request) (answer, error) {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	return answer{resp.StatusCode, resp.Header, string(body)}, nil
}

func (r *rig) request(method, url string, body io.Reader) *http.Request {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, url, body)
	if err != nil {
		r.t.Fatal(err)
	}
	return req
}

func (r *rig) get(url string) answer {
	r.t.Helper()
	return r.do(r.request(http.MethodGet, url, nil))
}

// id names the nth instance.
func id(n int) string { return fmt.Sprintf("m%d", n) }

func embedded(t testing.TB) *bus.Bus {
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Config{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// natsServer runs a NATS server of its own.
func natsServer(t testing.TB, dir string, port int) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true, JetStream: true, StoreDir: dir,
		// Said, because the default is a share of the disk that happens to be free.
		JetStreamMaxStore: 8 << 30, JetStreamMaxMemory: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(within) {
		t.Fatal("the NATS server did not start")
	}
	return s
}

func atoi(t testing.TB, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
