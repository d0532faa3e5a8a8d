package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// A move copies an organisation's rows while they are read and written, catches up with what changed meanwhile, and
// switches in a moment in which writers wait:
//
//	copying ──► switching ──► cleaning ──► (done: no row)
//	   │  ▲          │
//	   │  └──────────┘ more was written than the moment allows: try again
//	   ▼
//	(rolled back: no row)   on a mismatch, or when asked to
//
// The row in org_moves outlives a crash. Move called again goes on: a copy from the last key of the table it was at; a
// switch forward when the source's gate says "gone", for then nobody can write there, and else back to catching up.
const (
	moveCopying   = "copying"
	moveSwitching = "switching"
	moveCleaning  = "cleaning"

	moveBatch    = 500
	moveFew      = 200 // changes that are left to the moment of the switch
	followBatch  = 2000
	catchRounds  = 20
	moveTries    = 10
	gateHeld     = 20 * time.Second // writers go on after this, whatever became of the mover
	maxRecheck   = 50_000           // rows that differ though they were copied, and are looked at again in the switch
	moveDeadline = 24 * time.Hour
)

type moveRow struct {
	bun.BaseModel `bun:"table:org_moves"`

	OrganisationID string `bun:"organisation_id,pk"`
	Placement      string `bun:"placement"`
	Region         string `bun:"region"`
	Database       string `bun:"dbname"`
	State          string `bun:"state"`
	Detail         string `bun:"detail"`
	StartedAt      int64  `bun:"started_at"`
	UpdatedAt      int64  `bun:"updated_at"`
}

// copied says how far the copy is.
type copied struct {
	From  Placement `json:"from"`
	Done  []string  `json:"done"`            // tables
	Table string    `json:"table"`           // the one it is at
	After string    `json:"after,omitempty"` // its last key
	Rows  int64     `json:"rows"`
}

// MoveReport says what a move did.
type MoveReport struct {
	From, To Placement
	Tables   map[string]int64 // rows by table, counted on both sides in the switch
	Copied   int64
	Caught   int64         // changes that were followed
	Compared int64         // rows whose hashes were compared
	Held     time.Duration // how long writers waited for the switch
	Took     time.Duration
}

// ErrMismatch says that what was copied is not what is there. The move was rolled back.
var ErrMismatch = errors.New("db: the copy differs from the original")

// mover is one move under way.
type mover struct {
	d      *DB
	row    moveRow
	at     copied
	from   *store
	to     *store
	close  func()
	tables []Table
	report MoveReport
	hurt   func(stage string) error // tests fail the move at a stage
}

// Move brings an organisation to another placement or region while it is used. One that was interrupted goes on when
// Move is called again with the same place.
func (d *DB) Move(ctx context.Context, orgID, placement, region string) (MoveReport, error) {
	return d.move(ctx, orgID, placement, region, nil)
}

func (d *DB) move(ctx context.Context, orgID, placement, region string, hurt func(string) error) (MoveReport, error) {
	ctx, cancel := context.WithTimeout(ctx, moveDeadline)
	defer cancel()
	began := d.clock.Now()
	m, err := d.begin(ctx, orgID, placement, region)
	if err != nil {
		return MoveReport{}, err
	}
	m.hurt = hurt
	defer m.close()
	err = m.run(ctx)
	m.report.Took = d.clock.Since(began)
	if errors.Is(err, ErrMismatch) {
		err = errors.Join(err, m.rollback(context.WithoutCancel(ctx)))
	}
	return m.report, err
}

// ResumeMoves finishes moves that a stopped process left between giving the source up and taking the target: until then the
// organisation is out of reach. Others are left to whoever moves.
func (d *DB) ResumeMoves(ctx context.Context) error {
	var rows []moveRow
	err := d.run(ctx, d.master, scope{readOnly: true}, func(ctx context.Context, tx *Tx) error {
		return tx.NewSelect().Model(&rows).Where("state = ?", moveSwitching).Scan(ctx)
	})
	errs := []error{err}
	for _, row := range rows {
		errs = append(errs, d.resume(ctx, row))
	}
	return errors.Join(errs...)
}

