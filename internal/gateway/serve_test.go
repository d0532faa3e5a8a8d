package gateway_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/klauspost/compress/zstd"

	"github.com/parley-voice/parley/internal/gateway"
	"github.com/parley-voice/parley/internal/gateway/certs"
)

// selfSigned writes a certificate for 127.0.0.1 that its own pool trusts.
func selfSigned(t *testing.T) (*certs.Source, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir, pool := t.TempDir(), x509.NewCertPool()
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pool.AppendCertsFromPEM(cert)
	for name, b := range map[string][]byte{"cert.pem": cert, "key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := certs.New(certs.Config{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")})
	if err != nil {
		t.Fatal(err)
	}
	return s, pool
}

func run(t *testing.T, c gateway.Config) *gateway.Server {
	t.Helper()
	c.Addr, c.Clock = "127.0.0.1:0", quartz.NewReal()
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := gateway.New(c)
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	t.Cleanup(func() {
		if err := errors.Join(s.Close(context.Background()), <-served); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestHTTPS(t *testing.T) {
	t.Parallel()
	source, pool := selfSigned(t)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })
	s := run(t, gateway.Config{Handler: mux, Certs: source, Secure: true, RedirectAddr: "127.0.0.1:0"})
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ask := func(method, url string, header http.Header) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = header
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res, string(b)
	}
	res, text := ask("GET", "https://"+s.Addr()+"/", http.Header{})
	if res.StatusCode != 200 || text != "HTTP/2.0" || res.TLS.Version != tls.VersionTLS13 {
		t.Errorf("%d %s %x", res.StatusCode, text, res.TLS.Version)
	}
	for name, want := range map[string]string{
		"Strict-Transport-Security": "max-age=31536000; includeSubDomains", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
		"Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
	} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	strictCSP(t, res.Header.Get("Content-Security-Policy"))

	plain := "http://" + s.RedirectAddr()
	res, _ = ask("GET", plain+"/calls?page=2", http.Header{})
	if _, port, _ := net.SplitHostPort(s.Addr()); res.StatusCode != 308 || res.Header.Get("Location") != "https://127.0.0.1:"+port+"/calls?page=2" {
		t.Errorf("redirect: %d %s", res.StatusCode, res.Header.Get("Location"))
	}
	for name, r := range map[string]struct {
		method, path string
		header       http.Header
	}{
		"a change":     {"POST", "/setup", http.Header{}},
		"the API":      {"GET", "/api/v1/calls", http.Header{}},
		"with a token": {"GET", "/", bearer("owner-a")},
	} {
		if res, text := ask(r.method, plain+r.path, r.header); res.StatusCode != 403 || res.Header.Get("Location") != "" || !strings.Contains(text, "in the clear") {
			t.Errorf("%s in the clear: %d %s", name, res.StatusCode, text)
		}
	}
}

// strictCSP looks that no script may run but those of our own files.
func strictCSP(t *testing.T, csp string) {
	t.Helper()
	rules := map[string]string{}
	for rule := range strings.SplitSeq(csp, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(rule), " ")
		rules[name] = value
	}
	for name, want := range map[string]string{"default-src": "'self'", "object-src": "'none'", "frame-ancestors": "'none'", "base-uri": "'none'", "form-action": "'self'"} {
		if rules[name] != want {
			t.Errorf("CSP %s is %q", name, rules[name])
		}
	}
	if s, ok := rules["script-src"]; ok && s != "'self'" {
		t.Errorf("CSP script-src is %q", s)
	}
	if strings.Contains(csp, "unsafe-eval") || strings.Contains(csp, "http:") || strings.Contains(csp, "*") {
		t.Errorf("CSP %q", csp)
	}
}

