package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/bus"
)

// assignable refuses to give an agent or a phone to a person or a project that is not the organisation's. The people are
// built after the agents, which they need, so it is looked up when it is asked.
func (a *App) assignable(ctx context.Context, orgID, userID, projectID string) error {
	return a.identity.Assignable(ctx, orgID, userID, projectID)
}

// followProjects takes agents and phones out of a project that was deleted. They may be in another database than it was,
// so it is the fact that reaches them; it is tried again until it worked.
func (a *App) followProjects(ctx context.Context) error {
	_, err := a.bus.Subscribe(ctx, bus.SubConfig{Durable: "projects", Filter: []string{"project.deleted"}}, func(ctx context.Context, m bus.Msg) error {
		var gone event.ProjectDeleted
		if err := json.Unmarshal(m.Data, &gone); err != nil {
			return fmt.Errorf("project.deleted: %w", err)
		}
		return errors.Join(a.agents.LeaveProject(ctx, gone.OrgID, gone.ProjectID), a.phones.LeaveProject(ctx, gone.OrgID, gone.ProjectID))
	})
	return err
}
