package identity_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const origin = "https://parley.example"

// device is Anna's phone: virtualwebauthn's authenticator.
type device struct {
	rp   virtualwebauthn.RelyingParty
	auth virtualwebauthn.Authenticator
	cred virtualwebauthn.Credential
}

func newDevice(userID string) *device {
	return &device{
		rp:   virtualwebauthn.RelyingParty{ID: "parley.example", Name: "Parley", Origin: origin},
		auth: virtualwebauthn.NewAuthenticatorWithOptions(virtualwebauthn.AuthenticatorOptions{UserHandle: []byte(userID)}),
		cred: newCredential(),
	}
}

// newCredential draws a key until both its coordinates have all 32 octets. virtualwebauthn leaves leading zeros out of
// one key in 128, which RFC 9053, section 7.1.1, forbids and the server refuses as it should.
func newCredential() virtualwebauthn.Credential {
	const whole = 77 // octets of a COSE key on P-256 with whole coordinates
	for {
		c := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2)
		if len(c.Key.AttestationData()) == whole {
			return c
		}
	}
}

func (d *device) create(t *testing.T, q identity.PasskeyQuestion) identity.Proof {
	t.Helper()
	options, err := virtualwebauthn.ParseAttestationOptions(optionsJSON(t, q))
	if err != nil {
		t.Fatal(err)
	}
	answer := virtualwebauthn.CreateAttestationResponse(d.rp, d.auth, d.cred, *options)
	return identity.Proof{Challenge: q.Challenge, Credential: json.RawMessage(answer), Origin: d.rp.Origin}
}

func (d *device) get(t *testing.T, q identity.PasskeyQuestion) identity.Proof {
	t.Helper()
	options, err := virtualwebauthn.ParseAssertionOptions(optionsJSON(t, q))
	if err != nil {
		t.Fatal(err)
	}
	d.cred.Counter++
	answer := virtualwebauthn.CreateAssertionResponse(d.rp, d.auth, d.cred, *options)
	return identity.Proof{Method: identity.FactorPasskey, Challenge: q.Challenge, Credential: json.RawMessage(answer), Origin: d.rp.Origin}
}

