package voice

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/voice/provider"
	"github.com/parley-voice/parley/internal/voice/provider/providertest"
	"github.com/parley-voice/parley/internal/voice/provider/sim"
)

const (
	isAI       = "This is an automated assistant."
	isRecorded = "The call is recorded."
	message    = "Please call the clinic back."
)

// placed holds a call of ours.
func placed(t *testing.T, o Outbound, edit func(*rig), script func(*rig)) *rig {
	t.Helper()
	return call(t, func(r *rig) {
		r.cfg.Outbound = &o
		if edit != nil {
			edit(r)
		}
	}, script)
}

// beep is a tone of the far end.
func beep(hz float64, d time.Duration) []int16 {
	pcm := make([]int16, int(d.Seconds()*8000))
	for i := range pcm {
		pcm[i] = int16(7000 * math.Sin(2*math.Pi*hz*float64(i)/8000))
	}
	return pcm
}

// hello plays what is heard when a person lifts the receiver: a word, and silence.
func hello(r *rig) {
	r.wait(500 * time.Millisecond)
	r.speak(600 * time.Millisecond)
}

// greets is a machine that talks for d.
func greets(r *rig, d time.Duration) {
	r.wait(400 * time.Millisecond)
	r.speak(d)
}

// first gives the time of the first entry of a kind.
func (r *rig) first(kind event.EntryKind) time.Duration {
	r.t.Helper()
	found := r.find(kind)
	if len(found) == 0 {
		r.t.Fatalf("no entry of %s\n%s", kind, r.dump())
	}
	return time.Duration(found[0].AtUS) * time.Microsecond
}

// outcome gives what an outcome's value is.
func (r *rig) outcome(name string) any { return r.out.Outcomes[name]["value"] }

func (r *rig) wantOutcome(name string, value any) {
	r.t.Helper()
	if got := r.outcome(name); got != value {
		r.t.Errorf("outcome %s is %v, want %v\n%s", name, got, value, r.dump())
	}
}

func (r *rig) wantEnd(by, code string) {
	r.t.Helper()
	if r.out.Cause.By != by || r.out.Cause.Code != code {
		r.t.Errorf("the call ended by %+v, want %s %s\n%s", r.out.Cause, by, code, r.dump())
	}
}

func TestPersonIsToldWhatMustBeSaidAndGreeted(t *testing.T) {
	r := placed(t, Outbound{Detect: true, Disclosures: []string{isAI, isRecorded}}, func(r *rig) {
		r.sim.STT.Texts = []string{"hello", "yes I have time"}
		r.brain.answers = []string{"Good."}
	}, func(r *rig) {
		hello(r)
		r.wait(1500 * time.Millisecond)
		r.speak(time.Second) // over the disclosure, which goes on
		r.wait(6 * time.Second)
		r.speak(time.Second)
		r.wait(3 * time.Second)
	})
	r.want(event.EntryAgentSaid, isAI, isRecorded, "Hello, how can I help you?", "Good.")
	r.want(event.EntryAnswerer, "human")
	// A word of 600 ms from 0.5 s on: an answer is due 2 s after it.
	if at := r.first(event.EntryFirstFrame); at < 1500*time.Millisecond || at > 3100*time.Millisecond {
		t.Errorf("the first words came at %v\n%s", at, r.dump())
	}
	told := r.find(event.EntryDisclosure)
	if len(told) != 2 || told[0].Text != isAI || told[1].Text != isRecorded {
		t.Fatalf("disclosures %+v", told)
	}
	for _, e := range told {
		from, to := e.Data["startMs"].(int64), e.Data["endMs"].(int64)
		if e.Data["whole"] != true || e.Data["heard"] != e.Text || to-from < 1000 || to < from {
			t.Errorf("disclosure %+v", e)
		}
	}
	r.count(event.EntryCut, 0)
	if len(r.brain.turns) != 1 {
		t.Errorf("turns %+v\n%s", r.brain.turns, r.dump())
	}
	if e := r.find(event.EntrySTTFinal)[0]; e.Text != "hello" || e.Turn != 0 {
		t.Errorf("the first word is %+v", e)
	}
	r.wantOutcome(event.OutcomeAnsweredBy, "human")
	r.wantOutcome(event.OutcomeDisclosure, "played")
	r.wantEnd("caller", "normal")
}

func TestNobodySaysAnything(t *testing.T) {
	r := placed(t, Outbound{Detect: true}, nil, func(r *rig) { r.wait(6 * time.Second) })
	r.want(event.EntryAnswerer, "unsure")
	r.want(event.EntryAgentSaid, "Hello, how can I help you?")
}

