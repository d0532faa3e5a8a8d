package db

import "context"

// MoveHurt is Move with something done, or an error, at each stage.
func (d *DB) MoveHurt(ctx context.Context, orgID, placement, region string, hurt func(stage string) error) (MoveReport, error) {
	return d.move(ctx, orgID, placement, region, func(m *mover) { m.hurt = hurt })
}

// MoveBraked is MoveHurt with writers that are taken for faster than they can be followed.
func (d *DB) MoveBraked(ctx context.Context, orgID, placement, region string, hurt func(stage string) error) (MoveReport, error) {
	return d.move(ctx, orgID, placement, region, func(m *mover) { m.hurt, m.rounds = hurt, 0 })
}

// Seize leaves an organisation's move held by a process that has died.
func (d *DB) Seize(ctx context.Context, orgID string) error {
	return (&mover{d: d, holder: "dead", row: moveRow{OrganisationID: orgID}}).take(ctx, true)
}

// TablesOf gives the tables that a statement names.
func TablesOf(query string) (out []string) {
	tablesOf(query, func(verb, table string) { out = append(out, verb+" "+table) })
	return out
}

// OwnOpen is how many own databases are open.
func (d *DB) OwnOpen() int { return d.pools.count() }

// Shared is the shared database as EachPlacement gives it, and Past leads past the gate to a database's tenant tables.
func (d *DB) Shared() *DB { return &DB{state: d.state, pin: d.master, place: true} }

// Past writes to the shared database past the gate.
func (d *DB) Past(ctx context.Context, orgID string, fn func(context.Context, *Tx) error) error {
	return d.run(ctx, d.master, scope{orgID: orgID}, fn)
}

// CloseOwn closes an organisation's own database, as if it had had to make room.
func (d *DB) CloseOwn(orgID string) { d.pools.drop(orgID) }

// HasOpen tells whether an organisation's own database is open.
func (d *DB) HasOpen(orgID string) bool {
	d.pools.mu.Lock()
	defer d.pools.mu.Unlock()
	return d.pools.byOrg[orgID] != nil
}

// OwnConnections is how many connections to own databases there are.
func (d *DB) OwnConnections() int {
	d.budget.mu.Lock()
	defer d.budget.mu.Unlock()
	return d.budget.used
}
