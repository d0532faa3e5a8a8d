package identity_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

func TestSessionSecretIsRenewed(t *testing.T) {
	eachSignOn(t, func(t *testing.T, s *signOn) {
		ctx := t.Context()
		p, first := s.signIn(t)
		if next, err := s.Renew(ctx, p, first); err != nil || next != "" {
			t.Fatalf("renewed at once: %q, %v", next, err)
		}
		s.clock.Advance(16 * time.Minute)
		p = s.session(t, first)
		second, err := s.Renew(ctx, p, first)
		if err != nil || second == "" || second == first {
			t.Fatalf("not renewed after 16 minutes: %q, %v", second, err)
		}
		if again, err := s.Renew(ctx, p, first); err != nil || again != "" {
			t.Fatalf("of two requests at once both renewed: %q, %v", again, err)
		}
		// Requests under way may still come with the first; it is the same session.
		if q := s.session(t, first); q.SessionID != p.SessionID {
			t.Fatalf("another session: %s, %s", q.SessionID, p.SessionID)
		}
		if q := s.session(t, second); q.SessionID != p.SessionID {
			t.Fatalf("the new secret is another session's: %s, %s", q.SessionID, p.SessionID)
		}
		s.clock.Advance(61 * time.Second)
		_, err = s.Session(ctx, first)
		wantCode(t, err, fault.Unauthorized)
		_, err = s.another(t).Session(ctx, first)
		wantCode(t, err, fault.Unauthorized)
		s.session(t, second)
		if err := s.SignOut(ctx, second); err != nil {
			t.Fatal(err)
		}
		_, err = s.Session(ctx, second)
		wantCode(t, err, fault.Unauthorized)
		if n := len(s.audited(t, "auth.sign_out")); n != 1 {
			t.Errorf("%d entries of the sign-out", n)
		}
	})
}

// A browser that never got the new secret goes on with the old one, and gets another.
func TestLostRenewal(t *testing.T) {
	eachSignOn(t, func(t *testing.T, s *signOn) {
		_, first := s.signIn(t)
		s.clock.Advance(16 * time.Minute)
		p := s.session(t, first)
		lost, err := s.Renew(t.Context(), p, first)
		if err != nil || lost == "" {
			t.Fatal(lost, err)
		}
		s.clock.Advance(5 * time.Minute)
		p = s.session(t, first)
		second, err := s.Renew(t.Context(), p, first)
		if err != nil || second == "" {
			t.Fatalf("nothing in place of the lost one: %q, %v", second, err)
		}
		_, err = s.Session(t.Context(), lost)
		wantCode(t, err, fault.Unauthorized)
		s.session(t, second)
	})
}

func TestSessionsEnd(t *testing.T) {
	eachSignOn(t, func(t *testing.T, s *signOn) {
		_, cookie := s.signIn(t)
		for range 7 * 24 * 3 { // used every 20 minutes, and all the same over after seven days
			s.clock.Advance(20 * time.Minute)
			if _, err := s.Session(t.Context(), cookie); err != nil {
				wantCode(t, err, fault.Unauthorized)
				return
			}
		}
		_, err := s.another(t).Session(t.Context(), cookie)
		wantCode(t, err, fault.Unauthorized)
	})
}

