package db

import (
	"context"
	"fmt"
)

// Lock makes transactions that name the same thing wait for each other until the first one ends: for those that count and
// then add. SQLite has one writer, so they do so anyway.
func (tx *Tx) Lock(ctx context.Context, name string) error {
	if tx.Dialect() != Postgres {
		return nil
	}
	if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", name); err != nil {
		return fmt.Errorf("wait for other changes of %s: %w", name, err)
	}
	return nil
}
