package campaign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/campaign/leadfile"
	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// ImportJob is the kind of job that carries an import, or undoes it; its id is the import's.
const ImportJob = "campaign.import"

const (
	// A transaction of an import is as large as fits into batchTime: SQLite has one writer, and calls write too.
	batchTime  = 50 * time.Millisecond
	batchLeast = 100
	batchMost  = 4000
	batchFirst = 500

	undoBatch    = 500
	rejectCell   = 200 // characters that are kept of a rejected row's cell
	rejectCells  = 4000
	settleImport = 10 * time.Second
)

// errNotMine says that an import was cancelled or is carried by another process.
var errNotMine = errors.New("campaign: the import is not this process's any more")

// CarryImport reads an import's list, or removes its leads where it is to be undone. It may be called again after its process
// died: it goes on after what was written, which is counted with the leads themselves.
func (s *Service) CarryImport(ctx context.Context, orgID, id string) error {
	row, err := s.claimImport(ctx, orgID, id)
	if err != nil || row == nil {
		return err
	}
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	beat := s.c.Clock.TickerFunc(work, importBeat, func() error {
		if errors.Is(s.seen(work, row), errNotMine) {
			cancel()
		}
		return nil
	}, "campaign", "import")
	if row.State == ImportUndoing {
		err = s.undo(work, row)
	} else {
		err = s.read(work, row)
	}
	cancel()
	_ = beat.Wait() // it ends with the context
	return s.endImport(ctx, row, err)
}

// claimImport takes an import that nobody carries; nil where there is nothing to do.
func (s *Service) claimImport(ctx context.Context, orgID, id string) (*importRow, error) {
	var row importRow
	mine := false
	err := s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		mine = false
		if err := tx.Lock(ctx, "campaign import "+id); err != nil {
			return err
		}
		var rows []importRow
		if err := tx.NewSelect().Model(&rows).Where("organisation_id = ?", orgID).Where("id = ?", id).Scan(ctx); err != nil {
			return fmt.Errorf("select import: %w", err)
		}
		now := s.now()
		if len(rows) == 0 || !rows[0].State.under() || rows[0].SeenAt > now.Add(-importDead).UnixMilli() {
			return nil
		}
		row, mine = rows[0], true
		if row.State == ImportWaiting {
			row.State = ImportRunning
		}
		row.Run, row.SeenAt = row.Run+1, now.UnixMilli()
		if _, err := tx.NewUpdate().Model(&row).Column("state", "run", "seen_at").WherePK().Where("organisation_id = ?", orgID).Exec(ctx); err != nil {
			return fmt.Errorf("claim an import: %w", err)
		}
		return nil
	})
	if err != nil || !mine {
		return nil, err
	}
	return &row, nil
}

// mine is the condition under which a process may still write to an import.
func (r *importRow) mine(q *bun.UpdateQuery) *bun.UpdateQuery {
	return q.Model((*importRow)(nil)).Where("organisation_id = ?", r.OrganisationID).Where("id = ?", r.ID).Where("run = ?", r.Run).Where("state = ?", r.State)
}

// setImport writes to an import that is still this process's.
func (r *importRow) set(ctx context.Context, q *bun.UpdateQuery) error {
	res, err := r.mine(q).Exec(ctx)
	if err != nil {
		return fmt.Errorf("update import: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, errNotMine)
	}
	return nil
}

// seen says that an import goes on.
func (s *Service) seen(ctx context.Context, r *importRow) error {
	return s.c.DB.InTenant(ctx, r.OrganisationID, func(ctx context.Context, tx *db.Tx) error {
		return r.set(ctx, tx.NewUpdate().Set("seen_at = ?", s.now().UnixMilli()))
	})
}

// endImport writes down how an import ended; one whose process ends is let go, for another to go on.
func (s *Service) endImport(ctx context.Context, r *importRow, cause error) error {
	if errors.Is(cause, errNotMine) {
		return nil
	}
	var f *fault.Error
	known := errors.As(cause, &f) && (f.Code == fault.Invalid || f.Code == fault.NotFound || f.Code == fault.Conflict || f.Code == fault.TooLarge)
	inner, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleImport)
	defer cancel()
	switch {
	case cause == nil:
		return s.settleImport(inner, r, "")
	case known && ctx.Err() == nil:
		return s.settleImport(inner, r, f.Message)
	case r.Run >= importRuns:
		return errors.Join(cause, s.settleImport(inner, r, "It was interrupted too often; the log says why. Import the rest again: what is there already is left out."))
	}
	err := s.c.DB.InTenant(inner, r.OrganisationID, func(ctx context.Context, tx *db.Tx) error {
		return r.set(ctx, tx.NewUpdate().Set("seen_at = 0"))
	})
	if errors.Is(err, errNotMine) { // it was cancelled, which is why the reading ended
		return nil
	}
	return errors.Join(cause, err)
}

