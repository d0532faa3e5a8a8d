package identity

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// What a sign-in still lacks.
const (
	StepSecondFactor = "second_factor"
	StepEnrol        = "enrol"
)

// Second factors.
const (
	FactorTOTP     = "totp"
	FactorPasskey  = "passkey"
	FactorRecovery = "recovery_code"
)

// errSignIn tells nobody whether the address exists.
func errSignIn() error {
	return fault.New(fault.Unauthorized, "the e-mail address or the password is wrong")
}

// applicant is who wants to sign in with a password.
type applicant struct {
	m       *membership // nil: nobody has the address
	factors []string
	limits  []limit // counted for this attempt alone
	shared  []limit // counted together with others
}

// SignIn checks a password. It gives a session's cookie, or, with Step in the account and no cookie, what is missing.
func (s *Service) SignIn(ctx context.Context, email, password, ip string) (Account, string, error) {
	email, err := normalEmail(email)
	if err != nil {
		return Account{}, "", err
	}
	a, err := s.admit(ctx, email, ip)
	if err != nil {
		return Account{}, "", err
	}
	hash := s.dummy()
	if a.m != nil && a.m.PasswordHash != "" {
		hash = a.m.PasswordHash
	}
	ok, err := s.verify(ctx, hash, password)
	if err != nil {
		return Account{}, "", err
	}
	if a.m == nil || !ok {
		err = s.cfg.DB.InSystem(ctx, "note a refused sign-in", func(ctx context.Context, tx *db.Tx) error {
			if a.m == nil {
				return unknown(ctx, tx, email)
			}
			return denied(ctx, tx, a.m.UserID, "wrong password")
		})
		if err == nil {
			err = errSignIn()
		}
		return Account{}, "", err
	}
	return s.admitted(ctx, a)
}

// admit counts an attempt to sign in, unless there were too many.
func (s *Service) admit(ctx context.Context, email, ip string) (*applicant, error) {
	a := &applicant{limits: []limit{limitPair(email, ip)}, shared: []limit{limitAddress(ip)}}
	err := s.cfg.DB.InSystem(ctx, "sign in", func(ctx context.Context, tx *db.Tx) (err error) {
		if a.m, err = membershipWhere(ctx, tx, "u.email = ?", email); err != nil {
			return err
		}
		known := false
		if a.m != nil {
			if a.factors, err = factorsOf(ctx, tx, a.m.UserID); err != nil {
				return err
			}
			if known, err = isKnown(ctx, tx, a.m.UserID, placeOf(a.m.UserID, ip, OriginOf(ctx).UserAgent)); err != nil {
				return err
			}
		}
		if !known && len(a.factors) == 0 {
			a.limits = append(a.limits, limitAccount(email))
		}
		return s.attempt(ctx, tx, slices.Concat(a.limits, a.shared)...)
	})
	return a, err
}

// admitted goes on after the right password.
func (s *Service) admitted(ctx context.Context, a *applicant) (Account, string, error) {
	if err := a.m.standing(); err != nil {
		return Account{}, "", err
	}
	var st *started
	var challenge string
	err := s.cfg.DB.InSystem(ctx, "begin a session", func(ctx context.Context, tx *db.Tx) (err error) {
		if err := forgive(ctx, tx, a.limits...); err != nil {
			return err
		}
		if err := uncount(ctx, tx, a.shared...); err != nil {
			return err
		}
		if len(a.factors) > 0 {
			challenge, err = s.newChallenge(ctx, tx, kindSecondFactor, a.m.UserID, pendingSignIn{OrgID: a.m.OrganisationID})
			return err
		}
		st, err = s.start(ctx, tx, SignOn{UserID: a.m.UserID, OrgID: a.m.OrganisationID, Method: MethodPassword})
		return err
	})
	if err != nil {
		return Account{}, "", err
	}
	if st == nil {
		acc := Account{Permissions: []string{}, Teams: []string{}, Memberships: []AccountMembership{}}
		acc.Step, acc.Methods, acc.Challenge = StepSecondFactor, a.factors, challenge
		return acc, "", nil
	}
	return s.welcome(ctx, st)
}

// denied leaves an audit entry of a refused sign-in in every organisation of the person. Who tried is not known.
func denied(ctx context.Context, tx *db.Tx, userID, why string) error {
	list, err := membershipsOf(ctx, tx, userID)
	if err != nil {
		return err
	}
	ctx = With(ctx, Principal{})
	for _, m := range list {
		err := Audit(ctx, tx, m.Organisation.ID, Change{Action: "auth.sign_in", Kind: "user", ID: userID, Outcome: OutcomeDenied, Reason: why})
		if err != nil {
			return err
		}
	}
	return nil
}

// unknown notes in the platform log that somebody tried an address that nobody has. The address may be a secret that was typed
// into the wrong field, so only a digest of it is kept, by which repeats are recognised.
func unknown(ctx context.Context, tx *db.Tx, email string) error {
	return Audit(With(ctx, Principal{}), tx, Platform, Change{Action: "auth.sign_in", Kind: "user", Outcome: OutcomeDenied,
		Reason: "nobody has the address", After: map[string]string{"addressDigest": hashSecret(email)[:16]}})
}

