package app

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-voice/parley/internal/media/rtp"
)

// Config is every setting. Each is a flag (--http-addr), a variable (PARLEY_HTTP_ADDR) and a line of the
// settings file (http-addr: ...), in that order of precedence. docs/configuration.md is made from it.
type Config struct {
	Role         string        `help:"What this process does: all of it, or gateway, media or worker in an installation of several processes (docs/roles.md)." default:"all" env:"PARLEY_ROLE" group:"Roles"`
	InternalAddr string        `name:"internal-addr" help:"Address (HTTPS) where a media process takes what gateways send it. Only processes of the installation get in." default:"127.0.0.1:8443" env:"PARLEY_INTERNAL_ADDR" group:"Roles"`
	InternalURL  string        `name:"internal-url" help:"URL under which gateways reach the internal address. Empty: https:// and the internal address." env:"PARLEY_INTERNAL_URL" group:"Roles"`
	MediaRegion  string        `name:"media-region" help:"Region (one of regions) whose organisations' calls this media process takes. Empty: those of all." env:"PARLEY_MEDIA_REGION" group:"Roles"`
	Zone         string        `help:"Where this gateway or media process stands, such as a data centre. Gateways prefer media processes of their own zone." env:"PARLEY_ZONE" group:"Roles"`
	NATSSeedFile string        `name:"nats-nkey-seed-file" help:"File with the seed of the nkey by which this process proves its role to NATS." env:"PARLEY_NATS_NKEY_SEED_FILE" group:"Roles"`
	NATSCA       string        `name:"nats-ca" help:"File with the certificates (PEM) of who signs the NATS server's. Empty: the system's." env:"PARLEY_NATS_CA" group:"Roles"`
	NATSCert     string        `name:"nats-cert" help:"File with this process's certificate (PEM), where the NATS server asks for one." env:"PARLEY_NATS_CERT" group:"Roles"`
	NATSKey      string        `name:"nats-key" help:"File with that certificate's key (PEM)." env:"PARLEY_NATS_KEY" group:"Roles"`
	GoneAfter    time.Duration `help:"How long a media process must be away before a worker ends its calls as interrupted." default:"1m" env:"PARLEY_GONE_AFTER" group:"Roles"`

	HTTPAddr      string `help:"Address of the web UI and the API." default:"127.0.0.1:8080" env:"PARLEY_HTTP_ADDR" group:"Network"`
	PublicURL     string `help:"URL under which the outside reaches the HTTP address, for links and for carriers' signatures. Empty: http:// and the HTTP address." env:"PARLEY_PUBLIC_URL" group:"Network"`
	SIPAddr       string `name:"sip-addr" help:"SIP address, UDP and TCP. 'off' turns SIP off." default:"127.0.0.1:5060" env:"PARLEY_SIP_ADDR" group:"Network"`
	SIPTLSAddr    string `name:"sip-tls-addr" help:"SIP address for TLS. Empty: port 5061 beside sip-addr when there are certificates (tls-cert or acme-domains), else none. 'off' turns it off." env:"PARLEY_SIP_TLS_ADDR" group:"Network"`
	SIPTLSCA      string `name:"sip-tls-ca" help:"File with the authorities (PEM) whose certificates SIP servers and carriers must have. Empty: the system's." env:"PARLEY_SIP_TLS_CA" group:"Network"`
	SIPTLSTrust   string `name:"sip-tls-trust" help:"Domains whose certificate lets a carrier call without a password, comma-separated." env:"PARLEY_SIP_TLS_TRUST" group:"Network"`
	SIPRequireTLS bool   `name:"sip-require-tls" help:"Refuses SIP without TLS and audio without SRTP, but on this machine itself." env:"PARLEY_SIP_REQUIRE_TLS" group:"Network"`
	SIPDomain     string `name:"sip-domain" help:"Realm that phones register in." default:"parley" env:"PARLEY_SIP_DOMAIN" group:"Network"`
	SIPTrust      string `name:"sip-trust" help:"Networks whose calls to an agent need no password, comma-separated CIDR. The default trusts this machine only." default:"127.0.0.0/8,::1/128" env:"PARLEY_SIP_TRUST" group:"Network"`
	RTPPorts      string `name:"rtp-ports" help:"UDP ports for call audio, FIRST-LAST." default:"20000-23999" env:"PARLEY_RTP_PORTS" group:"Network"`
	MediaIP       string `name:"media-ip" help:"IP address that callers send audio to, when it is not that of the SIP address (behind NAT, or when listening on 0.0.0.0)." env:"PARLEY_MEDIA_IP" group:"Network"`
	WebRTCAddr    string `name:"webrtc-addr" help:"UDP address of browser calls (one port). 'off' turns them off." default:"127.0.0.1:8081" env:"PARLEY_WEBRTC_ADDR" group:"Network"`

	TLSCert          string `name:"tls-cert" help:"File with the web server's certificate and its chain (PEM). Read again when it changes." env:"PARLEY_TLS_CERT" group:"Edge"`
	TLSKey           string `name:"tls-key" help:"File with the certificate's key (PEM)." env:"PARLEY_TLS_KEY" group:"Edge"`
	ACMEDomains      string `name:"acme-domains" help:"Names to get certificates for from an ACME server such as Let's Encrypt, comma-separated. Using it accepts the server's terms." env:"PARLEY_ACME_DOMAINS" group:"Edge"`
	ACMEEmail        string `name:"acme-email" help:"Address that the ACME server may write to." env:"PARLEY_ACME_EMAIL" group:"Edge"`
	ACMEDirectory    string `name:"acme-directory" help:"Another ACME server than Let's Encrypt: the URL of its directory." env:"PARLEY_ACME_DIRECTORY" group:"Edge"`
	HTTPRedirectAddr string `name:"http-redirect-addr" help:"Address, such as 0.0.0.0:80, that sends browsers to https and answers ACME's challenges. Empty: none." env:"PARLEY_HTTP_REDIRECT_ADDR" group:"Edge"`
	PlainHTTP        bool   `name:"plain-http" help:"Serves other machines without encryption. Only where something else encrypts what they send, such as a proxy that is not in trusted-proxies." env:"PARLEY_PLAIN_HTTP" group:"Edge"`
	TrustedProxies   string `name:"trusted-proxies" help:"Networks of proxies whose word on the caller's address counts, comma-separated CIDR. Empty: nobody's." env:"PARLEY_TRUSTED_PROXIES" group:"Edge"`
	ProxyHeader      string `name:"proxy-header" help:"The header those proxies write it in: x-forwarded-for or forwarded (RFC 7239). The other one is ignored." default:"x-forwarded-for" env:"PARLEY_PROXY_HEADER" group:"Edge"`
	RateAddress      string `name:"rate-address" help:"API requests of one address, REQUESTS/TIME; 'off' is no limit. Programs on this machine are not limited." default:"3000/1m" env:"PARLEY_RATE_ADDRESS" group:"Edge"`
	RateSignIn       string `name:"rate-sign-in" help:"Sign-ins and other public changes of one address." default:"60/1m" env:"PARLEY_RATE_SIGN_IN" group:"Edge"`
	RateRead         string `name:"rate-read" help:"Reading requests of one token or person." default:"3000/1m" env:"PARLEY_RATE_READ" group:"Edge"`
	RateWrite        string `name:"rate-write" help:"Changing requests of one token or person." default:"1200/1m" env:"PARLEY_RATE_WRITE" group:"Edge"`
	RateOrganisation string `name:"rate-organisation" help:"API requests of an organisation that has no rate of its own." default:"12000/1m" env:"PARLEY_RATE_ORGANISATION" group:"Edge"`

	RateSIP string `name:"rate-sip" help:"SIP messages of one address outside of sip-trust; a registered phone has this rate for itself." default:"600/10s" env:"PARLEY_RATE_SIP" group:"Edge"`

	DataDir        string `help:"Folder for everything the embedded engines keep." default:"./data" env:"PARLEY_DATA_DIR" group:"Storage"`
	DatabaseURL    string `help:"postgres://... Empty: SQLite in the data folder." env:"PARLEY_DATABASE_URL" group:"Storage"`
	NATSURL        string `name:"nats-url" help:"nats://... Empty: an embedded server." env:"PARLEY_NATS_URL" group:"Storage"`
	BlobURL        string `help:"s3://bucket?... or file:///folder for recordings. Empty: a folder in the data folder." env:"PARLEY_BLOB_URL" group:"Storage"`
	SearchURL      string `name:"search-url" help:"https://user:password@host:9200 of an OpenSearch server for the search index, or https://host:9200?cert=FILE&key=FILE&ca=FILE. Empty: an index in the data folder." env:"PARLEY_SEARCH_URL" group:"Storage"`
	Key            string `help:"Master key: 32 bytes as hex or base64. Empty: a key file is made in the data folder; gateways and media processes of several ask workers." env:"PARLEY_KEY" group:"Storage"`
	KeyPrevious    string `help:"Earlier master keys that still open, comma-separated, while the key is replaced: docs/keys.md." env:"PARLEY_KEY_PREVIOUS" group:"Storage"`
	KMS            string `name:"kms" help:"Key service whose key wraps data keys in place of the master key: awskms://alias/NAME?region=REGION or vault://host:8200/MOUNT/KEY. Empty: the master key does." env:"PARLEY_KMS" group:"Storage"`
	KMSPrevious    string `name:"kms-previous" help:"Key service that still opens, while it is replaced." env:"PARLEY_KMS_PREVIOUS" group:"Storage"`
	VaultToken     string `help:"Token for Vault." env:"PARLEY_VAULT_TOKEN" group:"Storage"`
	VaultTokenFile string `help:"File with the token for Vault, such as Vault Agent's sink. Read at each request." env:"PARLEY_VAULT_TOKEN_FILE" group:"Storage"`

	Regions        string `help:"Places where organisations may have databases of their own, NAME=WHERE separated by spaces: a PostgreSQL URL with {database} for the name, or a folder for SQLite." env:"PARLEY_REGIONS" group:"Storage"`
	RegionBlobs    string `name:"region-blobs" help:"Where the recordings of each region are kept, NAME=URL separated by spaces: s3://bucket?... or file:///folder. A region that is a folder keeps them there when it is not named." env:"PARLEY_REGION_BLOBS" group:"Storage"`
	RegionSearch   string `name:"region-search" help:"OpenSearch server of each region, NAME=URL separated by spaces. A region that is a folder keeps its index there when it is not named; one on PostgreSQL has none, and its calls are found by number and name." env:"PARLEY_REGION_SEARCH" group:"Storage"`
	OpenDatabases  int    `help:"Organisations' own databases open at once; on PostgreSQL no more than three quarters of own-connections." default:"64" env:"PARLEY_OPEN_DATABASES" group:"Storage"`
	OwnConnections int    `help:"Connections of this process to organisations' own databases on PostgreSQL, all together. Beside them it has up to 30 to the master's." default:"64" env:"PARLEY_OWN_CONNECTIONS" group:"Storage"`

	TwilioAccountSID string `name:"twilio-account-sid" help:"Twilio account whose calls are taken." env:"PARLEY_TWILIO_ACCOUNT_SID" group:"Carriers"`
	TwilioAuthToken  string `name:"twilio-auth-token" help:"Twilio auth token: verifies that requests come from Twilio. file:/PATH is read when it is needed." env:"PARLEY_TWILIO_AUTH_TOKEN" group:"Carriers"`
	TwilioAgent      string `name:"twilio-agent" help:"Agent that answers Twilio's calls." default:"front-desk" env:"PARLEY_TWILIO_AGENT" group:"Carriers"`

	KeptLines    int           `help:"Of max-calls, so many that campaigns leave free for calls that come in; -1: a tenth." default:"-1" env:"PARLEY_KEPT_LINES" group:"Limits"`
	MaxCalls     int           `help:"Calls at once; more are refused as busy." default:"1000" env:"PARLEY_MAX_CALLS" group:"Limits"`
	Drain        time.Duration `help:"How long running calls may go on after SIGTERM." default:"5m" env:"PARLEY_DRAIN" group:"Limits"`
	SecondFactor bool          `name:"require-second-factor" help:"Everybody needs a second factor, whatever their organisation asks; who has none may only add one. Identity providers' people are their provider's business." env:"PARLEY_REQUIRE_SECOND_FACTOR" group:"Limits"`
	SessionIdle  time.Duration `help:"Web session ends after this long without use." default:"30m" env:"PARLEY_SESSION_IDLE" group:"Limits"`

	SMTPURL            string `name:"smtp-url" help:"Mail server for invitations and reset links: smtp://user:password@host:587 (STARTTLS), smtps://..., or file:/PATH of it. Empty: administrators hand links out." env:"PARLEY_SMTP_URL" group:"Sign-on"`
	MailFrom           string `name:"mail-from" help:"Sender of letters, such as 'Parley <parley@example.com>'." env:"PARLEY_MAIL_FROM" group:"Sign-on"`
	LeakedPasswordsURL string `name:"leaked-passwords-url" help:"Range API that new passwords are looked up in by the first five digits of their SHA-1, such as https://api.pwnedpasswords.com/range. Empty: only the list of common passwords in the program." env:"PARLEY_LEAKED_PASSWORDS_URL" group:"Sign-on"`
	SSOPrivateNetworks bool   `name:"sso-private-networks" help:"Lets organisations name identity providers in private networks and on this machine. Only for installations whose administrators all trust each other." env:"PARLEY_SSO_PRIVATE_NETWORKS" group:"Sign-on"`

	OutboundAllow   string `name:"outbound-allow" help:"Networks, addresses and host names (also *.example.com) that agents' tools, vendors and identity providers may have though they are private, comma-separated." env:"PARLEY_OUTBOUND_ALLOW" group:"Outbound"`
	OutboundDeny    string `name:"outbound-deny" help:"Those they may not have. '*': none but what outbound-allow names. Link-local addresses and clouds' metadata are never reached." env:"PARLEY_OUTBOUND_DENY" group:"Outbound"`
	OutboundPrivate string `name:"outbound-private" help:"Whose tools and vendors may be in private networks and on this machine without being named: first (the installation's first organisation), all or none." default:"first" env:"PARLEY_OUTBOUND_PRIVATE" group:"Outbound"`

	SimSTT string `name:"sim-stt" help:"Rehearse with a worse simulated recogniser: latency=DISTRIBUTION and the shares error, fatal, hang, rubbish, slow (with slow-by), such as 'latency=lognormal:300ms,0.4 error=0.01 slow=0.05 slow-by=3s'. Empty: at once, never fails." env:"PARLEY_SIM_STT" group:"Simulation"`
	SimLLM string `name:"sim-llm" help:"The same for the simulated language model." env:"PARLEY_SIM_LLM" group:"Simulation"`
	SimTTS string `name:"sim-tts" help:"The same for the simulated voice." env:"PARLEY_SIM_TTS" group:"Simulation"`

	LogLevel           string        `help:"debug, info, warn or error." default:"info" env:"PARLEY_LOG_LEVEL" group:"Operations"`
	LogFormat          string        `help:"text or json." default:"text" env:"PARLEY_LOG_FORMAT" group:"Operations"`
	OTLPEndpoint       string        `name:"otlp-endpoint" help:"URL of an OpenTelemetry collector (OTLP over HTTP). Empty: no traces." env:"PARLEY_OTLP_ENDPOINT" group:"Operations"`
	PlatformLogURL     string        `name:"platform-log-url" help:"MongoDB that gets a copy of the platform log: mongodb://user:password@host:27017/DATABASE?tls=true (docs/audit.md). A worker's setting. Empty: none." env:"PARLEY_PLATFORM_LOG_URL" group:"Operations"`
	PlatformLogTimeout time.Duration `name:"platform-log-timeout" help:"How long writing one batch there may take." default:"15s" env:"PARLEY_PLATFORM_LOG_TIMEOUT" group:"Operations"`

	CopyLogs bool `help:"Copies the organisations' audit trails and the processes' own logs there too (collections audit_trails and process_log); each process needs platform-log-url then." env:"PARLEY_COPY_LOGS" group:"Operations"`
	Strict   bool `help:"Keeps to OWASP ASVS 5 level 2: refuses to start with any setting that is less, and has no simulated vendors, no MD5 in SIP and no weak keys (docs/security/strict.md)." env:"PARLEY_STRICT" group:"Operations"`

	MetricsToken string `help:"Bearer token that /metrics asks for, or file:/PATH of it. Empty: /metrics answers this machine only." env:"PARLEY_METRICS_TOKEN" group:"Operations"`
}

