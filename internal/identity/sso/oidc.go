package sso

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/quartz"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"

	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/strength"
)

const (
	callbackPath  = "/auth/oidc/callback"
	providersKept = 500
	providerFor   = time.Hour // until discovery is read again
)

// algorithms are the asymmetric ones: with HS256 whoever knows the client's secret could sign.
var algorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA}

func (s *Service) redirectURI() string { return s.public(callbackPath) }

func (s *Service) applyOIDC(c *connection, in SSOConnectionChange) error {
	old := c.OIDC
	if in.OIDC != nil {
		p := *in.OIDC
		c.OIDC = &p
	}
	if c.OIDC == nil {
		return fault.Field("body.oidc", "give the issuer and the client id that the identity provider shows")
	}
	c.OIDC.Issuer = strings.TrimSpace(c.OIDC.Issuer)
	if err := s.checkSetting("body.oidc.issuer", c.OIDC.Issuer); err != nil {
		return err
	}
	if c.OIDC.ClientID = strings.TrimSpace(c.OIDC.ClientID); c.OIDC.ClientID == "" {
		return fault.Field("body.oidc.clientId", "give the client id that the identity provider shows")
	}
	if c.OIDC.Scopes == nil {
		c.OIDC.Scopes = []string{}
	}
	for _, scope := range c.OIDC.Scopes {
		if scope == "" || len(scope) > 100 || strings.ContainsAny(scope, " \t\r\n\"\\") {
			return fault.Field("body.oidc.scopes", "%q is no scope; write each in an item of its own", scope)
		}
	}
	if old != nil && old.Issuer != c.OIDC.Issuer && in.ClientSecret == nil && c.secret != "" {
		// Otherwise whoever may change the connection could have the secret sent to a server of theirs.
		return fault.Field("body.clientSecret", "the issuer is another one; give the client's secret there too")
	}
	set(&c.secret, in.ClientSecret)
	return nil
}

// discovered is a provider's discovery document, read once an hour.
type discovered struct {
	*oidc.Provider
	claims discoveryClaims
	until  time.Time
}

// discoveryClaims are the parts of OpenID Connect Discovery 1.0 section 3 and RFC 9207 section 3 that decide something here.
type discoveryClaims struct {
	AuthMethods []string `json:"token_endpoint_auth_methods_supported"`
	PKCE        []string `json:"code_challenge_methods_supported"`
	IssParam    bool     `json:"authorization_response_iss_parameter_supported"`
	JWKSURI     string   `json:"jwks_uri"`
}

// providers remembers what was discovered, by connection and version.
type providers struct {
	clock quartz.Clock
	mu    sync.Mutex
	known map[string]*discovered
}

func newProviders(clock quartz.Clock) *providers {
	return &providers{clock: clock, known: map[string]*discovered{}}
}

func (p *providers) get(key string) *discovered {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := p.known[key]; d != nil && p.clock.Now().Before(d.until) {
		return d
	}
	return nil
}

func (p *providers) put(key string, d *discovered) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d.until = p.clock.Now().Add(providerFor)
	if len(p.known) >= providersKept {
		clear(p.known)
	}
	p.known[key] = d
}

func (c *connection) cacheKey() string { return fmt.Sprintf("%s %d", c.row.ID, c.row.Version) }

// discover reads a provider's discovery document. fresh asks even when it is known.
func (s *Service) discover(ctx context.Context, c *connection, fresh bool) (*discovered, error) {
	if d := s.providers.get(c.cacheKey()); d != nil && !fresh {
		return d, nil
	}
	p, err := oidc.NewProvider(oidc.ClientContext(ctx, s.client), c.OIDC.Issuer)
	if err != nil {
		return nil, fault.Wrap(fault.Upstream, err, "the identity provider %s gave no usable discovery document; check the issuer, or try again later", c.OIDC.Issuer)
	}
	d := &discovered{Provider: p}
	if err := p.Claims(&d.claims); err != nil {
		return nil, fault.Wrap(fault.Upstream, err, "the discovery document of %s cannot be read", c.OIDC.Issuer)
	}
	for _, raw := range []string{p.Endpoint().AuthURL, p.Endpoint().TokenURL, d.claims.JWKSURI} {
		u, err := url.Parse(raw)
		if err == nil {
			err = checkURL(u, s.cfg.PrivateNetworks)
		}
		if err != nil {
			return nil, fault.Wrap(fault.Upstream, err, "the discovery document of %s names an address that is not https", c.OIDC.Issuer)
		}
	}
	if err := s.strongKeys(ctx, c, d); err != nil {
		return nil, err
	}
	s.providers.put(c.cacheKey(), d)
	return d, nil
}

