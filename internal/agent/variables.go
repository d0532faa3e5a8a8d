package agent

import (
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/parley-voice/parley/internal/agent/flow"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	maxVariables = 64
	maxValue     = 1000 // bytes of one
)

// Variables lists what a call has to bring with it, or may: {{firstName}} and {{firstName|there}} in prompt, greeting and flow.
func (d *Definition) Variables() []flow.Variable {
	out := flow.Variables(d.Prompt, d.Greeting)
	if d.Flow == nil {
		return out
	}
	for _, v := range d.Flow.Variables() {
		if i := slices.IndexFunc(out, func(o flow.Variable) bool { return o.Name == v.Name }); i >= 0 {
			out[i].Optional = out[i].Optional && v.Optional
			continue
		}
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b flow.Variable) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// With gives the version with the values of one call's variables. It refuses when one is missing that has to be given; the
// version itself stays as it is.
func (s *Snapshot) With(values map[string]string) (*Snapshot, error) {
	if len(values) > maxVariables {
		return nil, fault.Field("body.variables", "a call has at most %d variables", maxVariables)
	}
	for name, v := range values {
		if !flow.VariableName(name) {
			return nil, fault.Field("body.variables", "%q cannot be a variable's name; use letters, digits and _, beginning with a letter", name[:min(len(name), 64)])
		}
		if len(v) > maxValue || strings.ContainsFunc(v, unicode.IsControl) {
			return nil, fault.Field("body.variables."+name, "the value of %s has at most %d bytes in one line", name, maxValue)
		}
	}
	for _, v := range s.Definition.Variables() {
		if !v.Optional && strings.TrimSpace(values[v.Name]) == "" {
			return nil, fault.Field("body.variables."+v.Name, "the agent %s speaks of {{%s}}; give it a value, or write {{%s|something}} in the agent for calls without", s.Slug, v.Name, v.Name)
		}
	}
	c := *s
	c.values = maps.Clone(values)
	return &c, nil
}

// Values are those of With.
func (s *Snapshot) Values() map[string]string { return s.values }

// Prompt is the definition's, with the values of the call's variables.
func (s *Snapshot) Prompt() string { return flow.FillVariables(s.Definition.Prompt, s.values) }

// Greeting is the definition's, with the values of the call's variables.
func (s *Snapshot) Greeting() string { return flow.FillVariables(s.Definition.Greeting, s.values) }
