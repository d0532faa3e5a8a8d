package db

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	leaseFor   = 30 * time.Second // nobody else may go on with a move for so long after its process was last heard of
	leaseEvery = leaseFor / 6
	maxProblem = 500
)

// How a move ended, and what it waits for besides the states of move.go.
const (
	MoveWaiting    = "waiting" // nobody is at it
	MoveMoved      = "moved"
	MoveRolledBack = "rolled_back"
)

// errLost says that another process has taken the move over.
var errLost = errors.New("db: another process goes on with this move")

// errCancelled says that the move is to be taken back.
var errCancelled = errors.New("db: the move was cancelled")

// errHeld says that a process is at the move just now.
var errHeld = fault.New(fault.Conflict, "the organisation is just being moved by a process of this installation; wait for it, or cancel the move")

// Place is a placement and its region.
type Place struct{ Placement, Region string }

// MoveStatus is a move: the one under way, or one that is over.
type MoveStatus struct {
	ID, OrganisationID string
	From, To           Place
	State              string // waiting, copying, switching, cleaning, moved, rolled_back
	Rows, Total        int64  // rows copied, of how many when it began
	Changes            int64  // changes that were followed
	Held               time.Duration
	Cancelled          bool   // it is being taken back
	Problem            string // what the last try failed at
	StartedAt          time.Time
	EndedAt            *time.Time
}

type pastMove struct {
	bun.BaseModel `bun:"table:org_moves_past"`

	ID             string `bun:"id,pk"`
	OrganisationID string `bun:"organisation_id"`
	Outcome        string `bun:"outcome"`
	Problem        string `bun:"problem"`
	Detail         string `bun:"detail"`
	StartedAt      int64  `bun:"started_at"`
	EndedAt        int64  `bun:"ended_at"`
}

// StartMove writes down, in a transaction of the master's database, that an organisation is to be moved. [DB.Move] with
// the same place, in any process, does it.
func (tx *Tx) StartMove(ctx context.Context, orgID, placement, region string) (MoveStatus, error) {
	if !tx.InMaster() {
		return MoveStatus{}, errors.New("db: moves are the master's; use Master()")
	}
	row, at, err := (&DB{state: tx.db}).newMove(ctx, tx, orgID, placement, region)
	if err != nil {
		return MoveStatus{}, err
	}
	b, err := json.Marshal(at)
	if err != nil {
		return MoveStatus{}, err
	}
	row.Detail = string(b)
	return row.status(at, row.StartedAt), insertMove(ctx, tx, row)
}

// newMove plans a move from where an organisation is; none may be under way.
func (d *DB) newMove(ctx context.Context, tx *Tx, orgID, placement, region string) (moveRow, copied, error) {
	var at copied
	to, err := d.plan(orgID, placement, region)
	if err != nil {
		return moveRow{}, at, err
	}
	if at.From, err = placementIn(ctx, tx, orgID); err != nil {
		return moveRow{}, at, err
	}
	switch {
	case at.From.Placement == placement && at.From.Region == region:
		return moveRow{}, at, fault.New(fault.Conflict, "the organisation is there already")
	case at.From.State != placeActive:
		return moveRow{}, at, fault.New(fault.Conflict, "the organisation's database is just being made")
	}
	for _, f := range d.c.Followers {
		if err := f.Check(region); err != nil {
			return moveRow{}, at, err
		}
	}
	if to.own() && at.From.Database == to.Database {
		to.Database = otherName(to.Database)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return moveRow{}, at, err
	}
	now := d.clock.Now().UnixMilli()
	return moveRow{ID: id.String(), OrganisationID: orgID, Placement: to.Placement, Region: to.Region, Database: to.Database,
		State: moveCopying, StartedAt: now, UpdatedAt: now}, at, nil
}

// insertMove refuses a second move of an organisation.
func insertMove(ctx context.Context, tx *Tx, row moveRow) error {
	res, err := tx.NewInsert().Model(&row).On("CONFLICT (organisation_id) DO NOTHING").Returning("NULL").Exec(ctx)
	if err != nil {
		return fmt.Errorf("begin a move: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, fault.New(fault.Conflict, "the organisation is being moved already; wait for that move, or cancel it"))
	}
	return nil
}

// take makes this mover the one that is at the move.
func (m *mover) take(ctx context.Context, force bool) error {
	now := m.d.clock.Now()
	return m.d.run(ctx, m.d.master, scope{}, func(ctx context.Context, tx *Tx) error {
		q := tx.NewUpdate().Model((*moveRow)(nil)).Set("holder = ?", m.holder).Set("held_until = ?", now.Add(leaseFor).UnixMilli()).
			Where("organisation_id = ?", m.org())
		if !force {
			q = q.Where("holder = '' OR held_until < ?", now.UnixMilli())
		}
		res, err := q.Exec(ctx)
		if err != nil {
			return fmt.Errorf("take a move: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, errHeld)
		}
		return nil
	})
}

// hold keeps the move this mover's until the function it gives is called, and ends the context when it is lost or cancelled.
func (m *mover) hold(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	tick := m.d.clock.NewTicker(leaseEvery, "db", "lease")
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if err := m.renew(ctx); errors.Is(err, errLost) || errors.Is(err, errCancelled) {
				cancel(err)
				return
			}
		}
	}()
	return ctx, func() { cancel(nil); <-done }
}

