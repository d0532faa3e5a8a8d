package identity

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// personal is what an organisation's account data has of a person.
type personal struct {
	Member      *Member      `json:"member"`
	Invitations []Invitation `json:"invitations"`
}

// personalOf finds a person by e-mail address; addresses are kept in lower case.
func (s *Service) personalOf(ctx context.Context, org, email string) (p personal, err error) {
	p.Invitations = []Invitation{}
	err = s.cfg.DB.ReadSystem(ctx, "find a person's account", func(ctx context.Context, tx *db.Tx) error {
		list, err := membersWhere(ctx, tx, org, 1, "u.email = ?", email)
		if len(list) > 0 {
			p.Member = &list[0]
		}
		return err
	})
	if err != nil {
		return p, err
	}
	err = s.cfg.DB.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		var rows []invitationRow
		err := tx.NewSelect().Model(&rows).Where("organisation_id = ? AND email = ?", org, email).Scan(ctx)
		for i := range rows {
			p.Invitations = append(p.Invitations, s.invitation(&rows[i]))
		}
		return err
	})
	return p, err
}

// ExportPerson hands over a person's account in the organisation and invitations to it.
func (s *Service) ExportPerson(ctx context.Context, org, needle string, match func(string) bool, put func(string, func(io.Writer) error) error) error {
	if !match(needle) { // no address, but a part of a number
		return nil
	}
	p, err := s.personalOf(ctx, org, needle)
	if err != nil || p.Member == nil && len(p.Invitations) == 0 {
		return err
	}
	return put("account.json", func(w io.Writer) error { return json.NewEncoder(w).Encode(p) })
}

// ErasePerson takes a person out of the organisation, and forgets the account where it belongs to no other. The last owner
// stays: without one nobody could ask for anything any more.
func (s *Service) ErasePerson(ctx context.Context, org, needle string, match func(string) bool, keep func(string, ...string) bool) (map[string]int64, int64, error) {
	if !match(needle) {
		return nil, 0, nil
	}
	p, err := s.personalOf(ctx, org, needle)
	if err != nil || p.Member == nil && len(p.Invitations) == 0 {
		return nil, 0, err
	}
	if keep("", needle) {
		return nil, 1, nil
	}
	erased, kept := map[string]int64{}, int64(0)
	system := Principal{OrgID: org, Role: RoleOwner, Permissions: []string{"*"}} // who asked was allowed to erase
	if p.Member != nil {
		switch err := s.RemoveMember(ctx, system, p.Member.UserID); {
		case fault.Is(err, fault.NotPossible):
			kept++
		case err != nil:
			return erased, kept, fmt.Errorf("erase an account: %w", err)
		default:
			erased["accounts"]++
		}
	}
	for _, inv := range p.Invitations {
		if err := s.RevokeInvitation(ctx, system, inv.ID); err != nil && !fault.Is(err, fault.NotFound) {
			return erased, kept, fmt.Errorf("erase an invitation: %w", err)
		}
		erased["invitations"]++
	}
	return erased, kept, nil
}
