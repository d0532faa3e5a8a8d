package gateway

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// Elsewhere finds who answers an operation instead of this process, when another one has what it is about; nil is this one. It
// is asked once the caller may do what they ask for, and the limits and the Idempotency-Key were looked at: all that is
// left is the operation itself. An error is the answer.
type Elsewhere func(ctx huma.Context) (http.Handler, error)

// Unanswered is the header by which a handler says that nobody answered it, with an answer that tells why.
const Unanswered = "Parley-Unanswered"

// Optional is a handler whose answer is better than this process's own, which is given when nobody answers.
type Optional struct{ http.Handler }

func (e Elsewhere) middleware(api huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		if e == nil {
			next(ctx)
			return
		}
		h, err := e(ctx)
		switch {
		case err != nil:
			f := faultOf(err)
			_ = huma.WriteErr(api, ctx, f.Status, f.Message, f)
			return
		case h == nil:
			next(ctx)
			return
		}
		r, _ := humago.Unwrap(ctx)
		r = r.Clone(ctx.Context())
		// The key was used here: what is sent twice to two processes would be done twice.
		r.Header.Del("Idempotency-Key")
		w := &contextWriter{ctx: ctx, header: http.Header{}}
		_, w.optional = h.(Optional)
		h.ServeHTTP(w, r)
		if w.declined {
			next(ctx)
			return
		}
		w.WriteHeader(http.StatusOK)
	}
}

// contextWriter writes an answer to an operation's context, so that whoever holds answers back holds this one back too.
type contextWriter struct {
	ctx    huma.Context
	header http.Header
	wrote  bool

	optional bool
	declined bool // nobody answered, and this process does
}

// Header implements http.ResponseWriter.
func (w *contextWriter) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter. Only the first final status counts.
func (w *contextWriter) WriteHeader(code int) {
	if w.wrote || code < http.StatusOK {
		return
	}
	w.wrote = true
	unanswered := w.header.Get(Unanswered) != ""
	w.header.Del(Unanswered)
	if unanswered && w.optional {
		w.declined = true
		return
	}
	for name, values := range w.header {
		for i, v := range values {
			if i == 0 {
				w.ctx.SetHeader(name, v)
			} else {
				w.ctx.AppendHeader(name, v)
			}
		}
	}
	w.ctx.SetStatus(code)
}

// Write implements http.ResponseWriter.
func (w *contextWriter) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.declined {
		return len(b), nil
	}
	return w.ctx.BodyWriter().Write(b)
}

// Flush implements http.Flusher.
func (w *contextWriter) Flush() {
	w.WriteHeader(http.StatusOK)
	if w.declined {
		return
	}
	if f, ok := w.ctx.BodyWriter().(http.Flusher); ok {
		f.Flush()
	}
}
