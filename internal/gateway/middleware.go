package gateway

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/parley-voice/parley/internal/identity"
)

const (
	maxBody = 4 << 20 // of a request; an operation may declare more (MaxBodyBytes)
	// A body has this long, and longer the more it may hold: who sends slower than bodyRate holds a connection for nothing.
	bodyTime = 30 * time.Second
	bodyRate = 64 << 10 // bytes a second
	// An answer may take any time as long as each part of it is taken within this: downloads and streams go on, a
	// client that stopped reading does not hold the connection.
	writeTime  = 30 * time.Second
	writeRenew = 5 * time.Second // how often the deadline is moved while an answer is written
)

// csp lets the UI run from our own origin only. Styles are inline because the component library sets
// CSS variables on elements; scripts are never inline.
const csp = "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; style-src 'self' 'unsafe-inline'; " +
	"font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'"

// secureHeaders are on every answer.
func (s *Server) secureHeaders(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Content-Security-Policy", csp)
	h.Set("Permissions-Policy", "microphone=(self), camera=(), geolocation=()")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if s.cfg.Secure {
		h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	}
}

func (s *Server) middleware(next http.Handler) http.Handler {
	next = compress(s.cfg.CORS.preflight(next))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := s.cfg.Clock.Now()
		id := requestID(r)
		w.Header().Set("X-Request-Id", id)
		s.secureHeaders(w.Header())
		addr := s.cfg.Proxies.client(r)
		ip := addr.String()
		ctx := identity.WithOrigin(r.Context(), &identity.Origin{IP: ip, UserAgent: userAgent(r), RequestID: id, Held: identity.HeldBy(r)})
		ctx, span := s.begin(ctx, r)
		rec := &recorder{ResponseWriter: w, ctl: http.NewResponseController(w)}
		if r.Body != nil && r.Body != http.NoBody {
			b := &body{ReadCloser: r.Body, w: w, ctl: rec.ctl, most: maxBody}
			ctx = context.WithValue(ctx, bodyKey{}, b)
			r = r.WithContext(ctx)
			r.Body = b
		} else {
			r = r.WithContext(ctx)
		}
		defer func() {
			p := recover()
			if p != nil && p != http.ErrAbortHandler {
				s.cfg.Log.Error("request panicked", "route", r.Pattern, "panic", p, "stack", stack(), "request", id)
				if rec.status == 0 {
					http.Error(rec, "something went wrong on our side; it was logged", http.StatusInternalServerError)
				}
			}
			rec.finish()
			s.account(r, rec, ip, id, s.cfg.Clock.Since(start))
			endSpan(span, r, rec.code(), id)
			if p == http.ErrAbortHandler {
				panic(p) // else an answer that broke off would look whole
			}
		}()
		if s.cfg.Limits.refuseAddress(rec, r, addr) {
			return
		}
		next.ServeHTTP(rec, r)
	})
}

// account counts a request and logs it: by the pattern of its route, because paths and queries may hold tokens. Whoever asked
// stands beside it, so that who tries what is refused (400, 403, 422, 429) is found.
func (s *Server) account(r *http.Request, rec *recorder, ip, id string, took time.Duration) {
	if s.cfg.Observe != nil {
		s.cfg.Observe(r.Method, r.Pattern, rec.code(), took.Seconds())
	}
	level := slog.LevelInfo
	if !strings.Contains(r.Pattern, " /api/") && !strings.Contains(r.Pattern, " /carriers/") {
		level = slog.LevelDebug // the UI's files, health, metrics
	}
	attrs := []slog.Attr{slog.String("method", r.Method), slog.String("route", r.Pattern), slog.Int("status", rec.code()),
		slog.Float64("ms", float64(took.Microseconds())/1000), slog.Int64("bytes", rec.bytes), slog.String("remote", ip), slog.String("request", id)}
	if o := identity.OriginOf(r.Context()); o.OrgID != "" {
		attrs = append(attrs, slog.String("organisation", o.OrgID), slog.String("user", o.UserID))
		if o.TokenID != "" {
			attrs = append(attrs, slog.String("api-token", o.TokenID))
		}
	}
	s.cfg.Log.LogAttrs(r.Context(), level, "request", attrs...)
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

// body is a request's body with its limit and its deadline. The deadline ends with the body: net/http would else end the
// request's context by it while the handler works.
type body struct {
	io.ReadCloser
	w       http.ResponseWriter
	ctl     *http.ResponseController
	most    int64
	started bool
}

type bodyKey struct{}

// raiseBody lets the body of a request be larger, before it is read.
func raiseBody(ctx context.Context, most int64) {
	if b, ok := ctx.Value(bodyKey{}).(*body); ok && most > b.most {
		b.most = most
	}
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if !b.started {
		b.started = true
		b.ReadCloser = http.MaxBytesReader(b.w, b.ReadCloser, b.most)
		// Deadlines of sockets are real time, whatever the server's clock.
		_ = b.ctl.SetReadDeadline(time.Now().Add(bodyTime + time.Duration(b.most/bodyRate)*time.Second))
	}
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		_ = b.ctl.SetReadDeadline(time.Time{})
	}
	return n, err
}

// recorder remembers the status and size, and moves the deadline of writing. It passes on what WebSockets and streams
// need.
type recorder struct {
	http.ResponseWriter
	ctl     *http.ResponseController
	status  int
	bytes   int64
	renewed time.Time
}

// renew moves the deadline: sockets' are real time, and stay with a connection that is used again.
func (r *recorder) renew() {
	if now := time.Now(); now.Sub(r.renewed) > writeRenew {
		r.renewed = now
		_ = r.ctl.SetWriteDeadline(now.Add(writeTime))
	}
}

// finish moves the deadline of an answer that has only headers, which the server writes itself.
func (r *recorder) finish() {
	if r.status != http.StatusSwitchingProtocols {
		r.renew()
	}
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(code int) {
	if r.status == 0 && code >= http.StatusOK {
		r.status = code
	}
	r.renew()
	r.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	r.renew()
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// Hijack implements http.Hijacker.
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	r.status = http.StatusSwitchingProtocols
	return r.ctl.Hijack()
}

// Flush implements http.Flusher.
func (r *recorder) Flush() {
	r.renew()
	_ = r.ctl.Flush()
}

// Unwrap lets http.ResponseController find the writer.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) code() int {
	if r.status == 0 {
		return http.StatusOK
	}
	return r.status
}
