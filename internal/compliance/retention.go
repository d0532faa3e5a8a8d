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
	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	day          = 24 * time.Hour
	maxDays      = 36500
	minAuditDays = 365
)

// retentionKind is what the audit trail calls the settings, and what If-Match compares: not what the last run did.
const retentionKind = "retention"

// The classes of data that have a term.
const (
	ClassRecordings  = "recordings"
	ClassTranscripts = "transcripts"
	ClassEventLogs   = "eventLogs"
	ClassCalls       = "calls"
	ClassAudit       = "audit"
	ClassDecisions   = "decisions"
)

// Purger deletes data that is past its term.
type Purger interface {
	// Purge deletes what there is of a class from before a time, oldest first and some at a time, each batch with its audit
	// entry, except what keep says is held. It gives what it deleted, also with an error: the next call goes on.
	Purge(ctx context.Context, org, class string, before time.Time, keep func(id string, parties ...string) bool) (map[string]int64, error)
}

// RetentionSettings say how many days each class of data is kept; null is for ever.
type RetentionSettings struct {
	RecordingDays  *int64 `json:"recordingDays" minimum:"1" maximum:"36500" doc:"Sound"`
	TranscriptDays *int64 `json:"transcriptDays" minimum:"1" maximum:"36500" doc:"What was said, in the database and the search index"`
	EventLogDays   *int64 `json:"eventLogDays" minimum:"1" maximum:"36500" doc:"The log of everything in a call. It holds what was said, so no longer than transcripts"`
	CallDays       *int64 `json:"callDays" minimum:"1" maximum:"36500" doc:"The call itself, with everything of it"`
	AuditDays      *int64 `json:"auditDays" minimum:"365" maximum:"36500" doc:"The audit trail; at least a year"`
	// It came later: whoever does not know it leaves it as it is for ever.
	DecisionDays *int64 `json:"decisionDays,omitempty" minimum:"365" maximum:"36500" doc:"Decisions of campaigns to call and not to call; at least a year. Left out: for ever"`
}

// Retention is an organisation's settings and what they last did.
type Retention struct {
	RetentionSettings
	UpdatedAt *time.Time       `json:"updatedAt"`
	LastRunAt *time.Time       `json:"lastRunAt"`
	LastRun   map[string]int64 `json:"lastRun" doc:"What the last run deleted, by kind"`
}

type retentionRow struct {
	bun.BaseModel `bun:"table:retention_settings,alias:r"`

	OrganisationID string `bun:"organisation_id,pk"`
	RecordingDays  *int64 `bun:"recording_days"`
	TranscriptDays *int64 `bun:"transcript_days"`
	EventLogDays   *int64 `bun:"event_log_days"`
	CallDays       *int64 `bun:"call_days"`
	AuditDays      *int64 `bun:"audit_days"`
	DecisionDays   *int64 `bun:"decision_days"`
	UpdatedAt      int64  `bun:"updated_at"`
	LastRunAt      *int64 `bun:"last_run_at"`
	LastRun        string `bun:"last_run"`
}

func (r *retentionRow) view() Retention {
	v := Retention{RetentionSettings: RetentionSettings{r.RecordingDays, r.TranscriptDays, r.EventLogDays, r.CallDays, r.AuditDays, r.DecisionDays},
		LastRunAt: optional(r.LastRunAt), LastRun: map[string]int64{}}
	if r.UpdatedAt > 0 {
		v.UpdatedAt = optional(&r.UpdatedAt)
	}
	if r.LastRun != "" && json.Unmarshal([]byte(r.LastRun), &v.LastRun) != nil {
		v.LastRun = map[string]int64{}
	}
	return v
}

func retentionOf(ctx context.Context, tx *db.Tx, org string) (retentionRow, error) {
	row := retentionRow{OrganisationID: org}
	err := tx.NewSelect().Model(&row).Where("r.organisation_id = ?", org).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return row, err
}

// Retention gives an organisation's settings.
func (s *Service) Retention(ctx context.Context, org string) (v Retention, err error) {
	err = s.cfg.DB.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		row, err := retentionOf(ctx, tx, org)
		v = row.view()
		return err
	})
	return v, err
}

// SetRetention replaces an organisation's settings.
func (s *Service) SetRetention(ctx context.Context, org string, c RetentionSettings) (v Retention, err error) {
	if err := c.check(); err != nil {
		return v, err
	}
	err = s.cfg.DB.InTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		row, err := retentionOf(ctx, tx, org)
		if err != nil {
			return err
		}
		before := row.view().RetentionSettings
		row.RecordingDays, row.TranscriptDays, row.EventLogDays, row.CallDays, row.AuditDays, row.DecisionDays = c.RecordingDays, c.TranscriptDays, c.EventLogDays, c.CallDays, c.AuditDays, c.DecisionDays
		row.UpdatedAt = tx.Now().UnixMilli()
		if err := putRetention(ctx, tx, &row); err != nil {
			return err
		}
		v = row.view()
		return identity.Audit(ctx, tx, org, identity.Change{Action: "retention.update", Kind: retentionKind, ID: org, Before: before, After: c})
	})
	return v, err
}

