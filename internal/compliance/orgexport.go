package compliance

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	exportKept  = 24 * time.Hour  // after it was made
	exportBeat  = 5 * time.Second // how often is written down how far it is
	exportDead  = 5 * time.Minute // without a sign of life another one may begin
	exportsMost = 20              // that are listed and remembered
)

// States of an export. What waits or runs without a sign of life for five minutes is given up when the next one begins.
const (
	exportWaiting = "waiting"
	exportRunning = "running"
	exportReady   = "ready"
	exportFailed  = "failed"
	exportRemoved = "removed"
)

// OrganisationFiles makes files of whole organisations and keeps them where the organisation's recordings are.
type OrganisationFiles interface {
	// Make writes an organisation's file under a passphrase and keeps it under id. told hears how far it is; it is quick,
	// and may be called inside of a transaction.
	Make(ctx context.Context, orgID, id, passphrase string, told func(stage string, bytes int64)) (OrganisationFile, error)
	// CheckPassphrase refuses one that could be guessed.
	CheckPassphrase(passphrase string) error
	Open(ctx context.Context, orgID, id string) (io.ReadCloser, error)
	// Remove deletes a file; one that is not there is no error.
	Remove(ctx context.Context, orgID, id string) error
}

// OrganisationFile is what became of a file.
type OrganisationFile struct {
	Bytes        int64            `json:"bytes"`
	Rows         map[string]int64 `json:"rows" doc:"By table"`
	Files        map[string]int64 `json:"files" doc:"Recordings, event logs and the audit trail, by kind"`
	CallsLeftOut int              `json:"callsLeftOut" doc:"Calls that went on, or whose files were not stored yet"`
	FilesGone    int64            `json:"filesGone" doc:"Deleted while the file was written"`
	Damaged      int              `json:"damaged" doc:"What could not be read; the file says what"`
}

// OrganisationExport is a file of the whole organisation that somebody asked for.
type OrganisationExport struct {
	ID          string            `json:"id"`
	State       string            `json:"state" enum:"waiting,running,ready,failed,removed" doc:"ready: it can be downloaded until expiresAt"`
	Stage       string            `json:"stage" doc:"What is done just now"`
	Bytes       int64             `json:"bytes" doc:"Written so far, then the file's size"`
	Error       string            `json:"error" doc:"Why it failed"`
	RequestedBy string            `json:"requestedBy" doc:"A user's id"`
	RequestedAt time.Time         `json:"requestedAt"`
	DoneAt      *time.Time        `json:"doneAt"`
	ExpiresAt   *time.Time        `json:"expiresAt" doc:"When the file is removed"`
	Downloads   int64             `json:"downloads" doc:"How often it was downloaded"`
	File        *OrganisationFile `json:"file" doc:"What is in it; null until it is made"`
}

type exportRow struct {
	bun.BaseModel `bun:"table:organisation_exports,alias:x"`

	OrganisationID string `bun:"organisation_id,pk"`
	ID             string `bun:"id,pk"`
	State          string `bun:"state"`
	Passphrase     []byte `bun:"passphrase"`
	Stage          string `bun:"stage"`
	Bytes          int64  `bun:"bytes"`
	Error          string `bun:"error"`
	Summary        string `bun:"summary"`
	RequestedBy    string `bun:"requested_by"`
	RequestedAt    int64  `bun:"requested_at"`
	SeenAt         int64  `bun:"seen_at"`
	DoneAt         *int64 `bun:"done_at"`
	ExpiresAt      *int64 `bun:"expires_at"`
	Downloads      int64  `bun:"downloads"`
}

func (r *exportRow) view() OrganisationExport {
	v := OrganisationExport{ID: r.ID, State: r.State, Stage: r.Stage, Bytes: r.Bytes, Error: r.Error, RequestedBy: r.RequestedBy,
		RequestedAt: fromMillis(r.RequestedAt), DoneAt: optional(r.DoneAt), ExpiresAt: optional(r.ExpiresAt), Downloads: r.Downloads}
	if r.Summary != "" {
		v.File = &OrganisationFile{}
		if json.Unmarshal([]byte(r.Summary), v.File) != nil {
			v.File = nil
		}
	}
	return v
}

