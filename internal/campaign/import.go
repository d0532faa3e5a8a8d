package campaign

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/campaign/leadfile"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// ImportState is how far an import is.
type ImportState string

// The states: uploaded ─► waiting ─► running ─► done, failed or cancelled; of these three ─► undoing ─► undone.
const (
	ImportUploaded  ImportState = "uploaded" // looked at; somebody says what the columns are
	ImportWaiting   ImportState = "waiting"
	ImportRunning   ImportState = "running"
	ImportDone      ImportState = "done"
	ImportFailed    ImportState = "failed"
	ImportCancelled ImportState = "cancelled"
	ImportUndoing   ImportState = "undoing"
	ImportUndone    ImportState = "undone"
)

const (
	importBeat    = 10 * time.Second // how often a reader that adds nothing says that it goes on
	importDead    = time.Minute      // without a sign of life another process takes it over
	importRuns    = 20               // that were interrupted; then it is given up
	uploadsKept   = 24 * time.Hour   // that nobody started
	importsAtOnce = 5                // of an organisation
	uploadsAtOnce = 20
	mappingsKept  = 500 // of an organisation
	rejectsKept   = 100_000
)

// Import is a list of people that was sent in.
type Import struct {
	ID             string           `json:"id"`
	CampaignID     string           `json:"campaignId"`
	Name           string           `json:"name" doc:"Of the file"`
	State          ImportState      `json:"state" enum:"uploaded,waiting,running,done,failed,cancelled,undoing,undone"`
	Format         leadfile.Format  `json:"format"`
	Columns        []string         `json:"columns"`
	Mapping        leadfile.Mapping `json:"mapping" doc:"What the columns are, by their names: phone, name, country, region, zone, var:NAME, or empty for one that is left out"`
	Region         string           `json:"region" doc:"Where numbers without a country code are"`
	Required       []string         `json:"required" doc:"Variables of the agent's that each lead must have"`
	SkipElsewhere  bool             `json:"skipInOtherCampaigns"`
	Bytes          int64            `json:"bytes"`
	Percent        *float64         `json:"percent" doc:"How much of the file was read; null: it cannot be said of an Excel file before its end"`
	Rows           int64            `json:"rows" doc:"Read so far, without the header"`
	Added          int64            `json:"added"`
	Rejected       int64            `json:"rejected" doc:"Rows that cannot be called; the first 100000 can be downloaded with their reasons"`
	Duplicates     int64            `json:"duplicates" doc:"Numbers that the campaign had already"`
	Elsewhere      int64            `json:"inOtherCampaigns" doc:"Numbers left out because another campaign calls them"`
	Empty          int64            `json:"empty" doc:"Empty rows"`
	Removed        int64            `json:"removed" doc:"Leads that were removed by undoing it; those that were called stay"`
	Error          string           `json:"error" doc:"Why it failed"`
	CreatedBy      string           `json:"createdBy"`
	CreatedAt      time.Time        `json:"createdAt"`
	StartedAt      *time.Time       `json:"startedAt"`
	DoneAt         *time.Time       `json:"doneAt"`
	RejectsDropped int64            `json:"rejectsDropped" doc:"Rejected rows beyond those that can be downloaded"`
}

// importRow is an import as it is stored.
type importRow struct {
	bun.BaseModel `bun:"table:campaign_imports"`

	ID             string `bun:",pk"`
	OrganisationID string
	CampaignID     string
	Name           string
	State          ImportState
	Format         string
	Header         string
	Mapping        string
	Region         string
	Required       string
	SkipElsewhere  bool
	FileKey        []byte
	Bytes          int64
	BytesRead      int64
	Line           int64 // of the file, that everything up to was read; the header is line 1
	Added          int64
	Rejected       int64
	Duplicates     int64
	Elsewhere      int64
	Removed        int64
	Cursor         string
	Error          string
	Run            int64
	SeenAt         int64
	CreatedBy      string
	CreatedAt      int64
	StartedAt      int64
	DoneAt         int64
}

