package donotcall

import (
	"context"

	"github.com/parley-voice/parley/internal/campaign"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Out implements campaign.OptOuts: the number goes on the organisation's own list in the transaction of what made it so.
func (s *Service) Out(ctx context.Context, tx *db.Tx, o campaign.OptOut) error {
	_, err := s.out(ctx, tx, o)
	return err
}

func (s *Service) out(ctx context.Context, tx *db.Tx, o campaign.OptOut) (Entry, error) {
	now := s.now().UnixMilli()
	list, err := ownList(ctx, tx, now)
	if err != nil {
		return Entry{}, err
	}
	row := numberRow{OrganisationID: tx.OrgID(), ListID: list.ID, Number: o.Number, Source: Source(o.Source), Reason: o.Reason, CallID: o.CallID,
		AddedBy: identity.UserOf(ctx), AddedAt: now}
	added, err := put(ctx, tx, []numberRow{row})
	if err != nil {
		return Entry{}, err
	}
	if added == 0 { // it was asked for before
		rows, err := on(ctx, tx, list.ID, []string{o.Number})
		if err != nil || len(rows) == 0 {
			return row.entry(), err
		}
		return rows[0].entry(), nil
	}
	if err := grew(ctx, tx, list.ID, added, now); err != nil {
		return Entry{}, err
	}
	return row.entry(), identity.Audit(ctx, tx, tx.OrgID(), identity.Change{Action: "do_not_call.opt_out", Kind: kind, ID: list.ID, Reason: o.Reason,
		After: numbersAudit{Numbers: 1, Source: row.Source, Which: hidden([]string{o.Number})}})
}

// OptOut takes a wish not to be called, from outside of a call.
func (s *Service) OptOut(ctx context.Context, orgID, written, country string, o campaign.OptOut) (out Entry, err error) {
	number, ok := Parse(written, country)
	if !ok {
		return out, fault.Field("body.number", "%s", noNumber)
	}
	o.Number = number
	err = s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		out, err = s.out(ctx, tx, o)
		return err
	})
	if err == nil {
		err = s.spread(ctx, orgID, number)
	}
	return out, err
}
