package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const scrapeLimit = 8 << 20

// Metrics names a server's /metrics.
type Metrics struct {
	URL   string
	Token string // bearer, "" for none
}

// sample is what one look at /metrics gave.
type sample struct {
	at      time.Time
	cpu     float64 // seconds
	memory  float64 // bytes
	buckets []bucket
	count   float64
}

// bucket is one cumulative bucket of the added latency.
type bucket struct{ upTo, count float64 }

// addedLatency is the histogram the voice runtime keeps, in seconds.
const addedLatency = "parley_turn_added_latency_seconds"

// scrape reads the server's figures. Without a URL it gives nil.
func (m Metrics) scrape(ctx context.Context) (*sample, error) {
	if m.URL == "" {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.URL, nil)
	if err != nil {
		return nil, fmt.Errorf("metrics URL %q: %w", m.URL, err)
	}
	if m.Token != "" {
		req.Header.Set("Authorization", "Bearer "+m.Token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("read metrics from %s: %s", m.URL, res.Status)
	}
	return parseMetrics(io.LimitReader(res.Body, scrapeLimit))
}

// parseMetrics reads the Prometheus text format as far as it is needed.
func parseMetrics(r io.Reader) (*sample, error) {
	s := &sample{at: time.Now()}
	byLimit := map[float64]float64{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, labels, value, ok := parseLine(lines.Text())
		if !ok {
			continue
		}
		switch name {
		case "process_cpu_seconds_total":
			s.cpu = value
		case "process_resident_memory_bytes":
			s.memory = value
		case addedLatency + "_count":
			s.count += value
		case addedLatency + "_bucket":
			if le, err := strconv.ParseFloat(labels["le"], 64); err == nil {
				byLimit[le] += value
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	for le, n := range byLimit {
		s.buckets = append(s.buckets, bucket{le, n})
	}
	slices.SortFunc(s.buckets, func(a, b bucket) int {
		if a.upTo < b.upTo {
			return -1
		}
		return 1
	})
	return s, nil
}

// parseLine reads `name{a="b"} 1.5`.
func parseLine(line string) (name string, labels map[string]string, value float64, ok bool) {
	if line == "" || line[0] == '#' {
		return "", nil, 0, false
	}
	i := strings.LastIndexByte(line, ' ')
	if i < 0 {
		return "", nil, 0, false
	}
	value, err := strconv.ParseFloat(line[i+1:], 64)
	if err != nil {
		return "", nil, 0, false
	}
	name, rest, found := strings.Cut(line[:i], "{")
	labels = map[string]string{}
	if found {
		for pair := range strings.SplitSeq(strings.TrimSuffix(rest, "}"), ",") {
			k, v, _ := strings.Cut(pair, "=")
			labels[k] = strings.Trim(v, `"`)
		}
	}
	return name, labels, value, true
}

// serverFigures compares looks at the server: before any call, when all were up, and before they ended.
func serverFigures(idle, up, end *sample, calls int) *Server {
	if idle == nil || up == nil || end == nil || calls == 0 {
		return nil
	}
	s := &Server{MemoryIdle: idle.memory, MemoryBusy: max(up.memory, end.memory)}
	if took := end.at.Sub(up.at).Seconds(); took > 0 {
		s.CPU = 100 * (end.cpu - up.cpu) / took
		s.CPUPerCall = s.CPU / float64(calls)
	}
	s.MemoryPerCall = max(0, s.MemoryBusy-s.MemoryIdle) / float64(calls)
	s.AddedTurns = end.count - idle.count
	s.AddedP50 = 1000 * quantile(idle.buckets, end.buckets, 0.50)
	s.AddedP99 = 1000 * quantile(idle.buckets, end.buckets, 0.99)
	return s
}

// quantile interpolates in the buckets that were filled between two looks.
func quantile(before, after []bucket, p float64) float64 {
	old := map[float64]float64{}
	for _, b := range before {
		old[b.upTo] = b.count
	}
	if len(after) == 0 {
		return 0
	}
	total := after[len(after)-1].count - old[after[len(after)-1].upTo]
	if total <= 0 {
		return 0
	}
	want := p * total
	lower, seen := 0.0, 0.0
	for _, b := range after {
		n := b.count - old[b.upTo]
		if n >= want {
			if math.IsInf(b.upTo, 1) || n == seen {
				return lower
			}
			return lower + (b.upTo-lower)*(want-seen)/(n-seen)
		}
		lower, seen = b.upTo, n
	}
	return lower
}
