package voice

import (
	"context"
	"time"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/voice/amd"
	"github.com/parley-voice/parley/internal/voice/provider"
	"github.com/parley-voice/parley/internal/voice/turn"
)

// transferTimeout bounds a transfer; then the caller is ours again. It is longer than a phone rings for it, and
// shorter than the machine waits for last words.
const transferTimeout = 28 * time.Second

// step gives the machine an event, does what it says, and sets the pause and the timer as it wants them.
func (s *Session) step(e turn.Event) {
	now := s.now().Sub(s.begun)
	s.state, s.actions = turn.Step(&s.machine, s.state, e, now, s.actions[:0])
	for _, a := range s.actions {
		s.act(a)
	}
	if s.watch != nil && !s.state.AtOutset() && !s.secondLook() {
		s.watch.off.Store(true)
	}
	if s.playout.mute(s.state.Muted()) {
		s.kick()
	}
	if a := activity(s.state.Phase()); a != s.activity {
		s.activity = a
		s.note(event.EntryActivity, a, nil)
	}
	s.setTimer(now)
}

// activity is what people are shown of a phase.
func activity(p turn.Phase) string {
	switch p {
	case turn.PhaseGreeting, turn.PhaseSpeaking, turn.PhaseEnding:
		return "speaking"
	case turn.PhaseThinking:
		return "thinking"
	case turn.PhasePaused:
		return "paused"
	case turn.PhaseHeld:
		return "held"
	case turn.PhaseOver:
		return "ended"
	default:
		return "listening"
	}
}

// setTimer wakes the session at the machine's next deadline. A deadline that moved later leaves the timer as
// it is: an early wake-up costs less than resetting it for each word.
func (s *Session) setTimer(now time.Duration) {
	at, ok := s.state.Deadline()
	if !ok || s.wakeAt != 0 && s.wakeAt <= at && s.wakeAt > now {
		return
	}
	s.wakeAt = at
	s.timer.Reset(max(at-now, 0))
}

func (s *Session) act(a turn.Action) {
	switch a.Kind {
	case turn.Ask:
		s.ask(a)
	case turn.Say:
		s.sayLine(a)
	case turn.Filler:
		s.filler(a)
	case turn.Cancel:
		s.cancelReply(a)
	case turn.Paused:
		s.entry(event.Entry{Kind: event.EntryPaused, Gen: a.Gen})
	case turn.Resumed:
		s.entry(event.Entry{Kind: event.EntryResumed, Gen: a.Gen})
		s.decided(false)
	case turn.Backchannel:
		s.note(event.EntryBackchannel, a.Text, nil)
	case turn.BeginUtterance:
		s.listener.command(order{kind: orderBegin, id: a.Utterance, frame: s.vadAt - preRoll, expect: s.expect})
	case turn.EndUtterance:
		s.endUtterance(a)
	case turn.DropUtterance:
		s.listener.command(order{kind: orderDrop, id: a.Utterance})
	case turn.Failed:
		s.late(a)
	case turn.DoTransfer:
		s.transfer(a.Text)
	case turn.DoHangup:
		s.hangUpSoon(endCause(a.Text))
	}
}

// lingerFor is between the last frame sent and the hang-up: what is on the network and in the phone's jitter
// buffer is still to be heard.
const lingerFor = 240 * time.Millisecond

// hangUpSoon ends the call when the last words have arrived. The machine is over: the timer is free.
func (s *Session) hangUpSoon(c media.Cause) {
	s.farewell = &c
	s.timer.Reset(lingerFor)
}

// endCause says in a sentence why the agent hung up.
func endCause(code string) media.Cause {
	c := media.Cause{By: "agent", Code: code, Text: "the agent ended the call"}
	switch code {
	case "idle":
		c.Text = "the caller said nothing"
	case "max_duration":
		c.By, c.Text = "system", "the call reached its maximum duration"
	case "vendor_failed":
		c.By, c.Text = "system", "a speech or language vendor failed for good"
	case turn.CodeMachine:
		c.Text = "an answering machine answered"
	case turn.CodeMessage:
		c.Text = "an answering machine took a message"
	case string(amd.Fax):
		c.Text = "a fax answered"
	case string(amd.Invalid):
		c.Text = "the network announced that the number is not in service"
	case turn.CodeUndisclosed:
		c.By, c.Text = "system", "what had to be said first could not be said"
	case turn.CodeOptedOut:
		c.Text = "the person does not want to be called any more"
	}
	return c
}

func (s *Session) endUtterance(a turn.Action) {
	u := s.utterance(a.Utterance)
	end := s.vadAt + 1
	if u.to.Before(u.from) { // cut off in the midst of it: it was too long
		u.to, end = s.now(), s.ear.position()
	}
	s.listener.command(order{kind: orderEnd, id: a.Utterance, frame: end})
	if s.state.Unheard(a.Utterance) { // no turn, whatever it was
		return
	}
	if a.Cut { // a reply is paused by it: whether it is a turn is still open
		s.timed = false
		return
	}
	s.endOfSpeech("speech")
}

// endOfSpeech is the zero of the waterfall.
func (s *Session) endOfSpeech(by string) {
	s.asked, s.timed = s.now(), true
	s.entry(event.Entry{Kind: event.EntryEndOfSpeech, Turn: s.state.Turn + 1, Data: map[string]any{"by": by}})
}

// open begins a generation.
func (s *Session) open(gen int, brain bool) {
	if s.reply.cancel != nil {
		s.reply.cancel()
	}
	ctx, cancel := context.WithCancel(s.ctx)
	s.reply = reply{gen: gen, ctx: ctx, cancel: cancel, brain: brain}
	s.playout.begin(gen)
}