// over reports whether the export is done with, or given up.
func (r *exportRow) over(now time.Time) bool {
	return r.State != exportWaiting && r.State != exportRunning || now.Sub(fromMillis(r.SeenAt)) > exportDead
}

func exportAAD(orgID, id string) []byte {
	return []byte("organisation export\x00" + orgID + "\x00" + id)
}

// RequestExport asks for a file of the whole organisation, which a job makes. There is one at a time.
func (s *Service) RequestExport(ctx context.Context, org, passphrase string) (OrganisationExport, error) {
	if s.cfg.Files == nil || s.cfg.EnqueueExport == nil {
		return OrganisationExport{}, fault.New(fault.Unavailable, "this process has no jobs; ask one with the worker role")
	}
	if s.cfg.Files.CheckPassphrase(passphrase) != nil {
		return OrganisationExport{}, fault.Field("body.passphrase", "the passphrase is too short: whoever has the file could guess it; use a few words")
	}
	now := s.clock.Now()
	row := &exportRow{OrganisationID: org, ID: newID(), State: exportWaiting, Stage: "waiting", RequestedBy: identity.UserOf(ctx),
		RequestedAt: now.UnixMilli(), SeenAt: now.UnixMilli()}
	var err error
	if row.Passphrase, err = s.cfg.Sealer.Seal(ctx, org, []byte(passphrase), exportAAD(org, row.ID)); err != nil {
		return OrganisationExport{}, fmt.Errorf("seal a passphrase: %w", err)
	}
	var old []exportRow
	err = s.cfg.DB.InTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		if err := tx.Lock(ctx, "organisation exports "+org); err != nil {
			return err
		}
		if old, err = exportsOf(ctx, tx, org); err != nil {
			return err
		}
		if err := giveUp(ctx, tx, old, now); err != nil {
			return err
		}
		if _, err := tx.NewInsert().Model(row).Exec(ctx); err != nil {
			return fmt.Errorf("write an export down: %w", err)
		}
		if err := s.cfg.EnqueueExport(ctx, tx, row.ID); err != nil {
			return err
		}
		return identity.Audit(ctx, tx, org, identity.Change{Action: "organisation.export.request", Kind: "organisationExport", ID: row.ID})
	})
	if err != nil {
		return OrganisationExport{}, err
	}
	return row.view(), nil
}

// giveUp refuses a second export beside one that goes on, fails those whose process is gone, and forgets the oldest that are
// done with.
func giveUp(ctx context.Context, tx *db.Tx, rows []exportRow, now time.Time) error {
	for i := range rows {
		r := &rows[i]
		switch {
		case !r.over(now):
			return fault.New(fault.Conflict, "an export is being made already; wait until it is ready")
		case r.State == exportWaiting || r.State == exportRunning:
			r.State, r.Passphrase, r.Error = exportFailed, nil, "The process that made it is gone."
			if err := saveExport(ctx, tx, r); err != nil {
				return err
			}
		case i >= exportsMost-1 && r.State != exportReady:
			if _, err := tx.NewDelete().Model(r).WherePK().Where("organisation_id = ?", r.OrganisationID).Exec(ctx); err != nil {
				return fmt.Errorf("forget an export: %w", err)
			}
		}
	}
	return nil
}

// exportsOf lists an organisation's exports, newest first: ids are UUIDv7.
func exportsOf(ctx context.Context, tx *db.Tx, org string) (rows []exportRow, err error) {
	err = tx.NewSelect().Model(&rows).Where("x.organisation_id = ?", org).OrderExpr("x.id DESC").Limit(2 * exportsMost).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("list exports: %w", err)
	}
	return rows, nil
}

func exportByID(ctx context.Context, tx *db.Tx, org, id string) (*exportRow, error) {
	var r exportRow
	err := tx.NewSelect().Model(&r).Where("x.organisation_id = ? AND x.id = ?", org, id).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "there is no such export")
	}
	if err != nil {
		return nil, fmt.Errorf("read an export: %w", err)
	}
	return &r, nil
}

