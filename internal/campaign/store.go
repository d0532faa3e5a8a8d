package campaign

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

//go:embed migrations
var migrations embed.FS

// Migrations is the history of this context's tables.
func Migrations() db.Migrations {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is part of the binary
	}
	return db.Migrations{Context: "campaign", FS: sub}
}

// campaignRow is a campaign as it is stored.
type campaignRow struct {
	bun.BaseModel `bun:"table:campaigns"`

	ID             string `bun:",pk"`
	OrganisationID string
	Name           string
	State          State
	Why            string
	Settings       string // JSON
	ProjectID      string
	CreatedBy      string
	CreatedAt      int64
	UpdatedAt      int64
	StartedAt      int64
	EndedAt        int64
	ArchivedAt     int64
	Holder         string
	Fence          int64
	HeldUntil      int64
}

// campaign makes the API's view of a row.
func (r *campaignRow) campaign() (Campaign, error) {
	c := Campaign{ID: r.ID, Name: r.Name, State: r.State, Why: r.Why, ProjectID: r.ProjectID, CreatedBy: r.CreatedBy, CreatedAt: at(r.CreatedAt),
		UpdatedAt: at(r.UpdatedAt), StartedAt: maybe(r.StartedAt), EndedAt: maybe(r.EndedAt), ArchivedAt: maybe(r.ArchivedAt)}
	// What an older version did not know is as usual; a rule or name that was taken out stays out.
	set, err := (&patch{raw: json.RawMessage(r.Settings)}).over(Usual())
	if err != nil || set == nil {
		return c, fmt.Errorf("settings of campaign %s: %w", r.ID, err)
	}
	c.Settings = *set
	return c, nil
}

func at(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func maybe(ms int64) *time.Time {
	if ms == 0 {
		return nil
	}
	t := at(ms)
	return &t
}

// unix is a time as it is stored; the zero time is 0.
func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func campaignByID(ctx context.Context, tx *db.Tx, id string) (*campaignRow, error) {
	var row campaignRow
	err := tx.NewSelect().Model(&row).Where("organisation_id = ?", tx.OrgID()).Where("id = ?", id).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "there is no campaign %q", id)
	}
	if err != nil {
		return nil, fmt.Errorf("select campaign: %w", err)
	}
	return &row, nil
}

// lockCampaign finds a campaign and keeps others from changing it until the transaction ends.
func lockCampaign(ctx context.Context, tx *db.Tx, id string) (*campaignRow, error) {
	if err := tx.Lock(ctx, "campaign "+id); err != nil {
		return nil, err
	}
	return campaignByID(ctx, tx, id)
}

func insertCampaign(ctx context.Context, tx *db.Tx, row *campaignRow) error {
	if _, err := tx.NewInsert().Model(row).Exec(ctx); err != nil {
		return fmt.Errorf("insert campaign: %w", err)
	}
	return nil
}

func updateCampaign(ctx context.Context, tx *db.Tx, row *campaignRow) error {
	_, err := tx.NewUpdate().Model(row).Column("name", "state", "why", "settings", "project_id", "updated_at", "started_at", "ended_at", "archived_at").
		Where("organisation_id = ?", tx.OrgID()).Where("id = ?", row.ID).Exec(ctx)
	if err != nil {
		return fmt.Errorf("update campaign: %w", err)
	}
	return nil
}

// deleteCampaign removes a campaign with all that is its own. Decisions stay: they answer for calls that were made.
func deleteCampaign(ctx context.Context, tx *db.Tx, id string) error {
	_, err := tx.NewDelete().Table("campaign_import_rejects").Where("organisation_id = ?", tx.OrgID()).
		Where("import_id IN (SELECT id FROM campaign_imports WHERE organisation_id = ? AND campaign_id = ?)", tx.OrgID(), id).Exec(ctx)
	if err != nil {
		return fmt.Errorf("delete rejected rows: %w", err)
	}
	for _, table := range []string{"campaign_tally", "campaign_attempts", "campaign_leads", "campaign_imports", "campaign_notices"} {
		if _, err := tx.NewDelete().Table(table).Where("organisation_id = ?", tx.OrgID()).Where("campaign_id = ?", id).Exec(ctx); err != nil {
			return fmt.Errorf("delete from %s: %w", table, err)
		}
	}
	if _, err := tx.NewDelete().Table("campaigns").Where("organisation_id = ?", tx.OrgID()).Where("id = ?", id).Exec(ctx); err != nil {
		return fmt.Errorf("delete campaign: %w", err)
	}
	return nil
}

// listing is what a list of campaigns shows.
type listing struct {
	Cursor, State, Project string
	Archived               bool
	Limit                  int
}

func listCampaigns(ctx context.Context, tx *db.Tx, l listing) ([]campaignRow, error) {
	var rows []campaignRow
	q := tx.NewSelect().Model(&rows).Where("organisation_id = ?", tx.OrgID())
	if l.Cursor != "" {
		q = q.Where("id < ?", l.Cursor)
	}
	if l.State != "" {
		q = q.Where("state = ?", l.State)
	}
	if l.Project != "" {
		q = q.Where("project_id = ?", l.Project)
	}
	if l.Archived {
		q = q.Where("archived_at > 0")
	} else {
		q = q.Where("archived_at = 0")
	}
	if err := q.OrderExpr("id DESC").Limit(int64(l.Limit)).Scan(ctx); err != nil {
		return nil, fmt.Errorf("list campaigns: %w", err)
	}
	return rows, nil
}
