package db

import (
	"context"
	"crypto/rand"
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
	brakeHeld    = time.Second // how long writers wait at a time when they write faster than they can be followed
	moveTries    = 10
	brakeFree    = brakeHeld / 4    // and how long they write before the next time
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
	ID             string `bun:"id"`
	Holder         string `bun:"holder"`
	HeldUntil      int64  `bun:"held_until"`
	Cancelled      bool   `bun:"cancelled"`
	Problem        string `bun:"problem"`
}

// copied says how far the copy is.
type copied struct {
	From    Placement  `json:"from"`
	To      *Placement `json:"to,omitempty"`    // of one that is over
	Done    []string   `json:"done,omitempty"`  // tables
	Table   string     `json:"table,omitempty"` // the one it is at
	After   string     `json:"after,omitempty"` // its last key
	Rows    int64      `json:"rows"`
	Total   int64      `json:"total"`   // rows when it began
	Changes int64      `json:"changes"` // of earlier tries
	HeldMs  int64      `json:"heldMs"`
}

// MoveReport says what a move did.
type MoveReport struct {
	From, To Placement
	Tables   map[string]int64 // rows by table, counted on both sides in the switch
	Copied   int64
	Caught   int64         // changes that were followed
	Compared int64         // rows whose hashes were compared
	Held     time.Duration // the longest time in which the gate was closed to writers
	Brakes   int           // how often it was closed before the switch, because writers were faster
	Took     time.Duration
}

// ErrMismatch says that what was copied is not what is there. The move was rolled back.
var ErrMismatch = errors.New("db: the copy differs from the original")

// errGivenUp is what a move ends with that was cancelled.
var errGivenUp = fault.New(fault.Conflict, "the move was cancelled; the organisation is where it was")

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

	rounds    int    // of following changes before writers are braked
	doubt     keys   // rows that the switch compares again; nil before any was compared
	holder    string // this mover, in the row
	cancelled bool   // the row said so
}

// Move brings an organisation to another placement or region while it is used. One that was interrupted, or written down
// by [Tx.StartMove], goes on when Move is called with the same place. One that was cancelled is taken back.
func (d *DB) Move(ctx context.Context, orgID, placement, region string) (MoveReport, error) {
	return d.move(ctx, orgID, placement, region, nil)
}

func (d *DB) move(ctx context.Context, orgID, placement, region string, with func(*mover)) (MoveReport, error) {
	ctx, cancel := context.WithTimeout(ctx, moveDeadline)
	defer cancel()
	began := d.clock.Now()
	m, err := d.begin(ctx, orgID, placement, region, false)
	if err != nil {
		return MoveReport{}, err
	}
	if with != nil {
		with(m)
	}
	err = m.do(ctx)
	m.report.Took = d.clock.Since(began)
	return m.report, err
}

// do runs a move that this process has taken, and lets go of it.
func (m *mover) do(ctx context.Context) error {
	defer m.close()
	held, release := m.hold(ctx)
	err := m.run(held)
	release()
	if lost := context.Cause(held); err != nil && (errors.Is(lost, errLost) || errors.Is(lost, errCancelled)) {
		err = lost
	}
	switch {
	case err == nil || errors.Is(err, errLost):
		return err
	case errors.Is(err, ErrMismatch):
		return errors.Join(err, m.rollback(context.WithoutCancel(ctx), err.Error()))
	case errors.Is(err, errCancelled):
		if err := m.rollback(context.WithoutCancel(ctx), ""); err != nil {
			return errors.Join(err, m.letGo(context.WithoutCancel(ctx), err))
		}
		return errGivenUp
	}
	return errors.Join(err, m.letGo(context.WithoutCancel(ctx), err))
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
	// Whoever held it is not waited for: nothing can be written to the source any more, and to take the target twice changes
	// nothing.
	m, err := d.begin(ctx, row.OrganisationID, row.Placement, row.Region, true)
	if err != nil {
		return err
	}
	gone, err := d.isGone(ctx, m.from, row.OrganisationID)
	if err != nil || !gone {
		m.close()
		return errors.Join(err, m.letGo(ctx, err))
	}
	err = m.arrive(ctx) // what is left to be cleaned need not be waited for
	m.close()
	return errors.Join(err, m.letGo(ctx, err))
}

// AbortMove takes back a move that has not switched yet: at once, or by the process that is at it.
func (d *DB) AbortMove(ctx context.Context, orgID string) error {
	row, err := d.moveRow(ctx, orgID)
	if err != nil {
		return err
	}
	if err := d.CancelMove(ctx, orgID); err != nil {
		return err
	}
	m, err := d.begin(ctx, orgID, row.Placement, row.Region, false)
	if errors.Is(err, errHeld) || errors.Is(err, errGivenUp) {
		return nil
	}
	if err != nil {
		return err
	}
	defer m.close()
	if err := m.rollback(ctx, ""); err != nil {
		return errors.Join(err, m.letGo(context.WithoutCancel(ctx), err))
	}
	return nil
}