// SettingError names the setting, what is wrong with it and the remedy.
type SettingError struct{ Setting, Problem, Remedy string }

// Error implements error.
func (e *SettingError) Error() string {
	return fmt.Sprintf("%s: %s; %s", e.Setting, e.Problem, e.Remedy)
}

// badSetting names a setting by its flag and its variable.
func badSetting(setting, remedy, problem string, args ...any) *SettingError {
	env := "PARLEY_" + strings.ToUpper(strings.ReplaceAll(setting, "-", "_"))
	return &SettingError{Setting: "--" + setting + " (" + env + ")", Problem: fmt.Sprintf(problem, args...), Remedy: remedy}
}

// off is the value that turns a listener off.
const off = "off"

// Check validates every setting that can be judged without starting, and gives all problems at once.
func (c *Config) Check() error {
	var problems []error
	bad := func(setting, remedy, problem string, args ...any) {
		problems = append(problems, badSetting(setting, remedy, problem, args...))
	}
	c.checkRole(bad)
	c.checkNetwork(bad)
	c.checkEdge(bad)
	c.checkStorage(bad)
	c.checkSignOn(bad)
	c.checkOutbound(bad)
	for setting, value := range map[string]string{"sim-stt": c.SimSTT, "sim-llm": c.SimLLM, "sim-tts": c.SimTTS} {
		if _, _, err := simulated(value); err != nil {
			bad(setting, "write KEY=VALUE pairs such as latency=normal:300ms,50ms error=0.01", "%v", err)
		}
	}
	if c.KeptLines < -1 || c.KeptLines > c.MaxCalls {
		bad("kept-lines", "give a number from 0 to max-calls, or -1 for a tenth of it", "%d lines cannot be kept of %d", c.KeptLines, c.MaxCalls)
	}
	if c.MaxCalls < 1 || c.MaxCalls > 100_000 {
		bad("max-calls", "give a number from 1 to 100000", "%d calls at once is out of range", c.MaxCalls)
	}
	if c.OpenDatabases < 0 || c.OpenDatabases > 10_000 {
		bad("open-databases", "give a number from 1 to 10000, such as 64", "%d is out of range", c.OpenDatabases)
	}
	if c.OwnConnections < 0 || c.OwnConnections > 10_000 {
		bad("own-connections", "give a number from 1 to 10000, such as 64", "%d is out of range", c.OwnConnections)
	}
	c.checkRegions(bad)
	if c.Drain < 0 || c.Drain > 24*time.Hour {
		bad("drain", "give a time from 0s to 24h, such as 5m", "%s is out of range", c.Drain)
	}
	if c.SessionIdle < time.Minute || c.SessionIdle > 7*24*time.Hour {
		bad("session-idle", "give a time from 1m to 168h, such as 30m", "%s is out of range", c.SessionIdle)
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.LogLevel) {
		bad("log-level", "use debug, info, warn or error", "%q is no level", c.LogLevel)
	}
	if !slices.Contains([]string{"text", "json"}, c.LogFormat) {
		bad("log-format", "use text or json", "%q is no format", c.LogFormat)
	}
	if (c.TwilioAccountSID == "") != (c.TwilioAuthToken == "") {
		bad("twilio-auth-token", "set both twilio-account-sid and twilio-auth-token, or neither", "the Twilio account and its auth token belong together")
	}
	if c.OTLPEndpoint != "" && !isURL(c.OTLPEndpoint, "http", "https") {
		bad("otlp-endpoint", "use a URL such as http://127.0.0.1:4318", "it is no http URL")
	}
	c.checkPlatformLog(bad)
	c.checkSecretFiles(bad)
	c.checkStrict(bad)
	return errors.Join(problems...)
}