// settleImport ends an import, as failed where why says why.
func (s *Service) settleImport(ctx context.Context, r *importRow, why string) error {
	to := ImportDone
	switch {
	case r.State == ImportUndoing && why == "":
		to = ImportUndone
	case why != "":
		to = ImportFailed
	}
	err := s.c.DB.InTenant(ctx, r.OrganisationID, func(ctx context.Context, tx *db.Tx) error {
		err := r.set(ctx, tx.NewUpdate().Set("state = ?", to).Set("error = ?", why).Set("done_at = ?", s.now().UnixMilli()).Set("seen_at = 0").Set("file_key = NULL"))
		if err != nil {
			return err
		}
		now, err := importByID(ctx, tx, r.CampaignID, r.ID)
		if err != nil {
			return err
		}
		if err := s.tellCampaign(ctx, tx, r.CampaignID); err != nil {
			return err
		}
		c := identity.Change{Action: "campaign.import." + string(to), Kind: "campaignImport", ID: r.ID, Reason: why, After: map[string]any{"campaignId": r.CampaignID,
			"added": now.Added, "rejected": now.Rejected, "duplicates": now.Duplicates, "inOtherCampaigns": now.Elsewhere, "removed": now.Removed}}
		if why != "" {
			c.Outcome = identity.OutcomeFailed
		}
		return identity.Audit(ctx, tx, r.OrganisationID, c)
	})
	if errors.Is(err, errNotMine) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.removeList(ctx, r.OrganisationID, r.ID)
}

// tellCampaign wakes whoever dials a campaign: its leads changed.
func (s *Service) tellCampaign(ctx context.Context, tx *db.Tx, id string) error {
	c, err := campaignByID(ctx, tx, id)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return tx.Publish(ctx, event.CampaignChanged{CampaignID: id, OrgID: tx.OrgID(), Name: c.Name, State: string(c.State), Was: string(c.State), Why: c.Why, At: s.now().UnixMilli()})
}

// batch is what one transaction adds.
type batch struct {
	leads   []leadfile.Lead
	rejects []leadfile.Reject
	line    int64 // everything up to it was read
	bytes   int64
}

