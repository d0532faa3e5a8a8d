package app

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/bus"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/jobs"
)

// want adds a job to a change of an organisation. The queue is in the master's database: where the organisation has one of its
// own, a fact asks for the job, which commits with the change.
func (a *App) want(ctx context.Context, tx *db.Tx, kind, id string) error {
	w := event.JobWanted{OrgID: tx.OrgID(), Kind: kind, ID: id}
	if tx.InMaster() {
		return a.insertWanted(ctx, tx, w)
	}
	return tx.PublishFor(ctx, w.OrgID, w)
}

func (a *App) insertWanted(ctx context.Context, tx *db.Tx, w event.JobWanted) error {
	once := jobs.Options{Unique: true} // a fact may arrive twice
	switch w.Kind {
	case erasePerson{}.Kind():
		return jobs.InsertFor(ctx, a.jobs, tx, w.OrgID, erasePerson{w.ID}, once)
	case exportOrg{}.Kind():
		return jobs.InsertFor(ctx, a.jobs, tx, w.OrgID, exportOrg{w.ID}, once)
	case tellCampaign{}.Kind():
		return jobs.InsertFor(ctx, a.jobs, tx, w.OrgID, tellCampaign{w.ID}, once)
	case importLeads{}.Kind():
		return jobs.InsertFor(ctx, a.jobs, tx, w.OrgID, importLeads{w.ID}, jobs.Options{}) // to read it and, later, to undo it; twice at once does nothing
	}
	return fmt.Errorf("a job of the kind %q is wanted, which nobody does", w.Kind)
}

// followWanted adds the jobs that facts ask for.
func (a *App) followWanted(ctx context.Context) error {
	_, err := a.bus.Subscribe(ctx, bus.SubConfig{Durable: "wanted-jobs", Filter: []string{"job.wanted"}}, func(ctx context.Context, m bus.Msg) error {
		var w event.JobWanted
		if err := json.Unmarshal(m.Data, &w); err != nil {
			return fmt.Errorf("job.wanted: %w", err)
		}
		return a.db.InSystem(ctx, "add a job that an organisation asked for", func(ctx context.Context, tx *db.Tx) error { return a.insertWanted(ctx, tx, w) })
	})
	return err
}