func saveExport(ctx context.Context, tx *db.Tx, r *exportRow) error {
	if _, err := tx.NewUpdate().Model(r).WherePK().Where("organisation_id = ?", r.OrganisationID).Exec(ctx); err != nil {
		return fmt.Errorf("write down how far an export is: %w", err)
	}
	return nil
}

// OrganisationExports lists an organisation's exports, newest first, at most 20.
func (s *Service) OrganisationExports(ctx context.Context, org string) ([]OrganisationExport, error) {
	out := []OrganisationExport{}
	err := s.cfg.DB.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		rows, err := exportsOf(ctx, tx, org)
		for i := range rows[:min(len(rows), exportsMost)] {
			out = append(out, rows[i].view())
		}
		return err
	})
	return out, err
}

// OrganisationExport gives one of them.
func (s *Service) OrganisationExport(ctx context.Context, org, id string) (v OrganisationExport, err error) {
	err = s.cfg.DB.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		row, err := exportByID(ctx, tx, org, id)
		if err == nil {
			v = row.view()
		}
		return err
	})
	return v, err
}

// changeExport changes a row in a transaction of its own, unless it is in none of the states.
func (s *Service) changeExport(ctx context.Context, org, id string, states []string, fn func(ctx context.Context, tx *db.Tx, r *exportRow) error) (v *exportRow, ok bool, err error) {
	err = s.cfg.DB.InTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		if err := tx.Lock(ctx, "organisation exports "+org); err != nil {
			return err
		}
		if v, err = exportByID(ctx, tx, org, id); err != nil {
			return err
		}
		if ok = slices.Contains(states, v.State); !ok {
			return nil
		}
		if err := fn(ctx, tx, v); err != nil {
			return err
		}
		return saveExport(ctx, tx, v)
	})
	return v, ok, err
}

// CarryExport makes a file that was asked for. It may be called again after its process died; then it begins anew.
func (s *Service) CarryExport(ctx context.Context, org, id string) error {
	row, ok, err := s.changeExport(ctx, org, id, []string{exportWaiting, exportRunning}, func(_ context.Context, _ *db.Tx, r *exportRow) error {
		r.State, r.SeenAt, r.Bytes = exportRunning, s.clock.Now().UnixMilli(), 0
		return nil
	})
	if fault.Is(err, fault.NotFound) || err == nil && !ok {
		return nil // it was removed meanwhile
	}
	if err != nil {
		return err
	}
	passphrase, err := s.cfg.Sealer.Open(ctx, org, row.Passphrase, exportAAD(org, id))
	if err != nil {
		return fmt.Errorf("open a passphrase: %w", err)
	}
	making, cancel := context.WithCancel(ctx)
	defer cancel()
	p := &exportProgress{stage: row.Stage}
	beat := s.clock.TickerFunc(making, exportBeat, func() error {
		if !s.tellProgress(making, org, id, p) {
			cancel() // somebody removed it
		}
		return nil
	}, "organisation export")
	file, err := s.cfg.Files.Make(making, org, id, string(passphrase), p.told)
	cancel()
	_ = beat.Wait() // it ends with the context
	if err != nil && ctx.Err() != nil {
		return err // this process ends; the next one makes it
	}
	return s.settleExport(ctx, org, id, file, err)
}

// exportProgress is how far an export is.
type exportProgress struct {
	mu    sync.Mutex
	stage string
	bytes int64
}

func (p *exportProgress) told(stage string, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stage, p.bytes = stage, bytes
}

// tellProgress writes down how far an export is; false when it is not wanted any more. That it cannot be written down does
// not end it.
func (s *Service) tellProgress(ctx context.Context, org, id string, p *exportProgress) bool {
	p.mu.Lock()
	stage, bytes := p.stage, p.bytes
	p.mu.Unlock()
	_, ok, err := s.changeExport(ctx, org, id, []string{exportRunning}, func(_ context.Context, _ *db.Tx, r *exportRow) error {
		r.Stage, r.Bytes, r.SeenAt = stage, bytes, s.clock.Now().UnixMilli()
		return nil
	})
	if err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "how far an export is was not written down", "organisation", org, "error", err)
	}
	return ok || err != nil && !fault.Is(err, fault.NotFound)
}

