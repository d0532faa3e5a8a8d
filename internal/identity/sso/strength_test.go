package sso_test

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"
	"github.com/golang-jwt/jwt/v5"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/identity/sso"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// A connection that asks for a second factor lets in who proved one at the provider, and nobody else.
func TestOIDCSecondFactor(t *testing.T) {
	each(t, func(r *rig) {
		p := newProvider(t)
		in := p.connection()
		in.SecondFactor = true
		c := r.connect(r.owner, in, "corp.example")
		attempt := func(claims jwt.MapClaims) (*browser, int, string, string) {
			t.Helper()
			p.with(func(to jwt.MapClaims) {
				for k, v := range claims {
					to[k] = v
				}
			})
			p.user("ben@corp.example", "Staff")
			b := r.browser()
			to := b.start("ben@corp.example")
			u, err := url.Parse(to)
			if err != nil || !strings.Contains(u.Query().Get("acr_values"), "https://refeds.org/profile/mfa") {
				t.Fatalf("nothing is asked for in %s", to)
			}
			status, path, body := b.open(to)
			return b, status, path, body
		}
		for _, claims := range []jwt.MapClaims{{}, {"amr": []string{"pwd"}}, {"acr": "1", "amr": []string{"pwd", "otp"}}, {"acr": "https://refeds.org/profile/sfa"}} {
			b, status, path, body := attempt(claims)
			b.wantOut("A second factor is needed")(status, path, body)
		}
		for _, claims := range []jwt.MapClaims{{"amr": []string{"pwd", "mfa"}}, {"acr": "https://refeds.org/profile/mfa"}} {
			b, status, path, body := attempt(claims)
			b.wantIn(status, path, body)
		}
		// What is named counts, and then nothing else does.
		named := []string{"https://refeds.org/profile/mfa", "urn:corp:two"}
		if _, err := r.sso.UpdateConnection(r.as(r.owner), r.owner.OrgID, c.ID, sso.SSOConnectionChange{FactorContexts: &named}); err != nil {
			t.Fatal(err)
		}
		b, status, path, body := attempt(jwt.MapClaims{"amr": []string{"mfa"}})
		b.wantOut("A second factor is needed")(status, path, body)
		b, status, path, body = attempt(jwt.MapClaims{"acr": "urn:corp:two"})
		b.wantIn(status, path, body)

		for _, bad := range [][]string{{""}, {"a b"}, make([]string, 11)} {
			_, err := r.sso.UpdateConnection(r.as(r.owner), r.owner.OrgID, c.ID, sso.SSOConnectionChange{FactorContexts: &bad})
			wantCode(t, err, fault.Invalid)
		}
	})
}

func TestSAMLSecondFactor(t *testing.T) {
	each(t, func(r *rig) {
		p := newSAMLProvider(t)
		in := p.connection()
		in.SecondFactor = true
		c := r.connect(r.owner, in, "corp.example")
		p.knows(r, c)
		p.user("ben@corp.example", "Staff")
		b := r.browser()
		to := b.start("ben@corp.example")
		u, err := url.Parse(to)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := base64.StdEncoding.DecodeString(u.Query().Get("SAMLRequest"))
		if err != nil {
			t.Fatal(err)
		}
		request, err := io.ReadAll(flate.NewReader(bytes.NewReader(raw)))
		if err != nil || !bytes.Contains(request, []byte("RequestedAuthnContext")) || !bytes.Contains(request, []byte("https://refeds.org/profile/mfa")) {
			t.Fatalf("nothing is asked for: %s, %v", request, err)
		}
		form := p.answer(to, "ben@corp.example") // samlidp knows passwords only, and says so
		b.wantOut("A second factor is needed")(b.post(c.Here.ACSURL, form))

		b = r.browser()
		form = p.answer(b.start("ben@corp.example"), "ben@corp.example")
		proved := alter(t, form, p.key, p.cert, func(_, a *etree.Element) {
			a.FindElement(".//AuthnContextClassRef").SetText("https://refeds.org/profile/mfa")
		})
		b.wantIn(b.post(c.Here.ACSURL, proved))
	})
}

// A session that began at a provider ends after the connection's longest time, though it be used.
func TestLongestSessionOfAConnection(t *testing.T) {
	each(t, func(r *rig) {
		p := newProvider(t)
		in := p.connection()
		in.LongestSessionHours = 1
		c := r.connect(r.owner, in, "corp.example")
		p.user("ben@corp.example", "Staff")
		b := r.browser()
		b.wantIn(b.open(b.start("ben@corp.example")))
		for range 3 {
			r.clock.Advance(19 * time.Minute)
			if _, in := b.who(); !in {
				t.Fatal("a session in use ended within its hour")
			}
		}
		// Another process has nothing in memory, where a session may outlast its end by a minute of real time.
		other := func() error {
			log := slog.New(slog.DiscardHandler)
			s, err := identity.New(identity.Config{DB: r.db, Passwords: quick, Clock: r.clock, Log: log})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			req := &http.Request{Header: http.Header{}}
			for _, c := range b.Jar.Cookies(b.home()) {
				req.AddCookie(c)
			}
			_, err = s.Session(t.Context(), identity.CookieOf(req))
			return err
		}
		if err := other(); err != nil {
			t.Errorf("within its hour: %v", err)
		}
		r.clock.Advance(4 * time.Minute)
		wantCode(t, other(), fault.Unauthorized)
		for _, bad := range []int{-1, 169} {
			_, err := r.sso.UpdateConnection(r.as(r.owner), r.owner.OrgID, c.ID, sso.SSOConnectionChange{LongestSessionHours: &bad})
			wantCode(t, err, fault.Invalid)
		}
	})
}
