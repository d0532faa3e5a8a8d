package identity

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/mail"
)

// resetValid is as long as ASVS lets a code live that goes by another way (V6.5.5).
const resetValid = 10 * time.Minute

type resetRow struct {
	bun.BaseModel `bun:"table:password_resets"`

	Hash      string `bun:"hash,pk"`
	UserID    string `bun:"user_id"`
	CreatedAt int64  `bun:"created_at"`
	ExpiresAt int64  `bun:"expires_at"`
}

// ChangePassword gives a signed-in person another password. Their other sessions and open reset links end; this
// session goes on with a new secret.
func (s *Service) ChangePassword(ctx context.Context, p Principal, current, password string) (cookie string, err error) {
	right, err := s.confirmPassword(ctx, p, current)
	if err != nil {
		return "", err
	}
	if !right {
		err := s.cfg.DB.InSystem(ctx, "note a wrong password", func(ctx context.Context, tx *db.Tx) error {
			return s.auditOwn(ctx, tx, p.UserID, Change{Action: "auth.password_change", Kind: "user", ID: p.UserID, Outcome: OutcomeDenied, Reason: "wrong password"})
		})
		return "", errors.Join(err, errPassword("body.currentPassword"))
	}
	if current == password {
		return "", fault.Field("body.password", "this is the password you have; choose another one")
	}
	acc, err := s.Account(ctx, p)
	if err != nil {
		return "", err
	}
	if err := s.checkPassword(ctx, password, acc.User.Email); err != nil {
		return "", err
	}
	hash, err := s.hash(ctx, password)
	if err != nil {
		return "", err
	}
	if cookie, err = s.random(); err != nil {
		return "", err
	}
	err = s.cfg.DB.InSystem(ctx, "change a password", func(ctx context.Context, tx *db.Tx) error {
		if err := s.setPassword(ctx, tx, p.UserID, hash, p.SessionID); err != nil {
			return err
		}
		if err := s.proved(ctx, tx, p, cookie, false); err != nil {
			return err
		}
		return s.auditOwn(ctx, tx, p.UserID, Change{Action: "auth.password_change", Kind: "user", ID: p.UserID})
	})
	s.forgetUser(p.UserID)
	if err != nil {
		return "", err
	}
	s.post(passwordLetter(acc.User, s.cfg.Clock.Now()))
	return cookie, nil
}

// setPassword stores a password and ends what the one before had let in, but for the session keep.
func (s *Service) setPassword(ctx context.Context, tx *db.Tx, userID, hash, keep string) error {
	_, err := tx.NewUpdate().Model((*userRow)(nil)).Set("password_hash = ?", hash).Set("password_changed_at = ?", s.cfg.Clock.Now().UnixMilli()).
		Where("id = ?", userID).Exec(ctx)
	if err != nil {
		return err
	}
	// Also those in which the person acts for somebody else.
	if _, err := tx.NewDelete().Model((*sessionRow)(nil)).Where("user_id = ? OR impersonator_id = ?", userID, userID).Where("id <> ?", keep).Exec(ctx); err != nil {
		return err
	}
	if _, err := tx.NewDelete().Model((*challengeRow)(nil)).Where("user_id = ?", userID).Exec(ctx); err != nil {
		return err
	}
	_, err = tx.NewDelete().Model((*resetRow)(nil)).Where("user_id = ?", userID).Exec(ctx)
	return err
}

// Forgot sends a reset link to whoever has the address. It answers the same, and as fast, whether somebody has it.
func (s *Service) Forgot(ctx context.Context, email, ip string) error {
	email, err := normalEmail(email)
	if err != nil {
		return err
	}
	quota := limit{key: "forgot " + ip, free: 10, longest: attemptsMax}
	err = s.cfg.DB.InSystem(ctx, "count requests for reset links", func(ctx context.Context, tx *db.Tx) error {
		return s.attempt(ctx, tx, quota)
	})
	if err != nil {
		return err
	}
	origin := OriginOf(ctx)
	s.post(func(ctx context.Context) (*mail.Message, error) {
		return s.forgotLetter(WithOrigin(ctx, &Origin{IP: origin.IP, UserAgent: origin.UserAgent, RequestID: origin.RequestID, Operation: origin.Operation}), email)
	})
	return nil
}

