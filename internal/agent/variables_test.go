package agent

import (
	"fmt"
	"strings"
	"testing"

	"github.com/parley-voice/parley/internal/agent/flow"
	"github.com/parley-voice/parley/internal/platform/fault"
)

func TestVariables(t *testing.T) {
	d := &Definition{Prompt: "You call {{ firstName }} of {{company|a company}}. {single} {{no good}} {{}} {{{x}}}", Greeting: "Hello {{firstName|there}}, {{company}}!",
		Flow: &flow.Graph{Nodes: []flow.Node{{Data: flow.NodeData{Text: "At {{time}} in {address}", Reprompt: "{{company|x}}"}}}}}
	if got := fmt.Sprint(d.Variables()); got != "[{company false} {firstName false} {time false} {x false}]" {
		t.Errorf("%s", got)
	}
	s := &Snapshot{Slug: "caller", Definition: &Definition{Prompt: "You call {{firstName}} of {{company|a company}}.", Greeting: "Hello {{firstName}} {{firstName}}{{x|}}!"}}
	with, err := s.With(map[string]string{"firstName": "{{company}} Ann", "other": "y"})
	if err != nil {
		t.Fatal(err)
	}
	if p, g := with.Prompt(), with.Greeting(); p != "You call company Ann of a company." || g != "Hello company Ann company Ann!" {
		t.Errorf("%q, %q", p, g)
	}
	if p := s.Prompt(); p != "You call  of a company." { // a call that reached us brings nothing
		t.Errorf("%q", p)
	}
	many := map[string]string{"firstName": "A"}
	for i := range 70 {
		many[fmt.Sprint("v", i)] = "x"
	}
	for field, values := range map[string]map[string]string{
		"body.variables.firstName": {"firstName": " "}, "body.variables.company": {"firstName": "A", "company": strings.Repeat("x", 1001)},
		"body.variables.y": {"firstName": "A", "y": "two\nlines"}, "body.variables": {"firstName": "A", "not a name": "x"}, "body.variables ": many,
	} {
		_, err := s.With(values)
		if !fault.Is(err, fault.Invalid) || !strings.Contains(fmt.Sprintf("%+v", err.(*fault.Error).Details), strings.TrimSpace(field)) {
			t.Errorf("%v is refused with %v", values, err)
		}
	}
}