// read adds what is in a list. One goroutine reads and understands rows, this one writes what the other has ready.
func (s *Service) read(ctx context.Context, r *importRow) error {
	o := leadfile.Options{Region: r.Region, Skip: int(r.Line)}
	for text, into := range map[string]any{r.Format: &o.Format, r.Mapping: &o.Mapping, r.Required: &o.Required} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			return fmt.Errorf("import %s: %w", r.ID, err)
		}
	}
	if s.c.Blobs == nil || s.c.Sealer == nil {
		return errors.New("campaign: this process keeps no files")
	}
	key, err := s.c.Sealer.Open(ctx, r.OrganisationID, r.FileKey, listAAD(r.OrganisationID, r.ID))
	if err != nil {
		return fmt.Errorf("open the key of a list: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in, err := s.openList(ctx, r, key)
	if err != nil {
		return err
	}
	p := &parsing{out: make(chan *batch, 2), from: &counted{r: in}, now: &batch{}}
	p.size.Store(batchFirst)
	failed := make(chan error, 1)
	go func() {
		defer close(p.out)
		failed <- p.run(ctx, o)
	}()
	for b := range p.out {
		began := s.c.Clock.Now()
		if err := s.add(ctx, r, b); err != nil {
			cancel()
			for range p.out { //nolint:revive // the other goroutine ends when it has handed over what it has
			}
			return err
		}
		p.adapt(s.c.Clock.Since(began))
	}
	return <-failed
}

// parsing makes batches of rows.
type parsing struct {
	out  chan *batch
	from *counted
	now  *batch
	size atomic.Int64 // of a batch
}

func (p *parsing) run(ctx context.Context, o leadfile.Options) error {
	counts, err := leadfile.Read(ctx, p.from, o, func(l leadfile.Lead) error {
		p.now.leads = append(p.now.leads, l)
		return p.full(ctx, int64(l.Row))
	}, func(r leadfile.Reject) error {
		p.now.rejects = append(p.now.rejects, r)
		return p.full(ctx, int64(r.Row))
	})
	if err != nil && !errors.Is(err, io.EOF) {
		if ctx.Err() == nil { // what was right before what is wrong is kept
			handed := p.hand(ctx, p.now.line)
			if p.from.err != nil { // the store's failure, not the file's: it is tried again
				err = p.from.err
			}
			err = errors.Join(err, handed)
		}
		return err
	}
	return p.hand(ctx, int64(counts.Rows)+1)
}

// full hands a batch over when it is large enough.
func (p *parsing) full(ctx context.Context, line int64) error {
	p.now.line = line
	if int64(len(p.now.leads)+len(p.now.rejects)) < p.size.Load() {
		return nil
	}
	return p.hand(ctx, line)
}

func (p *parsing) hand(ctx context.Context, line int64) error {
	if line == 0 {
		return nil
	}
	p.now.line, p.now.bytes = line, p.from.n
	select {
	case p.out <- p.now:
		p.now = &batch{leads: make([]leadfile.Lead, 0, len(p.now.leads))}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// adapt makes batches as large as fits into batchTime.
func (p *parsing) adapt(took time.Duration) {
	n := p.size.Load()
	switch {
	case took > batchTime:
		n = n * 2 / 3
	case took < batchTime/2:
		n = n * 3 / 2
	}
	p.size.Store(min(max(n, batchLeast), batchMost))
}

// add writes a batch: its leads, its bad rows, how far the import is and the campaign's counts, or nothing of it.
func (s *Service) add(ctx context.Context, r *importRow, b *batch) error {
	return s.c.DB.InTenant(ctx, r.OrganisationID, func(ctx context.Context, tx *db.Tx) error {
		c, err := lockCampaign(ctx, tx, r.CampaignID)
		if err != nil {
			return err
		}
		if err := c.State.may("append"); err != nil {
			return err
		}
		leads, elsewhere := b.leads, int64(0)
		if r.SkipElsewhere {
			if leads, elsewhere, err = withoutOthers(ctx, tx, r.CampaignID, leads); err != nil {
				return err
			}
		}
		rows := make([]leadRow, len(leads))
		now := s.now().UnixMilli()
		for i := range leads {
			rows[i] = newLead(tx, r.CampaignID, r.ID, now)
			if err := rows[i].fill(&leads[i]); err != nil {
				return err
			}
		}
		added, err := addLeads(ctx, tx, r.CampaignID, rows)
		if err != nil {
			return err
		}
		if err := r.keepRejects(ctx, tx, b.rejects); err != nil {
			return err
		}
		return r.set(ctx, tx.NewUpdate().Set("line = ?", b.line).Set("bytes_read = ?", b.bytes).Set("added = added + ?", added).
			Set("rejected = rejected + ?", len(b.rejects)).Set("elsewhere = elsewhere + ?", elsewhere).
			Set("duplicates = duplicates + ?", int64(len(leads))-added).Set("seen_at = ?", now))
	})
}

// fill takes over what a file says.
func (r *leadRow) fill(l *leadfile.Lead) error {
	r.Line, r.Number, r.Name, r.Country, r.Region, r.Zone = int64(l.Row), l.Number, l.Name, l.Country, l.Region, l.Zone
	if len(l.Variables) == 0 {
		return nil
	}
	text, err := json.Marshal(l.Variables)
	if err != nil {
		return fmt.Errorf("variables of line %d: %w", l.Row, err)
	}
	r.Variables = string(text)
	return nil
}

// withoutOthers leaves out who is called by another campaign that goes on.
func withoutOthers(ctx context.Context, tx *db.Tx, campaignID string, leads []leadfile.Lead) ([]leadfile.Lead, int64, error) {
	if len(leads) == 0 {
		return leads, 0, nil
	}
	numbers := make([]string, len(leads))
	for i := range leads {
		numbers[i] = leads[i].Number
	}
	var taken []string
	err := tx.NewRaw(`SELECT DISTINCT l.number FROM campaign_leads l JOIN campaigns c ON c.organisation_id = l.organisation_id AND c.id = l.campaign_id
		WHERE l.organisation_id = ? AND l.number IN (?) AND l.campaign_id <> ? AND l.state NOT IN (?, ?) AND c.state IN (?, ?, ?)`,
		tx.OrgID(), bun.List(numbers), campaignID, dial.Done, dial.DoNotCall, Scheduled, Running, Paused).Scan(ctx, &taken)
	if err != nil {
		return nil, 0, fmt.Errorf("look for leads of other campaigns: %w", err)
	}
	if len(taken) == 0 {
		return leads, 0, nil
	}
	skip := make(map[string]bool, len(taken))
	for _, n := range taken {
		skip[n] = true
	}
	var left []leadfile.Lead
	for _, l := range leads {
		if !skip[l.Number] {
			left = append(left, l)
		}
	}
	return left, int64(len(leads) - len(left)), nil
}

// rejectRow is a bad row as it is stored.
type rejectRow struct {
	bun.BaseModel `bun:"table:campaign_import_rejects"`

	OrganisationID string
	ImportID       string `bun:",pk"`
	Line           int64  `bun:",pk"`
	Reason         string
	Cells          string
}

// keepRejects keeps bad rows while there is room.
func (r *importRow) keepRejects(ctx context.Context, tx *db.Tx, rejects []leadfile.Reject) error {
	var rows []rejectRow
	for i := range rejects {
		if r.Rejected++; r.Rejected > rejectsKept {
			continue
		}
		cells, err := json.Marshal(cut(rejects[i].Cells))
		if err != nil {
			return err
		}
		rows = append(rows, rejectRow{OrganisationID: r.OrganisationID, ImportID: r.ID, Line: int64(rejects[i].Row), Reason: rejects[i].Reason, Cells: string(cells)})
	}
	for len(rows) > 0 {
		some := rows[:min(len(rows), rowsAtOnce)]
		if _, err := tx.NewInsert().Model(&some).Exec(ctx); err != nil {
			return fmt.Errorf("insert rejected rows: %w", err)
		}
		rows = rows[len(some):]
	}
	return nil
}

// cut shortens a bad row's cells: they show which row it is.
func cut(cells []string) []string {
	out, total := make([]string, 0, len(cells)), 0
	for _, c := range cells {
		if r := []rune(c); len(r) > rejectCell {
			c = string(r[:rejectCell]) + "…"
		}
		if total += len(c); total > rejectCells {
			break
		}
		out = append(out, c)
	}
	return out
}

// undo removes an import's leads that were never called, some at a time.
func (s *Service) undo(ctx context.Context, r *importRow) error {
	for over := false; !over; {
		err := s.c.DB.InTenant(ctx, r.OrganisationID, func(ctx context.Context, tx *db.Tx) error {
			if _, err := lockCampaign(ctx, tx, r.CampaignID); err != nil {
				return err
			}
			next, n, err := removeUncalled(ctx, tx, r, r.Cursor)
			if err != nil {
				return err
			}
			if err := r.set(ctx, tx.NewUpdate().Set("cursor = ?", next).Set("removed = removed + ?", n).Set("seen_at = ?", s.now().UnixMilli())); err != nil {
				return err
			}
			over = next == ""
			r.Cursor = next
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// removeUncalled deletes the uncalled leads of an import among the next leads of its campaign, and gives where to go on ("" at
// the end) and how many went.
func removeUncalled(ctx context.Context, tx *db.Tx, r *importRow, after string) (next string, n int64, err error) {
	var rows []leadRow
	err = tx.NewSelect().Model(&rows).Column("id", "import_id", "state", "attempts").Where("organisation_id = ?", tx.OrgID()).Where("campaign_id = ?", r.CampaignID).
		Where("id > ?", after).OrderExpr("id").Limit(undoBatch).Scan(ctx)
	if err != nil {
		return "", 0, fmt.Errorf("select leads to remove: %w", err)
	}
	t := tally{}
	var ids []string
	for _, l := range rows {
		if l.ImportID == r.ID && l.uncalled() {
			ids = append(ids, l.ID)
			t.add(0, "lead:"+string(l.State), -1)
		}
	}
	if len(rows) == undoBatch {
		next = rows[len(rows)-1].ID
	}
	if len(ids) == 0 {
		return next, 0, nil
	}
	return next, int64(len(ids)), removeLeads(ctx, tx, r.CampaignID, ids, t)
}

// uncalled reports whether nobody tried to call a lead.
func (r *leadRow) uncalled() bool {
	return r.Attempts == 0 && r.State != dial.Dialling && r.State != dial.InCall
}

func removeLeads(ctx context.Context, tx *db.Tx, campaignID string, ids []string, t tally) error {
	_, err := tx.NewDelete().Table("campaign_leads").Where("organisation_id = ?", tx.OrgID()).Where("campaign_id = ?", campaignID).Where("id IN (?)", bun.List(ids)).Exec(ctx)
	if err != nil {
		return fmt.Errorf("delete leads: %w", err)
	}
	return t.save(ctx, tx, campaignID)
}

// TendImports goes on with imports whose process is gone, and forgets lists that nobody started to read. It may run in several
// processes at once.
func (s *Service) TendImports(ctx context.Context) error {
	now := s.now()
	open, err := readEach[importRow](ctx, s.c.DB, "look for imports that nobody carries",
		`SELECT id, organisation_id, campaign_id, state FROM campaign_imports WHERE state IN (?, ?, ?) AND seen_at < ? AND started_at < ? OR state = ? AND created_at < ? LIMIT ?`,
		ImportWaiting, ImportRunning, ImportUndoing, now.Add(-importDead).UnixMilli(), now.Add(-importDead).UnixMilli(), ImportUploaded, now.Add(-uploadsKept).UnixMilli(), mostAtOnce)
	failed := err
	for _, r := range open {
		if r.State == ImportUploaded {
			_, err = s.CancelImport(ctx, r.OrganisationID, r.CampaignID, r.ID)
		} else {
			err = s.CarryImport(ctx, r.OrganisationID, r.ID)
		}
		if err != nil && !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Conflict) {
			failed = errors.Join(failed, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return failed
}
