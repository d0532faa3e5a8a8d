package sso_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/oauth2-proxy/mockoidc"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/identity/sso"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// provider is mockoidc, a provider that nobody here wrote, with a hand on the claims it signs.
type provider struct {
	*mockoidc.MockOIDC
	mu       sync.Mutex
	alter    func(claims jwt.MapClaims)
	signWith *mockoidc.Keypair // nil is the provider's own
	verifier string            // the last PKCE verifier that was sent
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	m, err := mockoidc.NewServer(providerKeys().key) // making one takes long
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{MockOIDC: m}
	if err := m.AddMiddleware(p.resign); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(ln, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Shutdown(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// resign changes the claims of ID tokens as a test wants and signs them again with the provider's key.
func (p *provider) resign(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		alter, key := p.alter, p.signWith
		p.mu.Unlock()
		if key == nil {
			key = p.Keypair
		}
		if !strings.HasSuffix(r.URL.Path, "/token") || alter == nil {
			next.ServeHTTP(w, r)
			return
		}
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		p.mu.Lock()
		p.verifier = r.Form.Get("code_verifier")
		p.mu.Unlock()
		var answer map[string]any
		raw, _ := io.ReadAll(rec.Body)
		if json.Unmarshal(raw, &answer) == nil && answer["id_token"] != nil {
			claims := jwt.MapClaims{}
			_, _, _ = jwt.NewParser().ParseUnverified(answer["id_token"].(string), claims)
			alter(claims)
			answer["id_token"], _ = key.SignJWT(claims)
			raw, _ = json.Marshal(answer)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(rec.Code)
		_, _ = w.Write(raw)
	})
}

func (p *provider) with(alter func(jwt.MapClaims)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.alter = alter
}

func (p *provider) user(email string, groups ...string) {
	p.account("sub-"+email, email, groups...)
}

// account is somebody who signs in at the provider. Everybody is in a group: without one the provider's ID token has no
// such claim, and its userinfo lacks the sub that it must have.
func (p *provider) account(subject, email string, groups ...string) {
	p.QueueUser(&mockoidc.MockUser{Subject: subject, Email: email, EmailVerified: true, Groups: append(groups, "Everyone")})
}

// connection is what an administrator enters for the provider.
func (p *provider) connection() sso.NewSSOConnection {
	return sso.NewSSOConnection{
		Protocol: sso.OIDC, Enabled: true, ClientSecret: p.ClientSecret, JustInTime: true, DefaultRole: identity.RoleViewer, RoleClaim: "groups",
		OIDC:  &sso.OIDCProvider{Issuer: p.Issuer(), ClientID: p.ClientID, Scopes: []string{"openid", "email", "profile", "groups"}},
		Roles: []identity.RoleRule{{Group: "Admins", Role: identity.RoleAdmin}, {Group: "Staff", Role: identity.RoleAgent}},
	}
}

func TestOIDCSignsInAndFollowsTheGroups(t *testing.T) {
	each(t, func(r *rig) {
		p := newProvider(t)
		r.connect(r.owner, p.connection(), "corp.example")
		b := r.browser()
		p.with(func(jwt.MapClaims) {})
		p.account("sub-ben@corp.example", "Ben@Corp.example", "Staff", "other")
		who := b.wantIn(b.open(b.start("ben@corp.example")))
		if who.Role != identity.RoleAgent || who.OrgID != r.owner.OrgID || who.Super {
			t.Fatalf("signed in as %+v", who)
		}
		if m := r.member(r.owner, who.UserID); m.Email != "ben@corp.example" {
			t.Fatalf("member %+v", m)
		}
		if len(p.verifier) < 43 {
			t.Errorf("the code was exchanged without a PKCE verifier: %q", p.verifier)
		}
		p.user("ben@corp.example", "Admins", "Staff")
		b = r.browser()
		again := b.wantIn(b.open(b.start("ben@corp.example")))
		if again.UserID != who.UserID || again.Role != identity.RoleAdmin {
			t.Fatalf("the second time: %+v", again)
		}
		p.user("ben@corp.example")
		b = r.browser()
		if last := b.wantIn(b.open(b.start("ben@corp.example"))); last.Role != identity.RoleViewer {
			t.Fatalf("without a rule the default role counts: %+v", last)
		}
	})
}

func TestOIDCRefuses(t *testing.T) {
	each(t, func(r *rig) {
		p := newProvider(t)
		r.connect(r.owner, p.connection(), "corp.example")
		later := time.Now().Add(time.Hour).Unix()
		for _, c := range []struct {
			name, why string
			alter     func(jwt.MapClaims)
		}{
			{"wrong audience", "another client", func(c jwt.MapClaims) { c["aud"] = "somebody-else" }},
			{"audience of several without azp", "another client", func(c jwt.MapClaims) { c["aud"] = []string{p.ClientID, "other"} }},
			{"azp of another", "another client", func(c jwt.MapClaims) { c["azp"] = "other" }},
			{"expired", "expired", func(c jwt.MapClaims) { c["exp"] = time.Now().Add(-time.Minute).Unix() }},
			{"not yet valid", "not valid", func(c jwt.MapClaims) { c["nbf"], c["exp"] = later, later+60 }},
			{"another issuer", "another provider", func(c jwt.MapClaims) { c["iss"] = "https://evil.example" }},
			{"wrong nonce", "another sign-in", func(c jwt.MapClaims) { c["nonce"] = "x" }},
			{"no nonce", "another sign-in", func(c jwt.MapClaims) { delete(c, "nonce") }},
			{"no subject", "", func(c jwt.MapClaims) { delete(c, "sub") }},
			{"other access token", "access token", func(c jwt.MapClaims) { c["at_hash"] = "AAAAAAAAAAAAAAAAAAAAAA" }},
			{"unverified e-mail", "not verified", func(c jwt.MapClaims) { c["email_verified"] = false }},
			{"no e-mail", "e-mail address", func(c jwt.MapClaims) { c["email"] = "nobody" }},
			{"domain of nobody", "may not speak", func(c jwt.MapClaims) { c["email"] = "eve@elsewhere.example" }},
			{"domain below", "may not speak", func(c jwt.MapClaims) { c["email"] = "eve@sub.corp.example" }},
			{"two addresses", "e-mail address", func(c jwt.MapClaims) { c["email"] = "eve@elsewhere.example, ben@corp.example" }},
		} {
			p.with(c.alter)
			p.user("ben@corp.example", "Staff")
			b := r.browser()
			status, path, body := b.open(b.start("ben@corp.example"))
			if _, in := b.who(); in || status < 400 || !strings.Contains(body, c.why) {
				t.Errorf("%s: signed in %v, %d at %s: %s", c.name, in, status, path, textOf(body))
			}
		}
		p.with(func(jwt.MapClaims) {})
		p.mu.Lock()
		p.signWith, _ = mockoidc.NewKeypair(otherKeys().key)
		p.mu.Unlock()
		p.user("ben@corp.example", "Staff")
		b := r.browser()
		b.wantOut("signature")(b.open(b.start("ben@corp.example")))
		if list, _, err := r.ident.Members(t.Context(), r.owner, "", 10); err != nil || len(list) != 1 {
			t.Errorf("members were made: %+v, %v", list, err)
		}
	})
}

// A callback counts once, for the browser that began, and for the provider that was asked.
func TestOIDCBindsTheAnswer(t *testing.T) {
	each(t, func(r *rig) {
		p := newProvider(t)
		r.connect(r.owner, p.connection(), "corp.example")
		callback := func(b *browser) string { // what the provider sends the browser to
			t.Helper()
			stop := *b.Client
			stop.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			res, err := stop.Get(b.start("ben@corp.example"))
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			return res.Header.Get("Location")
		}
		p.user("ben@corp.example")
		victim, thief := r.browser(), r.browser()
		stolen := callback(victim)
		thief.start("ben@corp.example")
		thief.wantOut("another browser")(thief.open(stolen))
		victim.wantIn(victim.open(stolen))
		b := r.browser()
		b.Jar.SetCookies(b.home(), victim.Jar.Cookies(b.home())[:1])
		b.wantOut("begin again")(b.open(stolen)) // replayed

		p.user("ben@corp.example")
		b = r.browser()
		to := callback(b)
		b.wantOut("begin again")(b.open(strings.Replace(to, "state=", "state=x", 1)))
		b.wantOut("another identity provider")(b.open(to + "&iss=" + url.QueryEscape("https://evil.example")))
		b.wantOut("begin again")(b.open(to)) // the mixed-up answer used the flow up

		p.user("ben@corp.example")
		b = r.browser()
		b.wantIn(b.open(callback(b) + "&iss=" + url.QueryEscape(p.Issuer())))

		p.user("ben@corp.example")
		b = r.browser()
		to = callback(b)
		r.clock.Advance(11 * time.Minute)
		b.wantOut("expired")(b.open(to))

		b = r.browser()
		to = callback(b)
		u, _ := url.Parse(to)
		q := u.Query()
		q.Set("error", "access_denied")
		q.Set("error_description", "<b>call 0900</b>")
		u.RawQuery = q.Encode()
		status, _, body := b.open(u.String())
		if status != http.StatusForbidden || strings.Contains(body, "0900") || !strings.Contains(body, "did not let you in") {
			t.Errorf("%d: %s", status, textOf(body))
		}
	})
}

// A connection's answer does not count for another connection's flow.
func TestOIDCTokenForAnotherConnection(t *testing.T) {
	each(t, func(r *rig) {
		mine, theirs := newProvider(t), newProvider(t)
		r.connect(r.owner, mine.connection(), "corp.example")
		other := r.another("Other", "otto@other.example")
		r.connect(other, theirs.connection(), "other.example")
		theirs.user("ben@corp.example")
		b := r.browser()
		// The other organisation's provider claims an address of this one's domain.
		b.wantOut("may not speak")(b.open(b.start("otto@other.example")))
		// A code of the other provider in this one's flow.
		theirs.user("eve@other.example")
		stop := *b.Client
		stop.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		res, err := stop.Get(b.start("eve@other.example"))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		answer, _ := url.Parse(res.Header.Get("Location"))
		begun, _ := url.Parse(b.start("ben@corp.example"))
		q := answer.Query()
		q.Set("state", begun.Query().Get("state"))
		answer.RawQuery = q.Encode()
		b.wantOut("refused the code")(b.open(answer.String()))
	})
}

// An organisation's provider cannot become somebody who belongs to another organisation.
func TestNoTakeover(t *testing.T) {
	each(t, func(r *rig) {
		p := newProvider(t)
		evil := r.another("Evil", "eve@evil.example")
		r.connect(evil, p.connection(), "evil.example")
		for _, email := range []string{"anna@example.com", "new@example.com", "new@gmail.example"} {
			p.user(email)
			b := r.browser()
			b.wantOut("may not speak")(b.open(b.start("eve@evil.example")))
		}
		// Nor can it take the domain.
		mine := newProvider(t)
		c := r.connect(r.owner, mine.connection(), "corp.example")
		theirs, err := r.sso.Connections(t.Context(), evil.OrgID)
		if err != nil || len(theirs) != 1 {
			t.Fatal(theirs, err)
		}
		d, err := r.sso.AddDomain(r.as(evil), evil.OrgID, theirs[0].ID, "corp.example")
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.sso.VerifyDomain(r.as(evil), evil.OrgID, theirs[0].ID, "corp.example")
		wantCode(t, err, fault.NotPossible) // the record is the other organisation's
		r.dns.set(d.RecordName, d.RecordValue)
		_, err = r.sso.VerifyDomain(r.as(evil), evil.OrgID, theirs[0].ID, "corp.example")
		wantCode(t, err, fault.Conflict)
		// Nor see or change the other's connection.
		_, err = r.sso.Connection(t.Context(), evil.OrgID, c.ID)
		wantCode(t, err, fault.NotFound)
		_, err = r.sso.UpdateConnection(r.as(evil), evil.OrgID, c.ID, sso.SSOConnectionChange{})
		wantCode(t, err, fault.NotFound)
		wantCode(t, r.sso.DeleteConnection(r.as(evil), evil.OrgID, c.ID), fault.NotFound)
		_, err = r.sso.Test(r.as(evil), evil.OrgID, c.ID)
		wantCode(t, err, fault.NotFound)
	})
}

// Outside of its domains a provider speaks for members who belong nowhere else, when the address is verified.
func TestMembersOutsideTheDomains(t *testing.T) {
	each(t, func(r *rig) {
		p := newProvider(t)
		r.connect(r.owner, p.connection(), "corp.example")
		var guest string
		err := r.db.InSystem(t.Context(), "test", func(ctx context.Context, tx *db.Tx) error {
			m, err := r.ident.Enrol(ctx, tx, r.owner.OrgID, identity.Enrolment{Email: "guest@mail.example", Role: identity.RoleViewer})
			guest = m.UserID
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		p.user("guest@mail.example", "Staff")
		b := r.browser()
		if who := b.wantIn(b.open(b.start("x@corp.example"))); who.UserID != guest {
			t.Fatalf("signed in as %+v", who)
		}
		p.with(func(c jwt.MapClaims) { delete(c, "email_verified") })
		p.user("guest@mail.example", "Staff")
		b = r.browser()
		b.wantOut("may not speak")(b.open(b.start("x@corp.example")))
		p.with(nil)
		other := r.another("Other", "otto@other.example")
		err = r.db.InSystem(t.Context(), "test", func(ctx context.Context, tx *db.Tx) error {
			_, err := r.ident.Enrol(ctx, tx, other.OrgID, identity.Enrolment{Email: "guest@mail.example", Role: identity.RoleViewer})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		p.user("guest@mail.example", "Staff")
		b = r.browser()
		b.wantOut("may not speak")(b.open(b.start("x@corp.example")))
	})
}

// An address that the provider gave to somebody else does not open the account of who had it before.
func TestReusedAddress(t *testing.T) {
	each(t, func(r *rig) {
		p := newProvider(t)
		c := r.connect(r.owner, p.connection(), "corp.example")
		p.user("ben@corp.example")
		b := r.browser()
		ben := b.wantIn(b.open(b.start("ben@corp.example")))
		p.account("somebody-new", "ben@corp.example")
		b = r.browser()
		b.wantOut("another account")(b.open(b.start("ben@corp.example")))
		links, next, err := r.sso.Links(t.Context(), r.owner.OrgID, c.ID, "", 50)
		if err != nil || next != nil || len(links) != 1 || links[0].UserID != ben.UserID || links[0].Subject != "sub-ben@corp.example" {
			t.Fatalf("links %+v, %v", links, err)
		}
		if err := r.sso.Unlink(r.as(r.owner), r.owner.OrgID, c.ID, ben.UserID); err != nil {
			t.Fatal(err)
		}
		p.account("somebody-new", "ben@corp.example")
		b = r.browser()
		if who := b.wantIn(b.open(b.start("ben@corp.example"))); who.UserID != ben.UserID {
			t.Fatalf("after unlinking: %+v", who)
		}
		// The account at the provider counts, not the address it has now.
		p.account("somebody-new", "renamed@corp.example")
		b = r.browser()
		if who := b.wantIn(b.open(b.start("renamed@corp.example"))); who.UserID != ben.UserID {
			t.Fatalf("after a change of address: %+v", who)
		}
	})
}
