package conversation

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/search"
)

// owners is whose agents there are: agent to person.
type owners map[string]string

func (o owners) OwnedBy(_ context.Context, _ string, users []string) (ids []string, err error) {
	for agent, user := range o {
		if slices.Contains(users, user) {
			ids = append(ids, agent)
		}
	}
	return ids, nil
}

func (o owners) InProject(_ context.Context, _, project string) ([]string, error) {
	if project == "spring" {
		return []string{"a1", "a2"}, nil
	}
	return nil, nil
}

func (o owners) Reach(ctx context.Context, _, name string) error {
	if !identity.ScopeOf(ctx).Has(o[name]) {
		return fault.New(fault.NotFound, "there is no agent %q", name)
	}
	return nil
}

// everything finds every call.
type everything struct{ ids []string }

func (everything) Put(context.Context, string, []search.Doc) error               { return nil }
func (everything) Delete(context.Context, string, []string) error                { return nil }
func (e everything) Find(context.Context, string, string, int) ([]string, error) { return e.ids, nil }

// Somebody whose permission reaches their own calls sees those they placed, those of their phone, those that were put through
// to it, and those of their agents: live and stored, in lists, in search, in the sums and one by one, on both engines.
func TestReach(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.stop()
		found := &everything{}
		r.start(func(c *Config) {
			c.Agents = owners{"a1": "anna", "a2": "ben"}
			c.Search = found
		})
		ids := map[string]string{}
		for name, n := range map[string]NewCall{
			"placed": {UserID: "anna"}, "agent": {AgentID: "a1"}, "bens": {UserID: "ben", AgentID: "a2"}, "nobodys": {AgentID: "a3"}, "taken": {AgentID: "a3"},
		} {
			n.OrgID, n.Channel, n.Direction, n.From = orgA, "sip", "inbound", "1001"
			c, err := r.Begin(r.ctx(), n)
			must(t, err)
			c.Answered(Answer{Rate: 8000, Codec: "PCMU"})
			if name == "taken" {
				c.SetTakenBy("anna")
			}
			ids[name] = c.ID()
			found.ids = append(found.ids, c.ID())
		}
		check := func(when string) {
			t.Helper()
			for who, want := range map[*identity.Scope][]string{
				ptr(identity.OnlyOf("anna")):        {"placed", "agent", "taken"},
				ptr(identity.OnlyOf("ben")):         {"bens"},
				ptr(identity.OnlyOf("anna", "ben")): {"placed", "agent", "taken", "bens"},
				ptr(identity.OnlyOf("cara")):        {},
				ptr(identity.OnlyOf()):              {},
				{}:                                  {"placed", "agent", "taken", "bens", "nobodys"},
			} {
				ctx := identity.WithScope(r.ctx(), *who)
				what := fmt.Sprintf("%s, %v", when, who.Users())
				r.reaches(ctx, what, ids, want)
			}
		}
		check("live")
		for _, id := range ids {
			r.find(orgA, id).End(Ending{By: "caller"})
		}
		r.settle()
		check("stored")

		items, _, err := r.List(r.ctx(), orgA, ListQuery{ProjectID: "spring", Limit: 10})
		if err != nil || len(items) != 2 {
			t.Errorf("%d calls of the project, %v", len(items), err)
		}
		items, _, err = r.List(r.ctx(), orgA, ListQuery{ProjectID: "none", Limit: 10})
		if err != nil || len(items) != 0 {
			t.Errorf("%d calls of a project without agents, %v", len(items), err)
		}
	})
}

