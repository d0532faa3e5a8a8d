package identity

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// PortablePerson is somebody as the export of an organisation names them: without password, factors and sessions.
type PortablePerson struct {
	ID, Email, Name string
	CreatedAt       int64
}

// People gives everybody of an organisation.
func (s *Service) People(ctx context.Context, tx *db.Tx, orgID string) ([]PortablePerson, error) {
	var rows []userRow
	err := tx.NewSelect().Model(&rows).Where("id IN (SELECT user_id FROM memberships WHERE organisation_id = ?)", orgID).Order("id").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the people of an organisation: %w", err)
	}
	out := make([]PortablePerson, len(rows))
	for i, r := range rows {
		out[i] = PortablePerson{ID: r.ID, Email: r.Email, Name: r.Name, CreatedAt: r.CreatedAt}
	}
	return out, nil
}

// NameAndPlan gives an organisation's name and that of its plan, "" without one.
func (s *Service) NameAndPlan(ctx context.Context, tx *db.Tx, orgID string) (name, plan string, err error) {
	row, err := organisationByID(ctx, tx, orgID)
	if err != nil {
		return "", "", err
	}
	ref, err := planRefOf(ctx, tx, row.PlanID)
	if err != nil || ref == nil {
		return row.Name, "", err
	}
	return row.Name, ref.Name, nil
}

// KnownPeople finds accounts by e-mail address: who has which id here.
func (s *Service) KnownPeople(ctx context.Context, tx *db.Tx, emails []string) (map[string]string, error) {
	out := map[string]string{}
	for len(emails) > 0 {
		some := emails[:min(len(emails), 500)]
		emails = emails[len(some):]
		var rows []userRow
		if err := tx.NewSelect().Model(&rows).Where("email IN (?)", bun.List(some)).Scan(ctx); err != nil {
			return nil, fmt.Errorf("find people by address: %w", err)
		}
		for _, r := range rows {
			out[r.Email] = r.ID
		}
	}
	return out, nil
}

// AddPeople makes accounts without a password: a link to their address, or an identity provider, lets them in.
func (s *Service) AddPeople(ctx context.Context, tx *db.Tx, people []PortablePerson) error {
	for _, p := range people {
		email, err := normalEmail(p.Email)
		if err != nil {
			return err
		}
		row := &userRow{ID: p.ID, Email: email, Name: providerName(p.Name, email), CreatedAt: p.CreatedAt}
		if _, err := tx.NewInsert().Model(row).Exec(ctx); err != nil {
			return fmt.Errorf("make the account of %s: %w", email, err)
		}
	}
	return nil
}

// PortableOrganisation is what an import says of an organisation beside its tables.
type PortableOrganisation struct {
	ID, Name, Address, TimeZone, Limits string
	Plan                                string // by name; none when there is no such here
	IdleMinutes                         *int64
	MFARequired                         bool
	CreatedAt                           int64
}

// AddOrganisation makes an organisation that comes from elsewhere. It keeps its address when that is free.
func (s *Service) AddOrganisation(ctx context.Context, tx *db.Tx, o PortableOrganisation) error {
	name, err := requiredName("name", o.Name)
	if err != nil {
		return err
	}
	row := newOrganisationRow(name, o.CreatedAt)
	row.ID, row.TimeZone, row.Limits, row.IdleMinutes = o.ID, o.TimeZone, o.Limits, o.IdleMinutes
	if o.Plan != "" {
		var plan planRow
		err := one(ctx, tx, &plan, "plan", "name = ?", o.Plan)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		if err == nil {
			row.PlanID = &plan.ID
		}
	}
	if err := insertOrganisation(ctx, tx, row); err != nil {
		return err
	}
	taken, err := addressTaken(ctx, tx, o.Address)
	if err != nil {
		return err
	}
	if !taken && checkAddress(o.Address) == nil {
		row.Address = o.Address
	}
	_, err = tx.NewUpdate().Model(row).WherePK().Set("address = ?", row.Address).Set("mfa_required = ?", o.MFARequired).Exec(ctx)
	return err
}

// CloseOrganisation keeps everybody out of an organisation that is about to be erased, and ends its sessions.
func (s *Service) CloseOrganisation(ctx context.Context, orgID, reason string) error {
	err := s.cfg.DB.InSystem(ctx, "close an organisation", func(ctx context.Context, tx *db.Tx) error {
		row, err := organisationByID(ctx, tx, orgID)
		if err != nil {
			return err
		}
		now := s.cfg.Clock.Now().UnixMilli()
		if row.SuspendedAt == nil {
			row.SuspendedAt = &now
		}
		row.SuspendedReason = "It is being erased."
		if _, err := tx.NewDelete().Model((*sessionRow)(nil)).Where("organisation_id = ?", orgID).Exec(ctx); err != nil {
			return err
		}
		if err := s.saveOrganisation(ctx, tx, row, Change{Action: "organisation.suspend", Reason: row.SuspendedReason}); err != nil {
			return err
		}
		return Audit(ctx, tx, Platform, Change{Action: "organisation.erase", Kind: "organisation", ID: orgID, Reason: reason})
	})
	s.Forget(orgID, "")
	return err
}

// EraseOrganisation deletes an organisation with everything of it that is in the master's database, and the people who belong to no other.
// Who administers the installation stays. It gives how many people went.
func (s *Service) EraseOrganisation(ctx context.Context, tx *db.Tx, orgID string) (people int64, err error) {
	var ids []string
	err = tx.NewSelect().Model((*userRow)(nil)).Column("id").Where("super = ?", false).
		Where("id IN (SELECT user_id FROM memberships WHERE organisation_id = ?)", orgID).
		Where("id NOT IN (SELECT user_id FROM memberships WHERE organisation_id <> ?)", orgID).Scan(ctx, &ids)
	if err != nil {
		return 0, fmt.Errorf("find who belongs to no other organisation: %w", err)
	}
	if _, err := tx.NewDelete().Model((*organisationRow)(nil)).Where("id = ?", orgID).Exec(ctx); err != nil {
		return 0, fmt.Errorf("delete the organisation: %w", err)
	}
	for len(ids) > 0 {
		some := ids[:min(len(ids), 500)]
		ids = ids[len(some):]
		if _, err := tx.NewDelete().Model((*userRow)(nil)).Where("id IN (?)", bun.List(some)).Exec(ctx); err != nil {
			return people, fmt.Errorf("delete people who belong to no other organisation: %w", err)
		}
		people += int64(len(some))
	}
	return people, nil
}
