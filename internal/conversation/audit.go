package conversation

import (
	"context"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
)

const maxToolFacts = 200 // audit entries of one call's tool runs; the event log has all

// note stores what was done with a call that goes on: its row is the saver's, so the entry has a transaction of its own.
func (s *Service) note(ctx context.Context, org string, c identity.Change) error {
	return s.db.InTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error { return identity.Audit(ctx, tx, org, c) })
}

// toolRun is a tool that an agent ran.
type toolRun struct {
	name string
	atUS int64
	ok   bool
	ms   any
}

// addTool keeps a tool's result. What it was asked and what it answered stays in the event log, with the call.
func (d *derivation) addTool(e *event.Entry, out *derived) {
	if d.toolRuns++; d.toolRuns > maxToolFacts {
		return
	}
	ok, _ := e.Data["ok"].(bool)
	out.tools = append(out.tools, toolRun{name: clip(e.Text, maxNameBytes), atUS: e.AtUS, ok: ok, ms: e.Data["ms"]})
}

// fact makes the audit entry of a tool run.
func (t *toolRun) fact(row *callRow, zero int64) event.Audited {
	a := event.Audited{OrgID: row.OrganisationID, ActorKind: "agent", ActorID: row.AgentID, Action: "tool.run", Outcome: identity.OutcomeDone, Kind: "call",
		ObjectID: row.ID, At: zero + t.atUS/1000}
	if !t.ok {
		a.Outcome = identity.OutcomeFailed
	}
	a.After = []byte(toJSON(map[string]any{"tool": t.name, "ms": t.ms}))
	return a
}