func TestCompression(t *testing.T) {
	t.Parallel()
	big := strings.Repeat(`{"name":"lamp"},`, 1000)
	mux := http.NewServeMux()
	send := func(kind, body string, more ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			for i := 0; i < len(more); i += 2 {
				w.Header().Set(more[i], more[i+1])
			}
			_, _ = io.WriteString(w, body)
		}
	}
	mux.HandleFunc("GET /big", send("application/json", big, "ETag", `"tag"`))
	mux.HandleFunc("GET /length", send("text/css; charset=utf-8", big, "Content-Length", strconv.Itoa(len(big))))
	mux.HandleFunc("GET /small", send("application/json", `{"name":"lamp"}`))
	mux.HandleFunc("GET /sound", send("audio/wav", big))
	mux.HandleFunc("GET /secret", send("application/json", big, "Cache-Control", "no-store, no-transform"))
	mux.HandleFunc("GET /empty", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("GET /file", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "a.txt", time.Time{}, bytes.NewReader([]byte(big)))
	})
	more := make(chan struct{})
	mux.HandleFunc("GET /stream", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, "first")
		_ = http.NewResponseController(w).Flush()
		<-more
		_, _ = io.WriteString(w, big)
	})
	s := run(t, gateway.Config{Handler: mux})
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	get := func(path string, header ...string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		res, err := (&http.Client{Transport: transport}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = res.Body.Close() })
		return res
	}
	for _, c := range []struct{ path, accept, coding, etag string }{
		{"/big", "gzip, deflate, br, zstd", "zstd", `"tag-zstd"`},
		{"/big", "gzip", "gzip", `"tag-gzip"`},
		{"/big", "gzip;q=1, zstd;q=0.5", "gzip", `"tag-gzip"`},
		{"/big", "zstd;q=0, gzip;q=0", "", `"tag"`},
		{"/big", "br", "", `"tag"`},
		{"/big", "", "", `"tag"`},
		{"/big", "*", "gzip", `"tag-gzip"`},
		{"/length", "gzip", "gzip", ""},
		{"/small", "gzip", "", ""},
		{"/sound", "gzip", "", ""},
		{"/secret", "gzip", "", ""},
		{"/empty", "gzip", "", ""},
		{"/file", "zstd", "zstd", ""},
	} {
		res := get(c.path, "Accept-Encoding", c.accept)
		raw, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		plain := unpack(t, res.Header.Get("Content-Encoding"), raw)
		if res.Header.Get("Content-Encoding") != c.coding || res.Header.Get("ETag") != c.etag {
			t.Errorf("%s for %q: %v", c.path, c.accept, res.Header)
		}
		if c.coding != "" && (len(raw) > len(big)/10 || plain != big || res.Header.Get("Accept-Ranges") != "") {
			t.Errorf("%s for %q: %d bytes, %d unpacked", c.path, c.accept, len(raw), len(plain))
		}
		if vary := res.Header.Get("Vary"); (c.path == "/big" || c.path == "/length") != (vary == "Accept-Encoding") && c.path != "/small" && c.path != "/file" {
			t.Errorf("%s: Vary %q", c.path, vary)
		}
	}
	res := get("/file", "Accept-Encoding", "gzip", "Range", "bytes=2-5")
	if b, _ := io.ReadAll(res.Body); res.StatusCode != 206 || string(b) != big[2:6] {
		t.Errorf("a range: %d %q", res.StatusCode, b)
	}
	// What is streamed comes at once, before the rest is there.
	res = get("/stream", "Accept-Encoding", "gzip")
	first := make([]byte, 5)
	if _, err := io.ReadFull(res.Body, first); err != nil || string(first) != "first" || res.Header.Get("Content-Encoding") != "" {
		t.Errorf("a stream: %q %v", first, err)
	}
	close(more)
	if rest, err := io.ReadAll(res.Body); err != nil || string(rest) != big {
		t.Errorf("the rest of a stream: %d bytes, %v", len(rest), err)
	}
}

func unpack(t *testing.T, coding string, raw []byte) string {
	t.Helper()
	var r io.Reader = bytes.NewReader(raw)
	switch coding {
	case "gzip":
		z, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		r = z
	case "zstd":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		defer z.Close()
		r = z
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The log names routes, not addresses: those may hold tokens.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	logs := &logged{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/files/{name}", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "0123456789") })
	mux.HandleFunc("GET /setup", func(http.ResponseWriter, *http.Request) { panic("broken") })
	proxies := trusting(t)
	s := run(t, gateway.Config{Handler: mux, Proxies: proxies, Log: slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelInfo}))})
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	for _, path := range []string{"/api/v1/files/canary-path?token=canary-query", "/setup?token=canary-panic"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"X-Forwarded-For": {"203.0.113.9"}, "X-Request-Id": {"req-7"}, "Authorization": {"Bearer canary-header"}}
		res, err := (&http.Client{Transport: transport}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
	}
	eventually(t, "the log", func() bool { return strings.Contains(logs.String(), "broken") })
	text := logs.String()
	for _, want := range []string{`route="GET /api/v1/files/{name}"`, "status=200", "bytes=10", "remote=203.0.113.9", "request=req-7", `route="GET /setup"`} {
		if !strings.Contains(text, want) {
			t.Errorf("the log lacks %s: %s", want, text)
		}
	}
	if strings.Contains(text, "canary") {
		t.Errorf("the log tells: %s", text)
	}
}
