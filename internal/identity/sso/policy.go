package sso

import (
	"context"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// policyKind is what the audit trail calls the policy, and what If-Match compares.
const policyKind = "ssoPolicy"

// SSOPolicy says how an organisation's people may sign in.
type SSOPolicy struct {
	SSOOnly bool `json:"ssoOnly" doc:"Everybody but the owner signs in through the identity provider; passwords and passkeys are refused"`
}

// Policy gives an organisation's policy.
func (s *Service) Policy(ctx context.Context, orgID string) (SSOPolicy, error) {
	var p SSOPolicy
	err := s.cfg.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) (err error) {
		p, err = policyOf(ctx, tx, orgID)
		return err
	})
	return p, err
}

func policyOf(ctx context.Context, tx *db.Tx, orgID string) (SSOPolicy, error) {
	var row policyRow
	_, err := one(ctx, tx.NewSelect().Model(&row).Where("organisation_id = ?", orgID))
	return SSOPolicy{SSOOnly: row.SSOOnly}, err
}

// SetPolicy changes the policy. Sessions that no provider answered for end at once, but the owner's.
func (s *Service) SetPolicy(ctx context.Context, orgID string, p SSOPolicy) (SSOPolicy, error) {
	row := &policyRow{OrganisationID: orgID, SSOOnly: p.SSOOnly, UpdatedAt: s.cfg.Clock.Now().UnixMilli()}
	err := s.cfg.DB.InSystem(ctx, "change how an organisation signs in", func(ctx context.Context, tx *db.Tx) error {
		before, err := policyOf(ctx, tx, orgID)
		if err != nil {
			return err
		}
		if _, err := tx.NewInsert().Model(row).On("CONFLICT (organisation_id) DO UPDATE").
			Set("sso_only = EXCLUDED.sso_only").Set("updated_at = EXCLUDED.updated_at").Exec(ctx); err != nil {
			return err
		}
		if err := s.checkOnlyPossible(ctx, tx, orgID); err != nil {
			return err
		}
		if p.SSOOnly && !before.SSOOnly {
			if err := s.cfg.Directory.EndLocalSessions(ctx, tx, orgID); err != nil {
				return err
			}
		}
		return identity.Audit(ctx, tx, orgID, identity.Change{Action: "sso.policy.update", Kind: policyKind, ID: orgID, Before: before, After: p})
	})
	if err == nil {
		s.cfg.Directory.ProvisionChanged(orgID, "")
	}
	return p, err
}

// checkOnlyPossible refuses "through the provider only" where no provider could admit anybody.
func (s *Service) checkOnlyPossible(ctx context.Context, tx *db.Tx, orgID string) error {
	p, err := policyOf(ctx, tx, orgID)
	if err != nil || !p.SSOOnly {
		return err
	}
	n, err := tx.NewSelect().Model((*connectionRow)(nil)).Where("organisation_id = ? AND enabled = ?", orgID, true).
		Where("id IN (SELECT connection_id FROM sso_domains WHERE organisation_id = ? AND verified_at IS NOT NULL)", orgID).Count(ctx)
	if err == nil && n == 0 {
		err = fault.New(fault.NotPossible,
			"nobody could sign in: sign-in is through the identity provider only, and no enabled connection would be left with a verified domain; "+
				"set one up first, or allow passwords again")
	}
	return err
}
