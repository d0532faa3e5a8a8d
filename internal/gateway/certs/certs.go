// Package certs is where the certificates of the web server and of SIP come from: two files, read again when they change, or an ACME
// certificate authority such as Let's Encrypt (RFC 8555).
//
//	certs.go   Source: either of them behind one tls.Config
//	files.go   certificate and key in files
package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"

	"github.com/coder/quartz"
	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
	"golang.org/x/net/idna"

	"github.com/parley-voice/parley/internal/platform/strength"
)

// Config says where certificates come from: CertFile and KeyFile, or Domains.
type Config struct {
	CertFile, KeyFile string   // PEM; the certificate first, then its chain
	Domains           []string // names to get certificates for by ACME; no others are asked for
	Email             string   // of the ACME account; may be empty
	Directory         string   // the ACME server; "" is Let's Encrypt
	DataDir           string   // certificates and the account's key are kept in <DataDir>/acme
	Strength          strength.Level
	HTTPClient        *http.Client
	Clock             quartz.Clock
	Log               *slog.Logger
}

// Source gives certificates. It is safe for concurrent use and has nothing to close.
type Source struct {
	files *files
	acme  *autocert.Manager
	first string // of the names that ACME gives certificates for
	level strength.Level
}

// New reads the files, or prepares for ACME: a certificate is asked for when the first visitor comes.
func New(c Config) (*Source, error) {
	if c.Clock == nil {
		c.Clock = quartz.NewReal()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case len(c.Domains) > 0 && c.CertFile+c.KeyFile != "":
		return nil, errors.New("certificates come from files or from ACME, not from both")
	case len(c.Domains) > 0:
		return newACME(c)
	}
	f, err := newFiles(c)
	if err != nil {
		return nil, err
	}
	return &Source{files: f}, nil
}

func newACME(c Config) (*Source, error) {
	names := make([]string, len(c.Domains))
	for i, d := range c.Domains {
		name, err := idna.Lookup.ToASCII(strings.TrimSpace(d))
		if err != nil || !strings.Contains(name, ".") || strings.Contains(name, "*") {
			return nil, fmt.Errorf("%q is no name that an ACME server gives a certificate for", d)
		}
		names[i] = name
	}
	log := c.Log
	return &Source{first: names[0], level: c.Strength, acme: &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: loggedCache{autocert.DirCache(filepath.Join(c.DataDir, "acme")), log}, HostPolicy: autocert.HostWhitelist(names...),
		Email: c.Email, Client: &acme.Client{DirectoryURL: c.Directory, HTTPClient: c.HTTPClient, UserAgent: "parley"},
	}}, nil
}

// suites are those of TLS 1.2 with forward secrecy and authenticated encryption (RFC 9325 section 4.2). TLS 1.3 has no
// others, so that Go does not let one choose.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// TLS is the server's side of the handshake: TLS 1.2 or 1.3, HTTP/2 where the client can.
func (s *Source) TLS() *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: suites, NextProtos: []string{"h2", "http/1.1"}}
	if s.acme == nil {
		c.GetCertificate = s.files.get
		return c
	}
	c.NextProtos = append(c.NextProtos, acme.ALPNProto) // the tls-alpn-01 challenge, RFC 8737
	c.GetCertificate = s.fromACME
	return c
}

// fromACME gives a certificate of the ACME server. One for a client that knows no curves has an RSA key of 2048 bits.
func (s *Source) fromACME(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c, err := s.acme.GetCertificate(hello)
	if err != nil || c.Leaf == nil || slices.Contains(hello.SupportedProtos, acme.ALPNProto) { // that one only answers the ACME server
		return c, err
	}
	if err := s.level.Certificate(c.Leaf); err != nil {
		return nil, fmt.Errorf("the client knows only weak certificates: %w", err)
	}
	return c, nil
}

// SIP is the server's side of handshakes for signalling, with the same certificates. Clients of it need not send the
// name they want (RFC 6066 section 3): phones often do not.
func (s *Source) SIP() *tls.Config {
	c := s.TLS()
	c.NextProtos = nil // whatever a phone offers
	if s.acme != nil {
		c.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if hello.ServerName == "" {
				named := *hello
				named.ServerName = s.first
				hello = &named
			}
			return s.fromACME(hello)
		}
	}
	return c
}

// Client is what we show a server that asks us for a certificate: tls.Config.GetClientCertificate.
func (s *Source) Client(asked *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	hello := &tls.ClientHelloInfo{ServerName: s.first, SupportedVersions: []uint16{tls.VersionTLS13, tls.VersionTLS12}, CipherSuites: suites,
		SignatureSchemes: asked.SignatureSchemes, SupportedCurves: []tls.CurveID{tls.CurveP256}}
	if s.acme != nil {
		return s.fromACME(hello)
	}
	return s.files.get(hello)
}

// Challenge answers the http-01 challenges of ACME (RFC 8555 section 8.3) and leaves the rest to next.
func (s *Source) Challenge(next http.Handler) http.Handler {
	if s.acme == nil {
		return next
	}
	answer := s.acme.HTTPHandler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host, _, err := net.SplitHostPort(r.Host); err == nil && strings.HasPrefix(r.URL.Path, challengePath) {
			r = r.Clone(r.Context())
			r.Host = host // autocert compares it with the names as it stands
		}
		answer.ServeHTTP(w, r)
	})
}

const challengePath = "/.well-known/acme-challenge/"

// loggedCache says when a certificate came, and when it could not be kept: autocert does not.
type loggedCache struct {
	autocert.DirCache
	log *slog.Logger
}

// Put implements autocert.Cache.
func (c loggedCache) Put(ctx context.Context, key string, data []byte) error {
	err := c.DirCache.Put(ctx, key, data)
	if err != nil {
		c.log.Error("an ACME certificate cannot be kept; it will be asked for again after a restart", "name", key, "error", err)
	} else if !strings.Contains(key, "+") {
		c.log.Info("certificate obtained", "name", key)
	}
	return err
}
