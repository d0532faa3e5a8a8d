package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	httpTimeout = 30 * time.Second
	httpConns   = 64
	maxFailures = 5 // that a report tells of
)

// HTTPConfig is a load of API requests: so many a second, each at its time, whether those before it were answered or not.
type HTTPConfig struct {
	URL      string
	Tokens   []string // API tokens that take turns; none: no sign-in
	Rate     float64  // requests a second
	Duration time.Duration
	Warm     time.Duration // before it, not measured
	Client   *http.Client  // nil is one of its own
}

// HTTPReport is what an HTTP load measured. A request's time counts from when it was due, so that a server which stands still
// for a moment is not spared the requests it kept waiting.
type HTTPReport struct {
	Requests int           `json:"requests"`
	Failed   int           `json:"failed"`
	Failures []string      `json:"failures,omitempty"` // the first ones
	P50      time.Duration `json:"p50"`
	P90      time.Duration `json:"p90"`
	P99      time.Duration `json:"p99"`
	Max      time.Duration `json:"max"`
	Late     time.Duration `json:"late"` // the generator: the longest between when a request was due and when it was sent
}

type httpSample struct {
	took, late time.Duration
	err        error
}

// HTTP makes the load.
func HTTP(ctx context.Context, c HTTPConfig) (HTTPReport, error) {
	if c.URL == "" || c.Rate <= 0 || c.Duration <= 0 {
		return HTTPReport{}, errors.New("an HTTP load needs a URL, a rate and a duration")
	}
	if c.Client == nil {
		t := &http.Transport{MaxIdleConnsPerHost: httpConns, MaxConnsPerHost: httpConns, DialContext: (&net.Dialer{Timeout: httpTimeout}).DialContext}
		defer t.CloseIdleConnections()
		c.Client = &http.Client{Transport: t, Timeout: httpTimeout}
	}
	every := time.Duration(float64(time.Second) / c.Rate)
	total := int((c.Warm + c.Duration) / every)
	warm := int(c.Warm / every)
	samples := make([]httpSample, total)
	var wg sync.WaitGroup
	began := time.Now()
	for i := range total {
		due := began.Add(time.Duration(i) * every)
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
		}
		if ctx.Err() != nil {
			return HTTPReport{}, ctx.Err()
		}
		token := ""
		if len(c.Tokens) > 0 {
			token = c.Tokens[i%len(c.Tokens)]
		}
		wg.Go(func() {
			s := &samples[i]
			s.late = time.Since(due)
			s.err = c.one(ctx, token)
			s.took = time.Since(due)
		})
	}
	wg.Wait()
	return summary(samples[warm:]), nil
}

func (c *HTTPConfig) one(ctx context.Context, token string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL, nil)
	if err != nil {
		return err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := c.Client.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %.200s", res.Status, b)
	}
	return err
}

func summary(samples []httpSample) HTTPReport {
	r := HTTPReport{Requests: len(samples)}
	took := make([]time.Duration, 0, len(samples))
	for _, s := range samples {
		r.Late = max(r.Late, s.late)
		if s.err != nil {
			if r.Failed++; len(r.Failures) < maxFailures {
				r.Failures = append(r.Failures, s.err.Error())
			}
			continue
		}
		took = append(took, s.took)
	}
	slices.Sort(took)
	at := func(share float64) time.Duration {
		if len(took) == 0 {
			return 0
		}
		return took[min(len(took)-1, int(share*float64(len(took))))]
	}
	r.P50, r.P90, r.P99, r.Max = at(0.50), at(0.90), at(0.99), at(1)
	return r
}
