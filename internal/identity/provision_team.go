package identity

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// ProvisionTeam renames a team to name, or with no id gives the team of that name, which it makes where there is none.
// It needs the system door, as all of the following.
func (s *Service) ProvisionTeam(ctx context.Context, tx *db.Tx, orgID, id, name string) (string, error) {
	change := NameChange{Name: &name}
	if err := change.check(); err != nil {
		return "", err
	}
	if id != "" {
		return id, s.provisionTeam(ctx, tx, orgID, id, "team.update", func() error {
			if err := freeName(ctx, tx, (*teamRow)(nil), "team", orgID, id, name); err != nil {
				return err
			}
			_, err := tx.NewUpdate().Model((*teamRow)(nil)).Set("name = ?", name).Set("updated_at = ?", s.cfg.Clock.Now().UnixMilli()).
				Where("organisation_id = ? AND id = ?", orgID, id).Exec(ctx)
			return err
		})
	}
	var row teamRow
	err := one(ctx, tx, &row, "team", "organisation_id = ? AND name = ?", orgID, name)
	if err == nil || !fault.Is(err, fault.NotFound) {
		return row.ID, err
	}
	n, err := tx.NewSelect().Model((*teamRow)(nil)).Where("organisation_id = ?", orgID).Count(ctx)
	if err != nil {
		return "", err
	}
	if n >= maxTeams {
		return "", fault.New(fault.Conflict, "the organisation has %d teams, the most it may have; delete one first", n)
	}
	now := s.cfg.Clock.Now().UnixMilli()
	row = teamRow{ID: newID(), OrganisationID: orgID, Name: name, CreatedAt: now, UpdatedAt: now}
	if err := insertNamed(ctx, tx, &row, "team", name); err != nil {
		return "", err
	}
	return row.ID, Audit(ctx, tx, orgID, Change{Action: "team.create", Kind: "team", ID: row.ID, After: row.team()})
}

// provisionTeam lets fn change a team, and audits what came of it.
func (s *Service) provisionTeam(ctx context.Context, tx *db.Tx, orgID, id, action string, fn func() error) error {
	before, err := teamByID(ctx, tx, orgID, id)
	if err != nil {
		return err
	}
	if err := fn(); err != nil {
		return err
	}
	after, err := teamByID(ctx, tx, orgID, id)
	if err != nil {
		return err
	}
	return s.changed(ctx, tx, orgID, "", Change{Action: action, Kind: "team", ID: id, Before: before, After: after})
}

// TeamPeople lists the ids of a team's people.
func (s *Service) TeamPeople(ctx context.Context, tx *db.Tx, orgID, id string) ([]string, error) {
	team, err := teamByID(ctx, tx, orgID, id)
	return team.Members, err
}

// ProvisionTeamPeople lets people into a team and others out of it.
func (s *Service) ProvisionTeamPeople(ctx context.Context, tx *db.Tx, orgID, id string, join, leave []string) error {
	return s.provisionTeam(ctx, tx, orgID, id, "team.update", func() error {
		team, err := teamByID(ctx, tx, orgID, id)
		if err != nil {
			return err
		}
		stay := slices.DeleteFunc(slices.Clone(team.Members), func(m string) bool { return slices.Contains(leave, m) || slices.Contains(join, m) })
		if len(stay)+len(join) > maxTeamMembers {
			return fault.New(fault.Conflict, "the team would have %d members; the most it may have is %d", len(stay)+len(join), maxTeamMembers)
		}
		if len(leave) > 0 {
			_, err := tx.NewDelete().Model((*teamMemberRow)(nil)).Where("organisation_id = ? AND team_id = ? AND user_id IN (?)", orgID, id, bun.List(leave)).Exec(ctx)
			if err != nil {
				return fmt.Errorf("remove from a team: %w", err)
			}
		}
		for _, userID := range join {
			if err := s.joinTeam(ctx, tx, orgID, id, userID); err != nil {
				return err
			}
		}
		return nil
	})
}

// WithdrawTeam removes a team; its people stay.
func (s *Service) WithdrawTeam(ctx context.Context, tx *db.Tx, orgID, id string) error {
	before, err := teamByID(ctx, tx, orgID, id)
	if err != nil {
		return err
	}
	if _, err := tx.NewDelete().Model((*teamRow)(nil)).Where("organisation_id = ? AND id = ?", orgID, id).Exec(ctx); err != nil {
		return fmt.Errorf("remove a team: %w", err)
	}
	return s.changed(ctx, tx, orgID, "", Change{Action: "team.delete", Kind: "team", ID: id, Before: before})
}

// ProvisionEmail changes the address of a person who belongs to this organisation alone.
func (s *Service) ProvisionEmail(ctx context.Context, tx *db.Tx, orgID, userID, email string) error {
	email, err := normalEmail(email)
	if err != nil {
		return err
	}
	p, err := s.PersonByID(ctx, tx, orgID, userID)
	if err != nil {
		return err
	}
	if p == nil || !p.Member || p.Elsewhere || p.Super || p.Role == RoleOwner {
		return fault.New(fault.Forbidden, "an identity provider cannot change the address of an owner, or of somebody who belongs to other organisations too")
	}
	n, err := tx.NewSelect().Model((*userRow)(nil)).Where("email = ? AND id <> ?", email, userID).Count(ctx)
	if err != nil {
		return err
	}
	if n > 0 {
		return fault.New(fault.Conflict, "%s has an account already", email)
	}
	if _, err := tx.NewUpdate().Model((*userRow)(nil)).Set("email = ?", email).Where("id = ?", userID).Exec(ctx); err != nil {
		return fmt.Errorf("change an address: %w", err)
	}
	return s.changed(ctx, tx, orgID, userID, Change{Action: "member.update", Kind: "member", ID: userID,
		Before: map[string]string{"email": p.Email}, After: map[string]string{"email": email}})
}

// Standing says why an organisation may not be used at present, nil when it may.
func (s *Service) Standing(ctx context.Context, orgID string) error {
	settings, err := s.SettingsOf(ctx, orgID)
	if fault.Is(err, fault.NotFound) {
		return fault.New(fault.Unauthorized, "the organisation is no more")
	}
	return errors.Join(err, settings.Standing())
}

// MayChangeSignOn refuses whoever lacks a permission: who decides by whom people are let in could become any of them.
func (p Principal) MayChangeSignOn() error {
	if p.Impersonator != "" {
		return fault.New(fault.Forbidden, "whoever acts for another person does not change how people sign in: that would outlast it")
	}
	if slices.Contains(p.Permissions, "*") {
		return nil
	}
	return fault.New(fault.Forbidden, "who changes how people sign in could become any of them, so that needs a role with every permission; ask an administrator")
}
