package identity

import (
	"context"
	"errors"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// AskAnyPasskey asks the browser for a passkey that tells by itself whose it is.
func (s *Service) AskAnyPasskey(ctx context.Context, ip, origin string) (PasskeyQuestion, error) {
	var out PasskeyQuestion
	rp, err := s.relyingParty(origin)
	if err != nil {
		return out, err
	}
	// The device must make sure who uses it: the passkey then stands for both factors.
	options, session, err := rp.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return out, err
	}
	out.Options = options.Response
	err = s.cfg.DB.InSystem(ctx, "ask for a passkey", func(ctx context.Context, tx *db.Tx) error {
		if err := s.attempt(ctx, tx, limitQuestions(ip)); err != nil {
			return err
		}
		out.Challenge, err = s.passkeyChallenge(ctx, tx, kindPasskeySignIn, "", session)
		return err
	})
	return out, err
}

// SignInByPasskey signs in whoever the passkey belongs to.
func (s *Service) SignInByPasskey(ctx context.Context, proof Proof) (Account, string, error) {
	parsed, err := protocol.ParseCredentialRequestResponseBytes(proof.Credential)
	if err != nil {
		return Account{}, "", errPasskey(err)
	}
	userID := string(parsed.Response.UserHandle)
	var st *started
	var refused error
	err = s.cfg.DB.InSystem(ctx, "sign in by passkey", func(ctx context.Context, tx *db.Tx) error {
		var pending pendingPasskey
		row, err := s.findChallenge(ctx, tx, kindPasskeySignIn, proof.Challenge, &pending)
		if err != nil {
			return err
		}
		if err := endChallenge(ctx, tx, row); err != nil { // one answer for each question
			return err
		}
		m, err := membershipWhere(ctx, tx, "m.user_id = ?", userID)
		if err != nil {
			return err
		}
		if m == nil {
			refused = errPasskey(errors.New("nobody has it"))
			return nil
		}
		verified, err := s.usePasskey(ctx, tx, userID, proof, pending.Session)
		if err == nil && !verified {
			err = errPasskey(errors.New("the device did not make sure who used it"))
		}
		if fault.Is(err, fault.Unauthorized) {
			refused = err
			return denied(ctx, tx, userID, "wrong passkey")
		}
		if err != nil {
			return err
		}
		if refused = m.standing(); refused != nil {
			return nil
		}
		st, err = s.start(ctx, tx, SignOn{UserID: userID, OrgID: m.OrganisationID, Method: MethodPasskey, SecondFactor: true})
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