func TestMachineIsHungUpOn(t *testing.T) {
	r := placed(t, Outbound{Detect: true, Disclosures: []string{isAI}}, nil, func(r *rig) {
		greets(r, 4*time.Second)
		r.ended(time.Second)
	})
	r.want(event.EntryAnswerer, "machine")
	r.wantEnd("agent", "machine")
	r.wantOutcome(event.OutcomeAnsweredBy, "machine")
	if r.sent() != 0 || r.outcome(event.OutcomeDisclosure) != nil {
		t.Errorf("%d frames were sent to a machine", r.sent())
	}
}

// The message begins when the beep has ended, what must be said before it.
func TestMessageAfterTheBeep(t *testing.T) {
	end := time.Duration(0)
	r := placed(t, Outbound{Detect: true, OnMachine: MachineMessage, Message: message, Disclosures: []string{isAI}}, nil, func(r *rig) {
		greets(r, 4*time.Second)
		r.play(append(make([]int16, 8000/2), beep(1000, 500*time.Millisecond)...))
		r.wait(time.Second)
		end = 400*time.Millisecond + 4*time.Second + time.Second
		r.ended(10 * time.Second)
	})
	r.want(event.EntryAgentSaid, isAI, message)
	if at := r.first(event.EntryFirstFrame); at < end || at > end+400*time.Millisecond {
		t.Errorf("the message began at %v, the beep ended at %v\n%s", at, end, r.dump())
	}
	left := r.find(event.EntryMessage)
	if len(left) != 1 || left[0].Data["whole"] != true || left[0].Text != message {
		t.Errorf("message %+v", left)
	}
	r.wantOutcome(event.OutcomeMessage, "played")
	r.wantEnd("agent", "message")
	r.count(event.EntryEndOfSpeech, 0)
}

// A machine that does not beep records once it is silent; one that beeps later than that gets the message again.
func TestMessageAfterSilence(t *testing.T) {
	o := Outbound{Detect: true, OnMachine: MachineMessage, Message: message}
	r := placed(t, o, nil, func(r *rig) {
		greets(r, 3*time.Second)
		r.ended(20 * time.Second)
	})
	r.want(event.EntryAgentSaid, message)
	r.wantEnd("agent", "message")

	r = placed(t, o, nil, func(r *rig) {
		greets(r, 3*time.Second)
		r.wait(3 * time.Second)
		r.play(beep(850, 300*time.Millisecond))
		r.ended(20 * time.Second)
	})
	if said := r.texts(event.EntryAgentSaid); len(said) != 2 || said[1] != message {
		t.Errorf("said %q\n%s", said, r.dump())
	}
	r.wantOutcome(event.OutcomeMessage, "played")
}

func TestMachineThatTalksForEver(t *testing.T) {
	r := placed(t, Outbound{Detect: true, OnMachine: MachineMessage, Message: message, Within: 20 * time.Second}, nil, func(r *rig) {
		r.play(providertest.Babble(8000, 40*time.Second))
		r.ended(30 * time.Second)
	})
	r.wantEnd("agent", "machine")
	if r.outcome(event.OutcomeMessage) != nil || r.sent() != 0 {
		t.Errorf("a message was left\n%s", r.dump())
	}
}

// A machine that hangs up was no person who did.
func TestMachineThatHangsUp(t *testing.T) {
	o := Outbound{Detect: true, OnMachine: MachineMessage, Message: message}
	r := placed(t, o, nil, func(r *rig) { greets(r, 4*time.Second) })
	r.wantEnd("caller", "machine")

	r = placed(t, o, nil, func(r *rig) { // in the midst of the message
		greets(r, 3*time.Second)
		r.play(beep(1000, 300*time.Millisecond))
		r.wait(1200 * time.Millisecond)
	})
	r.wantEnd("caller", "machine")
	r.wantOutcome(event.OutcomeMessage, "not_played")
}

// A machine that pauses after its first word is taken for a person, until its words tell.
func TestWordsTellOfAMachine(t *testing.T) {
	r := placed(t, Outbound{Detect: true, OnMachine: MachineMessage, Message: message}, func(r *rig) {
		r.sim.STT.Texts, r.sim.STT.Partials = []string{"hello", "you have reached the millers please leave a message after the tone"}, true
	}, func(r *rig) {
		hello(r)
		r.wait(900 * time.Millisecond)
		r.speak(5 * time.Second)
		r.play(append(make([]int16, 8000/2), beep(1400, 300*time.Millisecond)...))
		r.ended(20 * time.Second)
	})
	r.want(event.EntryAnswerer, "human", "machine")
	if said := r.texts(event.EntryAgentSaid); len(said) == 0 || said[len(said)-1] != message {
		t.Errorf("said %q\n%s", said, r.dump())
	}
	r.wantEnd("agent", "message")
	r.wantOutcome(event.OutcomeMessage, "played")
}

