package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// The placements.
const (
	Shared = "shared" // one of many in the master's database
	Own    = "own"    // alone in a database of its own
)

const (
	placeMaking = "making"
	placeActive = "active"

	maxRemembered = 100_000
)

// Placement is where an organisation's data is.
type Placement struct {
	bun.BaseModel `bun:"table:placements"`

	OrganisationID string `bun:"organisation_id,pk"`
	Placement      string `bun:"placement"`
	Region         string `bun:"region"`
	Database       string `bun:"dbname"`
	State          string `bun:"state"`
	CreatedAt      int64  `bun:"created_at"`
	UpdatedAt      int64  `bun:"updated_at"`
}

func (p *Placement) own() bool { return p.Placement == Own }

// directory remembers where organisations are. What it remembers may be old; the gate tells.
type directory struct {
	mu sync.RWMutex
	at map[string]Placement
}

func (d *directory) get(org string) (Placement, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	p, ok := d.at[org]
	return p, ok
}

func (d *directory) put(p Placement) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.at == nil || len(d.at) >= maxRemembered {
		d.at = map[string]Placement{}
	}
	d.at[p.OrganisationID] = p
}

func (d *directory) forget(org string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.at, org)
}

// Placement tells where an organisation's data is.
func (d *DB) Placement(ctx context.Context, orgID string) (Placement, error) {
	p, err := d.placementRow(ctx, orgID)
	if err != nil {
		return p, fmt.Errorf("find the organisation's database: %w", err)
	}
	return p, nil
}

func (s *state) placementRow(ctx context.Context, orgID string) (p Placement, err error) {
	err = s.run(ctx, s.master, scope{readOnly: true}, func(ctx context.Context, tx *Tx) error {
		p, err = placementIn(ctx, tx, orgID)
		return err
	})
	return p, err
}

// placementIn reads it in a transaction of the master's.
func placementIn(ctx context.Context, tx *Tx, orgID string) (Placement, error) {
	p := Placement{OrganisationID: orgID, Placement: Shared, State: placeActive}
	err := tx.NewSelect().Model(&p).Where("organisation_id = ?", orgID).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return p, err
}

// reach gives the database an organisation is in, as far as is remembered. The caller calls the function when it is done.
func (d *DB) reach(ctx context.Context, orgID string) (*store, func(), error) {
	p, err := d.whereabouts(ctx, orgID)
	if err != nil {
		return nil, nil, err
	}
	if !p.own() {
		return d.master, func() {}, nil
	}
	st, done, err := d.pools.take(ctx, p, warm)
	if err != nil {
		return nil, nil, &notBegun{fmt.Errorf("open the organisation's database: %w", err), true}
	}
	return st, done, nil
}

// whereabouts tells where an organisation is, as far as is remembered.
func (d *DB) whereabouts(ctx context.Context, orgID string) (Placement, error) {
	p, ok := d.dir.get(orgID)
	if ok {
		return p, nil
	}
	p, err := d.Placement(ctx, orgID)
	if err != nil {
		return p, err
	}
	if err := p.standing(); err != nil {
		return p, err
	}
	d.dir.put(p)
	return p, nil
}

// openPooled opens one for many. checked: it is known to be up to date.
func (d *DB) openPooled(ctx context.Context, p Placement, checked bool) (*store, error) {
	if !checked {
		return d.openOwn(ctx, p, d.budget)
	}
	st := &store{name: p.OrganisationID}
	if err := d.connect(st, p, false, d.budget); err != nil {
		return nil, err
	}
	return st, nil
}

// openOwn opens an organisation's own database, which exists, and migrates it if it has to be.
func (d *DB) openOwn(ctx context.Context, p Placement, b *budget) (*store, error) {
	ms, all, err := d.tenantSets()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	st := &store{name: p.OrganisationID}
	if err := d.connect(st, p, false, b); err != nil {
		return nil, err
	}
	if err := d.migrateStore(ctx, st, ms, all); err != nil {
		return nil, errors.Join(err, st.close())
	}
	return st, nil
}

