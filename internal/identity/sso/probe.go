package sso

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/crewjam/saml"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	testPage  = "/try-sign-on#token=" // a page of the UI: what stands behind the # reaches no server and no log
	testValid = time.Hour
	maxKeys   = 100
)

// SSOTrial is what an identity provider answered, and a link to sign in on trial.
type SSOTrial struct {
	ID        string     `json:"id"`
	OK        bool       `json:"ok"`
	Checks    []SSOCheck `json:"checks"`
	SignInURL *string    `json:"signInUrl" doc:"Opens a page that signs in at the provider and shows what it said, without signing in here; works once, for an hour. null when a check failed"`
	ExpiresAt time.Time  `json:"expiresAt"`
}

// SSOCheck is one thing that was looked at.
type SSOCheck struct {
	Name    string `json:"name" enum:"discovery,keys,pkce,metadata,certificate,domains"`
	OK      bool   `json:"ok"`
	Message string `json:"message"`
}

// SSOTestResult is what came of a trial sign-in.
type SSOTestResult struct {
	ID      string         `json:"id"`
	Done    bool           `json:"done" doc:"false: nobody has finished it yet"`
	OK      bool           `json:"ok" doc:"The person would have been signed in"`
	Problem string         `json:"problem" doc:"Why not"`
	Email   string         `json:"email"`
	Name    string         `json:"name"`
	Groups  []string       `json:"groups"`
	Role    string         `json:"role" doc:"The role the person would have"`
	Created bool           `json:"created" doc:"The person would have become a member"`
	Claims  map[string]any `json:"claims" doc:"All that the provider said"`
}

// Test asks the provider for what it publishes, and makes a link for a trial sign-in.
func (s *Service) Test(ctx context.Context, orgID, id string) (SSOTrial, error) {
	c, err := s.connectionOf(ctx, orgID, id)
	if err != nil {
		return SSOTrial{}, err
	}
	now := s.cfg.Clock.Now()
	out := SSOTrial{ID: newID(), OK: true, ExpiresAt: now.Add(testValid).UTC()}
	if c.row.Protocol == OIDC {
		out.Checks = s.checkOIDC(ctx, c)
	} else {
		out.Checks = s.checkSAML(ctx, c)
	}
	for _, check := range out.Checks {
		out.OK = out.OK && check.OK
	}
	out.Checks = append(out.Checks, checkDomains(c)) // people can be tried all the same
	if !out.OK {
		return out, nil
	}
	token, err := s.random()
	if err != nil {
		return SSOTrial{}, err
	}
	to := s.public(testPage + token)
	out.SignInURL = &to
	row := &testRow{ID: out.ID, OrganisationID: orgID, ConnectionID: id, Hash: hashOf(token), CreatedAt: now.UnixMilli(), ExpiresAt: out.ExpiresAt.UnixMilli()}
	err = s.cfg.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		if _, err := tx.NewDelete().Model((*testRow)(nil)).Where("organisation_id = ? AND expires_at < ?", orgID, now.UnixMilli()).Exec(ctx); err != nil {
			return err
		}
		if _, err := tx.NewInsert().Model(row).Exec(ctx); err != nil {
			return err
		}
		return identity.Audit(ctx, tx, orgID, identity.Change{Action: "sso.connection.test", Kind: connectionKind, ID: id})
	})
	return out, err
}

func checkDomains(c *connection) SSOCheck {
	for _, d := range c.domains {
		if d.VerifiedAt != nil {
			return SSOCheck{"domains", true, "people with addresses of a verified domain can sign in"}
		}
	}
	return SSOCheck{"domains", false, "no domain is verified, so nobody is led to this provider, and nobody becomes a member through it"}
}

func (s *Service) checkOIDC(ctx context.Context, c *connection) []SSOCheck {
	d, err := s.discover(ctx, c, true)
	if err != nil {
		return []SSOCheck{{"discovery", false, checkText(err)}}
	}
	checks := []SSOCheck{{"discovery", true, "the discovery document was read; people sign in at " + d.Endpoint().AuthURL}}
	raw, err := s.fetch(ctx, d.claims.JWKSURI)
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err == nil {
		err = json.Unmarshal(raw, &set)
	}
	switch {
	case err != nil:
		checks = append(checks, SSOCheck{"keys", false, "its keys could not be read: " + checkText(err)})
	case len(set.Keys) == 0 || len(set.Keys) > maxKeys:
		checks = append(checks, SSOCheck{"keys", false, fmt.Sprintf("it publishes %d keys", len(set.Keys))})
	default:
		checks = append(checks, SSOCheck{"keys", true, fmt.Sprintf("it publishes %d keys to verify tokens with", len(set.Keys))})
	}
	return checks
}

func (s *Service) checkSAML(ctx context.Context, c *connection) []SSOCheck {
	if c.SAML.MetadataURL != "" {
		fresh, settings := *c, *c.SAML
		fresh.SAML = &settings
		if err := s.fetchMetadata(ctx, &fresh); err != nil {
			return []SSOCheck{{"metadata", false, checkText(err)}}
		}
	}
	idp, err := s.parseMetadata([]byte(c.SAML.Metadata))
	if err != nil {
		return []SSOCheck{{"metadata", false, err.Error()}}
	}
	to := (&saml.ServiceProvider{IDPMetadata: idp}).GetSSOBindingLocation(saml.HTTPRedirectBinding)
	return []SSOCheck{{"metadata", true, "the metadata of " + idp.EntityID + " was read; people sign in at " + to}, s.checkCertificates(idp)}
}

