package certs_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"

	"github.com/parley-voice/parley/internal/gateway/certs"
)

// authority is Pebble, Let's Encrypt's own test server, in this process. It looks names up at a name server of ours
// that sends everything here, and validates on the ports given. Its goroutines live as long as the test binary.
func authority(t *testing.T, httpPort, tlsPort int) (directory string, client *http.Client, roots *x509.CertPool) {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "0") // autocert bears refused nonces, but waits seconds after each
	quiet := log.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	issuer := ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {Description: "The default profile"}})
	front := wfe.New(quiet, store, va.New(quiet, httpPort, tlsPort, true, nameserver(t), store), issuer, []string{"pebble.letsencrypt.org"}, true, false, 1, 1)
	srv := httptest.NewTLSServer(front.Handler())
	t.Cleanup(srv.Close)
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issuer.GetRootCert(0).DER}))
	return srv.URL + wfe.DirectoryPath, srv.Client(), roots
}

// nameserver answers that every name is this machine.
func nameserver(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &dns.Server{Listener: ln, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		if q.Question[0].Qtype == dns.TypeA {
			m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: net.IPv4(127, 0, 0, 1)}}
		}
		_ = w.WriteMsg(m)
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.ActivateAndServe() }()
	t.Cleanup(func() { _ = ln.Close(); <-done })
	return ln.Addr().String()
}

func listen(t *testing.T) (net.Listener, int) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln, ln.Addr().(*net.TCPAddr).Port
}

// get asks a TLS listener by a name for its certificate, checked against roots.
func get(t *testing.T, addr, name string, roots *x509.CertPool) (*x509.Certificate, error) {
	t.Helper()
	c, err := tls.DialWithDialer(&net.Dialer{}, "tcp", addr, &tls.Config{ServerName: name, RootCAs: roots, MinVersion: tls.VersionTLS12})
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	return c.ConnectionState().PeerCertificates[0], nil
}

func TestACME(t *testing.T) {
	for _, way := range []string{"tls-alpn-01", "http-01"} {
		t.Run(way, func(t *testing.T) {
			plain, httpPort := listen(t)
			secure, tlsPort := listen(t)
			checked := tlsPort
			if way == "http-01" {
				nobody, port := listen(t) // the TLS challenge finds nobody, so that the other is used
				_ = nobody.Close()
				checked = port
			}
			directory, client, roots := authority(t, httpPort, checked)
			dir := t.TempDir()
			source := func() *certs.Source {
				s, err := certs.New(certs.Config{Domains: []string{"voice.parley.test"}, Email: "ops@parley.test", Directory: directory, DataDir: dir, HTTPClient: client})
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			s := source()
			web := &http.Server{Handler: http.NotFoundHandler(), TLSConfig: s.TLS(), ErrorLog: log.New(io.Discard, "", 0)} //nolint:gosec // a test's
			t.Cleanup(func() { _ = web.Close() })
			go func() { _ = web.ServeTLS(secure, "", "") }()
			challenges := &http.Server{Handler: s.Challenge(http.NotFoundHandler())} //nolint:gosec // a test's
			t.Cleanup(func() { _ = challenges.Close() })
			go func() { _ = challenges.Serve(plain) }()

			first, err := get(t, secure.Addr().String(), "voice.parley.test", roots)
			if err != nil {
				t.Fatal(err)
			}
			if err := first.VerifyHostname("voice.parley.test"); err != nil {
				t.Error(err)
			}
			if _, err := get(t, secure.Addr().String(), "other.parley.test", roots); err == nil {
				t.Error("a certificate was got for a name that nobody set")
			}
			keptPrivate(t, filepath.Join(dir, "acme"))

			// Another start takes the one that was kept.
			again, port := listen(t)
			_ = port
			second := &http.Server{Handler: http.NotFoundHandler(), TLSConfig: source().TLS(), ErrorLog: log.New(io.Discard, "", 0)} //nolint:gosec // a test's
			t.Cleanup(func() { _ = second.Close() })
			go func() { _ = second.ServeTLS(again, "", "") }()
			kept, err := get(t, again.Addr().String(), "voice.parley.test", roots)
			if err != nil || !kept.Equal(first) {
				t.Errorf("after a restart another certificate came (%v)", err)
			}
		})
	}
}

// keptPrivate looks that nobody else can read the keys.
func keptPrivate(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) < 2 {
		t.Fatalf("%d files kept: %v", len(entries), err)
	}
	for _, e := range entries {
		if st, err := e.Info(); err != nil || st.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v (%v)", e.Name(), st.Mode(), err)
		}
	}
}
