package app

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/parley-voice/parley/internal/agent"
	"github.com/parley-voice/parley/internal/campaign"
	"github.com/parley-voice/parley/internal/campaign/donotcall"
	"github.com/parley-voice/parley/internal/campaign/policy"
	"github.com/parley-voice/parley/internal/gateway/fleet"
	"github.com/parley-voice/parley/internal/platform/db"
)

// buildCampaigns makes the context of campaigns. Every process shows them; the worker role dials.
func (a *App) buildCampaigns(ctx context.Context) (err error) {
	book, err := policy.Shipped()
	if err != nil {
		return fmt.Errorf("rules on calling: %w", err)
	}
	a.doNotCall, err = donotcall.New(donotcall.Config{
		DB: a.db, Blobs: a.blobs, Folder: filepath.Join(a.cfg.DataDir, "registers"), Consents: consents{a}, Book: book, Clock: a.clock, Log: a.log,
		Spread: func(ctx context.Context, orgID string, numbers ...string) error {
			return a.campaigns.Spread(ctx, orgID, numbers...)
		},
	})
	if err != nil {
		return err
	}
	a.onStop("registers", func(context.Context) error { a.doNotCall.Close(); return nil })
	signer, err := a.auditSigner(ctx)
	if err != nil {
		return err
	}
	a.dialling = &campaignCalls{calls: a.calls, records: a.records, phones: a.phones, fleet: func() *fleet.Fleet { return a.fleet }, bus: a.bus, clock: a.clock, log: a.log, kept: a.keptLines(a.cfg.MaxCalls)}
	a.campaigns, err = campaign.New(campaign.Config{
		Book: book, Facts: a.doNotCall, OptOuts: a.doNotCall, Signer: signer,
		DB: a.db, Bus: a.bus, Agents: campaignAgents{a.agents}, Carrier: a.dialling, Node: a.node, Clock: a.clock, Log: a.log, Assignable: a.assignable, Standing: a.standing, Still: a.identity.Still,
		Lines: a.campaignLines, Preflights: []campaign.Preflighter{a.doNotCall, a.dialling},
		Blobs: a.blobs, Sealer: a.keyring, Enqueue: a.want, Outbound: a.outbound.client, PublicURL: a.publicURL,
	})
	if err != nil || !a.cfg.is(roleGateway) { // who shows no campaigns need not read that news, and a media process may not
		return err
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

// campaignLines is how many calls at once campaigns may begin beside those that run: a part of each process's lines is kept for
// calls that come in. Where media processes carry them, what they last said counts; they refuse by themselves what is too much.
func (a *App) campaignLines() int {
	if a.calls != nil {
		running, _ := a.calls.counts()
		return max(0, a.cfg.MaxCalls-a.keptLines(a.cfg.MaxCalls)-running)
	}
	free := 0
	for _, m := range a.fleet.Instances(roleMedia) {
		if !m.Draining {
			free += max(0, m.Capacity-a.keptLines(m.Capacity)-m.Calls)
		}
	}
	return free
}

// keptLines is how many of a process's lines campaigns leave free.
func (a *App) keptLines(lines int) int {
	if a.cfg.KeptLines < 0 {
		return lines / 10
	}
	return a.cfg.KeptLines
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

// consents tells campaigns what people allowed. The context that keeps it is made after that of campaigns.
type consents struct{ a *App }

// ConsentsOf implements donotcall.Consents.
func (c consents) ConsentsOf(ctx context.Context, tx *db.Tx, numbers []string, purpose policy.Purpose, automated bool, now time.Time) (map[string]donotcall.Consent, error) {
	known, err := c.a.trails.CallConsents(ctx, tx, numbers, string(purpose), automated, now)
	if err != nil {
		return nil, err
	}
	out := make(map[string]donotcall.Consent, len(known))
	for n, k := range known {
		v := donotcall.Consent{State: policy.Withdrawn, ID: k.ID}
		if k.Given {
			v.State = policy.Given
		}
		out[n] = v
	}
	return out, nil
}
