package campaign

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/parley-voice/parley/internal/campaign/ledger"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/hashchain"
)

// decisionPage is how many decisions are read at once.
const decisionPage = 500

// chains gives an organisation's chains of decisions.
func (s *Service) chains(ctx context.Context, orgID string) (rows []chainRow, err error) {
	err = s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model(&rows).Where("organisation_id = ?", orgID).OrderExpr("campaign_id").Scan(ctx)
	})
	return rows, err
}

// links reads a chain's decisions from one on to the one where it stands now, page by page, with each one's predecessor's hash.
func (s *Service) links(ctx context.Context, chain *chainRow, fn func(r ledger.Record) error) error {
	seq, prev := chain.BaseSeq, chain.BaseHash
	for seq < chain.Seq {
		var rows []decisionRow
		err := s.c.DB.ReadTenant(ctx, chain.OrganisationID, func(ctx context.Context, tx *db.Tx) error {
			return tx.NewSelect().Model(&rows).Where("organisation_id = ?", chain.OrganisationID).Where("campaign_id = ?", chain.CampaignID).
				Where("seq > ?", seq).Where("seq <= ?", chain.Seq).OrderExpr("seq").Limit(decisionPage).Scan(ctx)
		})
		if err != nil {
			return fmt.Errorf("read decisions: %w", err)
		}
		if len(rows) == 0 {
			return nil // whoever reads sees what is missing
		}
		for i := range rows {
			if err := fn(rows[i].record(prev)); err != nil {
				return err
			}
			seq, prev = rows[i].Seq, rows[i].Hash
		}
	}
	return nil
}

func (s *Service) decisionHeads(ctx context.Context, chain *chainRow) (rows []decisionHeadRow, err error) {
	err = s.c.DB.ReadTenant(ctx, chain.OrganisationID, func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model(&rows).Where("organisation_id = ?", chain.OrganisationID).Where("campaign_id = ?", chain.CampaignID).Where("seq >= ?", chain.BaseSeq).OrderExpr("seq").Scan(ctx)
	})
	return rows, err
}

// ExportDecisions writes a campaign's chain of decisions, or all of an organisation's where campaignID is "", with their signed
// heads and a signed end each: ledger.Verify proves it without a server.
func (s *Service) ExportDecisions(ctx context.Context, orgID, campaignID string, w io.Writer) error {
	if s.c.Signer == nil {
		return fault.New(fault.Unavailable, "this process has no key to sign decisions with")
	}
	all, err := s.chains(ctx, orgID)
	if err != nil {
		return err
	}
	found := false
	for i := range all {
		if campaignID == "" || all[i].CampaignID == campaignID {
			found = true
			if err := s.exportChain(ctx, &all[i], w); err != nil {
				return err
			}
		}
	}
	if !found && campaignID != "" { // nothing was decided yet: an empty chain
		return s.exportChain(ctx, &chainRow{OrganisationID: orgID, CampaignID: campaignID, Hash: hashchain.Genesis, BaseHash: hashchain.Genesis}, w)
	}
	return nil
}

func (s *Service) exportChain(ctx context.Context, chain *chainRow, w io.Writer) error {
	heads, err := s.decisionHeads(ctx, chain)
	if err != nil {
		return err
	}
	out, err := ledger.NewWriter(w, ledger.Header{OrganisationID: chain.OrganisationID, CampaignID: chain.CampaignID, Campaign: chain.Name, BaseSeq: chain.BaseSeq, BaseHash: chain.BaseHash, At: s.now()})
	if err != nil {
		return err
	}
	upTo := func(seq int64) error {
		for len(heads) > 0 && heads[0].Seq <= seq {
			if err := out.Head(heads[0].head()); err != nil {
				return err
			}
			heads = heads[1:]
		}
		return nil
	}
	if err := upTo(chain.BaseSeq); err != nil {
		return err
	}
	err = s.links(ctx, chain, func(r ledger.Record) error {
		if err := out.Record(r); err != nil {
			return err
		}
		return upTo(r.Seq)
	})
	if err != nil {
		return err
	}
	return out.End(s.c.Signer, chain.Seq, chain.Hash)
}