type complain func(setting, remedy, problem string, args ...any)

func (c *Config) checkNetwork(bad complain) {
	checkAddr(bad, "http-addr", c.HTTPAddr, "127.0.0.1:8080")
	if c.SIPAddr != off {
		checkAddr(bad, "sip-addr", c.SIPAddr, "127.0.0.1:5060")
		c.checkSIPTLS(bad)
	}
	if c.WebRTCAddr != off {
		checkAddr(bad, "webrtc-addr", c.WebRTCAddr, "127.0.0.1:8081")
	}
	if c.SIPAddr != off && c.WebRTCAddr == c.SIPAddr && !strings.HasSuffix(c.SIPAddr, ":0") {
		bad("webrtc-addr", "give browser calls a UDP port of their own", "%s is the SIP address too", c.WebRTCAddr)
	}
	if _, _, err := c.rtpPorts(); err != nil {
		bad("rtp-ports", "give FIRST-LAST with at least 10 ports between 1024 and 65535, such as 20000-23999", "%v", err)
	}
	if _, err := c.trusted(); err != nil {
		bad("sip-trust", "give networks such as 127.0.0.0/8,10.1.0.0/16, or leave it empty to trust nobody", "%v", err)
	}
	if c.MediaIP != "" {
		if ip, err := netip.ParseAddr(c.MediaIP); err != nil || ip.IsUnspecified() {
			bad("media-ip", "give the one address callers can reach, such as 203.0.113.7", "%q is no usable IP address", c.MediaIP)
		}
	} else if c.SIPAddr != off && unspecified(c.SIPAddr) {
		bad("media-ip", "set it to the address callers can reach, or listen on that address", "SIP listens on all addresses, so audio has no address to be sent to")
	}
	if strings.TrimSpace(c.SIPDomain) == "" || strings.ContainsAny(c.SIPDomain, "\"\\ \r\n<>") {
		bad("sip-domain", "use a name such as parley or example.com", "%q is no realm", c.SIPDomain)
	}
	if c.PublicURL != "" && !isURL(c.PublicURL, "http", "https") {
		bad("public-url", "use a URL such as https://phone.example.com", "%q is no http or https URL", c.PublicURL)
	}
}