// renew tells the others that this mover is alive, and learns whether it is to stop.
func (m *mover) renew(ctx context.Context) error {
	return m.d.run(ctx, m.d.master, scope{}, func(ctx context.Context, tx *Tx) error {
		var rows []moveRow
		err := tx.NewUpdate().Model(&rows).Set("held_until = ?", m.d.clock.Now().Add(leaseFor).UnixMilli()).
			Where("organisation_id = ? AND holder = ?", m.org(), m.holder).Returning("cancelled, state").Scan(ctx)
		return stays(rows, err)
	})
}

// stays reads what an update of the move's row by its holder gave back.
func stays(rows []moveRow, err error) error {
	switch {
	case err != nil:
		return err
	case len(rows) == 0:
		return errLost
	case rows[0].Cancelled && rows[0].State == moveCopying:
		return errCancelled
	}
	return nil
}

// save writes down how far the move is.
func (m *mover) save(ctx context.Context) error {
	b, err := json.Marshal(m.at)
	if err != nil {
		return err
	}
	m.row.Detail, m.row.UpdatedAt = string(b), m.d.clock.Now().UnixMilli()
	return m.d.run(ctx, m.d.master, scope{}, func(ctx context.Context, tx *Tx) error {
		var rows []moveRow
		err := tx.NewUpdate().Model(&rows).Set("state = ?", m.row.State).Set("detail = ?", m.row.Detail).Set("updated_at = ?", m.row.UpdatedAt).
			Set("held_until = ?", m.d.clock.Now().Add(leaseFor).UnixMilli()).
			Where("organisation_id = ? AND holder = ?", m.org(), m.holder).Returning("cancelled, state").Scan(ctx)
		if err = stays(rows, err); errors.Is(err, errLost) || len(rows) == 0 {
			return err
		}
		m.cancelled = rows[0].Cancelled // the state is saved all the same: whoever may stop looks
		return nil
	})
}

// letGo leaves the move to whoever goes on with it, with what it failed at.
func (m *mover) letGo(ctx context.Context, problem error) error {
	text := ""
	if problem != nil {
		text = cut(problem.Error(), maxProblem)
	}
	return m.d.run(ctx, m.d.master, scope{}, func(ctx context.Context, tx *Tx) error {
		_, err := tx.NewUpdate().Model((*moveRow)(nil)).Set("holder = ''").Set("held_until = 0").Set("problem = ?", text).
			Where("organisation_id = ? AND holder = ?", m.org(), m.holder).Exec(ctx)
		return err
	})
}

func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return s[:most]
}

// finish puts the move among those that are over, and tells Config.Moved in the same transaction.
func (m *mover) finish(ctx context.Context, outcome, problem string) error {
	m.at.Changes, m.at.HeldMs = m.at.Changes+m.report.Caught, m.at.HeldMs+m.report.Held.Milliseconds()
	b, err := json.Marshal(m.at)
	if err != nil {
		return err
	}
	return m.d.run(ctx, m.d.master, scope{}, func(ctx context.Context, tx *Tx) error {
		res, err := tx.NewDelete().Model(&m.row).WherePK().Where("id = ?", m.row.ID).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 { // another process did, which had taken it over
			return err
		}
		past := pastMove{ID: m.row.ID, OrganisationID: m.org(), Outcome: outcome, Problem: cut(problem, maxProblem), StartedAt: m.row.StartedAt,
			EndedAt: m.d.clock.Now().UnixMilli()}
		m.at.To, m.at.Done = &m.report.To, nil
		if b, err = json.Marshal(m.at); err != nil {
			return err
		}
		past.Detail = string(b)
		if _, err := tx.NewInsert().Model(&past).Returning("NULL").Exec(ctx); err != nil {
			return err
		}
		if m.d.c.Moved == nil {
			return nil
		}
		st, err := past.status()
		if err != nil {
			return err
		}
		return m.d.c.Moved(ctx, tx, st)
	})
}