func (d *DB) resume(ctx context.Context, row moveRow) error {
	m, err := d.begin(ctx, row.OrganisationID, row.Placement, row.Region)
	if err != nil {
		return err
	}
	defer m.close()
	gone, err := d.isGone(ctx, m.from, row.OrganisationID)
	if err != nil || !gone {
		return err
	}
	return m.run(ctx)
}

// AbortMove takes back a move that has not switched yet.
func (d *DB) AbortMove(ctx context.Context, orgID string) error {
	row, err := d.moveRow(ctx, orgID)
	if err != nil {
		return err
	}
	if row == nil {
		return fault.New(fault.NotFound, "the organisation is not being moved")
	}
	m, err := d.begin(ctx, orgID, row.Placement, row.Region)
	if err != nil {
		return err
	}
	defer m.close()
	gone, err := m.d.isGone(ctx, m.from, orgID)
	if err != nil {
		return err
	}
	if gone || m.row.State == moveCleaning {
		return fault.New(fault.Conflict, "the organisation has moved already; run the same parley org move again to finish it")
	}
	return m.rollback(ctx)
}

// begin finds the move that is under way, or writes down a new one.
func (d *DB) begin(ctx context.Context, orgID, placement, region string) (*mover, error) {
	to, err := d.plan(orgID, placement, region)
	if err != nil {
		return nil, err
	}
	now := d.clock.Now().UnixMilli()
	to.CreatedAt, to.UpdatedAt, to.State = now, now, placeActive
	m := &mover{d: d}
	if m.tables, err = d.Tables(ctx, Tenant); err != nil {
		return nil, err
	}
	old, err := d.moveRow(ctx, orgID)
	if err != nil {
		return nil, err
	}
	if old != nil {
		if old.Placement != placement || old.Region != region {
			return nil, fault.New(fault.Conflict, "the organisation is on its way to %s in region %q; finish that move, or abort it, first", old.Placement, old.Region)
		}
		m.row = *old
		if err := json.Unmarshal([]byte(old.Detail), &m.at); err != nil {
			return nil, fmt.Errorf("read the move: %w", err)
		}
		to.Database = old.Database
	} else {
		if m.at.From, err = d.Placement(ctx, orgID); err != nil {
			return nil, err
		}
		if m.at.From.Placement == placement && m.at.From.Region == region {
			return nil, fault.New(fault.Conflict, "the organisation is there already")
		}
		if m.at.From.State != placeActive {
			return nil, fault.New(fault.Conflict, "the organisation's database is just being made")
		}
		if to.own() && m.at.From.Database == to.Database {
			to.Database = otherName(to.Database)
		}
		m.row = moveRow{OrganisationID: orgID, Placement: to.Placement, Region: to.Region, Database: to.Database, State: moveCopying, StartedAt: now}
	}
	m.report.From, m.report.To = m.at.From, to
	return m, m.open(ctx, old == nil)
}

// open opens both sides, outside of the pools: there an organisation has one database.
func (m *mover) open(ctx context.Context, fresh bool) (err error) {
	var opened []*store
	m.close = func() {
		for _, st := range opened {
			_ = st.close()
		}
	}
	side := func(p Placement, make bool) (*store, error) {
		if !p.own() {
			return m.d.master, nil
		}
		if make {
			if err := m.d.createDatabase(ctx, p); err != nil {
				return nil, err
			}
		}
		st, err := m.d.openOwn(ctx, p)
		if err == nil {
			opened = append(opened, st)
		}
		return st, err
	}
	defer func() {
		if err != nil {
			m.close()
		}
	}()
	if m.row.State != moveCleaning || !m.at.From.own() {
		if m.from, err = side(m.at.From, false); err != nil {
			return err
		}
	}
	if fresh { // written down before anything is made
		if err := m.save(ctx); err != nil {
			return err
		}
	}
	m.to, err = side(m.report.To, m.row.State == moveCopying)
	return err
}

func (m *mover) org() string { return m.row.OrganisationID }

func (m *mover) stage(name string) error {
	if m.hurt == nil {
		return nil
	}
	return m.hurt(name)
}

func (m *mover) run(ctx context.Context) error {
	if m.row.State == moveCopying {
		if err := m.copyAll(ctx); err != nil {
			return err
		}
	}
	if m.row.State == moveSwitching {
		gone, err := m.d.isGone(ctx, m.from, m.org())
		if err != nil {
			return err
		}
		if !gone {
			m.row.State = moveCopying
		}
	}
	if m.row.State == moveCopying {
		if err := m.cross(ctx); err != nil {
			return err
		}
	}
	if m.row.State == moveSwitching {
		if err := m.arrive(ctx); err != nil {
			return err
		}
	}
	return m.clean(ctx)
}