// SealDecisions verifies each chain of an organisation from its first decision and signs its end: the daily job. One that is
// broken is not signed, and says so in the audit trail.
func (s *Service) SealDecisions(ctx context.Context, orgID string) error {
	all, err := s.chains(ctx, orgID)
	for i := range all {
		if e := s.sealChain(ctx, &all[i]); e != nil {
			err = errors.Join(err, fmt.Errorf("decisions of campaign %s: %w", all[i].CampaignID, e))
		}
	}
	return err
}

func (s *Service) sealChain(ctx context.Context, chain *chainRow) error {
	broken, err := s.walkChain(ctx, chain)
	if err != nil {
		return err
	}
	if broken != nil {
		s.c.Log.ErrorContext(ctx, "the decisions of a campaign are not what they were", "campaign", chain.CampaignID, "decision", broken.Seq, "why", broken.Why)
	}
	return s.c.DB.InTenant(ctx, chain.OrganisationID, func(ctx context.Context, tx *db.Tx) error {
		row, err := lockChain(ctx, tx, chain.CampaignID)
		if err != nil {
			return err
		}
		now := s.now()
		first := broken != nil && row.BrokenSeq == 0
		row.VerifiedAt, row.VerifiedSeq, row.BrokenSeq, row.BrokenWhy = now.UnixMilli(), chain.Seq, 0, ""
		if broken != nil {
			row.VerifiedSeq, row.BrokenSeq, row.BrokenWhy = broken.Seq-1, max(broken.Seq, 1), broken.Why
		}
		if err := row.save(ctx, tx); err != nil {
			return err
		}
		if first {
			return identity.Audit(ctx, tx, tx.OrgID(), identity.Change{Action: "decisions.broken", Kind: "campaign", ID: chain.CampaignID, Outcome: identity.OutcomeFailed, Reason: broken.Error()})
		}
		if broken != nil || s.c.Signer == nil || chain.Seq <= row.BaseSeq {
			return nil
		}
		h, err := ledger.Sign(s.c.Signer, tx.OrgID(), chain.CampaignID, chain.Seq, chain.Hash, now)
		if err != nil {
			return fmt.Errorf("sign decisions: %w", err)
		}
		head := &decisionHeadRow{OrganisationID: tx.OrgID(), CampaignID: chain.CampaignID, Seq: h.Seq, Hash: h.Hash, Day: h.Date, At: h.At.UnixMilli(), KeyID: h.KeyID, PublicKey: h.PublicKey, Signature: h.Signature}
		_, err = tx.NewInsert().Model(head).On("CONFLICT (organisation_id, campaign_id, seq) DO NOTHING").Returning("NULL").Exec(ctx)
		return err
	})
}

// walkChain verifies a chain as it is now.
func (s *Service) walkChain(ctx context.Context, chain *chainRow) (*hashchain.Broken, error) {
	heads, err := s.decisionHeads(ctx, chain)
	if err != nil {
		return nil, err
	}
	w := ledger.Walker{Walker: hashchain.Walker{Seq: chain.BaseSeq, Hash: chain.BaseHash}, Org: chain.OrganisationID, Campaign: chain.CampaignID}
	var broken *hashchain.Broken
	stop := errors.New("broken")
	headsUpTo := func() error {
		for len(heads) > 0 && heads[0].Seq <= w.Seq {
			h := heads[0].head()
			if broken = w.TakeHead(&h); broken != nil {
				return stop
			}
			heads = heads[1:]
		}
		return nil
	}
	err = headsUpTo()
	if err == nil {
		err = s.links(ctx, chain, func(r ledger.Record) error {
			if broken = w.Take(&r); broken != nil {
				return stop
			}
			return headsUpTo()
		})
	}
	switch {
	case errors.Is(err, stop):
		return broken, nil
	case err != nil:
		return nil, err
	case w.Seq < chain.Seq:
		return &hashchain.Broken{Seq: w.Seq + 1, Why: "it is missing"}, nil
	case w.Hash != chain.Hash:
		return &hashchain.Broken{Seq: w.Seq, Why: "it is not the decision that was made last"}, nil
	}
	return nil, nil
}

