package app

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-voice/parley/internal/gateway/fleet"
	"github.com/parley-voice/parley/internal/platform/bus"
)

const (
	fleetWait  = time.Minute      // for who is there, at the start; later ones come as they announce themselves
	lostEvery  = 15 * time.Second // how often a worker looks for calls that nobody carries: into every database
	phoneNote  = "phone"          // the note that a phone's registrations are void
	goneAfter  = time.Minute
	countEvery = metricsEvery
)

// instance names a media process by the node that its calls' records bear.
func instance(node string) string { return roleMedia + "." + node }

// joinFleet announces this process to the others, and gets to know them.
func (a *App) joinFleet(ctx context.Context) (err error) {
	if !a.cfg.split() {
		return nil
	}
	self := fleet.Instance{ID: a.node, Role: a.cfg.Role, Version: a.version, Region: a.cfg.MediaRegion, Zone: a.cfg.Zone}
	calls := func() int { return 0 }
	if a.cfg.is(roleMedia) {
		self.URL, self.Pin, self.Capacity = a.internalURL(), a.inner.pin, a.cfg.MaxCalls
		calls = func() int { n, _ := a.calls.counts(); return n }
		if err := a.bus.Listen(ctx, phoneNote, func(name []byte) {
			if a.sip != nil {
				a.sip.Forget(string(name))
			}
		}); err != nil {
			return err
		}
	} else if err := a.followFleet(ctx); err != nil {
		return err
	}
	if a.member, err = fleet.Join(ctx, fleet.MemberConfig{Bus: a.bus, Self: self, Calls: calls, Clock: a.clock, Log: a.log}); err != nil {
		return err
	}
	a.onStop("membership", a.member.Leave)
	if a.cfg.is(roleWorker) {
		a.endLost(ctx)
		return a.countLive(ctx)
	}
	return nil
}

// followFleet gets to know who is there.
func (a *App) followFleet(ctx context.Context) (err error) {
	var reg prometheus.Registerer = a.reg
	if a.fleet, err = fleet.New(fleet.Config{Bus: a.bus, Clock: a.clock, Log: a.log, Registry: reg}); err != nil {
		return err
	}
	a.fleet.Start(ctx)
	a.onStop("fleet", func(context.Context) error { a.fleet.Stop(); return nil })
	wait := a.clock.NewTimer(fleetWait, "app", "fleet")
	defer wait.Stop()
	select {
	case <-a.fleet.Ready():
		return nil
	case <-wait.C:
		return fmt.Errorf("the bus does not say which processes there are within %s", fleetWait)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// name gives this process its name among the others: that of its records where it keeps some, else one for this run.
func (a *App) name() {
	a.node = a.cfg.Role + "." + uuid.Must(uuid.NewV7()).String()
	if n := a.records.Node(); n != "" {
		a.node = instance(n)
	}
}

// forgetPhone tells the other processes that a phone's registrations are void.
func (a *App) forgetPhone(username string) {
	if !a.cfg.split() || a.bus == nil {
		return
	}
	if err := a.bus.Tell(phoneNote, []byte(username)); err != nil {
		a.log.Warn("media processes were not told that a phone changed; its registration ends by itself", "error", err)
	}
}

// endLost has the calls of media processes that are gone ended, by each worker: the second finds nothing left to do.
func (a *App) endLost(ctx context.Context) {
	after := a.cfg.GoneAfter
	if after == 0 {
		after = goneAfter
	}
	missing := map[string]time.Time{} // since when, by node
	a.every(ctx, min(lostEvery, max(after/4, time.Second)), "lost calls", func(ctx context.Context) {
		if a.bus.Ping(ctx) != nil { // then nothing is known of anybody
			clear(missing)
			return
		}
		there := map[string]bool{}
		for _, i := range a.fleet.Instances("") {
			there[i.ID] = true
		}
		now := a.clock.Now()
		_, err := a.records.EndLost(ctx, func(node string) bool {
			if there[instance(node)] {
				delete(missing, node)
				return false
			}
			since, known := missing[node]
			if !known {
				missing[node] = now
			}
			return known && now.Sub(since) >= after
		})
		if err != nil && ctx.Err() == nil {
			a.log.Error("calls of processes that are gone could not be ended", "error", err)
		}
	})
}

// countLive tells dashboards how many calls there are in all media processes, when news of a call came.
func (a *App) countLive(ctx context.Context) error {
	var mu sync.Mutex
	changed := map[string]bool{}
	_, err := a.bus.Subscribe(ctx, bus.SubConfig{Live: true, Filter: []string{"call.started", "call.ended"}}, func(_ context.Context, m bus.Msg) error {
		mu.Lock()
		defer mu.Unlock()
		changed[m.OrgID] = true
		return nil
	})
	if err != nil {
		return err
	}
	last := map[string]map[string]int{}
	a.every(ctx, countEvery, "live counts", func(ctx context.Context) {
		mu.Lock()
		orgs := changed
		changed = map[string]bool{}
		mu.Unlock()
		for org := range orgs {
			now, err := a.records.CountLive(ctx, org)
			if err != nil {
				a.log.Warn("running calls could not be counted", "error", err)
				continue
			}
			if a.tellLive(org, last[org], now); len(now) == 0 {
				delete(last, org)
			} else {
				last[org] = now
			}
		}
	})
	return nil
}

// tellLive publishes what changed of an organisation's running calls.
func (a *App) tellLive(org string, before, now map[string]int) {
	total, differ := 0, false
	for agent, n := range now {
		total += n
		if before[agent] != n {
			differ = true
			a.bus.PublishLive(org, agentStatus{AgentID: agent, Live: n})
		}
	}
	for agent := range before {
		if _, still := now[agent]; !still {
			differ = true
			a.bus.PublishLive(org, agentStatus{AgentID: agent})
		}
	}
	if differ {
		a.bus.PublishLive(org, dashboardMetrics{Live: total})
	}
}

// leaving tells the others that this process takes no new work.
func (a *App) leaving(ctx context.Context) {
	if a.member == nil {
		return
	}
	if err := a.member.Drain(ctx); err != nil {
		a.log.Warn("the other processes were not told that this one drains; it says so to whom they send", "error", err)
	}
}

// lost is closed when another process has this one's name.
func (a *App) lost() <-chan struct{} {
	if a.member == nil {
		return nil
	}
	return a.member.Lost()
}
