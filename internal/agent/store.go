package agent

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

type agentRow struct {
	bun.BaseModel `bun:"table:agents"`

	ID               string `bun:",pk"`
	OrganisationID   string
	Slug             string
	Name             string
	Kind             string
	PublishedVersion *int
	LatestVersion    int
	OwnerID          string
	ProjectID        string
	CreatedAt        int64
	UpdatedAt        int64
}

type versionRow struct {
	bun.BaseModel `bun:"table:agent_versions"`

	OrganisationID string
	AgentID        string `bun:",pk"`
	Number         int    `bun:",pk"`
	ID             string
	Definition     string
	Note           string
	CreatedBy      string
	CreatedAt      int64
}

func (r *agentRow) agent() Agent {
	a := Agent{ID: r.ID, Slug: r.Slug, Name: r.Name, Kind: r.Kind, Status: "draft", PublishedVersion: r.PublishedVersion,
		LatestVersion: r.LatestVersion, OwnerID: r.OwnerID, ProjectID: r.ProjectID, CreatedAt: at(r.CreatedAt), UpdatedAt: at(r.UpdatedAt)}
	if r.PublishedVersion != nil {
		a.Status = "published"
	}
	return a
}

func (r *versionRow) version(published *int) (Version, error) {
	d, err := parseDefinition(r.Definition)
	if err != nil {
		return Version{}, fmt.Errorf("version %d of agent %s: %w", r.Number, r.AgentID, err)
	}
	return Version{ID: r.ID, AgentID: r.AgentID, Number: r.Number, CreatedAt: at(r.CreatedAt), CreatedBy: r.CreatedBy,
		Note: r.Note, Definition: d, Published: published != nil && *published == r.Number}, nil
}

func at(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// agentByID finds an agent of the transaction's organisation.
func agentByID(ctx context.Context, tx *db.Tx, id string) (*agentRow, error) {
	return oneAgent(ctx, tx, "id = ?", id)
}

// agentByName finds an agent by id or slug.
func agentByName(ctx context.Context, tx *db.Tx, name string) (*agentRow, error) {
	return oneAgent(ctx, tx, "(id = ? OR slug = ?)", name, name)
}

// oneAgent finds an agent that ctx reaches.
func oneAgent(ctx context.Context, tx *db.Tx, where string, args ...any) (*agentRow, error) {
	var r agentRow
	q := tx.NewSelect().Model(&r).Where("organisation_id = ?", tx.OrgID()).Where(where, args...)
	err := identity.ScopeOf(ctx).Where(q, "owner_id").Limit(1).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "there is no agent %q", args[0])
	}
	if err != nil {
		return nil, fmt.Errorf("select agent: %w", err)
	}
	return &r, nil
}

func versionOf(ctx context.Context, tx *db.Tx, agentID string, number int) (*versionRow, error) {
	var r versionRow
	err := tx.NewSelect().Model(&r).Where("organisation_id = ?", tx.OrgID()).Where("agent_id = ?", agentID).
		Where("number = ?", number).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "agent %q has no version %d", agentID, number)
	}
	if err != nil {
		return nil, fmt.Errorf("select version: %w", err)
	}
	return &r, nil
}

// insertAgent refuses a slug that is taken.
func insertAgent(ctx context.Context, tx *db.Tx, r *agentRow) error {
	n, err := tx.NewSelect().Model((*agentRow)(nil)).Where("organisation_id = ?", r.OrganisationID).Count(ctx)
	if err != nil {
		return fmt.Errorf("count agents: %w", err)
	}
	if n >= maxAgents {
		return fault.New(fault.Conflict, "there are %d agents already; delete one first", n)
	}
	res, err := tx.NewInsert().Model(r).On("CONFLICT (organisation_id, slug) DO NOTHING").Exec(ctx)
	if err != nil {
		return fmt.Errorf("insert agent: %w", err)
	}
	if n, err := res.RowsAffected(); err == nil && n == 0 {
		return slugTaken(r.Slug)
	}
	return nil
}

func slugTaken(slug string) error {
	e := fault.New(fault.Conflict, "the slug %q is taken; choose another", slug)
	e.Details = []fault.Detail{{Location: "body.slug", Message: e.Message, Value: slug}}
	return e
}

func updateAgent(ctx context.Context, tx *db.Tx, r *agentRow) error {
	_, err := tx.NewUpdate().Model(r).WherePK().Where("organisation_id = ?", r.OrganisationID).Exec(ctx)
	if err != nil {
		return fmt.Errorf("update agent: %w", err)
	}
	return nil
}
