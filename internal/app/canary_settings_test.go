package app_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-voice/parley/internal/app"
	"github.com/parley-voice/parley/internal/platform/bus/natstest"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
)

// settingCanary is in every setting that holds a secret; it looks like what it stands for in none of them.
const settingCanary = "Kanarienvogel-setting-7391"

// forms is how a secret may be written.
func forms(secret string) []string {
	return []string{secret, url.QueryEscape(secret), strings.ToUpper(secret)}
}

// tells fails where a setting's secret is heard.
func tells(t *testing.T, what string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		for _, f := range forms(settingCanary) {
			if i := strings.Index(text, f); i >= 0 {
				t.Errorf("%s: it is told in ...%s", what, text[max(0, i-120):min(len(text), i+80)])
				return
			}
		}
	}
}

// Who mistypes a setting reads what is wrong with it, and its password nowhere.
func TestMistypedSettingsStaySecret(t *testing.T) {
	fields := map[string]func(*app.Config) *string{
		"database-url":         func(c *app.Config) *string { return &c.DatabaseURL },
		"nats-url":             func(c *app.Config) *string { return &c.NATSURL },
		"blob-url":             func(c *app.Config) *string { return &c.BlobURL },
		"search-url":           func(c *app.Config) *string { return &c.SearchURL },
		"regions":              func(c *app.Config) *string { return &c.Regions },
		"region-blobs":         func(c *app.Config) *string { return &c.RegionBlobs },
		"region-search":        func(c *app.Config) *string { return &c.RegionSearch },
		"kms":                  func(c *app.Config) *string { return &c.KMS },
		"kms-previous":         func(c *app.Config) *string { return &c.KMSPrevious },
		"key":                  func(c *app.Config) *string { return &c.Key },
		"key-previous":         func(c *app.Config) *string { return &c.KeyPrevious },
		"smtp-url":             func(c *app.Config) *string { return &c.SMTPURL },
		"platform-log-url":     func(c *app.Config) *string { return &c.PlatformLogURL },
		"otlp-endpoint":        func(c *app.Config) *string { return &c.OTLPEndpoint },
		"leaked-passwords-url": func(c *app.Config) *string { return &c.LeakedPasswordsURL },
	}
	for setting, field := range fields {
		for _, wrong := range []string{
			"gopher://parley:" + settingCanary + "@host/x", "postgres://parley:" + settingCanary + "@host/%zz", "https://parley:" + settingCanary + "@ho st/",
			"eu=postgres://parley:" + settingCanary + "@[host/{database}", "vault://parley:" + settingCanary + "@/", "s3://" + settingCanary + "@%/", settingCanary,
			"mongodb://parley:" + settingCanary + "@h ost/p", "parley:" + settingCanary + "@host:5432", "nats://parley:" + settingCanary + "@host:port",
		} {
			c := settings(t.TempDir(), "44360-44379")
			*field(&c) = wrong
			var logs, out terminal
			_, err := app.New(c, "test", &out, &logs)
			said := ""
			if err != nil {
				said = err.Error()
			}
			tells(t, setting+" as "+strings.ReplaceAll(wrong, settingCanary, "SECRET"), said, logs.String(), out.String())
		}
	}
}

