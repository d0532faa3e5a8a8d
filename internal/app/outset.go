package app

import (
	"slices"
	"time"

	"github.com/parley-voice/parley/internal/agent/flow"
	"github.com/parley-voice/parley/internal/voice"
)

// Outset is what a call that was placed for a campaign does before its conversation, and what is watched for in it
// (docs/answering-machines.md).
type Outset struct {
	// Outbound: its texts may hold the call's variables, as {{firstName}}.
	voice.Outbound
	Zone    *time.Location // the person's, in which they ask to be called back; nil: UTC
	Results []string       // codes that an agent with a language model may give the call; none: it gives no result
}

// ready gives what a call with these variables says, or what is wrong with it.
func (o *Outset) ready(variables map[string]string) (*Outset, error) {
	if o == nil {
		return nil, nil
	}
	c := *o
	c.Message, c.OptedOut = flow.FillVariables(o.Message, variables), flow.FillVariables(o.OptedOut, variables)
	c.Disclosures = make([]string, len(o.Disclosures))
	for i, d := range o.Disclosures {
		c.Disclosures[i] = flow.FillVariables(d, variables)
	}
	return &c, c.Check()
}

// tools adds those by which a language model records what the person wishes. An agent's own tool keeps its name.
func (o *Outset) tools(own []voice.Tool, now func() time.Time) []voice.Tool {
	if o == nil {
		return own
	}
	for _, t := range voice.WishTools(voice.WishConfig{Zone: o.Zone, Now: now, Results: o.Results}) {
		if !slices.ContainsFunc(own, func(x voice.Tool) bool { return x.Spec.Name == t.Spec.Name }) {
			own = append(own, t)
		}
	}
	return own
}
