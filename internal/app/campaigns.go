package app

import (
	"context"

	"github.com/parley-voice/parley/internal/agent"
	"github.com/parley-voice/parley/internal/campaign"
	"github.com/parley-voice/parley/internal/gateway/fleet"
)

// buildCampaigns makes the context of campaigns. Every process shows them; the worker role dials.
func (a *App) buildCampaigns(ctx context.Context) (err error) {
	a.dialling = &campaignCalls{calls: a.calls, records: a.records, phones: a.phones, fleet: func() *fleet.Fleet { return a.fleet }, bus: a.bus, clock: a.clock, log: a.log}
	a.campaigns, err = campaign.New(campaign.Config{
		DB: a.db, Bus: a.bus, Agents: campaignAgents{a.agents}, Carrier: a.dialling, Node: a.node, Clock: a.clock, Log: a.log, Assignable: a.assignable, Standing: a.standing,
		Lines: a.campaignLines, Preflights: []campaign.Preflighter{a.dialling},
	})
	if err != nil || !a.cfg.is(roleGateway) && !a.cfg.is(roleWorker) { // who shows no campaigns may not read that news either
		return err
	}
	if !a.cfg.is(roleGateway) { // nobody looks at campaigns there
		return nil
	}
	return a.campaigns.Follow(ctx)
}

// startCampaigns dials: with the worker role, once calls can be placed. A media process of several places what workers ask for.
func (a *App) startCampaigns(ctx context.Context) error {
	if a.cfg.split() && a.cfg.is(roleMedia) {
		if err := a.dialling.answer(ctx, a.node); err != nil {
			return err
		}
	}
	if !a.cfg.is(roleWorker) {
		return nil
	}
	life, cancel := context.WithCancel(ctx)
	if err := a.campaigns.FollowCalls(life); err != nil {
		cancel()
		return err
	}
	over := make(chan error, 1)
	go func() { over <- campaign.NewRunner(a.campaigns).Run(life) }()
	a.onStop("campaigns", func(ctx context.Context) error {
		cancel()
		select {
		case err := <-over:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return nil
}

// campaignLines is how many calls at once campaigns may begin beside those that run: a part of the lines is kept for calls
// that come in. Media processes of several refuse by themselves what is too much.
func (a *App) campaignLines() int {
	kept := a.cfg.KeptLines
	if kept < 0 {
		kept = a.cfg.MaxCalls / 10
	}
	running := 0
	if a.calls != nil {
		running, _ = a.calls.counts()
	}
	return max(0, a.cfg.MaxCalls-kept-running)
}

// campaignAgents tells campaigns of agents.
type campaignAgents struct{ agents *agent.Service }

// Ready implements campaign.Agents.
func (c campaignAgents) Ready(ctx context.Context, orgID, name string) (campaign.AgentFacts, error) {
	snap, err := c.agents.Published(ctx, orgID, name)
	if err != nil {
		return campaign.AgentFacts{}, err
	}
	f := campaign.AgentFacts{ID: snap.AgentID, Name: snap.Name}
	for _, v := range snap.Definition.Variables() {
		if !v.Optional && v.Name != "name" && v.Name != "number" {
			f.Variables = append(f.Variables, v.Name)
		}
	}
	return f, nil
}