func TestMachineIsTalkedTo(t *testing.T) {
	r := placed(t, Outbound{Detect: true, OnMachine: MachineTalk}, nil, func(r *rig) {
		greets(r, 3*time.Second)
		r.wait(5 * time.Second)
	})
	if !strings.HasPrefix(r.said(), "Hello, how can I help you?") {
		t.Errorf("said %q\n%s", r.said(), r.dump())
	}
	r.wantOutcome(event.OutcomeAnsweredBy, "machine")
}

func TestFaxAndNetwork(t *testing.T) {
	for code, tones := range map[string][]int16{
		"fax":     beep(2100, 3*time.Second),
		"invalid": slices.Concat(beep(950, 330*time.Millisecond), beep(1400, 330*time.Millisecond), beep(1800, 330*time.Millisecond)),
	} {
		r := placed(t, Outbound{Detect: true, OnMachine: MachineMessage, Message: message}, nil, func(r *rig) {
			r.play(append(make([]int16, 4000), tones...))
			r.ended(5 * time.Second)
		})
		r.wantEnd("agent", code)
		r.want(event.EntryAnswerer, code)
	}
}

// brokenVoice fails, from its nth sentence on.
type brokenVoice struct {
	provider.TTS
	works int
}

func (v *brokenVoice) Speak(ctx context.Context, req provider.SpeakRequest) (provider.AudioStream, error) {
	if v.works--; v.works < 0 {
		return nil, errors.New("the voice is gone")
	}
	return v.TTS.Speak(ctx, req)
}

func TestDisclosureThatCannotBeSaid(t *testing.T) {
	o := Outbound{Disclosures: []string{isAI, isRecorded}}
	r := placed(t, o, func(r *rig) { r.cfg.TTS = &brokenVoice{TTS: sim.New(r.sim), works: 1} }, func(r *rig) { r.ended(20 * time.Second) })
	r.want(event.EntryAgentSaid, isAI)
	r.wantEnd("system", "disclosure_failed")
	r.wantOutcome(event.OutcomeDisclosure, "not_played")
	told := r.find(event.EntryDisclosure)
	if len(told) != 2 || told[0].Data["whole"] != true || told[1].Data["whole"] != false {
		t.Errorf("disclosures %+v", told)
	}
	r.count(event.EntryApology, 0)

	r = placed(t, o, func(r *rig) { // another voice says it
		r.cfg.TTS, r.cfg.FallbackTTS = &brokenVoice{TTS: sim.New(r.sim)}, sim.New(r.sim)
	}, func(r *rig) { r.wait(5 * time.Second) })
	if said := r.texts(event.EntryAgentSaid); len(said) < 2 || said[0] != isAI || said[1] != isRecorded {
		t.Errorf("said %q\n%s", said, r.dump())
	}
	r.wantOutcome(event.OutcomeDisclosure, "played")
}

// What must be said may be several sentences; all of them must be heard.
func TestDisclosureOfSentences(t *testing.T) {
	const long = "I am an automated assistant. I call for the clinic. The call is recorded. You may hang up at any time. Press nine to be left alone."
	r := placed(t, Outbound{Disclosures: []string{long}}, nil, func(r *rig) { r.wait(20 * time.Second) })
	told := r.find(event.EntryDisclosure)
	if len(told) != 1 || told[0].Data["whole"] != true || told[0].Data["heard"] != long || told[0].Data["endMs"].(int64)-told[0].Data["startMs"].(int64) < 6000 {
		t.Errorf("disclosures %+v\n%s", told, r.dump())
	}
	if said := r.texts(event.EntryAgentSaid); len(said) < 6 || strings.Join(said[:5], " ") != long {
		t.Errorf("said %q", said)
	}

	r = placed(t, Outbound{Disclosures: []string{long}}, func(r *rig) { r.cfg.TTS = &brokenVoice{TTS: sim.New(r.sim), works: 2} }, func(r *rig) { r.ended(30 * time.Second) })
	r.wantEnd("system", "disclosure_failed")
	r.wantOutcome(event.OutcomeDisclosure, "not_played")
}

func TestDisclosureThatIsHungUpOn(t *testing.T) {
	r := placed(t, Outbound{Disclosures: []string{isAI}}, nil, func(r *rig) { r.wait(time.Second) })
	told := r.find(event.EntryDisclosure)
	if len(told) != 1 || told[0].Data["whole"] != false || !strings.HasPrefix(isAI, told[0].Data["heard"].(string)) || told[0].Data["heard"] == "" {
		t.Errorf("disclosures %+v\n%s", told, r.dump())
	}
	r.wantOutcome(event.OutcomeDisclosure, "not_played")
}