func putRetention(ctx context.Context, tx *db.Tx, row *retentionRow) error {
	q := tx.NewInsert().Model(row).On("CONFLICT (organisation_id) DO UPDATE").Returning("NULL")
	for _, col := range []string{"recording_days", "transcript_days", "event_log_days", "call_days", "audit_days", "decision_days", "updated_at", "last_run_at", "last_run"} {
		q = q.Set("? = EXCLUDED.?", bun.Ident(col), bun.Ident(col))
	}
	_, err := q.Exec(ctx)
	return err
}

func (c *RetentionSettings) check() error {
	for name, days := range map[string]*int64{"recordingDays": c.RecordingDays, "transcriptDays": c.TranscriptDays, "eventLogDays": c.EventLogDays,
		"callDays": c.CallDays, "auditDays": c.AuditDays, "decisionDays": c.DecisionDays} {
		if days != nil && (*days < 1 || *days > maxDays) {
			return fault.Field("body."+name, "give from 1 to %d days, or null to keep it for ever", maxDays)
		}
	}
	if c.AuditDays != nil && *c.AuditDays < minAuditDays {
		return fault.Field("body.auditDays", "the audit trail is kept for at least %d days", minAuditDays)
	}
	if c.TranscriptDays != nil && (c.EventLogDays == nil || *c.EventLogDays > *c.TranscriptDays) {
		return fault.Field("body.eventLogDays", "the event log holds what was said: give at most the %d days of the transcripts", *c.TranscriptDays)
	}
	return nil
}

// Retain deletes what is past its term, in every organisation: the daily job. What a stopped run left is deleted by the
// next one.
func (s *Service) Retain(ctx context.Context) error {
	return s.everyOrganisation(ctx, func(ctx context.Context, org string) error {
		if err := s.retain(ctx, org); err != nil {
			return fmt.Errorf("retention of %s: %w", org, err)
		}
		return nil
	})
}

func (s *Service) retain(ctx context.Context, org string) error {
	v, err := s.Retention(ctx, org)
	if err != nil {
		return err
	}
	h, err := s.held(ctx, org)
	if err != nil || h.all || v.RetentionSettings == (RetentionSettings{}) {
		return err
	}
	counts := map[string]int64{}
	now := s.clock.Now()
	var all error
	for _, c := range []struct {
		class string
		days  *int64
	}{
		{ClassCalls, v.CallDays}, {ClassRecordings, v.RecordingDays}, {ClassTranscripts, v.TranscriptDays}, {ClassEventLogs, v.EventLogDays}, {ClassDecisions, v.DecisionDays},
	} {
		if c.days == nil {
			continue
		}
		for _, p := range s.cfg.Purgers {
			done, err := p.Purge(ctx, org, c.class, now.Add(-time.Duration(*c.days)*day), h.keeps)
			for k, n := range done {
				counts[k] += n
			}
			all = errors.Join(all, err)
		}
	}
	if v.AuditDays != nil {
		n, err := s.trim(ctx, org, now.Add(-time.Duration(max(*v.AuditDays, minAuditDays))*day))
		if n > 0 {
			counts["auditEntries"] = n
		}
		all = errors.Join(all, err)
	}
	return errors.Join(all, s.noteRun(ctx, org, counts))
}

func (s *Service) noteRun(ctx context.Context, org string, counts map[string]int64) error {
	text, err := json.Marshal(counts)
	if err != nil {
		return err
	}
	return s.cfg.DB.InTenant(context.WithoutCancel(ctx), org, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.NewUpdate().Model((*retentionRow)(nil)).Set("last_run_at = ?", tx.Now().UnixMilli()).Set("last_run = ?", string(text)).
			Where("organisation_id = ?", org).Exec(ctx)
		return err
	})
}

// trim deletes the oldest entries of a chain up to the last head that was signed before a time. The chain then begins after
// that head, which stays and proves it.
func (s *Service) trim(ctx context.Context, org string, before time.Time) (deleted int64, err error) {
	c := chain{s.cfg.DB, org}
	for {
		n := int64(0)
		err := s.cfg.DB.InTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
			n, err = c.trimOne(ctx, tx, before)
			return err
		})
		deleted += n
		if err != nil || n == 0 {
			return deleted, err
		}
	}
}

// trimOne deletes the entries up to the next head, and gives how many.
func (c chain) trimOne(ctx context.Context, tx *db.Tx, before time.Time) (int64, error) {
	row, err := c.lock(ctx, tx)
	if err != nil || row.BrokenSeq != nil { // what is broken is evidence
		return 0, err
	}
	var head headRow
	err = tx.NewSelect().Model(&head).Where("h.organisation_id = ? AND h.seq > ? AND h.at < ?", c.org, row.BaseSeq, before.UnixMilli()).
		OrderExpr("h.seq").Limit(1).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	res, err := tx.NewDelete().Model((*entryRow)(nil)).Where("organisation_id = ? AND seq <= ?", c.org, head.Seq).Exec(ctx)
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return 0, err
	}
	if _, err := tx.NewDelete().Model((*headRow)(nil)).Where("organisation_id = ? AND seq < ?", c.org, head.Seq).Exec(ctx); err != nil {
		return 0, err
	}
	row.BaseSeq, row.BaseHash = head.Seq, head.Hash
	if err := c.save(ctx, tx, &row); err != nil {
		return 0, err
	}
	return n, identity.Audit(ctx, tx, c.org, identity.Change{Action: "retention.delete", Kind: "audit", ID: c.org,
		After: map[string]int64{"entries": n, "upTo": head.Seq}})
}
