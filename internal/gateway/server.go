package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coder/quartz"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/parley-voice/parley/internal/gateway/certs"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	shutdownTimeout   = 10 * time.Second
)

// Config is what New needs.
type Config struct {
	Addr    string
	Handler http.Handler  // everything mounted; the middleware is put around it
	Certs   *certs.Source // nil: plain HTTP, for this machine or behind a proxy that does TLS
	// RedirectAddr answers plain HTTP with a redirect to https, and ACME's challenges; "" does not listen.
	RedirectAddr string
	PublicURL    string  // where the outside reaches us; its https form is where redirects go
	Secure       bool    // reached over https: HSTS
	Proxies      Proxies // whose word on the caller's address counts
	Limits       *Limits // nil limits nothing
	CORS         *CORS   // nil allows no other origin
	Clock        quartz.Clock
	Log          *slog.Logger
	// Observe is told of every request: method, route pattern, status, seconds.
	Observe func(method, route string, status int, seconds float64)
	// Tracer makes a span of each request. nil makes none.
	Tracer trace.Tracer
}

// Server listens. Close is safe before Listen, and twice.
type Server struct {
	cfg      Config
	srv      *http.Server
	ln       net.Listener
	redirect *http.Server // nil without RedirectAddr
	plain    net.Listener
}

// New makes a server that does not listen yet.
func New(c Config) *Server {
	if c.Tracer == nil {
		c.Tracer = noop.NewTracerProvider().Tracer("")
	}
	s := &Server{cfg: c}
	s.srv = s.server(s.middleware(c.Handler))
	if c.Certs != nil {
		s.srv.TLSConfig = c.Certs.TLS()
	}
	if c.RedirectAddr != "" {
		var h http.Handler = http.HandlerFunc(s.toHTTPS)
		if c.Certs != nil {
			h = c.Certs.Challenge(h)
		}
		s.redirect = s.server(h)
	}
	return s
}

func (s *Server) server(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
	}
}

// Listen takes the addresses; Addr and RedirectAddr are known afterwards.
func (s *Server) Listen() (err error) {
	if s.ln, err = net.Listen("tcp", s.cfg.Addr); err != nil {
		return err
	}
	if s.redirect == nil {
		return nil
	}
	if s.plain, err = net.Listen("tcp", s.cfg.RedirectAddr); err != nil {
		_ = s.ln.Close()
		return &RedirectError{err}
	}
	return nil
}

// RedirectError says that it is the address of the redirects that cannot be listened on.
type RedirectError struct{ Err error }

// Error implements error.
func (e *RedirectError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *RedirectError) Unwrap() error { return e.Err }

// Addr is the address listened on.
func (s *Server) Addr() string { return s.ln.Addr().String() }

// RedirectAddr is the address whose requests are sent to https; "" when there is none.
func (s *Server) RedirectAddr() string {
	if s.plain == nil {
		return ""
	}
	return s.plain.Addr().String()
}

// Serve answers requests until Close.
func (s *Server) Serve() error {
	failed := make(chan error, 2)
	n := 1
	go func() {
		if s.cfg.Certs != nil {
			failed <- s.srv.ServeTLS(s.ln, "", "") // HTTP/2 by ALPN
			return
		}
		failed <- s.srv.Serve(s.ln)
	}()
	if s.redirect != nil {
		n++
		go func() { failed <- s.redirect.Serve(s.plain) }()
	}
	var first error
	for range n {
		if err := <-failed; !errors.Is(err, http.ErrServerClosed) && first == nil {
			first = err
			_ = s.closeNow() // the other must not go on alone
		}
	}
	return first
}

func (s *Server) closeNow() error {
	err := s.srv.Close()
	if s.redirect != nil {
		err = errors.Join(err, s.redirect.Close())
	}
	return err
}

// Close stops listening, lets requests under way finish for some seconds and closes the rest.
func (s *Server) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, shutdownTimeout)
	defer cancel()
	if s.redirect != nil {
		_ = s.redirect.Close() // redirects are not worth waiting for
	}
	if err := s.srv.Shutdown(ctx); err != nil {
		return s.srv.Close()
	}
	for _, ln := range []net.Listener{s.ln, s.plain} {
		if ln != nil {
			_ = ln.Close()
		}
	}
	return nil
}

// toHTTPS sends a browser to the https address. A request that changes something, or that shows a secret, is refused
// instead: what it carried has crossed the network in the clear, and a redirect would hide that.
func (s *Server) toHTTPS(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Connection", "close")
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead
	if !safe || r.Header.Get("Authorization") != "" || strings.HasPrefix(r.URL.Path, "/api/") {
		WriteProblem(w, fault.New(fault.Forbidden, "use https: what this request carried was sent in the clear, so replace its token or password"))
		return
	}
	http.Redirect(w, r, "https://"+s.secureHost(r)+r.URL.RequestURI(), http.StatusPermanentRedirect)
}

// secureHost is the host, with its port where that is not https' own, that redirects name.
func (s *Server) secureHost(r *http.Request) string {
	if u, err := url.Parse(s.cfg.PublicURL); err == nil && u.Scheme == "https" && u.Host != "" {
		return u.Host
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(r.Host); err == nil {
		host = h
	}
	if _, port, err := net.SplitHostPort(s.Addr()); err == nil && port != "443" {
		return net.JoinHostPort(strings.Trim(host, "[]"), port)
	}
	return host
}
