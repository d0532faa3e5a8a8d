package compliance

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
)

const (
	insertRows  = 100
	insertBytes = 256 << 10 // of one statement; SQLite takes a million
	pageSize    = 500
)

type chainRow struct {
	bun.BaseModel `bun:"table:audit_chains,alias:c"`

	OrganisationID string `bun:"organisation_id,pk"`
	Seq            int64  `bun:"seq"`
	Hash           string `bun:"hash"`
	BaseSeq        int64  `bun:"base_seq"`
	BaseHash       string `bun:"base_hash"`
	VerifiedSeq    int64  `bun:"verified_seq"`
	VerifiedAt     *int64 `bun:"verified_at"`
	BrokenSeq      *int64 `bun:"broken_seq"`
	BrokenWhy      string `bun:"broken_why"`
}

type entryRow struct {
	bun.BaseModel `bun:"table:audit_entries,alias:e"`

	Seq            int64  `bun:"seq,pk"`
	OrganisationID string `bun:"organisation_id,pk"`
	ID             string `bun:"id"`
	At             int64  `bun:"at"`
	ActorKind      string `bun:"actor_kind"`
	ActorID        string `bun:"actor_id"`
	TokenID        string `bun:"token_id"`
	ImpersonatorID string `bun:"impersonator_id"`
	Action         string `bun:"action"`
	Outcome        string `bun:"outcome"`
	Kind           string `bun:"kind"`
	ObjectID       string `bun:"object_id"`
	Before         string `bun:"before_state"`
	After          string `bun:"after_state"`
	Reason         string `bun:"reason"`
	IP             string `bun:"ip"`
	UserAgent      string `bun:"user_agent"`
	RequestID      string `bun:"request_id"`
	Operation      string `bun:"operation"`
	PrevHash       string `bun:"prev_hash"`
	Hash           string `bun:"hash"`
}

type headRow struct {
	bun.BaseModel `bun:"table:audit_heads,alias:h"`

	OrganisationID string `bun:"organisation_id,pk"`
	Seq            int64  `bun:"seq,pk"`
	Hash           string `bun:"hash"`
	Day            string `bun:"day"`
	At             int64  `bun:"at"`
	KeyID          string `bun:"key_id"`
	PublicKey      string `bun:"public_key"`
	Signature      string `bun:"signature"`
}

func newEntryRow(org string, e *AuditEntry) entryRow {
	return entryRow{Seq: e.Seq, OrganisationID: org, ID: e.ID, At: e.At.UnixMilli(), ActorKind: e.ActorKind, ActorID: e.ActorID, TokenID: e.TokenID,
		ImpersonatorID: e.ImpersonatorID, Action: e.Action, Outcome: e.Outcome, Kind: e.Kind, ObjectID: e.ObjectID, Before: side(e.Before),
		After: side(e.After), Reason: e.Reason, IP: e.IP, UserAgent: e.UserAgent, RequestID: e.RequestID, Operation: e.Operation,
		PrevHash: e.PrevHash, Hash: e.Hash}
}

func (r *entryRow) entry() AuditEntry {
	return AuditEntry{Seq: r.Seq, ID: r.ID, At: fromMillis(r.At), ActorKind: r.ActorKind, ActorID: r.ActorID, TokenID: r.TokenID,
		ImpersonatorID: r.ImpersonatorID, Action: r.Action, Outcome: r.Outcome, Kind: r.Kind, ObjectID: r.ObjectID, Before: raw(r.Before),
		After: raw(r.After), Reason: r.Reason, IP: r.IP, UserAgent: r.UserAgent, RequestID: r.RequestID, Operation: r.Operation,
		PrevHash: r.PrevHash, Hash: r.Hash}
}

func (r *headRow) head() AuditHead {
	return AuditHead{Seq: r.Seq, Hash: r.Hash, Date: r.Day, At: fromMillis(r.At), KeyID: r.KeyID, PublicKey: r.PublicKey, Signature: r.Signature}
}

func raw(s string) json.RawMessage {
	if s == "" {
		return nil
	}
	return json.RawMessage(s)
}

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// chain is where one organisation's entries are, or the platform's.
type chain struct {
	db  *db.DB
	org string
}

func (c chain) platform() bool { return c.org == identity.Platform }

// table gives the name of one of the chain's tables.
func (c chain) table(name string) string {
	if !c.platform() {
		return name
	}
	return map[string]string{"audit_chains": "platform_chains", "audit_entries": "platform_log", "audit_heads": "platform_heads"}[name]
}

func (c chain) write(ctx context.Context, why string, fn func(context.Context, *db.Tx) error) error {
	if c.platform() {
		return c.db.InSystem(ctx, why, fn)
	}
	return c.db.InTenant(ctx, c.org, fn)
}

func (c chain) read(ctx context.Context, why string, fn func(context.Context, *db.Tx) error) error {
	if c.platform() {
		return c.db.ReadSystem(ctx, why, fn)
	}
	return c.db.ReadTenant(ctx, c.org, fn)
}

// state reads the chain's own row; an empty chain has none.
func (c chain) state(ctx context.Context, tx *db.Tx, lock bool) (chainRow, error) {
	row := chainRow{OrganisationID: c.org, Hash: genesis, BaseHash: genesis}
	q := tx.NewSelect().Model(&row).ModelTableExpr("? AS c", bun.Ident(c.table("audit_chains"))).Where("c.organisation_id = ?", c.org)
	if lock && tx.Dialect() == db.Postgres {
		q = q.For("UPDATE")
	}
	err := q.Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return row, err
}