// arrive makes the target the place: the source is closed for good.
func (m *mover) arrive(ctx context.Context) error {
	var err error
	if m.to == m.d.master { // it and its gate in one transaction
		err = m.d.setGate(ctx, m.to, m.org(), "", time.Time{}, func(ctx context.Context, tx *sql.Tx) error {
			return writePlacement(ctx, tx, m.report.To)
		})
	} else {
		err = m.d.savePlacement(ctx, m.report.To)
	}
	if err != nil {
		return err
	}
	m.d.dir.forget(m.org())
	if err := m.stage("placed"); err != nil {
		return err
	}
	m.row.State = moveCleaning
	return m.save(ctx)
}

// clean removes what nobody reads any more.
func (m *mover) clean(ctx context.Context) error {
	if err := m.stage("clean"); err != nil {
		return err
	}
	if m.at.From.own() {
		m.d.pools.drop(m.org())
		if m.from != nil && m.from.dialect == Postgres {
			if err := m.awaitReaders(ctx); err != nil {
				return err
			}
		}
		m.close()
		if err := m.d.dropOwn(ctx, m.at.From); err != nil {
			return err
		}
		return m.forget(ctx)
	}
	if err := m.d.uncapture(ctx, m.from, m.org(), m.tables); err != nil {
		return err
	}
	if m.from.dialect == Postgres {
		if err := m.awaitReaders(ctx); err != nil {
			return err
		}
	}
	if err := m.d.empty(ctx, m.from, m.org(), m.tables); err != nil {
		return err
	}
	return m.forget(ctx)
}

// awaitReaders waits for transactions that began to read before the gate said "gone".
func (m *mover) awaitReaders(ctx context.Context) error {
	return m.from.inOwner(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1, hashtext($2))", readLock, m.org())
		return err
	})
}

// rollback leaves the organisation where it was, as if nothing had been tried.
func (m *mover) rollback(ctx context.Context) error {
	if err := m.d.setGate(ctx, m.from, m.org(), "", time.Time{}, nil); err != nil {
		return err
	}
	if err := m.d.uncapture(ctx, m.from, m.org(), m.tables); err != nil {
		return err
	}
	if m.report.To.own() {
		m.close()
		if err := m.d.dropOwn(ctx, m.report.To); err != nil {
			return err
		}
	} else if err := m.d.empty(ctx, m.to, m.org(), m.tables); err != nil {
		return err
	}
	return m.forget(ctx)
}

func (d *DB) moveRow(ctx context.Context, orgID string) (*moveRow, error) {
	var rows []moveRow
	err := d.run(ctx, d.master, scope{readOnly: true}, func(ctx context.Context, tx *Tx) error {
		return tx.NewSelect().Model(&rows).Where("organisation_id = ?", orgID).Scan(ctx)
	})
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return &rows[0], nil
}

func (m *mover) save(ctx context.Context) error {
	b, err := json.Marshal(m.at)
	if err != nil {
		return err
	}
	m.row.Detail, m.row.UpdatedAt = string(b), m.d.clock.Now().UnixMilli()
	return m.d.run(ctx, m.d.master, scope{}, func(ctx context.Context, tx *Tx) error {
		_, err := tx.NewInsert().Model(&m.row).On("CONFLICT (organisation_id) DO UPDATE").Set("state = EXCLUDED.state").
			Set("detail = EXCLUDED.detail").Set("updated_at = EXCLUDED.updated_at").Returning("NULL").Exec(ctx)
		return err
	})
}

func (m *mover) forget(ctx context.Context) error {
	return m.d.run(ctx, m.d.master, scope{}, func(ctx context.Context, tx *Tx) error {
		_, err := tx.NewDelete().Model(&m.row).WherePK().Exec(ctx)
		return err
	})
}

func (d *DB) isGone(ctx context.Context, st *store, orgID string) (gone bool, err error) {
	err = st.inOwner(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM org_gate WHERE organisation_id = $1 AND state = $2)", orgID, gateGone).Scan(&gone)
	})
	return gone, err
}
