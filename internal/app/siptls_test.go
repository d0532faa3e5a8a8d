package app_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/app"
)

// With a certificate SIP takes TLS too, beside its own port, and says where.
func TestServesSIPS(t *testing.T) {
	dir := t.TempDir()
	c := settings(filepath.Join(dir, "data"), "25750-25799")
	c.WebRTCAddr = "off"
	cert, key, pool := certificate(t, dir)
	c.TLSCert, c.TLSKey = cert, key
	s := start(t, c)
	var at []string
	eventually(t, "the address of SIP over TLS on the terminal", func() bool {
		at = regexp.MustCompile(`sips:front-desk@(\S+)`).FindStringSubmatch(s.screen.String())
		return at != nil
	})
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: time.Minute}, "tcp", at[1], &tls.Config{RootCAs: pool})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	own := conn.LocalAddr().String()
	_, err = fmt.Fprintf(conn, "OPTIONS sips:front-desk@%s SIP/2.0\r\nVia: SIP/2.0/TLS %s;branch=z9hG4bK-1\r\nMax-Forwards: 70\r\nFrom: <sips:a@%s>;tag=1\r\n"+
		"To: <sips:front-desk@%s>\r\nCall-ID: x@%s\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n", at[1], own, own, at[1], own)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.HasPrefix(line, "SIP/2.0 200 ") {
		t.Errorf("OPTIONS by TLS: %q, %v", line, err)
	}
}

func TestSettingsOfSIPOverTLS(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		change func(*app.Config)
		names  string
	}{
		"TLS without a certificate":      {func(c *app.Config) { c.SIPTLSAddr = "127.0.0.1:5061" }, "--sip-tls-addr (PARLEY_SIP_TLS_ADDR)"},
		"only TLS without a listener":    {func(c *app.Config) { c.SIPRequireTLS = true }, "--sip-require-tls (PARLEY_SIP_REQUIRE_TLS)"},
		"trust without a listener":       {func(c *app.Config) { c.SIPTLSTrust = "sip.example.com" }, "--sip-tls-trust (PARLEY_SIP_TLS_TRUST)"},
		"authorities that are not there": {func(c *app.Config) { c.SIPTLSCA = filepath.Join(dir, "none.pem") }, "--sip-tls-ca (PARLEY_SIP_TLS_CA)"},
		"a rate without a time":          {func(c *app.Config) { c.RateSIP = "many" }, "--rate-sip (PARLEY_RATE_SIP)"},
	} {
		cfg := settings(filepath.Join(dir, "data"), "25750-25799")
		c.change(&cfg)
		if err := cfg.Check(); err == nil || !strings.Contains(err.Error(), c.names) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