// forgotLetter writes the letter with the link; none for an address that nobody has or that got enough of them.
func (s *Service) forgotLetter(ctx context.Context, email string) (*mail.Message, error) {
	if !s.cfg.Outbox.Enabled() {
		return nil, nil
	}
	var user userRow
	var token string
	err := s.cfg.DB.InSystem(ctx, "send a reset link", func(ctx context.Context, tx *db.Tx) error {
		err := tx.NewSelect().Model(&user).Where("email = ?", email).Scan(ctx)
		if err != nil {
			return err
		}
		if err := s.attempt(ctx, tx, limitMail(email)); err != nil {
			return err
		}
		if token, err = s.newReset(ctx, tx, user.ID); err != nil {
			return err
		}
		return s.auditOwn(With(ctx, Principal{}), tx, user.ID, Change{Action: "auth.password_forgot", Kind: "user", ID: user.ID})
	})
	if errors.Is(err, sql.ErrNoRows) || fault.Is(err, fault.RateLimited) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return resetLetter(user.user(), s.resetLink(token)), nil
}

func (s *Service) newReset(ctx context.Context, tx *db.Tx, userID string) (string, error) {
	token, err := s.random()
	if err != nil {
		return "", err
	}
	now := s.cfg.Clock.Now()
	if _, err := tx.NewDelete().Model((*resetRow)(nil)).Where("user_id = ?", userID).Exec(ctx); err != nil {
		return "", err
	}
	_, err = tx.NewInsert().Model(&resetRow{Hash: hashSecret(token), UserID: userID, CreatedAt: now.UnixMilli(), ExpiresAt: now.Add(resetValid).UnixMilli()}).Exec(ctx)
	return token, err
}

// resetLink keeps the token behind the #, which no server and no log between sees.
func (s *Service) resetLink(token string) string {
	base := ""
	if s.cfg.PublicURL != nil {
		base = s.cfg.PublicURL()
	}
	return base + "/reset-password#token=" + url.QueryEscape(token)
}

// Reset gives the person of a reset link another password. All their sessions end; a second factor is still asked for
// at the next sign-in. The place it is done from becomes a known one, so that nobody who guesses can keep the person out.
func (s *Service) Reset(ctx context.Context, token, password, ip string) error {
	var row resetRow
	var user userRow
	err := s.cfg.DB.ReadSystem(ctx, "whose reset link is it", func(ctx context.Context, tx *db.Tx) error {
		err := tx.NewSelect().Model(&row).Where("hash = ? AND expires_at > ?", hashSecret(token), s.cfg.Clock.Now().UnixMilli()).Scan(ctx)
		if errors.Is(err, sql.ErrNoRows) {
			return errReset()
		}
		if err != nil {
			return err
		}
		return one(ctx, tx, &user, "person", "id = ?", row.UserID)
	})
	if err != nil {
		return err
	}
	if err := s.checkPassword(ctx, password, user.Email); err != nil {
		return err
	}
	hash, err := s.hash(ctx, password)
	if err != nil {
		return err
	}
	err = s.cfg.DB.InSystem(ctx, "reset a password", func(ctx context.Context, tx *db.Tx) error {
		ok, err := affected(tx.NewDelete().Model(&row).WherePK().Where("expires_at > ?", s.cfg.Clock.Now().UnixMilli()).Exec(ctx))
		if err != nil {
			return err
		}
		if !ok {
			return errReset()
		}
		if err := s.setPassword(ctx, tx, user.ID, hash, ""); err != nil {
			return err
		}
		if err := forgive(ctx, tx, limitPair(user.Email, ip), limitAccount(user.Email), limitMail(user.Email)); err != nil {
			return err
		}
		if _, err := s.noteDevice(ctx, tx, user.ID, placeOf(user.ID, ip, OriginOf(ctx).UserAgent)); err != nil {
			return err
		}
		return s.auditOwn(ctx, tx, user.ID, Change{Action: "auth.password_reset", Kind: "user", ID: user.ID})
	})
	s.forgetUser(user.ID)
	if err == nil {
		s.post(passwordLetter(user.user(), s.cfg.Clock.Now()))
	}
	return err
}

func errReset() error {
	return fault.New(fault.Forbidden, "this link was used, or is older than %d minutes; ask for a new one", int(resetValid.Minutes()))
}

// ResetLinkFor makes a reset link for the person with that address: for the command line, whose user owns the data.
func (s *Service) ResetLinkFor(ctx context.Context, email string) (string, error) {
	email, err := normalEmail(email)
	if err != nil {
		return "", err
	}
	var token string
	err = s.cfg.DB.InSystem(ctx, "make a reset link", func(ctx context.Context, tx *db.Tx) error {
		var user userRow
		if err := one(ctx, tx, &user, "person with that address", "email = ?", email); err != nil {
			return err
		}
		if token, err = s.newReset(ctx, tx, user.ID); err != nil {
			return err
		}
		list, err := membershipsOf(ctx, tx, user.ID)
		if err != nil {
			return err
		}
		for _, m := range list { // by the system: nobody is signed in
			if err := Audit(ctx, tx, m.Organisation.ID, Change{Action: "auth.reset_link", Kind: "user", ID: user.ID}); err != nil {
				return err
			}
		}
		return nil
	})
	return s.resetLink(token), err
}