func (r *importRow) view() (Import, error) {
	v := Import{ID: r.ID, CampaignID: r.CampaignID, Name: r.Name, State: r.State, Region: r.Region, SkipElsewhere: r.SkipElsewhere, Bytes: r.Bytes, Rows: max(0, r.Line-1),
		Added: r.Added, Rejected: r.Rejected, Duplicates: r.Duplicates, Elsewhere: r.Elsewhere, Removed: r.Removed, Error: r.Error, CreatedBy: r.CreatedBy,
		CreatedAt: at(r.CreatedAt), StartedAt: maybe(r.StartedAt), DoneAt: maybe(r.DoneAt), RejectsDropped: max(0, r.Rejected-rejectsKept)}
	v.Empty = v.Rows - v.Added - v.Rejected - v.Duplicates - v.Elsewhere
	for text, into := range map[string]any{r.Format: &v.Format, r.Header: &v.Columns, r.Mapping: &v.Mapping, r.Required: &v.Required} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			return v, fmt.Errorf("import %s: %w", r.ID, err)
		}
	}
	switch {
	case r.State == ImportDone:
		v.Percent = new(100.0)
	case v.Format.Kind == "csv" && r.Bytes > 0:
		v.Percent = new(min(100, 100*float64(r.BytesRead)/float64(r.Bytes)))
	}
	return v, nil
}

// under reports whether a process is at it, or should be.
func (s ImportState) under() bool {
	return s == ImportWaiting || s == ImportRunning || s == ImportUndoing
}

func importByID(ctx context.Context, tx *db.Tx, campaignID, id string) (*importRow, error) {
	var row importRow
	err := tx.NewSelect().Model(&row).Where("organisation_id = ?", tx.OrgID()).Where("campaign_id = ?", campaignID).Where("id = ?", id).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "the campaign has no import %q", id)
	}
	if err != nil {
		return nil, fmt.Errorf("select import: %w", err)
	}
	return &row, nil
}

// ImportOptions say how a list is read; what is left out is as it was found, remembered or set for the campaign.
type ImportOptions struct {
	Format        *leadfile.Format
	Mapping       leadfile.Mapping // nil: as it was the last time with the same header, or as the columns' names suggest
	Region        *string
	SkipElsewhere bool
}

// changeImport does something to an import, and to its campaign's lock: whoever adds leads holds it too.
func (s *Service) changeImport(ctx context.Context, orgID, campaignID, id string, fn func(ctx context.Context, tx *db.Tx, row *importRow, c *campaignRow) error) (out Import, err error) {
	err = s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		c, err := lockCampaign(ctx, tx, campaignID)
		if err != nil {
			return err
		}
		row, err := importByID(ctx, tx, campaignID, id)
		if err != nil {
			return err
		}
		if err := fn(ctx, tx, row, c); err != nil {
			return err
		}
		if _, err := tx.NewUpdate().Model(row).WherePK().Where("organisation_id = ?", orgID).Exec(ctx); err != nil {
			return fmt.Errorf("update import: %w", err)
		}
		out, err = row.view()
		return err
	})
	return out, err
}

// StartImport has an uploaded list read.
func (s *Service) StartImport(ctx context.Context, orgID, campaignID, id string, o ImportOptions) (Import, error) {
	if s.c.Enqueue == nil {
		return Import{}, fault.New(fault.Unavailable, "this process has no jobs; ask one with the worker role")
	}
	required, err := s.requiredOf(ctx, orgID, campaignID)
	if err != nil {
		return Import{}, err
	}
	return s.changeImport(ctx, orgID, campaignID, id, func(ctx context.Context, tx *db.Tx, row *importRow, c *campaignRow) error {
		if err := row.mustBeUploaded(); err != nil {
			return err
		}
		if err := c.State.may("append"); err != nil {
			return err
		}
		if err := roomForImports(ctx, tx); err != nil {
			return err
		}
		if err := row.take(o, required); err != nil {
			return err
		}
		row.State, row.StartedAt = ImportWaiting, s.now().UnixMilli()
		if err := rememberMapping(ctx, tx, row); err != nil {
			return err
		}
		if err := s.c.Enqueue(ctx, tx, ImportJob, id); err != nil {
			return err
		}
		return identity.Audit(ctx, tx, orgID, identity.Change{Action: "campaign.import.start", Kind: "campaignImport", ID: id,
			After: map[string]any{"campaignId": campaignID, "name": row.Name, "region": row.Region}})
	})
}

