package gateway

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// compressFrom is the smallest answer worth compressing: it fits one packet anyway.
const compressFrom = 1 << 10

// compressible are the kinds of content that shrink. Sound and pictures do not, and lines that are streamed
// (text/event-stream, application/x-ndjson) must not wait for a full block.
var compressible = map[string]bool{
	"application/json": true, "application/problem+json": true, "application/scim+json": true, "application/yaml": true, "application/openapi+yaml": true,
	"application/openapi+json": true, "application/vnd.oai.openapi": true, "application/manifest+json": true, "application/javascript": true, "application/wasm": true,
	"application/xml": true, "application/jwk-set+json": true, "image/svg+xml": true, "text/css": true, "text/csv": true, "text/html": true, "text/javascript": true,
	"text/plain": true, "text/vtt": true, "text/xml": true,
}

// compress answers in zstd (RFC 8878) or gzip (RFC 1952) where the client takes it and it is worth it. An answer that
// says no-store is left as it is: it may hold a secret beside what the caller wrote, whose length would then tell of
// it (BREACH). Everything else needs a cookie that no other site's request carries (SameSite), or a token.
func compress(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		coding := acceptedCoding(r.Header.Get("Accept-Encoding"))
		if r.Method == http.MethodHead || r.Header.Get("Upgrade") != "" || r.Header.Get("Range") != "" {
			next.ServeHTTP(w, r)
			return
		}
		c := &compressor{ResponseWriter: w, coding: coding}
		next.ServeHTTP(c, r)
		c.close()
	})
}

// acceptedCoding chooses by RFC 9110 section 12.5.3; "" is none.
func acceptedCoding(accept string) string {
	best, bestQ := "", 0.0
	for part := range strings.SplitSeq(accept, ",") {
		name, params, _ := strings.Cut(part, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		q := 1.0
		if v, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			f, err := strconv.ParseFloat(v, 64)
			if err != nil {
				continue
			}
			q = f
		}
		if name == "*" {
			name = "gzip"
		}
		if (name == "gzip" || name == "zstd") && (q > bestQ || (q == bestQ && q > 0 && name == "zstd")) {
			best, bestQ = name, q
		}
	}
	return best
}

type encoder interface {
	io.WriteCloser
	Flush() error
	Reset(w io.Writer)
}

// The pools of encoders, by coding: each holds some hundred kilobytes.
var encoders = map[string]*sync.Pool{
	"gzip": {New: func() any {
		w, err := gzip.NewWriterLevel(io.Discard, 5)
		if err != nil {
			panic(err) // only for a level that does not exist
		}
		return encoder(w)
	}},
	"zstd": {New: func() any {
		// One goroutine, the caller's. Browsers take windows of at most 8 MB (RFC 9659).
		w, err := zstd.NewWriter(io.Discard, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(512<<10), zstd.WithEncoderLevel(zstd.SpeedFastest))
		if err != nil {
			panic(err) // only for options that do not exist
		}
		return encoder(w)
	}},
}

// compressor holds back the first bytes of an answer until it is known whether they are compressed.
type compressor struct {
	http.ResponseWriter
	coding  string
	status  int
	held    []byte
	decided bool
	enc     encoder // nil: as it is
}

// WriteHeader implements http.ResponseWriter.
func (c *compressor) WriteHeader(code int) {
	if code < http.StatusOK && code != http.StatusSwitchingProtocols {
		c.ResponseWriter.WriteHeader(code)
		return
	}
	if c.status != 0 {
		return
	}
	c.status = code
	if !c.worth() {
		c.pass()
	}
}

// worth judges by the headers alone.
func (c *compressor) worth() bool {
	h := c.Header()
	kind, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	if !compressible[strings.TrimSpace(kind)] || h.Get("Content-Encoding") != "" || c.status == http.StatusNoContent || c.status == http.StatusNotModified {
		return false
	}
	if strings.Contains(h.Get("Cache-Control"), "no-transform") {
		return false
	}
	h.Add("Vary", "Accept-Encoding")
	if n, err := strconv.Atoi(h.Get("Content-Length")); err == nil && n < compressFrom {
		return false
	}
	return c.coding != ""
}

// pass lets the answer go as it is.
func (c *compressor) pass() {
	c.decided = true
	c.ResponseWriter.WriteHeader(c.status)
	if len(c.held) > 0 {
		_, _ = c.ResponseWriter.Write(c.held)
		c.held = nil
	}
}

func (c *compressor) begin() error {
	c.decided = true
	h := c.Header()
	h.Del("Content-Length")
	h.Del("Accept-Ranges")
	h.Set("Content-Encoding", c.coding)
	if tag := h.Get("ETag"); tag != "" {
		h.Set("ETag", codedTag(tag, c.coding))
	}
	c.ResponseWriter.WriteHeader(c.status)
	c.enc = encoders[c.coding].Get().(encoder)
	c.enc.Reset(c.ResponseWriter)
	_, err := c.enc.Write(c.held)
	c.held = nil
	return err
}

// Write implements http.ResponseWriter.
func (c *compressor) Write(b []byte) (int, error) {
	if c.status == 0 {
		if c.Header().Get("Content-Type") == "" {
			c.Header().Set("Content-Type", http.DetectContentType(b))
		}
		c.WriteHeader(http.StatusOK)
	}
	if !c.decided {
		c.held = append(c.held, b...)
		if len(c.held) >= compressFrom {
			if err := c.begin(); err != nil {
				return 0, err
			}
		}
		return len(b), nil
	}
	if c.enc != nil {
		return c.enc.Write(b)
	}
	return c.ResponseWriter.Write(b)
}

// Flush implements http.Flusher. Who flushes before there is anything worth compressing streams.
func (c *compressor) Flush() {
	if c.status == 0 {
		c.WriteHeader(http.StatusOK)
	}
	if !c.decided {
		c.pass()
	}
	if c.enc != nil {
		_ = c.enc.Flush()
	}
	_ = http.NewResponseController(c.ResponseWriter).Flush()
}

// Unwrap lets http.ResponseController find the writer.
func (c *compressor) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c *compressor) close() {
	if c.status != 0 && !c.decided {
		c.pass()
	}
	if c.enc != nil {
		_ = c.enc.Close() // the connection is gone; the log has the status
		c.enc.Reset(io.Discard)
		encoders[c.coding].Put(c.enc)
		c.enc = nil
	}
}

// codedTag marks a strong entity tag with the coding: a compressed answer is another representation (RFC 9110
// section 8.8.3.3). uncodedTag takes the mark away again.
func codedTag(tag, coding string) string {
	if strings.HasPrefix(tag, "W/") || !strings.HasSuffix(tag, `"`) {
		return tag
	}
	return strings.TrimSuffix(tag, `"`) + "-" + coding + `"`
}

func uncodedTag(tag string) string {
	for coding := range encoders {
		if t, ok := strings.CutSuffix(tag, "-"+coding+`"`); ok {
			return t + `"`
		}
	}
	return tag
}
