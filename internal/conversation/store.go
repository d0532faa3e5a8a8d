package conversation

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// upsert writes rows that may be there already. The column lists are what can change after the first time.
func upsert(ctx context.Context, tx *db.Tx, calls []callRow, legs []legRow, items []itemRow, turns []turnRow,
	peaks []peakRow, files []fileRow,
) error {
	if err := put(ctx, tx, calls, "id", "status", "agent_id", "agent_slug", "agent_name", "agent_version", "external_id",
		"answered_at", "ended_at", "duration_ms", "ended_by", "end_reason", "end_text", "end_status", "codec", "rec_state",
		"rec_duration_ms", "rec_bytes", "rec_key", "log_key", "turns", "p50_us", "p95_us", "metadata", "outcome",
		"alerts", "taken_by"); err != nil {
		return fmt.Errorf("save calls: %w", err)
	}
	if err := put(ctx, tx, legs, "call_id, id", "codec", "ended_at", "cause", "stats"); err != nil {
		return fmt.Errorf("save legs: %w", err)
	}
	if err := put(ctx, tx, items, "call_id, seq", "turn", "speaker", "text", "start_ms", "end_ms", "confidence",
		"interrupted"); err != nil {
		return fmt.Errorf("save transcript: %w", err)
	}
	if err := put(ctx, tx, turns, "call_id, turn", "at", "caller_text", "agent_text", "eos_us", "stt_us", "token_us",
		"audio_us", "frame_us", "interrupted"); err != nil {
		return fmt.Errorf("save turns: %w", err)
	}
	if err := put(ctx, tx, peaks, "call_id", "span", "caller", "agent"); err != nil {
		return fmt.Errorf("save peaks: %w", err)
	}
	if err := put(ctx, tx, files, "call_id, suffix", "data"); err != nil {
		return fmt.Errorf("save short files: %w", err)
	}
	return nil
}

func put[R any](ctx context.Context, tx *db.Tx, rows []R, key string, columns ...string) error {
	if len(rows) == 0 {
		return nil
	}
	q := tx.NewInsert().Model(&rows).On("CONFLICT (" + key + ") DO UPDATE").Returning("NULL")
	for _, col := range columns {
		q = q.Set("? = EXCLUDED.?", bun.Ident(col), bun.Ident(col))
	}
	_, err := q.Exec(ctx)
	return err
}

// callQuery asks for a page of calls, newest first.
type callQuery struct {
	Status, Direction, Channel, AgentID string
	From, To                            time.Time // of the start; zero is open
	Like                                string    // part of a number or name
	IDs                                 []string  // found by the search index, besides Like
	Cursor                              cursor
	Limit                               int
	Reach                               reach
	Agents                              []string // of a project; nil does not filter
}

func (q *callQuery) where(sel *bun.SelectQuery, org string) *bun.SelectQuery {
	sel = q.Reach.where(sel.Where("c.organisation_id = ?", org))
	switch {
	case q.Agents != nil && len(q.Agents) == 0:
		sel = sel.Where("1 = 0")
	case q.Agents != nil:
		sel = sel.Where("c.agent_id IN (?)", bun.List(q.Agents))
	}
	for col, v := range map[string]string{"status": q.Status, "direction": q.Direction, "channel": q.Channel} {
		if v != "" {
			sel = sel.Where("c.? = ?", bun.Ident(col), v)
		}
	}
	if q.AgentID != "" {
		sel = sel.Where("(c.agent_id = ? OR c.agent_slug = ?)", q.AgentID, q.AgentID)
	}
	if !q.From.IsZero() {
		sel = sel.Where("c.started_at >= ?", q.From.UnixMilli())
	}
	if !q.To.IsZero() {
		sel = sel.Where("c.started_at < ?", q.To.UnixMilli())
	}
	if q.Like != "" {
		like := "%" + likeEscape.Replace(strings.ToLower(q.Like)) + "%"
		const match = `lower(c.from_addr) LIKE ? ESCAPE '\' OR lower(c.from_name) LIKE ? ESCAPE '\' OR lower(c.to_addr) LIKE ? ESCAPE '\'`
		if len(q.IDs) > 0 {
			sel = sel.Where("("+match+" OR c.id IN (?))", like, like, like, bun.List(q.IDs))
		} else {
			sel = sel.Where("("+match+")", like, like, like)
		}
	}
	if q.Cursor.ID != "" {
		sel = sel.Where("(c.started_at, c.id) < (?, ?)", q.Cursor.At, q.Cursor.ID)
	}
	return sel
}

