package compliance

import (
	"context"
	"database/sql"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/hashchain"
)

const checkMost = 20_000 // entries that a look at the state verifies, besides what the daily job has

// AuditFilter says which entries are wanted. Empty fields do not filter.
type AuditFilter struct {
	Actor    string // a person, a token, an agent
	Action   string // agent.publish, or agent.* for all of agent
	Kind     string
	ObjectID string
	Outcome  string
	IP       string
	From, To time.Time
}

func (f *AuditFilter) empty() bool { return *f == AuditFilter{} }

func (f *AuditFilter) where(q *bun.SelectQuery) *bun.SelectQuery {
	if f.Actor != "" {
		q = q.Where("(e.actor_id = ? OR e.token_id = ? OR e.impersonator_id = ?)", f.Actor, f.Actor, f.Actor)
	}
	if area, ok := strings.CutSuffix(f.Action, ".*"); ok {
		q = q.Where("e.action >= ? AND e.action < ?", area+".", area+"/") // "/" follows "."
	} else if f.Action != "" {
		q = q.Where("e.action = ?", f.Action)
	}
	for col, v := range map[string]string{"kind": f.Kind, "object_id": f.ObjectID, "outcome": f.Outcome, "ip": f.IP} {
		if v != "" {
			q = q.Where("e.? = ?", bun.Ident(col), v)
		}
	}
	if !f.From.IsZero() {
		q = q.Where("e.at >= ?", f.From.UnixMilli())
	}
	if !f.To.IsZero() {
		q = q.Where("e.at < ?", f.To.UnixMilli())
	}
	return q
}

// Entries gives a page of a chain's entries, of what people in ctx's reach did, newest first, and the cursor of the next.
func (s *Service) Entries(ctx context.Context, org string, f AuditFilter, cursor string, limit int) ([]AuditEntry, string, error) {
	before := int64(0)
	if cursor != "" {
		var err error
		if before, err = strconv.ParseInt(cursor, 10, 64); err != nil || before < 1 {
			return nil, "", fault.Field("query.cursor", "this is no cursor of this list; use the value of next of an earlier page")
		}
	}
	c := chain{s.cfg.DB, org}
	var rows []entryRow
	err := c.read(ctx, "read the platform log", func(ctx context.Context, tx *db.Tx) error {
		q := f.where(tx.NewSelect().Model(&rows).ModelTableExpr("? AS e", bun.Ident(c.table("audit_entries"))).Where("e.organisation_id = ?", org))
		q = identity.ScopeOf(ctx).Where(q, "e.actor_id")
		if before > 0 {
			q = q.Where("e.seq < ?", before)
		}
		return q.OrderExpr("e.seq DESC").Limit(int64(limit) + 1).Scan(ctx)
	})
	if err != nil {
		return nil, "", fmt.Errorf("read the audit trail: %w", err)
	}
	next := ""
	if len(rows) > limit {
		rows = rows[:limit]
		next = strconv.FormatInt(rows[limit-1].Seq, 10)
	}
	out := make([]AuditEntry, len(rows))
	for i := range rows {
		out[i] = rows[i].entry()
	}
	return out, next, nil
}

// AuditState is what is known of a chain.
type AuditState struct {
	Entries    int64        `json:"entries" doc:"That are kept"`
	First      int64        `json:"first" doc:"Number of the first that is kept"`
	Last       int64        `json:"last"`
	LastHash   string       `json:"lastHash"`
	SignedHead *AuditHead   `json:"signedHead" doc:"The newest; null before the first daily signature"`
	Verified   int64        `json:"verified" doc:"The chain was proved up to this entry"`
	VerifiedAt *time.Time   `json:"verifiedAt" doc:"When the whole chain was last proved by the daily job"`
	Intact     bool         `json:"intact"`
	Broken     *AuditBroken `json:"broken"`
}

// AuditBroken is the first link that does not hold.
type AuditBroken struct {
	Seq int64  `json:"seq"`
	Why string `json:"why"`
}

