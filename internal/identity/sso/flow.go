package sso

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"net/mail"
	"strings"
	"time"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	flowValid = 10 * time.Minute // as long as a person may take at the provider
	maxFlows  = 5_000            // under way at once through one connection
)

// flowSecret is what a flow keeps sealed.
type flowSecret struct {
	Nonce     string `json:"nonce,omitempty"`     // OpenID Connect Core section 3.1.2.1
	Verifier  string `json:"verifier,omitempty"`  // RFC 7636
	RequestID string `json:"requestId,omitempty"` // SAML's AuthnRequest
	Said      *said  `json:"said,omitempty"`      // SAML: what the assertion said, until the browser has been seen
}

// said is what a provider said of a person.
type said struct {
	Subject  string         `json:"subject"` // "" when the provider gives no lasting one
	Email    string         `json:"email"`
	Verified *bool          `json:"verified,omitempty"` // nil: the provider does not say
	Name     string         `json:"name"`
	Groups   []string       `json:"groups"`
	Contexts []string       `json:"contexts,omitempty"` // how they signed in: acr, or SAML's AuthnContextClassRef
	Methods  []string       `json:"methods,omitempty"`  // amr (RFC 8176)
	Claims   map[string]any `json:"claims,omitempty"`   // all of it, kept in trials only
}

type flow struct {
	flowSecret
	row  *flowRow
	conn *connection
}

func (f *flow) test() bool { return f.row.TestID != nil }

// cookieName has the prefix that keeps other hosts from setting it where the browser will honour that
// (RFC 6265bis section 4.1.3.2).
func (s *Service) cookieName() string {
	if s.cfg.Secure {
		return "__Host-parley_sso"
	}
	return "parley_sso"
}

// browserCookie gives the cookie that names a browser while it signs in: the one it has, so that two windows do not
// end each other's flows, or a new one.
func (s *Service) browserCookie(have string) (value, setCookie string, err error) {
	value = have
	if len(value) != 43 || strings.Trim(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
		if value, err = s.random(); err != nil {
			return "", "", err
		}
	}
	c := http.Cookie{
		Name: s.cookieName(), Value: value, Path: "/", HttpOnly: true, Secure: s.cfg.Secure, SameSite: http.SameSiteLaxMode,
		MaxAge: int(flowValid.Seconds()),
	}
	return value, c.String(), nil
}

// Start says how the person with that address signs in, and begins it when that is through a provider.
func (s *Service) Start(ctx context.Context, email, returnTo, cookie string) (SSOStart, string, error) {
	email = strings.ToLower(strings.TrimSpace(email))
	if a, err := mail.ParseAddress(email); err != nil || a.Address != email {
		return SSOStart{}, "", fault.Field("body.email", "%q is no e-mail address; use one such as anna@example.com", email)
	}
	password := SSOStart{Method: "password", PasswordAllowed: true}
	c, err := s.capturing(ctx, email)
	if err != nil || c == nil {
		return password, "", err
	}
	policy, err := s.Policy(ctx, c.row.OrganisationID)
	if err != nil {
		return SSOStart{}, "", err
	}
	browser, set, err := s.browserCookie(cookie)
	if err != nil {
		return SSOStart{}, "", err
	}
	to, err := s.begin(ctx, c, beginning{browser: browser, returnTo: returnTo, hint: email})
	if err != nil {
		return SSOStart{}, "", err
	}
	return SSOStart{Method: "sso", RedirectURL: &to, Connection: &c.row.Name, PasswordAllowed: !policy.SSOOnly}, set, nil
}

// beginning is how a flow begins.
type beginning struct {
	browser  string // the cookie's value
	testID   string // "" signs in
	returnTo string
	hint     string // the address that the person typed
}

// begin stores a flow and gives the provider's URL for the browser.
func (s *Service) begin(ctx context.Context, c *connection, b beginning) (string, error) {
	state, err := s.random()
	if err != nil {
		return "", err
	}
	var secret flowSecret
	var to string
	if c.row.Protocol == OIDC {
		to, secret, err = s.beginOIDC(ctx, c, state, b.hint)
	} else {
		to, secret, err = s.beginSAML(ctx, c, state)
	}
	if err != nil {
		return "", err
	}
	now := s.cfg.Clock.Now()
	row := &flowRow{
		Hash: hashOf(state), OrganisationID: c.row.OrganisationID, ConnectionID: c.row.ID, Browser: hashOf(b.browser), ReturnTo: ownPath(b.returnTo),
		CreatedAt: now.UnixMilli(), ExpiresAt: now.Add(flowValid).UnixMilli(),
	}
	if b.testID != "" {
		row.TestID = &b.testID
	}
	if row.Sealed, err = s.sealFlow(ctx, row, secret); err != nil {
		return "", err
	}
	return to, s.insertFlow(ctx, c, row)
}

