package identity

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const maxProjects = 500 // of one organisation

// Project groups agents and phones, and through the agents calls.
type Project struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	OwnerID     string    `json:"ownerId" doc:"Who made it; empty: not known"`
	CreatedAt   time.Time `json:"createdAt"`
	UpdatedAt   time.Time `json:"updatedAt"`
}

func (r *projectRow) project() Project {
	return Project{ID: r.ID, Name: r.Name, Description: r.Description, OwnerID: r.OwnerID, CreatedAt: timeOf(r.CreatedAt), UpdatedAt: timeOf(r.UpdatedAt)}
}

// Projects lists a page of the organisation's projects, and the cursor of the next.
func (s *Service) Projects(ctx context.Context, p Principal, cursor string, limit int) ([]Project, *string, error) {
	var rows []projectRow
	err := s.cfg.DB.ReadTenant(ctx, p.OrgID, func(ctx context.Context, tx *db.Tx) error {
		q := tx.NewSelect().Model(&rows).Where("organisation_id = ? AND id > ?", p.OrgID, cursor)
		return ScopeOf(ctx).Where(q, "owner_id").Order("id").Limit(int64(limit + 1)).Scan(ctx)
	})
	if err != nil {
		return nil, nil, fmt.Errorf("list projects: %w", err)
	}
	rows, next := pageCut(rows, limit, func(r projectRow) string { return r.ID })
	out := make([]Project, len(rows))
	for i := range rows {
		out[i] = rows[i].project()
	}
	return out, next, nil
}

func projectByID(ctx context.Context, tx *db.Tx, orgID, id string) (*projectRow, error) {
	var row projectRow
	return &row, inScope(ctx, tx, &row, "project", "owner_id", orgID, id)
}

// Project gives one project.
func (s *Service) Project(ctx context.Context, p Principal, id string) (Project, error) {
	var out Project
	err := s.cfg.DB.ReadTenant(ctx, p.OrgID, func(ctx context.Context, tx *db.Tx) error {
		row, err := projectByID(ctx, tx, p.OrgID, id)
		out = row.project()
		return err
	})
	if err != nil {
		return Project{}, err
	}
	return out, nil
}

// CreateProject adds a project.
func (s *Service) CreateProject(ctx context.Context, p Principal, c NameChange) (Project, error) {
	if c.Name == nil {
		return Project{}, fault.Field("body.name", "give it a name")
	}
	if err := c.check(); err != nil {
		return Project{}, err
	}
	now := s.cfg.Clock.Now().UnixMilli()
	row := &projectRow{ID: newID(), OrganisationID: p.OrgID, OwnerID: p.UserID, CreatedAt: now, UpdatedAt: now}
	c.apply(&row.Name, &row.Description)
	err := s.cfg.DB.InTenant(ctx, p.OrgID, func(ctx context.Context, tx *db.Tx) error {
		n, err := tx.NewSelect().Model((*projectRow)(nil)).Where("organisation_id = ?", p.OrgID).Count(ctx)
		if err != nil {
			return err
		}
		if n >= maxProjects {
			return fault.New(fault.Conflict, "the organisation has %d projects, the most it may have; delete one first", n)
		}
		if err := insertNamed(ctx, tx, row, "project", row.Name); err != nil {
			return err
		}
		return Audit(ctx, tx, p.OrgID, Change{Action: "project.create", Kind: "project", ID: row.ID, After: row.project()})
	})
	return row.project(), err
}

// UpdateProject renames a project.
func (s *Service) UpdateProject(ctx context.Context, p Principal, id string, c NameChange) (Project, error) {
	if err := c.check(); err != nil {
		return Project{}, err
	}
	var after Project
	err := s.cfg.DB.InTenant(ctx, p.OrgID, func(ctx context.Context, tx *db.Tx) error {
		row, err := projectByID(ctx, tx, p.OrgID, id)
		if err != nil {
			return err
		}
		before := row.project()
		c.apply(&row.Name, &row.Description)
		if err := freeName(ctx, tx, (*projectRow)(nil), "project", p.OrgID, id, row.Name); err != nil {
			return err
		}
		row.UpdatedAt = s.cfg.Clock.Now().UnixMilli()
		if _, err := tx.NewUpdate().Model(row).WherePK().Where("organisation_id = ?", p.OrgID).Exec(ctx); err != nil {
			return err
		}
		after = row.project()
		return Audit(ctx, tx, p.OrgID, Change{Action: "project.update", Kind: "project", ID: id, Before: before, After: after})
	})
	return after, err
}

// DeleteProject removes a project; what it grouped stays.
func (s *Service) DeleteProject(ctx context.Context, p Principal, id string) error {
	return s.cfg.DB.InTenant(ctx, p.OrgID, func(ctx context.Context, tx *db.Tx) error {
		row, err := projectByID(ctx, tx, p.OrgID, id)
		if err != nil {
			return err
		}
		if _, err := tx.NewDelete().Model(row).WherePK().Where("organisation_id = ?", p.OrgID).Exec(ctx); err != nil {
			return err
		}
		if err := tx.PublishFor(ctx, p.OrgID, event.ProjectDeleted{OrgID: p.OrgID, ProjectID: id}); err != nil {
			return err
		}
		return Audit(ctx, tx, p.OrgID, Change{Action: "project.delete", Kind: "project", ID: id, Before: row.project()})
	})
}
