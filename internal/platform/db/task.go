package db

import (
	"context"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// Task is what is under way with a whole organisation, or was: of one that was erased it is what is left.
type Task struct {
	bun.BaseModel `bun:"table:org_tasks"`

	OrganisationID string `bun:"organisation_id,pk"`
	Kind           string `bun:"kind"`
	State          string `bun:"state"`
	Detail         string `bun:"detail"` // JSON
	StartedAt      int64  `bun:"started_at"`
	SeenAt         int64  `bun:"seen_at"` // Unix ms: whoever works on it says so now and then
}

// The kinds and states of tasks.
const (
	TaskImport  = "import"
	TaskErase   = "erase"
	TaskRunning = "running"
	TaskDone    = "done"
)

// SaveTask writes a task down, or what has become of it.
func (d *DB) SaveTask(ctx context.Context, t Task) error {
	t.SeenAt = d.clock.Now().UnixMilli()
	if t.StartedAt == 0 {
		t.StartedAt = t.SeenAt
	}
	err := d.run(ctx, d.master, scope{}, func(ctx context.Context, tx *Tx) error {
		_, err := tx.NewInsert().Model(&t).On("CONFLICT (organisation_id) DO UPDATE").Set("kind = EXCLUDED.kind").Set("state = EXCLUDED.state").
			Set("detail = EXCLUDED.detail").Set("seen_at = EXCLUDED.seen_at").Returning("NULL").Exec(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("write down what is done with an organisation: %w", err)
	}
	return nil
}

// BeginTask writes down a task that begins. One that is under way with the organisation is a Conflict.
func (d *DB) BeginTask(ctx context.Context, t Task) error {
	t.StartedAt = d.clock.Now().UnixMilli()
	t.SeenAt = t.StartedAt
	return d.run(ctx, d.master, scope{}, func(ctx context.Context, tx *Tx) error {
		res, err := tx.NewInsert().Model(&t).On("CONFLICT (organisation_id) DO NOTHING").Returning("NULL").Exec(ctx)
		if err != nil {
			return fmt.Errorf("write down what is done with an organisation: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, fault.New(fault.Conflict, "the organisation is just being imported or erased; wait until that is over, or for five minutes when it was interrupted"))
		}
		return nil
	})
}

// Tasks lists the tasks of a kind, of one organisation or, with "", of all.
func (d *DB) Tasks(ctx context.Context, kind, orgID string) (ts []Task, err error) {
	err = d.run(ctx, d.master, scope{readOnly: true}, func(ctx context.Context, tx *Tx) error {
		q := tx.NewSelect().Model(&ts).Where("kind = ?", kind)
		if orgID != "" {
			q = q.Where("organisation_id = ?", orgID)
		}
		return q.OrderExpr("organisation_id").Scan(ctx)
	})
	return ts, err
}

// EndTask forgets a task, in the transaction that ends it.
func (tx *Tx) EndTask(ctx context.Context, orgID string) error {
	_, err := tx.NewDelete().Model((*Task)(nil)).Where("organisation_id = ?", orgID).Exec(ctx)
	return err
}