// strongKeys refuses a provider one of whose keys (RFC 7517) is weaker than this installation wants. Where 112 bits are enough
// the library's own rules are.
func (s *Service) strongKeys(ctx context.Context, c *connection, d *discovered) error {
	if s.cfg.Strength == strength.Bits112 {
		return nil
	}
	raw, err := s.fetch(ctx, d.claims.JWKSURI)
	var set jose.JSONWebKeySet
	if err == nil {
		err = json.Unmarshal(raw, &set)
	}
	if err != nil {
		return fault.Wrap(fault.Upstream, err, "the keys of the identity provider %s cannot be read; try again later", c.OIDC.Issuer)
	}
	for _, k := range set.Keys {
		if err := s.cfg.Strength.Key(k.Key); err != nil {
			return fault.Wrap(fault.Upstream, err, "the identity provider's key %q is not taken: %v", k.KeyID, err)
		}
	}
	return nil
}

func (s *Service) oauth(c *connection, d *discovered) *oauth2.Config {
	endpoint := d.Endpoint()
	basic, post := slices.Contains(d.claims.AuthMethods, "client_secret_basic"), slices.Contains(d.claims.AuthMethods, "client_secret_post")
	switch { // Discovery section 3: none named is client_secret_basic
	case c.secret == "" || post && !basic:
		endpoint.AuthStyle = oauth2.AuthStyleInParams
	case basic && !post || len(d.claims.AuthMethods) == 0:
		endpoint.AuthStyle = oauth2.AuthStyleInHeader
	}
	scopes := c.OIDC.Scopes
	if len(scopes) == 0 {
		scopes = []string{"email", "profile"}
	}
	if !slices.Contains(scopes, oidc.ScopeOpenID) {
		scopes = append([]string{oidc.ScopeOpenID}, scopes...)
	}
	return &oauth2.Config{ClientID: c.OIDC.ClientID, ClientSecret: c.secret, Endpoint: endpoint, RedirectURL: s.redirectURI(), Scopes: scopes}
}

// beginOIDC makes the authentication request (OpenID Connect Core section 3.1.2.1) with PKCE (RFC 7636).
func (s *Service) beginOIDC(ctx context.Context, c *connection, state, hint string) (string, flowSecret, error) {
	d, err := s.discover(ctx, c, false)
	if err != nil {
		return "", flowSecret{}, err
	}
	var secret flowSecret
	if secret.Nonce, err = s.random(); err != nil {
		return "", flowSecret{}, err
	}
	if secret.Verifier, err = s.random(); err != nil {
		return "", flowSecret{}, err
	}
	opts := []oauth2.AuthCodeOption{oidc.Nonce(secret.Nonce), oauth2.S256ChallengeOption(secret.Verifier)}
	if c.SecondFactor {
		opts = append(opts, oauth2.SetAuthURLParam("acr_values", strings.Join(c.contexts(), " ")))
	}
	if hint != "" {
		opts = append(opts, oauth2.SetAuthURLParam("login_hint", hint))
	}
	return s.oauth(c, d).AuthCodeURL(state, opts...), secret, nil
}

// checkIssuer compares the answer's iss with the provider that was asked (RFC 9207 section 2.4), so that another
// provider's answer is not taken for this one's.
func checkIssuer(c *connection, d *discovered, iss string) error {
	if iss == "" && !d.claims.IssParam {
		return nil
	}
	if iss != c.OIDC.Issuer {
		return fault.New(fault.Forbidden, "the answer came from another identity provider than the one asked; begin again from the sign-in page")
	}
	return nil
}

// redeem exchanges the code and reads what the ID token says, for the flow that asked.
func (s *Service) redeem(ctx context.Context, f *flow, code, iss string) (*said, error) {
	d, err := s.discover(ctx, f.conn, false)
	if err != nil {
		return nil, err
	}
	if err := checkIssuer(f.conn, d, iss); err != nil {
		return nil, err
	}
	ctx = oidc.ClientContext(ctx, s.client)
	token, err := s.oauth(f.conn, d).Exchange(ctx, code, oauth2.VerifierOption(f.Verifier))
	if err != nil {
		return nil, exchangeFault(err)
	}
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return nil, fault.New(fault.Upstream, "the identity provider gave no ID token; an administrator must allow OpenID Connect for this client there")
	}
	id, err := d.VerifierContext(ctx, &oidc.Config{ClientID: f.conn.OIDC.ClientID, SupportedSigningAlgs: algorithms, Now: func() time.Time { return s.cfg.Clock.Now() }}).Verify(ctx, raw)
	if err != nil {
		return nil, fault.Wrap(fault.Forbidden, err, "the identity provider's ID token is not valid: %s", tokenProblem(err))
	}
	claims := map[string]any{}
	if err := id.Claims(&claims); err != nil {
		return nil, fault.Wrap(fault.Upstream, err, "the identity provider's ID token cannot be read")
	}
	if err := checkToken(f, id, claims, token.AccessToken); err != nil {
		return nil, err
	}
	return s.personOf(ctx, f.conn, d, id.Subject, claims, token)
}