// begin takes the move that is under way, or writes down a new one. force takes it from whoever is at it.
func (d *DB) begin(ctx context.Context, orgID, placement, region string, force bool) (*mover, error) {
	to, err := d.plan(orgID, placement, region)
	if err != nil {
		return nil, err
	}
	to.CreatedAt, to.State = d.clock.Now().UnixMilli(), placeActive
	to.UpdatedAt = to.CreatedAt
	m := &mover{d: d, holder: rand.Text(), rounds: catchRounds}
	if m.tables, err = d.Tables(ctx, Tenant); err != nil {
		return nil, err
	}
	old, err := d.moveRow(ctx, orgID)
	if err != nil {
		return nil, err
	}
	if old == nil { // written down before anything is made
		if err := d.run(ctx, d.master, scope{}, func(ctx context.Context, tx *Tx) error {
			_, err := tx.StartMove(ctx, orgID, placement, region)
			return err
		}); err != nil {
			return nil, err
		}
		if old, err = d.moveRow(ctx, orgID); err != nil || old == nil {
			return nil, errors.Join(err, errHeld)
		}
	}
	if old.Placement != placement || old.Region != region {
		return nil, fault.New(fault.Conflict, "the organisation is on its way to %s in region %q; finish that move, or abort it, first", old.Placement, old.Region)
	}
	m.row = *old
	if err := m.take(ctx, force); err != nil {
		return nil, err
	}
	if old, err = d.moveRow(ctx, orgID); err != nil || old == nil { // as whoever had it before left it
		return nil, errors.Join(err, errHeld)
	}
	m.row = *old
	m.cancelled = old.Cancelled
	if err := json.Unmarshal([]byte(old.Detail), &m.at); err != nil {
		return nil, fmt.Errorf("read the move: %w", err)
	}
	to.Database = old.Database
	m.report.From, m.report.To = m.at.From, to
	if err := m.open(ctx); err != nil {
		if m.cancelled && m.at.Total == 0 && len(m.at.Done) == 0 && m.row.State == moveCopying {
			return nil, m.forget(context.WithoutCancel(ctx), err)
		}
		return nil, errors.Join(err, m.letGo(context.WithoutCancel(ctx), err))
	}
	return m, nil
}

// forget takes back a move that has copied nothing and cannot: where it was to go is out of reach, perhaps for good.
func (m *mover) forget(ctx context.Context, problem error) (err error) {
	from := m.d.master
	if m.at.From.own() {
		if from, err = m.d.openOwn(ctx, m.at.From, nil); err != nil {
			return errors.Join(problem, err, m.letGo(ctx, problem))
		}
		defer func() { _ = from.close() }()
	}
	if err := m.d.uncapture(ctx, from, m.org(), m.tables); err != nil {
		return errors.Join(err, m.letGo(ctx, err))
	}
	if err := m.finish(ctx, MoveRolledBack, problem.Error()); err != nil {
		return errors.Join(err, m.letGo(ctx, err))
	}
	return errGivenUp
}

// open opens both sides, outside of the pools: there an organisation has one database.
func (m *mover) open(ctx context.Context) (err error) {
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
		st, err := m.d.openOwn(ctx, p, nil) // its connections last as long as the move, and are few
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
		if err := m.mayStop(); err != nil {
			return err
		}
		if err := m.copyAll(ctx); err != nil {
			return err
		}
		if err := m.followers(func(f Follower, from, to string) error { return f.Copy(ctx, m.org(), from, to) }); err != nil {
			return fmt.Errorf("bring what is outside of the database: %w", err)
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

// mayStop ends a move that was cancelled, at a place where it can be taken back.
func (m *mover) mayStop() error {
	if m.cancelled {
		return errCancelled
	}
	return nil
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
	if err := m.followers(func(f Follower, from, to string) error { return f.Settle(ctx, m.org(), from, to) }); err != nil {
		return fmt.Errorf("bring what is outside of the database: %w", err)
	}
	if m.at.From.own() {
		m.d.pools.drop(m.org())
		if err := m.bringFacts(ctx); err != nil {
			return err
		}
		if m.from != nil && m.from.dialect == Postgres {
			if err := m.awaitReaders(ctx); err != nil {
				return err
			}
		}
		m.close()
		if err := m.d.dropOwn(ctx, m.at.From); err != nil {
			return err
		}
		return m.finish(ctx, MoveMoved, "")
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
	return m.finish(ctx, MoveMoved, "")
}

// awaitReaders waits for transactions that began to read before the gate said "gone".
func (m *mover) awaitReaders(ctx context.Context) error {
	return m.from.inOwner(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1, hashtext($2))", readLock, m.org())
		return err
	})
}

// rollback leaves the organisation where it was, as if nothing had been tried.
func (m *mover) rollback(ctx context.Context, problem string) error {
	if err := m.d.setGate(ctx, m.from, m.org(), "", time.Time{}, nil); err != nil {
		return err
	}
	if err := m.d.uncapture(ctx, m.from, m.org(), m.tables); err != nil {
		return err
	}
	if err := m.followers(func(f Follower, from, to string) error { return f.Undo(ctx, m.org(), from, to) }); err != nil {
		return fmt.Errorf("take back what is outside of the database: %w", err)
	}
	if m.report.To.own() {
		m.close()
		if err := m.d.dropOwn(ctx, m.report.To); err != nil {
			return err
		}
	} else if err := m.d.empty(ctx, m.to, m.org(), m.tables); err != nil {
		return err
	}
	return m.finish(ctx, MoveRolledBack, problem)
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

func (d *DB) isGone(ctx context.Context, st *store, orgID string) (gone bool, err error) {
	err = st.inOwner(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM org_gate WHERE organisation_id = $1 AND state = $2)", orgID, gateGone).Scan(&gone)
	})
	return gone, err
}
