package flow_test

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/agent/flow"
)

// closes reports whether a step ends with exactly one thing to wait for, and which.
func closes(t *testing.T, acts []flow.Action) flow.ActionKind {
	t.Helper()
	if len(acts) == 0 {
		t.Fatal("a step without actions: the call is stuck")
	}
	ends := 0
	for _, a := range acts {
		switch a.Kind {
		case flow.DoListen, flow.DoTransfer, flow.DoHangup:
			ends++
		case flow.DoSay:
			if strings.TrimSpace(a.Text) == "" {
				t.Fatal("nothing is said, aloud")
			}
		}
	}
	last := acts[len(acts)-1].Kind
	if ends != 1 || last != flow.DoListen && last != flow.DoTransfer && last != flow.DoHangup {
		t.Fatalf("a step ends with %d things to wait for: %+v", ends, acts)
	}
	return last
}

func randomInput(r *rand.Rand) flow.Input {
	words := strings.Fields(`yes no book move cancel appointment tomorrow tuesday next the first second of may at ten thirty half past
		two to three pm am morning afternoon hours address operator help repeat goodbye start over pharmacy billing another day
		one four seven zero double noon week in weeks available 14:30 4/5 2026-05-20 31st banana`)
	switch r.IntN(10) {
	case 0:
		return flow.Input{Kind: flow.InNoMatch}
	case 1:
		return flow.Input{Kind: flow.InSilence}
	case 2, 3:
		var keys []byte
		for range 1 + r.IntN(5) {
			keys = append(keys, "0123456789*#"[r.IntN(12)])
		}
		return flow.Input{Kind: flow.InDigits, Text: string(keys), Complete: r.IntN(2) == 0}
	case 4:
		return flow.Input{Kind: flow.InTransferFailed}
	}
	var said []string
	for range 1 + r.IntN(6) {
		said = append(said, words[r.IntN(len(words))])
	}
	return flow.Input{Kind: flow.InText, Text: strings.Join(said, " ")}
}

// moody is a calendar that fails as calendars do.
type moody struct {
	shelf
	r *rand.Rand
}

func (m *moody) Busy(ctx context.Context, from, to time.Time) ([]time.Time, error) {
	if m.r.IntN(20) == 0 {
		return nil, errors.New("the database is away")
	}
	return m.shelf.Busy(ctx, from, to)
}

func (m *moody) Book(ctx context.Context, b flow.Booking) (flow.Appointment, error) {
	if m.r.IntN(4) == 0 {
		return flow.Appointment{}, flow.ErrTaken
	}
	return m.shelf.Book(ctx, b)
}

// Whatever a caller does, each step ends with something to wait for, and the call ends at last.
func TestNeverStuck(t *testing.T) {
	def, err := flow.FrontDesk()
	if err != nil {
		t.Fatal(err)
	}
	prog, err := flow.Compile(def)
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		m, err := prog.New(flow.Deps{Now: func() time.Time { return monday(t) }, Calendar: &moody{r: r}, Caller: []string{"", "+1"}[r.IntN(2)]})
		if err != nil {
			t.Fatal(err)
		}
		last := closes(t, m.Start(t.Context()))
		for n := 0; last != flow.DoHangup; n++ {
			if n > 450 {
				t.Fatalf("seed %d: the call goes on for ever", seed)
			}
			if r.IntN(8) == 0 {
				m.Undo()
			}
			last = closes(t, m.Step(t.Context(), randomInput(r)))
			if e := m.Expect(); last == flow.DoListen && !strings.HasPrefix(e.Grammar, "#JSGF") {
				t.Fatalf("seed %d: nothing can be said: %+v", seed, e)
			}
		}
	}
}

// A caller nobody can understand is not asked for ever.
func TestSilenceEnds(t *testing.T) {
	for _, kind := range []flow.InputKind{flow.InNoMatch, flow.InSilence} {
		m := frontDesk(t, &shelf{}, "")
		last := closes(t, m.Start(t.Context()))
		for n := 0; last == flow.DoListen; n++ {
			if n > 8 {
				t.Fatalf("%s: still asking", kind)
			}
			last = closes(t, m.Step(t.Context(), flow.Input{Kind: kind}))
		}
	}
}

