package identity

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const maxPlans = 100

// Plan is a set of limits that organisations share.
type Plan struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Limits    PlanLimits `json:"limits" doc:"What is left out has no limit"`
	CreatedAt time.Time  `json:"createdAt"`
	UpdatedAt time.Time  `json:"updatedAt"`
}

func (r *planRow) plan() Plan {
	return Plan{ID: r.ID, Name: r.Name, Limits: limitsOf(r.Limits), CreatedAt: timeOf(r.CreatedAt), UpdatedAt: timeOf(r.UpdatedAt)}
}

// PlanChange is what a plan is made of or changed to; nil leaves a part as it is.
type PlanChange struct {
	Name   *string
	Limits *PlanLimits
}

func (c *PlanChange) apply(row *planRow) (err error) {
	if c.Name != nil {
		if row.Name, err = requiredName("body.name", *c.Name); err != nil {
			return err
		}
	}
	if c.Limits != nil {
		row.Limits, err = c.Limits.raw()
	}
	return err
}

// Plans lists the installation's plans by name. There are at most maxPlans.
func (s *Service) Plans(ctx context.Context) ([]Plan, error) {
	var rows []planRow
	err := s.cfg.DB.ReadSystem(ctx, "list plans", func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model(&rows).Order("name").Scan(ctx)
	})
	out := make([]Plan, len(rows))
	for i := range rows {
		out[i] = rows[i].plan()
	}
	return out, err
}

// CreatePlan adds a plan.
func (s *Service) CreatePlan(ctx context.Context, c PlanChange) (Plan, error) {
	now := s.cfg.Clock.Now().UnixMilli()
	row := &planRow{ID: newID(), Limits: "{}", CreatedAt: now, UpdatedAt: now}
	if err := c.apply(row); err != nil {
		return Plan{}, err
	}
	if row.Name == "" {
		return Plan{}, fault.Field("body.name", "give it a name")
	}
	err := s.cfg.DB.InSystem(ctx, "create a plan", func(ctx context.Context, tx *db.Tx) error {
		n, err := tx.NewSelect().Model((*planRow)(nil)).Count(ctx)
		if err != nil {
			return err
		}
		if n >= maxPlans {
			return fault.New(fault.Conflict, "there are %d plans, the most there may be; delete one first", n)
		}
		ok, err := affected(tx.NewInsert().Model(row).On("CONFLICT (name) DO NOTHING").Exec(ctx))
		if err != nil {
			return fmt.Errorf("create a plan: %w", err)
		}
		if !ok {
			return nameTaken("plan", row.Name)
		}
		return Audit(ctx, tx, Platform, Change{Action: "plan.create", Kind: "plan", ID: row.ID, After: row.plan()})
	})
	return row.plan(), err
}

// Plan gives a plan.
func (s *Service) Plan(ctx context.Context, id string) (Plan, error) {
	var row planRow
	err := s.cfg.DB.ReadSystem(ctx, "show a plan", func(ctx context.Context, tx *db.Tx) error {
		return one(ctx, tx, &row, "plan", "id = ?", id)
	})
	if err != nil {
		return Plan{}, err
	}
	return row.plan(), nil
}

// UpdatePlan changes a plan, for every organisation that has it.
func (s *Service) UpdatePlan(ctx context.Context, id string, c PlanChange) (Plan, error) {
	var after Plan
	err := s.cfg.DB.InSystem(ctx, "change a plan", func(ctx context.Context, tx *db.Tx) error {
		var row planRow
		if err := one(ctx, tx, &row, "plan", "id = ?", id); err != nil {
			return err
		}
		before := row.plan()
		if err := c.apply(&row); err != nil {
			return err
		}
		taken, err := tx.NewSelect().Model((*planRow)(nil)).Where("name = ? AND id <> ?", row.Name, id).Exists(ctx)
		if err != nil {
			return err
		}
		if taken {
			return nameTaken("plan", row.Name)
		}
		row.UpdatedAt = s.cfg.Clock.Now().UnixMilli()
		if _, err := tx.NewUpdate().Model(&row).WherePK().Exec(ctx); err != nil {
			return err
		}
		after = row.plan()
		return Audit(ctx, tx, Platform, Change{Action: "plan.update", Kind: "plan", ID: id, Before: before, After: after})
	})
	s.epoch.Add(1)
	s.settings.InvalidateAll()
	return after, err
}

// DeletePlan removes a plan that no organisation has.
func (s *Service) DeletePlan(ctx context.Context, id string) error {
	return s.cfg.DB.InSystem(ctx, "delete a plan", func(ctx context.Context, tx *db.Tx) error {
		var row planRow
		if err := one(ctx, tx, &row, "plan", "id = ?", id); err != nil {
			return err
		}
		n, err := tx.NewSelect().Model((*organisationRow)(nil)).Where("plan_id = ?", id).Count(ctx)
		if err != nil {
			return err
		}
		if n > 0 {
			return fault.New(fault.Conflict, "%d organisations have the plan %q; give them another first", n, row.Name)
		}
		if _, err := tx.NewDelete().Model(&row).WherePK().Exec(ctx); err != nil {
			return err
		}
		return Audit(ctx, tx, Platform, Change{Action: "plan.delete", Kind: "plan", ID: id, Before: row.plan()})
	})
}
