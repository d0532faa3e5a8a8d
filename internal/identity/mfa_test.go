package identity_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/fault"
)

func (s *signOn) code(t *testing.T, secret string) string {
	t.Helper()
	code, err := totp.GenerateCode(secret, s.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// enrolTOTP gives Anna an authenticator app: its secret, her recovery codes and her session's new cookie.
func (s *signOn) enrolTOTP(t *testing.T, p identity.Principal) (secret string, codes []string, cookie string) {
	t.Helper()
	begun, err := s.BeginTOTP(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	e, err := s.FinishTOTP(t.Context(), p, begun.Challenge, s.code(t, begun.Secret))
	if err != nil {
		t.Fatal(err)
	}
	s.clock.Advance(30 * time.Second) // the next code
	return begun.Secret, e.RecoveryCodes, e.Cookie
}

func (s *signOn) challenge(t *testing.T) string {
	t.Helper()
	acc, cookie, err := s.SignIn(from(t, annaIP), owner.Email, owner.Password, annaIP)
	if err != nil || cookie != "" || acc.Step != identity.StepSecondFactor || acc.Challenge == "" {
		t.Fatalf("the password alone: %+v, cookie %q, %v", acc, cookie, err)
	}
	if acc.User.ID != "" || acc.Organisation.ID != "" || len(acc.Permissions) != 0 {
		t.Fatalf("the password alone tells %+v", acc)
	}
	return acc.Challenge
}

func TestTOTP(t *testing.T) {
	eachSignOn(t, func(t *testing.T, s *signOn) {
		ctx := from(t, annaIP)
		p, first := s.signIn(t)
		begun, err := s.BeginTOTP(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(begun.URL)
		if err != nil || u.Scheme != "otpauth" || u.Query().Get("secret") != begun.Secret || u.Query().Get("issuer") != "Parley" || !strings.Contains(u.Path, "anna@example.com") {
			t.Fatalf("url %s, %v", begun.URL, err)
		}
		_, err = s.FinishTOTP(ctx, p, begun.Challenge, "000000")
		wantCode(t, err, fault.Invalid)
		right := s.code(t, begun.Secret)
		e, err := s.FinishTOTP(ctx, p, begun.Challenge, right)
		if err != nil || len(e.RecoveryCodes) != 10 {
			t.Fatalf("enrol: %d codes, %v", len(e.RecoveryCodes), err)
		}
		_, err = s.Session(ctx, first)
		wantCode(t, err, fault.Unauthorized) // another secret for another privilege
		p = s.session(t, e.Cookie)

		prove := func(challenge, code string) (string, error) {
			_, cookie, err := s.SecondFactor(ctx, identity.Proof{Method: identity.FactorTOTP, Challenge: challenge, Code: code})
			return cookie, err
		}
		challenge := s.challenge(t)
		_, err = prove(challenge, right)
		wantCode(t, err, fault.Unauthorized) // the code that enrolled was used
		s.clock.Advance(30 * time.Second)
		next := s.code(t, begun.Secret)
		cookie, err := prove(challenge, next)
		if err != nil {
			t.Fatal(err)
		}
		s.session(t, cookie)
		_, err = prove(challenge, next)
		wantCode(t, err, fault.Unauthorized) // the challenge was used
		_, err = prove(s.challenge(t), next)
		wantCode(t, err, fault.Unauthorized) // the code was used
		_, err = s.another(t).MFA(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		if done, denied := s.outcomes(t, "auth.sign_in"); done != 2 || denied != 2 {
			t.Errorf("%d sign-ins and %d refused, want 2 and 2", done, denied)
		}
		if n := len(s.audited(t, "auth.mfa.totp_add")); n != 1 {
			t.Errorf("%d entries of the new factor", n)
		}
		if err := s.RemoveTOTP(ctx, p); err != nil {
			t.Fatal(err)
		}
		if m, err := s.MFA(ctx, p); err != nil || m.TOTP != nil || m.RecoveryCodes != 0 {
			t.Errorf("after removal: %+v, %v", m, err)
		}
		s.signIn(t) // the password is enough again
		subjects, _ := s.letters(t)
		if n := len(slices.DeleteFunc(subjects, func(x string) bool { return x != "How you sign in was changed" })); n != 2 {
			t.Errorf("%d letters about factors, want 2", n)
		}
	})
}

// An authenticator's code counts a step early or late, or, where the installation wants it exact, in its own thirty seconds only.
func TestExactCodes(t *testing.T) {
	eachSignOn(t, func(t *testing.T, s *signOn) {
		ctx := from(t, annaIP)
		p, _ := s.signIn(t)
		secret, _, _ := s.enrolTOTP(t, p)
		prove := func(by *identity.Service, ago time.Duration) error {
			s.clock.Advance(2 * time.Minute) // none of the codes was used
			code, err := totp.GenerateCode(secret, s.clock.Now().Add(-ago))
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = by.SecondFactor(ctx, identity.Proof{Method: identity.FactorTOTP, Challenge: s.challenge(t), Code: code})
			return err
		}
		s.cfg.ExactCodes = true
		exact := s.another(t)
		for _, ago := range []time.Duration{30 * time.Second, -30 * time.Second} {
			wantCode(t, prove(exact, ago), fault.Unauthorized)
			if err := prove(s.Service, ago); err != nil {
				t.Errorf("%s ago: %v", ago, err)
			}
		}
		if err := prove(exact, 0); err != nil {
			t.Errorf("the code of now: %v", err)
		}
	})
}

func (s *signOn) outcomes(t *testing.T, action string) (done, denied int) {
	t.Helper()
	for _, e := range s.audited(t, action) {
		if e.OrgID != s.anna.Organisation.ID || e.ObjectID != s.anna.User.ID || e.IP != annaIP || e.RequestID != "r1" {
			t.Errorf("entry %+v", e)
		}
		switch e.Outcome {
		case identity.OutcomeDone:
			done++
		case identity.OutcomeDenied:
			denied++
			if action == "auth.sign_in" && e.ActorID != "" {
				t.Errorf("a refused sign-in names who did it: %+v", e)
			}
		}
	}
	return done, denied
}

func TestSecondFactorCannotBeGuessed(t *testing.T) {
	eachSignOn(t, func(t *testing.T, s *signOn) {
		p, _ := s.signIn(t)
		secret, _, _ := s.enrolTOTP(t, p)
		proof := identity.Proof{Method: identity.FactorTOTP, Challenge: s.challenge(t), Code: "000000"}
		for range 5 {
			_, _, err := s.SecondFactor(from(t, annaIP), proof)
			wantCode(t, err, fault.Unauthorized)
		}
		proof.Code = s.code(t, secret)
		_, _, err := s.SecondFactor(from(t, annaIP), proof)
		wantCode(t, err, fault.Unauthorized) // right, but the challenge had its five tries
		proof.Challenge, proof.Code = s.challenge(t), "000000"
		for range 5 {
			_, _, err := s.SecondFactor(from(t, annaIP), proof)
			wantCode(t, err, fault.Unauthorized)
		}
		proof.Challenge, proof.Code = s.challenge(t), s.code(t, secret)
		_, _, err = s.SecondFactor(from(t, annaIP), proof)
		wantCode(t, err, fault.RateLimited) // ten wrong codes: wait
		s.clock.Advance(30 * time.Second)
		proof.Code = s.code(t, secret)
		if _, _, err = s.SecondFactor(from(t, annaIP), proof); err != nil {
			t.Fatalf("the owner is kept out: %v", err)
		}
		challenge := s.challenge(t)
		s.clock.Advance(6 * time.Minute)
		proof.Challenge, proof.Code = challenge, s.code(t, secret)
		_, _, err = s.SecondFactor(from(t, annaIP), proof)
		wantCode(t, err, fault.Unauthorized) // too late
	})
}

func TestRecoveryCodes(t *testing.T) {
	eachSignOn(t, func(t *testing.T, s *signOn) {
		ctx := from(t, annaIP)
		p, _ := s.signIn(t)
		_, codes, cookie := s.enrolTOTP(t, p)
		proof := identity.Proof{Method: identity.FactorRecovery, Challenge: s.challenge(t), Code: strings.ToUpper(codes[3])}
		_, recovered, err := s.SecondFactor(ctx, proof)
		if err != nil {
			t.Fatal(err)
		}
		proof.Challenge = s.challenge(t)
		_, _, err = s.SecondFactor(ctx, proof)
		wantCode(t, err, fault.Unauthorized) // used
		p = s.session(t, recovered)
		if m, err := s.MFA(ctx, p); err != nil || m.RecoveryCodes != 9 || m.TOTP == nil {
			t.Fatalf("%+v, %v", m, err)
		}
		s.clock.Advance(16 * time.Minute)
		p = s.session(t, cookie)
		_, err = s.NewRecoveryCodes(ctx, p)
		wantCode(t, err, fault.Reauthenticate)
		_, err = s.Confirm(ctx, p, "not the password", identity.Proof{Method: "password"})
		wantCode(t, err, fault.Invalid)
		cookie, err = s.Confirm(ctx, p, owner.Password, identity.Proof{Method: "password"})
		if err != nil {
			t.Fatal(err)
		}
		p = s.session(t, cookie)
		fresh, err := s.NewRecoveryCodes(ctx, p)
		if err != nil || len(fresh) != 10 {
			t.Fatal(len(fresh), err)
		}
		proof.Challenge, proof.Code = s.challenge(t), codes[4]
		_, _, err = s.SecondFactor(ctx, proof)
		wantCode(t, err, fault.Unauthorized) // of the list before
		proof.Code = fresh[0]
		if _, _, err = s.SecondFactor(ctx, proof); err != nil {
			t.Fatal(err)
		}
	})
}

// A member without a second factor may do nothing but add one where the organisation asks for it.
func TestPolicyAsksForASecondFactor(t *testing.T) {
	eachSignOn(t, func(t *testing.T, s *signOn) {
		ctx := from(t, annaIP)
		p, cookie := s.signIn(t)
		yes := true
		policy, err := s.UpdateSignOnPolicy(identity.With(ctx, p), p, &yes)
		if err != nil || !policy.MFARequired || policy.WithoutFactor != 1 {
			t.Fatalf("%+v, %v", policy, err)
		}
		for name, svc := range map[string]*identity.Service{"this process": s.Service, "another": s.another(t)} {
			p, err := svc.Session(ctx, cookie)
			if err != nil {
				t.Fatal(err)
			}
			if p.May("call:read") || p.May("organisation:update") || p.May("self:update") || !p.May("self:mfa") || !p.May("self:read") || !p.May("self:sign_out") {
				t.Errorf("%s: permissions %v", name, p.Permissions)
			}
		}
		p = s.session(t, cookie)
		acc, err := s.Account(ctx, p)
		if err != nil || acc.Step != identity.StepEnrol || len(acc.Permissions) != 3 || acc.SuperAdmin {
			t.Fatalf("%+v, %v", acc, err)
		}
		_, _, cookie = s.enrolTOTP(t, p)
		if p = s.session(t, cookie); !p.May("organisation:update") {
			t.Fatalf("after enrolment: %v", p.Permissions)
		}
		wantCode(t, s.RemoveTOTP(ctx, p), fault.NotPossible)
		entries := s.audited(t, "organisation.sign_on_policy")
		if len(entries) != 1 || entries[0].ActorID != s.anna.User.ID || !strings.Contains(string(entries[0].After), `"mfaRequired":true`) {
			t.Errorf("entries %+v", entries)
		}
	})
}

// TestInstallationAsksForASecondFactor is the same for everybody, whatever their organisation says.
func TestInstallationAsksForASecondFactor(t *testing.T) {
	eachSignOn(t, func(t *testing.T, s *signOn) {
		ctx := from(t, annaIP)
		s.cfg.MFARequired = true
		s.Service = s.another(t)
		p, _ := s.signIn(t)
		if p.May("call:read") || !p.May("self:mfa") {
			t.Errorf("without a factor: %v", p.Permissions)
		}
		no := false
		_, err := s.UpdateSignOnPolicy(identity.With(ctx, p), p, &no)
		wantCode(t, err, fault.NotPossible)
		if policy, err := s.SignOnPolicy(ctx, p); err != nil || !policy.MFARequired {
			t.Errorf("%+v, %v", policy, err)
		}
		_, _, cookie := s.enrolTOTP(t, p)
		if p = s.session(t, cookie); !p.May("call:read") {
			t.Errorf("after enrolment: %v", p.Permissions)
		}
		wantCode(t, s.RemoveTOTP(ctx, p), fault.NotPossible)
	})
}
