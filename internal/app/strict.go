package app

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/strength"
	"github.com/parley-voice/parley/internal/telephony/sip"
)

// The setting strict keeps an installation at level 2 of OWASP ASVS 5 (docs/security/strict.md, docs/security/asvs.md). What a
// setting decides is demanded here, so that nobody finds out at an audit; what no setting decides follows from strict by itself:
// strength, exact codes of authenticator apps, no MD5, no simulated vendors, no exception for this machine.

const awsTimeout = 20 * time.Second // for the machine's role

// strength is what keys of others must have.
func (c *Config) strength() strength.Level {
	if c.Strict {
		return strength.Bits128
	}
	return strength.Bits112
}

// checkStrict names everything that is less than level 2 wants.
func (c *Config) checkStrict(bad complain) {
	if !c.Strict {
		return
	}
	if c.is(roleGateway) {
		c.strictEdge(bad)
		c.strictPeople(bad)
	}
	if c.is(roleMedia) && c.SIPAddr != off {
		c.strictSIP(bad)
	}
	c.strictStores(bad)
	c.strictSecrets(bad)
	c.strictOutbound(bad)
	c.strictLogs(bad)
}

func (c *Config) strictEdge(bad complain) {
	if c.PlainHTTP {
		bad("plain-http", "leave it out", "strict serves nothing in the clear (ASVS V12.2.1)")
	}
	own := c.TLSCert != "" || c.ACMEDomains != ""
	behind := onThisMachine(c.HTTPAddr) && strings.HasPrefix(c.PublicURL, "https://") && c.TrustedProxies != ""
	if !own && !behind {
		bad("tls-cert", "set tls-cert and tls-key, or acme-domains; or have a proxy on this machine encrypt: then http-addr is an address of this machine, "+
			"public-url begins with https:// and trusted-proxies names the proxy", "strict serves the web by TLS only (ASVS V12.2.1, V12.3.1)")
	}
}

func (c *Config) strictPeople(bad complain) {
	if !c.SecondFactor {
		bad("require-second-factor", "set it to true", "strict asks everybody for a second factor (ASVS V6.3.3)")
	}
	if !isURL(c.LeakedPasswordsURL, "https") {
		bad("leaked-passwords-url", "name a range API by https, such as https://api.pwnedpasswords.com/range", "strict refuses leaked passwords (ASVS V6.2.12)")
	}
	if c.SSOPrivateNetworks {
		bad("sso-private-networks", "leave it out and name the provider in outbound-allow", "strict asks identity providers by https only (ASVS V12.3.1)")
	}
}

func (c *Config) strictSIP(bad complain) {
	if !c.SIPRequireTLS {
		bad("sip-require-tls", "set it to true, and tls-cert and tls-key or acme-domains; or sip-addr to off", "strict takes calls by TLS with SRTP only (ASVS V12.3.1)")
	}
	nets, err := c.trusted()
	if err == nil && slices.ContainsFunc(nets, func(p netip.Prefix) bool { return !p.Addr().IsLoopback() }) {
		bad("sip-trust", "name this machine only, such as 127.0.0.0/8, and have carriers prove who they are: sip-tls-trust", "strict trusts no address of another machine (ASVS V13.2.1)")
	}
}