func (s *Service) checkCertificates(idp *saml.EntityDescriptor) SSOCheck {
	last := time.Time{}
	for _, d := range idp.IDPSSODescriptors {
		for _, k := range d.KeyDescriptors {
			for _, c := range k.KeyInfo.X509Data.X509Certificates {
				if cert, err := parseCertificate(c.Data); err == nil && k.Use != "encryption" && cert.NotAfter.After(last) {
					last = cert.NotAfter
				}
			}
		}
	}
	if !last.After(s.cfg.Clock.Now()) {
		return SSOCheck{"certificate", false, "it has no signing certificate that is still valid; give its newest metadata"}
	}
	return SSOCheck{"certificate", true, "its signing certificate is valid until " + last.UTC().Format(time.DateOnly)}
}

// checkText tells an administrator what failed; unlike a person who signs in they may see the cause.
func checkText(err error) string {
	if cause := errors.Unwrap(err); cause != nil && fault.CodeOf(err) != fault.Internal {
		return err.Error()
	}
	return faultText(err)
}

// StartTest uses a trial's link up and gives the provider's URL, with the cookie that binds the trial to the browser.
func (s *Service) StartTest(ctx context.Context, token, cookie string) (to, setCookie string, err error) {
	browser, set, err := s.browserCookie(cookie)
	if err != nil {
		return "", "", err
	}
	to, err = s.startTest(ctx, token, browser)
	return to, set, err
}

func (s *Service) startTest(ctx context.Context, token, browser string) (string, error) {
	var row testRow
	err := s.cfg.DB.InSystem(ctx, "begin a trial sign-in", func(ctx context.Context, tx *db.Tx) error {
		now := s.cfg.Clock.Now().UnixMilli()
		res, err := tx.NewUpdate().Model((*testRow)(nil)).Set("started_at = ?", now).
			Where("hash = ? AND started_at IS NULL AND expires_at > ?", hashOf(token), now).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return fault.New(fault.Forbidden, "this link for a trial was used or has expired; make a new one in the connection's settings")
		}
		_, err = one(ctx, tx.NewSelect().Model(&row).Where("hash = ?", hashOf(token)))
		return err
	})
	if err != nil {
		return "", err
	}
	c, err := s.connectionOf(ctx, row.OrganisationID, row.ConnectionID)
	if err != nil {
		return "", err
	}
	return s.begin(ctx, c, beginning{browser: browser, testID: row.ID})
}

// errTrial rolls a trial back.
var errTrial = errors.New("sso: a trial changes nothing")

// tryPerson says what signing in would have done, and does nothing. who is nil when problem happened before.
func (s *Service) tryPerson(ctx context.Context, f *flow, who *said, problem error) (SSOTestResult, error) {
	out := SSOTestResult{ID: *f.row.TestID, Done: true, Groups: []string{}, Claims: map[string]any{}}
	if problem == nil {
		problem = s.cfg.DB.InSystem(ctx, "try to sign in", func(ctx context.Context, tx *db.Tx) error {
			in, err := s.admit(ctx, tx, f.conn, who)
			if err != nil {
				return err
			}
			out.Role, out.Created, out.OK = in.Role, in.made, true
			return errTrial
		})
		if errors.Is(problem, errTrial) {
			problem = nil
		}
	}
	if who != nil {
		out.Email, out.Name, out.Claims = who.Email, who.Name, maps.Clone(who.Claims)
		out.Groups = append(out.Groups, who.Groups...)
	}
	if problem != nil {
		out.OK, out.Problem = false, checkText(problem)
	}
	b, err := json.Marshal(out)
	if err != nil {
		return out, err
	}
	return out, s.cfg.DB.InTenant(ctx, f.row.OrganisationID, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.NewUpdate().Model((*testRow)(nil)).Set("result = ?", string(b)).Where("organisation_id = ? AND id = ?", f.row.OrganisationID, out.ID).Exec(ctx)
		return err
	})
}

// TestResult gives what came of a trial sign-in.
func (s *Service) TestResult(ctx context.Context, orgID, connectionID, id string) (SSOTestResult, error) {
	out := SSOTestResult{ID: id, Groups: []string{}, Claims: map[string]any{}}
	err := s.cfg.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		var row testRow
		found, err := one(ctx, tx.NewSelect().Model(&row).Where("organisation_id = ? AND connection_id = ? AND id = ? AND expires_at > ?",
			orgID, connectionID, id, s.cfg.Clock.Now().UnixMilli()))
		if err != nil {
			return err
		}
		if !found {
			return fault.New(fault.NotFound, "there is no such trial, or it has expired; begin a new one")
		}
		if row.Result == nil {
			return nil
		}
		return json.Unmarshal([]byte(*row.Result), &out)
	})
	return out, err
}
