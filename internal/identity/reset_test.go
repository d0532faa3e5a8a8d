package identity_test

import (
	"crypto/sha1" //nolint:gosec // the range API's
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/fault"
)

var resetToken = regexp.MustCompile(`https://parley\.example/reset-password#token=([\w-]+)`)

const newPassword = "seven blue lanterns"

func TestForgotPassword(t *testing.T) {
	eachSignOn(t, func(t *testing.T, s *signOn) {
		ctx := from(t, "198.51.100.9")
		_, cookie := s.signIn(t)
		for _, email := range []string{"nobody@example.com", "ANNA@example.com"} { // the answer is the same
			if err := s.Forgot(ctx, email, "198.51.100.9"); err != nil {
				t.Fatal(err)
			}
		}
		subjects, text := s.letters(t)
		if len(subjects) != 1 || subjects[0] != "Choose a new password" {
			t.Fatalf("letters %q", subjects)
		}
		m := resetToken.FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("no link in %q", text)
		}
		if e := s.audited(t, "auth.password_forgot"); len(e) != 1 || e[0].ActorID != "" || e[0].IP != "198.51.100.9" {
			t.Errorf("entries %+v", e)
		}
		wantCode(t, s.Reset(ctx, "another token", newPassword, "198.51.100.9"), fault.Forbidden)
		wantCode(t, s.Reset(ctx, m[1], "password123456", "198.51.100.9"), fault.Invalid)
		if err := s.Reset(ctx, m[1], newPassword, "198.51.100.9"); err != nil {
			t.Fatal(err)
		}
		wantCode(t, s.Reset(ctx, m[1], newPassword, "198.51.100.9"), fault.Forbidden)
		_, err := s.Session(ctx, cookie)
		wantCode(t, err, fault.Unauthorized) // who was signed in with the old password is out
		_, _, err = s.SignIn(ctx, owner.Email, owner.Password, "198.51.100.9")
		wantCode(t, err, fault.Unauthorized)
		if _, _, err = s.SignIn(ctx, owner.Email, newPassword, "198.51.100.9"); err != nil {
			t.Fatal(err)
		}
		late, err := s.ResetLinkFor(ctx, owner.Email) // works for ten minutes
		if err != nil {
			t.Fatal(err)
		}
		s.clock.Advance(10*time.Minute + time.Second)
		wantCode(t, s.Reset(ctx, resetToken.FindStringSubmatch(late)[1], newPassword, "198.51.100.9"), fault.Forbidden)
	})
}

// A new password is one factor: who has another still needs it.
func TestResetKeepsTheSecondFactor(t *testing.T) {
	eachSignOn(t, func(t *testing.T, s *signOn) {
		p, _ := s.signIn(t)
		begun, err := s.BeginTOTP(from(t, annaIP), p)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.FinishTOTP(from(t, annaIP), p, begun.Challenge, s.code(t, begun.Secret)); err != nil {
			t.Fatal(err)
		}
		link, err := s.ResetLinkFor(t.Context(), owner.Email)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Reset(from(t, annaIP), resetToken.FindStringSubmatch(link)[1], newPassword, annaIP); err != nil {
			t.Fatal(err)
		}
		acc, cookie, err := s.SignIn(from(t, annaIP), owner.Email, newPassword, annaIP)
		if err != nil || cookie != "" || acc.Step != identity.StepSecondFactor {
			t.Errorf("after a reset: step %q, %v", acc.Step, err)
		}
	})
}

func TestChangePassword(t *testing.T) {
	eachSignOn(t, func(t *testing.T, s *signOn) {
		ctx := from(t, annaIP)
		p, here := s.signIn(t)
		_, there := s.signIn(t)
		_, err := s.ChangePassword(ctx, p, "not the password", newPassword)
		wantCode(t, err, fault.Invalid)
		_, err = s.ChangePassword(ctx, p, owner.Password, owner.Password)
		wantCode(t, err, fault.Invalid)
		next, err := s.ChangePassword(ctx, p, owner.Password, newPassword)
		if err != nil {
			t.Fatal(err)
		}
		for _, old := range []string{here, there} {
			_, err = s.Session(ctx, old)
			wantCode(t, err, fault.Unauthorized)
		}
		if q := s.session(t, next); q.SessionID != p.SessionID {
			t.Error("the person was signed out of the page they are on")
		}
		if done, denied := s.outcomes(t, "auth.password_change"); done != 1 || denied != 1 {
			t.Errorf("%d changes and %d refused", done, denied)
		}
		if subjects, _ := s.letters(t); len(subjects) != 1 || subjects[0] != "Your password was changed" {
			t.Errorf("letters %q", subjects)
		}
	})
}

