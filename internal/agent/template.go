package agent

import (
	"context"
	"fmt"
	"slices"

	"github.com/parley-voice/parley/internal/agent/flow"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Template is a definition to start from.
type Template struct {
	ID          string      `json:"id"`
	Name        string      `json:"name"`
	Description string      `json:"description"`
	Definition  *Definition `json:"definition"`
}

// Templates lists what a new agent can start from.
func Templates() ([]Template, error) {
	desk, err := flow.FrontDesk()
	if err != nil {
		return nil, err
	}
	local := Models{STT: ModelRef{Vendor: VendorLocal}, TTS: ModelRef{Vendor: VendorLocal}}
	sim := ModelRef{Vendor: VendorSim}
	return []Template{
		{ID: "front-desk", Name: "Front desk", Description: "A clinic's front desk: opening hours, address, appointments, departments. Works without any account.",
			Definition: &Definition{Kind: KindFlow, Language: "en-US", Voice: Voice{Voice: "slt"}, Models: local, Flow: desk}},
		{ID: "blank", Name: "Blank flow", Description: "A greeting and one question, to draw on from.",
			Definition: &Definition{Kind: KindFlow, Language: "en-US", Voice: Voice{Voice: "slt"}, Models: local, Flow: flow.Blank()}},
		{ID: "sim", Name: "Simulation", Description: "Simulated vendors, for tests and rehearsal: nothing real listens or answers.",
			Definition: &Definition{Kind: KindPrompt, Language: "en-US", Greeting: "Hello. This is a simulated agent. How can I help you?",
				Prompt: "You are a friendly agent on the telephone. Answer in one or two short sentences.",
				Models: Models{STT: sim, LLM: sim, TTS: sim}, Tools: []Tool{{Kind: ToolHangup}}}},
	}, nil
}

// Seed gives a new organisation its first agents: front-desk and, where there are simulated vendors, sim, published. What is there already stays.
func (s *Service) Seed(ctx context.Context, orgID string) error {
	templates, err := s.templates()
	if err != nil {
		return err
	}
	for _, t := range templates {
		if t.ID == "blank" {
			continue
		}
		_, err := s.Create(ctx, orgID, NewAgent{Name: t.Name, Slug: t.ID, Definition: t.Definition, Note: "From the template", Publish: true})
		if err != nil && !fault.Is(err, fault.Conflict) {
			return fmt.Errorf("make the agent %s: %w", t.ID, err)
		}
	}
	return nil
}

// templates are those that this installation offers.
func (s *Service) templates() ([]Template, error) {
	list, err := Templates()
	return slices.DeleteFunc(list, func(t Template) bool { return s.c.NoSimulation && t.Definition.Models.simulated() }), err
}

// simulated reports whether a simulated vendor is among the models.
func (m Models) simulated() bool {
	return slices.ContainsFunc([]ModelRef{m.STT, m.LLM, m.TTS}, func(r ModelRef) bool { return r.Vendor == VendorSim })
}
