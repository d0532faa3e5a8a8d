package fleet

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Bounds of a Proxy unless its config says otherwise.
const (
	dialTimeout    = 2 * time.Second
	tlsTimeout     = 3 * time.Second
	headerTimeout  = 30 * time.Second
	idleTimeout    = 30 * time.Second
	socketIdle     = 2 * time.Minute
	keepIdle       = 90 * time.Second
	maxIdlePerHost = 64
	maxHeaderBytes = 64 << 10
	maxBody        = 4 << 20
	maxReplay      = 256 << 10
	mostRetries    = 2
	firstBackoff   = 25 * time.Millisecond
)

// ProxyConfig is what Fleet.Proxy needs. Zero values are the defaults named.
type ProxyConfig struct {
	Role  string // whose instances answer
	Takes bool   // each request takes one of the role's places for calls
	// Want adds what else a request asks of the instance: its organisation's region, the holder of a call. nil adds nothing.
	// An error is answered as it is.
	Want func(r *http.Request, w *Want) error
	// Authorize adds the proof of who sends, before each try: a token for that instance. What the caller sent as Authorization
	// and Cookie is in the request still; Authorize removes what the instance must not see. nil adds nothing.
	Authorize func(r *http.Request, to Instance) error
	// TLS is how instances are spoken to, with our own certificate where they ask for one. With it, an instance with an http
	// address is never sent anything. nil: what the system trusts.
	TLS *tls.Config
	// Fail answers what could not be answered by an instance; the error is a fault. Required.
	Fail func(w http.ResponseWriter, err error)

	HeaderTimeout time.Duration // until an answer begins, after the request was sent; 30 s
	IdleTimeout   time.Duration // in which some of a request or an answer must cross; 30 s
	SocketIdle    time.Duration // the same of a WebSocket, whose ends ping each other; 2 min
	MaxBody       int64         // of a request; 4 MiB
}

func (c *ProxyConfig) defaults() {
	def := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	def(&c.HeaderTimeout, headerTimeout)
	def(&c.IdleTimeout, idleTimeout)
	def(&c.SocketIdle, socketIdle)
	if c.MaxBody == 0 {
		c.MaxBody = maxBody
	}
}

// Proxy sends requests to the instances of a role. Close ends its WebSockets and its idle connections.
type Proxy struct {
	c         ProxyConfig
	f         *Fleet
	reverse   *httputil.ReverseProxy
	transport *http.Transport

	mu      sync.Mutex
	sockets map[*upgraded]struct{}
	empty   chan struct{} // closed when the last of sockets ends; nil when nobody waits for it
	closed  bool
}

// Proxy makes a handler in front of a role.
func (f *Fleet) Proxy(c ProxyConfig) (*Proxy, error) {
	c.defaults()
	if c.Role == "" || c.Fail == nil {
		return nil, errors.New("fleet: a proxy needs a role, and who answers for failures")
	}
	p := &Proxy{c: c, f: f, sockets: map[*upgraded]struct{}{}}
	dialer := &net.Dialer{Timeout: dialTimeout, Control: control}
	p.transport = &http.Transport{
		Proxy:       nil, // the environment does not redirect what is said between our processes
		DialContext: dialer.DialContext, TLSClientConfig: c.TLS.Clone(), TLSHandshakeTimeout: tlsTimeout,
		MaxIdleConnsPerHost: maxIdlePerHost, IdleConnTimeout: keepIdle, MaxResponseHeaderBytes: maxHeaderBytes,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true,  // what the caller accepts is the caller's
		ForceAttemptHTTP2:     false, // a WebSocket needs HTTP/1.1 (RFC 6455 section 4.1)
	}
	p.reverse = &httputil.ReverseProxy{
		Rewrite: p.rewrite, Transport: sender{p}, ModifyResponse: p.answered, ErrorHandler: p.fail, ErrorLog: quiet(), BufferPool: buffers{},
	}
	return p, nil
}

// copied are the buffers that answers are copied through: as large as httputil's own, which it makes for each request.
var copied = sync.Pool{New: func() any { return new([32 << 10]byte) }}

type buffers struct{}

// Get implements httputil.BufferPool.
func (buffers) Get() []byte { return copied.Get().(*[32 << 10]byte)[:] } //nolint:forcetypeassert // nothing else is in it

// Put implements httputil.BufferPool.
func (buffers) Put(b []byte) {
	if len(b) == 32<<10 {
		copied.Put((*[32 << 10]byte)(b))
	}
}