var likeEscape = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// listCalls gives up to q.Limit+1 rows, so that the caller sees whether there are more.
func listCalls(ctx context.Context, d *db.DB, org string, q callQuery) (rows []callRow, err error) {
	err = d.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		sel := q.where(tx.NewSelect().Model(&rows), org).OrderExpr("c.started_at DESC, c.id DESC").Limit(int64(q.Limit) + 1)
		return sel.Scan(ctx)
	})
	return rows, wrapRead(err)
}

// findCall gives one row; a call of another organisation, or out of reach, is not there.
func findCall(ctx context.Context, d *db.DB, org, id string, in reach) (row callRow, err error) {
	err = d.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		return in.where(tx.NewSelect().Model(&row).Where("c.organisation_id = ? AND c.id = ?", org, id)).Scan(ctx)
	})
	return row, wrapRead(err)
}

func listLegs(ctx context.Context, d *db.DB, org, id string) (rows []legRow, err error) {
	err = d.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model(&rows).Where("l.organisation_id = ? AND l.call_id = ?", org, id).
			OrderExpr("l.position").Limit(maxLegs).Scan(ctx)
	})
	return rows, wrapRead(err)
}

// listItems gives items after seq, in the order they were said; limit 0 is all that fit in memory at once.
func listItems(ctx context.Context, d *db.DB, org, id string, after, limit int) (rows []itemRow, err error) {
	err = d.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model(&rows).Where("i.organisation_id = ? AND i.call_id = ? AND i.seq > ?", org, id, after).
			OrderExpr("i.seq").Limit(int64(limit)).Scan(ctx)
	})
	return rows, wrapRead(err)
}

func listTurns(ctx context.Context, d *db.DB, org, id string, after, limit int) (rows []turnRow, err error) {
	err = d.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model(&rows).Where("t.organisation_id = ? AND t.call_id = ? AND t.turn > ?", org, id, after).
			OrderExpr("t.turn").Limit(int64(limit)).Scan(ctx)
	})
	return rows, wrapRead(err)
}

func findPeaks(ctx context.Context, d *db.DB, org, id string) (row peakRow, err error) {
	err = d.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model(&row).Where("p.organisation_id = ? AND p.call_id = ?", org, id).Scan(ctx)
	})
	return row, wrapRead(err)
}

func findFile(ctx context.Context, d *db.DB, org, id, suffix string) (row fileRow, err error) {
	err = d.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model(&row).Where("f.organisation_id = ? AND f.call_id = ? AND f.suffix = ?", org, id, suffix).Scan(ctx)
	})
	return row, wrapRead(err)
}

// markStored notes where the finisher has put the files of some calls.
func markStored(ctx context.Context, d *db.DB, org string, rows []callRow) error {
	return d.InTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		return put(ctx, tx, rows, "id", "rec_state", "rec_bytes", "rec_key", "log_key")
	})
}

// findAnyCall gives a call of any organisation, nil when there is none.
func findAnyCall(ctx context.Context, d *db.DB, id string) (found *callRow, err error) {
	const why = "find the call of a file in the spool"
	err = d.EachPlacement(ctx, why, func(ctx context.Context, in *db.DB) error {
		if found != nil {
			return nil
		}
		var row callRow
		err := in.ReadSystem(ctx, why, func(ctx context.Context, tx *db.Tx) error {
			return tx.NewSelect().Model(&row).Where("c.id = ?", id).Scan(ctx)
		})
		if err == nil {
			found = &row
		}
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	if found != nil {
		return found, nil // a database that could not be asked does not matter then
	}
	return nil, err
}

// unfinished gives the calls of a node that were not ended when it stopped, oldest first, a page at a time, of one database.
func unfinished(ctx context.Context, in *db.DB, node string, after string, limit int) (rows []callRow, err error) {
	err = in.ReadSystem(ctx, whyUnfinished, func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model(&rows).Where("c.node = ? AND c.status <> 'ended' AND c.id > ?", node, after).
			OrderExpr("c.id").Limit(int64(limit)).Scan(ctx)
	})
	return rows, err
}

const whyUnfinished = "find calls that a stopped process left behind"

// wrapRead maps "no rows" to a fault.
func wrapRead(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return errNoCall
	case errors.Is(err, context.DeadlineExceeded):
		return fault.Wrap(fault.Timeout, err, "The database took too long; try again.")
	default:
		return fault.Wrap(fault.Internal, err, "The calls could not be read.")
	}
}
