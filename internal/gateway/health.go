package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync/atomic"
	"time"
)

const checkTimeout = 2 * time.Second

// Check is one thing that must work. An error with a method Degraded that says true means: it works, but not as it should.
type Check struct {
	Name string
	Run  func(ctx context.Context) error
	// Elsewhere is for what other processes do. /health tells of it; /health/ready does not turn requests away because of
	// it: this process can answer all that does not need them.
	Elsewhere bool
}

// Health answers the three health questions: is the process alive, does it want new work, and what of it
// works. Live never looks at other parts: a database that is away must not restart the process.
type Health struct {
	version  string
	checks   []Check
	draining atomic.Bool
}

// NewHealth makes the health of a process with these parts.
func NewHealth(version string, checks ...Check) *Health {
	return &Health{version: version, checks: checks}
}

// Draining reports whether Drain was called.
func (h *Health) Draining() bool { return h.draining.Load() }

// Drain makes the process not ready: balancers send new work elsewhere.
func (h *Health) Drain() { h.draining.Store(true) }

type healthReport struct {
	Status  string            `json:"status"` // ok, degraded, draining, failing
	Version string            `json:"version"`
	Parts   map[string]string `json:"parts,omitempty"`
}

// Mount adds the routes.
func (h *Health) Mount(mux *http.ServeMux) {
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, r *http.Request) { h.answer(w, h.report(r.Context(), true)) })
	mux.HandleFunc("GET /health/ready", func(w http.ResponseWriter, r *http.Request) { h.answer(w, h.report(r.Context(), false)) })
	mux.HandleFunc("GET /health/live", func(w http.ResponseWriter, _ *http.Request) {
		h.answer(w, healthReport{Status: "ok", Version: h.version})
	})
}

// report asks every part, and those of other processes when all is wanted.
func (h *Health) report(ctx context.Context, all bool) healthReport {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	out := healthReport{Status: "ok", Version: h.version, Parts: map[string]string{}}
	for _, c := range h.checks {
		if c.Elsewhere && !all {
			continue
		}
		out.Parts[c.Name] = "ok"
		err := c.Run(ctx)
		var d interface{ Degraded() bool }
		switch {
		case err == nil:
		case errors.As(err, &d) && d.Degraded():
			out.Parts[c.Name] = "degraded"
			if out.Status == "ok" {
				out.Status = "degraded"
			}
		default:
			// The reason may hold addresses: it is for the log of the part itself, not for everybody.
			out.Parts[c.Name] = "failing"
			out.Status = "failing"
		}
	}
	if h.draining.Load() {
		out.Status = "draining"
	}
	return out
}

func (h *Health) answer(w http.ResponseWriter, rep healthReport) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if rep.Status != "ok" && rep.Status != "degraded" {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(rep)
}
