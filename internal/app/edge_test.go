package app_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/app"
)

// certificate writes a certificate for this machine and its key.
func certificate(t *testing.T, dir string) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key, pool = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), x509.NewCertPool()
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pool.AppendCertsFromPEM(certPEM)
	for file, b := range map[string][]byte{cert: certPEM, key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})} {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key, pool
}

func TestServesHTTPS(t *testing.T) {
	dir := t.TempDir()
	c := settings(filepath.Join(dir, "data"), "25600-25699")
	c.SIPAddr, c.WebRTCAddr, c.HTTPRedirectAddr = "off", "off", "127.0.0.1:0"
	var pool *x509.CertPool
	c.TLSCert, c.TLSKey, pool = certificate(t, dir)
	s := start(t, c)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	get := func(path string) (*http.Response, []byte) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+s.HTTPAddr()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := (&http.Client{Transport: transport}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res, b
	}
	res, body := get("/health")
	if res.StatusCode != http.StatusOK || res.ProtoMajor != 2 || !strings.HasPrefix(res.Header.Get("Strict-Transport-Security"), "max-age=31536000") {
		t.Errorf("%d HTTP/%d %s %s", res.StatusCode, res.ProtoMajor, res.Header, body)
	}
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	if res, body := get("/.well-known/jwks.json"); res.StatusCode != http.StatusOK || json.Unmarshal(body, &set) != nil || len(set.Keys) != 4 {
		t.Errorf("signing keys: %d %s", res.StatusCode, body)
	}
	for _, k := range set.Keys {
		if k["kty"] != "OKP" || k["d"] != "" {
			t.Errorf("published %v", k)
		}
	}
	// It is written once calls are taken, which is when start returns.
	eventually(t, "the address at the terminal", func() bool { return strings.Contains(s.screen.String(), "https://"+s.HTTPAddr()) })
}

func TestEdgeSettings(t *testing.T) {
	dir := t.TempDir()
	cert, key, _ := certificate(t, dir)
	for name, c := range map[string]struct {
		change func(*app.Config)
		names  string
	}{
		"a certificate without a key":  {func(c *app.Config) { c.TLSCert = cert }, "--tls-key (PARLEY_TLS_KEY)"},
		"a file that is not there":     {func(c *app.Config) { c.TLSCert, c.TLSKey = cert, dir+"/none" }, "--tls-cert (PARLEY_TLS_CERT)"},
		"files and ACME":               {func(c *app.Config) { c.TLSCert, c.TLSKey, c.ACMEDomains = cert, key, "a.example.com" }, "--acme-domains"},
		"no public name":               {func(c *app.Config) { c.ACMEDomains = "localhost" }, "--acme-domains"},
		"an ACME server without TLS":   {func(c *app.Config) { c.ACMEDomains, c.ACMEDirectory = "a.example.com", "http://a/dir" }, "--acme-directory"},
		"https, called http":           {func(c *app.Config) { c.TLSCert, c.TLSKey, c.PublicURL = cert, key, "http://a.example.com" }, "--public-url"},
		"redirects to nowhere":         {func(c *app.Config) { c.HTTPRedirectAddr = "127.0.0.1:80" }, "--http-redirect-addr"},
		"proxies that are no networks": {func(c *app.Config) { c.TrustedProxies = "everybody" }, "--trusted-proxies"},
		"a header that nobody writes":  {func(c *app.Config) { c.ProxyHeader = "x-real-ip" }, "--proxy-header"},
		"other machines in the clear":  {func(c *app.Config) { c.HTTPAddr = "0.0.0.0:8080" }, "--http-addr (PARLEY_HTTP_ADDR)"},
		"the same on every address":    {func(c *app.Config) { c.HTTPAddr = ":8080" }, "plain-http serves it all the same"},
		"a rate without a time":        {func(c *app.Config) { c.RateWrite = "many" }, "--rate-write (PARLEY_RATE_WRITE)"},
	} {
		good := settings(filepath.Join(dir, "data"), "25600-25699")
		if err := good.Check(); err != nil {
			t.Fatal(err)
		}
		c.change(&good)
		if err := good.Check(); err == nil || !strings.Contains(err.Error(), c.names) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