// FuzzDefinition parses anything; what Validate finds no error in runs, and does not get stuck.
func FuzzDefinition(f *testing.F) {
	for _, d := range []func() (*flow.Graph, error){flow.FrontDesk, func() (*flow.Graph, error) { return flow.Blank(), nil }} {
		g, err := d()
		if err != nil {
			f.Fatal(err)
		}
		raw, err := json.Marshal(g)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, uint64(1))
	}
	f.Add([]byte(`{"nodes":[{"id":"s","type":"start","data":{"text":"{x"}}],"edges":[]}`), uint64(2))
	f.Fuzz(func(t *testing.T, raw []byte, seed uint64) {
		def, err := flow.Parse(raw)
		if err != nil {
			return
		}
		prog, err := flow.Compile(def)
		if err != nil {
			return
		}
		m, err := prog.New(flow.Deps{Now: func() time.Time { return monday(t) }, Calendar: &shelf{}})
		if err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(seed, 2))
		closes(t, m.Start(t.Context()))
		for range 15 {
			closes(t, m.Step(t.Context(), randomInput(r)))
			m.Expect()
		}
	})
}

// FuzzWords feeds any text to a question that reads days, times and intents.
func FuzzWords(f *testing.F) {
	f.Add("the fourth of may at half past two")
	f.Add("next tuesday week 14:30 31/2 twenty twenty")
	f.Fuzz(func(t *testing.T, text string) {
		m := frontDesk(t, &shelf{}, "")
		m.Start(t.Context())
		for _, in := range []string{text, "book an appointment", text, text} {
			closes(t, m.Step(t.Context(), flow.Input{Kind: flow.InText, Text: in}))
		}
	})
}

func TestProblemsAreNamed(t *testing.T) {
	good, err := flow.FrontDesk()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*flow.Graph){
		"flow.data.timeZone":                       func(g *flow.Graph) { g.Data.TimeZone = "Mars" },
		"flow.data.hours":                          func(g *flow.Graph) { g.Data.Hours["noday"] = nil },
		"flow.data.hours.mon[0]":                   func(g *flow.Graph) { g.Data.Hours["mon"] = []flow.Span{{From: "18:00", To: "8"}} },
		"flow.data.closed[0]":                      func(g *flow.Graph) { g.Data.Closed[0] = "Christmas" },
		"flow.data.slotMinutes":                    func(g *flow.Graph) { g.Data.SlotMinutes = 1 },
		"flow.data.departments[1].id":              func(g *flow.Graph) { g.Data.Departments[1].ID = "pharmacy" },
		"flow.nodes":                               func(g *flow.Graph) { g.Nodes[0].Type = "say" },
		"flow.nodes[1].id":                         func(g *flow.Graph) { g.Nodes[1].ID = "start" },
		"flow.nodes[0].type":                       func(g *flow.Graph) { g.Nodes[0].Type = "dance" },
		"flow.nodes[1].data.text":                  func(g *flow.Graph) { g.Nodes[1].Data.Text = " " },
		"flow.nodes[1].data.intents[1].key":        func(g *flow.Graph) { g.Nodes[1].Data.Intents[1].Key = "1" },
		"flow.nodes[1].data.intents[0].id":         func(g *flow.Graph) { g.Nodes[1].Data.Intents[0].ID = "next" },
		"flow.nodes[2].data.topic":                 func(g *flow.Graph) { g.Nodes[2].Data.Topic = "secrets" },
		"flow.nodes[8].data.department":            func(g *flow.Graph) { g.Nodes[8].Data.Department = "casino" },
		"flow.edges[0].target":                     func(g *flow.Graph) { g.Edges[0].Target = "nowhere" },
		"flow.edges[1].condition":                  func(g *flow.Graph) { g.Edges[1].Condition = "never" },
		"flow.edges[2]":                            func(g *flow.Graph) { g.Edges[2].Condition = g.Edges[1].Condition },
		"flow.nodes[1].data.intents[0].phrases[0]": func(g *flow.Graph) { g.Nodes[1].Data.Intents[0].Phrases[0] = "?!" },
	} {
		g, err := flow.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		spoil(g)
		found := false
		for _, p := range flow.Validate(g) {
			found = found || p.Location == want && p.Severity == flow.SeverityError
		}
		if !found {
			t.Errorf("nothing is said of %s: %v", want, flow.Validate(g))
		}
	}
	loop := flow.Blank()
	loop.Edges[0].Target = "more"
	loop.Edges[3].Target = "start"
	if _, err := flow.Compile(loop); err == nil || !strings.Contains(err.Error(), "without asking") {
		t.Fatalf("a flow that talks for ever is taken: %v", err)
	}
}
