package sip

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"

	"github.com/parley-voice/parley/internal/platform/strength"
)

// SIP over TLS (RFC 3261 section 26.2.1): a listener beside UDP and TCP, connections that we open, and the names that
// certificates prove (RFC 5922).

// Limits of handshakes. A peer that is slow at one holds a place of its own address, not of others.
const (
	handshakeWithin   = 5 * time.Second
	maxHandshakes     = 512 // at once
	maxHandshakesFrom = 64  // at once from one address, or from one IPv6 /64
)

// secureListener takes connections, and does their handshakes off the accepting goroutine.
type secureListener struct {
	t      *transport
	ln     *net.TCPListener
	config *tls.Config
	count  func(event, detail string)
	ctx    context.Context
	cancel context.CancelFunc
	within time.Duration // that a handshake may take

	mu    sync.Mutex
	under int
	from  map[netip.Addr]int
}

func listenTLS(c Config) (*secureListener, error) {
	addr, config := c.TLSAddr, c.TLS
	if config == nil {
		return nil, errors.New("SIP over TLS needs a certificate")
	}
	want, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("SIP address %q for TLS is not host:port: %w", addr, err)
	}
	ln, err := net.ListenTCP("tcp", want)
	if err != nil {
		return nil, fmt.Errorf("listen for SIP over TLS on %s: %w", addr, err)
	}
	l := &secureListener{ln: ln, config: config, count: c.Count, within: cmp.Or(c.handshake, handshakeWithin), from: map[netip.Addr]int{}}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l, nil
}

// stop ends the listener and the handshakes under way.
func (l *secureListener) stop() {
	_ = l.ln.Close()
	l.cancel()
}

// admit begins the handshake of a connection.
func (l *secureListener) admit(c *net.TCPConn) error {
	source := network(peerOf(c).Addr())
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.under >= maxHandshakes || l.from[source] >= maxHandshakesFrom {
		l.count("overload", "handshakes")
		return fmt.Errorf("%d TLS handshakes are under way, %d of them with %s", l.under, l.from[source], source)
	}
	l.t.mu.Lock()
	defer l.t.mu.Unlock()
	if l.t.closed {
		return net.ErrClosed
	}
	l.under++
	l.from[source]++
	l.t.wg.Go(func() {
		defer func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.under--
			if l.from[source]--; l.from[source] == 0 {
				delete(l.from, source)
			}
		}()
		if err := l.shake(c); err != nil {
			l.count("handshake", "failed")
			l.t.log.Debug("SIP connection without a TLS handshake", "peer", c.RemoteAddr().String(), "error", err)
			_ = c.Close()
		}
	})
	return nil
}

func (l *secureListener) shake(c *net.TCPConn) error {
	ctx, cancel := context.WithTimeout(l.ctx, l.within) // a socket's deadline is wall time
	defer cancel()
	conn := tls.Server(c, l.config)
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	var domains []string
	if st := conn.ConnectionState(); len(st.VerifiedChains) > 0 {
		domains = sipDomains(st.PeerCertificates[0])
	}
	_, err := l.t.adopt(conn, connKey{remote: peerOf(c), secure: true}, domains)
	return err
}

// dialTLS gives the open connection to remote that was verified for name, or makes one.
func (t *transport) dialTLS(ctx context.Context, remote netip.AddrPort, name string) (flow, error) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	key := connKey{remote: remote, secure: true, name: name}
	if c := t.conn(key); c != nil {
		return flow{remote: remote, conn: c}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, tcpDialWithin)
	defer cancel()
	raw, err := t.dialer.DialContext(ctx, "tcp", remote.String())
	if err != nil {
		return flow{}, err
	}
	config := t.client.Clone()
	config.ServerName = name
	config.VerifyConnection = func(st tls.ConnectionState) error { return verifyDomain(st, name, t.client.RootCAs, t.level) }
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return flow{}, fmt.Errorf("TLS with %s: %w", name, err)
	}
	tc, err := t.adopt(conn, key, nil)
	if err != nil {
		_ = conn.Close()
		return flow{}, err
	}
	return flow{remote: remote, conn: tc}, nil
}

// clientTLS is how we open connections. The chain and the name are verified by verifyDomain, which knows SIP's rules:
// crypto/tls would take wildcards and does not read sip URIs.
func clientTLS(c Config) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: secureSuites, RootCAs: c.TLSRoots, GetClientCertificate: c.TLSCertificate,
		InsecureSkipVerify: true} // #nosec G402 -- verifyDomain verifies
}

// secureSuites are those of TLS 1.2 with forward secrecy and authenticated encryption (RFC 9325 section 4.2).
var secureSuites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// verifyDomain checks a server's certificate: its chain, and that it proves the domain that the URI named, which need
// not be the host that DNS led to (RFC 5922 sections 7.1 and 7.2). roots nil are the system's.
func verifyDomain(st tls.ConnectionState, domain string, roots *x509.CertPool, level strength.Level) error {
	if len(st.PeerCertificates) == 0 {
		return errors.New("the server showed no certificate")
	}
	leaf, between := st.PeerCertificates[0], x509.NewCertPool()
	for _, c := range st.PeerCertificates[1:] {
		between.AddCert(c)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between}); err != nil {
		return err
	}
	if err := level.Certificate(leaf); err != nil {
		return fmt.Errorf("the server's certificate is not taken: %w", err)
	}
	if ip, err := netip.ParseAddr(domain); err == nil {
		for _, own := range leaf.IPAddresses {
			if a, ok := netip.AddrFromSlice(own); ok && a.Unmap() == ip.Unmap() {
				return nil
			}
		}
		return fmt.Errorf("the certificate is not for the address %s", ip)
	}
	names := sipDomains(leaf)
	for _, n := range names {
		if n == domain {
			return nil
		}
	}
	return fmt.Errorf("the certificate is for %q, not for %s; a wildcard does not count in SIP", names, domain)
}

// sipDomains are the domains that a certificate proves: those of its sip URIs without a user, and only where it has
// none those of its DNS names (RFC 5922 section 7.1). What has a wildcard proves nothing (section 7.2).
func sipDomains(c *x509.Certificate) []string {
	var out []string
	for _, u := range c.URIs {
		var uri sipmsg.Uri
		if !strings.EqualFold(u.Scheme, "sip") || sipmsg.ParseUri(u.String(), &uri) != nil || uri.User != "" || uri.Host == "" {
			continue
		}
		out = append(out, strings.ToLower(uri.Host))
	}
	if len(out) > 0 {
		return out
	}
	for _, n := range c.DNSNames {
		if !strings.Contains(n, "*") {
			out = append(out, strings.ToLower(strings.TrimSuffix(n, ".")))
		}
	}
	return out
}

// trusts reports whether the far end proved by its certificate to be a peer whose calls need no password.
func (s *Server) trusts(f flow) bool {
	if !f.secure() {
		return false
	}
	for _, d := range f.conn.domains {
		for _, t := range s.config.TLSTrust {
			if strings.EqualFold(d, t) {
				return true
			}
		}
	}
	return false
}

// needsTLS is the answer to a request that came without TLS where the server wants it (RFC 5630 section 4).
func (s *Server) needsTLS(f flow) *problem {
	if !s.config.RequireTLS || f.secure() || within(s.config.Plain, f.remote.Addr()) {
		return nil
	}
	return secureOnly("this server takes calls and phones by TLS only")
}

// secureOnly refuses what is not encrypted, with the warning that makes a phone try again with TLS.
func secureOnly(text string) *problem {
	return refuse(480, "").with("Warning", "381 parley "+quote(text+" (SIPS Required)"))
}
