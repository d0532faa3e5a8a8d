package fleet_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/parley-voice/parley/internal/gateway/fleet"
)

// How a role is follows from its instances, and the reasons say what to look at.
func TestReport(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	role := func(name string, status fleet.Status, reason string) {
		t.Helper()
		for _, got := range r.fleet.Report(name).Roles {
			if got.Role == name {
				if reasons := strings.Join(got.Reasons, "; "); got.Status != status || (reason == "") != (reasons == "") || !strings.Contains(reasons, reason) {
					t.Errorf("%s is %s because of %q, want %s because of %q", name, got.Status, reasons, status, reason)
				}
				err := r.fleet.Check(name)(t.Context())
				var d interface{ Degraded() bool }
				if (err == nil) != (status == fleet.OK) || errors.As(err, &d) && d.Degraded() != (status == fleet.Degraded) {
					t.Errorf("%s: the check says %v", name, err)
				}
				return
			}
		}
		t.Errorf("no report of %s", name)
	}
	role("media", fleet.Down, "no process is running")
	r.known(fleet.Instance{ID: "w", Role: "worker", Version: "1"}, fleet.Instance{ID: "full", Role: "full", Version: "1", Calls: 5, Capacity: 5})
	role("worker", fleet.OK, "")
	role("full", fleet.Degraded, "5 of 5")
	a, b := &instance{}, &instance{}
	a.announce(r, fleet.Instance{ID: "a", Role: "media", Version: "1", URL: "http://127.0.0.1:1", Capacity: 5}, nil)
	role("media", fleet.OK, "")
	b.announce(r, fleet.Instance{ID: "b", Role: "media", Version: "2", URL: "http://127.0.0.1:1", Capacity: 5}, nil)
	role("media", fleet.Degraded, "different versions run: 1, 2")
	if err := b.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.knows("b", func(s fleet.State) bool { return s.Draining })
	if err := a.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.knows("a", func(s fleet.State) bool { return s.Draining })
	role("media", fleet.Down, "no process takes new work")
	if rep := r.fleet.Report("media", "worker", "gateway"); rep.Status != fleet.Down || len(rep.Roles) != 4 || len(rep.Reasons) < 3 {
		t.Errorf("%+v", rep)
	}
	if rep := fleet.Alone(fleet.Instance{ID: "h", Role: fleet.AllRoles, Capacity: 3}); rep.Status != fleet.OK || len(rep.Roles[0].Instances) != 1 {
		t.Errorf("%+v", rep)
	}
}

// The operation shows what the report knows.
func TestInstancesOperation(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.known(fleet.Instance{ID: "m", Role: "media", Version: "1", Calls: 2, Capacity: 5, Region: "eu"})
	mux := http.NewServeMux()
	fleet.Routes(humago.New(mux, huma.DefaultConfig("t", "1")), func() fleet.Report { return r.fleet.Report("media", "worker") })
	srv := httptest.NewServer(mux)
	defer srv.Close()
	a := r.get(srv.URL + "/api/v1/super/instances")
	for _, want := range []string{`"status":"down"`, `"worker: no process is running"`, `"id":"m"`, `"calls":2`, `"capacity":5`, `"region":"eu"`, `"breaker":"closed"`, `"address":"http://127.0.0.1:1"`} {
		if !strings.Contains(a.body, want) {
			t.Errorf("%s is not in %s", want, a.body)
		}
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	b := embedded(t)
	fl, err := fleet.New(fleet.Config{Bus: b, TTL: time.Hour, Registry: reg})
	if err != nil {
		t.Fatal(err)
	}
	fl.Start(t.Context())
	defer fl.Stop()
	m, err := fleet.Join(t.Context(), fleet.MemberConfig{Bus: b, TTL: time.Hour, Self: fleet.Instance{ID: "m", Role: "media", URL: "http://127.0.0.1:1", Capacity: 7}, Calls: func() int { return 2 }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Leave(context.Background()) }()
	eventually(t, "m", func() bool { return len(fl.Instances("")) == 1 })
	for range 3 {
		l, err := fl.Pick(fleet.Want{Role: "media"})
		if err != nil {
			t.Fatal(err)
		}
		l.Judge(fleet.Refused)
		l.Done()
	}
	if _, err := fl.Pick(fleet.Want{Role: "media"}); err == nil {
		t.Error("picked what is broken")
	}
	w := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, want := range []string{
		`parley_fleet_breaker_changes_total{role="media",state="open"} 1`, `parley_fleet_calls{role="media"} 2`, `parley_fleet_capacity{role="media"} 7`,
		`parley_fleet_instances{breaker="open",draining="no",role="media"} 1`, `parley_fleet_refused_total{lack="broken",role="media"} 1`,
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s is not in\n%s", want, w.Body)
		}
	}
}
