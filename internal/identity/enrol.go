package identity

import (
	"context"
	"errors"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Enrolled is what adding a second factor gives.
type Enrolled struct {
	RecoveryCodes []string // shown once; none where there are some already
	Cookie        string   // the session's new one
	Passkey       *Passkey // when one was added
}

// errRefused is a wrong answer whose try must be counted all the same: the transaction commits.
type errRefused struct{ why error }

func (e errRefused) Error() string { return e.why.Error() }

// enrol adds a second factor. The session goes on with a new secret, as one that was proved by two factors.
func (s *Service) enrol(ctx context.Context, p Principal, action string, add func(ctx context.Context, tx *db.Tx) (view any, err error)) (Enrolled, error) {
	var out Enrolled
	var refused errRefused
	cookie, err := s.random()
	if err != nil {
		return out, err
	}
	err = s.cfg.DB.InSystem(ctx, "add a second factor", func(ctx context.Context, tx *db.Tx) error {
		if err := s.freshOwn(ctx, tx, p); err != nil {
			return err
		}
		view, err := add(ctx, tx)
		if errors.As(err, &refused) {
			return nil
		}
		if err != nil {
			return err
		}
		left, err := recoveryCodesLeft(ctx, tx, p.UserID)
		if err != nil {
			return err
		}
		if left == 0 {
			if out.RecoveryCodes, err = s.newRecoveryCodes(ctx, tx, p.UserID); err != nil {
				return err
			}
		}
		if err := s.proved(ctx, tx, p, cookie, true); err != nil {
			return err
		}
		if k, ok := view.(Passkey); ok {
			out.Passkey = &k
		}
		return s.auditOwn(ctx, tx, p.UserID, Change{Action: action, Kind: "user", ID: p.UserID, After: view})
	})
	s.forgetUser(p.UserID)
	if err == nil && refused.why != nil {
		err = refused.why
	}
	if err != nil {
		return Enrolled{}, err
	}
	out.Cookie = cookie
	s.tellFactors(ctx, p.UserID, "a second factor was added")
	return out, nil
}

// proved notes that the person of a session proved who they are, and gives the session a new secret.
func (s *Service) proved(ctx context.Context, tx *db.Tx, p Principal, cookie string, secondFactor bool) error {
	ok, err := s.replaceSecret(ctx, tx, p.SessionID, cookie, p.OrgID)
	if err != nil {
		return err
	}
	if !ok {
		return fault.New(fault.Unauthorized, "your session has ended; sign in again")
	}
	now := s.cfg.Clock.Now().UnixMilli()
	q := tx.NewUpdate().Model((*sessionRow)(nil)).Set("verified_at = ?", now).Where("id = ?", p.SessionID)
	if secondFactor {
		q = q.Set("second_factor_at = ?", now)
	}
	_, err = q.Exec(ctx)
	return err
}

// unenrol removes a second factor. Without any left the recovery codes go too: they would stand for nothing.
func (s *Service) unenrol(ctx context.Context, p Principal, c Change, remove func(ctx context.Context, tx *db.Tx) error) error {
	err := s.cfg.DB.InSystem(ctx, "remove a second factor", func(ctx context.Context, tx *db.Tx) error {
		if err := s.freshOwn(ctx, tx, p); err != nil {
			return err
		}
		if err := s.keepOne(ctx, tx, p.UserID); err != nil {
			return err
		}
		if err := remove(ctx, tx); err != nil {
			return err
		}
		factors, err := factorsOf(ctx, tx, p.UserID)
		if err != nil {
			return err
		}
		if len(factors) == 0 {
			if _, err := tx.NewDelete().Model((*recoveryRow)(nil)).Where("user_id = ?", p.UserID).Exec(ctx); err != nil {
				return err
			}
		}
		return s.auditOwn(ctx, tx, p.UserID, c)
	})
	if err == nil {
		s.tellFactors(ctx, p.UserID, "a second factor was removed")
	}
	return err
}

// Confirm proves again who sits at a session, by password or second factor, and gives the session's new cookie.
func (s *Service) Confirm(ctx context.Context, p Principal, password string, proof Proof) (string, error) {
	cookie, err := s.random()
	if err != nil {
		return "", err
	}
	var right bool
	if proof.Method == "password" {
		if right, err = s.confirmPassword(ctx, p, password); err != nil {
			return "", err
		}
	}
	var refused error
	err = s.cfg.DB.InSystem(ctx, "confirm who it is", func(ctx context.Context, tx *db.Tx) error {
		if proof.Method == "password" {
			if !right {
				refused = errPassword("body.password")
			}
		} else if refused, err = s.proveConfirm(ctx, tx, p, proof); err != nil {
			return err
		}
		if refused != nil {
			return s.auditOwn(ctx, tx, p.UserID, Change{Action: "auth.confirm", Kind: "user", ID: p.UserID, Outcome: OutcomeDenied, Reason: proof.Method})
		}
		if err := s.proved(ctx, tx, p, cookie, proof.Method != "password"); err != nil {
			return err
		}
		return s.auditOwn(ctx, tx, p.UserID, Change{Action: "auth.confirm", Kind: "user", ID: p.UserID, Reason: proof.Method})
	})
	s.forgetUser(p.UserID)
	if err == nil {
		err = refused
	}
	if err != nil {
		return "", err
	}
	return cookie, nil
}

// proveConfirm checks a second factor of somebody who is signed in.
func (s *Service) proveConfirm(ctx context.Context, tx *db.Tx, p Principal, proof Proof) (refused, err error) {
	if proof.Method != FactorPasskey {
		return s.prove(ctx, tx, p.UserID, proof, nil)
	}
	var pending pendingPasskey
	row, err := s.findChallenge(ctx, tx, kindPasskeyIdentify, proof.Challenge, &pending)
	if err != nil {
		return nil, err
	}
	if row.UserID == nil || *row.UserID != p.UserID {
		return nil, errChallenge()
	}
	if err := endChallenge(ctx, tx, row); err != nil {
		return nil, err
	}
	return s.prove(ctx, tx, p.UserID, proof, pending.Session)
}

func errPassword(location string) error {
	return fault.Field(location, "the password is wrong")
}

// confirmPassword checks the password of somebody who is signed in.
func (s *Service) confirmPassword(ctx context.Context, p Principal, password string) (bool, error) {
	var user userRow
	err := s.cfg.DB.InSystem(ctx, "check a password", func(ctx context.Context, tx *db.Tx) error {
		if err := one(ctx, tx, &user, "person", "id = ?", p.UserID); err != nil {
			return err
		}
		return s.attempt(ctx, tx, limitPair(p.SessionID, "confirm"))
	})
	if err != nil {
		return false, err
	}
	ok, err := s.verify(ctx, user.PasswordHash, password)
	if err != nil || !ok {
		return false, err
	}
	return true, s.cfg.DB.InSystem(ctx, "forget wrong passwords", func(ctx context.Context, tx *db.Tx) error {
		return forgive(ctx, tx, limitPair(p.SessionID, "confirm"))
	})
}