// strictStores judges how this process reaches what keeps its data. What is embedded is not reached over a network.
func (c *Config) strictStores(bad complain) {
	for setting, values := range map[string][]string{"database-url": {c.DatabaseURL}, "regions": slices.Collect(maps.Values(c.regions()))} {
		for _, v := range values {
			if why := strictPostgres(v); why != "" {
				bad(setting, "use postgres://USER@HOST/NAME?sslmode=verify-full&sslrootcert=FILE&sslcert=FILE&sslkey=FILE", "%s (ASVS V12.3.1, V13.2.1)", why)
			}
		}
	}
	if c.NATSURL != "" {
		u, err := url.Parse(c.NATSURL)
		switch {
		case err != nil:
		case u.Scheme != "tls" && u.Scheme != "wss":
			bad("nats-url", "write tls:// and name who signed its certificate in nats-ca", "strict speaks to NATS by TLS only (ASVS V12.3.1)")
		case u.User != nil || c.NATSSeedFile == "":
			bad("nats-nkey-seed-file", "make an nkey with: nk -gen user, name the file of its seed and take the password out of nats-url",
				"strict proves to NATS who it is by signing (ASVS V13.2.1)")
		}
	}
	for setting, values := range map[string][]string{"blob-url": {c.BlobURL}, "region-blobs": slices.Collect(maps.Values(pairs(c.RegionBlobs)))} {
		for _, v := range values {
			if u, err := url.Parse(v); err == nil && plainEndpoint(u.Query()) {
				bad(setting, "give its endpoint with https://", "strict speaks to S3 by TLS only (ASVS V12.3.1)")
			}
		}
	}
	for setting, values := range map[string][]string{"search-url": {c.SearchURL}, "region-search": slices.Collect(maps.Values(pairs(c.RegionSearch)))} {
		for _, v := range values {
			if u, err := url.Parse(v); err == nil && v != "" && (u.Scheme != "https" || u.User != nil || !u.Query().Has("cert")) {
				bad(setting, "use https://HOST:9200?cert=FILE&key=FILE&ca=FILE, or leave it empty for an index in the data folder",
					"strict proves to OpenSearch who it is by a certificate, by TLS (ASVS V12.3.1, V13.2.1)")
			}
		}
	}
}

// strictPostgres says what is wrong with a URL of PostgreSQL; "" is nothing, as with the folder of SQLite.
func strictPostgres(raw string) string {
	if raw == "" || !isPostgres(raw) {
		return ""
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "it is no URL"
	}
	q := u.Query()
	_, password := u.User.Password()
	switch {
	case q.Get("sslmode") != "verify-full":
		return "strict speaks to PostgreSQL by TLS and checks its name: sslmode=verify-full"
	case q.Get("sslcert") == "" || q.Get("sslkey") == "":
		return "strict proves to PostgreSQL who it is by a certificate: sslcert and sslkey"
	case password || q.Has("password") || os.Getenv("PGPASSWORD") != "":
		return "strict gives PostgreSQL no password that never changes"
	}
	return ""
}

// plainEndpoint reports whether an S3 URL names an endpoint without TLS (gocloud.dev's aws package has these names).
func plainEndpoint(q url.Values) bool {
	return strings.HasPrefix(q.Get("endpoint"), "http://") || q.Get("disable_https") == "true" || q.Get("disableSSL") == "true"
}

// strictSecrets refuses secrets that stand in settings for all who see them: who gives them is a key service, or a secrets manager
// that writes a file.
func (c *Config) strictSecrets(bad complain) {
	if c.is(roleWorker) && c.KMS == "" {
		bad("kms", "name a key of AWS KMS or of Vault", "strict keeps secrets under a key that a key service guards (ASVS V13.3.1)")
	}
	if c.Key+c.KeyPrevious != "" {
		bad("key", "have the key service wrap all data keys with parley key rotate, then leave key and key-previous out", "strict has no master key in a setting (ASVS V13.3.1)")
	}
	if c.VaultToken != "" {
		bad("vault-token", "name the file that Vault Agent writes in vault-token-file", "strict takes no token that never changes (ASVS V13.2.1, V13.3.1)")
	}
	for setting, url := range map[string]string{"kms": c.KMS, "kms-previous": c.KMSPrevious} {
		if strings.HasPrefix(url, "vault+http:") || strings.Contains(url, "endpoint=http:") {
			bad(setting, "use its https address", "strict speaks to the key service by TLS only (ASVS V12.3.1)")
		}
	}
	u, _ := url.Parse(c.SMTPURL)
	for setting, secret := range map[string]string{
		"twilio-auth-token": c.TwilioAuthToken, "metrics-token": c.MetricsToken,
		"smtp-url": map[bool]string{true: c.SMTPURL}[u != nil && u.User != nil],
	} {
		if secret != "" && !isFile(secret) {
			bad(setting, "have a secrets manager write it into a file and give file:/PATH", "strict takes no secret from the environment or the settings file (ASVS V13.3.1)")
		}
	}
	if m, err := secretOf(c.SMTPURL); err == nil && strings.HasPrefix(m, "smtp:") {
		if u, err := url.Parse(m); err == nil && loopback(u.Hostname()) {
			bad("smtp-url", "use smtps://, or the server's name, with which STARTTLS is demanded", "strict hands letters over by TLS only (ASVS V12.3.1)")
		}
	}
}

