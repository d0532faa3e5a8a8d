package sso_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/identity/sso"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const password = "quiet green river stones" // of anna, the owner

// The sign-in page's answer depends on the domain alone.
func TestStartTellsNothingOfWhoExists(t *testing.T) {
	each(t, func(r *rig) {
		p := newProvider(t)
		c := r.connect(r.owner, p.connection(), "corp.example")
		for email, method := range map[string]string{
			"nobody@corp.example": "sso", "Nobody@CORP.example": "sso", "anna@example.com": "password", "nobody@example.com": "password",
			"x@sub.corp.example": "password", "corp.example@other.example": "password",
		} {
			s, set, err := r.sso.Start(t.Context(), email, "", "")
			if err != nil || s.Method != method || (s.RedirectURL != nil) != (method == "sso") || (set != "") != (method == "sso") || !s.PasswordAllowed {
				t.Errorf("%s: %+v, %v", email, s, err)
			}
		}
		_, _, err := r.sso.Start(t.Context(), "nobody", "", "")
		wantCode(t, err, fault.Invalid)
		off := false
		if _, err := r.sso.UpdateConnection(r.as(r.owner), r.owner.OrgID, c.ID, sso.SSOConnectionChange{Enabled: &off}); err != nil {
			t.Fatal(err)
		}
		if s, _, err := r.sso.Start(t.Context(), "x@corp.example", "", ""); err != nil || s.Method != "password" {
			t.Errorf("switched off: %+v, %v", s, err)
		}
		b := r.browser()
		b.wantOut("switched off")(b.open(c.Here.StartURL))
	})
}

func TestReturnsToOurOwnPagesOnly(t *testing.T) {
	each(t, func(r *rig) {
		p := newProvider(t)
		c := r.connect(r.owner, p.connection(), "corp.example")
		for _, to := range []string{"https://evil.example", "//evil.example", "/\\evil.example", "/\tx", "evil", ""} {
			p.user("ben@corp.example")
			b := r.browser()
			status, path, _ := b.press(b.open(c.Here.StartURL + "?returnTo=" + strings.NewReplacer("\\", "%5C", "\t", "%09").Replace(to)))
			if _, in := b.who(); !in || status != http.StatusOK || path != "/" {
				t.Errorf("%q led to %d at %s", to, status, path)
			}
		}
	})
}

func TestProviderOnly(t *testing.T) {
	each(t, func(r *rig) {
		p := newProvider(t)
		_, err := r.sso.SetPolicy(r.as(r.owner), r.owner.OrgID, sso.SSOPolicy{SSOOnly: true})
		wantCode(t, err, fault.NotPossible) // nobody could sign in
		c := r.connect(r.owner, p.connection(), "corp.example")
		p.user("ben@corp.example")
		b := r.browser()
		ben := b.wantIn(b.open(b.start("ben@corp.example")))
		_, local, err := r.ident.Begin(t.Context(), identity.SignOn{UserID: ben.UserID, OrgID: ben.OrgID, Method: identity.MethodPassword})
		if err != nil {
			t.Fatal(err)
		}
		_, annas, err := r.ident.SignIn(t.Context(), "anna@example.com", password, "127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.sso.SetPolicy(r.as(r.owner), r.owner.OrgID, sso.SSOPolicy{SSOOnly: true}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.ident.Session(t.Context(), local); err == nil {
			t.Error("a session by password went on")
		}
		if _, in := b.who(); !in {
			t.Error("a session through the provider ended")
		}
		if _, err := r.ident.Session(t.Context(), annas); err != nil {
			t.Errorf("the owner's session ended: %v", err)
		}
		_, _, err = r.ident.Begin(t.Context(), identity.SignOn{UserID: ben.UserID, OrgID: ben.OrgID, Method: identity.MethodPassword, SecondFactor: true})
		wantCode(t, err, fault.Forbidden)
		if _, _, err := r.ident.SignIn(t.Context(), "anna@example.com", password, "127.0.0.1"); err != nil {
			t.Errorf("the owner was locked out: %v", err)
		}
		if s, _, err := r.sso.Start(t.Context(), "x@corp.example", "", ""); err != nil || s.PasswordAllowed {
			t.Errorf("%+v, %v", s, err)
		}
		// What the policy needs cannot go.
		wantCode(t, r.sso.RemoveDomain(r.as(r.owner), r.owner.OrgID, c.ID, "corp.example"), fault.NotPossible)
		wantCode(t, r.sso.DeleteConnection(r.as(r.owner), r.owner.OrgID, c.ID), fault.NotPossible)
		off := false
		_, err = r.sso.UpdateConnection(r.as(r.owner), r.owner.OrgID, c.ID, sso.SSOConnectionChange{Enabled: &off})
		wantCode(t, err, fault.NotPossible)
		if _, err := r.sso.SetPolicy(r.as(r.owner), r.owner.OrgID, sso.SSOPolicy{}); err != nil {
			t.Fatal(err)
		}
		if err := r.sso.DeleteConnection(r.as(r.owner), r.owner.OrgID, c.ID); err != nil {
			t.Fatal(err)
		}
	})
}

