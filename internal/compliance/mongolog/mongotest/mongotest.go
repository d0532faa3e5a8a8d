// Package mongotest runs a MongoDB for tests that nobody here wrote: FerretDB (https://www.ferretdb.com) on SQLite.
package mongotest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// EnvServer names the variable with the path of ferretdb; without it bin/ferretdb is used, which make builds.
const EnvServer = "PARLEY_TEST_FERRETDB"

// The user that the server is set up with.
const (
	User     = "parley-test"
	Password = "parley-test-secret"
)

const (
	readyTimeout = 60 * time.Second
	readyPoll    = 50 * time.Millisecond
	askTimeout   = 10 * time.Second
	startTries   = 5 // a free port may be taken by somebody else before the server has it
)

// guardian runs the server until its standard input ends: by Stop, or with the test binary.
const guardian = `"$@" </dev/null & pid=$!; read -r _; kill -KILL "$pid"; wait "$pid"`

// Config is how a server is run.
type Config struct {
	Addr string // where it listens; empty: a free port of 127.0.0.1
	Dir  string // its files; empty: a folder of the test
	// CertFile and KeyFile make it speak TLS alone (PEM).
	CertFile, KeyFile string
	CAFile            string // who signed it, for this package's own client
}

// Server is a running one. It asks for a password.
type Server struct {
	Addr string // host:port
	c    Config
	end  func()
}

// Start runs a server. The test ends with it missing.
func Start(t testing.TB, c Config) *Server {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	bin := binary(t)
	var err error
	for range startTries {
		var s *Server
		if s, err = start(t.Context(), bin, c); err == nil {
			t.Cleanup(s.Stop)
			return s
		}
	}
	t.Fatalf("ferretdb did not start: %v", err)
	return nil
}

// Stop ends the server at once. It is safe twice.
func (s *Server) Stop() { s.end() }

// URL names a database on the server, as its user.
func (s *Server) URL(database string) string { return s.URLAs(User, Password, database) }

// URLAs names a database on the server, as somebody else.
func (s *Server) URLAs(user, password, database string) string {
	u := url.URL{Scheme: "mongodb", User: url.UserPassword(user, password), Host: s.Addr, Path: "/" + database}
	q := url.Values{"authSource": {"admin"}}
	if s.c.CertFile != "" {
		q.Set("tls", "true")
		q.Set("tlsCAFile", s.c.CAFile)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// Client is one of MongoDB's own driver.
func (s *Server) Client(t testing.TB) *mongo.Client {
	t.Helper()
	c, err := mongo.Connect(options.Client().ApplyURI(s.URL("test")).SetTimeout(askTimeout))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Disconnect(context.Background()) })
	return c
}

func binary(t testing.TB) string {
	t.Helper()
	path := os.Getenv(EnvServer)
	if path == "" {
		path = filepath.Join(root(t), "bin/ferretdb")
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("the MongoDB of the tests is missing: run 'make bin/ferretdb', or name one in %s: %v", EnvServer, err)
	}
	return path
}

// root is the folder of the module.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	for ; err == nil && filepath.Dir(dir) != dir; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	t.Fatalf("the tests do not run inside the module: %v", err)
	return ""
}

func start(ctx context.Context, bin string, c Config) (*Server, error) {
	addr := c.Addr
	if addr == "" {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		addr = l.Addr().String()
		if err := l.Close(); err != nil {
			return nil, err
		}
	}
	args := []string{"-c", guardian, "guardian", bin, "--handler=sqlite", "--sqlite-url=file:" + c.Dir + "/", "--state-dir=" + c.Dir, "--debug-addr=-",
		"--telemetry=disable", "--log-level=error", "--test-enable-new-auth", "--setup-database=admin", "--setup-username=" + User, "--setup-password=" + Password}
	if c.CertFile == "" {
		args = append(args, "--listen-addr="+addr)
	} else {
		args = append(args, "--listen-addr=", "--listen-tls="+addr, "--listen-tls-cert-file="+c.CertFile, "--listen-tls-key-file="+c.KeyFile)
	}
	cmd := exec.Command("sh", args...) //nolint:noctx // it ends when the pipe does
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &Server{Addr: addr, c: c, end: sync.OnceFunc(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})}
	if err := s.waitReady(ctx); err != nil {
		s.end()
		return nil, fmt.Errorf("%w; it said: %s", err, out.String())
	}
	return s, nil
}

// waitReady asks as the driver does: a port that is open does not prove that the user is there.
func (s *Server) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	c, err := mongo.Connect(options.Client().ApplyURI(s.URL("admin")))
	if err != nil {
		return err
	}
	defer func() { _ = c.Disconnect(context.WithoutCancel(ctx)) }()
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		if _, err := c.ListDatabaseNames(ctx, map[string]any{}); err == nil {
			return nil
		} else if ctx.Err() != nil {
			return fmt.Errorf("it is not ready: %w", err)
		}
		<-tick.C
	}
}
