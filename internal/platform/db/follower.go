package db

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"
)

// Follower moves what an organisation has outside of its database, such as recordings, to another region. Each may be called
// again after an error, and goes on.
type Follower interface {
	// Check refuses a region in which there is no place for it.
	Check(region string) error
	// Copy brings what there is, while it is used.
	Copy(ctx context.Context, orgID, from, to string) error
	// Settle is called when the organisation is in the new region: it brings what came meanwhile, proves that all is there,
	// and removes what is in the old region.
	Settle(ctx context.Context, orgID, from, to string) error
	// Undo removes from the new region what Copy brought.
	Undo(ctx context.Context, orgID, from, to string) error
}

// followers calls fn with each follower when the move leads to another region.
func (m *mover) followers(fn func(f Follower, from, to string) error) error {
	from, to := m.at.From.Region, m.report.To.Region
	if from == to {
		return nil
	}
	for _, f := range m.d.c.Followers {
		if err := fn(f, from, to); err != nil {
			return err
		}
	}
	return nil
}

// bringFacts puts the facts that wait in an own database's outbox into the master's, from where the relay sends them: with
// the database they would be lost. One that goes out twice has the same id.
func (m *mover) bringFacts(ctx context.Context) error {
	if m.from == nil { // removed already
		return nil
	}
	for {
		var rows []OutboxRow
		err := m.d.run(ctx, m.from, scope{readOnly: true}, func(ctx context.Context, tx *Tx) error {
			return tx.NewSelect().Model(&rows).OrderExpr("seq").Limit(moveBatch).Scan(ctx)
		})
		if err != nil || len(rows) == 0 {
			return err
		}
		seqs := make([]int64, len(rows))
		for i := range rows {
			seqs[i] = rows[i].Seq
		}
		err = m.d.run(ctx, m.d.master, scope{}, func(ctx context.Context, tx *Tx) error {
			_, err := tx.NewInsert().Model(&rows).ExcludeColumn("seq").On("CONFLICT (id) DO NOTHING").Returning("NULL").Exec(ctx)
			tx.facts += len(rows)
			return err
		})
		if err != nil {
			return fmt.Errorf("bring the facts that wait: %w", err)
		}
		err = m.d.run(ctx, m.from, scope{}, func(ctx context.Context, tx *Tx) error {
			_, err := tx.NewDelete().Model((*OutboxRow)(nil)).Where("seq IN (?)", bun.List(seqs)).Exec(ctx)
			return err
		})
		if err != nil {
			return fmt.Errorf("bring the facts that wait: %w", err)
		}
	}
}