// A session that an organisation's provider answered for leads into no other organisation, changes no credentials and
// administers no installation; and a session by password leads into no organisation that takes providers only.
func TestSessionsStayInTheirOrganisation(t *testing.T) {
	each(t, func(r *rig) {
		p := newProvider(t)
		r.connect(r.owner, p.connection(), "corp.example")
		p.user("ben@corp.example")
		b := r.browser()
		ben := b.wantIn(b.open(b.start("ben@corp.example")))
		other := r.another("Other", "otto@other.example")
		enrol := func(orgID, email string) {
			t.Helper()
			err := r.db.InSystem(t.Context(), "test", func(ctx context.Context, tx *db.Tx) error {
				_, err := r.ident.Enrol(ctx, tx, orgID, identity.Enrolment{Email: email, Role: identity.RoleAdmin})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		enrol(other.OrgID, "ben@corp.example")
		_, _, err := r.ident.SwitchOrganisation(r.as(ben), ben, other.OrgID)
		wantCode(t, err, fault.Forbidden)
		_, err = r.ident.BeginTOTP(r.as(ben), ben)
		wantCode(t, err, fault.Forbidden)
		r.clock.Advance(15 * time.Minute) // nor ends others long after the provider answered
		_, err = r.ident.RevokeOtherSessions(r.as(ben), ben)
		wantCode(t, err, fault.Forbidden)

		if _, err := r.sso.SetPolicy(r.as(r.owner), r.owner.OrgID, sso.SSOPolicy{SSOOnly: true}); err != nil {
			t.Fatal(err)
		}
		enrol(r.owner.OrgID, "otto@other.example")
		_, cookie, err := r.ident.Begin(t.Context(), identity.SignOn{UserID: other.UserID, OrgID: other.OrgID, Method: identity.MethodPassword})
		if err != nil {
			t.Fatal(err)
		}
		otto, err := r.ident.Session(t.Context(), cookie)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = r.ident.SwitchOrganisation(r.as(otto), otto, r.owner.OrgID)
		wantCode(t, err, fault.Forbidden)
	})
}

// Somebody made an account for another's address before that organisation's provider brought the person in. What opens the account
// does not open the organisation.
func TestAccountThatSomebodyMadeBefore(t *testing.T) {
	each(t, func(r *rig) {
		p := newProvider(t)
		r.connect(r.owner, p.connection(), "corp.example")
		mallory := r.another("Evil", "ben@corp.example") // with a password that ben does not know
		p.user("ben@corp.example", "Staff")
		b := r.browser()
		ben := b.wantIn(b.open(b.start("ben@corp.example")))
		if ben.UserID != mallory.UserID || ben.OrgID != r.owner.OrgID {
			t.Fatalf("signed in as %+v", ben)
		}
		_, cookie, err := r.ident.SignIn(t.Context(), "ben@corp.example", "slow yellow mountain road", "127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		local, err := r.ident.Session(t.Context(), cookie)
		if err != nil || local.OrgID != mallory.OrgID {
			t.Fatalf("%+v, %v", local, err)
		}
		_, _, err = r.ident.SwitchOrganisation(r.as(local), local, ben.OrgID)
		wantCode(t, err, fault.Forbidden)
		_, _, err = r.ident.Begin(t.Context(), identity.SignOn{UserID: ben.UserID, OrgID: ben.OrgID, Method: identity.MethodPassword, SecondFactor: true})
		wantCode(t, err, fault.Forbidden)
		// Nor by becoming an owner, whom a provider does not bind.
		owner := identity.RoleOwner
		_, err = r.ident.UpdateMember(r.as(r.owner), r.owner, ben.UserID, identity.MemberChange{Role: &owner})
		wantCode(t, err, fault.NotPossible)
		// An account that the provider made is its person's: a link to their address may give it a password.
		p.user("new@corp.example", "Staff")
		b = r.browser()
		fresh := b.wantIn(b.open(b.start("x@corp.example")))
		if _, _, err := r.ident.Begin(t.Context(), identity.SignOn{UserID: fresh.UserID, OrgID: fresh.OrgID, Method: identity.MethodPassword}); err != nil {
			t.Error(err)
		}
	})
}

// Owners come in through a provider only where an owner says so, and not after somebody else named another provider.
func TestOwners(t *testing.T) {
	each(t, func(r *rig) {
		p, evil := newProvider(t), newProvider(t)
		c := r.connect(r.owner, p.connection(), "example.com")
		admin := r.owner
		admin.Role = identity.RoleAdmin
		come := func(from *provider) *browser {
			from.user("anna@example.com")
			return r.browser()
		}
		b := come(p)
		b.wantOut("Owners sign in")(b.open(b.start("anna@example.com")))
		yes := true
		_, err := r.sso.UpdateConnection(r.as(admin), admin.OrgID, c.ID, sso.SSOConnectionChange{Owners: &yes})
		wantCode(t, err, fault.Forbidden)
		if _, err := r.sso.UpdateConnection(r.as(r.owner), r.owner.OrgID, c.ID, sso.SSOConnectionChange{Owners: &yes}); err != nil {
			t.Fatal(err)
		}
		b = come(p)
		if who := b.wantIn(b.open(b.start("anna@example.com"))); who.Role != identity.RoleOwner || who.Super {
			t.Fatalf("signed in as %+v", who) // she administers the installation, but not by a provider's word
		}
		_, err = r.sso.UpdateConnection(r.as(admin), admin.OrgID, c.ID, sso.SSOConnectionChange{OIDC: &sso.OIDCProvider{Issuer: evil.Issuer(), ClientID: evil.ClientID, Scopes: c.OIDC.Scopes}})
		wantCode(t, err, fault.Invalid) // the secret is not sent to another issuer
		got, err := r.sso.UpdateConnection(r.as(admin), admin.OrgID, c.ID, sso.SSOConnectionChange{
			OIDC: &sso.OIDCProvider{Issuer: evil.Issuer(), ClientID: evil.ClientID, Scopes: c.OIDC.Scopes}, ClientSecret: &evil.ClientSecret,
		})
		if err != nil || got.Owners {
			t.Fatalf("%+v, %v", got, err)
		}
		b = come(evil)
		b.wantOut("Owners sign in")(b.open(b.start("anna@example.com")))
	})
}

func TestTrial(t *testing.T) {
	each(t, func(r *rig) {
		p := newProvider(t)
		in := p.connection()
		in.Enabled = false // it is tried before people may use it
		c := r.connect(r.owner, in, "corp.example")
		trial, err := r.sso.Test(r.as(r.owner), r.owner.OrgID, c.ID)
		if err != nil || !trial.OK || trial.SignInURL == nil || len(trial.Checks) != 3 {
			t.Fatalf("%+v, %v", trial, err)
		}
		if got, err := r.sso.TestResult(t.Context(), r.owner.OrgID, c.ID, trial.ID); err != nil || got.Done {
			t.Fatalf("%+v, %v", got, err)
		}
		p.user("ben@corp.example", "Staff")
		b := r.browser()
		status, _, body := b.try(*trial.SignInURL)
		if _, in := b.who(); in || status != http.StatusOK || !strings.Contains(body, "would be signed in") || !strings.Contains(body, "sub-ben@corp.example") {
			t.Fatalf("signed in %v, %d: %s", in, status, textOf(body))
		}
		got, err := r.sso.TestResult(t.Context(), r.owner.OrgID, c.ID, trial.ID)
		if err != nil || !got.Done || !got.OK || got.Role != identity.RoleAgent || !got.Created || got.Email != "ben@corp.example" || got.Claims["sub"] != "sub-ben@corp.example" {
			t.Fatalf("%+v, %v", got, err)
		}
		if list, _, err := r.ident.Members(t.Context(), r.owner, "", 10); err != nil || len(list) != 1 {
			t.Fatalf("a trial made a member: %+v, %v", list, err)
		}
		_, _, err = r.sso.StartTest(t.Context(), tokenOf(t, *trial.SignInURL), "")
		wantCode(t, err, fault.Forbidden) // it was used
		other := r.another("Other", "otto@other.example")
		_, err = r.sso.TestResult(t.Context(), other.OrgID, c.ID, trial.ID)
		wantCode(t, err, fault.NotFound)

		trial, err = r.sso.Test(r.as(r.owner), r.owner.OrgID, c.ID)
		if err != nil {
			t.Fatal(err)
		}
		p.with(func(c jwt.MapClaims) { c["email_verified"] = false })
		p.user("ben@corp.example")
		_, _, body = b.try(*trial.SignInURL)
		got, err = r.sso.TestResult(t.Context(), r.owner.OrgID, c.ID, trial.ID)
		if err != nil || got.OK || !strings.Contains(got.Problem, "not verified") || !strings.Contains(body, "would not be signed in") {
			t.Fatalf("%+v, %v: %s", got, err, textOf(body))
		}

		gone := "http://127.0.0.1:1/oidc"
		secret := "x"
		if _, err := r.sso.UpdateConnection(r.as(r.owner), r.owner.OrgID, c.ID, sso.SSOConnectionChange{OIDC: &sso.OIDCProvider{Issuer: gone, ClientID: "x"}, ClientSecret: &secret}); err != nil {
			t.Fatal(err)
		}
		trial, err = r.sso.Test(r.as(r.owner), r.owner.OrgID, c.ID)
		if err != nil || trial.OK || trial.SignInURL != nil || trial.Checks[0].OK {
			t.Fatalf("%+v, %v", trial, err)
		}
	})
}

// What is secret is in no answer, no audit entry and not readable in the database.
func TestSecretsStayHidden(t *testing.T) {
	each(t, func(r *rig) {
		p := newProvider(t)
		in := p.connection()
		in.ClientSecret = "canary-of-the-client"
		c := r.connect(r.owner, in, "corp.example")
		idp := newSAMLProvider(t)
		saml := idp.connection()
		saml.Name = "SAML"
		s := r.connect(r.owner, saml)
		r.browser().start("ben@corp.example")
		views, err := json.Marshal([]sso.SSOConnection{c, s})
		if err != nil || !c.HasSecret || s.HasSecret {
			t.Fatal(c, s, err)
		}
		var dump strings.Builder
		dump.Write(views)
		err = r.db.ReadSystem(t.Context(), "test", func(ctx context.Context, tx *db.Tx) error {
			for _, q := range []string{"SELECT data FROM outbox", "SELECT settings FROM sso_connections", "SELECT secret FROM sso_connections", "SELECT sealed FROM sso_flows"} {
				var rows []string
				if err := tx.NewRaw(q).Scan(ctx, &rows); err != nil {
					return err
				}
				dump.WriteString(strings.Join(rows, "\n"))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, canary := range []string{"canary-of-the-client", "PRIVATE KEY"} {
			if strings.Contains(dump.String(), canary) {
				t.Errorf("%s is readable", canary)
			}
		}
		if !strings.Contains(dump.String(), "sso.connection.create") {
			t.Error("nothing was audited: the test looks at nothing")
		}
	})
}

func TestSweep(t *testing.T) {
	each(t, func(r *rig) {
		p := newProvider(t)
		c := r.connect(r.owner, p.connection(), "corp.example")
		r.browser().start("ben@corp.example")
		if _, err := r.sso.Test(r.as(r.owner), r.owner.OrgID, c.ID); err != nil {
			t.Fatal(err)
		}
		r.clock.Advance(2 * time.Hour)
		if err := r.sso.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		err := r.db.ReadSystem(t.Context(), "test", func(ctx context.Context, tx *db.Tx) error {
			for _, table := range []string{"sso_flows", "sso_tests"} {
				var n int
				if err := tx.NewRaw("SELECT count(*) FROM "+table).Scan(ctx, &n); err != nil {
					return err
				}
				if n != 0 {
					t.Errorf("%d left in %s", n, table)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
