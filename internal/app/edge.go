package app

import (
	"context"
	"errors"
	"math"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/parley-voice/parley/internal/gateway"
	"github.com/parley-voice/parley/internal/gateway/certs"
	"github.com/parley-voice/parley/internal/platform/jobs"
	"github.com/parley-voice/parley/internal/platform/secret/signing"
)

// secure reports whether browsers reach us over https: by us, or by a proxy in front.
func (c *Config) secure() bool {
	return strings.HasPrefix(c.PublicURL, "https://") || c.TLSCert != "" || c.ACMEDomains != ""
}

func (c *Config) acmeDomains() []string {
	var out []string
	for d := range strings.SplitSeq(c.ACMEDomains, ",") {
		if d = strings.TrimSpace(d); d != "" {
			out = append(out, d)
		}
	}
	return out
}

// checkEdge judges the settings of TLS, proxies and limits.
func (c *Config) checkEdge(bad complain) {
	c.checkEncrypted(bad)
	if (c.TLSCert == "") != (c.TLSKey == "") {
		bad("tls-key", "set both tls-cert and tls-key, or neither", "a certificate and its key belong together")
	}
	if c.TLSCert != "" && c.ACMEDomains != "" {
		bad("acme-domains", "set tls-cert and tls-key, or acme-domains", "certificates come from files or from an ACME server, not from both")
	}
	if c.ACMEDomains != "" && len(c.acmeDomains()) == 0 {
		bad("acme-domains", "name the host, such as voice.example.com", "%q names no host", c.ACMEDomains)
	}
	if (c.TLSCert != "" && c.TLSKey != "") != (len(c.acmeDomains()) > 0) {
		if _, err := c.certificates(nil); err != nil {
			setting, remedy := "tls-cert", "give PEM files that belong together"
			if c.ACMEDomains != "" {
				setting, remedy = "acme-domains", "use public host names without wildcards, such as voice.example.com"
			}
			bad(setting, remedy, "%v", err)
		}
	}
	if (c.TLSCert != "" || c.ACMEDomains != "") && strings.HasPrefix(c.PublicURL, "http://") {
		bad("public-url", "write it with https, or leave it empty", "%q is not encrypted, but the web server is", c.PublicURL)
	}
	if c.ACMEDirectory != "" && !isURL(c.ACMEDirectory, "https") {
		bad("acme-directory", "use the https URL of an ACME server's directory", "%q is no https URL", c.ACMEDirectory)
	}
	if c.HTTPRedirectAddr != "" {
		checkAddr(bad, "http-redirect-addr", c.HTTPRedirectAddr, "0.0.0.0:80")
		if !c.secure() {
			bad("http-redirect-addr", "set tls-cert, acme-domains or an https public-url too", "there is no https to send browsers to")
		}
	}
	if _, err := gateway.ParseProxies(c.TrustedProxies, ""); err != nil {
		bad("trusted-proxies", "give networks such as 10.0.0.0/8, or leave it empty to trust nobody", "%v", err)
	}
	if _, err := gateway.ParseProxies("", c.ProxyHeader); err != nil {
		bad("proxy-header", "use x-forwarded-for or forwarded", "%v", err)
	}
	for setting, value := range c.rates() {
		if _, err := parseRate(value); err != nil {
			bad(setting, "write REQUESTS/TIME such as 600/1m, with a time from 1s to 24h, or off", "%v", err)
		}
	}
}

// checkEncrypted refuses to serve other machines in the clear by mistake. Who has named a proxy, or an https address
// under which the outside comes, has said that something else encrypts.
func (c *Config) checkEncrypted(bad complain) {
	if c.secure() || c.PlainHTTP || c.TrustedProxies != "" || onThisMachine(c.HTTPAddr) {
		return
	}
	bad("http-addr", "set tls-cert and tls-key, or acme-domains; behind a proxy that encrypts set trusted-proxies or public-url (https://...); "+
		"plain-http serves it all the same", "%s is reached from other machines, and nothing would be encrypted", c.HTTPAddr)
}

