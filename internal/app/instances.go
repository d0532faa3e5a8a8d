package app

import (
	"os"

	"github.com/parley-voice/parley/internal/gateway/fleet"
)

// instances tells of the installation's processes. One process that does everything knows itself.
func (a *App) instances() fleet.Report {
	if a.fleet != nil {
		return a.fleet.Report(roleGateway, roleMedia, roleWorker)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "this"
	}
	calls := 0
	if a.calls != nil {
		calls, _ = a.calls.counts()
	}
	return fleet.Alone(fleet.Instance{ID: host, Role: fleet.AllRoles, Version: a.version, Calls: calls, Capacity: a.cfg.MaxCalls,
		Draining: a.health != nil && a.health.Draining(), Started: a.born})
}