// reaches asks for everything there is of calls as ctx's scope: those of want are there, and no other.
func (r *rig) reaches(ctx context.Context, what string, ids map[string]string, want []string) {
	r.t.Helper()
	must(r.t, r.Flush(r.ctx())) // the list is the database's
	for _, q := range []ListQuery{{Limit: 10}, {Limit: 10, Text: "said"}, {Limit: 10, Text: "1001"}} {
		items, _, err := r.List(ctx, orgA, q)
		must(r.t, err)
		if len(items) != len(want) {
			r.t.Errorf("%s: a list of %d, want %d (%q)", what, len(items), len(want), q.Text)
		}
	}
	v, err := r.Overview(ctx, orgA, time.UTC)
	must(r.t, err)
	agents := 0
	for _, name := range want {
		if name != "placed" {
			agents++
		}
	}
	if v.Today.Calls != len(want) || v.Today.Answered != len(want) || len(v.Agents) > agents {
		r.t.Errorf("%s: the sums are %+v, want %d calls", what, v, len(want))
	}
	for name, id := range ids {
		_, detail := r.Get(ctx, orgA, id)
		_, _, transcript := r.Transcript(ctx, orgA, id, 0, 10)
		_, _, turns := r.Turns(ctx, orgA, id, -1, 10)
		_, _, signals := r.Signals(ctx, orgA, id, 0, 10)
		_, _, events := r.Events(ctx, orgA, id, EventQuery{Limit: 10})
		_, peaks := r.RecordingPeaks(ctx, orgA, id, 10)
		recording, sound := r.OpenRecording(ctx, orgA, id, "")
		if recording != nil {
			recording.Close()
		}
		for op, err := range map[string]error{"get": detail, "transcript": transcript, "turns": turns, "signals": signals, "events": events, "peaks": peaks} {
			if in := err == nil; in != slices.Contains(want, name) || !in && !fault.Is(err, fault.NotFound) {
				r.t.Errorf("%s: %s of %s: %v", what, op, name, err)
			}
		}
		if !slices.Contains(want, name) && !fault.Is(sound, fault.NotFound) {
			r.t.Errorf("%s: the recording of %s: %v", what, name, sound)
		}
	}
}

// What is told of a call says whose it is, so that the feed can tell who may hear it.
func TestFactsSayWhoseCallItIs(t *testing.T) {
	r := onSQLite(t, func(c *Config) { c.Agents = owners{} })
	c, err := r.Begin(r.ctx(), NewCall{OrgID: orgA, Channel: "sip", Direction: "inbound", From: "1001", AgentID: "a1", UserID: "anna"})
	must(t, err)
	c.Answered(Answer{Rate: 8000, Codec: "PCMU"})
	c.SetTakenBy("ben")
	talk(c)
	c.End(Ending{By: "caller"})
	r.settle()
	statuses := 0
	for _, f := range r.live.seen() {
		switch f := f.(type) {
		case event.CallStatus:
			statuses++
			if f.AgentID != "a1" || f.UserID != "anna" {
				t.Errorf("%+v", f)
			}
		case event.CallTranscript:
			if f.AgentID != "a1" || f.UserID != "anna" || f.TakenBy != "ben" {
				t.Errorf("%+v", f)
			}
		}
	}
	if statuses == 0 {
		t.Error("nothing was told")
	}
}

// An agent that is out of reach places no call, and a call that is out of reach is not hung up.
func TestReachOfOperations(t *testing.T) {
	d := &desk{}
	r := onSQLite(t, func(c *Config) { c.Agents, c.Calls, c.Dialer = owners{"a1": "anna"}, d, d })
	d.s = r.Service
	mine := r.begin(orgA, "1001")
	for user, want := range map[string][2]int{"anna": {http.StatusAccepted, http.StatusAccepted}, "ben": {http.StatusNotFound, http.StatusNotFound}} {
		if user == "anna" {
			mine.SetTakenBy("anna")
		}
		ctx := identity.WithScope(identity.With(r.ctx(), identity.Principal{OrgID: orgA, UserID: user}), identity.OnlyOf(user))
		in := &outboundInput{}
		in.Body.To, in.Body.Agent = "sip:somebody@x", "a1"
		_, err := r.outboundOp(ctx, in)
		if user == "ben" && !fault.Is(err, fault.NotFound) {
			t.Errorf("%s places a call: %v, want %d", user, err, want[0])
		}
		_, err = r.Hangup(ctx, orgA, mine.ID())
		if user == "ben" && !fault.Is(err, fault.NotFound) {
			t.Errorf("%s hangs up: %v, want %d", user, err, want[1])
		}
	}
}
