package flow_test

import (
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/agent/flow"
)

// A call that greets, understands one wish, and writes what can be said next.
func BenchmarkCall(b *testing.B) {
	def, err := flow.FrontDesk()
	if err != nil {
		b.Fatal(err)
	}
	prog, err := flow.Compile(def)
	if err != nil {
		b.Fatal(err)
	}
	now := monday(b)
	b.ReportAllocs()
	for b.Loop() {
		m, err := prog.New(flow.Deps{Now: func() time.Time { return now }, Calendar: &shelf{}})
		if err != nil {
			b.Fatal(err)
		}
		m.Start(b.Context())
		m.Step(b.Context(), flow.Input{Kind: flow.InText, Text: "what are your opening hours please"})
		m.Expect()
	}
}
