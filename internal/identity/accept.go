package identity

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// OpenInvitation is what the link's holder sees before they accept.
type OpenInvitation struct {
	Organisation string    `json:"organisation"`
	Email        string    `json:"email"`
	RoleName     string    `json:"roleName"`
	HasAccount   bool      `json:"hasAccount" doc:"The address has an account: sign in and accept there"`
	ExpiresAt    time.Time `json:"expiresAt"`
}

func errInvitation() error {
	return fault.New(fault.NotFound, "this invitation was used or revoked, or has expired; ask for a new one")
}

// openInvitation finds the invitation of a link's token, in an organisation that is not suspended. It needs the system
// door: the token is all its holder has.
func (s *Service) openInvitation(ctx context.Context, tx *db.Tx, token string) (*invitationRow, *organisationRow, error) {
	var row invitationRow
	err := one(ctx, tx, &row, "invitation", "hash = ? AND expires_at > ?", hashSecret(token), s.cfg.Clock.Now().UnixMilli())
	if fault.Is(err, fault.NotFound) {
		return nil, nil, errInvitation()
	}
	if err != nil {
		return nil, nil, err
	}
	org, err := organisationByID(ctx, tx, row.OrganisationID)
	if err != nil {
		return nil, nil, err
	}
	m := membership{Organisation: org.Name, OrgSuspendedAt: org.SuspendedAt, OrgReason: org.SuspendedReason}
	return &row, org, m.standing()
}

// FindInvitation shows an invitation to whoever holds its link.
func (s *Service) FindInvitation(ctx context.Context, token string) (OpenInvitation, error) {
	var out OpenInvitation
	err := s.cfg.DB.ReadSystem(ctx, "show an invitation", func(ctx context.Context, tx *db.Tx) error {
		row, org, err := s.openInvitation(ctx, tx, token)
		if err != nil {
			return err
		}
		out = OpenInvitation{Organisation: org.Name, Email: row.Email, RoleName: row.Role, ExpiresAt: timeOf(row.ExpiresAt)}
		if role, err := s.findRole(ctx, tx, org.ID, row.Role); err == nil {
			out.RoleName = role.Name
		}
		m, err := membershipWhere(ctx, tx, "u.email = ?", row.Email)
		out.HasAccount = m != nil
		return err
	})
	return out, err
}

// AcceptInvitation makes an account for the person whom a link invites, and gives the id of the account and of the
// organisation. Who has an account accepts with it: [Service.JoinByInvitation].
func (s *Service) AcceptInvitation(ctx context.Context, token, name, password string) (userID, orgID string, err error) {
	found, err := s.FindInvitation(ctx, token)
	if err != nil {
		return "", "", err
	}
	if found.HasAccount {
		return "", "", fault.New(fault.Conflict, "%s has an account; sign in with it and accept the invitation there", found.Email)
	}
	if name, err = checkName("body.name", name, found.Email); err != nil {
		return "", "", err
	}
	if err := s.checkPassword(ctx, password, found.Email); err != nil {
		return "", "", err
	}
	hash, err := s.hash(ctx, password)
	if err != nil {
		return "", "", err
	}
	user := &userRow{ID: newID(), Email: found.Email, Name: name, PasswordHash: hash, CreatedAt: s.cfg.Clock.Now().UnixMilli()}
	err = s.cfg.DB.InSystem(ctx, "accept an invitation", func(ctx context.Context, tx *db.Tx) error {
		row, _, err := s.openInvitation(ctx, tx, token)
		if err != nil {
			return err
		}
		orgID = row.OrganisationID
		// What is left of an account that belongs nowhere is not theirs to sign in to, so it makes room.
		if err := forgetUnattached(ctx, tx, "email = ?", row.Email); err != nil {
			return err
		}
		ok, err := affected(tx.NewInsert().Model(user).On("CONFLICT (email) DO NOTHING").Exec(ctx))
		if err != nil {
			return fmt.Errorf("make an account: %w", err)
		}
		if !ok {
			return fault.New(fault.Conflict, "%s has an account; sign in with it and accept the invitation there", row.Email)
		}
		// Whoever is being let in did this.
		return s.join(With(ctx, Principal{UserID: user.ID, OrgID: row.OrganisationID}), tx, row, user)
	})
	return user.ID, orgID, err
}

