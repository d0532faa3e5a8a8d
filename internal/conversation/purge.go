package conversation

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	purgeBatch = 100
	// unmoved is how long a call without stored files may still get some from the spool of the process that carried it.
	unmoved = 7 * 24 * time.Hour
)

// The classes of data that can be purged.
const (
	classRecordings  = "recordings"
	classTranscripts = "transcripts"
	classEventLogs   = "eventLogs"
	classCalls       = "calls"
)

// dueWhere are the ended calls that still have something of a class.
var dueWhere = map[string]string{
	classRecordings:  "c.rec_key <> ''",
	classTranscripts: "c.transcript_gone_at IS NULL",
	classEventLogs:   "c.log_key <> ''",
	classCalls:       "c.rec_state <> 'recording'",
}

// Purge deletes what there is of a class in calls that began before a time, oldest first, except those that keep says are
// held. Files go first, then rows with the audit entry of the batch: a process that dies in between leaves rows whose
// files are gone, and the next run deletes those again. It gives what it deleted, also with an error.
func (s *Service) Purge(ctx context.Context, org, class string, before time.Time, keep func(id string, parties ...string) bool) (map[string]int64, error) {
	where, ok := dueWhere[class]
	if !ok {
		return nil, nil // another context's
	}
	done := map[string]int64{}
	for at := (cursor{}); ; {
		var rows []callRow
		err := s.db.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
			return tx.NewSelect().Model(&rows).Where("c.organisation_id = ? AND c.status = 'ended' AND c.started_at < ?", org, before.UnixMilli()).
				Where(where).Where("(c.started_at, c.id) > (?, ?)", at.At, at.ID).OrderExpr("c.started_at, c.id").Limit(purgeBatch).Scan(ctx)
		})
		if err != nil {
			return done, fmt.Errorf("find %s past their term: %w", class, err)
		}
		if len(rows) == 0 {
			return done, nil
		}
		at = cursor{rows[len(rows)-1].StartedAt, rows[len(rows)-1].ID}
		free, _, err := s.unheld(ctx, org, rows, keep)
		if err != nil {
			return done, err
		}
		n, err := s.purgeBatch(ctx, org, class, free, identity.Change{Action: "retention.delete", Kind: class})
		for k, v := range n {
			done[k] += v
		}
		if err != nil {
			return done, err
		}
	}
}

// unheld leaves out calls under a hold, and calls whose files are not where they belong yet: their turn comes later.
func (s *Service) unheld(ctx context.Context, org string, rows []callRow, keep func(string, ...string) bool) (free []callRow, held int64, err error) {
	parties, err := s.parties(ctx, org, rows)
	if err != nil {
		return nil, 0, err
	}
	for i := range rows {
		r := &rows[i]
		switch {
		case keep(r.ID, parties[r.ID]...):
			held++
		case s.settled(r):
			free = append(free, *r)
		}
	}
	return free, held, nil
}

// settled reports whether nothing more will be written of a call.
func (s *Service) settled(r *callRow) bool {
	if r.Status != string(StatusEnded) || s.holds(r.ID) || s.inSpool(r.ID) {
		return false
	}
	moved := r.LogKey != "" || r.LogGoneAt != nil
	return moved || r.EndedAt != nil && s.clock.Now().Sub(fromMs(*r.EndedAt)) > unmoved
}

func (s *Service) inSpool(id string) bool {
	for _, suffix := range []string{recSuffix, logSuffix} {
		if _, err := os.Stat(s.spoolPath(id, suffix)); !errors.Is(err, fs.ErrNotExist) {
			return true
		}
	}
	return false
}

// parties gives every address of some calls: of the caller, the called, and the legs.
func (s *Service) parties(ctx context.Context, org string, rows []callRow) (map[string][]string, error) {
	out := map[string][]string{}
	if len(rows) == 0 {
		return out, nil
	}
	ids := make([]string, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID
		out[rows[i].ID] = []string{rows[i].From, rows[i].To}
	}
	var legs []legRow
	err := s.db.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model(&legs).Where("l.organisation_id = ? AND l.call_id IN (?)", org, bun.List(ids)).Scan(ctx)
	})
	for _, l := range legs {
		out[l.CallID] = append(out[l.CallID], l.From, l.To)
	}
	return out, wrapRead(err)
}