func (c *Config) checkStorage(bad complain) {
	if c.DataDir == "" {
		bad("data-dir", "name a folder, such as ./data", "it is empty")
	} else if err := writable(c.DataDir); err != nil {
		bad("data-dir", "name a folder that the server's user may write", "%v", err)
	}
	if c.DatabaseURL != "" && !isPostgres(c.DatabaseURL) {
		bad("database-url", "use postgres://user:password@host:5432/name, or leave it empty for SQLite", "it is no PostgreSQL URL")
	}
	if c.NATSURL != "" && !isURL(c.NATSURL, "nats", "tls", "ws", "wss") {
		bad("nats-url", "use nats://host:4222, or leave it empty for the embedded server", "it is no NATS URL")
	}
	if c.BlobURL != "" {
		if u, err := url.Parse(c.BlobURL); err != nil || !slices.Contains([]string{"s3", "file"}, u.Scheme) {
			bad("blob-url", "use s3://bucket?region=... or file:///folder, or leave it empty", "it is no place for blobs")
		}
	}
	if c.SearchURL != "" && !isURL(c.SearchURL, "http", "https") {
		bad("search-url", "use https://user:password@host:9200, or leave it empty for an index in the data folder", "it is no URL of an OpenSearch server")
	}
	c.checkKeys(bad)
}

