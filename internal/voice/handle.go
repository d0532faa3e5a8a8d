package voice

import (
	"time"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/voice/provider"
	"github.com/parley-voice/parley/internal/voice/turn"
)

// handle takes one message: what the log needs is noted, what the machine needs becomes its event.
func (s *Session) handle(m msg) {
	switch m.kind {
	case msgVADStart, msgVADEnd:
		s.vad(m)
	case msgDigest:
		s.reportDrops()
		s.note(event.EntryDigest, "", map[string]any{"frames": m.frame, "sha256": s.ear.lastDigest()})
	case msgLeg:
		s.legEvent(*m.leg)
	case msgResult:
		s.recognised(*m.result)
	case msgSTTDown:
		s.vendorFailed(provider.ServiceSTT, m.err, 0)
		s.step(turn.Event{Kind: turn.RecogniseFail, Fatal: true})
	case msgTransferred:
		s.transferred(m)
	case msgPanic:
		s.crashed(m.text)
	case msgAnswerer:
		s.answererHeard(m.signal, m.answerer)
	case msgOutcome:
		s.keepOutcome(*m.entry, m.at)
	default:
		if m.gen == s.reply.gen { // what is older is stale
			s.replyMsg(m)
		}
	}
}

// replyMsg is news of the reply alive.
func (s *Session) replyMsg(m msg) {
	gen := m.gen
	switch m.kind {
	case msgFirstFrame:
		s.firstFrame(m)
	case msgSpoke:
		s.collect(false)
	case msgDone:
		s.replyDone()
	case msgStarved:
		s.starved()
	case msgFirstAudio:
		s.entryAt(m.at, event.Entry{Kind: event.EntryFirstAudio, Gen: gen})
	case msgFiller:
		s.entry(event.Entry{Kind: event.EntryFiller, Gen: gen, Text: m.text})
	case msgVoiceFail:
		s.vendorFailed(m.service, m.err, gen)
		s.step(turn.Event{Kind: turn.ReplyFail, Gen: gen, Fatal: provider.IsFatal(m.err)})
	case msgBrainDone:
		s.expect, s.reply.thought = provider.Expect{}, true
		if m.expect != nil {
			s.expect = *m.expect
		}
		if m.err != nil {
			s.vendorFailed(m.service, m.err, gen)
			s.step(turn.Event{Kind: turn.ReplyFail, Gen: gen, Fatal: provider.IsFatal(m.err)})
		}
	case msgRetry:
		s.vendorFailed(m.service, m.err, gen)
	case msgNote:
		s.brainNote(gen, m.at, *m.entry)
	case msgCollect:
		s.step(turn.Event{Kind: turn.Collect, Gen: gen, Rule: m.rule.rule()})
	case msgHangup:
		s.step(turn.Event{Kind: turn.Hangup, Gen: gen, Text: orText(m.text, "normal")})
	case msgTransfer:
		s.step(turn.Event{Kind: turn.Transfer, Gen: gen, Text: m.text})
	}
}

func (s *Session) vad(m msg) {
	s.vadAt = m.frame
	at := s.now().Add(-m.lag)
	kind, ev := event.EntryVADStart, turn.SpeechStart
	if m.kind == msgVADEnd {
		kind, ev = event.EntryVADEnd, turn.SpeechEnd
		s.utterance(s.lastUtterance()).to = at
	}
	s.note(kind, "", nil)
	before := s.lastUtterance()
	if m.kind == msgVADStart { // the same one goes on, or another begins
		s.answerer.lull = false
		s.utterance(before).to = time.Time{}
	}
	s.step(turn.Event{Kind: ev, Lag: m.lag})
	if id := s.lastUtterance(); id != before {
		*s.utterance(id) = utterance{from: at}
	}
}

