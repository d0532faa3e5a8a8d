package db

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	ownMaxConns   = 8
	ownMaxIdle    = ownMaxConns
	ownIdleTime   = time.Minute
	ownReaders    = 2
	ownCacheKiB   = 2 * 1024
	maxDatabase   = 63 // bytes in a PostgreSQL name
	placeTimeout  = 5 * time.Minute
	maintenanceDB = "postgres"
)

// CreatePlacement gives an organisation that has no data yet its place. For [Own] the database is made in the region,
// migrated and verified before this returns; a call that was interrupted can be repeated.
func (d *DB) CreatePlacement(ctx context.Context, orgID, placement, region string) error {
	ctx, cancel := context.WithTimeout(ctx, placeTimeout)
	defer cancel()
	p, err := d.plan(orgID, placement, region)
	if err != nil {
		return err
	}
	old, err := d.Placement(ctx, orgID)
	if err != nil {
		return err
	}
	if errors.Is(old.standing(), errErased) {
		return fault.New(fault.Conflict, "an organisation with this id was erased; its id is not given again")
	}
	if old.CreatedAt != 0 && old.State == placeActive {
		if old.Placement == p.Placement && old.Region == p.Region {
			return nil
		}
		return fault.New(fault.Conflict, "the organisation has its place already; run: parley org move")
	}
	if p.own() {
		if err := d.mustBeEmpty(ctx, orgID); err != nil {
			return err
		}
	}
	p.CreatedAt = d.clock.Now().UnixMilli()
	p.UpdatedAt = p.CreatedAt
	if !p.own() {
		p.State = placeActive
		return d.savePlacement(ctx, p)
	}
	if err := d.savePlacement(ctx, p); err != nil {
		return err
	}
	if err := d.makeOwn(ctx, p); err != nil {
		return errors.Join(err, d.unmake(context.WithoutCancel(ctx), p))
	}
	// A process that remembers the organisation as a shared one is sent on.
	if err := d.setGate(ctx, d.master, orgID, gateGone, time.Time{}, nil); err != nil {
		return err
	}
	p.State = placeActive
	return d.savePlacement(ctx, p)
}

// plan checks a place and names its database.
func (d *DB) plan(orgID, placement, region string) (Placement, error) {
	p := Placement{OrganisationID: orgID, Placement: placement, Region: region, State: placeMaking}
	if orgID == "" {
		return p, errors.New("db: a placement without an organisation")
	}
	switch placement {
	case Shared:
		if region != "" {
			return p, fault.Field("region", "the shared database is in the master's region; use the placement \"own\" for region %q", region)
		}
		return p, nil
	case Own:
	default:
		return p, fault.Field("placement", "%q is no placement; use shared or own", placement)
	}
	if _, ok := d.c.Regions[region]; !ok && region != "" {
		return p, fault.Field("region", "there is no region %q; add it to the setting regions (PARLEY_REGIONS)", region)
	}
	var err error
	p.Database, err = d.databaseName(orgID)
	return p, err
}

// databaseName is the name of an organisation's database, or of its file: letters, digits and _ only.
func (d *DB) databaseName(orgID string) (string, error) {
	id := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			return r
		case r == '-' || r == '_':
			return '_'
		}
		return -1
	}, orgID)
	if d.master.dialect == SQLite {
		if id != strings.ReplaceAll(orgID, "-", "_") || len(id) > 100 {
			return "", fault.New(fault.Invalid, "%q cannot be a file's name", orgID)
		}
		return orgID + ".db", nil
	}
	conf, err := pgx.ParseConfig(d.master.url)
	if err != nil {
		return "", fmt.Errorf("database url: %w", err)
	}
	id = strings.ReplaceAll(id, "_", "")
	if len(id) > 32 || id == "" {
		sum := sha256.Sum256([]byte(orgID))
		id = hex.EncodeToString(sum[:16])
	}
	name := conf.Database
	if most := maxDatabase - len("_org_") - len(id) - len("_b"); len(name) > most {
		name = name[:most]
	}
	return name + "_org_" + id, nil
}

