package identity_test

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/fault"
)

var owner = identity.NewOwner{Email: "Anna@Example.com", Name: "Anna", Password: "quiet green river", Organisation: "Clinic"}

// quick passwords are as safe as their tests need: TestUsualCostOfAPassword has the usual ones.
var quick = identity.PasswordCost{Passes: 1, MemoryKiB: 64}

func each(t *testing.T, fn func(t *testing.T, s *identity.Service, d *db.DB, clock *quartz.Mock)) {
	dbtest.Each(t, []db.Migrations{identity.Migrations()}, func(t *testing.T, d *db.DB) {
		clock := quartz.NewMock(t)
		clock.Set(time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC))
		s, err := identity.New(identity.Config{DB: d, Passwords: quick, Clock: clock, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
		if err != nil {
			t.Fatal(err)
		}
		fn(t, s, d, clock)
	})
}

func wantCode(t *testing.T, err error, code fault.Code) {
	t.Helper()
	if got := fault.CodeOf(err); got != code {
		t.Fatalf("error is %q (%v), want %q", got, err, code)
	}
}

func TestSetupLinkWorksOnce(t *testing.T) {
	each(t, func(t *testing.T, s *identity.Service, _ *db.DB, clock *quartz.Mock) {
		ctx := context.Background()
		if needs, err := s.NeedsOwner(ctx); err != nil || !needs {
			t.Fatalf("a new installation needs an owner: %v, %v", needs, err)
		}
		first, err := s.SetupToken(ctx)
		if err != nil {
			t.Fatal(err)
		}
		token, err := s.SetupToken(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = s.Setup(ctx, first, owner)
		wantCode(t, err, fault.Forbidden) // a newer link ends the older
		weak := owner
		weak.Password = "short"
		_, _, err = s.Setup(ctx, token, weak)
		wantCode(t, err, fault.Invalid) // and does not use the link up
		acc, cookie, err := s.Setup(ctx, token, owner)
		if err != nil {
			t.Fatal(err)
		}
		if acc.User.Email != "anna@example.com" || acc.Role != identity.RoleOwner {
			t.Fatalf("account %+v", acc)
		}
		if p, err := s.Session(ctx, cookie); err != nil || p.OrgID != acc.Organisation.ID || !p.May("call:read") {
			t.Fatalf("session of the new owner: %+v, %v", p, err)
		}
		_, _, err = s.Setup(ctx, token, owner)
		wantCode(t, err, fault.Forbidden)
		_, err = s.CreateOwner(ctx, owner)
		wantCode(t, err, fault.Conflict)
		clock.Advance(time.Hour)
		token, err = s.SetupToken(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = s.Setup(ctx, token, identity.NewOwner{Email: "eve@example.com", Password: "another long password"})
		wantCode(t, err, fault.Conflict) // even a fresh link makes no second owner
	})
}

func TestSetupLinkExpires(t *testing.T) {
	each(t, func(t *testing.T, s *identity.Service, _ *db.DB, clock *quartz.Mock) {
		token, err := s.SetupToken(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		clock.Advance(25 * time.Hour)
		_, _, err = s.Setup(context.Background(), token, owner)
		wantCode(t, err, fault.Forbidden)
	})
}

func TestSignIn(t *testing.T) {
	each(t, func(t *testing.T, s *identity.Service, _ *db.DB, clock *quartz.Mock) {
		ctx := context.Background()
		if _, err := s.CreateOwner(ctx, owner); err != nil {
			t.Fatal(err)
		}
		_, cookie, err := s.SignIn(ctx, " ANNA@example.com ", owner.Password, "10.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		clock.Advance(20 * time.Minute)
		if _, err := s.Session(ctx, cookie); err != nil {
			t.Fatalf("a session in use goes on: %v", err)
		}
		clock.Advance(20 * time.Minute)
		if _, err := s.Session(ctx, cookie); err != nil {
			t.Fatalf("use lengthens a session: %v", err)
		}
		if err := s.SignOut(ctx, cookie); err != nil {
			t.Fatal(err)
		}
		_, err = s.Session(ctx, cookie)
		wantCode(t, err, fault.Unauthorized)
		for range 5 {
			_, _, err = s.SignIn(ctx, owner.Email, "wrong password", "10.0.0.2")
			wantCode(t, err, fault.Unauthorized)
		}
		_, _, err = s.SignIn(ctx, owner.Email, owner.Password, "10.0.0.2")
		wantCode(t, err, fault.RateLimited)
		if _, _, err = s.SignIn(ctx, owner.Email, owner.Password, "10.0.0.1"); err != nil {
			t.Fatalf("a stranger's guesses must not lock the owner out: %v", err)
		}
		clock.Advance(10 * time.Second)
		if _, _, err = s.SignIn(ctx, owner.Email, owner.Password, "10.0.0.2"); err != nil {
			t.Fatalf("after waiting: %v", err)
		}
		_, _, err = s.SignIn(ctx, "nobody@example.com", "whatever it is", "10.0.0.3")
		wantCode(t, err, fault.Unauthorized)
	})
}

func TestIdleSessionEnds(t *testing.T) {
	each(t, func(t *testing.T, s *identity.Service, d *db.DB, clock *quartz.Mock) {
		ctx := context.Background()
		if _, err := s.CreateOwner(ctx, owner); err != nil {
			t.Fatal(err)
		}
		_, cookie, err := s.SignIn(ctx, owner.Email, owner.Password, "10.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		clock.Advance(31 * time.Minute)
		// A new process, so that no cache speaks for the session.
		other, err := identity.New(identity.Config{DB: d, Passwords: quick, Clock: clock, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		_, err = other.Session(ctx, cookie)
		wantCode(t, err, fault.Unauthorized)
	})
}

func TestTokens(t *testing.T) {
	each(t, func(t *testing.T, s *identity.Service, _ *db.DB, clock *quartz.Mock) {
		ctx := context.Background()
		if _, err := s.CreateTokenFor(ctx, "anna@example.com", "ci"); !fault.Is(err, fault.NotFound) {
			t.Fatalf("a token for nobody: %v", err)
		}
		acc, err := s.CreateOwner(ctx, owner)
		if err != nil {
			t.Fatal(err)
		}
		secret, err := s.CreateTokenFor(ctx, "anna@example.com", "ci")
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.Bearer(ctx, secret, "10.0.0.1")
		if err != nil || p.OrgID != acc.Organisation.ID || p.TokenID == "" {
			t.Fatalf("bearer: %+v, %v", p, err)
		}
		soon := clock.Now().Add(time.Minute)
		_, short, err := s.CreateToken(ctx, p, "short", &soon)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Bearer(ctx, short, "10.0.0.1"); err != nil {
			t.Fatal(err)
		}
		clock.Advance(2 * time.Minute)
		_, err = s.Bearer(ctx, short, "10.0.0.1")
		wantCode(t, err, fault.Unauthorized)

		stranger := identity.Principal{OrgID: "another-organisation", UserID: p.UserID}
		if list, err := s.Tokens(ctx, stranger); err != nil || len(list) != 0 {
			t.Fatalf("another organisation sees %d tokens (%v)", len(list), err)
		}
		wantCode(t, s.RevokeToken(ctx, stranger, p.TokenID), fault.NotFound)
		list, err := s.Tokens(ctx, p)
		if err != nil || len(list) != 2 {
			t.Fatalf("%d tokens, %v; want 2", len(list), err)
		}
		if err := s.RevokeToken(ctx, p, p.TokenID); err != nil {
			t.Fatal(err)
		}
		_, err = s.Bearer(ctx, secret, "10.0.0.1")
		wantCode(t, err, fault.Unauthorized)
	})
}

func TestPermissionsExpand(t *testing.T) {
	p := identity.Principal{Permissions: []string{"call:*", "agent:read"}}
	for perm, want := range map[string]bool{
		"call:read": true, "call:delete": true, "agent:read": true, "agent:update": false, "model:read": false, "": false, ":": false, "call": false,
	} {
		if p.May(perm) != want {
			t.Errorf("May(%q) = %v", perm, !want)
		}
	}
	all := identity.Principal{Permissions: []string{"*"}}
	if !all.May("anything:whatever") || all.May("") {
		t.Error("* must cover every permission, and nothing is no permission")
	}
}

func TestPasswordRules(t *testing.T) {
	for pw, ok := range map[string]bool{
		"quiet green river": true, "short": false, "zq4!xk9pt": false, "zq4!xk9ptw": true, "aaaaaaaaaaaaaaa": false, "anna.berg is great": false, "": false,
		"1234567890": false, "Password123!": false, "p@ssw0rd2026": false, "qwertyqwerty": false, "i love you 2": false, "iloveyouiloveyou": false,
		strings.Repeat("grün ", 20): true, strings.Repeat("x y", 100): false,
	} {
		if err := identity.CheckPassword(pw, "anna.berg@example.com"); (err == nil) != ok {
			t.Errorf("CheckPassword(%q) = %v", pw, err)
		}
	}
}