// purgeBatch deletes a class of some calls, and gives what it deleted.
func (s *Service) purgeBatch(ctx context.Context, org, class string, rows []callRow, c identity.Change) (map[string]int64, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	n := map[string]int64{class: int64(len(rows))}
	ids := make([]string, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID
	}
	files, err := s.purgeFiles(ctx, class, rows)
	if err != nil {
		return nil, err
	}
	if files > 0 {
		n["files"] = files
	}
	if s.search != nil && (class == classTranscripts || class == classCalls) {
		if err := s.search.Delete(ctx, org, ids); err != nil {
			return nil, fmt.Errorf("delete from the search index: %w", err)
		}
	}
	err = s.db.InTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		if err := s.purgeRows(ctx, tx, org, class, ids); err != nil {
			return err
		}
		c.After = n
		return identity.Audit(ctx, tx, org, c)
	})
	if err != nil {
		return nil, fmt.Errorf("delete %s: %w", class, err)
	}
	return n, nil
}

// purgeFiles deletes the blobs of some calls. One that is not there was deleted by a run that was stopped.
func (s *Service) purgeFiles(ctx context.Context, class string, rows []callRow) (n int64, err error) {
	for i := range rows {
		var keys []string
		if class == classRecordings || class == classCalls {
			keys = append(keys, rows[i].RecKey)
		}
		if class == classEventLogs || class == classCalls {
			keys = append(keys, rows[i].LogKey)
		}
		for _, key := range keys {
			if key == "" || key == inDB {
				continue
			}
			if err := s.blobs.Delete(ctx, key); err != nil && !fault.Is(err, fault.NotFound) {
				return n, fmt.Errorf("delete the file of a call: %w", err)
			}
			n++
		}
	}
	return n, nil
}

func (s *Service) purgeRows(ctx context.Context, tx *db.Tx, org, class string, ids []string) error {
	now := tx.Now().UnixMilli()
	list := bun.List(ids)
	type statement struct {
		sql  string
		args []any
	}
	var all []statement
	switch class {
	case classRecordings:
		all = []statement{
			{"DELETE FROM call_files WHERE organisation_id = ? AND call_id IN (?) AND suffix = ?", []any{org, list, recSuffix}},
			{"DELETE FROM call_peaks WHERE organisation_id = ? AND call_id IN (?)", []any{org, list}},
			{"UPDATE calls SET rec_key = '', rec_bytes = 0, rec_state = 'none', recording_gone_at = ? WHERE organisation_id = ? AND id IN (?)", []any{now, org, list}},
		}
	case classTranscripts:
		all = []statement{
			{"DELETE FROM call_transcript WHERE organisation_id = ? AND call_id IN (?)", []any{org, list}},
			{"UPDATE call_turns SET caller_text = '', agent_text = '' WHERE organisation_id = ? AND call_id IN (?)", []any{org, list}},
			{"UPDATE calls SET transcript_gone_at = ? WHERE organisation_id = ? AND id IN (?)", []any{now, org, list}},
		}
	case classEventLogs:
		all = []statement{
			{"DELETE FROM call_files WHERE organisation_id = ? AND call_id IN (?) AND suffix = ?", []any{org, list, logSuffix}},
			{"UPDATE calls SET log_key = '', log_gone_at = ? WHERE organisation_id = ? AND id IN (?)", []any{now, org, list}},
		}
	default:
		for _, table := range []string{"call_legs", "call_transcript", "call_turns", "call_peaks", "call_files"} {
			all = append(all, statement{"DELETE FROM " + table + " WHERE organisation_id = ? AND call_id IN (?)", []any{org, list}})
		}
		all = append(all, statement{"DELETE FROM calls WHERE organisation_id = ? AND id IN (?)", []any{org, list}})
	}
	for _, st := range all {
		if _, err := tx.NewRaw(st.sql, st.args...).Exec(ctx); err != nil {
			return fmt.Errorf("%s: %w", strings.SplitN(st.sql, " WHERE", 2)[0], err)
		}
	}
	return nil
}
