package gateway

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// Strict is mux with two additions below /api: what no operation answers is answered as every error of the API is
// (problem+json), and an address with bytes that no database takes as text goes no further.
func Strict(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/api/") {
			mux.ServeHTTP(w, r)
			return
		}
		if !isText(r.URL.Path) || !queryIsText(r.URL.Query()) {
			WriteProblem(w, fault.New(fault.Invalid, "the address holds a zero byte or is not UTF-8; ids and names are text"))
			return
		}
		h, pattern := mux.Handler(r)
		if pattern == "" {
			stray(w, r, h)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// stray asks the mux's own answer for its status, and for the methods that the path knows (RFC 9110 section 15.5.6).
func stray(w http.ResponseWriter, r *http.Request, answer http.Handler) {
	own := &statusOnly{header: http.Header{}}
	answer.ServeHTTP(own, r)
	if own.status < http.StatusBadRequest { // a redirect to the path as it should be written
		answer.ServeHTTP(w, r)
		return
	}
	if own.status == http.StatusMethodNotAllowed {
		allow := own.header.Get("Allow")
		w.Header().Set("Allow", allow)
		e := fault.New(fault.Invalid, "%s is not possible here; /docs lists the operations", r.Method)
		e.Status, e.Title = own.status, http.StatusText(own.status)
		WriteProblem(w, e)
		return
	}
	WriteProblem(w, unknownPath())
}

func unknownPath() *fault.Error {
	return fault.New(fault.NotFound, "the API has nothing at this path; /docs lists the operations")
}

func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

func queryIsText(q url.Values) bool {
	for name, values := range q {
		if !isText(name) {
			return false
		}
		for _, v := range values {
			if !isText(v) {
				return false
			}
		}
	}
	return true
}

// statusOnly is a ResponseWriter that keeps what an answer says about itself.
type statusOnly struct {
	header http.Header
	status int
}

// Header implements http.ResponseWriter.
func (s *statusOnly) Header() http.Header { return s.header }

// Write implements http.ResponseWriter.
func (s *statusOnly) Write(b []byte) (int, error) {
	if s.status == 0 {
		s.status = http.StatusOK
	}
	return len(b), nil
}

// WriteHeader implements http.ResponseWriter.
func (s *statusOnly) WriteHeader(status int) { s.status = status }
