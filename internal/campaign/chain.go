package campaign

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/campaign/ledger"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/hashchain"
)

// decisionRow is a decision as it is stored.
type decisionRow struct {
	bun.BaseModel `bun:"table:campaign_decisions"`

	ID             string `bun:",pk"`
	OrganisationID string `bun:",pk"`
	CampaignID     string
	Seq            int64
	LeadID         string
	Number         string
	Salt           string
	Commitment     string
	At             int64
	Allowed        bool
	Rule           string
	Body           string
	Hash           string
}

// record is the decision as it stands in its chain, after the one whose hash is prev.
func (r *decisionRow) record(prev string) ledger.Record {
	return ledger.Record{Seq: r.Seq, ID: r.ID, At: at(r.At), LeadID: r.LeadID, Number: r.Number, Salt: r.Salt, Commitment: r.Commitment, Allowed: r.Allowed, Rule: r.Rule,
		Body: json.RawMessage(r.Body), PrevHash: prev, Hash: r.Hash}
}

// chainRow is where a campaign's chain of decisions stands. It outlives the campaign.
type chainRow struct {
	bun.BaseModel `bun:"table:decision_chains"`

	OrganisationID string `bun:",pk"`
	CampaignID     string `bun:",pk"`
	Name           string
	Seq            int64
	Hash           string
	BaseSeq        int64
	BaseHash       string
	VerifiedSeq    int64
	VerifiedAt     int64
	BrokenSeq      int64
	BrokenWhy      string
}

type decisionHeadRow struct {
	bun.BaseModel `bun:"table:decision_heads"`

	OrganisationID string `bun:",pk"`
	CampaignID     string `bun:",pk"`
	Seq            int64  `bun:",pk"`
	Hash           string
	Day            string
	At             int64
	KeyID          string
	PublicKey      string
	Signature      string
}

func (r *decisionHeadRow) head() ledger.Head {
	return ledger.Head{Seq: r.Seq, Hash: r.Hash, Date: r.Day, At: at(r.At), KeyID: r.KeyID, PublicKey: r.PublicKey, Signature: r.Signature}
}

// lockChain makes this transaction the only one that changes a campaign's chain, and gives where it stands.
func lockChain(ctx context.Context, tx *db.Tx, campaignID string) (*chainRow, error) {
	if err := tx.Lock(ctx, "decisions of campaign "+campaignID); err != nil {
		return nil, err
	}
	return chainOf(ctx, tx, campaignID)
}

// chainOf gives where a campaign's chain stands. One that has not begun is empty.
func chainOf(ctx context.Context, tx *db.Tx, campaignID string) (*chainRow, error) {
	row := chainRow{OrganisationID: tx.OrgID(), CampaignID: campaignID, Hash: hashchain.Genesis, BaseHash: hashchain.Genesis}
	err := tx.NewSelect().Model(&row).Where("organisation_id = ?", tx.OrgID()).Where("campaign_id = ?", campaignID).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("select chain of decisions: %w", err)
	}
	return &row, nil
}

func (r *chainRow) save(ctx context.Context, tx *db.Tx) error {
	q := tx.NewInsert().Model(r).On("CONFLICT (organisation_id, campaign_id) DO UPDATE").Returning("NULL")
	for _, col := range []string{"name", "seq", "hash", "base_seq", "base_hash", "verified_seq", "verified_at", "broken_seq", "broken_why"} {
		q = q.Set("? = EXCLUDED.?", bun.Ident(col), bun.Ident(col))
	}
	if _, err := q.Exec(ctx); err != nil {
		return fmt.Errorf("save chain of decisions: %w", err)
	}
	return nil
}

// appendDecisions puts decisions at the end of their campaign's chain, in their order.
func appendDecisions(ctx context.Context, tx *db.Tx, campaignID string, rows []decisionRow) error {
	if len(rows) == 0 {
		return nil
	}
	chain, err := lockChain(ctx, tx, campaignID)
	if err != nil {
		return err
	}
	var names []string
	err = tx.NewRaw("SELECT name FROM campaigns WHERE organisation_id = ? AND id = ?", tx.OrgID(), campaignID).Scan(ctx, &names)
	if err != nil {
		return fmt.Errorf("select a campaign's name: %w", err)
	}
	if len(names) > 0 {
		chain.Name = names[0]
	}
	salts := make([]byte, ledger.SaltBytes*len(rows))
	_, _ = rand.Read(salts) // never fails
	for i := range rows {
		r := &rows[i]
		r.Salt = hex.EncodeToString(salts[i*ledger.SaltBytes : (i+1)*ledger.SaltBytes])
		r.Commitment = ledger.Commit(r.Number, r.Salt)
		r.Seq = chain.Seq + 1
		rec := r.record(chain.Hash)
		r.Hash = rec.Sum(tx.OrgID(), campaignID)
		chain.Seq, chain.Hash = r.Seq, r.Hash
	}
	for chunk := range slices.Chunk(rows, rowsAtOnce) {
		if _, err := tx.NewInsert().Model(&chunk).Returning("NULL").Exec(ctx); err != nil {
			return fmt.Errorf("insert decisions: %w", err)
		}
	}
	return chain.save(ctx, tx)
}