func TestOptOutByKey(t *testing.T) {
	o := Outbound{Disclosures: []string{isAI, "Press 9 if you do not want to be called again."}, OptOutKey: '9', OptedOut: "You will not be called again."}
	r := placed(t, o, nil, func(r *rig) {
		r.wait(4 * time.Second) // the second disclosure is being said
		r.dial("9")
		r.ended(10 * time.Second)
	})
	if said := r.texts(event.EntryAgentSaid); said[len(said)-1] != o.OptedOut {
		t.Errorf("said %q", said)
	}
	r.wantOutcome(event.OutcomeOptOut, "key")
	r.wantEnd("agent", "opted_out")
	if len(r.brain.turns) != 0 {
		t.Errorf("the brain got %+v", r.brain.turns)
	}
}

// Where digits are asked for, the key is a digit.
func TestKeyThatIsADigit(t *testing.T) {
	r := placed(t, Outbound{OptOutKey: '9'}, func(r *rig) {
		r.brain.do = func(_ context.Context, in Input, out Emitter) error {
			if in.Kind == InputSpeech {
				out.CollectDigits(DigitRule{Max: 3})
				return out.Say("Your number, please.")
			}
			return out.Say("Thanks.")
		}
	}, func(r *rig) {
		r.wait(3 * time.Second)
		r.speak(time.Second)
		r.wait(4 * time.Second)
		r.dial("199")
		r.wait(2 * time.Second)
	})
	if n := len(r.brain.turns); n != 2 || r.brain.turns[1].Digits != "199" || r.outcome(event.OutcomeOptOut) != nil {
		t.Errorf("turns %+v\n%s", r.brain.turns, r.dump())
	}
}

func TestOptOutByWords(t *testing.T) {
	for name, o := range map[string]Outbound{"at once": {Detect: true, Disclosures: []string{isAI}}, "later": {}} {
		r := placed(t, o, func(r *rig) { r.sim.STT.Texts = []string{"please stop calling me"} }, func(r *rig) {
			if !o.Detect {
				r.wait(3 * time.Second)
			}
			hello(r)
			r.ended(15 * time.Second)
		})
		r.wantOutcome(event.OutcomeOptOut, "words")
		r.wantEnd("agent", "opted_out")
		if !strings.HasSuffix(r.said(), "you will not be called again. Goodbye.") || len(r.brain.turns) != 0 {
			t.Errorf("%s: said %q, turns %+v\n%s", name, r.said(), r.brain.turns, r.dump())
		}
	}
}

// On a call that somebody made to us nothing of this happens.
func TestInboundIsNotWatched(t *testing.T) {
	r := call(t, func(r *rig) { r.sim.STT.Texts = []string{"stop calling me"} }, func(r *rig) {
		r.wait(3 * time.Second)
		r.speak(time.Second)
		r.wait(3 * time.Second)
		r.dial("9")
		r.wait(time.Second)
	})
	if len(r.brain.turns) != 2 || len(r.out.Outcomes) != 0 {
		t.Errorf("turns %+v, outcomes %v", r.brain.turns, r.out.Outcomes)
	}
}

// What the person wishes is recorded though they speak over the answer in which it is noted.
func TestWishStands(t *testing.T) {
	r := placed(t, Outbound{}, func(r *rig) {
		r.brain.do = func(ctx context.Context, _ Input, out Emitter) error {
			if len(r.brain.turns) > 1 {
				return nil
			}
			err := out.Say(strings.Repeat("I see that this is not a good time for you. ", 10))
			<-ctx.Done()
			out.Outcome(event.OutcomeNotInterested, map[string]any{"value": "no time"})
			out.Outcome("mood", map[string]any{"value": "bad"})
			return err
		}
	}, func(r *rig) {
		r.wait(3 * time.Second)
		r.speak(time.Second)
		r.wait(2 * time.Second)
		r.speak(2 * time.Second)
		r.wait(2 * time.Second)
	})
	r.wantOutcome(event.OutcomeNotInterested, "no time")
	r.wantOutcome("mood", nil)
}

func TestOutboundIsChecked(t *testing.T) {
	for name, o := range map[string]Outbound{
		"no message": {OnMachine: MachineMessage}, "no such way": {OnMachine: "sing"}, "empty disclosure": {Disclosures: []string{isAI, " "}}, "no key": {OptOutKey: 'x'},
	} {
		if err := o.Check(); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// The detector adds nothing to what a tick allocates.
func TestWatchedTickDoesNotAllocate(t *testing.T) {
	s := benchSession(t, sim.New(sim.Config{}), newLeg(), func(c *Config) { c.Outbound = &Outbound{Detect: true} })
	pcm := slices.Concat(providertest.Babble(8000, 6*time.Second), beep(1000, 4*time.Second))
	out := make([]int16, 160)
	i := 0
	tick := func() {
		s.endpoint.Tick(pcm[i*160:][:160], out)
		i++
		select {
		case <-s.inbox:
		default:
		}
	}
	for range 150 { // until the verdict
		tick()
	}
	if n := testing.AllocsPerRun(300, tick); n != 0 {
		t.Errorf("%v allocations a tick", n)
	}
}