// Placements lists where organisations are that have, or had, a database of their own.
func (d *DB) Placements(ctx context.Context) (ps []Placement, err error) {
	err = d.run(ctx, d.master, scope{readOnly: true}, func(ctx context.Context, tx *Tx) error {
		return tx.NewSelect().Model(&ps).OrderExpr("organisation_id").Scan(ctx)
	})
	return ps, err
}

// EachPlacement calls fn with the shared database and then with each organisation's own one, as a DB whose every
// door leads there: it is the system door for tenant tables. One that fails does not keep fn from the others; the
// errors are joined. It must not be called inside a write transaction.
func (d *DB) EachPlacement(ctx context.Context, reason string, fn func(ctx context.Context, in *DB) error) error {
	if err := d.auditSystem(ctx, reason); err != nil {
		return err
	}
	if d.pin != nil {
		return fn(ctx, &DB{state: d.state, pin: d.pin, place: true})
	}
	first := fn(ctx, &DB{state: d.state, pin: d.master, place: true})
	ps, err := d.Placements(ctx)
	errs := []error{first, err}
	for _, p := range ps {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(errs, err)...)
		}
		if p.own() && p.State == placeActive {
			errs = append(errs, d.within(ctx, p, fn))
		}
	}
	return errors.Join(errs...)
}

// Within calls fn with the database that an organisation is in, as a DB whose every door leads there.
func (d *DB) Within(ctx context.Context, orgID, reason string, fn func(ctx context.Context, in *DB) error) error {
	if err := d.auditSystem(ctx, reason); err != nil {
		return err
	}
	p, err := d.Placement(ctx, orgID)
	if err != nil {
		return err
	}
	if !p.own() {
		return fn(ctx, &DB{state: d.state, pin: d.master, place: true})
	}
	return d.within(ctx, p, fn)
}

func (d *DB) within(ctx context.Context, p Placement, fn func(ctx context.Context, in *DB) error) error {
	st, done, err := d.pools.take(ctx, p, passing)
	if err != nil {
		return fmt.Errorf("open the database of organisation %s: %w", p.OrganisationID, err)
	}
	defer done()
	return fn(ctx, &DB{state: d.state, pin: st, place: true})
}

// checkRegions finds mistakes in the setting before anybody moves there.
func (s *state) checkRegions() error {
	for name, at := range s.c.Regions {
		postgres := strings.HasPrefix(at, "postgres://") || strings.HasPrefix(at, "postgresql://")
		switch {
		case name == "" || strings.ContainsFunc(name, func(r rune) bool { return r != '-' && (r < 'a' || r > 'z') && (r < '0' || r > '9') }):
			return fault.Field("regions", "%q is no name of a region; use small letters, digits and -", name)
		case postgres != (s.master.dialect == Postgres):
			return fault.Field("regions", "the region %q must be of the same kind as the master's database: a postgres:// URL on PostgreSQL, a folder on SQLite", name)
		case postgres && !strings.Contains(at, "{database}"):
			return fault.Field("regions", "the URL of region %q must have {database} where the database's name goes, as in postgres://user:password@host/{database}", name)
		}
	}
	return nil
}

// Residence is the region that an organisation's data belongs to.
type Residence struct {
	Region   string
	Moving   bool // between these two just now: what follows the database may be in either
	From, To string
}

// Residence tells it as it is now, not as it is remembered.
func (d *DB) Residence(ctx context.Context, orgID string) (r Residence, err error) {
	err = d.run(ctx, d.master, scope{readOnly: true}, func(ctx context.Context, tx *Tx) error {
		p, err := placementIn(ctx, tx, orgID)
		if err != nil {
			return err
		}
		r = Residence{Region: p.Region}
		var rows []moveRow
		if err := tx.NewSelect().Model(&rows).Where("organisation_id = ?", orgID).Scan(ctx); err != nil || len(rows) == 0 {
			return err
		}
		var at copied
		if err := json.Unmarshal([]byte(rows[0].Detail), &at); err != nil {
			return fmt.Errorf("read the move: %w", err)
		}
		r.From, r.To = at.From.Region, rows[0].Region
		r.Moving = r.From != r.To
		return nil
	})
	return r, err
}
