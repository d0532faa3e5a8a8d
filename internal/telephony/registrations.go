package telephony

import (
	"context"
	"slices"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/telephony/sip"
)

// SaveContacts implements sip.Phones.
func (s *Service) SaveContacts(ctx context.Context, username, node string, contacts []sip.Contact) error {
	orgID, found, err := s.Owner(ctx, username)
	if err != nil || !found {
		return err // deleted meanwhile: nothing to remember
	}
	return s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		row, found, err := phoneByName(ctx, tx, username)
		if err != nil || !found {
			return err // deleted meanwhile: nothing to remember
		}
		if node != "" { // another server may save its own at the same time
			if err := tx.Lock(ctx, "registrations "+username); err != nil {
				return err
			}
			others, err := contactsOf(ctx, tx, username, s.c.Clock.Now().UnixMilli())
			if err != nil {
				return err
			}
			contacts = withOthers(node, contacts, others)
		}
		if err := deleteContacts(ctx, tx, row.OrganisationID, username); err != nil {
			return err
		}
		if err := passwordUsed(ctx, tx, row.ID, s.c.Clock.Now().UnixMilli()); err != nil {
			return err
		}
		return insertContacts(ctx, tx, row.OrganisationID, username, contacts)
	})
}

// withOthers adds to the contacts of node what others have. One that is at both is where it lasts longer.
func withOthers(node string, own, stored []sip.Contact) []sip.Contact {
	out := slices.Clone(own)
	for _, c := range stored {
		if c.Node == node || c.Node == "" {
			continue
		}
		i := slices.IndexFunc(out, func(o sip.Contact) bool { return o.URI == c.URI })
		switch {
		case i < 0:
			out = append(out, c)
		case c.ExpiresAt.After(out[i].ExpiresAt):
			out[i] = c
		}
	}
	return out
}

// Elsewhere gives the servers but node that a phone is registered with, as it is stored.
func (s *Service) Elsewhere(ctx context.Context, username, node string) (nodes []string, err error) {
	orgID, found, err := s.Owner(ctx, username)
	if err != nil || !found {
		return nil, err
	}
	var contacts []sip.Contact
	err = s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) (err error) {
		contacts, err = contactsOf(ctx, tx, username, s.c.Clock.Now().UnixMilli())
		return err
	})
	for _, c := range contacts {
		if c.Node != "" && c.Node != node && !slices.Contains(nodes, c.Node) {
			nodes = append(nodes, c.Node)
		}
	}
	return nodes, err
}