// State gives the state of a chain. What was appended since the daily proof is proved now, up to checkMost entries.
func (s *Service) State(ctx context.Context, org string) (AuditState, error) {
	c := chain{s.cfg.DB, org}
	var v AuditState
	var row chainRow
	var base *entryRow
	err := c.read(ctx, "read the platform log's state", func(ctx context.Context, tx *db.Tx) (err error) {
		if row, err = c.state(ctx, tx, false); err != nil {
			return err
		}
		head, err := c.lastHead(ctx, tx)
		if err != nil {
			return err
		}
		if head != nil {
			h := head.head()
			v.SignedHead = &h
		}
		if row.VerifiedSeq > row.BaseSeq {
			base, err = c.entry(ctx, tx, row.VerifiedSeq)
		}
		return err
	})
	if err != nil {
		return v, fmt.Errorf("read the audit trail's state: %w", err)
	}
	v.Entries, v.First, v.Last, v.LastHash, v.VerifiedAt = row.Seq-row.BaseSeq, row.BaseSeq+1, row.Seq, row.Hash, optional(row.VerifiedAt)
	if row.BrokenSeq != nil {
		v.Verified, v.Broken = *row.BrokenSeq-1, &AuditBroken{*row.BrokenSeq, row.BrokenWhy}
		return v, nil
	}
	w := newWalker(org, row.BaseSeq, row.BaseHash)
	if base != nil {
		w.Seq, w.Hash = base.Seq, base.Hash
	}
	b, err := s.catchUp(ctx, c, &w, row)
	if err != nil {
		return v, err
	}
	v.Verified, v.Intact = w.Seq, b == nil
	if b != nil {
		v.Broken = &AuditBroken{b.Seq, b.Why}
	}
	return v, nil
}

func (c chain) entry(ctx context.Context, tx *db.Tx, seq int64) (*entryRow, error) {
	var row entryRow
	err := tx.NewSelect().Model(&row).ModelTableExpr("? AS e", bun.Ident(c.table("audit_entries"))).
		Where("e.organisation_id = ? AND e.seq = ?", c.org, seq).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // nothing is an answer
	}
	return &row, err
}

func (s *Service) catchUp(ctx context.Context, c chain, w *walker, row chainRow) (*Broken, error) {
	until := min(row.Seq, w.Seq+checkMost)
	for w.Seq < until {
		if b, err := s.walkPage(ctx, c, w, until, nil); b != nil || err != nil {
			return b, err
		}
	}
	if w.Seq == row.Seq && w.Hash != row.Hash {
		return broke(w.Seq, "it is not the entry that was appended last"), nil
	}
	return nil, nil
}

// ExportPart writes the entries that a filter lets through, newest first: no chain, and not to be verified.
func (s *Service) ExportPart(ctx context.Context, org string, f AuditFilter, w io.Writer) error {
	b, err := hashchain.Line(headerLine{Type: "header", Format: partFormat, OrganisationID: org, At: s.clock.Now().UTC().Truncate(time.Millisecond)})
	if err == nil {
		_, err = w.Write(b)
	}
	if err != nil {
		return err
	}
	return s.each(ctx, org, f, func(e *AuditEntry) error {
		b, err := hashchain.Line(entryLine{"entry", *e})
		if err == nil {
			_, err = w.Write(b)
		}
		return err
	})
}

// ExportTable writes entries as CSV (RFC 4180), newest first.
func (s *Service) ExportTable(ctx context.Context, org string, f AuditFilter, w io.Writer) error {
	out := csv.NewWriter(w)
	err := out.Write([]string{"seq", "id", "at", "actorKind", "actorId", "tokenId", "impersonatorId", "action", "outcome", "kind", "objectId", "before",
		"after", "reason", "ip", "userAgent", "requestId", "operation", "hash"})
	if err != nil {
		return err
	}
	err = s.each(ctx, org, f, func(e *AuditEntry) error {
		row := []string{strconv.FormatInt(e.Seq, 10), e.ID, e.At.Format(time.RFC3339Nano), e.ActorKind, e.ActorID, e.TokenID, e.ImpersonatorID, e.Action,
			e.Outcome, e.Kind, e.ObjectID, side(e.Before), side(e.After), e.Reason, e.IP, e.UserAgent, e.RequestID, e.Operation, e.Hash}
		for i := range row {
			row[i] = harmless(row[i])
		}
		return out.Write(row)
	})
	if err != nil {
		return err
	}
	out.Flush()
	return out.Error()
}

// harmless keeps a spreadsheet from taking a cell for a formula (https://owasp.org/www-community/attacks/CSV_Injection).
func harmless(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

func (s *Service) each(ctx context.Context, org string, f AuditFilter, fn func(*AuditEntry) error) error {
	for cursor := ""; ; {
		items, next, err := s.Entries(ctx, org, f, cursor, pageSize)
		if err != nil {
			return err
		}
		for i := range items {
			if err := fn(&items[i]); err != nil {
				return err
			}
		}
		if next == "" {
			return nil
		}
		cursor = next
	}
}