func (s *Session) legEvent(ev media.LegEvent) {
	switch ev.Kind {
	case media.LegDTMF:
		s.note(event.EntryDTMF, string(rune(ev.Digit)), nil)
		if s.dialledOptOut(ev.Digit) {
			s.optOut("key", string(rune(ev.Digit)))
			return
		}
		s.step(turn.Event{Kind: turn.Digit, Digit: ev.Digit})
	case media.LegText:
		s.note(event.EntryText, ev.Text, nil)
		s.step(turn.Event{Kind: turn.Typed, Text: ev.Text})
	case media.LegHold, media.LegResume:
		on := ev.Kind == media.LegHold
		s.note(event.EntryHold, "", map[string]any{"on": on})
		s.step(turn.Event{Kind: turn.Hold, On: on})
	case media.LegSignal:
		at := ev.At
		if at.IsZero() {
			at = s.now()
		}
		s.entryAt(at, event.Entry{Kind: event.EntrySignal, Text: ev.Signal.Summary, Data: map[string]any{
			"sent": ev.Signal.Sent, "peer": ev.Signal.Peer, "raw": ev.Signal.Raw,
		}})
	case media.LegLost:
		s.alert("media_lost", "no sound comes from the caller: "+ev.Text)
	case media.LegEnded:
		s.end(ev.Cause)
		s.step(turn.Event{Kind: turn.LegEnded})
	}
}

func (s *Session) recognised(r provider.STTResult) {
	switch {
	case r.Err != nil:
		s.vendorFailed(provider.ServiceSTT, r.Err, 0)
		s.step(turn.Event{Kind: turn.RecogniseFail, Utterance: r.Utterance, Fatal: provider.IsFatal(r.Err)})
	case !r.Final:
		s.note(event.EntrySTTPartial, r.Text, map[string]any{"utterance": r.Utterance})
		s.overheard(&r)
		s.step(turn.Event{Kind: turn.Partial, Utterance: r.Utterance, Text: r.Text})
	default:
		u := s.utterance(r.Utterance)
		of := s.state.Turn + 1
		if s.state.Unheard(r.Utterance) {
			of = 0
		}
		s.entry(event.Entry{
			Kind: event.EntrySTTFinal, Turn: of, Text: r.Text, Data: map[string]any{
				"startMs": s.millis(u.from), "endMs": s.millis(u.to), "confidence": r.Confidence,
			},
		})
		if s.overheard(&r) {
			return
		}
		s.step(turn.Event{Kind: turn.Final, Utterance: r.Utterance, Text: r.Text, Confidence: r.Confidence})
	}
}

func (s *Session) firstFrame(m msg) {
	if s.timed && s.reply.brain && s.cfg.Observer.TurnLatency != nil {
		s.cfg.Observer.TurnLatency(m.at.Sub(s.asked))
	}
	s.timed = false
	s.entryAt(m.at, event.Entry{Kind: event.EntryFirstFrame, Gen: m.gen})
	s.step(turn.Event{Kind: turn.FirstFrame, Gen: m.gen})
}

func (s *Session) replyDone() {
	gen := s.reply.gen
	s.finishReply()
	s.step(turn.Event{Kind: turn.ReplyDone, Gen: gen})
}

// starved ends a reply that has stopped midway: what was said stands, and the caller is listened to.
func (s *Session) starved() {
	gen := s.reply.gen
	s.late(turn.Action{Gen: gen, Text: "reply"})
	s.reply.cancel()
	s.step(turn.Event{Kind: turn.ReplyFail, Gen: gen})
	if s.playout.close(gen) && s.reply.gen == gen {
		s.replyDone()
	}
}

// brainNote logs what the brain told, at the time it told it: the session may have been busy meanwhile.
func (s *Session) brainNote(gen int, at time.Time, e event.Entry) {
	e.Gen = gen
	if e.Kind == event.EntryOutcome {
		s.keepOutcome(e, at)
		return
	}
	s.entryAt(at, e)
}

func (s *Session) transferred(m msg) {
	if m.err == nil {
		s.out.Transferred = m.text
		s.end(media.Cause{By: "agent", Code: "transferred", Text: "the caller was transferred to " + m.text})
		return
	}
	s.alert("transfer_failed", "the transfer to "+m.text+" failed: "+m.err.Error())
	s.step(turn.Event{Kind: turn.TransferFailed, Text: m.err.Error()})
}

// lastUtterance is the id of the machine's last utterance.
func (s *Session) lastUtterance() int { return s.state.Utterance() }

func (s *Session) utterance(id int) *utterance { return &s.speech[id&(len(s.speech)-1)] }
