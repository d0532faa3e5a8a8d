package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"sync/atomic"
	"time"
)

const checkTimeout = 2 * time.Second

// Check is one thing that must work.
type Check struct {
	Name string
	Run  func(ctx context.Context) error
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

// Drain makes the process not ready: balancers send new work elsewhere.
func (h *Health) Drain() { h.draining.Store(true) }

type healthReport struct {
	Status  string            `json:"status"` // ok, draining, failing
	Version string            `json:"version"`
	Parts   map[string]string `json:"parts,omitempty"`
}

// Mount adds the routes.
func (h *Health) Mount(mux *http.ServeMux) {
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, r *http.Request) { h.answer(w, h.report(r.Context())) })
	mux.HandleFunc("GET /health/ready", func(w http.ResponseWriter, r *http.Request) { h.answer(w, h.report(r.Context())) })
	mux.HandleFunc("GET /health/live", func(w http.ResponseWriter, _ *http.Request) {
		h.answer(w, healthReport{Status: "ok", Version: h.version})
	})
}

func (h *Health) report(ctx context.Context) healthReport {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	out := healthReport{Status: "ok", Version: h.version, Parts: map[string]string{}}
	for _, c := range h.checks {
		out.Parts[c.Name] = "ok"
		if err := c.Run(ctx); err != nil {
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
	if rep.Status != "ok" {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(rep)
}
