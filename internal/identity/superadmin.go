package identity

import (
	"context"
	"fmt"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// maxSupers bounds the list of super-admins, and so how many there may be.
const maxSupers = 200

// SuperAdmin is somebody who administers the installation.
type SuperAdmin struct {
	UserID string `json:"userId"`
	Email  string `json:"email"`
	Name   string `json:"name"`
}

func (r *userRow) superAdmin() SuperAdmin {
	return SuperAdmin{UserID: r.ID, Email: r.Email, Name: r.Name}
}

// SuperAdmins lists who administers the installation, by address. There are at most maxSupers.
func (s *Service) SuperAdmins(ctx context.Context) ([]SuperAdmin, error) {
	var rows []userRow
	err := s.cfg.DB.ReadSystem(ctx, "list the installation's administrators", func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model(&rows).Where("super = ?", true).Order("email").Limit(maxSupers).Scan(ctx)
	})
	out := make([]SuperAdmin, len(rows))
	for i := range rows {
		out[i] = rows[i].superAdmin()
	}
	return out, err
}

// GrantSuper makes the person with that address administer the installation. p must have proved lately who they are.
func (s *Service) GrantSuper(ctx context.Context, p Principal, email string) (SuperAdmin, error) {
	email, err := normalEmail(email)
	if err != nil {
		return SuperAdmin{}, err
	}
	return s.setSuper(ctx, &p, "email = ?", email, true)
}

// RevokeSuper ends that somebody administers the installation, also that they act as others now. The last one stays.
func (s *Service) RevokeSuper(ctx context.Context, p Principal, userID string) error {
	_, err := s.setSuper(ctx, &p, "id = ?", userID, false)
	return err
}

// SetSuperFor does the same for the command line, whose user owns the data.
func (s *Service) SetSuperFor(ctx context.Context, email string, super bool) (SuperAdmin, error) {
	email, err := normalEmail(email)
	if err != nil {
		return SuperAdmin{}, err
	}
	return s.setSuper(ctx, nil, "email = ?", email, super)
}

func (s *Service) setSuper(ctx context.Context, p *Principal, where, who string, super bool) (SuperAdmin, error) {
	var user userRow
	err := s.cfg.DB.InSystem(ctx, "say who administers the installation", func(ctx context.Context, tx *db.Tx) error {
		// Two who revoke each other at the same moment wait for each other: one of them stays.
		if err := tx.Lock(ctx, "super-admins"); err != nil {
			return err
		}
		if err := one(ctx, tx, &user, "person with an account", where, who); err != nil {
			return err
		}
		if !super && !user.Super {
			return fault.New(fault.NotFound, "this person does not administer the installation")
		}
		if p != nil {
			if err := s.fresh(ctx, tx, *p); err != nil {
				return err
			}
		}
		if user.Super == super {
			return nil
		}
		if err := superCount(ctx, tx, super); err != nil {
			return err
		}
		if _, err := tx.NewUpdate().Model((*userRow)(nil)).Set("super = ?", super).Where("id = ?", user.ID).Exec(ctx); err != nil {
			return fmt.Errorf("change who administers the installation: %w", err)
		}
		return s.superChanged(ctx, tx, &user, super)
	})
	s.forgetUser(user.ID)
	if err != nil {
		return SuperAdmin{}, err
	}
	return user.superAdmin(), nil
}

func superCount(ctx context.Context, tx *db.Tx, super bool) error {
	n, err := tx.NewSelect().Model((*userRow)(nil)).Where("super = ?", true).Count(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("count the installation's administrators: %w", err)
	case !super && n <= 1:
		return fault.New(fault.NotPossible, "this is the installation's last super-admin; make somebody else one first")
	case super && n >= maxSupers:
		return fault.New(fault.Conflict, "there are %d super-admins, the most there may be; revoke one first", n)
	}
	return nil
}

// superChanged ends what a super-admin's power had begun, notes the change in the platform log, and tells other processes.
func (s *Service) superChanged(ctx context.Context, tx *db.Tx, user *userRow, super bool) error {
	c := Change{Action: "super.grant", Kind: "user", ID: user.ID, After: user.superAdmin()}
	if !super {
		c = Change{Action: "super.revoke", Kind: "user", ID: user.ID, Before: user.superAdmin()}
		if _, err := tx.NewDelete().Model((*sessionRow)(nil)).Where("impersonator_id = ?", user.ID).Exec(ctx); err != nil {
			return fmt.Errorf("end the sessions in which somebody acts as others: %w", err)
		}
	}
	list, err := membershipsOf(ctx, tx, user.ID)
	if err != nil {
		return err
	}
	for _, m := range list {
		if err := tx.PublishFor(ctx, m.Organisation.ID, event.IdentityChanged{OrgID: m.Organisation.ID, UserID: user.ID}); err != nil {
			return err
		}
	}
	return Audit(ctx, tx, Platform, c)
}
