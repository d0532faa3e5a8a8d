package db

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/event"
)

// OutboxRow is a fact that waits for the relay.
type OutboxRow struct {
	bun.BaseModel `bun:"table:outbox,alias:o"`

	Seq            int64  `bun:"seq,pk,autoincrement"`
	ID             string `bun:"id"`
	OrganisationID string `bun:"organisation_id"`
	Type           string `bun:"type"`
	Key            string `bun:"key"`
	Data           string `bun:"data"` // JSON
	CreatedAt      int64  `bun:"created_at"`
}

// Publish stores facts with the change that made them true; they go out once the transaction commits.
func (tx *Tx) Publish(ctx context.Context, facts ...event.Fact) error {
	if tx.orgID == "" {
		return errors.New("db: Publish in the system door; use PublishFor")
	}
	return tx.PublishFor(ctx, tx.orgID, facts...)
}

// PublishFor is Publish for the system door, where one transaction may hold changes of several organisations.
func (tx *Tx) PublishFor(ctx context.Context, orgID string, facts ...event.Fact) error {
	if orgID == "" {
		return errors.New("db: PublishFor without an organisation")
	}
	if len(facts) == 0 {
		return nil
	}
	rows := make([]OutboxRow, 0, len(facts))
	now := tx.db.clock.Now().UnixMilli()
	for _, f := range facts {
		data, err := json.Marshal(f)
		if err != nil {
			return fmt.Errorf("publish %s: %w", f.Type(), err)
		}
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("publish %s: %w", f.Type(), err)
		}
		rows = append(rows, OutboxRow{
			ID: id.String(), OrganisationID: orgID, Type: f.Type(), Key: f.Key(), Data: string(data), CreatedAt: now,
		})
	}
	if _, err := tx.NewInsert().Model(&rows).ExcludeColumn("seq").Returning("NULL").Exec(ctx); err != nil {
		return fmt.Errorf("publish %s: %w", rows[0].Type, err)
	}
	tx.facts += len(facts)
	return nil
}

// OutboxSignal receives after each commit of this process that left facts. It holds one signal: facts of other
// processes are found by asking now and then.
func (d *DB) OutboxSignal() <-chan struct{} { return d.signal }

// OutboxPending gives the organisations in whose own databases this process left facts since the last time.
func (d *DB) OutboxPending() []string {
	d.facts.Lock()
	defer d.facts.Unlock()
	orgs := make([]string, 0, len(d.facts.in))
	for org := range d.facts.in {
		orgs = append(orgs, org)
	}
	clear(d.facts.in)
	return orgs
}

func (s *state) wakeRelay(st *store) {
	if st.name != "" {
		s.facts.Lock()
		if s.facts.in == nil {
			s.facts.in = map[string]bool{}
		}
		s.facts.in[st.name] = true
		s.facts.Unlock()
	}
	select {
	case s.signal <- struct{}{}:
	default: // a signal is waiting already
	}
}