func (c *Config) strictOutbound(bad complain) {
	if strings.TrimSpace(c.OutboundDeny) != "*" {
		bad("outbound-deny", "set it to * and name in outbound-allow what tools, vendors and identity providers may be", "strict reaches what a list names (ASVS V13.2.4, V13.2.5)")
	}
	for setting, raw := range map[string]string{"otlp-endpoint": c.OTLPEndpoint, "acme-directory": c.ACMEDirectory} {
		if raw != "" && !isURL(raw, "https") {
			bad(setting, "use https://", "strict sends nothing in the clear (ASVS V12.3.1)")
		}
	}
	if c.SimSTT+c.SimLLM+c.SimTTS != "" {
		bad("sim-llm", "leave sim-stt, sim-llm and sim-tts empty", "strict has no simulated vendors (ASVS V15.2.3)")
	}
}

// strictLogs demands that a copy of the logs is out of reach of who breaks in.
func (c *Config) strictLogs(bad complain) {
	if c.LogFormat != "json" {
		bad("log-format", "set it to json", "strict writes a log that machines read (ASVS V16.2.4)")
	}
	if c.LogLevel != "info" && c.LogLevel != "debug" {
		bad("log-level", "set it to info", "strict logs refused requests too (ASVS V16.3.3)")
	}
	_, query, _ := strings.Cut(c.PlatformLogURL, "?")
	q, err := url.ParseQuery(query)
	mechanism := strings.ToUpper(q.Get("authMechanism"))
	switch {
	case c.PlatformLogURL == "":
		bad("platform-log-url", "name a MongoDB that others administer", "strict keeps a copy of the logs elsewhere (ASVS V16.4.3)")
	case err != nil || q.Get("tls") != "true":
		bad("platform-log-url", "write tls=true", "strict sends the copy of the logs by TLS only (ASVS V12.3.1)")
	case mechanism != "MONGODB-X509" || q.Get("tlsCertificateKeyFile") == "" || strings.Contains(c.PlatformLogURL, "@"):
		bad("platform-log-url", "use authMechanism=MONGODB-X509 with tlsCertificateKeyFile and no password", "strict proves who it is by a certificate (ASVS V13.2.1)")
	}
	if !c.CopyLogs {
		bad("copy-logs", "set it to true", "strict keeps a copy of the organisations' trails and of the process's log elsewhere (ASVS V16.4.3)")
	}
}

// strictly sets what follows from strict in SIP.
func (c *Config) strictly(s *sip.Config) {
	s.Strength = c.strength()
	if c.Strict {
		s.Digest, s.Plain = []string{sip.SHA256}, []netip.Prefix{}
	}
}

// checkAWS refuses credentials for S3 and AWS KMS that never change: the machine's role, or what a token service gave, end.
func (c *Config) checkAWS(ctx context.Context) error {
	uses := func(s string) bool { return strings.Contains(s, "s3://") || strings.Contains(s, "awskms://") }
	if !c.Strict || !slices.ContainsFunc([]string{c.BlobURL, c.RegionBlobs, c.KMS, c.KMSPrevious}, uses) {
		return nil
	}
	aws, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return fmt.Errorf("credentials for AWS: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, awsTimeout)
	defer cancel()
	had, err := aws.Credentials.Retrieve(ctx)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "strict: there are no credentials for S3 and AWS KMS; give this machine a role")
	}
	if !had.CanExpire && had.SessionToken == "" {
		return fault.New(fault.Invalid, "strict: the credentials for S3 and AWS KMS never change (they are from %s); use the machine's role, or those of a session (ASVS V13.2.1)", had.Source)
	}
	return nil
}

// encryptedOnly refuses requests without TLS.
type encryptedOnly struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (e encryptedOnly) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		return nil, fault.New(fault.NotPossible, "%s is not https, and this installation sends nothing in the clear", r.URL.Redacted())
	}
	return e.next.RoundTrip(r)
}

// CloseIdleConnections lets http.Client do so.
func (e encryptedOnly) CloseIdleConnections() {
	if c, ok := e.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
