package conversation

import (
	"context"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// reach is which calls an operation may touch: those that a person in its scope placed, whose phone they came from or were
// put through to, and those of agents that belong to such a person now.
type reach struct {
	scope  identity.Scope
	agents []string
}

// reach gives that of ctx: everything, but for a request whose permission is narrower.
func (s *Service) reach(ctx context.Context, org string) (reach, error) {
	r := reach{scope: identity.ScopeOf(ctx)}
	if r.scope.All() || s.agents == nil {
		return r, nil
	}
	var err error
	r.agents, err = s.agents.OwnedBy(ctx, org, r.scope.Users())
	if err != nil {
		return r, fault.Wrap(fault.CodeOf(err), err, "The agents that are in your reach could not be found.")
	}
	return r, nil
}

// sql is the condition on table calls by its alias c.
func (r reach) sql() (string, []any) {
	if r.scope.All() {
		return r.scope.SQL()
	}
	where, args := r.scope.SQL("c.user_id", "c.taken_by")
	if len(r.agents) > 0 {
		return "(" + where + " OR c.agent_id IN (?))", append(args, bun.List(r.agents))
	}
	return where, args
}

func (r reach) where(q *bun.SelectQuery) *bun.SelectQuery {
	if r.scope.All() {
		return q
	}
	where, args := r.sql()
	return q.Where(where, args...)
}

// has reports the same of a call in memory.
func (r reach) has(row *callRow) bool {
	return r.scope.All() || r.scope.Has(row.UserID) || r.scope.Has(row.TakenBy) || slices.Contains(r.agents, row.AgentID)
}

// visible gives a call that is in memory, if it is the organisation's and in reach, and the reach to look further with.
func (s *Service) visible(ctx context.Context, org, id string) (*Call, reach, error) {
	in, err := s.reach(ctx, org)
	if err != nil {
		return nil, in, err
	}
	c := s.find(org, id)
	if c == nil || in.scope.All() {
		return c, in, nil
	}
	c.state.mu.Lock()
	defer c.state.mu.Unlock()
	if !in.has(&c.state.row) {
		return nil, in, errNoCall
	}
	return c, in, nil
}

// Known reports whether there is a call with this id, going on or over.
func (s *Service) Known(ctx context.Context, org, id string) (bool, error) {
	if s.find(org, id) != nil {
		return true, nil
	}
	n := int64(0)
	err := s.db.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) (err error) {
		n, err = tx.NewSelect().Model((*callRow)(nil)).Where("c.organisation_id = ? AND c.id = ?", org, id).Count(ctx)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("look for a call: %w", err)
	}
	return n > 0, nil
}

// inProject gives the agents of a project, an empty list where it has none.
func (s *Service) inProject(ctx context.Context, org, project string) ([]string, error) {
	if s.agents == nil {
		return []string{}, nil
	}
	ids, err := s.agents.InProject(ctx, org, project)
	if err != nil {
		return nil, fault.Wrap(fault.CodeOf(err), err, "The agents of the project could not be found.")
	}
	return append([]string{}, ids...), nil
}

func (r *callRow) of() event.CallOf {
	return event.CallOf{AgentID: r.AgentID, UserID: r.UserID, TakenBy: r.TakenBy}
}

func (c *Call) of() event.CallOf {
	c.state.mu.Lock()
	defer c.state.mu.Unlock()
	return c.state.row.of()
}
