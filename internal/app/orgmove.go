package app

import (
	"context"
	"errors"
	"time"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/jobs"
)

const (
	moveTimeout = 24 * time.Hour
	movesEvery  = time.Minute // how soon a move goes on that failed, or whose process died
)

// moveOrganisation is the job that carries a move on. The move itself is in the database: a job that is lost, or there
// twice, changes nothing.
type moveOrganisation struct {
	OrgID string `json:"organisation"`
}

// Kind implements jobs.Args.
func (moveOrganisation) Kind() string { return "organisation.move" }

// lookForMoves is the job that finds moves nobody is at.
type lookForMoves struct{}

// Kind implements jobs.Args.
func (lookForMoves) Kind() string { return "organisation.moves" }

// startMoves registers the jobs. Moves that run are let go of when the server stops: the next one goes on.
func (a *App) startMoves(ctx context.Context) error {
	running, stop := context.WithCancel(ctx)
	a.stopMoves = stop
	err := jobs.Register(a.jobs, jobs.KindConfig{Timeout: moveTimeout}, func(ctx context.Context, _ string, m moveOrganisation) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(running, cancel)()
		return a.carryMove(ctx, m.OrgID)
	})
	if err != nil {
		return err
	}
	err = jobs.Register(a.jobs, jobs.KindConfig{}, func(ctx context.Context, _ string, _ lookForMoves) error {
		todo, err := a.db.MovesToDo(ctx)
		for _, m := range todo {
			err = errors.Join(err, a.db.InSystem(ctx, "go on with a move", func(ctx context.Context, tx *db.Tx) error {
				return a.enqueueMove(ctx, tx, m.OrganisationID)
			}))
		}
		return err
	})
	if err != nil {
		return err
	}
	return jobs.Every(a.jobs, movesEvery, lookForMoves{})
}

// enqueueMove has a move carried on by one of the processes. Where there are no jobs, on the command line, the server finds it.
func (a *App) enqueueMove(ctx context.Context, tx *db.Tx, orgID string) error {
	if a.jobs == nil {
		return nil
	}
	return jobs.Insert(ctx, a.jobs, tx, moveOrganisation{orgID}, jobs.Options{Attempts: 1})
}

// carryMove does a move that was written down, unless somebody is at it.
func (a *App) carryMove(ctx context.Context, orgID string) error {
	m, err := a.db.MoveUnderWay(ctx, orgID)
	if err != nil || m == nil {
		return err
	}
	r, err := a.db.Move(ctx, orgID, m.To.Placement, m.To.Region)
	switch {
	case fault.Is(err, fault.Conflict): // somebody is at it, or it was cancelled
		a.log.InfoContext(ctx, "a move does not go on", "organisation", orgID, "why", err)
		return nil
	case err != nil && ctx.Err() != nil:
		return nil // the next process goes on
	case err != nil:
		a.log.ErrorContext(ctx, "an organisation could not be moved; trying again", "organisation", orgID, "in", movesEvery, "error", err)
		return err
	}
	a.log.InfoContext(ctx, "an organisation has moved", "organisation", orgID, "from", r.From.Placement, "fromRegion", r.From.Region,
		"to", r.To.Placement, "toRegion", r.To.Region, "took", r.Took, "writersWaited", r.Held)
	return nil
}

// MoveOrganisation brings an organisation's data to another placement or region while it is used: the same as the API's
// operation, done by this process.
func (a *Admin) MoveOrganisation(ctx context.Context, orgID, placement, region string) (db.MoveReport, error) {
	m, err := a.app.db.MoveUnderWay(ctx, orgID)
	if err != nil {
		return db.MoveReport{}, err
	}
	if m == nil {
		if _, err := a.app.identity.MoveOrganisation(ctx, orgID, placement, region); err != nil {
			return db.MoveReport{}, err
		}
	}
	return a.app.db.Move(ctx, orgID, placement, region)
}

// AbortMove takes back a move that has not switched yet: at once, or by the process that is at it.
func (a *Admin) AbortMove(ctx context.Context, orgID string) error {
	if err := a.app.identity.CancelMove(ctx, orgID); err != nil {
		return err
	}
	return a.app.db.AbortMove(ctx, orgID)
}