// insertFlow stores a flow, of which each connection has a bounded number.
func (s *Service) insertFlow(ctx context.Context, c *connection, row *flowRow) error {
	now := timeOf(row.CreatedAt)
	return s.cfg.DB.InTenant(ctx, row.OrganisationID, func(ctx context.Context, tx *db.Tx) error {
		q := tx.NewDelete().Model((*flowRow)(nil)).Where("organisation_id = ? AND connection_id = ? AND expires_at < ?", row.OrganisationID, row.ConnectionID, now.UnixMilli())
		if _, err := q.Exec(ctx); err != nil {
			return err
		}
		n, err := tx.NewSelect().Model((*flowRow)(nil)).Where("organisation_id = ? AND connection_id = ?", row.OrganisationID, row.ConnectionID).Count(ctx)
		if err != nil {
			return err
		}
		if n >= maxFlows {
			return fault.New(fault.RateLimited, "too many people are signing in through %s at this moment; try again in a few minutes", c.row.Name)
		}
		_, err = tx.NewInsert().Model(row).Exec(ctx)
		return err
	})
}

// ownPath keeps a path of ours and nothing that a browser could take for another site.
func ownPath(p string) string {
	if !strings.HasPrefix(p, "/") || strings.HasPrefix(p, "//") || len(p) > 1000 {
		return "/"
	}
	for _, r := range p {
		if r < ' ' || r == '\\' || r == 0x7f {
			return "/"
		}
	}
	return p
}

func flowPlace(row *flowRow) []byte {
	return []byte("sso flow\x00" + row.OrganisationID + "\x00" + row.ConnectionID + "\x00" + row.Hash)
}

func (s *Service) sealFlow(ctx context.Context, row *flowRow, secret flowSecret) ([]byte, error) {
	b, err := json.Marshal(secret)
	if err != nil {
		return nil, err
	}
	return s.cfg.Sealer.Seal(ctx, row.OrganisationID, b, flowPlace(row))
}

// goToken is what a page of ours proves to have been pressed in: another site knows the address of the page, and not
// the browser's cookie.
func goToken(what, browser string) string { return hashOf("go\x00" + what + "\x00" + browser) }

func errFlow() error {
	return fault.New(fault.Forbidden, "this sign-in was used, has expired or was begun in another browser; begin again from the sign-in page")
}

// findFlow reads the flow that a state names, while it goes on. What is sealed of it is read by openFlow, after the
// transaction.
func (s *Service) findFlow(ctx context.Context, tx *db.Tx, state string) (*flow, error) {
	f := &flow{row: &flowRow{}}
	found, err := one(ctx, tx.NewSelect().Model(f.row).Where("hash = ? AND expires_at > ?", hashOf(state), s.cfg.Clock.Now().UnixMilli()))
	if err != nil {
		return nil, err
	}
	if !found || state == "" {
		return nil, errFlow()
	}
	row, domains, err := connectionByID(ctx, tx, f.row.OrganisationID, f.row.ConnectionID)
	if err != nil {
		return nil, err
	}
	if f.conn, err = readRow(row, domains); err != nil {
		return nil, err
	}
	if !row.Enabled && !f.test() {
		return nil, errDisabled()
	}
	return f, nil
}

// openFlow reads what is sealed of a flow and of its connection.
func (s *Service) openFlow(ctx context.Context, f *flow) error {
	plain, err := s.cfg.Sealer.Open(ctx, f.row.OrganisationID, f.row.Sealed, flowPlace(f.row))
	if err != nil {
		return fmt.Errorf("sign-in under way: %w", err)
	}
	if err := json.Unmarshal(plain, &f.flowSecret); err != nil {
		return err
	}
	return s.open(ctx, f.conn)
}

func errDisabled() error {
	return fault.New(fault.Forbidden, "this way to sign in is switched off; ask an administrator of your organisation")
}

// takeFlow ends the flow that a state names, for the browser that began it.
func (s *Service) takeFlow(ctx context.Context, state, browser string) (*flow, error) {
	var f *flow
	err := s.cfg.DB.InSystem(ctx, "end a sign-in under way", func(ctx context.Context, tx *db.Tx) (err error) {
		if f, err = s.findFlow(ctx, tx, state); err != nil {
			return err
		}
		if subtle.ConstantTimeCompare([]byte(f.row.Browser), []byte(hashOf(browser))) != 1 {
			return errFlow()
		}
		res, err := tx.NewDelete().Model(f.row).WherePK().Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errFlow()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f, s.openFlow(ctx, f)
}
