package voice

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/voice/provider"
	"github.com/parley-voice/parley/internal/voice/provider/sim"
)

// spy is the simulated model; it keeps what it was asked.
type spy struct {
	provider.LLM
	asked []provider.ChatRequest
}

func (s *spy) Chat(ctx context.Context, req provider.ChatRequest) (provider.ChatStream, error) {
	s.asked = append(s.asked, req)
	return s.LLM.Chat(ctx, req)
}

// last is the history of the last request, one line a message.
func (s *spy) last() string {
	var b strings.Builder
	for _, m := range s.asked[len(s.asked)-1].Messages {
		b.WriteString(m.Role + ": " + m.Text)
		for _, c := range m.ToolCalls {
			b.WriteString("[" + c.Name + " " + c.Arguments + "]")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// prompted makes the call's brain a prompt brain over the simulated model.
func prompted(r *rig, edit func(*PromptConfig)) *spy {
	s := &spy{LLM: sim.New(r.sim)}
	c := PromptConfig{
		LLM: s, Vendor: sim.Name, System: "Be kind.", Greeting: "Hello, who is there?", Clock: r.cfg.Clock,
		Log: slog.New(slog.DiscardHandler),
	}
	if edit != nil {
		edit(&c)
	}
	b, err := NewPromptBrain(c)
	if err != nil {
		r.t.Fatal(err)
	}
	r.cfg.Brain = b
	return s
}

func TestPromptBrainAnswers(t *testing.T) {
	var s *spy
	r := call(t, func(r *rig) {
		r.sim.STT.Texts = []string{"good morning", "and goodbye"}
		r.sim.LLM.Answers = []string{"Good morning to you. How are you?", "Bye."}
		s = prompted(r, nil)
	}, func(r *rig) {
		for range 2 {
			r.wait(4 * time.Second)
			r.speak(time.Second)
		}
		r.wait(3 * time.Second)
	})
	r.want(event.EntryAgentSaid, "Hello, who is there?", "Good morning to you.", "How are you?", "Bye.")
	r.count(event.EntryFirstToken, 2)
	r.count(event.EntryLLMDone, 2)
	if got, want := s.last(), "system: Be kind.\nassistant: Hello, who is there?\nuser: good morning\n"+
		"assistant: Good morning to you. How are you?\nuser: and goodbye\n"; got != want {
		t.Errorf("history:\n%s\nwant:\n%s", got, want)
	}
}

func TestHistoryHoldsOnlyWhatWasHeard(t *testing.T) {
	var s *spy
	call(t, func(r *rig) {
		r.sim.STT.Texts = []string{"when are you open", "never mind that"}
		r.sim.LLM.Answers = []string{longAnswer, "Fine."}
		s = prompted(r, nil)
	}, func(r *rig) {
		asked(r)
		r.speak(1500 * time.Millisecond)
		r.wait(3 * time.Second)
	})
	if got := s.last(); strings.Contains(got, "Sundays") || !strings.Contains(got, "assistant: Our opening hours") ||
		!strings.Contains(got, "interrupted here") {
		t.Errorf("history:\n%s", got)
	}
}

func TestModelUsesTools(t *testing.T) {
	tool := func(name string, limit time.Duration, call func(context.Context, []byte, Emitter) (string, error)) Tool {
		return Tool{Spec: provider.ToolSpec{Name: name}, Timeout: limit, Call: call}
	}
	var s *spy
	r := call(t, func(r *rig) {
		r.sim.STT.Texts = []string{"look up my order", "wait for it", "crash please", "please transfer me"}
		r.sim.LLM.Tools = []sim.ToolUse{
			{Word: "order", Name: "order", Arguments: `{"id":7}`}, {Word: "wait", Name: "slow", Arguments: `{}`},
			{Word: "crash", Name: "crash", Arguments: ``}, {Word: "transfer", Name: "transfer", Arguments: `{"to":"sales"}`},
		}
		s = prompted(r, func(c *PromptConfig) {
			c.Tools = []Tool{
				tool("order", 0, func(_ context.Context, a []byte, _ Emitter) (string, error) { return "sent " + string(a), nil }),
				tool("slow", 2*time.Second, func(ctx context.Context, _ []byte, _ Emitter) (string, error) { <-ctx.Done(); return "", ctx.Err() }),
				tool("crash", 0, func(context.Context, []byte, Emitter) (string, error) { panic("tool") }),
				TransferTool(map[string]string{"sales": "sip:sales@example.org"}), HangupTool(),
			}
		})
	}, func(r *rig) {
		for range 4 {
			r.wait(5 * time.Second)
			r.speak(time.Second)
		}
		r.ended(10 * time.Second)
	})
	r.want(event.EntryToolCall, "order", "slow", "crash", "transfer")
	results := r.find(event.EntryToolResult)
	for i, want := range []string{`sent {"id":7}`, "error: the tool did not answer within 2s", "error: the tool crashed: tool", "the caller is being transferred"} {
		if got := results[i].Data["result"]; got != want {
			t.Errorf("result %d is %q, want %q", i, got, want)
		}
	}
	if r.out.Transferred != "sip:sales@example.org" {
		t.Errorf("outcome %+v\n%s", r.out, r.dump())
	}
	if got := s.last(); !strings.Contains(got, "user: look up my order\nassistant: [order {\"id\":7}]\ntool: sent {\"id\":7}\nassistant: That is done.") {
		t.Errorf("history:\n%s", got)
	}
}

func TestModelHangsUp(t *testing.T) {
	r := call(t, func(r *rig) {
		r.sim.STT.Texts = []string{"that is all"}
		r.sim.LLM.Tools = []sim.ToolUse{{Word: "all", Name: "hang_up", Arguments: `{}`}}
		prompted(r, func(c *PromptConfig) { c.Tools = []Tool{HangupTool()} })
	}, func(r *rig) {
		r.wait(3 * time.Second)
		r.speak(time.Second)
		r.ended(5 * time.Second)
	})
	if r.out.Cause.By != "agent" || r.out.Cause.Code != "normal" {
		t.Errorf("cause %+v", r.out.Cause)
	}
}

func TestModelFails(t *testing.T) {
	for name, f := range map[string]sim.Faults{"error": {Error: 1}, "fatal": {Fatal: 1}, "hang": {Hang: 1}} {
		t.Run(name, func(t *testing.T) {
			r := call(t, func(r *rig) {
				r.sim.LLM.Faults = f
				prompted(r, nil)
			}, turnOnce)
			wantApology(t, r)
		})
	}
	t.Run("rubbish", func(t *testing.T) {
		r := call(t, func(r *rig) {
			r.sim.LLM.Faults.Rubbish = 1
			prompted(r, nil)
		}, turnOnce)
		r.count(event.EntryApology, 0)
		for _, said := range r.texts(event.EntryAgentSaid) {
			if strings.ContainsAny(said, "\x00\ufffd*") || !json.Valid([]byte(`"`+said+`"`)) {
				t.Errorf("said %q", said)
			}
		}
	})
}

func TestHistoryIsBounded(t *testing.T) {
	s := &spy{LLM: sim.New(sim.Config{})}
	b, err := NewPromptBrain(PromptConfig{LLM: s, History: 6, Clock: newLegClock()})
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if err := b.Turn(t.Context(), Input{Kind: InputSpeech, Text: "again"}, mute{}); err != nil {
			t.Fatal(err)
		}
		b.Heard("heard", false)
	}
	last := s.asked[len(s.asked)-1].Messages
	if len(last) > 8 || last[0].Role != "system" || last[1].Role != "user" {
		t.Errorf("%d messages, the first %+v", len(last), last[:2])
	}
}

func TestContinuedTurnTakesTheLastOnesPlace(t *testing.T) {
	s := &spy{LLM: sim.New(sim.Config{})}
	b, _ := NewPromptBrain(PromptConfig{LLM: s, Clock: newLegClock()})
	_ = b.Turn(t.Context(), Input{Kind: InputSpeech, Text: "I would like"}, mute{})
	b.Heard("", true)
	_ = b.Turn(t.Context(), Input{Kind: InputSpeech, Text: "I would like a table", Continues: true}, mute{})
	if got := s.last(); got != "system: \nuser: I would like a table\n" {
		t.Errorf("history:\n%s", got)
	}
}

func TestModelGreets(t *testing.T) {
	r := call(t, func(r *rig) {
		r.sim.LLM.Answers = []string{"Welcome to the front desk."}
		prompted(r, func(c *PromptConfig) { c.Greeting = "*" })
	}, func(r *rig) { r.wait(4 * time.Second) })
	r.want(event.EntryAgentSaid, "Welcome to the front desk.")
}