// Whoever guesses from everywhere slows strangers down, but not the owner where they have been before, nor somebody
// who opened a reset link; and a restart forgets nothing.
func TestGuessersCannotKeepTheOwnerOut(t *testing.T) {
	eachSignOn(t, func(t *testing.T, s *signOn) {
		s.signIn(t) // from annaIP, which is known from now on
		guess := func(ip string) error {
			_, _, err := s.SignIn(from(t, ip), owner.Email, strings.Repeat("too long to be hashed, but counted ", 10), ip)
			return err
		}
		for i := range 50 {
			wantCode(t, guess(fmt.Sprintf("203.0.%d.1", i)), fault.Unauthorized)
		}
		wantCode(t, guess("203.0.113.99"), fault.RateLimited)
		s.Service = s.another(t)
		wantCode(t, guess("203.0.113.99"), fault.RateLimited)
		s.signIn(t) // the owner, at home
		_, _, err := s.SignIn(from(t, "198.51.100.9"), owner.Email, owner.Password, "198.51.100.9")
		wantCode(t, err, fault.RateLimited) // the owner at a new place
		link, err := s.ResetLinkFor(t.Context(), owner.Email)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Reset(from(t, "198.51.100.9"), resetToken.FindStringSubmatch(link)[1], newPassword, "198.51.100.9"); err != nil {
			t.Fatal(err)
		}
		for i := range 50 {
			wantCode(t, guess(fmt.Sprintf("203.0.%d.3", i)), fault.Unauthorized)
		}
		if _, _, err := s.SignIn(from(t, "198.51.100.9"), owner.Email, newPassword, "198.51.100.9"); err != nil {
			t.Fatalf("the owner is kept out: %v", err)
		}
		for i := range 30 { // one address over many accounts
			_, _, err := s.SignIn(from(t, "203.0.113.50"), fmt.Sprintf("p%d@example.com", i), strings.Repeat("long ", 60), "203.0.113.50")
			wantCode(t, err, fault.Unauthorized)
		}
		_, _, err = s.SignIn(from(t, "203.0.113.50"), "q@example.com", "whatever it is", "203.0.113.50")
		wantCode(t, err, fault.RateLimited)
	})
}

func TestNewPlaceIsTold(t *testing.T) {
	eachSignOn(t, func(t *testing.T, s *signOn) {
		s.signIn(t)
		s.signIn(t)
		ctx := from(t, "198.51.100.9")
		if _, _, err := s.SignIn(ctx, owner.Email, owner.Password, "198.51.100.9"); err != nil {
			t.Fatal(err)
		}
		subjects, text := s.letters(t)
		if len(subjects) != 1 || subjects[0] != "New sign-in" || !strings.Contains(text, "Firefox on Linux from 198.51.100.9") {
			t.Errorf("letters %q, %q", subjects, text)
		}
	})
}

func TestLeakedPasswords(t *testing.T) {
	sum := sha1.Sum([]byte(newPassword)) //nolint:gosec // as above
	hash := strings.ToUpper(hex.EncodeToString(sum[:]))
	var asked []string
	mode := "leaked"
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path)
		switch mode {
		case "leaked":
			fmt.Fprintf(w, "0018A45C4D1DEF81644B54AB7F969B88D65:1\r\n%s:42\r\n", hash[5:])
		case "padded":
			fmt.Fprintf(w, "%s:0\r\n", hash[5:])
		case "broken":
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	defer srv.Close()
	eachSignOn(t, func(t *testing.T, s *signOn) {
		asked, mode = nil, "leaked"
		s.cfg.LeakedPasswords, s.cfg.HTTP = srv.URL+"/range/", srv.Client()
		other := s.another(t)
		change := func() error {
			link, err := other.ResetLinkFor(t.Context(), owner.Email)
			if err != nil {
				t.Fatal(err)
			}
			return other.Reset(t.Context(), resetToken.FindStringSubmatch(link)[1], newPassword, annaIP)
		}
		wantCode(t, change(), fault.Invalid)
		if len(asked) != 1 || asked[0] != "/range/"+hash[:5] {
			t.Fatalf("asked for %q", asked)
		}
		for _, mode = range []string{"padded", "broken"} {
			if err := change(); err != nil {
				t.Errorf("%s: %v", mode, err)
			}
		}
	})
}

// An administrator helps a member in again, but opens no other organisation's door with it, nor an owner's.
func TestAdministratorHelps(t *testing.T) {
	eachSignOn(t, func(t *testing.T, s *signOn) {
		ctx := t.Context()
		p, _ := s.signIn(t)
		shop, err := s.CreateOrganisation(ctx, identity.NewOrganisation{Name: "Shop", OwnerEmail: "bert@example.com", Password: newPassword})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.SendReset(ctx, p, shop.User.ID)
		wantCode(t, err, fault.NotFound) // of another organisation
		_, err = s.SendReset(ctx, p, p.UserID)
		wantCode(t, err, fault.NotPossible)
		admin := identity.Principal{UserID: "admin", OrgID: shop.Organisation.ID, Role: identity.RoleAdmin, Permissions: []string{"*"}, SessionID: "x"}
		_, err = s.SendReset(ctx, admin, shop.User.ID)
		wantCode(t, err, fault.Forbidden)
		wantCode(t, s.RemoveFactors(ctx, admin, shop.User.ID), fault.Forbidden)
		other := admin
		other.Role = identity.RoleOwner
		h, err := s.SendReset(ctx, other, shop.User.ID)
		if err != nil || !h.Sent || h.Link != "" {
			t.Fatalf("%+v, %v", h, err)
		}
		s.post.off = true
		h, err = s.SendReset(ctx, other, shop.User.ID)
		if err != nil || h.Sent || !resetToken.MatchString(h.Link) {
			t.Fatalf("without mail: %+v, %v", h, err)
		}
		if _, err = s.CreateOrganisation(ctx, identity.NewOrganisation{Name: "Bakery", OwnerEmail: "bert@example.com"}); err != nil {
			t.Fatal(err)
		}
		_, err = s.SendReset(ctx, other, shop.User.ID)
		wantCode(t, err, fault.Forbidden) // the link would open the bakery too
	})
}
