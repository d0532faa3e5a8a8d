package compliance

import (
	"context"
	"errors"
	"fmt"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/bus"
	"github.com/parley-voice/parley/internal/platform/db"
)

// trailSubscription names the place in the bus's facts up to which the organisations' trails are copied. Processes share it.
const trailSubscription = "compliance-copy"

// TrailSink is another place that gets a copy of the organisations' trails. The buffer is the bus: what waits there for longer than
// facts are kept is in the trail only.
type TrailSink interface {
	// WriteTrail keeps entries of an organisation's trail there before it returns. What it was given before, it changes nothing of.
	WriteTrail(ctx context.Context, orgID string, entries []AuditEntry) error
}

func (s *Service) startTrailCopy(ctx context.Context, b *bus.Bus) (err error) {
	if s.cfg.TrailSink == nil {
		return nil
	}
	s.trailSub, err = b.SubscribeBatch(ctx, bus.BatchConfig{Durable: trailSubscription, Filter: []string{"audit.entry"}}, s.copyTrails)
	return err
}

// copyTrails copies the entries that facts became. A batch one of whose entries could not be written comes again; what was written then
// is written twice, which the sink knows.
func (s *Service) copyTrails(ctx context.Context, ms []bus.Msg) error {
	var orgs []string
	byOrg := map[string][]bus.Msg{}
	for _, m := range ms {
		if m.OrgID == identity.Platform {
			continue // the platform log is copied by itself
		}
		if _, ok := byOrg[m.OrgID]; !ok {
			orgs = append(orgs, m.OrgID)
		}
		byOrg[m.OrgID] = append(byOrg[m.OrgID], m)
	}
	var all error
	for _, org := range orgs { // one whose database is away does not keep the others waiting
		if err := s.copyTrail(ctx, org, byOrg[org]); err != nil {
			all = errors.Join(all, fmt.Errorf("copy the audit trail of %s: %w", org, err))
		}
	}
	return all
}

func (s *Service) copyTrail(ctx context.Context, org string, ms []bus.Msg) error {
	rows, err := s.chained(ctx, org, ms)
	if err == nil && len(rows) < len(ms) { // this subscription was faster than the one that appends, which may append twice
		if err = s.take(ctx, ms); err == nil {
			rows, err = s.chained(ctx, org, ms)
		}
	}
	if db.IsGone(err) {
		return nil // the organisation was erased, its trail with it
	}
	if err != nil {
		return err
	}
	for len(rows) > 0 {
		some := batch(rows)
		entries := make([]AuditEntry, len(some))
		for i := range some {
			entries[i] = some[i].entry()
		}
		if err := s.cfg.TrailSink.WriteTrail(ctx, org, entries); err != nil {
			return err
		}
		rows = rows[len(some):]
	}
	return nil
}

// chained gives the entries of a trail that facts became.
func (s *Service) chained(ctx context.Context, org string, ms []bus.Msg) (rows []entryRow, err error) {
	ids := make([]string, len(ms))
	for i := range ms {
		ids[i] = ms[i].ID
	}
	err = chain{s.cfg.DB, org}.read(ctx, "copy an audit trail", func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model(&rows).Where("e.organisation_id = ? AND e.id IN (?)", org, bun.List(ids)).Order("e.seq").Scan(ctx)
	})
	return rows, err
}
