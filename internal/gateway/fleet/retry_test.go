package fleet_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/parley-voice/parley/internal/gateway/fleet"
)

// die breaks off the connection, as a process does that is killed.
func die(w http.ResponseWriter, req *http.Request) {
	_, _ = io.Copy(io.Discard, req.Body)
	if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
}

// dieHalfway does so in the middle of an answer.
func dieHalfway(w http.ResponseWriter, req *http.Request) {
	_, _ = io.WriteString(w, "half")
	_ = http.NewResponseController(w).Flush()
	die(w, req)
}

func answers(status int, header string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if header != "" {
			w.Header().Set(header, "1")
		}
		w.WriteHeader(status)
	}
}

// What fails is sent to another instance when it may be, and only then.
func TestRetry(t *testing.T) {
	t.Parallel()
	r := realRig(t)
	n := 0
	for name, c := range map[string]struct {
		method, key, body string
		unsaid            bool // how long the body is
		first             http.HandlerFunc
		refuses           bool // nobody listens
		status            int
		firstN, secondN   int
	}{
		"killed while it reads":             {method: "GET", first: die, status: 200, firstN: 1, secondN: 1},
		"killed, HEAD":                      {method: "HEAD", first: die, status: 200, firstN: 1, secondN: 1},
		"killed, OPTIONS":                   {method: "OPTIONS", first: die, status: 200, firstN: 1, secondN: 1},
		"killed, POST":                      {method: "POST", body: "b", first: die, status: 502, firstN: 1},
		"killed, POST without a body":       {method: "POST", first: die, status: 502, firstN: 1},
		"killed, DELETE":                    {method: "DELETE", first: die, status: 502, firstN: 1},
		"killed, POST with a key":           {method: "POST", key: "k", body: "b", first: die, status: 200, firstN: 1, secondN: 1},
		"killed, a large body with a key":   {method: "POST", key: "k", body: strings.Repeat("b", 300<<10), first: die, status: 502, firstN: 1},
		"killed, a body of unknown length":  {method: "POST", key: "k", body: "b", unsaid: true, first: die, status: 502, firstN: 1},
		"killed in the answer":              {method: "GET", first: dieHalfway, status: 0, firstN: 1},
		"refused":                           {method: "GET", refuses: true, status: 200, secondN: 1},
		"refused, POST: nobody received it": {method: "POST", body: "b", refuses: true, status: 200, secondN: 1},
		"drains":                            {method: "GET", first: answers(503, fleet.DrainingHeader), status: 200, firstN: 1, secondN: 1},
		"drains, 502":                       {method: "GET", first: answers(502, fleet.DrainingHeader), status: 200, firstN: 1, secondN: 1},
		"drains, POST":                      {method: "POST", body: "b", first: answers(503, fleet.DrainingHeader), status: 503, firstN: 1},
		"drains, POST with a key":           {method: "POST", key: "k", body: "b", first: answers(503, fleet.DrainingHeader), status: 200, firstN: 1, secondN: 1},
		"fails by itself":                   {method: "GET", first: answers(503, ""), status: 503, firstN: 1},
		"an error of its own":               {method: "GET", first: answers(500, fleet.DrainingHeader), status: 500, firstN: 1},
		"not found":                         {method: "GET", first: answers(404, fleet.DrainingHeader), status: 404, firstN: 1},
	} {
		// Each case has a role of its own, and the first is much less loaded than the second.
		role := "role" + string(rune('a'+n))
		n++
		first := r.join(fleet.Instance{ID: role + ".1", Role: role, Capacity: 10}, c.first)
		second := r.join(fleet.Instance{ID: role + ".2", Role: role, Capacity: 10, Calls: 9}, func(w http.ResponseWriter, req *http.Request) {
			if got, err := io.ReadAll(req.Body); string(got) != c.body || err != nil {
				t.Errorf("%s: the second got %q %v", name, got, err)
			}
		})
		if c.refuses {
			first.srv.Close()
		}
		srv, _ := r.proxy(fleet.ProxyConfig{Role: role})
		var body io.Reader = strings.NewReader(c.body)
		if c.unsaid {
			body = io.MultiReader(body)
		}
		if c.body == "" {
			body = nil
		}
		req := r.request(c.method, srv.URL, body)
		if c.key != "" {
			req.Header.Set("Idempotency-Key", c.key)
		}
		a, err := try(req)
		if (err != nil) != (c.status == 0) || a.status != c.status {
			t.Errorf("%s: %d %s %v", name, a.status, a.body, err)
		}
		if first.asked() != c.firstN || second.asked() != c.secondN {
			t.Errorf("%s: asked %d and %d times, want %d and %d", name, first.asked(), second.asked(), c.firstN, c.secondN)
		}
	}
}

// It is sent three times at most, each time to another.
func TestRetryTwice(t *testing.T) {
	t.Parallel()
	r := realRig(t)
	var all []*instance
	for n := range 5 {
		all = append(all, r.join(fleet.Instance{ID: id(n)}, die))
	}
	srv, _ := r.proxy(fleet.ProxyConfig{})
	if a := r.get(srv.URL); a.status != http.StatusBadGateway || !strings.Contains(a.body, "media process did not answer") {
		t.Errorf("%d %s", a.status, a.body)
	}
	total := 0
	for _, i := range all {
		if i.asked() > 1 {
			t.Error("asked twice")
		}
		total += i.asked()
	}
	if total != 3 {
		t.Errorf("sent %d times", total)
	}
}

// An instance drains while requests come without a pause: none fails, and soon none is sent to it.
func TestDrainLosesNothing(t *testing.T) {
	t.Parallel()
	r := realRig(t)
	drained := make(chan struct{})
	d := &instance{}
	h := func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-drained:
			w.Header().Set(fleet.DrainingHeader, "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
		}
	}
	d = r.join(fleet.Instance{ID: "drains"}, h)
	r.join(fleet.Instance{ID: "stays"}, nil)
	srv, _ := r.proxy(fleet.ProxyConfig{})
	stop, failed := make(chan struct{}), make(chan string, 1)
	go func() {
		defer close(failed)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if a, err := try(r.request(http.MethodGet, srv.URL, nil)); err != nil || a.status != http.StatusOK {
				failed <- a.body
				return
			}
		}
	}()
	eventually(t, "requests", func() bool { return d.asked() > 20 })
	close(drained) // before it has told anybody
	eventually(t, "a retry", func() bool { return d.asked() > 30 })
	if err := d.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.knows("drains", func(s fleet.State) bool { return s.Draining && s.InFlight == 0 })
	n := d.asked()
	for range 50 {
		r.get(srv.URL)
	}
	if d.asked() != n {
		t.Errorf("it got %d more", d.asked()-n)
	}
	close(stop)
	if what, bad := <-failed; bad {
		t.Error(what)
	}
}
