package app_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/app"
)

// strictly are settings that keep to level 2 with everything embedded: nothing but the key service and the log's copy is elsewhere.
func strictly(t *testing.T, dir, rtp string) app.Config {
	t.Helper()
	c := settings(filepath.Join(dir, "data"), rtp)
	c.Strict = true
	c.TLSCert, c.TLSKey, _ = certificate(t, dir)
	c.SIPRequireTLS, c.SecondFactor, c.LogFormat, c.LogLevel, c.OutboundDeny = true, true, "json", "info", "*"
	c.LeakedPasswordsURL = "https://127.0.0.1:1/range"
	c.KMS, c.VaultTokenFile = "vault://127.0.0.1:1/transit/parley", filepath.Join(dir, "token")
	c.PlatformLogURL = "mongodb://127.0.0.1:1/parley?tls=true&authMechanism=MONGODB-X509&tlsCertificateKeyFile=" + secretFile(t, dir, "both.pem", contents(t, c.TLSCert)+contents(t, c.TLSKey))
	c.CopyLogs = true
	return c
}

func contents(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path) //nolint:gosec // a file of this test
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// secretFile writes a file that only this user reads.
func secretFile(t *testing.T, dir, name, secret string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// weakCertificate writes a certificate with an RSA key of 2048 bits (weak.pem, weak-key.pem).
func weakCertificate(t *testing.T, dir string) string {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secretFile(t, dir, "weak-key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)})))
	return secretFile(t, dir, "weak.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
}

// Each setting that is less than level 2 wants is refused by name, with what to do, and the requirement.
func TestStrictRefuses(t *testing.T) {
	t.Setenv("PGPASSWORD", "")
	dir := t.TempDir()
	const postgres = "postgres://parley@db.example.com/parley?sslmode=verify-full&sslcert=/c&sslkey=/k"
	split := func(c *app.Config, role string) {
		c.Role, c.DatabaseURL, c.NATSURL, c.BlobURL = role, postgres, "tls://nats:4222", "s3://recordings?region=eu"
		c.NATSSeedFile = secretFile(t, dir, "seed", "no seed")
	}
	weak := weakCertificate(t, dir)
	for name, c := range map[string]struct {
		change func(*app.Config)
		want   []string // settings that are complained of, each with the requirement
	}{
		"plain HTTP":     {func(c *app.Config) { c.PlainHTTP = true }, []string{"plain-http V12.2.1"}},
		"no certificate": {func(c *app.Config) { c.TLSCert, c.TLSKey, c.SIPAddr = "", "", "off" }, []string{"tls-cert V12.2.1"}},
		"a proxy elsewhere": {func(c *app.Config) {
			c.TLSCert, c.TLSKey, c.SIPAddr, c.HTTPAddr, c.TrustedProxies, c.PublicURL = "", "", "off", "0.0.0.0:80", "10.0.0.0/8", "https://x.example.com"
		}, []string{"tls-cert V12.2.1"}},
		"a weak certificate":       {func(c *app.Config) { c.TLSCert, c.TLSKey = weak, filepath.Join(dir, "weak-key.pem") }, []string{"tls-cert 2048 bits"}},
		"one factor":               {func(c *app.Config) { c.SecondFactor = false }, []string{"require-second-factor V6.3.3"}},
		"leaked passwords":         {func(c *app.Config) { c.LeakedPasswordsURL = "" }, []string{"leaked-passwords-url V6.2.12"}},
		"their service in clear":   {func(c *app.Config) { c.LeakedPasswordsURL = "http://127.0.0.1/range" }, []string{"leaked-passwords-url V6.2.12"}},
		"providers in clear":       {func(c *app.Config) { c.SSOPrivateNetworks = true }, []string{"sso-private-networks V12.3.1"}},
		"SIP in clear":             {func(c *app.Config) { c.SIPRequireTLS = false }, []string{"sip-require-tls V12.3.1"}},
		"an address that is trust": {func(c *app.Config) { c.SIPTrust = "127.0.0.0/8,192.0.2.0/24" }, []string{"sip-trust V13.2.1"}},
		"PostgreSQL unnamed":       {func(c *app.Config) { c.DatabaseURL = strings.Replace(postgres, "verify-full", "require", 1) }, []string{"database-url V12.3.1"}},
		"PostgreSQL by password":   {func(c *app.Config) { c.DatabaseURL = strings.Replace(postgres, "parley@", "parley:canary@", 1) }, []string{"database-url V13.2.1"}},
		"password as an option":    {func(c *app.Config) { c.DatabaseURL = postgres + "&password=canary" }, []string{"database-url V13.2.1"}},
		"no client certificate":    {func(c *app.Config) { c.DatabaseURL = "postgres://parley@db/parley?sslmode=verify-full" }, []string{"database-url V13.2.1"}},
		"a region in clear":        {func(c *app.Config) { c.Regions = "eu=postgres://parley@eu/{database}" }, []string{"regions V12.3.1"}},
		"NATS in clear":            {func(c *app.Config) { c.NATSURL = "nats://127.0.0.1:4222" }, []string{"nats-url V12.3.1"}},
		"NATS by password":         {func(c *app.Config) { c.NATSURL = "tls://u:canary@nats:4222" }, []string{"nats-nkey-seed-file V13.2.1"}},
		"S3 in clear":              {func(c *app.Config) { c.BlobURL = "s3://b?region=eu&endpoint=http://127.0.0.1:9000" }, []string{"blob-url V12.3.1"}},
		"a region's S3 in clear":   {func(c *app.Config) { c.Regions, c.RegionBlobs = "eu="+dir, "eu=s3://b?disable_https=true" }, []string{"region-blobs V12.3.1"}},
		"OpenSearch in clear":      {func(c *app.Config) { c.SearchURL = "http://127.0.0.1:9200?cert=/c&key=/k" }, []string{"search-url V12.3.1"}},
		"OpenSearch by password":   {func(c *app.Config) { c.SearchURL = "https://u:canary@search:9200" }, []string{"search-url V13.2.1"}},
		"no key service":           {func(c *app.Config) { c.KMS, c.VaultTokenFile = "", "" }, []string{"kms V13.3.1"}},
		"a key in a setting":       {func(c *app.Config) { c.Key = clusterKey }, []string{"key V13.3.1"}},
		"Vault in clear":           {func(c *app.Config) { c.KMS = "vault+http://127.0.0.1:1/transit/parley" }, []string{"kms V12.3.1"}},
		"a token for ever":         {func(c *app.Config) { c.VaultTokenFile, c.VaultToken = "", "canary" }, []string{"vault-token V13.3.1"}},
		"Twilio's token":           {func(c *app.Config) { c.TwilioAccountSID, c.TwilioAuthToken = "AC0", "canary" }, []string{"twilio-auth-token V13.3.1"}},
		"the metrics' token":       {func(c *app.Config) { c.MetricsToken = "canary" }, []string{"metrics-token V13.3.1"}},
		"the mail's password":      {func(c *app.Config) { c.SMTPURL, c.MailFrom = "smtps://u:canary@mail.example.com", "a@example.com" }, []string{"smtp-url V13.3.1"}},
		"mail in clear":            {func(c *app.Config) { c.SMTPURL, c.MailFrom = "smtp://127.0.0.1:25", "a@example.com" }, []string{"smtp-url V12.3.1"}},
		"the whole internet":       {func(c *app.Config) { c.OutboundDeny = "" }, []string{"outbound-deny V13.2.4"}},
		"traces in clear":          {func(c *app.Config) { c.OTLPEndpoint = "http://127.0.0.1:4318" }, []string{"otlp-endpoint V12.3.1"}},
		"rehearsal":                {func(c *app.Config) { c.SimLLM = "error=0.1" }, []string{"sim-llm V15.2.3"}},
		"a log for people":         {func(c *app.Config) { c.LogFormat = "text" }, []string{"log-format V16.2.4"}},
		"no copy of the log":       {func(c *app.Config) { c.PlatformLogURL, c.CopyLogs = "", false }, []string{"platform-log-url V16.4.3", "copy-logs V16.4.3"}},
		"its copy in clear":        {func(c *app.Config) { c.PlatformLogURL = "mongodb://127.0.0.1:1/parley" }, []string{"platform-log-url V12.3.1"}},
		"its copy by password":     {func(c *app.Config) { c.PlatformLogURL = "mongodb://u:canary@mongo:1/parley?tls=true" }, []string{"platform-log-url V13.2.1"}},
		"a log of failures only":   {func(c *app.Config) { c.LogLevel = "error" }, []string{"log-level V16.3.3"}},
		"no copy of trails":        {func(c *app.Config) { c.CopyLogs = false }, []string{"copy-logs V16.4.3"}},
		"a gateway": {func(c *app.Config) {
			split(c, "gateway")
			c.KMS, c.VaultTokenFile, c.PlatformLogURL, c.CopyLogs, c.SIPRequireTLS = "", "", "", false, false
			c.SecondFactor = false
		},
			[]string{"require-second-factor V6.3.3"}},
		"a worker": {func(c *app.Config) {
			split(c, "worker")
			c.TLSCert, c.TLSKey, c.SIPRequireTLS, c.SecondFactor, c.PlatformLogURL, c.CopyLogs = "", "", false, false, "", false
		},
			[]string{"platform-log-url V16.4.3", "copy-logs V16.4.3"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := strictly(t, dir, "25800-25849")
			c.change(&cfg)
			err := cfg.Check()
			if err == nil {
				t.Fatal("it is taken")
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("a secret is in %v", err)
			}
			for _, w := range c.want {
				setting, why, _ := strings.Cut(w, " ")
				if !hasProblem(err, "--"+setting+" (", why) {
					t.Errorf("nothing says %s of %s: %v", why, setting, err)
				}
			}
			cfg.Strict = false
			if err := cfg.Check(); err != nil && strings.Contains(err.Error(), "strict") {
				t.Errorf("without strict: %v", err)
			}
		})
	}
}

// hasProblem looks for a line of an error that names a setting and a reason.
func hasProblem(err error, setting, why string) bool {
	if err == nil {
		return false
	}
	for line := range strings.Lines(err.Error()) {
		if strings.HasPrefix(line, setting) && strings.Contains(line, why) {
			return true
		}
	}
	return false
}

// All that is wrong is said at once; and what is right is taken.
func TestStrictTellsAllAtOnce(t *testing.T) {
	dir := t.TempDir()
	c := settings(filepath.Join(dir, "data"), "25850-25899")
	c.Strict, c.MetricsToken = true, "canary"
	err := c.Check()
	for _, setting := range []string{"tls-cert", "require-second-factor", "leaked-passwords-url", "sip-require-tls", "kms", "outbound-deny", "log-format", "platform-log-url", "copy-logs", "metrics-token"} {
		if !hasProblem(err, "--"+setting+" (", "ASVS V") {
			t.Errorf("nothing is said of %s: %v", setting, err)
		}
	}
	if err := strictlyOf(t, dir).Check(); err != nil {
		t.Errorf("good settings: %v", err)
	}
	c = *strictlyOf(t, dir)
	c.DatabaseURL = "postgres://parley@db/parley?sslmode=verify-full&sslcert=/c&sslkey=/k"
	c.SearchURL = "https://search:9200?cert=" + c.TLSCert + "&key=" + c.TLSKey
	c.TwilioAccountSID, c.TwilioAuthToken = "AC0", "file:"+secretFile(t, dir, "twilio", "a token")
	c.MetricsToken = "file:" + secretFile(t, dir, "metrics", "a token")
	c.SMTPURL, c.MailFrom = "file:"+secretFile(t, dir, "mail", "smtps://u:p@mail.example.com"), "a@example.com"
	if err := c.Check(); err != nil {
		t.Errorf("good settings with others' servers: %v", err)
	}
}

func strictlyOf(t *testing.T, dir string) *app.Config {
	t.Helper()
	c := strictly(t, dir, "25850-25899")
	return &c
}

// Credentials of AWS that never change are refused at the start, also where no setting names them; a session's are taken.
func TestStrictRefusesLastingCredentials(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDCANARY")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "canary")
	t.Setenv("AWS_SESSION_TOKEN", "")
	c := strictly(t, dir, "25850-25899")
	c.BlobURL = "s3://recordings?region=eu-central-1"
	if err := app.CheckAWS(t.Context(), c); err == nil || !strings.Contains(err.Error(), "never change") || strings.Contains(err.Error(), "canary") {
		t.Errorf("access keys: %v", err)
	}
	t.Setenv("AWS_SESSION_TOKEN", "of an hour")
	if err := app.CheckAWS(t.Context(), c); err != nil {
		t.Errorf("a session's: %v", err)
	}
	t.Setenv("AWS_SESSION_TOKEN", "")
	c.Strict = false
	if err := app.CheckAWS(t.Context(), c); err != nil {
		t.Errorf("without strict: %v", err)
	}
}

// A file of a secret that is away, empty or everybody's is told at the start.
func TestSecretFiles(t *testing.T) {
	dir := t.TempDir()
	open := secretFile(t, dir, "open", "canary")
	if err := os.Chmod(open, 0o644); err != nil { //nolint:gosec // that is what is tried
		t.Fatal(err)
	}
	for file, why := range map[string]string{
		filepath.Join(dir, "none"): "no such file", secretFile(t, dir, "empty", " "): "empty", open: "everybody",
		secretFile(t, dir, "long", strings.Repeat("x", 20<<10)): "longer",
	} {
		c := settings(filepath.Join(dir, "data"), "25850-25899")
		c.MetricsToken = "file:" + file
		if err := c.Check(); !hasProblem(err, "--metrics-token (", why) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", why, err)
		}
	}
}
