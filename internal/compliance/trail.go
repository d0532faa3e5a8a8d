package compliance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/bus"
	"github.com/parley-voice/parley/internal/platform/db"
)

// subscription names the place in the bus's facts up to which the chains are written. Processes share it.
const subscription = "compliance-audit"

// take appends a batch of facts to the chains they belong to. An organisation whose database is away does not keep the
// others waiting: theirs are appended, and known when the batch comes again.
func (s *Service) take(ctx context.Context, ms []bus.Msg) error {
	var orgs []string
	byOrg := map[string][]AuditEntry{}
	for i := range ms {
		m := &ms[i]
		var f event.Audited
		if err := json.Unmarshal(m.Data, &f); err != nil {
			// Something happened, and nothing may be missing: the entry says that it could not be read.
			s.log.ErrorContext(ctx, "an audit fact cannot be read", "id", m.ID, "error", err)
			f = event.Audited{ActorKind: "system", Action: "audit.unreadable", Outcome: "failed", Reason: err.Error(), At: m.At.UnixMilli()}
		}
		if _, ok := byOrg[m.OrgID]; !ok {
			orgs = append(orgs, m.OrgID)
		}
		byOrg[m.OrgID] = append(byOrg[m.OrgID], newEntry(m.ID, &f))
	}
	var all error
	for _, org := range orgs {
		n, err := chain{s.cfg.DB, org}.append(ctx, byOrg[org])
		if db.IsGone(err) {
			continue // the organisation was erased, its trail with it; the platform log says so
		}
		if err != nil {
			all = errors.Join(all, fmt.Errorf("audit trail of %s: %w", org, err))
			continue
		}
		s.appended.Add(uint64(n))
		if org == identity.Platform && s.copier != nil {
			s.copier.nudge()
		}
	}
	return all
}

// Appended is how many entries this process has added to chains.
func (s *Service) Appended() uint64 { return s.appended.Load() }
