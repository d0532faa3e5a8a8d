package campaign

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/parley-voice/parley/internal/campaign/pace"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Obstacle is something that is in a campaign's way, or that its owner should know.
type Obstacle struct {
	Code     string `json:"code" doc:"Stable: agent, callers, leads, mode, hours, disclosure, registers, prediction"`
	Field    string `json:"field" doc:"Of the settings; empty: of none"`
	Message  string `json:"message" doc:"What is wrong and what to do"`
	Blocking bool   `json:"blocking" doc:"Whether the campaign cannot start"`
}

// Preflight is what a campaign would meet if it were started now.
type Preflight struct {
	Ready    bool             `json:"ready"`
	Problems []Obstacle       `json:"problems"`
	Leads    map[string]int64 `json:"leads" doc:"By state"`
	Agent    string           `json:"agent" doc:"Its name; empty: there is none"`
	// Prediction is what to expect; nil where nothing can be played, or nobody asked.
	Prediction *Simulation `json:"prediction,omitempty" doc:"What to expect; left out where there is nobody to call"`
}

// Preflighter finds what else is in a campaign's way.
type Preflighter interface {
	Preflight(ctx context.Context, orgID string, c Campaign) ([]Obstacle, error)
}

func (p *Preflight) block(code, field, format string, args ...any) {
	p.Problems = append(p.Problems, Obstacle{Code: code, Field: field, Message: fmt.Sprintf(format, args...), Blocking: true})
}

func (p *Preflight) warn(code, field, format string, args ...any) {
	p.Problems = append(p.Problems, Obstacle{Code: code, Field: field, Message: fmt.Sprintf(format, args...)})
}

// refuse is the error of a start that would not do. Problems of the codes in but are none.
func (p *Preflight) refuse(but ...string) error {
	var says []string
	e := fault.New(fault.NotPossible, "")
	for _, q := range p.Problems {
		if q.Blocking && !slices.Contains(but, q.Code) {
			says = append(says, q.Message)
			e.Details = append(e.Details, fault.Detail{Location: q.Field, Message: q.Message})
		}
	}
	if len(says) == 0 {
		return nil
	}
	e.Message = "the campaign cannot start: " + strings.Join(says, " ")
	return e
}

// Preflight tells what a campaign would meet if it were started now.
func (s *Service) Preflight(ctx context.Context, orgID, id string) (Preflight, error) {
	p := Preflight{Problems: []Obstacle{}}
	var c Campaign
	err := s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		row, err := campaignByID(ctx, tx, id)
		if err != nil {
			return err
		}
		if c, err = row.campaign(); err != nil {
			return err
		}
		counts, err := readTally(ctx, tx, id, 0, 0)
		p.Leads = under(counts.sum(), "lead:")
		return err
	})
	if err != nil {
		return p, err
	}
	if p.Leads["new"]+p.Leads["waiting"] == 0 {
		p.block("leads", "", "There is nobody to call: import a list, or add leads one by one.")
	}
	if err := s.checkAgent(ctx, orgID, c, &p); err != nil {
		return p, err
	}
	if c.Settings.Dialler.Mode != pace.Agentless {
		p.block("mode", "settings.dialler.mode", "Nobody takes calls in the mode %s yet: operators have no desk. Use agentless, where the agent answers.", c.Settings.Dialler.Mode)
	}
	if ends := c.Settings.Schedule.Ends; ends != nil && !ends.After(s.now()) {
		p.block("hours", "settings.schedule.ends", "The campaign's time is over; choose a later end.")
	}
	if c.Settings.Dialler.Mode == pace.Agentless && c.Settings.Disclosure.AI == "" {
		p.warn("disclosure", "settings.disclosure.ai", "Nothing says that an AI speaks. Many places ask for it: the EU's AI Act does from 2 August 2026.")
	}
	for _, more := range s.c.Preflights {
		found, err := more.Preflight(ctx, orgID, c)
		if err != nil {
			return p, err
		}
		p.Problems = append(p.Problems, found...)
	}
	if p.Leads["new"]+p.Leads["waiting"] > 0 {
		if err := s.predicted(ctx, orgID, c, &p); err != nil {
			return p, err
		}
	}
	p.Ready = !slices.ContainsFunc(p.Problems, func(q Obstacle) bool { return q.Blocking })
	return p, nil
}

func (s *Service) checkAgent(ctx context.Context, orgID string, c Campaign, p *Preflight) error {
	if c.Settings.Agent == "" {
		p.block("agent", "settings.agent", "No agent is chosen.")
		return nil
	}
	a, err := s.c.Agents.Ready(ctx, orgID, c.Settings.Agent)
	if fault.Is(err, fault.NotFound) {
		p.block("agent", "settings.agent", "There is no agent %q with a published version; publish it, or choose another.", c.Settings.Agent)
		return nil
	}
	p.Agent = a.Name
	return err
}
