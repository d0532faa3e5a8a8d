package identity

import (
	"context"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/etag"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// SignOnPolicy is what an organisation asks of those who sign in.
type SignOnPolicy struct {
	MFARequired   bool `json:"mfaRequired" doc:"A member without a second factor may do nothing but add one"`
	WithoutFactor int  `json:"withoutFactor" doc:"How many members have no second factor"`
}

// policyKind is what If-Match compares: not the "organisation" of the audit trail.
const policyKind = "sign-on policy"

// policyDecided is the part of a policy that somebody decided.
type policyDecided struct{ MFARequired bool }

func (p SignOnPolicy) decided() policyDecided { return policyDecided{p.MFARequired} }

func (s *Service) policyOf(ctx context.Context, tx *db.Tx, orgID string) (SignOnPolicy, error) {
	var out SignOnPolicy
	err := tx.NewSelect().TableExpr("organisations").ColumnExpr("mfa_required").Where("id = ?", orgID).Scan(ctx, &out.MFARequired)
	if err != nil {
		return out, err
	}
	out.MFARequired = out.MFARequired || s.cfg.MFARequired
	n, err := tx.NewSelect().TableExpr("memberships AS m").ColumnExpr("1").Where("m.organisation_id = ?", orgID).
		Where("NOT EXISTS (SELECT 1 FROM totp_factors AS t WHERE t.user_id = m.user_id)").
		Where("NOT EXISTS (SELECT 1 FROM passkeys AS k WHERE k.user_id = m.user_id)").Count(ctx)
	out.WithoutFactor = int(n)
	return out, err
}

// SignOnPolicy gives the organisation's policy.
func (s *Service) SignOnPolicy(ctx context.Context, p Principal) (SignOnPolicy, error) {
	var out SignOnPolicy
	err := s.cfg.DB.ReadSystem(ctx, "read a sign-on policy", func(ctx context.Context, tx *db.Tx) (err error) {
		out, err = s.policyOf(ctx, tx, p.OrgID)
		return err
	})
	return out, err
}

// UpdateSignOnPolicy changes the organisation's policy. nil leaves a part as it is.
func (s *Service) UpdateSignOnPolicy(ctx context.Context, p Principal, mfaRequired *bool) (SignOnPolicy, error) {
	if mfaRequired != nil && !*mfaRequired && s.cfg.MFARequired {
		return SignOnPolicy{}, fault.New(fault.NotPossible, "this installation asks everybody for a second factor (require-second-factor); ask whoever runs it")
	}
	var after SignOnPolicy
	err := s.cfg.DB.InSystem(ctx, "change a sign-on policy", func(ctx context.Context, tx *db.Tx) error {
		before, err := s.policyOf(ctx, tx, p.OrgID)
		if err != nil {
			return err
		}
		if err := etag.Check(ctx, policyKind, before.decided()); err != nil {
			return err
		}
		if mfaRequired == nil {
			after = before
			return nil
		}
		ok, err := affected(tx.NewUpdate().Model((*organisationRow)(nil)).Set("mfa_required = ?", *mfaRequired).Where("id = ?", p.OrgID).Exec(ctx))
		if err != nil {
			return err
		}
		if !ok {
			return fault.New(fault.NotFound, "there is no such organisation")
		}
		if after, err = s.policyOf(ctx, tx, p.OrgID); err != nil {
			return err
		}
		return s.changed(ctx, tx, p.OrgID, "", Change{Action: "organisation.sign_on_policy", Kind: "organisation", ID: p.OrgID, Before: before, After: after})
	})
	s.forgetMember(p.OrgID, "")
	return after, err
}
