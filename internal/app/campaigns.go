package app

import (
	"context"

	"github.com/parley-voice/parley/internal/agent"
	"github.com/parley-voice/parley/internal/campaign"
)

// buildCampaigns makes the context of campaigns. Every process shows them; the worker role dials.
func (a *App) buildCampaigns(ctx context.Context) (err error) {
	a.campaigns, err = campaign.New(campaign.Config{
		DB: a.db, Bus: a.bus, Agents: campaignAgents{a.agents}, Node: a.node, Clock: a.clock, Log: a.log, Assignable: a.assignable, Standing: a.standing,
	})
	if err != nil || !a.cfg.is(roleGateway) && !a.cfg.is(roleWorker) { // who shows no campaigns may not read that news either
		return err
	}
	return a.campaigns.Follow(ctx)
}

// campaignAgents tells campaigns of agents.
type campaignAgents struct{ agents *agent.Service }

// Ready implements campaign.Agents.
func (c campaignAgents) Ready(ctx context.Context, orgID, name string) (campaign.AgentFacts, error) {
	snap, err := c.agents.Published(ctx, orgID, name)
	if err != nil {
		return campaign.AgentFacts{}, err
	}
	return campaign.AgentFacts{ID: snap.AgentID, Name: snap.Slug}, nil
}