func (r *moveRow) status(at copied, now int64) MoveStatus {
	s := MoveStatus{ID: r.ID, OrganisationID: r.OrganisationID, From: Place{at.From.Placement, at.From.Region}, To: Place{r.Placement, r.Region},
		State: r.State, Rows: at.Rows, Total: at.Total, Changes: at.Changes, Held: time.Duration(at.HeldMs) * time.Millisecond,
		Cancelled: r.Cancelled, Problem: r.Problem, StartedAt: time.UnixMilli(r.StartedAt).UTC()}
	if r.Holder == "" || r.HeldUntil < now {
		s.State = MoveWaiting
	}
	return s
}

func (p *pastMove) status() (MoveStatus, error) {
	var at copied
	if err := json.Unmarshal([]byte(p.Detail), &at); err != nil {
		return MoveStatus{}, fmt.Errorf("read a move: %w", err)
	}
	ended := time.UnixMilli(p.EndedAt).UTC()
	s := MoveStatus{ID: p.ID, OrganisationID: p.OrganisationID, From: Place{at.From.Placement, at.From.Region}, State: p.Outcome, Rows: at.Rows,
		Total: at.Total, Changes: at.Changes, Held: time.Duration(at.HeldMs) * time.Millisecond, Problem: p.Problem,
		StartedAt: time.UnixMilli(p.StartedAt).UTC(), EndedAt: &ended}
	if at.To != nil {
		s.To = Place{at.To.Placement, at.To.Region}
	}
	return s, nil
}

// MoveUnderWay gives an organisation's move, nil when there is none.
func (d *DB) MoveUnderWay(ctx context.Context, orgID string) (*MoveStatus, error) {
	row, err := d.moveRow(ctx, orgID)
	if err != nil || row == nil {
		return nil, err
	}
	var at copied
	if err := json.Unmarshal([]byte(row.Detail), &at); err != nil {
		return nil, fmt.Errorf("read the move: %w", err)
	}
	s := row.status(at, d.clock.Now().UnixMilli())
	return &s, nil
}

// PastMoves gives an organisation's moves that are over, latest first, those before an id; "" is all.
func (d *DB) PastMoves(ctx context.Context, orgID, before string, limit int) ([]MoveStatus, error) {
	var rows []pastMove
	err := d.run(ctx, d.master, scope{readOnly: true}, func(ctx context.Context, tx *Tx) error {
		q := tx.NewSelect().Model(&rows).Where("organisation_id = ?", orgID)
		if before != "" {
			q = q.Where("id < ?", before)
		}
		return q.OrderExpr("id DESC").Limit(int64(limit)).Scan(ctx)
	})
	out := make([]MoveStatus, 0, len(rows))
	for i := range rows {
		s, bad := rows[i].status()
		if err = errors.Join(err, bad); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, err
}

// MovesToDo gives the moves that nobody is at: just written down, or left behind by a process that ended.
func (d *DB) MovesToDo(ctx context.Context) (out []MoveStatus, err error) {
	var rows []moveRow
	now := d.clock.Now().UnixMilli()
	err = d.run(ctx, d.master, scope{readOnly: true}, func(ctx context.Context, tx *Tx) error {
		return tx.NewSelect().Model(&rows).Where("holder = '' OR held_until < ?", now).OrderExpr("started_at").Scan(ctx)
	})
	for i := range rows {
		out = append(out, rows[i].status(copied{}, now))
	}
	return out, err
}

// CancelMove has a move taken back that has not switched yet: at once when nobody is at it, else by whoever is, within
// seconds.
func (d *DB) CancelMove(ctx context.Context, orgID string) error {
	return d.run(ctx, d.master, scope{}, func(ctx context.Context, tx *Tx) error { return tx.CancelMove(ctx, orgID) })
}

// CancelMove notes, in a transaction of the master's database, that a move is to be taken back. [DB.Move] does it.
func (tx *Tx) CancelMove(ctx context.Context, orgID string) error {
	var rows []moveRow
	err := tx.NewUpdate().Model(&rows).Set("cancelled = ?", true).Where("organisation_id = ? AND state = ?", orgID, moveCopying).
		Returning("id").Scan(ctx)
	if err != nil {
		return fmt.Errorf("cancel a move: %w", err)
	}
	if len(rows) > 0 {
		return nil
	}
	if err := tx.NewSelect().Model(&rows).Column("state").Where("organisation_id = ?", orgID).Scan(ctx); err != nil {
		return err
	}
	switch {
	case len(rows) == 0:
		return fault.New(fault.NotFound, "the organisation is not being moved")
	case rows[0].State == moveSwitching:
		return fault.New(fault.Conflict, "the organisation is switching just now; look again in a moment")
	}
	return fault.New(fault.Conflict, "the organisation has moved already, only what it left behind is being removed; move it back instead")
}
