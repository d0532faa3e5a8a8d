package app

import (
	"context"
	"errors"
	"time"

	"github.com/parley-voice/parley/internal/campaign"
	"github.com/parley-voice/parley/internal/platform/jobs"
)

const (
	importTime = 2 * time.Hour // of one try: a gigabyte on a slow machine
	tendEvery  = 30 * time.Second
)

// importLeads is the job that reads a campaign's list, or undoes that.
type importLeads struct {
	ID string `json:"id"`
}

// Kind implements jobs.Args.
func (importLeads) Kind() string { return campaign.ImportJob }

// tellCampaign is the job that tells that a campaign is over.
type tellCampaign struct {
	ID string `json:"id"`
}

// Kind implements jobs.Args.
func (tellCampaign) Kind() string { return campaign.WebhookJob }

// registerLists registers the jobs on campaigns' lists and ends, and goes on with those whose process is gone.
func (a *App) registerLists(ctx context.Context) error {
	err := jobs.Register(a.jobs, jobs.KindConfig{Timeout: importTime}, func(ctx context.Context, org string, i importLeads) error {
		return a.campaigns.CarryImport(ctx, org, i.ID)
	})
	if err != nil {
		return err
	}
	err = jobs.Register(a.jobs, jobs.KindConfig{}, func(ctx context.Context, org string, t tellCampaign) error {
		return a.campaigns.Deliver(ctx, org, t.ID)
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	tend := a.clock.TickerFunc(ctx, tendEvery, func() error {
		if err := a.campaigns.TendImports(ctx); err != nil && ctx.Err() == nil {
			a.log.WarnContext(ctx, "imports could not be looked after; trying again", "error", err)
		}
		return nil
	}, "campaign imports")
	a.onStop("campaign imports", func(context.Context) error {
		cancel()
		if err := tend.Wait(); !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	})
	return nil
}
