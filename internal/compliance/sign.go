package compliance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/hashchain"
)

// Seal verifies each chain from its first entry and signs its head: the daily job. A chain that is broken is not signed;
// that it is broken is logged, shown, and noted in the platform log.
func (s *Service) Seal(ctx context.Context) error {
	err := s.everyOrganisation(ctx, s.seal)
	return errors.Join(err, s.seal(ctx, identity.Platform))
}

func (s *Service) seal(ctx context.Context, org string) error {
	c := chain{s.cfg.DB, org}
	w, broken, err := s.walk(ctx, c)
	if err != nil {
		return fmt.Errorf("verify the audit trail of %s: %w", org, err)
	}
	var first bool
	err = c.write(ctx, "sign the platform log", func(ctx context.Context, tx *db.Tx) error {
		row, err := c.lock(ctx, tx)
		if err != nil {
			return err
		}
		now := tx.Now().UnixMilli()
		row.VerifiedAt, row.VerifiedSeq = &now, w.Seq
		if broken != nil {
			first = row.BrokenSeq == nil
			row.BrokenSeq, row.BrokenWhy = &broken.Seq, broken.Why
			return c.save(ctx, tx, &row)
		}
		row.BrokenSeq, row.BrokenWhy = nil, ""
		if err := c.save(ctx, tx, &row); err != nil || w.Seq == 0 {
			return err
		}
		return s.sign(ctx, tx, c, w)
	})
	if err == nil && broken != nil {
		s.log.ErrorContext(ctx, "the audit trail of an organisation is broken", "organisation", org, "entry", broken.Seq, "why", broken.Why)
		if first {
			err = s.noteBroken(ctx, org, broken)
		}
	}
	return err
}

func (s *Service) noteBroken(ctx context.Context, org string, b *Broken) error {
	return s.cfg.DB.InSystem(ctx, "note that a chain is broken", func(ctx context.Context, tx *db.Tx) error {
		return identity.Audit(ctx, tx, identity.Platform, identity.Change{Action: "audit.broken", Kind: "organisation", ID: org,
			Outcome: identity.OutcomeFailed, Reason: b.Error()})
	})
}

// walk verifies a chain as it is now, page by page.
func (s *Service) walk(ctx context.Context, c chain) (*walker, *Broken, error) {
	var state chainRow
	var heads []headRow
	err := c.read(ctx, "verify the platform log", func(ctx context.Context, tx *db.Tx) (err error) {
		if state, err = c.state(ctx, tx, false); err != nil {
			return err
		}
		heads, err = c.heads(ctx, tx)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	at := newWalker(c.org, state.BaseSeq, state.BaseHash)
	w := &at
	for len(heads) > 0 && heads[0].Seq < w.Seq {
		heads = heads[1:]
	}
	for {
		for len(heads) > 0 && heads[0].Seq == w.Seq {
			h := heads[0].head()
			if b := w.head(&h); b != nil {
				return w, b, nil
			}
			heads = heads[1:]
		}
		if w.Seq >= state.Seq {
			break
		}
		b, err := s.walkPage(ctx, c, w, state.Seq, heads)
		if b != nil || err != nil {
			return w, b, err
		}
	}
	if w.Hash != state.Hash {
		return w, broke(w.Seq, "it is not the entry that was appended last"), nil
	}
	if len(heads) > 0 && heads[0].Seq > w.Seq {
		h := heads[0].head()
		return w, w.head(&h), nil
	}
	return w, nil, nil
}

// walkPage goes on to the next signed head, or a page.
func (s *Service) walkPage(ctx context.Context, c chain, w *walker, upTo int64, heads []headRow) (*Broken, error) {
	if len(heads) > 0 {
		upTo = min(upTo, heads[0].Seq)
	}
	var rows []entryRow
	err := c.read(ctx, "verify the platform log", func(ctx context.Context, tx *db.Tx) (err error) {
		rows, err = c.page(ctx, tx, w.Seq, upTo, pageSize)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return broke(w.Seq+1, "it is missing"), nil
	}
	for i := range rows {
		e := rows[i].entry()
		if b := w.step(&e); b != nil {
			return b, nil
		}
	}
	return nil, nil
}

// sign signs the entry at which w stands, unless it is signed already.
func (s *Service) sign(ctx context.Context, tx *db.Tx, c chain, w *walker) error {
	last, err := c.lastHead(ctx, tx)
	if err != nil || last != nil && last.Seq >= w.Seq {
		return err
	}
	now := tx.Now().UTC()
	h := AuditHead{Seq: w.Seq, Hash: w.Hash, Date: now.Format(time.DateOnly), At: now.Truncate(time.Millisecond)}
	sig, err := s.cfg.Signer.Sign(h.payload(c.org))
	if err != nil {
		return fmt.Errorf("sign the audit trail: %w", err)
	}
	row := &headRow{OrganisationID: c.org, Seq: h.Seq, Hash: h.Hash, Day: h.Date, At: h.At.UnixMilli(), KeyID: sig.KeyID,
		PublicKey: hashchain.Encode64(sig.Public), Signature: hashchain.Encode64(sig.Bytes)}
	_, err = tx.NewInsert().Model(row).ModelTableExpr("?", bun.Ident(c.table("audit_heads"))).Exec(ctx)
	return err
}