func optionsJSON(t *testing.T, q identity.PasskeyQuestion) string {
	t.Helper()
	b, err := json.Marshal(q.Options)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// enrolPasskey adds a device to Anna's account.
func (s *signOn) enrolPasskey(t *testing.T, p identity.Principal) (*device, identity.Enrolled) {
	t.Helper()
	d := newDevice(s.anna.User.ID)
	q, err := s.BeginPasskey(t.Context(), p, origin)
	if err != nil {
		t.Fatal(err)
	}
	e, err := s.FinishPasskey(from(t, annaIP), p, "", d.create(t, q))
	if err != nil {
		t.Fatal(err)
	}
	return d, e
}

func TestPasskeyAlone(t *testing.T) {
	eachSignOn(t, func(t *testing.T, s *signOn) {
		ctx := from(t, annaIP)
		p, _ := s.signIn(t)
		d, e := s.enrolPasskey(t, p)
		if e.Passkey == nil || e.Passkey.Name != "Firefox on Linux" || len(e.RecoveryCodes) != 10 {
			t.Fatalf("enrolled %+v", e)
		}
		ask := func() identity.PasskeyQuestion {
			t.Helper()
			q, err := s.AskAnyPasskey(ctx, annaIP, origin)
			if err != nil {
				t.Fatal(err)
			}
			return q
		}
		proof := d.get(t, ask())
		acc, cookie, err := s.SignInByPasskey(ctx, proof)
		if err != nil || acc.User.ID != s.anna.User.ID || acc.Step != "" {
			t.Fatalf("%+v, %v", acc, err)
		}
		p = s.session(t, cookie)
		list, err := s.Sessions(ctx, p)
		if err != nil || len(list) != 2 || !list[0].Current && !list[1].Current {
			t.Fatalf("sessions %+v, %v", list, err)
		}
		_, _, err = s.SignInByPasskey(ctx, proof)
		wantCode(t, err, fault.Unauthorized) // the challenge was used

		late := ask()
		s.clock.Advance(6 * time.Minute)
		_, _, err = s.SignInByPasskey(ctx, d.get(t, late))
		wantCode(t, err, fault.Unauthorized)

		unverified := *d
		unverified.auth.Options.UserNotVerified = true
		_, _, err = s.SignInByPasskey(ctx, unverified.get(t, ask()))
		wantCode(t, err, fault.Unauthorized) // found, but nobody proved who holds it

		phishing := *d
		phishing.rp.Origin = "https://parley.example.evil.example"
		stolen := phishing.get(t, ask())
		stolen.Origin = origin
		_, _, err = s.SignInByPasskey(ctx, stolen)
		wantCode(t, err, fault.Unauthorized)

		other := newDevice(s.anna.User.ID)
		_, _, err = s.SignInByPasskey(ctx, other.get(t, ask()))
		wantCode(t, err, fault.Unauthorized)

		d.cred.Counter = 0 // a copy that was made earlier
		_, _, err = s.SignInByPasskey(ctx, d.get(t, ask()))
		wantCode(t, err, fault.Unauthorized)
		d.cred.Counter = 50
		if _, _, err = s.SignInByPasskey(ctx, d.get(t, ask())); err != nil {
			t.Fatalf("the owner's device goes on: %v", err)
		}
		if done, denied := s.outcomes(t, "auth.sign_in"); done != 3 || denied != 4 {
			t.Errorf("%d sign-ins and %d refused, want 3 and 4", done, denied)
		}
	})
}

func TestPasskeyAsSecondFactor(t *testing.T) {
	eachSignOn(t, func(t *testing.T, s *signOn) {
		ctx := from(t, annaIP)
		p, _ := s.signIn(t)
		d, e := s.enrolPasskey(t, p)
		challenge := s.challenge(t)
		for range 6 { // somebody who closes the browser's dialogue again and again has not failed
			if _, err := s.AskSecondPasskey(ctx, challenge, origin); err != nil {
				t.Fatal(err)
			}
		}
		q, err := s.AskSecondPasskey(ctx, challenge, origin)
		if err != nil || q.Challenge != challenge {
			t.Fatal(q, err)
		}
		proof := d.get(t, q)
		other := proof
		other.Credential = newDevice(s.anna.User.ID).get(t, q).Credential
		_, _, err = s.SecondFactor(ctx, other)
		wantCode(t, err, fault.Unauthorized)
		_, _, err = s.SecondFactor(ctx, proof)
		wantCode(t, err, fault.Unauthorized) // each question has one answer
		if q, err = s.AskSecondPasskey(ctx, challenge, origin); err != nil {
			t.Fatal(err)
		}
		if _, _, err = s.SecondFactor(ctx, d.get(t, q)); err != nil {
			t.Fatal(err)
		}

		s.clock.Advance(16 * time.Minute)
		p = s.session(t, e.Cookie)
		wantCode(t, s.RemovePasskey(ctx, p, e.Passkey.ID), fault.Reauthenticate)
		if q, err = s.AskPasskey(ctx, p, origin); err != nil {
			t.Fatal(err)
		}
		stranger := p
		stranger.UserID = "somebody-else"
		_, err = s.Confirm(ctx, stranger, "", d.get(t, q))
		wantCode(t, err, fault.Unauthorized)
		if q, err = s.AskPasskey(ctx, p, origin); err != nil {
			t.Fatal(err)
		}
		cookie, err := s.Confirm(ctx, p, "", d.get(t, q))
		if err != nil {
			t.Fatal(err)
		}
		p = s.session(t, cookie)
		if k, err := s.RenamePasskey(ctx, p, e.Passkey.ID, "Phone"); err != nil || k.Name != "Phone" || k.LastUsedAt == nil {
			t.Fatalf("%+v, %v", k, err)
		}
		_, err = s.RenamePasskey(ctx, stranger, e.Passkey.ID, "Mine")
		wantCode(t, err, fault.NotFound)
		if err := s.RemovePasskey(ctx, p, e.Passkey.ID); err != nil {
			t.Fatal(err)
		}
		s.signIn(t)
	})
}

// A browser takes no IP address for passkeys, so on this machine they belong to localhost, whatever the port.
func TestWherePasskeysWork(t *testing.T) {
	eachSignOn(t, func(t *testing.T, s *signOn) {
		for _, c := range []struct {
			public, page string
			works        bool
		}{
			{"https://parley.example", "https://parley.example", true},
			{"http://127.0.0.1:8080", "http://localhost:8080", true},
			{"http://127.0.0.1:8080", "http://127.0.0.1:8080", false},
			{"http://127.0.0.1:8080", "https://evil.example", false},
			{"https://192.0.2.1", "https://192.0.2.1", false},
		} {
			s.cfg.PublicURL = func() string { return c.public }
			_, err := s.another(t).AskAnyPasskey(t.Context(), annaIP, c.page)
			if c.works != (err == nil) || err != nil && !fault.Is(err, fault.NotPossible) {
				t.Errorf("%s from %s: %v", c.public, c.page, err)
			}
		}
	})
}
