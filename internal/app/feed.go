package app

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/gateway"
	"github.com/parley-voice/parley/internal/platform/bus"
)

const metricsEvery = 5 * time.Second

// feed turns the bus's news into the realtime feed's events.
type feed struct {
	hub   *gateway.Hub
	bus   *bus.Bus
	calls *calls
	clock quartz.Clock
	log   *slog.Logger
}

// dashboardMetrics is an organisation's running calls; published as live news so that its id is one of the stream's.
type dashboardMetrics struct {
	Live int `json:"live"`
}

// Type implements event.Fact.
func (dashboardMetrics) Type() string { return "dashboard.metrics" }

// Key implements event.Fact.
func (dashboardMetrics) Key() string { return "org" }

// agentStatus is how many calls an agent has.
type agentStatus struct {
	AgentID string `json:"agentId"`
	Live    int    `json:"live"`
}

// Type implements event.Fact.
func (agentStatus) Type() string { return "agent.status" }

// Key implements event.Fact.
func (s agentStatus) Key() string { return s.AgentID }

func (f *feed) start(ctx context.Context) error {
	_, err := f.bus.Subscribe(ctx, bus.SubConfig{Live: true, From: 1}, func(_ context.Context, m bus.Msg) error {
		f.take(m)
		return nil
	})
	return err
}

func (f *feed) take(m bus.Msg) {
	e := gateway.Event{ID: m.Seq, At: m.At, Data: m.Data, Room: "call:" + m.Key}
	var of event.CallOf
	if json.Unmarshal(m.Data, &of) == nil {
		e.Agent, e.People = of.AgentID, []string{of.UserID, of.TakenBy}
	}
	switch m.Type {
	case "call.started", "call.ended", "call.status", "call.error":
		e.Type = "call:" + m.Type[len("call."):]
	case "call.transcript":
		e.Type = "transcript:update"
		var item struct {
			Final bool `json:"final"`
		}
		if json.Unmarshal(m.Data, &item) == nil && item.Final {
			e.Type = "call:transcript"
		}
	case "agent.status":
		e.Type, e.Room = "agent:status", "org"
	case "dashboard.metrics":
		e.Type, e.Room = "dashboard:metrics", "org"
	default:
		return
	}
	f.hub.Publish(m.OrgID, e)
}

// run tells dashboards of running calls when they changed.
func (f *feed) run(ctx context.Context) {
	tick := f.clock.NewTicker(metricsEvery, "feed", "metrics")
	defer tick.Stop()
	last := map[[2]string]int{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		_, now := f.calls.counts()
		orgs := map[string]bool{}
		for k := range last {
			if _, ok := now[k]; !ok {
				now[k] = 0
			}
		}
		for k, n := range now {
			if last[k] != n {
				orgs[k[0]] = true
				f.bus.PublishLive(k[0], agentStatus{AgentID: k[1], Live: n})
			}
		}
		for org := range orgs {
			total := 0
			for k, n := range now {
				if k[0] == org {
					total += n
				}
			}
			f.bus.PublishLive(org, dashboardMetrics{Live: total})
		}
		for k, n := range now {
			if n == 0 {
				delete(now, k)
			}
		}
		last = now
	}
}
