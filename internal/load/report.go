package load

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is what a run measured. Times are in milliseconds.
type Report struct {
	Kind      string         `json:"kind"` // "sip" or "twilio"
	Target    string         `json:"target"`
	Calls     int            `json:"calls"` // asked for
	Connected int            `json:"connected"`
	Completed int            `json:"completed"` // still up when we hung up
	Failures  map[string]int `json:"failures"`  // reason → calls
	DurationS float64        `json:"durationS"` // with all calls up

	Setup     Quantiles `json:"setupMs"`   // INVITE (or webhook) → answered
	SetupRate float64   `json:"setupRate"` // calls answered a second while calls were placed

	Frames    Frames    `json:"frames"`
	Response  Quantiles `json:"responseMs"` // end of the caller's speech → first sound of the agent
	Stall     *Stall    `json:"stall,omitempty"`
	Generator Generator `json:"generator"`
	Server    *Server   `json:"server,omitempty"`
}

// Frames counts what came back from the server.
type Frames struct {
	Sent     uint64    `json:"sent"`
	Received uint64    `json:"received"`
	Lost     uint64    `json:"lost"`
	Late     uint64    `json:"late"` // more than 20 ms after their time
	Lateness Quantiles `json:"latenessMs"`
}

// Stall says what a second without packets from the caller did.
type Stall struct {
	Calls  int       `json:"calls"`
	Before Quantiles `json:"responseBeforeMs"`
	After  Quantiles `json:"responseAfterMs"` // of speech that ended 5 s after the stall
	// Added is the delay that is left 5 s after: after minus before, call by call.
	Added Quantiles `json:"addedMs"`
}

// Generator says how well the generator itself kept time.
type Generator struct {
	Ticks     uint64  `json:"ticks"`
	LateTicks uint64  `json:"lateTicks"` // begun more than 5 ms late
	WorstMS   float64 `json:"worstMs"`
	Late      bool    `json:"late"`       // the run's figures are not to be trusted
	CPU       float64 `json:"cpuPercent"` // of one core, for each call
}

// The generator is late when more than one tick in a thousand began 5 ms late, or any of them 20 ms.
const (
	lateTick  = 5 * time.Millisecond
	worstTick = 20 * time.Millisecond
)

// Judge sets Late.
func (g *Generator) Judge() {
	g.Late = g.LateTicks*1000 > g.Ticks || g.WorstMS > float64(worstTick.Milliseconds())
}

// Server is what the server's /metrics said.
type Server struct {
	CPUPerCall    float64 `json:"cpuPercentPerCall"` // of one core, while all calls were up
	CPU           float64 `json:"cpuPercent"`
	MemoryIdle    float64 `json:"memoryIdleBytes"`
	MemoryBusy    float64 `json:"memoryBusyBytes"`
	MemoryPerCall float64 `json:"memoryPerCallBytes"`
	// AddedP50 and AddedP99 are the server's histogram of end of speech decided → first frame sent.
	AddedP50   float64 `json:"addedP50Ms"`
	AddedP99   float64 `json:"addedP99Ms"`
	AddedTurns float64 `json:"addedTurns"`
}

// Quantiles sums a distribution up.
type Quantiles struct {
	N   int     `json:"n"`
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Sum makes Quantiles of samples in milliseconds, which it sorts.
func Sum(ms []float64) Quantiles {
	if len(ms) == 0 {
		return Quantiles{}
	}
	slices.Sort(ms)
	at := func(p float64) float64 { return ms[min(len(ms)-1, int(math.Ceil(p*float64(len(ms))))-1)] }
	return Quantiles{N: len(ms), P50: at(0.50), P95: at(0.95), P99: at(0.99), Max: ms[len(ms)-1]}
}

func (q Quantiles) String() string {
	if q.N == 0 {
		return "-"
	}
	return fmt.Sprintf("p50 %.1f ms, p95 %.1f ms, p99 %.1f ms, max %.1f ms (%d)", q.P50, q.P95, q.P99, q.Max, q.N)
}

// WriteJSON writes the report for programs.
func (r Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// WriteTable writes the report for people.
func (r Report) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	row("calls", "%d of %d answered, %d whole to the end, %.0f s with all up (%s to %s)", r.Connected, r.Calls, r.Completed, r.DurationS, r.Kind, r.Target)
	for _, reason := range slices.Sorted(mapKeys(r.Failures)) {
		row("failed", "%d: %s", r.Failures[reason], reason)
	}
	row("set-up", "%s, %.0f a second", r.Setup, r.SetupRate)
	row("frames", "%d sent, %d received, %d lost, %d late by more than 20 ms", r.Frames.Sent, r.Frames.Received, r.Frames.Lost, r.Frames.Late)
	row("lateness", "%s", r.Frames.Lateness)
	row("response", "%s", r.Response)
	if s := r.Stall; s != nil {
		row("stall of 1 s", "response before: %s", s.Before)
		row("", "response 5 s after: %s", s.After)
		row("", "delay left: %s", s.Added)
	}
	if s := r.Server; s != nil {
		row("server CPU", "%.3f %% of a core each call, %.1f %% in all", s.CPUPerCall, s.CPU)
		row("server memory", "%.0f KB each call (%.0f MB idle, %.0f MB busy)", s.MemoryPerCall/1024, s.MemoryIdle/1e6, s.MemoryBusy/1e6)
		row("added latency", "p50 %.2f ms, p99 %.2f ms (%.0f turns)", s.AddedP50, s.AddedP99, s.AddedTurns)
	}
	g := r.Generator
	row("generator", "%d of %d ticks late by more than 5 ms, worst %.1f ms, %.3f %% of a core each call", g.LateTicks, g.Ticks, g.WorstMS, g.CPU)
	if g.Late {
		row("", "%s", strings.ToUpper("the generator was late: these figures are not the server's alone"))
	}
	return t.Flush()
}

func mapKeys(m map[string]int) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}