// otherName is the name of a database that takes the place of one of that name.
func otherName(name string) string {
	base, file := strings.CutSuffix(name, ".db")
	if old, ok := strings.CutSuffix(base, "_b"); ok {
		base = old
	} else {
		base += "_b"
	}
	if file {
		base += ".db"
	}
	return base
}

// verifyOwn proves that an organisation's own database has every tenant table, and on PostgreSQL that row level security is
// forced on each.
func (d *DB) verifyOwn(ctx context.Context, st *store) error {
	tables, err := d.Tables(ctx, Tenant)
	if err != nil {
		return err
	}
	for _, t := range tables {
		if st.dialect == Postgres {
			var forced bool
			err := st.write.NewRaw(`SELECT relrowsecurity AND relforcerowsecurity AND EXISTS (SELECT 1 FROM pg_policy WHERE polrelid = c.oid)
				FROM pg_class c WHERE c.oid = to_regclass(?)`, t.Name).Scan(ctx, &forced)
			if err != nil || !forced {
				return fmt.Errorf("verify the new database: row level security of %s: %w", t.Name, errors.Join(err, errUnforced(forced)))
			}
		}
		if _, err := st.read.ExecContext(ctx, "SELECT 1 FROM "+quote(t.Name)+" WHERE 1 = 0"); err != nil {
			return fmt.Errorf("verify the new database: %w", err)
		}
	}
	return nil
}

func errUnforced(forced bool) error {
	if forced {
		return nil
	}
	return errors.New("it is not forced")
}

// createDatabase makes an own database, empty, unless it is there.
func (d *DB) createDatabase(ctx context.Context, p Placement) error {
	if d.master.dialect == Postgres {
		err := d.admin(ctx, p.Region, "CREATE DATABASE "+quote(p.Database))
		if err != nil && !strings.Contains(err.Error(), "SQLSTATE 42P04") { // it exists: an interrupted call made it
			if strings.Contains(err.Error(), "SQLSTATE 42501") {
				return fault.Wrap(fault.NotPossible, err, "the database user may not make databases; let an administrator run: ALTER ROLE ... CREATEDB")
			}
			return fmt.Errorf("make the organisation's database: %w", err)
		}
		return nil
	}
	st := &store{name: p.OrganisationID}
	if err := d.connect(st, p, true, nil); err != nil {
		return err
	}
	return errors.Join(st.ping(ctx), st.close())
}

// makeOwn creates, migrates and verifies.
func (d *DB) makeOwn(ctx context.Context, p Placement) error {
	if err := d.createDatabase(ctx, p); err != nil {
		return err
	}
	st, done, err := d.pools.take(ctx, p, passing)
	if err != nil {
		return err
	}
	defer done()
	return d.verifyOwn(ctx, st)
}

// unmake takes back what CreatePlacement began.
func (d *DB) unmake(ctx context.Context, p Placement) error {
	err := d.dropOwn(ctx, p)
	return errors.Join(err, d.run(ctx, d.master, scope{}, func(ctx context.Context, tx *Tx) error {
		_, err := tx.NewDelete().Model(&p).WherePK().Where("state = ?", placeMaking).Exec(ctx)
		return err
	}))
}

// dropOwn removes an own database with all that is in it.
func (d *DB) dropOwn(ctx context.Context, p Placement) error {
	d.pools.drop(p.OrganisationID)
	if d.master.dialect == Postgres {
		return d.admin(ctx, p.Region, "DROP DATABASE IF EXISTS "+quote(p.Database)+" WITH (FORCE)")
	}
	path, err := d.filePath(p)
	if err != nil {
		return err
	}
	var errs []error
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// admin runs a statement that no transaction can hold, on a region's server.
func (d *DB) admin(ctx context.Context, region, statement string) error {
	at := d.master.url
	if region != "" {
		at = strings.ReplaceAll(d.c.Regions[region], "{database}", maintenanceDB)
	}
	c, err := pgx.Connect(ctx, at)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(context.WithoutCancel(ctx)) }()
	_, err = c.Exec(ctx, statement)
	return err
}

