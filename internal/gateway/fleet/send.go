package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"strconv"
	"time"

	"github.com/coder/quartz"
)

// sending is a request on its way, through all its tries.
type sending struct {
	want   Want
	caller *catcher
}

type sendingKey struct{}

// sender is the transport of the reverse proxy: it chooses an instance, and another when that one fails.
type sender struct{ p *Proxy }

func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// RoundTrip implements http.RoundTripper. A request is sent again, to another instance and at most twice, when
//
//   - it cannot have been received: no connection was made, and nothing of its body was read from the caller; or
//   - it may be received twice (a safe method, or an Idempotency-Key with a body that could be kept), and the instance broke
//     off before it answered, or answered 502 or 503 while it drains.
//
// Each time waits twice as long, more or less by chance.
func (s sender) RoundTrip(r *http.Request) (*http.Response, error) {
	p := s.p
	st, ok := r.Context().Value(sendingKey{}).(*sending)
	if !ok {
		return nil, errors.New("fleet: a request that did not come through the proxy")
	}
	body, twice, err := p.keep(r)
	if err != nil {
		return nil, err
	}
	lease, err := p.f.Pick(st.want)
	if err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		a := &attempt{p: p, lease: lease, body: body(), caller: st.caller}
		resp, err := a.do(r)
		p.count(resp)
		again := try < mostRetries && r.Context().Err() == nil && (a.untouched(err) || twice && a.unanswered(resp, err))
		if !again {
			return resp, err
		}
		st.want.Not = append(st.want.Not, lease.ID)
		next, lack := p.f.Pick(st.want)
		if lack != nil {
			return resp, err // what the last one said tells more
		}
		if resp != nil {
			_ = resp.Body.Close()
		}
		if cut := p.pause(r.Context(), try); cut != nil {
			next.Done()
			return nil, cut
		}
		p.f.metrics.retries.WithLabelValues(p.c.Role).Inc()
		lease = next
	}
}

// keep gives the body for each try, and whether the request may be received twice. A small body of a request that bears an
// Idempotency-Key is read whole before.
func (p *Proxy) keep(r *http.Request) (body func() *outBody, twice bool, err error) {
	keyed := r.Header.Get("Idempotency-Key") != ""
	switch {
	case r.Body == nil || r.Body == http.NoBody:
		return func() *outBody { return nil }, safe(r.Method) || keyed, nil
	case !keyed || r.ContentLength < 0 || r.ContentLength > maxReplay:
		return func() *outBody { return &outBody{from: r.Body} }, false, nil
	}
	kept := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, kept); err != nil {
		return nil, false, fmt.Errorf("read the caller's body: %w", err)
	}
	return func() *outBody { return &outBody{from: bytes.NewReader(kept)} }, true, nil
}

// pause waits before try+1.
func (p *Proxy) pause(ctx context.Context, try int) error {
	wait := time.Duration(float64(firstBackoff<<try) * (0.5 + p.f.c.Rand()))
	return pause(ctx, p.f.c.Clock, wait, "backoff")
}

// pause waits for d, or for the end of ctx, whose error it gives. The tag names the timer to a clock of tests.
func pause(ctx context.Context, clock quartz.Clock, d time.Duration, tag string) error {
	t := clock.NewTimer(d, "fleet", tag)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func (p *Proxy) count(resp *http.Response) {
	if resp != nil {
		p.f.metrics.requests.WithLabelValues(p.c.Role, strconv.Itoa(resp.StatusCode/100)+"xx").Inc()
	}
}

// quiet drops what httputil would print: failures are ours to log.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