// take writes options into a row.
func (r *importRow) take(o ImportOptions, required []string) error {
	var head []string
	if err := json.Unmarshal([]byte(r.Header), &head); err != nil {
		return fmt.Errorf("import %s: %w", r.ID, err)
	}
	if o.Mapping != nil {
		text, err := json.Marshal(o.Mapping)
		if err != nil {
			return err
		}
		r.Mapping = string(text)
	} else if err := r.fit(head, required); err != nil {
		return err
	} else if err := json.Unmarshal([]byte(r.Mapping), &o.Mapping); err != nil {
		return fmt.Errorf("import %s: %w", r.ID, err)
	}
	if err := o.Mapping.Check(head); err != nil {
		return err
	}
	has := map[string]bool{}
	for _, is := range o.Mapping {
		has[is] = true
	}
	for _, name := range required {
		if !has["var:"+name] {
			return fault.Field("mapping", "the agent needs the variable %s: say which column it is, as var:%s", name, name)
		}
	}
	text, err := json.Marshal(append([]string{}, required...))
	if err != nil {
		return err
	}
	r.Required = string(text)
	if o.Format != nil {
		if text, err = json.Marshal(o.Format); err != nil {
			return err
		}
		r.Format = string(text)
	}
	if o.Region != nil {
		r.Region = strings.ToUpper(*o.Region)
	}
	if r.Region != "" && !countryForm.MatchString(r.Region) {
		return fault.Field("region", "%q is no country; write two letters such as US", r.Region)
	}
	r.SkipElsewhere = o.SkipElsewhere
	return nil
}

// fit gives columns to the variables that the agent needs.
func (r *importRow) fit(head, required []string) error {
	m := leadfile.Mapping{}
	if err := json.Unmarshal([]byte(r.Mapping), &m); err != nil {
		return fmt.Errorf("import %s: %w", r.ID, err)
	}
	if m == nil {
		m = leadfile.Mapping{}
	}
	m.Fit(head, required)
	text, err := json.Marshal(m)
	r.Mapping = string(text)
	return err
}

// requiredOf gives the variables that each lead must have. A draft may have no agent yet; then nothing is asked for.
func (s *Service) requiredOf(ctx context.Context, orgID, campaignID string) ([]string, error) {
	c, err := s.Get(ctx, orgID, campaignID)
	if err != nil {
		return nil, err
	}
	return s.required(ctx, orgID, c)
}

// required is requiredOf a campaign that was read.
func (s *Service) required(ctx context.Context, orgID string, c Campaign) ([]string, error) {
	if c.Settings.Agent == "" {
		return nil, nil
	}
	a, err := s.c.Agents.Ready(ctx, orgID, c.Settings.Agent)
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	return a.Variables, err
}

func roomForImports(ctx context.Context, tx *db.Tx) error {
	var n int
	err := tx.NewRaw("SELECT count(*) FROM campaign_imports WHERE organisation_id = ? AND state IN (?, ?, ?)", tx.OrgID(), ImportWaiting, ImportRunning, ImportUndoing).Scan(ctx, &n)
	if err != nil {
		return fmt.Errorf("count imports: %w", err)
	}
	if n >= importsAtOnce {
		return fault.New(fault.LimitReached, "%d imports are under way; wait until one is done", n)
	}
	return nil
}

// headerKey is what a header is remembered by.
func headerKey(header string) string {
	sum := sha256.Sum256([]byte(header))
	return hex.EncodeToString(sum[:])
}

// rememberMapping keeps what the columns of a header are, and forgets what was not used for the longest time.
func rememberMapping(ctx context.Context, tx *db.Tx, row *importRow) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO campaign_import_mappings (organisation_id, header, mapping, used_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (organisation_id, header) DO UPDATE SET mapping = excluded.mapping, used_at = excluded.used_at`, tx.OrgID(), headerKey(row.Header), row.Mapping, row.StartedAt)
	if err != nil {
		return fmt.Errorf("remember a mapping: %w", err)
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM campaign_import_mappings WHERE organisation_id = ? AND header NOT IN (
		SELECT header FROM campaign_import_mappings WHERE organisation_id = ? ORDER BY used_at DESC, header LIMIT ?)`, tx.OrgID(), tx.OrgID(), mappingsKept)
	if err != nil {
		return fmt.Errorf("forget mappings: %w", err)
	}
	return nil
}

