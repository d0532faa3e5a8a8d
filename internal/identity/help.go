package identity

import (
	"context"
	"fmt"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/mail"
)

// HelpedIn is what an administrator gets who helps somebody in again.
type HelpedIn struct {
	Sent bool   // by mail, to the person
	Link string // to hand over, where no mail can be sent
}

// SendReset makes a reset link for a member. It goes to the member by mail. Where none can be sent the administrator
// gets it, but only for somebody who belongs to no other organisation: it opens those too.
func (s *Service) SendReset(ctx context.Context, p Principal, userID string) (HelpedIn, error) {
	var user userRow
	var token string
	byMail := s.cfg.Outbox.Enabled()
	err := s.cfg.DB.InSystem(ctx, "send a member a reset link", func(ctx context.Context, tx *db.Tx) error {
		if err := s.mayHelp(ctx, tx, p, userID, !byMail); err != nil {
			return err
		}
		if err := one(ctx, tx, &user, "person", "id = ?", userID); err != nil {
			return err
		}
		var err error
		if token, err = s.newReset(ctx, tx, userID); err != nil {
			return err
		}
		return Audit(ctx, tx, p.OrgID, Change{Action: "auth.reset_link", Kind: "user", ID: userID, After: map[string]bool{"sent": byMail}})
	})
	if err != nil {
		return HelpedIn{}, err
	}
	link := s.resetLink(token)
	if byMail {
		s.post(func(context.Context) (*mail.Message, error) { return resetLetter(user.user(), link), nil })
		return HelpedIn{Sent: true}, nil
	}
	return HelpedIn{Link: link}, nil
}

// RemoveFactors takes every second factor from a member who lost them all. Their sessions end.
func (s *Service) RemoveFactors(ctx context.Context, p Principal, userID string) error {
	err := s.cfg.DB.InSystem(ctx, "take a member's second factors away", func(ctx context.Context, tx *db.Tx) error {
		if err := s.mayHelp(ctx, tx, p, userID, true); err != nil {
			return err
		}
		if p.TokenID == "" {
			if err := s.fresh(ctx, tx, p); err != nil {
				return err
			}
		}
		for _, model := range []any{(*totpRow)(nil), (*passkeyRow)(nil), (*recoveryRow)(nil), (*challengeRow)(nil), (*sessionRow)(nil)} {
			if _, err := tx.NewDelete().Model(model).Where("user_id = ?", userID).Exec(ctx); err != nil {
				return err
			}
		}
		return s.changed(ctx, tx, p.OrgID, userID, Change{Action: "auth.mfa.remove_all", Kind: "user", ID: userID})
	})
	s.forgetUser(userID)
	if err == nil {
		s.tellFactors(ctx, userID, "an administrator removed every second factor")
	}
	return err
}

// mayHelp refuses to help somebody above p in, and, where it would open another organisation's door, anybody who
// belongs to one.
func (s *Service) mayHelp(ctx context.Context, tx *db.Tx, p Principal, userID string, opens bool) error {
	if userID == p.UserID {
		return fault.New(fault.NotPossible, "this is your own account; use your account's page")
	}
	m, err := membershipWhere(ctx, tx, "m.user_id = ? AND m.organisation_id = ?", userID, p.OrgID)
	if err != nil {
		return err
	}
	if m == nil {
		return fault.New(fault.NotFound, "there is no such person")
	}
	if m.Role == RoleOwner && p.Role != RoleOwner {
		return fault.New(fault.Forbidden, "only an owner may do this for an owner")
	}
	if err := s.mayGrant(p, m.permissions()); err != nil {
		return err
	}
	if !opens {
		return nil
	}
	if p.Impersonator != "" {
		return fault.New(fault.Forbidden, "whoever acts for another person cannot open a member's account: that would outlast it")
	}
	if m.Super {
		return fault.New(fault.Forbidden, "this person administers the installation; they can be helped on its command line only")
	}
	list, err := membershipsOf(ctx, tx, userID)
	if err == nil && len(list) > 1 {
		return fault.New(fault.Forbidden, "this person belongs to other organisations too; ask whoever runs the installation")
	}
	return err
}

// EndSessions ends every session that a member has in p's organisation, and tells how many there were. The member may sign
// in again.
func (s *Service) EndSessions(ctx context.Context, p Principal, userID string) (int, error) {
	ended := 0
	err := s.cfg.DB.InSystem(ctx, "end a member's sessions", func(ctx context.Context, tx *db.Tx) error {
		if err := s.mayHelp(ctx, tx, p, userID, false); err != nil {
			return err
		}
		n, err := tx.NewSelect().Model((*sessionRow)(nil)).Where("organisation_id = ? AND user_id = ?", p.OrgID, userID).Count(ctx)
		if err != nil {
			return fmt.Errorf("count a member's sessions: %w", err)
		}
		if err := endMemberSessions(ctx, tx, p.OrgID, userID); err != nil {
			return err
		}
		ended = int(n)
		return s.changed(ctx, tx, p.OrgID, userID, Change{Action: "session.revoke_all", Kind: "user", ID: userID, After: map[string]int64{"revoked": n}})
	})
	s.forgetUser(userID)
	return ended, err
}
