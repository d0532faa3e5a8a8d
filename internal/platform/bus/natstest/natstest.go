// Package natstest runs the NATS server of deploy/nats/parley.conf for tests: TLS, and an nkey for each role.
package natstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

// Roles are those that the configuration knows.
var Roles = []string{"gateway", "media", "worker"}

// Server is a running server. Seeds and CA are files, as settings name them.
type Server struct {
	*server.Server

	URL   string
	CA    string
	Seeds map[string]string // by role

	vars map[string]string
}

// environment is one for all: the configuration reads its variables from it.
var environment sync.Mutex

// Run starts a server on a free port of this machine, until the test ends.
func Run(t testing.TB) *Server {
	t.Helper()
	s, err := run(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return s
}

func run(dir string) (*Server, error) {
	s := &Server{CA: filepath.Join(dir, "cert.pem"), Seeds: map[string]string{}}
	vars := map[string]string{"NATS_LISTEN": "127.0.0.1:-1", "NATS_STORE": filepath.Join(dir, "jetstream"), "NATS_CERT": s.CA,
		"NATS_CERT_KEY": filepath.Join(dir, "key.pem")}
	if err := certificate(s.CA, vars["NATS_CERT_KEY"]); err != nil {
		return nil, err
	}
	for _, role := range Roles {
		pair, err := nkeys.CreateUser()
		if err != nil {
			return nil, err
		}
		seed, err := pair.Seed()
		if err != nil {
			return nil, err
		}
		s.Seeds[role] = filepath.Join(dir, role+".nk")
		if err := os.WriteFile(s.Seeds[role], append(seed, '\n'), 0o600); err != nil {
			return nil, err
		}
		if vars["NATS_"+strings.ToUpper(role)], err = pair.PublicKey(); err != nil {
			return nil, err
		}
	}
	s.vars = vars
	if err := s.begin(); err != nil {
		return nil, err
	}
	s.URL = "tls://" + s.Addr().String()
	return s, nil
}

// begin starts the server with its variables.
func (s *Server) begin() error {
	opts, err := configured(s.vars)
	if err != nil {
		return err
	}
	opts.NoSigs, opts.NoLog = true, true
	if s.Server, err = server.NewServer(opts); err != nil {
		return err
	}
	s.Start()
	if !s.ReadyForConnections(20 * time.Second) {
		return fmt.Errorf("NATS does not start")
	}
	return nil
}

// Restart ends the server, and starts it anew with what it had stored, at the same address.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	address := s.Addr().String()
	s.Shutdown()
	s.WaitForShutdown()
	s.vars["NATS_LISTEN"] = address
	if err := s.begin(); err != nil {
		t.Fatal(err)
	}
}

// configured reads the configuration that is shipped, with these variables.
func configured(vars map[string]string) (*server.Options, error) {
	environment.Lock()
	defer environment.Unlock()
	for k, v := range vars {
		if err := os.Setenv(k, v); err != nil {
			return nil, err
		}
	}
	return server.ProcessConfigFile(shipped())
}

// shipped finds the file from this one, wherever the test runs.
func shipped() string {
	dir, err := os.Getwd()
	if _, here, _, ok := runtime.Caller(0); ok && filepath.IsAbs(here) {
		dir = filepath.Dir(here)
	} else if err != nil {
		return ""
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if f := filepath.Join(dir, "deploy", "nats", "parley.conf"); exists(f) {
			return f
		}
	}
	return ""
}

func exists(f string) bool {
	_, err := os.Stat(f)
	return err == nil
}

// certificate makes a certificate of this machine that is its own authority.
func certificate(certFile, keyFile string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "nats"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			return err
		}
	}
	return nil
}
