package app

import (
	"context"

	"github.com/google/uuid"

	"github.com/parley-voice/parley/internal/agent"
	"github.com/parley-voice/parley/internal/conversation"
	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/telephony"
)

// line is the place of one call among the running ones.
type line struct {
	org string
	may allowance
	// Where it goes through a trunk, its place there.
	trunk   string
	passage *telephony.Passage
}

// take takes a line, if the organisation's plan has one left and so many as are kept stay free. It is given back by leave, or with
// the call.
func (c *calls) take(ctx context.Context, orgID string, kept int) (line, error) {
	may, err := c.plan.admit(ctx, orgID)
	if err != nil {
		return line{}, c.counted(err)
	}
	c.mu.Lock()
	switch {
	case c.draining:
		err = errStopping()
	case c.all >= c.max:
		err = fault.New(fault.Unavailable, "%d calls are running, the most this server takes (max-calls); try again later", c.max)
	case c.all >= c.max-kept:
		err = fault.New(fault.Unavailable, "%d calls are running, and %d lines are kept for calls that come in (kept-lines); try again later", c.all, kept)
	case c.places == nil && may.most >= 0 && c.taken[orgID] >= may.most:
		err = identity.LimitReached(may.most, "calls at once")
	default:
		c.all++
		if c.taken == nil {
			c.taken = map[string]int64{}
		}
		c.taken[orgID]++
		c.wg.Add(1)
	}
	c.mu.Unlock()
	if err != nil {
		return line{}, c.counted(err)
	}
	l := line{org: orgID, may: may}
	if c.places != nil {
		if err := c.places.take(ctx, orgID, may.most); err != nil {
			c.vacate(orgID)
			return line{}, c.counted(err)
		}
	}
	return l, nil
}

// leave gives a line back.
func (c *calls) leave(l line) {
	c.offTrunk(l)
	if c.places != nil {
		c.places.give(l.org)
	}
	c.vacate(l.org)
}

func (c *calls) vacate(orgID string) {
	c.mu.Lock()
	c.all--
	if c.taken[orgID]--; c.taken[orgID] == 0 {
		delete(c.taken, orgID)
	}
	c.mu.Unlock()
	c.wg.Done()
}

// begin takes a line and opens the record of a call that reached us. by is the person who calls; "" is whoever has the phone that it
// comes from.
func (c *calls) begin(ctx context.Context, leg media.Leg, snap *agent.Snapshot, by string) (*conversation.Call, error) {
	l, err := c.take(ctx, snap.OrgID, 0)
	if err != nil {
		return nil, err
	}
	return c.open(ctx, l, leg, snap, conversation.NewCall{UserID: by})
}

// open opens the record of a call that has a line, which it gives back when it cannot. n says what the leg does not: who places
// the call ("" is whoever has the phone that it comes from), its id, its numbers as people write them.
func (c *calls) open(ctx context.Context, l line, leg media.Leg, snap *agent.Snapshot, n conversation.NewCall) (*conversation.Call, error) {
	info, may := leg.Info(), l.may
	if n.ID == "" {
		n.ID = uuid.Must(uuid.NewV7()).String()
	}
	c.mu.Lock()
	c.live[n.ID] = &liveCall{id: n.ID, org: snap.OrgID, agentID: snap.AgentID, leg: leg, line: l}
	c.mu.Unlock()
	if phone := info.Params["phone"]; n.UserID == "" && phone != "" {
		n.UserID = c.personOf(ctx, snap.OrgID, phone)
	}
	if n.To == "" {
		n.From, n.FromName, n.To = info.From, info.FromName, info.To
	}
	n.OrgID, n.Channel, n.Direction, n.ExternalID, n.Remote = snap.OrgID, string(info.Kind), string(info.Direction), info.External, info.Remote
	n.AgentID, n.AgentSlug, n.AgentName, n.AgentVersion = snap.AgentID, snap.Slug, snap.Name, snap.Version
	n.Status, n.NoRecording = conversation.StatusRinging, may.noRecord
	rec, err := c.records.Begin(ctx, n)
	if err != nil {
		c.done(n.ID)
		return nil, err
	}
	if may.noRecord {
		rec.Note(event.EntryAlert, "The call is not recorded: the recordings take all the room that the organisation's plan includes; delete some or ask for a bigger plan.",
			map[string]any{"code": string(fault.LimitReached)})
	}
	c.metrics.calls.WithLabelValues(string(info.Kind), string(info.Direction)).Inc()
	return rec, nil
}

// counted counts a call that the organisation's plan or state does not allow.
func (c *calls) counted(err error) error {
	if fault.Is(err, fault.LimitReached) || fault.Is(err, fault.Forbidden) {
		c.metrics.refused.WithLabelValues(string(fault.CodeOf(err))).Inc()
	}
	return err
}

// personOf gives whose phone it is, "" when it is nobody's. A call is held all the same when that cannot be found out: it is
// then nobody's own.
func (c *calls) personOf(ctx context.Context, orgID, username string) string {
	person, err := c.phones.PersonOf(ctx, orgID, username)
	if err != nil {
		c.log.Warn("whose phone it is could not be found out; the call is nobody's own", "phone", username, "error", err)
	}
	return person
}

// running is how many calls of an organisation this process carries.
func (c *calls) running(orgID string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.taken[orgID]
}

func (c *calls) done(id string) {
	c.mu.Lock()
	l := c.live[id]
	delete(c.live, id)
	c.mu.Unlock()
	c.leave(l.line)
}