// pendingSignIn waits for the second factor.
type pendingSignIn struct {
	OrgID   string          `json:"organisationId"`
	Passkey json.RawMessage `json:"passkey,omitempty"` // the passkey's challenge, once it was asked for
}

// Proof is a second factor, or a passkey, as a browser sends it.
type Proof struct {
	Method     string
	Code       string
	Challenge  string
	Credential json.RawMessage
	Origin     string // of the page
}

func errCode() error {
	return fault.New(fault.Unauthorized, "the code is wrong, was used or is too old; try the next one")
}

// SecondFactor finishes a sign-in that began with the password.
func (s *Service) SecondFactor(ctx context.Context, proof Proof) (Account, string, error) {
	var st *started
	var refused error
	err := s.cfg.DB.InSystem(ctx, "sign in with a second factor", func(ctx context.Context, tx *db.Tx) error {
		var pending pendingSignIn
		row, err := s.findChallenge(ctx, tx, kindSecondFactor, proof.Challenge, &pending)
		if err != nil {
			return err
		}
		userID := *row.UserID
		asked := pending.Passkey
		if asked != nil { // one answer for each question
			pending.Passkey = nil
			if err := s.changeChallenge(ctx, tx, row, pending); err != nil {
				return err
			}
		}
		// What was wrong is kept in refused, so that the try is counted.
		if refused, err = s.prove(ctx, tx, userID, proof, asked); err != nil {
			return err
		}
		if refused != nil {
			return denied(ctx, tx, userID, "wrong second factor: "+proof.Method)
		}
		m, err := membershipWhere(ctx, tx, "m.user_id = ? AND m.organisation_id = ?", userID, pending.OrgID)
		if err != nil {
			return err
		}
		if m == nil {
			return errChallenge()
		}
		if err := m.standing(); err != nil {
			return err
		}
		if err := endChallenge(ctx, tx, row); err != nil {
			return err
		}
		st, err = s.start(ctx, tx, SignOn{UserID: userID, OrgID: pending.OrgID, Method: MethodPassword, SecondFactor: true})
		return err
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return Account{}, "", err
	}
	return s.welcome(ctx, st)
}

// prove checks a second factor of a person and uses it up. The first error says that it is wrong.
func (s *Service) prove(ctx context.Context, tx *db.Tx, userID string, proof Proof, asked json.RawMessage) (refused, err error) {
	switch proof.Method {
	case FactorTOTP:
		if err := s.attempt(ctx, tx, limitCode(userID)); err != nil {
			return nil, err
		}
		ok, err := s.useTOTP(ctx, tx, userID, proof.Code)
		if err != nil || !ok {
			return errCode(), err
		}
		return nil, forgive(ctx, tx, limitCode(userID))
	case FactorRecovery:
		ok, err := s.useRecoveryCode(ctx, tx, userID, proof.Code)
		if err != nil || !ok {
			return errCode(), err
		}
		left, err := recoveryCodesLeft(ctx, tx, userID)
		if err != nil {
			return nil, err
		}
		return nil, s.auditOwn(ctx, tx, userID, Change{Action: "auth.mfa.recovery_code", Kind: "user", ID: userID, After: map[string]int{"left": left}})
	case FactorPasskey:
		_, err := s.usePasskey(ctx, tx, userID, proof, asked)
		if fault.Is(err, fault.Unauthorized) {
			return err, nil
		}
		return nil, err
	}
	return nil, fault.Field("body.method", "%q is no second factor; use totp, passkey or recovery_code", proof.Method)
}

// auditOwn leaves an audit entry about a person's own account in each of their organisations.
func (s *Service) auditOwn(ctx context.Context, tx *db.Tx, userID string, c Change) error {
	list, err := membershipsOf(ctx, tx, userID)
	if err != nil {
		return err
	}
	for _, m := range list {
		ctx := ctx
		if _, ok := From(ctx); !ok {
			ctx = With(ctx, Principal{UserID: userID, OrgID: m.Organisation.ID})
		}
		if err := s.changed(ctx, tx, m.Organisation.ID, userID, c); err != nil {
			return err
		}
	}
	return nil
}

// ownSession refuses everybody but a person who signed in themselves: neither a token nor somebody who acts for another
// may change how that person signs in.
func ownSession(ctx context.Context) (Principal, error) {
	p, err := principal(ctx)
	if err != nil {
		return p, err
	}
	if p.SessionID == "" || p.TokenID != "" || p.Impersonator != "" {
		return p, fault.New(fault.Forbidden, "only the person themselves may do this, signed in on the web page")
	}
	return p, nil
}

// fresh refuses a session whose person did not prove lately who they are.
func (s *Service) fresh(ctx context.Context, tx *db.Tx, p Principal) error {
	var row sessionRow
	if err := one(ctx, tx, &row, "session", "id = ? AND user_id = ?", p.SessionID, p.UserID); err != nil {
		return err
	}
	if s.cfg.Clock.Now().Sub(time.UnixMilli(row.VerifiedAt)) >= freshFor {
		return fault.New(fault.Reauthenticate, "confirm that it is you: enter your password or use a second factor, then try again")
	}
	return nil
}