// checkToken does what the library leaves to us: OpenID Connect Core section 3.1.3.7, items 4, 5 and 11, and 3.1.3.8.
func checkToken(f *flow, id *oidc.IDToken, claims map[string]any, access string) error {
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(f.Nonce)) != 1 {
		return fault.New(fault.Forbidden, "the identity provider's ID token is not valid: it answers another sign-in; begin again from the sign-in page")
	}
	azp, has := claims["azp"].(string)
	if (has || len(id.Audience) > 1) && azp != f.conn.OIDC.ClientID {
		return fault.New(fault.Forbidden, "the identity provider's ID token is not valid: it was issued to another client")
	}
	if id.AccessTokenHash != "" {
		if err := id.VerifyAccessToken(access); err != nil {
			return fault.Wrap(fault.Forbidden, err, "the identity provider's ID token is not valid: it belongs to another access token")
		}
	}
	if id.Subject == "" {
		return fault.New(fault.Forbidden, "the identity provider's ID token is not valid: it names nobody")
	}
	return nil
}

// tokenProblem says in words what the library found, without the token's content.
func tokenProblem(err error) string {
	var expired *oidc.TokenExpiredError
	msg := err.Error()
	switch {
	case errors.As(err, &expired):
		return "it has expired; compare the clocks of the identity provider and of this server"
	case strings.Contains(msg, "audience"):
		return "it was issued to another client; check the client id"
	case strings.Contains(msg, "issued by a different provider"):
		return "it was issued by another provider; check the issuer"
	}
	return "its signature does not fit the provider's keys"
}

func exchangeFault(err error) error {
	var re *oauth2.RetrieveError
	if errors.As(err, &re) && re.ErrorCode != "" && len(re.ErrorCode) < 100 {
		return fault.Wrap(fault.Upstream, errors.New(re.ErrorCode+": "+re.ErrorDescription),
			"the identity provider refused the code (%q); an administrator should check the client id and its secret, or begin again", re.ErrorCode)
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err // its URL is known, and its text may hold what was sent
	}
	return fault.Wrap(fault.Upstream, err, "the identity provider did not answer; try again in a minute")
}

// personOf reads the claims; what the ID token lacks is asked at the userinfo endpoint, if there is one.
func (s *Service) personOf(ctx context.Context, c *connection, d *discovered, subject string, claims map[string]any, token *oauth2.Token) (*said, error) {
	// How somebody signed in is in the ID token or nowhere: userinfo does not speak of this sign-in.
	asserted := map[string][]string{"acr": listOf(claims["acr"]), "amr": listOf(claims["amr"])}
	emailClaim := c.OIDC.EmailClaim
	if emailClaim == "" {
		emailClaim = "email"
	}
	_, hasEmail := claims[emailClaim]
	hasRoles := claimAt(claims, c.RoleClaim) != nil
	if (!hasEmail || !hasRoles && c.RoleClaim != "") && d.UserInfoEndpoint() != "" {
		info, err := d.UserInfo(ctx, oauth2.StaticTokenSource(token))
		if err != nil {
			return nil, fault.Wrap(fault.Upstream, err, "the identity provider's userinfo endpoint failed; try again in a minute")
		}
		if info.Subject != subject { // Core section 5.3.4
			return nil, fault.New(fault.Forbidden, "the identity provider's userinfo tells of somebody else")
		}
		more := map[string]any{}
		if err := info.Claims(&more); err != nil {
			return nil, fault.Wrap(fault.Upstream, err, "the identity provider's userinfo cannot be read")
		}
		for k, v := range more {
			if _, has := claims[k]; !has {
				claims[k] = v
			}
		}
	}
	out := &said{Subject: subject, Claims: claims, Contexts: asserted["acr"], Methods: asserted["amr"]}
	out.Email, _ = claims[emailClaim].(string)
	out.Name, _ = claims["name"].(string)
	switch v := claims["email_verified"].(type) {
	case bool:
		out.Verified = &v
	case string: // some providers send a string
		b := v == "true"
		out.Verified = &b
	}
	if emailClaim != "email" && (out.Verified != nil && *out.Verified) {
		out.Verified = nil // email_verified speaks of email, not of another claim
	}
	if c.RoleClaim != "" {
		out.Groups = listOf(claimAt(claims, c.RoleClaim))
	}
	return out, nil
}

// claimAt finds a claim by its name, or by its path as in realm_access.roles.
func claimAt(claims map[string]any, name string) any {
	if v, has := claims[name]; has {
		return v
	}
	first, rest, ok := strings.Cut(name, ".")
	inner, isObject := claims[first].(map[string]any)
	if !ok || !isObject {
		return nil
	}
	return claimAt(inner, rest)
}

// listOf reads a claim that is a string or a list of strings.
func listOf(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, item := range v {
			if s, ok := item.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}