// onThisMachine reports whether only this machine reaches an address.
func onThisMachine(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil || host == "localhost" {
		return true // what is no address is complained of elsewhere
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

func (c *Config) rates() map[string]string {
	return map[string]string{"rate-address": c.RateAddress, "rate-sign-in": c.RateSignIn, "rate-read": c.RateRead, "rate-write": c.RateWrite, "rate-sip": c.RateSIP,
		"rate-organisation": c.RateOrganisation}
}

// parseRate takes "" as off.
func parseRate(s string) (gateway.Limit, error) {
	if s == "" {
		return gateway.Limit{}, nil
	}
	return gateway.ParseLimit(s)
}

// certificates gives where certificates come from; nil without TLS.
func (c *Config) certificates(a *App) (*certs.Source, error) {
	if c.TLSCert == "" && c.ACMEDomains == "" {
		return nil, nil
	}
	cc := certs.Config{CertFile: c.TLSCert, KeyFile: c.TLSKey, Domains: c.acmeDomains(), Email: c.ACMEEmail, Directory: c.ACMEDirectory, DataDir: c.DataDir, Strength: c.strength()}
	if a != nil {
		cc.Clock, cc.Log = a.clock, a.log
	}
	return certs.New(cc)
}

// certificates gives the one source of certificates of the process; nil is none.
func (a *App) certificates() (_ *certs.Source, err error) {
	if a.certs == nil {
		a.certs, err = a.cfg.certificates(a)
	}
	return a.certs, err
}

// buildEdge makes the web server and everything that stands before the operations. It does not listen yet.
func (a *App) buildEdge(ctx context.Context) (*gateway.Server, error) {
	source, err := a.certificates()
	if err != nil {
		return nil, err
	}
	proxies, err := gateway.ParseProxies(a.cfg.TrustedProxies, a.cfg.ProxyHeader)
	if err != nil {
		return nil, err
	}
	limits, err := a.limits(ctx)
	if err != nil {
		return nil, err
	}
	a.requests.Store(limits)
	if err := a.buildForwarding(); err != nil {
		return nil, err
	}
	public := a.cfg.publicURL(a.cfg.HTTPAddr)
	a.cors = gateway.NewCORS(gateway.CORSConfig{DB: a.db, PublicURL: public, Clock: a.clock})
	mux := http.NewServeMux()
	api := gateway.APIConfig{Version: a.version, Auth: a.identity, CORS: a.cors, Limits: limits, Keys: a.keys, Audit: a.newAuditor(), Log: a.log}
	if a.toMedia != nil {
		api.Elsewhere = a.elsewhere
	}
	a.mount(mux, gateway.NewAPI(mux, api))
	return gateway.New(gateway.Config{
		Addr: a.cfg.HTTPAddr, Handler: gateway.Strict(mux), Certs: source, RedirectAddr: a.cfg.HTTPRedirectAddr, PublicURL: public, Secure: a.cfg.secure(),
		Proxies: proxies, Limits: limits, CORS: a.cors, Clock: a.clock, Log: a.log, Observe: a.metrics.request, Tracer: a.tracer,
	}), nil
}

// limitsConfig reads the limits of the settings.
func (a *App) limitsConfig() (gateway.LimitsConfig, error) {
	c := gateway.LimitsConfig{Clock: a.clock, Log: a.log, Rate: a.requestRate}
	for _, l := range []struct {
		to   *gateway.Limit
		from string
	}{{&c.Address, a.cfg.RateAddress}, {&c.SignIn, a.cfg.RateSignIn}, {&c.Read, a.cfg.RateRead}, {&c.Write, a.cfg.RateWrite}, {&c.Organisation, a.cfg.RateOrganisation}} {
		var err error
		if *l.to, err = parseRate(l.from); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (a *App) limits(ctx context.Context) (*gateway.Limits, error) {
	c, err := a.limitsConfig()
	if err != nil {
		return nil, err
	}
	if a.cfg.NATSURL == "" { // nobody to share with
		return gateway.NewLimits(c), nil
	}
	kv, err := a.bus.KV(ctx, limitsBucket, c.LongestWindow())
	if err != nil {
		return nil, err
	}
	c.Shared = gateway.SharedKV(kv)
	l := gateway.NewLimits(c)
	sharing, cancel := context.WithCancel(ctx)
	over := make(chan struct{})
	go func() { defer close(over); l.Share(sharing) }()
	a.onStop("limits", func(context.Context) error { cancel(); <-over; return nil })
	return l, nil
}

// requestRate gives how many requests a minute an organisation's plan allows; nil when it says nothing.
func (a *App) requestRate(ctx context.Context, orgID string) (*int, error) {
	l, err := a.identity.Limits(ctx, orgID)
	if err != nil || l.RequestsPerMinute == nil {
		return nil, err
	}
	n := int(min(*l.RequestsPerMinute, math.MaxInt32))
	return &n, nil
}

// listen takes the web server's addresses.
func (a *App) listen() error {
	err := a.http.Listen()
	var redirect *gateway.RedirectError
	switch {
	case errors.As(err, &redirect):
		return settingProblem("http-redirect-addr", a.cfg.HTTPRedirectAddr, err)
	case err != nil:
		return settingProblem("http-addr", a.cfg.HTTPAddr, err)
	}
	return nil
}

// The roles that sign. One process has them all; each has keys of its own, so that what one signed is never another's.
const (
	roleGateway = "gateway"
	roleMedia   = "media"
	roleWorker  = "worker"
	roleAudit   = "audit"
)

// startSigning makes or reads the keys of this process's roles.
func (a *App) startSigning(ctx context.Context) (err error) {
	c := signing.Config{DB: a.db, Sealer: a.keyring, Roles: []string{roleGateway, roleMedia, roleWorker, roleAudit}, Clock: a.clock, Log: a.log}
	if a.cfg.split() {
		// Its own role's, and nobody else's: what is sealed in the database opens none of them.
		c.Roles, c.Alone = []string{a.cfg.Role}, true
	}
	if a.signing, err = signing.New(c); err != nil {
		return err
	}
	if err := a.signing.Rotate(ctx); err != nil || !a.cfg.split() {
		return err
	}
	a.every(ctx, time.Hour, "signing keys", func(ctx context.Context) {
		if err := a.signing.Rotate(ctx); err != nil && ctx.Err() == nil {
			a.log.Error("signing keys", "error", err)
		}
	})
	return nil
}

// rotateSigning is the hourly job that makes the next signing keys in time.
type rotateSigning struct{}

// Kind implements jobs.Args.
func (rotateSigning) Kind() string { return "signing.rotate" }

// sweepKeys is the hourly job that forgets the idempotency keys of yesterday.
type sweepKeys struct{}

// Kind implements jobs.Args.
func (sweepKeys) Kind() string { return "gateway.sweep" }

// startKeys has the old keys of repeated requests forgotten, and signing keys rotated.
func (a *App) startKeys() error {
	if err := jobs.Register(a.jobs, jobs.KindConfig{}, func(ctx context.Context, _ string, _ sweepKeys) error { return a.keys.Sweep(ctx) }); err != nil {
		return err
	}
	if err := jobs.Every(a.jobs, time.Hour, sweepKeys{}); err != nil {
		return err
	}
	if err := jobs.Register(a.jobs, jobs.KindConfig{}, func(ctx context.Context, _ string, _ rotateSigning) error { return a.signing.Rotate(ctx) }); err != nil {
		return err
	}
	if err := jobs.Every(a.jobs, time.Hour, rotateSigning{}); err != nil {
		return err
	}
	return a.startTending()
}