// settleExport writes down what became of an export. The file of one that was removed meanwhile goes.
func (s *Service) settleExport(ctx context.Context, org, id string, file OrganisationFile, cause error) error {
	now := s.clock.Now()
	_, ok, err := s.changeExport(ctx, org, id, []string{exportRunning}, func(ctx context.Context, tx *db.Tx, r *exportRow) error {
		done, expires := now.UnixMilli(), now.Add(exportKept).UnixMilli()
		r.Passphrase, r.DoneAt, r.SeenAt = nil, &done, done
		c := identity.Change{Action: "organisation.export.ready", Kind: "organisationExport", ID: id, After: file}
		if cause != nil {
			s.log.ErrorContext(ctx, "an organisation's file was not made", "organisation", org, "error", cause)
			r.State, r.Stage, r.Error = exportFailed, "failed", sentence(cause)
			c = identity.Change{Action: "organisation.export.ready", Kind: "organisationExport", ID: id, Outcome: identity.OutcomeFailed, Reason: r.Error}
			return identity.Audit(ctx, tx, org, c)
		}
		text, err := json.Marshal(file)
		if err != nil {
			return err
		}
		r.State, r.Stage, r.Bytes, r.Summary, r.ExpiresAt = exportReady, "ready", file.Bytes, string(text), &expires
		return identity.Audit(ctx, tx, org, c)
	})
	if err == nil && !ok || fault.Is(err, fault.NotFound) {
		return s.cfg.Files.Remove(ctx, org, id)
	}
	return err
}

// sentence is what may be told of an error.
func sentence(err error) string {
	var f *fault.Error
	if errors.As(err, &f) && f.Code != fault.Internal {
		return f.Message
	}
	return "Something went wrong on our side; the log says what."
}

// DownloadExport opens a file that is ready, and notes who takes it.
func (s *Service) DownloadExport(ctx context.Context, org, id string) (io.ReadCloser, error) {
	gone := fault.New(fault.NotFound, "there is no such file, or not any more: it is kept for a day")
	now := s.clock.Now()
	_, ok, err := s.changeExport(ctx, org, id, []string{exportReady}, func(ctx context.Context, tx *db.Tx, r *exportRow) error {
		if *r.ExpiresAt <= now.UnixMilli() {
			return gone
		}
		r.Downloads++
		return identity.Audit(ctx, tx, org, identity.Change{Action: "organisation.export.download", Kind: "organisationExport", ID: id})
	})
	if err == nil && !ok {
		err = gone
	}
	if err != nil {
		return nil, err
	}
	return s.cfg.Files.Open(ctx, org, id)
}

// RemoveExport removes a file, or ends that it is being made.
func (s *Service) RemoveExport(ctx context.Context, org, id string) error {
	return s.removeExport(ctx, org, id, "")
}

func (s *Service) removeExport(ctx context.Context, org, id, reason string) error {
	_, ok, err := s.changeExport(ctx, org, id, []string{exportWaiting, exportRunning, exportReady, exportFailed}, func(ctx context.Context, tx *db.Tx, r *exportRow) error {
		r.State, r.Stage, r.Passphrase = exportRemoved, "removed", nil
		return identity.Audit(ctx, tx, org, identity.Change{Action: "organisation.export.remove", Kind: "organisationExport", ID: id, Reason: reason})
	})
	if err != nil || !ok {
		return err
	}
	return s.cfg.Files.Remove(ctx, org, id)
}

// ExpireExports removes the files that were kept long enough, of all organisations.
func (s *Service) ExpireExports(ctx context.Context) error {
	const why = "files of organisations that were kept long enough"
	var old []exportRow
	err := s.cfg.DB.EachPlacement(ctx, why, func(ctx context.Context, in *db.DB) error {
		return in.ReadSystem(ctx, why, func(ctx context.Context, tx *db.Tx) error {
			var here []exportRow
			err := tx.NewSelect().Model(&here).Column("organisation_id", "id").
				Where("x.state = ? AND x.expires_at <= ?", exportReady, s.clock.Now().UnixMilli()).Scan(ctx)
			old = append(old, here...)
			return err
		})
	})
	for _, r := range old {
		err = errors.Join(err, s.removeExport(ctx, r.OrganisationID, r.ID, "kept for a day"))
	}
	return err
}
