package identity_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Whoever signs in over a session ends it: the browser cannot any more.
func TestSignInEndsTheSessionBefore(t *testing.T) {
	eachSignOn(t, func(t *testing.T, s *signOn) {
		_, elsewhere := s.signIn(t)
		_, before := s.signIn(t)
		over := func(cookie string) context.Context {
			r := httptest.NewRequest(http.MethodPost, "/api/v1/auth/sign-in", nil)
			r.AddCookie(&http.Cookie{Name: "__Host-" + identity.SessionCookie, Value: cookie})
			return identity.WithOrigin(t.Context(), &identity.Origin{IP: annaIP, RequestID: "r2", Held: identity.HeldBy(r)})
		}
		_, _, err := s.SignIn(over(before), owner.Email, "not the password", annaIP)
		wantCode(t, err, fault.Unauthorized)
		s.session(t, before) // a sign-in that fails ends nothing
		_, after, err := s.SignIn(over(before), owner.Email, owner.Password, annaIP)
		if err != nil || after == before {
			t.Fatal(err)
		}
		for _, svc := range []*identity.Service{s.Service, s.another(t)} {
			_, err = svc.Session(t.Context(), before)
			wantCode(t, err, fault.Unauthorized)
		}
		s.session(t, after)
		s.session(t, elsewhere)
		if e := s.audited(t, "auth.sign_out"); len(e) != 1 || e[0].Reason != "signed in anew" {
			t.Errorf("entries %+v", e)
		}
		if _, _, err = s.SignIn(over("of nobody"), owner.Email, owner.Password, annaIP); err != nil {
			t.Error(err)
		}
	})
}
