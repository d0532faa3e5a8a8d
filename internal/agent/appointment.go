package agent

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/agent/flow"
	"github.com/parley-voice/parley/internal/platform/db"
)

type appointmentRow struct {
	bun.BaseModel `bun:"table:appointments"`

	ID             string `bun:",pk"`
	OrganisationID string
	AgentID        string
	CallID         string
	Code           string
	Name           string
	Phone          string
	StartAt        int64
	Minutes        int
	Status         string
	CreatedAt      int64
	UpdatedAt      int64
}

func (r *appointmentRow) appointment() flow.Appointment {
	return flow.Appointment{ID: r.ID, Code: r.Code, Start: at(r.StartAt), Phone: r.Phone}
}

// The statuses of an appointment.
const (
	statusBooked    = "booked"
	statusMoved     = "moved"
	statusCancelled = "cancelled"
)

// lookTimeout bounds what a caller waits for the calendar.
const lookTimeout = 5 * time.Second

// Calendar gives the appointments of one agent to a flow, on behalf of one call.
func (s *Service) Calendar(orgID, agentID, callID string) flow.Calendar {
	return &calendar{s: s, org: orgID, agent: agentID, call: callID}
}

type calendar struct {
	s                *Service
	org, agent, call string
}

func (c *calendar) read(ctx context.Context, fn func(context.Context, *bun.SelectQuery) error) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	return c.s.c.DB.ReadTenant(ctx, c.org, func(ctx context.Context, tx *db.Tx) error {
		return fn(ctx, c.mine(tx).Where("status <> ?", statusCancelled))
	})
}

func (c *calendar) mine(tx *db.Tx) *bun.SelectQuery {
	return tx.NewSelect().Model((*appointmentRow)(nil)).Where("organisation_id = ?", c.org).Where("agent_id = ?", c.agent)
}

// Busy implements flow.Calendar.
func (c *calendar) Busy(ctx context.Context, from, to time.Time) ([]time.Time, error) {
	var starts []int64
	err := c.read(ctx, func(ctx context.Context, q *bun.SelectQuery) error {
		return q.Column("start_at").Where("start_at >= ?", from.UnixMilli()).Where("start_at < ?", to.UnixMilli()).
			OrderExpr("start_at").Limit(1000).Scan(ctx, &starts)
	})
	if err != nil {
		return nil, fmt.Errorf("select busy times: %w", err)
	}
	out := make([]time.Time, len(starts))
	for i, ms := range starts {
		out[i] = at(ms)
	}
	return out, nil
}

// Find implements flow.Calendar.
func (c *calendar) Find(ctx context.Context, q flow.Query) ([]flow.Appointment, error) {
	if q.Phone == "" && q.Code == "" {
		return nil, nil
	}
	var rows []appointmentRow
	err := c.read(ctx, func(ctx context.Context, sel *bun.SelectQuery) error {
		sel = sel.Where("start_at > ?", q.After.UnixMilli())
		if q.Code != "" {
			sel = sel.Where("code = ?", q.Code)
		} else {
			sel = sel.Where("phone = ?", q.Phone)
		}
		return sel.OrderExpr("start_at").Limit(10).Scan(ctx, &rows)
	})
	if err != nil {
		return nil, fmt.Errorf("find appointments: %w", err)
	}
	out := make([]flow.Appointment, len(rows))
	for i := range rows {
		out[i] = rows[i].appointment()
	}
	return out, nil
}

func (c *calendar) write(ctx context.Context, fn func(context.Context, *db.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	return c.s.c.DB.InTenant(ctx, c.org, fn)
}

// Book implements flow.Calendar.
func (c *calendar) Book(ctx context.Context, b flow.Booking) (flow.Appointment, error) {
	now := c.s.now()
	row := &appointmentRow{ID: newID(), OrganisationID: c.org, AgentID: c.agent, CallID: c.call, Name: b.Name, Phone: b.Phone,
		StartAt: b.Start.UnixMilli(), Minutes: b.Minutes, Status: statusBooked, CreatedAt: now, UpdatedAt: now}
	err := c.write(ctx, func(ctx context.Context, tx *db.Tx) error {
		var err error
		if row.Code, err = c.newCode(ctx, tx, now); err != nil {
			return err
		}
		res, err := tx.NewInsert().Model(row).
			On("CONFLICT (organisation_id, agent_id, start_at) WHERE status <> 'cancelled' DO NOTHING").Exec(ctx)
		if err != nil {
			return fmt.Errorf("insert appointment: %w", err)
		}
		if n, err := res.RowsAffected(); err == nil && n == 0 {
			return flow.ErrTaken
		}
		return nil
	})
	return row.appointment(), err
}

// newCode draws four digits that no appointment to come has.
func (c *calendar) newCode(ctx context.Context, tx *db.Tx, now int64) (string, error) {
	for range 50 {
		n, err := rand.Int(c.s.c.Rand, big.NewInt(9000))
		if err != nil {
			return "", fmt.Errorf("draw a code: %w", err)
		}
		code := fmt.Sprint(1000 + n.Int64())
		used, err := c.mine(tx).Where("code = ?", code).Where("status <> ?", statusCancelled).Where("start_at > ?", now).Exists(ctx)
		if err != nil {
			return "", fmt.Errorf("select codes: %w", err)
		}
		if !used {
			return code, nil
		}
	}
	return "", errors.New("agent: nearly every confirmation code is in use")
}

// Move implements flow.Calendar.
func (c *calendar) Move(ctx context.Context, id string, start time.Time) (flow.Appointment, error) {
	var out flow.Appointment
	err := c.write(ctx, func(ctx context.Context, tx *db.Tx) error {
		row, err := c.active(ctx, tx, id)
		if err != nil {
			return err
		}
		taken, err := c.mine(tx).Where("start_at = ?", start.UnixMilli()).Where("status <> ?", statusCancelled).Where("id <> ?", id).Exists(ctx)
		if err != nil {
			return fmt.Errorf("select slot: %w", err)
		}
		if taken {
			return flow.ErrTaken
		}
		row.StartAt, row.Status, row.UpdatedAt, row.CallID = start.UnixMilli(), statusMoved, c.s.now(), c.call
		out = row.appointment()
		_, err = tx.NewUpdate().Model(row).WherePK().Where("organisation_id = ?", c.org).Exec(ctx)
		return err
	})
	return out, err
}

// Cancel implements flow.Calendar.
func (c *calendar) Cancel(ctx context.Context, id string) error {
	return c.write(ctx, func(ctx context.Context, tx *db.Tx) error {
		row, err := c.active(ctx, tx, id)
		if err != nil {
			return err
		}
		row.Status, row.UpdatedAt, row.CallID = statusCancelled, c.s.now(), c.call
		_, err = tx.NewUpdate().Model(row).WherePK().Where("organisation_id = ?", c.org).Exec(ctx)
		return err
	})
}

func (c *calendar) active(ctx context.Context, tx *db.Tx, id string) (*appointmentRow, error) {
	var row appointmentRow
	err := tx.NewSelect().Model(&row).Where("organisation_id = ?", c.org).Where("agent_id = ?", c.agent).Where("id = ?", id).
		Where("status <> ?", statusCancelled).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, flow.ErrGone
	}
	if err != nil {
		return nil, fmt.Errorf("select appointment: %w", err)
	}
	return &row, nil
}
