package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-voice/parley/internal/compliance"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/jobs"
)

const (
	erasuresEvery = 2 * time.Second     // how often a process looks for organisations that are being erased
	erasuresTold  = 10 * 24 * time.Hour // longer than the bus remembers facts
)

// orgOps are the operations on whole organisations.
type orgOps struct{ app *App }

// Routes adds the operations.
func (o *orgOps) Routes(api huma.API) {
	op := func(status int, id, method, path, permission, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{"Installation"}, DefaultStatus: status,
			Metadata: map[string]any{"permission": permission}}
	}
	huma.Register(api, op(http.StatusAccepted, "super-erase-organisation", "POST", "/api/v1/super/organisations/{id}/erase", "super:delete",
		"Erase an organisation, with everything of it, for ever; a job does it"), o.erase)
	huma.Register(api, op(http.StatusOK, "super-get-organisation-erasure", "GET", "/api/v1/super/organisations/{id}/erasure", "super:read",
		"How far an organisation's erasure is, and its certificate"), o.erasure)
}

type orgErasePost struct {
	ID   string `path:"id"`
	Body struct {
		Confirm string `json:"confirm" doc:"The organisation's name, as it is"`
		Reason  string `json:"reason" minLength:"1" maxLength:"500" doc:"Why; it is in the certificate and the platform log"`
	}
}

// OrganisationErasure says how far the erasure of an organisation is.
type OrganisationErasure struct {
	OrganisationID string                  `json:"organisationId"`
	State          string                  `json:"state" enum:"running,done"`
	Stage          string                  `json:"stage" doc:"What is done just now"`
	StartedAt      time.Time               `json:"startedAt"`
	Certificate    *compliance.Certificate `json:"certificate" doc:"null until it is done; its document is signed as parley org erase --verify proves"`
}

type orgErasureReply struct{ Body OrganisationErasure }

func (o *orgOps) erase(ctx context.Context, in *orgErasePost) (*orgErasureReply, error) {
	p, _ := identity.From(ctx)
	if p.OrgID == in.ID {
		return nil, fault.New(fault.NotPossible, "you are signed in to this organisation; switch to another one first")
	}
	a := o.app
	if err := a.beginErase(ctx, in.ID, EraseRequest{Confirm: in.Body.Confirm, Reason: in.Body.Reason, RequestedBy: p.UserID}); err != nil {
		return nil, err
	}
	err := a.db.InSystem(ctx, "erase an organisation", func(ctx context.Context, tx *db.Tx) error {
		if err := identity.Audit(ctx, tx, identity.Platform, identity.Change{Action: "organisation.erase.request", Kind: "organisation", ID: in.ID, Reason: in.Body.Reason}); err != nil {
			return err
		}
		return jobs.Insert(ctx, a.jobs, tx, eraseOrganisation{in.ID}, jobs.Options{Unique: true})
	})
	if err != nil {
		return nil, err
	}
	return o.reply(ctx, in.ID)
}

type orgErasureGet struct {
	ID string `path:"id"`
}

func (o *orgOps) erasure(ctx context.Context, in *orgErasureGet) (*orgErasureReply, error) {
	return o.reply(ctx, in.ID)
}

func (o *orgOps) reply(ctx context.Context, orgID string) (*orgErasureReply, error) {
	tasks, err := o.app.db.Tasks(ctx, db.TaskErase, orgID)
	if err != nil {
		return nil, err
	}
	if len(tasks) == 0 || orgID == "" {
		return nil, fault.New(fault.NotFound, "the organisation is not being erased, and was not")
	}
	var d eraseDetail
	if err := json.Unmarshal([]byte(tasks[0].Detail), &d); err != nil {
		return nil, fmt.Errorf("read how far the erasure is: %w", err)
	}
	return &orgErasureReply{Body: OrganisationErasure{OrganisationID: orgID, State: tasks[0].State, Stage: d.Stage,
		StartedAt: time.UnixMilli(tasks[0].StartedAt).UTC(), Certificate: d.Certificate}}, nil
}

// eraseOrganisation is the job that erases an organisation. It belongs to none.
type eraseOrganisation struct {
	Organisation string `json:"organisation"`
}

// Kind implements jobs.Args.
func (eraseOrganisation) Kind() string { return "organisation.erase" }

// registerErasures registers the job.
func (a *App) registerErasures() error {
	return jobs.Register(a.jobs, jobs.KindConfig{Timeout: orgFileTimeout}, func(ctx context.Context, _ string, e eraseOrganisation) error {
		_, err := a.carryErase(ctx, e.Organisation)
		return err
	})
}

// watchErasures looks, in every process, for organisations that another one erases.
func (a *App) watchErasures(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	told := map[string]bool{}
	wait := a.clock.TickerFunc(ctx, erasuresEvery, func() error {
		if err := a.followErasures(ctx, told); err != nil && ctx.Err() == nil {
			a.log.WarnContext(ctx, "organisations that are being erased cannot be looked for", "error", err)
		}
		return nil
	}, "erasures")
	a.onStop("erasures", func(context.Context) error {
		cancel()
		_ = wait.Wait() // it ends with the context
		return nil
	})
}

// followErasures does this process's part of what another one erases: its calls end, and what it has open and remembers goes.
// told are those that are done with.
func (a *App) followErasures(ctx context.Context, told map[string]bool) error {
	tasks, err := a.db.Tasks(ctx, db.TaskErase, "")
	if err != nil {
		return err
	}
	for _, t := range tasks {
		if told[t.OrganisationID] || a.clock.Now().Sub(time.UnixMilli(t.SeenAt)) > erasuresTold {
			continue
		}
		a.identity.Forget(t.OrganisationID, "")
		if t.State == db.TaskRunning {
			if a.calls != nil {
				a.calls.endOf(ctx, t.OrganisationID)
			}
			continue
		}
		if !a.cfg.is(roleWorker) { // the workers see to the rest
			told[t.OrganisationID] = true
			continue
		}
		if err := a.search.Drop(ctx, t.OrganisationID); err != nil {
			return err
		}
		if err := a.forgetFacts(ctx, t.OrganisationID); err != nil {
			return err
		}
		told[t.OrganisationID] = true
	}
	return nil
}
