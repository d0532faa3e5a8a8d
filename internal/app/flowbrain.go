package app

import (
	"context"

	"github.com/parley-voice/parley/internal/agent/flow"
	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/voice"
	"github.com/parley-voice/parley/internal/voice/provider"
)

// flowBrain lets a flow answer a call: it turns what the caller did into the machine's inputs, and the
// machine's actions into speech.
type flowBrain struct {
	machine *flow.Machine
}

// Begin implements voice.Brain.
func (b *flowBrain) Begin(ctx context.Context, out voice.Emitter) error {
	return b.act(b.machine.Start(ctx), out)
}

// Turn implements voice.Brain.
func (b *flowBrain) Turn(ctx context.Context, in voice.Input, out voice.Emitter) error {
	if in.Continues {
		// Nothing of the last answer was heard, so the caller's whole sentence is answered instead.
		b.machine.Undo()
	}
	step := flow.Input{Text: in.Text}
	switch in.Kind {
	case voice.InputSpeech, voice.InputText:
		step.Kind = flow.InText
	case voice.InputDigits:
		step = flow.Input{Kind: flow.InDigits, Text: in.Digits, Complete: true}
	case voice.InputSilence:
		step.Kind = flow.InSilence
	case voice.InputTransferFailed:
		step.Kind = flow.InTransferFailed
	default:
		step.Kind = flow.InNoMatch
	}
	return b.act(b.machine.Step(ctx, step), out)
}

func (b *flowBrain) act(actions []flow.Action, out voice.Emitter) error {
	for _, a := range actions {
		switch a.Kind {
		case flow.DoSay:
			if err := out.Say(a.Text); err != nil {
				return err
			}
		case flow.DoListen:
			if k := a.Listen.Keys; k.Max > 1 {
				out.CollectDigits(voice.DigitRule{Max: k.Max, Terminator: k.Terminator})
			}
		case flow.DoTransfer:
			out.Transfer(a.Text)
		case flow.DoHangup:
			out.Hangup(a.Text)
		case flow.DoOutcome:
			out.Outcome(a.Text, a.Data)
		case flow.DoSave:
			out.Note(event.EntryOutcome, a.Text, a.Data)
		case flow.DoNode:
			out.Note(event.EntryFlow, a.Text, a.Data)
		}
	}
	return nil
}

// Expect implements voice.Brain.
func (b *flowBrain) Expect() provider.Expect {
	e := b.machine.Expect()
	return provider.Expect{Grammar: e.Grammar, Words: e.Words, Hints: e.Hints}
}

// Heard implements voice.Brain. A flow repeats by its own words, so it need not know.
func (b *flowBrain) Heard(string, bool) {}
