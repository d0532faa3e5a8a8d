package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/quartz"
)

// errTooSlow ends a try in which nothing crossed for too long.
var errTooSlow = errors.New("fleet: the instance was too slow")

// attempt is one try of a request with one instance.
type attempt struct {
	p      *Proxy
	lease  *Lease
	body   *outBody // nil without one
	caller *catcher

	connected atomic.Bool
	dog       *watchdog
	cancel    context.CancelCauseFunc
}

// do sends the request. The lease ends with the answer's body, or here when there is no answer.
func (a *attempt) do(r *http.Request) (*http.Response, error) {
	out, err := a.request(r)
	if err != nil {
		a.end(Unjudged)
		return nil, err
	}
	resp, err := a.p.transport.RoundTrip(out)
	if err != nil {
		if cause := context.Cause(out.Context()); errors.Is(cause, errTooSlow) {
			err = cause
		}
		a.end(a.judge(r, err))
		return nil, err
	}
	resp.Request = r
	a.lease.Judge(a.status(resp))
	if resp.StatusCode == http.StatusSwitchingProtocols {
		if err := a.upgrade(resp, a.caller); err != nil {
			return nil, err
		}
		return resp, nil
	}
	a.dog.allow(a.p.c.IdleTimeout)
	a.dog.rest()
	resp.Body = &inBody{from: resp.Body, a: a, caller: r.Context()}
	return resp, nil
}

// request addresses the request to the instance.
func (a *attempt) request(r *http.Request) (*http.Request, error) {
	u, err := parseURL(a.lease.URL)
	if err != nil {
		return nil, err
	}
	if a.p.c.TLS != nil && u.Scheme != "https" {
		return nil, fmt.Errorf("fleet: %s announces %s, which is not encrypted", a.lease.ID, u)
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	a.cancel = cancel
	a.dog = newWatchdog(a.p.f.c.Clock, a.p.c.HeaderTimeout, func() { cancel(errTooSlow) })
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { a.connected.Store(true) }})
	out := r.Clone(ctx)
	// Path and query are the caller's; where they go is not.
	out.URL = &url.URL{Scheme: u.Scheme, Host: u.Host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
	if a.body != nil {
		a.body.dog = a.dog
		out.Body = a.body
	}
	if a.p.c.Authorize != nil {
		if err := a.p.c.Authorize(out, a.lease.Instance); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// judge says what a failure tells of the instance: nothing, when it was the caller who went away or sent too much.
func (a *attempt) judge(r *http.Request, err error) Outcome {
	switch {
	case r.Context().Err() != nil || a.body != nil && a.body.failed.Load():
		return Unjudged
	case !a.connected.Load() && !errors.Is(err, errTooSlow):
		return Refused
	}
	return Bad
}

// status says what an answer tells of the instance. One that drains is well.
func (a *attempt) status(resp *http.Response) Outcome {
	switch {
	case resp.StatusCode < http.StatusInternalServerError || resp.StatusCode == http.StatusNotImplemented:
		return Good
	case a.drains(resp):
		return Unjudged
	}
	return Bad
}

// drains reports whether the instance takes no new work: it says so, or has announced it.
func (a *attempt) drains(resp *http.Response) bool {
	return resp.Header.Get(DrainingHeader) != "" || a.p.f.draining(a.lease.ID)
}

func (f *Fleet) draining(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.peers[id]
	return p != nil && p.Draining
}

// untouched reports whether the request cannot have been received.
func (a *attempt) untouched(err error) bool {
	return err != nil && !a.connected.Load() && (a.body == nil || !a.body.read.Load())
}

// unanswered reports whether the instance did not deal with the request, as far as one can tell.
func (a *attempt) unanswered(resp *http.Response, err error) bool {
	if err != nil {
		// One who took too long may take as long elsewhere: the caller has waited enough.
		return !errors.Is(err, errTooSlow) && (a.body == nil || !a.body.failed.Load())
	}
	return (resp.StatusCode == http.StatusBadGateway || resp.StatusCode == http.StatusServiceUnavailable) && a.drains(resp)
}

// end gives the lease back.
func (a *attempt) end(o Outcome) {
	if a.dog != nil {
		a.dog.stop()
		a.cancel(nil)
	}
	a.lease.Judge(o)
	a.lease.Done()
}

// outBody is a request's body on its way to an instance, in one try. The transport closes it; the caller's own stays open.
// While it waits for the caller nobody says that the instance is slow.
type outBody struct {
	from   io.Reader
	dog    *watchdog
	read   atomic.Bool // some of it was read
	failed atomic.Bool // the caller's end failed
	over   atomic.Bool // all of it was read
}

// Read implements io.Reader.
func (b *outBody) Read(buf []byte) (int, error) {
	b.read.Store(true)
	b.dog.rest()
	n, err := b.from.Read(buf)
	b.dog.pat()
	if err == io.EOF {
		b.over.Store(true)
	} else if err != nil {
		b.failed.Store(true)
	}
	return n, err
}

// Close implements io.Closer.
func (b *outBody) Close() error { return nil }

// inBody is an answer's body on its way to the caller.
type inBody struct {
	from   io.ReadCloser
	a      *attempt
	caller context.Context //nolint:containedctx // of the request that this body answers
	once   sync.Once
}

// Read implements io.Reader.
func (b *inBody) Read(buf []byte) (int, error) {
	b.a.dog.pat()
	n, err := b.from.Read(buf)
	b.a.dog.rest() // whoever reads may be slower than the instance
	if err != nil && err != io.EOF && b.caller.Err() == nil {
		b.a.broke()
	}
	return n, err
}

// broke tells of an answer that broke off.
func (a *attempt) broke() {
	a.p.f.c.Log.Warn("an answer of an instance broke off", "id", a.lease.ID, "role", a.lease.Role)
	if a.body == nil || a.body.over.Load() { // else it may have waited for the caller
		a.lease.spoil()
	}
}

// Close implements io.Closer.
func (b *inBody) Close() error {
	err := b.from.Close()
	b.once.Do(func() { b.a.end(Unjudged) })
	return err
}

// watchdog calls a function when nobody patted it for a time, but for when it rests.
type watchdog struct {
	timer   *quartz.Timer
	limit   atomic.Int64
	stopped atomic.Bool
}

func newWatchdog(clock quartz.Clock, limit time.Duration, bite func()) *watchdog {
	d := &watchdog{}
	d.limit.Store(int64(limit))
	d.timer = clock.AfterFunc(limit, bite, "fleet", "watchdog")
	return d
}

// allow changes the time, from the next pat on.
func (d *watchdog) allow(limit time.Duration) { d.limit.Store(int64(limit)) }

func (d *watchdog) pat() {
	if !d.stopped.Load() {
		d.timer.Reset(time.Duration(d.limit.Load()))
	}
}

func (d *watchdog) rest() { d.timer.Stop() }

func (d *watchdog) stop() {
	d.stopped.Store(true)
	d.timer.Stop()
}
