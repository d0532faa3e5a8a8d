package app

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/conversation"
	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/platform/breaker"
	"github.com/parley-voice/parley/internal/platform/bus"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/telephony"
)

// How trunks fare is known to the process that places calls through them; it tells the others by the bus.
const (
	trunkStateType  = "trunk.state"
	trunkTellEvery  = 5 * time.Second
	trunkStateKept  = 3 * trunkTellEvery // what a process does not repeat is over
	trunkStatesMost = 10_000             // that are remembered of other processes
)

// startTrunks makes the gates that calls through trunks pass, and follows those of other processes.
func (a *App) startTrunks(ctx context.Context) error {
	a.trunkNews = &trunkNews{node: a.node, clock: a.clock, states: map[[2]string]event.TrunkState{}}
	if a.calls != nil {
		a.calls.gates = telephony.NewGates(telephony.GatesConfig{Node: a.node, Rand: rand.Float64, Clock: a.clock,
			Tell: func(s event.TrunkState) { a.bus.PublishLive(s.OrgID, s) }})
		a.trunkNews.gates = a.calls.gates
		a.every(ctx, trunkTellEvery, "trunks", func(context.Context) {
			for _, s := range a.calls.gates.States() {
				a.bus.PublishLive(s.OrgID, s)
			}
		})
	}
	if a.cfg.NATSURL == "" || !a.cfg.is(roleGateway) { // there are no others, or nobody asks here
		return nil
	}
	_, err := a.bus.Subscribe(ctx, bus.SubConfig{Live: true, Filter: []string{trunkStateType}}, func(_ context.Context, m bus.Msg) error {
		a.trunkNews.take(m)
		return nil
	})
	return err
}

// trunkNews is how trunks fare, here and in other processes.
type trunkNews struct {
	node  string
	gates *telephony.Gates // nil where no calls are placed
	clock quartz.Clock

	mu     sync.Mutex
	states map[[2]string]event.TrunkState // by trunk and process
}

func (n *trunkNews) take(m bus.Msg) {
	var s event.TrunkState
	if json.Unmarshal(m.Data, &s) != nil || s.Node == n.node || s.TrunkID == "" {
		return
	}
	s.OrgID, s.At = m.OrgID, n.clock.Now().UnixMilli() // clocks of others may differ
	n.mu.Lock()
	defer n.mu.Unlock()
	n.forgetOld()
	if _, known := n.states[[2]string{s.TrunkID, s.Node}]; known || len(n.states) < trunkStatesMost {
		n.states[[2]string{s.TrunkID, s.Node}] = s
	}
}

func (n *trunkNews) forgetOld() {
	old := n.clock.Now().Add(-trunkStateKept).UnixMilli()
	for k, s := range n.states {
		if s.At < old {
			delete(n.states, k)
		}
	}
}

// of gives the states of an organisation's trunks, one of each process.
func (n *trunkNews) of(orgID string) (out []event.TrunkState) {
	if n == nil {
		return nil
	}
	if n.gates != nil {
		for _, s := range n.gates.States() {
			if s.OrgID == orgID {
				out = append(out, s)
			}
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.forgetOld()
	for _, s := range n.states {
		if s.OrgID == orgID {
			out = append(out, s)
		}
	}
	return out
}

// through gives a call that has a line its place on a trunk too. It is given back with the line.
func (c *calls) through(ctx context.Context, l line, t telephony.Trunk) (line, error) {
	p, err := c.gates.Pass(l.org, t, c.places != nil)
	if err != nil {
		return l, err
	}
	if c.places != nil {
		err := c.places.take(ctx, trunkPlace(t.ID), int64(t.Lines))
		if err != nil {
			p.End()
			if fault.Is(err, fault.LimitReached) {
				err = telephony.LinesBusy(t)
			}
			return l, err
		}
		if wait := c.places.start(ctx, t.ID, t.PerSecond); wait > 0 {
			c.places.give(trunkPlace(t.ID))
			p.End()
			return l, telephony.TooFast(t, wait)
		}
	}
	l.trunk, l.passage = t.ID, p
	return l, nil
}

// trunkPlace is where calls of a trunk are counted together with other processes: beside those of organisations.
func trunkPlace(id string) string { return "trunk-" + id }

// offTrunk gives a line's place on a trunk back.
func (c *calls) offTrunk(l line) {
	if l.passage == nil {
		return
	}
	l.passage.End()
	if c.places != nil {
		c.places.give(trunkPlace(l.trunk))
	}
}

// judge says what a call tells of its trunk, once it was answered or will not be.
func (c *calls) judge(id string, answered bool, cause media.Cause) {
	c.mu.Lock()
	var p *telephony.Passage
	if l := c.live[id]; l != nil {
		p = l.line.passage
	}
	c.mu.Unlock()
	if p == nil {
		return
	}
	why := cause.Text
	if cause.Status > 0 {
		why = fmt.Sprintf("%s (%d)", why, cause.Status)
	}
	p.Judge(judgement(answered, cause), why)
}

// judgement is what a call's end says of the trunk: who is busy, does not answer or refuses was reached by it.
func judgement(answered bool, cause media.Cause) breaker.Outcome {
	switch conversation.ResultOf(answered, cause.By, cause.Code, cause.Status) {
	case conversation.TrunkFailed:
		if cause.Code == "unreachable" && cause.Status == 408 { // it said nothing at all
			return breaker.Refused
		}
		return breaker.Bad
	case conversation.Failed, conversation.Cancelled:
		return breaker.Unjudged
	}
	return breaker.Good
}

// undialled judges a trunk that no call could be sent to.
func undialled(l line, err error) {
	if l.passage != nil && fault.Is(err, fault.Upstream) {
		l.passage.Judge(breaker.Refused, err.Error())
	}
}
