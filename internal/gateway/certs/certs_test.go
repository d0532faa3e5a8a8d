package certs_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/gateway/certs"
)

// writePair makes a certificate of its own authority for name, and writes it and its key.
func writePair(t *testing.T, dir, name string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, b := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// shake does a handshake with a source over a pipe.
func shake(t *testing.T, s *certs.Source, c *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	here, there := net.Pipe()
	defer func() { _, _ = here.Close(), there.Close() }()
	c.InsecureSkipVerify = true //nolint:gosec // what is looked at is which certificate comes
	go func() {
		srv := tls.Server(there, s.TLS())
		_ = srv.HandshakeContext(ctx)
	}()
	client := tls.Client(here, c)
	err := client.HandshakeContext(ctx)
	return client.ConnectionState(), err
}

func name(t *testing.T, s *certs.Source) string {
	t.Helper()
	st, err := shake(t, s, &tls.Config{MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	return st.PeerCertificates[0].Subject.CommonName
}

func TestFilesAreReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	clock := quartz.NewMock(t)
	certFile, keyFile := writePair(t, dir, "first.example")
	s, err := certs.New(certs.Config{CertFile: certFile, KeyFile: keyFile, Clock: clock, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	writePair(t, dir, "the-second.example")
	if got := name(t, s); got != "first.example" {
		t.Errorf("at once: %s", got)
	}
	clock.Advance(10 * time.Second)
	if got := name(t, s); got != "the-second.example" {
		t.Errorf("later: %s", got)
	}
	// Half of a new pair, and rubbish, leave what is in use.
	if err := os.WriteFile(keyFile, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	clock.Advance(10 * time.Second)
	if got := name(t, s); got != "the-second.example" {
		t.Errorf("with a broken key: %s", got)
	}
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	clock.Advance(10 * time.Second)
	if got := name(t, s); got != "the-second.example" {
		t.Errorf("without a key: %s", got)
	}
	writePair(t, dir, "a-third-one.example")
	clock.Advance(10 * time.Second)
	if got := name(t, s); got != "a-third-one.example" {
		t.Errorf("whole again: %s", got)
	}
}

func TestHandshake(t *testing.T) {
	t.Parallel()
	certFile, keyFile := writePair(t, t.TempDir(), "a.example")
	s, err := certs.New(certs.Config{CertFile: certFile, KeyFile: keyFile})
	if err != nil {
		t.Fatal(err)
	}
	st, err := shake(t, s, &tls.Config{NextProtos: []string{"h2", "http/1.1"}}) //nolint:gosec // the server's lowest version is what is tested
	if err != nil || st.Version != tls.VersionTLS13 || st.NegotiatedProtocol != "h2" {
		t.Errorf("version %x, protocol %q: %v", st.Version, st.NegotiatedProtocol, err)
	}
	st, err = shake(t, s, &tls.Config{MaxVersion: tls.VersionTLS12}) //nolint:gosec // see above
	if err != nil || st.Version != tls.VersionTLS12 {
		t.Errorf("TLS 1.2: %x: %v", st.Version, err)
	}
	if _, err := shake(t, s, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil { //nolint:gosec // see above
		t.Error("TLS 1.1 was taken")
	}
	cbc := []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256}
	if _, err := shake(t, s, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: cbc}); err == nil { //nolint:gosec // see above
		t.Error("an old suite was taken")
	}
}

func TestWrongSettings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := writePair(t, dir, "a.example")
	_, otherKey := writePair(t, t.TempDir(), "b.example")
	for what, c := range map[string]certs.Config{
		"no file":          {CertFile: filepath.Join(dir, "none.pem"), KeyFile: keyFile},
		"no key":           {CertFile: certFile, KeyFile: filepath.Join(dir, "none.pem")},
		"another's key":    {CertFile: certFile, KeyFile: otherKey},
		"both ways":        {CertFile: certFile, KeyFile: keyFile, Domains: []string{"a.example"}},
		"no public name":   {Domains: []string{"localhost"}},
		"a name with star": {Domains: []string{"*.example.com"}},
	} {
		if _, err := certs.New(c); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
}