// JoinByInvitation lets a person who is signed in accept an invitation to their address. It gives the organisation's id.
func (s *Service) JoinByInvitation(ctx context.Context, p Principal, token string) (string, error) {
	if err := p.Personal(); err != nil {
		return "", err
	}
	var orgID string
	err := s.cfg.DB.InSystem(ctx, "accept an invitation", func(ctx context.Context, tx *db.Tx) error {
		row, _, err := s.openInvitation(ctx, tx, token)
		if err != nil {
			return err
		}
		var user userRow
		if err := one(ctx, tx, &user, "person", "id = ?", p.UserID); err != nil {
			return err
		}
		if user.Email != row.Email {
			return fault.New(fault.Forbidden, "this invitation is for %s; sign in with that account", row.Email)
		}
		orgID = row.OrganisationID
		return s.join(ctx, tx, row, &user)
	})
	return orgID, err
}

// join uses an invitation up and makes the person a member.
func (s *Service) join(ctx context.Context, tx *db.Tx, row *invitationRow, user *userRow) error {
	if err := lockOrganisation(ctx, tx, row.OrganisationID); err != nil {
		return err
	}
	ok, err := affected(tx.NewDelete().Model(row).WherePK().Where("organisation_id = ? AND hash = ?", row.OrganisationID, row.Hash).Exec(ctx))
	if err != nil {
		return fmt.Errorf("use an invitation: %w", err)
	}
	if !ok {
		return errInvitation() // somebody was faster
	}
	role, err := s.findRole(ctx, tx, row.OrganisationID, row.Role)
	if err != nil {
		return err
	}
	if err := s.seatFree(ctx, tx, row.OrganisationID); err != nil {
		return err
	}
	now := s.cfg.Clock.Now().UnixMilli()
	member := &membershipRow{UserID: user.ID, OrganisationID: row.OrganisationID, Role: row.Role, CreatedAt: now}
	ok, err = affected(tx.NewInsert().Model(member).On("CONFLICT DO NOTHING").Exec(ctx))
	if err != nil {
		return fmt.Errorf("make a member: %w", err)
	}
	if !ok {
		return fault.New(fault.Conflict, "you belong to this organisation already")
	}
	view := Member{UserID: user.ID, Email: user.Email, Name: user.Name, Role: role.ID, RoleName: role.Name, Teams: []string{}, JoinedAt: timeOf(now)}
	for _, team := range stringList(row.Teams) {
		exists, err := tx.NewSelect().Model((*teamRow)(nil)).Where("organisation_id = ? AND id = ?", row.OrganisationID, team).Exists(ctx)
		if err != nil {
			return err
		}
		if !exists {
			continue // deleted since
		}
		if err := s.joinTeam(ctx, tx, row.OrganisationID, team, user.ID); err != nil {
			return err
		}
		view.Teams = append(view.Teams, team)
	}
	return s.changed(ctx, tx, row.OrganisationID, user.ID, Change{Action: "member.join", Kind: "member", ID: user.ID, After: view})
}

// seatFree refuses one person more than the plan includes. It needs the system door and the organisation's lock.
func (s *Service) seatFree(ctx context.Context, tx *db.Tx, orgID string) error {
	org, err := organisationByID(ctx, tx, orgID)
	if err != nil {
		return err
	}
	settings, err := settingsOf(ctx, tx, org)
	if err != nil || settings.Limits.Seats == nil {
		return err
	}
	members, _, err := s.seats(ctx, tx, orgID)
	if err == nil && members >= *settings.Limits.Seats {
		err = LimitReached(*settings.Limits.Seats, "people")
	}
	return err
}
