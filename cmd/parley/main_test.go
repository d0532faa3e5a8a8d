package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-voice/parley/internal/app"
)

// parse reads a command line as main does.
func parse(t *testing.T, args ...string) (*cli, error) {
	t.Helper()
	var c cli
	parser, err := newParser(&c)
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse(args)
	return &c, err
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "parley.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPrecedence(t *testing.T) {
	settings := file(t, "max-calls: 11\nlog-level: debug\nsip_domain: file.example\ndrain: 10s\n")
	t.Setenv("PARLEY_LOG_LEVEL", "warn")
	t.Setenv("PARLEY_SIP_DOMAIN", "env.example")
	c, err := parse(t, "serve", "--config", settings, "--sip-domain", "flag.example")
	if err != nil {
		t.Fatal(err)
	}
	s := c.Serve.Config
	if s.SIPDomain != "flag.example" {
		t.Errorf("a flag does not beat a variable and the file: %s", s.SIPDomain)
	}
	if s.LogLevel != "warn" {
		t.Errorf("a variable does not beat the file: %s", s.LogLevel)
	}
	if s.MaxCalls != 11 || s.Drain.String() != "10s" {
		t.Errorf("the file does not beat the defaults: %d, %s", s.MaxCalls, s.Drain)
	}
	if s.RTPPorts != "20000-23999" {
		t.Errorf("no default: %s", s.RTPPorts)
	}
	t.Setenv("PARLEY_CONFIG", settings)
	if c, err = parse(t, "serve"); err != nil || c.Serve.MaxCalls != 11 {
		t.Errorf("the file that PARLEY_CONFIG names is not read: %v, %d", err, c.Serve.MaxCalls)
	}
}

func TestSettingsFileProblems(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		says []string
	}{
		"unknown line": {"max-calls: 5\nhttp-adress: 127.0.0.1:1\n", []string{"http-adress", "no setting", "http-addr"}},
		"no YAML":      {"max-calls: [5\n", []string{"settings file", "one setting a line"}},
		"no number":    {"max-calls: many\n", []string{"max-calls", "many"}},
		"no time":      {"drain: soon\n", []string{"drain", "soon"}},
	} {
		_, err := parse(t, "serve", "--config", file(t, c.text))
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, want := range c.says {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q is not in %q", name, want, err)
			}
		}
	}
	if _, err := parse(t, "serve", "--config", filepath.Join(t.TempDir(), "none.yaml")); err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestCheck(t *testing.T) {
	occupied := filepath.Join(file(t, ""), "data") // below a file no folder can be
	for _, c := range []struct{ setting, value, problem, remedy string }{
		{"http-addr", "8080", "is no address", "HOST:PORT"},
		{"http-addr", "127.0.0.1:99999", "is no port", "1 to 65535"},
		{"http-addr", "example.com:80", "is no IP address", "localhost"},
		{"sip-addr", "here", "is no address", "HOST:PORT"},
		{"webrtc-addr", "127.0.0.1", "is no address", "HOST:PORT"},
		{"webrtc-addr", "127.0.0.1:5060", "is the SIP address too", "a UDP port of their own"},
		{"public-url", "phone.example.com", "no http or https URL", "https://"},
		{"sip-domain", "a b", "is no realm", "example.com"},
		{"sip-trust", "10.0.0.0", "is no network", "10.1.0.0/16"},
		{"rtp-ports", "20000", "not a range", "20000-23999"},
		{"rtp-ports", "20000-20004", "too small", "at least 10 ports"},
		{"media-ip", "0.0.0.0", "no usable IP address", "203.0.113.7"},
		{"data-dir", occupied, "not a directory", "may write"},
		{"database-url", "mysql://db", "no PostgreSQL URL", "postgres://"},
		{"database-url", "postgres:///parley", "no PostgreSQL URL", "postgres://"},
		{"nats-url", "http://x", "no NATS URL", "nats://host:4222"},
		{"search-url", "ftp://x", "no URL of an OpenSearch server", "https://user:password@host:9200"},
		{"blob-url", "ftp://x", "no place for blobs", "s3://"},
		{"key", "secret", "not 32 bytes", "openssl rand"},
		{"max-calls", "0", "out of range", "1 to 100000"},
		{"drain", "25h", "out of range", "5m"},
		{"session-idle", "1s", "out of range", "30m"},
		{"log-level", "loud", "is no level", "debug, info"},
		{"log-format", "xml", "is no format", "text or json"},
		{"smtp-url", "mail.example.com", "no SMTP URL", "smtps://"},
		{"smtp-url", "smtp://mail.example.com", "no sender's address", "Parley <parley@example.com>"},
		{"leaked-passwords-url", "pwned", "no http URL", "https://"},
		{"otlp-endpoint", "collector", "no http URL", "4318"},
	} {
		t.Run(c.setting+" "+filepath.Base(c.value), func(t *testing.T) {
			args := []string{"serve", "--check", "--data-dir", t.TempDir()}
			got, err := parse(t, append(args, "--"+c.setting, c.value)...)
			if err != nil {
				t.Fatal(err)
			}
			err = got.Serve.Run(&env{ctx: t.Context(), version: "test"})
			var s *app.SettingError
			if !errors.As(err, &s) {
				t.Fatalf("got %v", err)
			}
			variable := "PARLEY_" + strings.ToUpper(strings.ReplaceAll(c.setting, "-", "_"))
			for _, want := range []string{"--" + c.setting, variable, c.problem, c.remedy} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in %q", want, err)
				}
			}
		})
	}
}