// control refuses addresses at which no instance can be, also those that a name led to.
func control(_, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil || !reachable(a.Addr()) {
		return fmt.Errorf("fleet: nobody serves at %s", address)
	}
	return nil
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	want := Want{Role: p.c.Role, Takes: p.c.Takes, Probe: safe(r.Method) && !p.c.Takes}
	if p.c.Want != nil {
		if err := p.c.Want(r, &want); err != nil {
			p.c.Fail(w, err)
			return
		}
	}
	s := &sending{want: want, caller: &catcher{ResponseWriter: w}}
	if r.Body != nil && r.Body != http.NoBody {
		if r.ContentLength > p.c.MaxBody {
			p.c.Fail(w, tooLarge(p.c.MaxBody))
			return
		}
		if r.ContentLength < 0 {
			// Its end may depend on the answer's beginning.
			_ = http.NewResponseController(w).EnableFullDuplex()
		}
		r.Body = http.MaxBytesReader(w, r.Body, p.c.MaxBody)
	}
	p.reverse.ServeHTTP(s.caller, r.WithContext(context.WithValue(r.Context(), sendingKey{}, s)))
}

// rewrite makes the request that crosses, but for the instance's address. Hop-by-hop headers are gone by now.
func (p *Proxy) rewrite(pr *httputil.ProxyRequest) {
	origin := identity.OriginOf(pr.In.Context())
	proto := "http"
	if pr.In.TLS != nil {
		proto = "https"
	}
	client := origin.IP
	if client == "" {
		client, _, _ = net.SplitHostPort(pr.In.RemoteAddr)
	}
	setForwarded(pr.Out.Header, client, pr.In.Host, proto)
	addVia(pr.Out.Header, pr.In.Proto)
	if origin.RequestID != "" {
		pr.Out.Header.Set("X-Request-Id", origin.RequestID)
	}
	pr.Out.URL.Scheme, pr.Out.URL.Host = "", "" // only an instance's address is ever put here
}

// answered makes the answer's headers the caller's. What we had set already gives way to what the instance says, unless
// both belong there; what processes tell each other stays among them.
func (p *Proxy) answered(resp *http.Response) error {
	s, ok := resp.Request.Context().Value(sendingKey{}).(*sending)
	if !ok {
		return nil
	}
	for name := range resp.Header {
		switch {
		case strings.HasPrefix(name, ownPrefix):
			resp.Header.Del(name)
		case name == "X-Request-Id" && s.caller.Header().Get(name) != "":
			resp.Header.Del(name)
		case name != "Set-Cookie" && name != "Vary":
			s.caller.Header().Del(name)
		}
	}
	return nil
}

// fail answers when no instance did.
func (p *Proxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil && context.Cause(r.Context()) == context.Canceled {
		p.f.metrics.requests.WithLabelValues(p.c.Role, "gone").Inc()
		panic(http.ErrAbortHandler) // nobody listens
	}
	var nobody *NobodyError
	var large *http.MaxBytesError
	var f *fault.Error
	switch {
	case errors.As(err, &nobody):
		w.Header().Set("Retry-After", fmt.Sprint(int(nobody.After/time.Second)))
		err = nobody.fault
	case errors.As(err, &large):
		err = tooLarge(p.c.MaxBody)
	case errors.Is(err, errTooSlow):
		p.f.metrics.requests.WithLabelValues(p.c.Role, "timeout").Inc()
		err = fault.Wrap(fault.Timeout, err, "the %s process took too long; look whether it was done before you try again", p.c.Role)
	case errors.As(err, &f):
	default:
		p.f.metrics.requests.WithLabelValues(p.c.Role, "failed").Inc()
		err = fault.Wrap(fault.Upstream, err, "the %s process did not answer; look whether it was done before you try again", p.c.Role)
	}
	p.f.c.Log.Warn("request not answered by an instance", "role", p.c.Role, "error", err)
	p.c.Fail(w, err)
}

func tooLarge(most int64) error {
	return fault.New(fault.TooLarge, "the body is larger than %d bytes; send less at once", most)
}

// Sockets is how many WebSockets cross.
func (p *Proxy) Sockets() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sockets)
}

// Wait waits until no WebSocket crosses, or ctx ends: what crosses may be a call. A process that drains takes no new ones, because
// nobody sends them to it.
func (p *Proxy) Wait(ctx context.Context) error {
	p.mu.Lock()
	if len(p.sockets) == 0 {
		p.mu.Unlock()
		return nil
	}
	if p.empty == nil {
		p.empty = make(chan struct{})
	}
	empty := p.empty
	p.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends what crosses. It is safe twice.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	open := make([]*upgraded, 0, len(p.sockets))
	for u := range p.sockets {
		open = append(open, u)
	}
	p.mu.Unlock()
	for _, u := range open {
		_ = u.Close()
	}
	p.transport.CloseIdleConnections()
}