// lock makes this transaction the chain's only appender until it ends, and gives the chain's state.
func (c chain) lock(ctx context.Context, tx *db.Tx) (chainRow, error) {
	row := chainRow{OrganisationID: c.org, Hash: genesis, BaseHash: genesis}
	_, err := tx.NewInsert().Model(&row).ModelTableExpr("?", bun.Ident(c.table("audit_chains"))).On("CONFLICT (organisation_id) DO NOTHING").
		Returning("NULL").Exec(ctx)
	if err != nil {
		return row, fmt.Errorf("begin the chain: %w", err)
	}
	return c.state(ctx, tx, true)
}

func (c chain) save(ctx context.Context, tx *db.Tx, row *chainRow) error {
	_, err := tx.NewUpdate().Model(row).ModelTableExpr("? AS c", bun.Ident(c.table("audit_chains"))).
		Set("seq = ?", row.Seq).Set("hash = ?", row.Hash).Set("base_seq = ?", row.BaseSeq).Set("base_hash = ?", row.BaseHash).
		Set("verified_seq = ?", row.VerifiedSeq).Set("verified_at = ?", row.VerifiedAt).Set("broken_seq = ?", row.BrokenSeq).
		Set("broken_why = ?", row.BrokenWhy).Where("c.organisation_id = ?", c.org).Exec(ctx)
	return err
}

// append adds entries in their order, leaving out those that are in the chain already, and gives how many were added.
func (c chain) append(ctx context.Context, entries []AuditEntry) (added int, err error) {
	err = c.write(ctx, "append to the platform log", func(ctx context.Context, tx *db.Tx) error {
		row, err := c.lock(ctx, tx)
		if err != nil {
			return err
		}
		known, err := c.known(ctx, tx, entries)
		if err != nil {
			return err
		}
		var rows []entryRow
		for i := range entries {
			e := entries[i]
			if known[e.ID] {
				continue
			}
			known[e.ID] = true
			e.Seq, e.PrevHash = row.Seq+1, row.Hash
			e.Hash = e.sum(c.org)
			row.Seq, row.Hash = e.Seq, e.Hash
			rows = append(rows, newEntryRow(c.org, &e))
		}
		if added = len(rows); added == 0 {
			return nil
		}
		if err := c.insert(ctx, tx, rows); err != nil {
			return err
		}
		return c.save(ctx, tx, &row)
	})
	return added, err
}

func (c chain) known(ctx context.Context, tx *db.Tx, entries []AuditEntry) (map[string]bool, error) {
	ids := make([]string, len(entries))
	for i := range entries {
		ids[i] = entries[i].ID
	}
	var found []string
	err := tx.NewSelect().Model((*entryRow)(nil)).ModelTableExpr("? AS e", bun.Ident(c.table("audit_entries"))).Column("id").
		Where("e.organisation_id = ? AND e.id IN (?)", c.org, bun.List(ids)).Scan(ctx, &found)
	known := make(map[string]bool, len(entries))
	for _, id := range found {
		known[id] = true
	}
	return known, err
}

// insert writes rows in statements that are not too large.
func (c chain) insert(ctx context.Context, tx *db.Tx, rows []entryRow) error {
	for len(rows) > 0 {
		n, size := 0, 0
		for n < len(rows) && n < insertRows && (n == 0 || size < insertBytes) {
			size += len(rows[n].Before) + len(rows[n].After) + len(rows[n].Reason) + 1024
			n++
		}
		part := rows[:n]
		_, err := tx.NewInsert().Model(&part).ModelTableExpr("?", bun.Ident(c.table("audit_entries"))).Returning("NULL").Exec(ctx)
		if err != nil {
			return fmt.Errorf("append to the chain: %w", err)
		}
		rows = rows[n:]
	}
	return nil
}

// page gives up to limit entries after seq, in order.
func (c chain) page(ctx context.Context, tx *db.Tx, after, upTo int64, limit int) (rows []entryRow, err error) {
	err = tx.NewSelect().Model(&rows).ModelTableExpr("? AS e", bun.Ident(c.table("audit_entries"))).
		Where("e.organisation_id = ? AND e.seq > ? AND e.seq <= ?", c.org, after, upTo).OrderExpr("e.seq").Limit(int64(limit)).Scan(ctx)
	return rows, err
}

// heads gives the signed heads, oldest first.
func (c chain) heads(ctx context.Context, tx *db.Tx) (rows []headRow, err error) {
	err = tx.NewSelect().Model(&rows).ModelTableExpr("? AS h", bun.Ident(c.table("audit_heads"))).
		Where("h.organisation_id = ?", c.org).OrderExpr("h.seq").Scan(ctx)
	return rows, err
}

func (c chain) lastHead(ctx context.Context, tx *db.Tx) (*headRow, error) {
	var row headRow
	err := tx.NewSelect().Model(&row).ModelTableExpr("? AS h", bun.Ident(c.table("audit_heads"))).
		Where("h.organisation_id = ?", c.org).OrderExpr("h.seq DESC").Limit(1).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // nothing is an answer
	}
	return &row, err
}