func TestCheckTellsEverything(t *testing.T) {
	c, err := parse(t, "serve", "--check", "--data-dir", t.TempDir(), "--max-calls", "0", "--log-level", "loud",
		"--sip-addr", "0.0.0.0:5060", "--twilio-account-sid", "AC1")
	if err != nil {
		t.Fatal(err)
	}
	err = c.Serve.Run(&env{ctx: t.Context(), version: "test"})
	var many interface{ Unwrap() []error }
	if !errors.As(err, &many) || len(many.Unwrap()) != 4 {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"--max-calls", "--log-level", "--media-ip", "--twilio-auth-token"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not named: %v", want, err)
		}
	}
}

func TestGoodSettings(t *testing.T) {
	for _, args := range [][]string{
		nil,
		{"--sip-addr", "off", "--webrtc-addr", "off", "--sip-trust", ""},
		{"--sip-addr", "0.0.0.0:5060", "--media-ip", "203.0.113.7"},
		{"--database-url", "postgres://u:p@127.0.0.1:5432/parley"},
		{"--database-url", "postgres://u@/parley?host=/run/postgresql"},
		{"--key", strings.Repeat("0a", 32), "--blob-url", "s3://bucket?region=eu-1", "--nats-url", "nats://127.0.0.1:4222"},
	} {
		c, err := parse(t, append([]string{"serve", "--check", "--data-dir", t.TempDir()}, args...)...)
		if err == nil {
			err = c.Serve.Run(&env{ctx: t.Context(), version: "test"})
		}
		if err != nil {
			t.Errorf("%v: %v", args, err)
		}
	}
}

// An address that is taken is found when starting, and says which setting to change.
func TestAddressTaken(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	c, err := parse(t, "serve", "--data-dir", t.TempDir(), "--http-addr", ln.Addr().String(), "--sip-addr", "127.0.0.1:0",
		"--webrtc-addr", "off", "--rtp-ports", "41200-41219", "--log-level", "error")
	if err != nil {
		t.Fatal(err)
	}
	err = c.Serve.Run(&env{ctx: t.Context(), version: "test"})
	var s *app.SettingError
	if !errors.As(err, &s) || !strings.Contains(s.Setting, "http-addr") || !strings.Contains(err.Error(), ln.Addr().String()) {
		t.Errorf("got %v", err)
	}
}