func checkAddr(bad complain, setting, value, example string) {
	host, port, err := net.SplitHostPort(value)
	if err != nil {
		bad(setting, "use HOST:PORT, such as "+example, "%q is no address", value)
		return
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		bad(setting, "use a port from 1 to 65535, or 0 for any free one", "%q is no port", port)
	}
	if host != "" && host != "localhost" {
		if _, err := netip.ParseAddr(host); err != nil {
			bad(setting, "use an IP address of this machine, or localhost", "%q is no IP address", host)
		}
	}
}

func unspecified(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "" || (err == nil && ip.IsUnspecified())
}

func isURL(s string, schemes ...string) bool {
	u, err := url.Parse(s)
	return err == nil && slices.Contains(schemes, u.Scheme) && u.Host != ""
}

// isPostgres also takes postgres://user@/name?host=/folder, which names a unix socket.
func isPostgres(s string) bool {
	u, err := url.Parse(s)
	return err == nil && slices.Contains([]string{"postgres", "postgresql"}, u.Scheme) && (u.Host != "" || u.Query().Has("host"))
}

func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".write-test-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// rtpPorts are ten at least: a call takes two, and a port rests after a call.
func (c *Config) rtpPorts() (lo, hi int, err error) {
	if lo, hi, err = rtp.ParsePorts(c.RTPPorts); err == nil && hi-lo < 9 {
		err = fmt.Errorf("%q is too small", c.RTPPorts)
	}
	return lo, hi, err
}

func (c *Config) trusted() ([]netip.Prefix, error) {
	out := []netip.Prefix{} // empty is nobody, where nil would be the default
	for s := range strings.SplitSeq(c.SIPTrust, ",") {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("%q is no network", s)
		}
		out = append(out, p)
	}
	return out, nil
}

// regions gives the setting as the database takes it.
func (c *Config) regions() map[string]string {
	return pairs(c.Regions)
}

// publicURL is where the outside reaches us.
func (c *Config) publicURL(httpAddr string) string {
	switch {
	case c.PublicURL != "":
		return strings.TrimRight(c.PublicURL, "/")
	case c.ACMEDomains != "":
		return "https://" + c.acmeDomains()[0]
	case c.TLSCert != "":
		return "https://" + httpAddr
	}
	return "http://" + httpAddr
}
