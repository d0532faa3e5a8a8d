package db

import "context"

// MoveHurt is Move with something done, or an error, at each stage.
func (d *DB) MoveHurt(ctx context.Context, orgID, placement, region string, hurt func(stage string) error) (MoveReport, error) {
	return d.move(ctx, orgID, placement, region, hurt)
}

// OwnOpen is how many own databases are open.
func (d *DB) OwnOpen() int { return d.pools.count() }