// ensure begins generation gen unless a filler has done so.
func (s *Session) ensure(gen int, brain bool) {
	if s.reply.gen != gen || s.reply.cancel == nil {
		s.open(gen, brain)
	}
}

func (s *Session) ask(a turn.Action) {
	begin := a.Input.Kind == turn.InputNone
	spoken := a.Input.Kind == turn.InputSpeech || a.Input.Kind == turn.InputUnclear
	if !begin && !a.Retry && (!spoken || !s.timed) {
		s.asked, s.timed = s.now(), true
		s.entry(event.Entry{Kind: event.EntryEndOfSpeech, Data: map[string]any{"by": string(inputKind(a.Input.Kind))}})
	}
	s.ensure(a.Gen, true)
	s.reply.given = true
	j := job{gen: a.Gen, ctx: s.reply.ctx, begin: begin, in: input(a), heard: s.heard}
	s.heard = nil
	select {
	case s.thinker.jobs <- j:
	default: // it has hung on every job before this one
		s.inboxLater(msg{kind: msgBrainDone, gen: a.Gen, service: provider.ServiceLLM, err: &provider.Error{
			Service: provider.ServiceLLM, Code: "timeout", Message: "earlier answers are still being worked on", Fatal: true,
		}})
	}
}

// inboxLater is for the session's own goroutine, which may not wait for itself.
func (s *Session) inboxLater(m msg) {
	s.wg.Go(func() { s.send(m) })
}

// input is what the brain gets. A retry takes back the turn that failed.
func input(a turn.Action) Input {
	in := a.Input
	out := Input{Kind: inputKind(in.Kind), Text: in.Text, Confidence: in.Confidence, Continues: in.Continues || a.Retry}
	if in.Kind == turn.InputDigits {
		out.Digits, out.Text = in.Text, ""
	}
	return out
}

func inputKind(k turn.InputKind) InputKind {
	switch k {
	case turn.InputText:
		return InputText
	case turn.InputDigits:
		return InputDigits
	case turn.InputUnclear:
		return InputUnclear
	case turn.InputSilence:
		return InputSilence
	case turn.InputTransferFailed:
		return InputTransferFailed
	default:
		return InputSpeech
	}
}

// sayLine speaks one of the session's own texts.
func (s *Session) sayLine(a turn.Action) {
	s.open(a.Gen, false)
	s.reply.line, s.reply.n = a.Line, a.N
	text, kind := s.line(a)
	if text != "" && kind != "" {
		s.entry(event.Entry{Kind: kind, Gen: a.Gen, Text: text})
	}
	c := chunk{gen: a.Gen, ctx: s.reply.ctx, text: text, kind: spanLine, last: true,
		dire: a.Line == turn.LineApology || a.Line == turn.LineOptedOut, must: a.Line == turn.LineDisclosure || a.Line == turn.LineMessage}
	select {
	case s.speaker.lines <- c:
	default:
		s.inboxLater(msg{kind: msgVoiceFail, gen: a.Gen, service: provider.ServiceTTS, err: &provider.Error{
			Service: provider.ServiceTTS, Vendor: s.cfg.TTSVendor, Code: "timeout", Message: "the voice hangs", Fatal: true,
		}})
	}
}

func (s *Session) line(a turn.Action) (string, event.EntryKind) {
	t := &s.cfg.Texts
	switch a.Line {
	case turn.LineReprompt:
		return t.Reprompts[a.N%len(t.Reprompts)], event.EntryIdle
	case turn.LineGoodbye:
		return t.Goodbye, event.EntryIdle
	case turn.LineTimeUp:
		return t.TimeUp, event.EntryIdle
	case turn.LineDisclosure: // its entry is written when it was heard, as is the message's
		return s.cfg.Outbound.Disclosures[a.N], ""
	case turn.LineMessage:
		return s.cfg.Outbound.Message, ""
	case turn.LineOptedOut:
		return s.optedOutText(), ""
	default:
		return t.Apology, event.EntryApology
	}
}

// filler says something short while the reply is late, unless its audio is not at hand in time: the answer
// goes first.
func (s *Session) filler(a turn.Action) {
	s.ensure(a.Gen, true)
	text := s.cfg.Texts.Fillers[a.N%len(s.cfg.Texts.Fillers)]
	ctx := s.reply.ctx
	s.goRun("filler", func(context.Context) { s.interject(ctx, a.Gen, text) })
}

// cancelReply ends a generation: what was heard is kept, the rest forgotten.
func (s *Session) cancelReply(a turn.Action) {
	if a.Gen != s.reply.gen {
		return
	}
	if a.Cut {
		s.entry(event.Entry{Kind: event.EntryCut, Gen: a.Gen})
		s.decided(true)
		s.timed = false
	}
	s.finishReply()
	s.playout.begin(0)
	if a.Cut {
		s.cfg.Leg.Clear()
	}
}

func (s *Session) decided(cut bool) {
	if s.cfg.Observer.Interrupted != nil {
		s.cfg.Observer.Interrupted(cut)
	}
}

// finishReply closes the generation alive: its context, its heard words.
func (s *Session) finishReply() {
	if s.reply.cancel == nil {
		return
	}
	s.collect(true)
	s.reply.cancel()
	s.reply = reply{gen: 0}
}

func (s *Session) transfer(target string) {
	leg := s.cfg.Leg
	s.goRun("transfer", func(context.Context) {
		ctx, done := s.timeout(transferTimeout)
		defer done()
		stop := context.AfterFunc(s.ctx, done)
		defer stop()
		s.send(msg{kind: msgTransferred, text: target, err: leg.Transfer(ctx, target)})
	})
}
