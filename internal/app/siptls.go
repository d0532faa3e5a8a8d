package app

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/parley-voice/parley/internal/telephony"
	"github.com/parley-voice/parley/internal/telephony/sip"
)

// sipTLSAddr is where SIP takes TLS; "" is nowhere. Where nothing is said it is the next port to SIP's own (5061 beside
// 5060, RFC 3261 section 19.1.2), as soon as there are certificates.
func (c *Config) sipTLSAddr() string {
	switch {
	case c.SIPAddr == off || c.SIPTLSAddr == off:
		return ""
	case c.SIPTLSAddr != "":
		return c.SIPTLSAddr
	case c.TLSCert == "" && c.ACMEDomains == "":
		return ""
	}
	host, port, err := net.SplitHostPort(c.SIPAddr)
	n, bad := strconv.Atoi(port)
	if err != nil || bad != nil || n >= 65535 {
		return ""
	}
	if n != 0 {
		n++
	}
	return net.JoinHostPort(host, strconv.Itoa(n))
}

func (c *Config) checkSIPTLS(bad complain) {
	addr := c.sipTLSAddr()
	if c.SIPTLSAddr != "" && c.SIPTLSAddr != off {
		checkAddr(bad, "sip-tls-addr", c.SIPTLSAddr, "0.0.0.0:5061")
		if c.TLSCert == "" && c.ACMEDomains == "" {
			bad("sip-tls-addr", "set tls-cert and tls-key, or acme-domains", "SIP over TLS needs a certificate")
		}
	}
	if c.SIPRequireTLS && addr == "" {
		bad("sip-require-tls", "set tls-cert and tls-key, or acme-domains, and do not turn sip-tls-addr off", "SIP without TLS would be refused, and there is no SIP over TLS")
	}
	if c.SIPTLSTrust != "" && addr == "" {
		bad("sip-tls-trust", "set tls-cert and tls-key, or acme-domains", "nobody can show a certificate without SIP over TLS")
	}
	for _, d := range list(c.SIPTLSTrust) {
		if strings.ContainsAny(d, "*:/@ ") {
			bad("sip-tls-trust", "name domains as they stand in certificates, such as sip.example.com", "%q is no domain", d)
		}
	}
	if _, err := c.sipRoots(); err != nil {
		bad("sip-tls-ca", "name a PEM file with the certificates of authorities", "%v", err)
	}
}

// list reads a comma-separated setting.
func list(s string) []string {
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// sipRoots are the authorities of SIP servers and carriers; nil is the system's.
func (c *Config) sipRoots() (*x509.CertPool, error) {
	if c.SIPTLSCA == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(c.SIPTLSCA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", c.SIPTLSCA)
	}
	return pool, nil
}

// secureSIP fills in what SIP needs for TLS and for its limits.
func (a *App) secureSIP(c *sip.Config) error {
	limit, err := parseRate(a.cfg.RateSIP)
	if err != nil {
		return err
	}
	c.Flood = sip.Rate{Messages: limit.Requests, Per: limit.Window}
	c.RequireTLS = a.cfg.SIPRequireTLS
	a.cfg.strictly(c)
	if c.TLSRoots, err = a.cfg.sipRoots(); err != nil {
		return err
	}
	source, err := a.certificates()
	if err != nil || source == nil {
		return err
	}
	c.TLSCertificate = source.Client
	if c.TLSAddr = a.cfg.sipTLSAddr(); c.TLSAddr == "" {
		return nil
	}
	c.TLS, c.TLSTrust = source.SIP(), list(a.cfg.SIPTLSTrust)
	if len(c.TLSTrust) > 0 {
		c.TLS.ClientAuth, c.TLS.ClientCAs = tls.VerifyClientCertIfGiven, c.TLSRoots
		c.TLS.VerifyConnection = c.Strength.Peer
	}
	return nil
}

// phoneServer is what a phone must be told.
func (a *App) phoneServer() telephony.PhoneServer {
	p := telephony.PhoneServer{Realm: a.cfg.SIPDomain, EncryptedOnly: a.cfg.SIPRequireTLS}
	if a.sip != nil {
		p.Port = int(a.sip.Addr().Port())
		if at := a.sip.TLSAddr(); at.IsValid() {
			p.TLSPort = int(at.Port())
		}
	}
	return p
}
