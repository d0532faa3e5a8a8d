package gateway

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/identity"
)

const (
	maxBody           = 4 << 20
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	shutdownTimeout   = 10 * time.Second
)

// Config is what New needs.
type Config struct {
	Addr    string
	Handler http.Handler // everything mounted; the middleware is put around it
	Secure  bool         // reached over https: cookies and HSTS
	Proxies Proxies      // whose word on the caller's address counts
	Clock   quartz.Clock
	Log     *slog.Logger
	// Observe is told of every request: method, route pattern, status, seconds.
	Observe func(method, route string, status int, seconds float64)
}

// Server listens. Close is safe before Listen, and twice.
type Server struct {
	cfg Config
	srv *http.Server
	ln  net.Listener
}

// New makes a server that does not listen yet.
func New(c Config) *Server {
	s := &Server{cfg: c}
	s.srv = &http.Server{
		Handler:           s.middleware(c.Handler),
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
	}
	return s
}

// Listen takes the address; Addr is known afterwards.
func (s *Server) Listen() error {
	ln, err := net.Listen("tcp", s.cfg.Addr)
	if err != nil {
		return err
	}
	s.ln = ln
	return nil
}

// Addr is the address listened on.
func (s *Server) Addr() string { return s.ln.Addr().String() }

// Serve answers requests until Close.
func (s *Server) Serve() error {
	if err := s.srv.Serve(s.ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Close stops listening, lets requests under way finish for some seconds and closes the rest.
func (s *Server) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, shutdownTimeout)
	defer cancel()
	if err := s.srv.Shutdown(ctx); err != nil {
		return s.srv.Close()
	}
	if s.ln != nil {
		_ = s.ln.Close()
	}
	return nil
}

// csp lets the UI run from our own origin only. Styles are inline because the component library sets
// CSS variables on elements; scripts are never inline.
const csp = "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; style-src 'self' 'unsafe-inline'; " +
	"font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; frame-ancestors 'none'; base-uri 'self'; form-action 'self'; object-src 'none'"

func (s *Server) middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := s.cfg.Clock.Now()
		id := requestID(r)
		h := w.Header()
		h.Set("X-Request-Id", id)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Content-Security-Policy", csp)
		h.Set("Permissions-Policy", "microphone=(self), camera=(), geolocation=()")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		if s.cfg.Secure {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		}
		ip := s.cfg.Proxies.client(r).String()
		r = r.WithContext(identity.WithOrigin(r.Context(), &identity.Origin{IP: ip, UserAgent: userAgent(r), RequestID: id}))
		rec := &recorder{ResponseWriter: w}
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler {
				s.cfg.Log.Error("request panicked", "path", r.URL.Path, "panic", p, "stack", stack(), "request", id)
				if rec.status == 0 {
					http.Error(rec, "something went wrong on our side; it was logged", http.StatusInternalServerError)
				}
			}
			took := s.cfg.Clock.Since(start)
			if s.cfg.Observe != nil {
				s.cfg.Observe(r.Method, r.Pattern, rec.code(), took.Seconds())
			}
			s.cfg.Log.Debug("request", "method", r.Method, "path", r.URL.Path, "status", rec.code(), "ms", took.Milliseconds(),
				"remote", ip, "request", id)
		}()
		next.ServeHTTP(rec, r)
	})
}

// requestID keeps a caller's id when it is harmless, so that logs of several systems can be joined.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	if len(id) > 0 && len(id) <= 64 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == "" {
		return id
	}
	var b [8]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// userAgent is kept for the audit trail; more of it than a browser sends is of no use.
func userAgent(r *http.Request) string {
	const most = 300
	return strings.ToValidUTF8(r.UserAgent()[:min(len(r.UserAgent()), most)], "")
}

func stack() string { return string(debug.Stack()) }

// recorder remembers the status. It passes on what WebSockets and streams need.
type recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(code int) {
	if r.status == 0 {
		r.status = code
	}
	r.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Hijack implements http.Hijacker.
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	r.status = http.StatusSwitchingProtocols
	return http.NewResponseController(r.ResponseWriter).Hijack()
}

// Flush implements http.Flusher.
func (r *recorder) Flush() { _ = http.NewResponseController(r.ResponseWriter).Flush() }

// Unwrap lets http.ResponseController find the writer.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) code() int {
	if r.status == 0 {
		return http.StatusOK
	}
	return r.status
}
