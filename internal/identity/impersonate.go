package identity

import (
	"context"
	"fmt"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// methodImpersonation marks sessions in which a super-admin acts as somebody else.
const methodImpersonation = "impersonation"

// A super-admin who acts as somebody else has a session of its own, which is marked, is over after an hour, hangs on
// the one it was begun in and ends with it. Each audit entry names both people.

// Impersonate begins a session in which p acts as a member of an organisation, and gives its cookie.
func (s *Service) Impersonate(ctx context.Context, p Principal, orgID, userID, reason string) (Account, string, error) {
	reason, err := checkReason(reason)
	if err != nil {
		return Account{}, "", err
	}
	if p.SessionID == "" || !p.Super || p.Impersonator != "" {
		return Account{}, "", fault.New(fault.Forbidden, "only a super-admin who signed in may act as somebody else")
	}
	if userID == p.UserID {
		return Account{}, "", fault.New(fault.NotPossible, "that is you; switch to the organisation instead")
	}
	cookie, err := s.random()
	if err != nil {
		return Account{}, "", err
	}
	now := s.cfg.Clock.Now()
	ends := now.Add(impersonationMax).UnixMilli()
	o := OriginOf(ctx)
	// VerifiedAt stays 0: the person themselves proved nothing, so what needs a fresh proof is refused.
	row := &sessionRow{ID: newID(), Hash: hashSecret(cookie), UserID: userID, OrganisationID: orgID, CreatedAt: now.UnixMilli(),
		LastUsedAt: now.UnixMilli(), RotatedAt: now.UnixMilli(), IP: o.IP, UserAgent: clip(o.UserAgent, maxAgent), Method: methodImpersonation,
		ImpersonatorID: &p.UserID, Reason: reason, ParentID: &p.SessionID, EndsAt: &ends}
	var m *membership
	err = s.cfg.DB.InSystem(ctx, "act as somebody else", func(ctx context.Context, tx *db.Tx) error {
		if m, err = membershipWhere(ctx, tx, "m.user_id = ? AND m.organisation_id = ?", userID, orgID); err != nil {
			return err
		}
		if m == nil {
			return fault.New(fault.NotFound, "there is no such person in the organisation")
		}
		if m.Super {
			return fault.New(fault.Forbidden, "nobody acts as another super-admin")
		}
		if err := m.standing(); err != nil {
			return err
		}
		if _, err := tx.NewInsert().Model(row).Exec(ctx); err != nil {
			return fmt.Errorf("begin a session: %w", err)
		}
		return Audit(ctx, tx, orgID, Change{Action: "auth.impersonate", Kind: "user", ID: userID, Reason: reason,
			After: map[string]any{"email": m.Email, "endsAt": timeOf(ends)}})
	})
	if err != nil {
		return Account{}, "", err
	}
	as := principalOf(m)
	as.SessionID, as.Impersonator, as.Super = row.ID, p.UserID, false
	acc, err := s.Account(ctx, as)
	return acc, cookie, err
}

// EndImpersonation ends such a session and gives the one it was begun in a new cookie; "" when that is over too.
func (s *Service) EndImpersonation(ctx context.Context, p Principal) (string, error) {
	if p.Impersonator == "" {
		return "", fault.New(fault.NotPossible, "you act as yourself")
	}
	next, err := s.random()
	if err != nil {
		return "", err
	}
	back := false
	err = s.cfg.DB.InSystem(ctx, "act as oneself again", func(ctx context.Context, tx *db.Tx) error {
		var row sessionRow
		if err := one(ctx, tx, &row, "session", "id = ? AND impersonator_id = ?", p.SessionID, p.Impersonator); err != nil {
			return err
		}
		if _, err := tx.NewDelete().Model(&row).WherePK().Exec(ctx); err != nil {
			return fmt.Errorf("end a session: %w", err)
		}
		if row.ParentID != nil {
			var parent sessionRow
			err := one(ctx, tx, &parent, "session", "id = ? AND user_id = ?", *row.ParentID, p.Impersonator)
			if err != nil {
				return err
			}
			if back, err = s.replaceSecret(ctx, tx, parent.ID, next, parent.OrganisationID); err != nil {
				return err
			}
		}
		return Audit(ctx, tx, row.OrganisationID, Change{Action: "auth.impersonate.end", Kind: "user", ID: row.UserID, Reason: row.Reason})
	})
	s.forgetMember(p.OrgID, p.UserID)
	s.forgetUser(p.Impersonator)
	if err != nil || !back {
		return "", err
	}
	return next, nil
}