// ClassDecisions is the class of data that Purge knows.
const ClassDecisions = "decisions"

// Purge deletes decisions from before a time, chain by chain, each up to the last signed head from before it: the chain then
// begins after that head, which stays and proves it. Decisions about numbers that are held stay, with all after them.
func (s *Service) Purge(ctx context.Context, orgID, class string, before time.Time, keep func(id string, parties ...string) bool) (map[string]int64, error) {
	done := map[string]int64{}
	if class != ClassDecisions {
		return done, nil
	}
	all, err := s.chains(ctx, orgID)
	for i := range all {
		n, e := s.trimChain(ctx, &all[i], before, keep)
		done["decisions"] += n
		err = errors.Join(err, e)
	}
	return done, err
}

func (s *Service) trimChain(ctx context.Context, chain *chainRow, before time.Time, keep func(id string, parties ...string) bool) (deleted int64, err error) {
	for {
		n := int64(0)
		err := s.c.DB.InTenant(ctx, chain.OrganisationID, func(ctx context.Context, tx *db.Tx) (err error) {
			n, err = trimOne(ctx, tx, chain.CampaignID, before, keep)
			return err
		})
		deleted += n
		if err != nil || n == 0 {
			return deleted, err
		}
	}
}

// trimOne deletes the decisions up to the next head, and gives how many.
func trimOne(ctx context.Context, tx *db.Tx, campaignID string, before time.Time, keep func(id string, parties ...string) bool) (int64, error) {
	row, err := lockChain(ctx, tx, campaignID)
	if err != nil || row.BrokenSeq > 0 { // what is broken is evidence
		return 0, err
	}
	var heads []decisionHeadRow
	err = tx.NewSelect().Model(&heads).Where("organisation_id = ?", tx.OrgID()).Where("campaign_id = ?", campaignID).Where("seq > ?", row.BaseSeq).Where("at < ?", before.UnixMilli()).OrderExpr("seq").Limit(1).Scan(ctx)
	if err != nil || len(heads) == 0 {
		return 0, err
	}
	head := heads[0]
	var numbers []string
	err = tx.NewRaw("SELECT DISTINCT number FROM campaign_decisions WHERE organisation_id = ? AND campaign_id = ? AND seq <= ?", tx.OrgID(), campaignID, head.Seq).Scan(ctx, &numbers)
	if err != nil {
		return 0, err
	}
	for _, n := range numbers {
		if keep != nil && keep("", n) {
			return 0, nil
		}
	}
	res, err := tx.ExecContext(ctx, "DELETE FROM campaign_decisions WHERE organisation_id = ? AND campaign_id = ? AND seq <= ?", tx.OrgID(), campaignID, head.Seq)
	if err != nil {
		return 0, fmt.Errorf("delete decisions: %w", err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return 0, err
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM decision_heads WHERE organisation_id = ? AND campaign_id = ? AND seq < ?", tx.OrgID(), campaignID, head.Seq); err != nil {
		return 0, err
	}
	row.BaseSeq, row.BaseHash = head.Seq, head.Hash
	if err := row.save(ctx, tx); err != nil {
		return 0, err
	}
	return n, identity.Audit(ctx, tx, tx.OrgID(), identity.Change{Action: "retention.delete", Kind: "decisions", ID: campaignID, After: map[string]int64{"decisions": n, "upTo": head.Seq}})
}
