package conversation

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-voice/parley/internal/platform/db"
)

// Which process has a call. A node is a spool: the folder that a process with the media role keeps running calls' files in.
// It has the name for as long as the folder lives, so a process that comes back finds its own calls.

// Node names this process's spool; "" for one that only reads.
func (s *Service) Node() string { return s.node }

// Holder names the node that has what the database and the blob store do not have yet of a call: while it goes on, and until its
// files are moved. "" is nobody: everything is where every process can read it.
func (s *Service) Holder(ctx context.Context, org, id string) (string, error) {
	row, err := s.row(ctx, org, id)
	if err != nil {
		return "", err
	}
	moved := row.LogKey != "" || row.LogGoneAt != nil
	if row.Status == string(StatusEnded) && row.RecState != string(RecordingRunning) && moved {
		return "", nil
	}
	return row.Node, nil
}

// LiveCounts is how many calls of an organisation go on, by agent ("" is a call between phones).
type LiveCounts map[string]int

// CountLive counts what goes on in all processes, as the database has it.
func (s *Service) CountLive(ctx context.Context, org string) (LiveCounts, error) {
	var rows []struct {
		AgentID string `bun:"agent_id"`
		N       int    `bun:"n"`
	}
	err := s.db.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		return tx.NewRaw(`SELECT agent_id, count(*) AS n FROM calls WHERE organisation_id = ? AND status <> 'ended' GROUP BY agent_id`, org).Scan(ctx, &rows)
	})
	if err != nil {
		return nil, wrapRead(err)
	}
	out := make(LiveCounts, len(rows))
	for _, r := range rows {
		out[r.AgentID] = r.N
	}
	return out, nil
}

const whyLost = "end the calls of processes that are gone"

// EndLost ends the calls of nodes that are gone, as interrupted, at the last moment the database knows of them, and gives how
// many. What their spools have beyond that is added when a process comes back with the same folder; until then their
// recordings are not there. A node that was thought gone and is not saves its calls over this: they go on.
func (s *Service) EndLost(ctx context.Context, gone func(node string) bool) (n int, err error) {
	err = s.db.EachPlacement(ctx, whyLost, func(ctx context.Context, in *db.DB) error {
		var nodes []string
		err := in.ReadSystem(ctx, whyLost, func(ctx context.Context, tx *db.Tx) error {
			return tx.NewRaw(`SELECT DISTINCT node FROM calls WHERE status <> 'ended'`).Scan(ctx, &nodes)
		})
		if err != nil {
			return err
		}
		for _, node := range nodes {
			if node == s.node || !gone(node) {
				continue
			}
			ended, err := s.endLostIn(ctx, in, node)
			n += ended
			if err != nil {
				return err
			}
		}
		return nil
	})
	if n > 0 {
		s.metrics.recovered.Add(float64(n))
		s.log.WarnContext(ctx, "a process is gone: its calls were ended", "calls", n)
	}
	return n, err
}

func (s *Service) endLostIn(ctx context.Context, in *db.DB, node string) (n int, err error) {
	for after := ""; ; {
		rows, err := unfinished(ctx, in, node, after, recoverPage)
		if err != nil {
			return n, err
		}
		for i := range rows {
			after = rows[i].ID
			ended, err := s.endLost(ctx, &rows[i])
			if err != nil {
				return n, err
			}
			if ended {
				n++
			}
		}
		if len(rows) < recoverPage {
			return n, nil
		}
	}
}

// endLost ends one call, unless somebody did meanwhile.
func (s *Service) endLost(ctx context.Context, row *callRow) (ended bool, err error) {
	err = s.db.InTenant(ctx, row.OrganisationID, func(ctx context.Context, tx *db.Tx) error {
		var spoken int64 // milliseconds since the answer
		err := tx.NewRaw(`SELECT coalesce(max(end_ms), 0) FROM call_transcript WHERE organisation_id = ? AND call_id = ?`, row.OrganisationID, row.ID).Scan(ctx, &spoken)
		if err != nil {
			return err
		}
		row.end(Ending{By: "system", Reason: ReasonInterrupted, Text: "The process that carried the call is gone.",
			At: fromMs(row.zero()).Add(time.Duration(spoken) * time.Millisecond)})
		res, err := tx.NewUpdate().Model(row).Column("status", "ended_at", "ended_by", "end_reason", "end_text", "end_status", "duration_ms").
			Where("organisation_id = ? AND id = ? AND node = ? AND status <> 'ended'", row.OrganisationID, row.ID, row.Node).Exec(ctx)
		if err != nil {
			return err
		}
		changed, err := res.RowsAffected()
		if err != nil || changed == 0 {
			return err
		}
		ended = true
		return tx.Publish(ctx, row.endFact())
	})
	if err != nil {
		return false, fmt.Errorf("end the call %s: %w", row.ID, err)
	}
	return ended, nil
}