func rememberedMapping(ctx context.Context, tx *db.Tx, header string) (string, error) {
	var found []string
	err := tx.NewRaw("SELECT mapping FROM campaign_import_mappings WHERE organisation_id = ? AND header = ?", tx.OrgID(), headerKey(header)).Scan(ctx, &found)
	if err != nil {
		return "", fmt.Errorf("look for a mapping: %w", err)
	}
	if len(found) == 0 {
		return "", nil
	}
	return found[0], nil
}

// Import gives an import.
func (s *Service) Import(ctx context.Context, orgID, campaignID, id string) (out Import, err error) {
	err = s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		row, err := importByID(ctx, tx, campaignID, id)
		if err == nil {
			out, err = row.view()
		}
		return err
	})
	return out, err
}

// Imports lists a campaign's imports, the newest first, and gives the cursor of the next page ("" at the end).
func (s *Service) Imports(ctx context.Context, orgID, campaignID, cursor string, limit int) (out []Import, next string, err error) {
	var rows []importRow
	err = s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		if _, err := campaignByID(ctx, tx, campaignID); err != nil {
			return err
		}
		q := tx.NewSelect().Model(&rows).Where("organisation_id = ?", orgID).Where("campaign_id = ?", campaignID)
		if cursor != "" {
			q = q.Where("id < ?", cursor)
		}
		if err := q.OrderExpr("id DESC").Limit(int64(limit + 1)).Scan(ctx); err != nil {
			return fmt.Errorf("list imports: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	if len(rows) > limit {
		rows = rows[:limit]
		next = rows[limit-1].ID
	}
	out = make([]Import, len(rows))
	for i := range rows {
		if out[i], err = rows[i].view(); err != nil {
			return nil, "", err
		}
	}
	return out, next, nil
}

// CancelImport ends an import where it is. What was added stays, and can be undone.
func (s *Service) CancelImport(ctx context.Context, orgID, campaignID, id string) (Import, error) {
	out, err := s.changeImport(ctx, orgID, campaignID, id, func(ctx context.Context, tx *db.Tx, row *importRow, _ *campaignRow) error {
		if row.State != ImportUploaded && row.State != ImportWaiting && row.State != ImportRunning {
			return fault.New(fault.Conflict, "the import is %s; there is nothing to cancel", row.State)
		}
		row.State, row.DoneAt, row.FileKey, row.SeenAt = ImportCancelled, s.now().UnixMilli(), nil, 0
		row.Run++ // who reads it now writes nothing more
		return identity.Audit(ctx, tx, orgID, identity.Change{Action: "campaign.import.cancel", Kind: "campaignImport", ID: id, After: map[string]any{"added": row.Added}})
	})
	if err != nil {
		return out, err
	}
	return out, s.removeList(ctx, orgID, id)
}

// UndoImport removes the leads of an import that were never called. A job does it.
func (s *Service) UndoImport(ctx context.Context, orgID, campaignID, id string) (Import, error) {
	if s.c.Enqueue == nil {
		return Import{}, fault.New(fault.Unavailable, "this process has no jobs; ask one with the worker role")
	}
	return s.changeImport(ctx, orgID, campaignID, id, func(ctx context.Context, tx *db.Tx, row *importRow, _ *campaignRow) error {
		if row.State != ImportDone && row.State != ImportFailed && row.State != ImportCancelled {
			return fault.New(fault.Conflict, "the import is %s; only one that is over can be undone", row.State)
		}
		if err := roomForImports(ctx, tx); err != nil {
			return err
		}
		row.State, row.Cursor, row.SeenAt = ImportUndoing, "", 0
		if err := s.c.Enqueue(ctx, tx, ImportJob, id); err != nil {
			return err
		}
		return identity.Audit(ctx, tx, orgID, identity.Change{Action: "campaign.import.undo", Kind: "campaignImport", ID: id, After: map[string]any{"added": row.Added}})
	})
}