func TestListAndRevokeSessions(t *testing.T) {
	eachSignOn(t, func(t *testing.T, s *signOn) {
		ctx := t.Context()
		p, here := s.signIn(t)
		s.clock.Advance(time.Minute)
		q, there := s.signIn(t)
		_, third := s.signIn(t)
		list, err := s.Sessions(ctx, p)
		if err != nil || len(list) != 3 {
			t.Fatalf("%d sessions, %v", len(list), err)
		}
		var current int
		for _, v := range list {
			if v.Current {
				current++
			}
			if v.Device != "Firefox on Linux" || v.IP != annaIP || v.Method != identity.MethodPassword || v.SecondFactor || !v.ExpiresAt.After(v.LastUsedAt) {
				t.Errorf("session %+v", v)
			}
			if strings.Contains(v.ID, here) {
				t.Error("the list shows a secret")
			}
		}
		if current != 1 {
			t.Errorf("%d sessions are the current one", current)
		}
		wantCode(t, s.RevokeSession(ctx, identity.Principal{UserID: "somebody-else"}, q.SessionID), fault.NotFound)
		// Whoever finds a page open ends nothing elsewhere.
		s.clock.Advance(15 * time.Minute)
		wantCode(t, s.RevokeSession(ctx, p, q.SessionID), fault.Reauthenticate)
		_, err = s.RevokeOtherSessions(ctx, p)
		wantCode(t, err, fault.Reauthenticate)
		if here, err = s.Confirm(ctx, p, owner.Password, identity.Proof{Method: "password"}); err != nil {
			t.Fatal(err)
		}
		if err := s.RevokeSession(ctx, p, q.SessionID); err != nil {
			t.Fatal(err)
		}
		_, err = s.Session(ctx, there)
		wantCode(t, err, fault.Unauthorized)
		if n, err := s.RevokeOtherSessions(ctx, p); err != nil || n != 1 {
			t.Fatalf("%d others ended, %v", n, err)
		}
		_, err = s.Session(ctx, third)
		wantCode(t, err, fault.Unauthorized)
		s.session(t, here)
		if n := len(s.audited(t, "session.revoke")); n != 2 {
			t.Errorf("%d entries, want 2", n)
		}
		if _, err := s.Still(ctx, p); err != nil {
			t.Errorf("the current one may go on: %v", err)
		}
		_, err = s.Still(ctx, q)
		wantCode(t, err, fault.Unauthorized)
	})
}

// A page that stays open asks whether it may go on; that does not keep the session alive.
func TestStillIsNoUse(t *testing.T) {
	eachSignOn(t, func(t *testing.T, s *signOn) {
		p, _ := s.signIn(t)
		for range 2 {
			s.clock.Advance(14 * time.Minute)
			if _, err := s.Still(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
		s.clock.Advance(3 * time.Minute)
		_, err := s.Still(t.Context(), p)
		wantCode(t, err, fault.Unauthorized)
	})
}

func TestCookie(t *testing.T) {
	plain, err := identity.New(identity.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(plain.Close)
	secure, err := identity.New(identity.Config{Secure: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(secure.Close)
	for _, c := range []struct{ got, want string }{
		{plain.SetCookie("s"), "parley_session=s; Path=/; Max-Age=604800; HttpOnly; SameSite=Strict"},
		{secure.SetCookie("s"), "__Host-parley_session=s; Path=/; Max-Age=604800; HttpOnly; Secure; SameSite=Strict"},
		{secure.SetCookie(""), "__Host-parley_session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict"},
	} {
		if c.got != c.want {
			t.Errorf("%s, want %s", c.got, c.want)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if identity.CookieOf(r) != "" {
		t.Error("a secret out of nowhere")
	}
	r.AddCookie(&http.Cookie{Name: "parley_session", Value: "old"})
	if got := identity.CookieOf(r); got != "old" {
		t.Errorf("the old name: %q", got)
	}
	r.AddCookie(&http.Cookie{Name: "__Host-parley_session", Value: "new"})
	if got := identity.CookieOf(r); got != "new" {
		t.Errorf("the name that other hosts cannot set goes first: %q", got)
	}
}

func TestSweep(t *testing.T) {
	eachSignOn(t, func(t *testing.T, s *signOn) {
		ctx := from(t, annaIP)
		p, _ := s.signIn(t)
		s.enrolTOTP(t, p)
		s.challenge(t)
		if _, err := s.ResetLinkFor(ctx, owner.Email); err != nil {
			t.Fatal(err)
		}
		_, _, err := s.SignIn(ctx, owner.Email, "not the password", annaIP)
		wantCode(t, err, fault.Unauthorized)
		tables := []string{"sessions", "auth_challenges", "password_resets", "sign_in_attempts", "known_devices"}
		count := func() map[string]int64 {
			out := map[string]int64{}
			err := s.db.ReadSystem(ctx, "test", func(ctx context.Context, tx *db.Tx) error {
				for _, table := range tables {
					n, err := tx.NewSelect().TableExpr(table).ColumnExpr("1").Count(ctx)
					if err != nil {
						return err
					}
					out[table] = n
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		for table, n := range count() {
			if n == 0 {
				t.Errorf("nothing in %s: the test shows nothing", table)
			}
		}
		s.clock.Advance(181 * 24 * time.Hour)
		if err := s.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		for table, n := range count() {
			if n != 0 {
				t.Errorf("%d rows of %s are kept for ever", n, table)
			}
		}
	})
}