// A server that cannot be reached, or that refuses, ends the start or does not. Either way its password is not heard of.
func TestUnreachableSettingsStaySecret(t *testing.T) {
	nats := natstest.Run(t)
	stranger := natstest.Run(t)
	seed, err := os.ReadFile(stranger.Seeds["worker"])
	if err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "broken.nk")
	if err := os.WriteFile(broken, []byte("SU"+settingCanary), 0o600); err != nil {
		t.Fatal(err)
	}
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, pass, _ := r.BasicAuth()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error":{"type":"security_exception","reason":"not you, ` + user + `"},"status":401}`))
		if pass != settingCanary && user != "" {
			t.Errorf("it was asked as %s with another password", user)
		}
	}))
	t.Cleanup(refuses.Close)
	database := dbtest.PostgresURL(t)
	nowhere := "parley:" + settingCanary + "@127.0.0.1:1"
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIA0123456789ABCDEF")
	t.Setenv("AWS_SECRET_ACCESS_KEY", settingCanary)
	t.Setenv("AWS_REGION", "eu-central-1")
	// One that has started saves the others from making its tables.
	migrated := t.TempDir()
	first := settings(migrated, "44380-44399")
	first.Key = clusterKey
	if said, started := starts(t, first); !started {
		t.Fatal(said)
	}
	for what, c := range map[string]struct {
		change func(*app.Config)
		starts bool // it starts all the same
	}{
		"PostgreSQL": {change: func(c *app.Config) { c.DatabaseURL = "postgres://" + nowhere + "/parley" }},
		"PostgreSQL, password in the query": {change: func(c *app.Config) {
			c.DatabaseURL = "postgres://127.0.0.1:1/parley?user=parley&password=" + settingCanary
		}},
		"NATS":            {change: func(c *app.Config) { c.NATSURL = "nats://" + nowhere }},
		"NATS by a token": {change: func(c *app.Config) { c.NATSURL = "nats://" + settingCanary + "@127.0.0.1:1" }},
		"NATS that refuses": {change: func(c *app.Config) {
			c.NATSURL, c.NATSCA = strings.Replace(nats.URL, "tls://", "tls://parley:"+settingCanary+"@", 1), nats.CA
		}},
		"NATS that refuses a seed": {change: func(c *app.Config) {
			c.NATSURL, c.NATSCA, c.NATSSeedFile = nats.URL, nats.CA, stranger.Seeds["worker"]
		}},
		"a seed that is none": {change: func(c *app.Config) { c.NATSURL, c.NATSCA, c.NATSSeedFile = nats.URL, nats.CA, broken }},
		"OpenSearch":          {change: func(c *app.Config) { c.SearchURL = "http://" + nowhere }},
		"OpenSearch that refuses": {change: func(c *app.Config) {
			c.SearchURL = strings.Replace(refuses.URL, "http://", "http://parley:"+settingCanary+"@", 1)
		}},
		"a region's OpenSearch": {change: func(c *app.Config) {
			c.Regions, c.RegionSearch = "eu="+t.TempDir(), "eu=http://"+nowhere
		}},
		"a region's PostgreSQL": {starts: true, change: func(c *app.Config) {
			c.DatabaseURL = database
			c.Regions, c.RegionBlobs = "eu=postgres://"+nowhere+"/{database}", "eu=file://"+t.TempDir()
		}},
		"Vault":   {change: func(c *app.Config) { c.KMS, c.VaultToken = "vault+http://127.0.0.1:1/transit/parley", settingCanary }},
		"AWS KMS": {change: func(c *app.Config) { c.KMS = "awskms://alias/parley?region=eu-central-1&endpoint=http://127.0.0.1:1" }},
		"traces":  {starts: true, change: func(c *app.Config) { c.OTLPEndpoint = "http://" + nowhere }},
	} {
		t.Run(what, func(t *testing.T) {
			s := settings(t.TempDir(), "44380-44399")
			s.LogLevel, s.Key = "debug", clusterKey
			c.change(&s)
			if s.DatabaseURL == "" && s.KMS == "" {
				if err := os.CopyFS(s.DataDir, os.DirFS(migrated)); err != nil {
					t.Fatal(err)
				}
			}
			said, started := starts(t, s)
			if started != c.starts {
				t.Errorf("it started: %v: %s", started, said)
			}
			tells(t, what, said)
			if bytes.Contains([]byte(said), bytes.TrimSpace(seed)) {
				t.Errorf("the seed is told: %s", said)
			}
		})
	}
}

// starts runs a server until it has started or ended, and gives all that it said.
func starts(t *testing.T, c app.Config) (said string, started bool) {
	t.Helper()
	var out, logs terminal
	a, err := app.New(c, "test", &out, &logs)
	if err != nil {
		return err.Error(), false
	}
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	select {
	case <-a.Started():
		started = true
		cancel()
		err = <-ended
	case err = <-ended:
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		said = err.Error()
	}
	return said + "\n" + out.String() + logs.String(), started
}