// connect opens the connections of an own database, within a budget if there is one.
func (d *DB) connect(st *store, p Placement, create bool, b *budget) error {
	if d.master.dialect == Postgres {
		at, err := d.ownURL(p)
		if err != nil {
			return err
		}
		return st.openPostgres(at, ownMaxConns, ownMaxIdle, b)
	}
	path, err := d.filePath(p)
	if err != nil {
		return err
	}
	// A file that is gone must not be made anew, empty, by whoever asks first.
	if _, err := os.Stat(path); err != nil && !create {
		return fmt.Errorf("the organisation's database file: %w", err)
	}
	return st.openSQLite(path, ownReaders, ownCacheKiB)
}

func (d *DB) ownURL(p Placement) (string, error) {
	if p.Region != "" {
		t, ok := d.c.Regions[p.Region]
		if !ok {
			return "", fault.New(fault.Unavailable, "the organisation is in region %q, which the setting regions (PARLEY_REGIONS) does not name", p.Region)
		}
		return strings.ReplaceAll(t, "{database}", p.Database), nil
	}
	u, err := url.Parse(d.master.url)
	if err != nil {
		return "", errors.New("database url: it must be a URL for organisations to have databases of their own")
	}
	u.Path = "/" + p.Database
	return u.String(), nil
}

func (d *DB) filePath(p Placement) (string, error) {
	dir := filepath.Join(filepath.Dir(d.master.path), "org")
	if p.Region != "" {
		var ok bool
		if dir, ok = d.c.Regions[p.Region]; !ok {
			return "", fault.New(fault.Unavailable, "the organisation is in region %q, which the setting regions (PARLEY_REGIONS) does not name", p.Region)
		}
	}
	if p.Database == "" || filepath.Base(p.Database) != p.Database {
		return "", fmt.Errorf("db: %q is no name of a database file", p.Database)
	}
	return filepath.Join(dir, p.Database), nil
}

func (d *DB) savePlacement(ctx context.Context, p Placement) error {
	d.dir.forget(p.OrganisationID)
	err := d.run(ctx, d.master, scope{}, func(ctx context.Context, tx *Tx) error {
		_, err := tx.NewInsert().Model(&p).On("CONFLICT (organisation_id) DO UPDATE").Set("placement = EXCLUDED.placement").
			Set("region = EXCLUDED.region").Set("dbname = EXCLUDED.dbname").Set("state = EXCLUDED.state").
			Set("updated_at = EXCLUDED.updated_at").Returning("NULL").Exec(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("save where the organisation is: %w", err)
	}
	d.dir.forget(p.OrganisationID)
	return nil
}

// writePlacement is savePlacement within a transaction of the owner.
func writePlacement(ctx context.Context, tx *sql.Tx, p Placement) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO placements (organisation_id, placement, region, dbname, state, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (organisation_id) DO UPDATE SET placement = excluded.placement,
		region = excluded.region, dbname = excluded.dbname, state = excluded.state, updated_at = excluded.updated_at`,
		p.OrganisationID, p.Placement, p.Region, p.Database, p.State, p.CreatedAt, p.UpdatedAt)
	if err != nil {
		return fmt.Errorf("save where the organisation is: %w", err)
	}
	return nil
}

// mustBeEmpty refuses an own database for an organisation that has rows in the shared one already.
func (d *DB) mustBeEmpty(ctx context.Context, orgID string) error {
	tables, err := d.Tables(ctx, Tenant)
	if err != nil {
		return err
	}
	return d.run(ctx, d.master, scope{orgID: orgID, readOnly: true}, func(ctx context.Context, tx *Tx) error {
		for _, t := range tables {
			n, err := tx.NewSelect().TableExpr(quote(t.Name)).Where("organisation_id = ?", orgID).Limit(1).Count(ctx)
			if err != nil {
				return err
			}
			if n > 0 {
				return fault.New(fault.Conflict, "the organisation has data in the shared database already; run: parley org move")
			}
		}
		return nil
	})
}

// quote quotes a name of the database, on both engines.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
