package voice

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/voice/provider"
	"github.com/parley-voice/parley/internal/voice/provider/sim"
)

func TestSilentCallerIsAskedTwiceThenLeft(t *testing.T) {
	r := call(t, nil, func(r *rig) { r.ended(time.Minute) })
	r.count(event.EntryIdle, 3)
	if r.out.Cause.Code != "idle" || r.out.Cause.By != "agent" {
		t.Errorf("cause %+v", r.out.Cause)
	}
	if !strings.HasSuffix(r.said(), "Goodbye.") {
		t.Errorf("said %q", r.said())
	}
	if len(r.brain.heards) != 0 {
		t.Errorf("the brain was told of lines that are not its own: %+v", r.brain.heards)
	}
}

func TestMaximumDuration(t *testing.T) {
	r := call(t, func(r *rig) { r.cfg.Limits.MaxDuration = 20 * time.Second }, func(r *rig) {
		for range 4 {
			r.wait(3 * time.Second)
			r.speak(time.Second)
		}
		r.ended(20 * time.Second)
	})
	if r.out.Cause.Code != "max_duration" || !strings.HasSuffix(r.said(), "our time is up. Goodbye.") {
		t.Errorf("cause %+v, said %q\n%s", r.out.Cause, r.said(), r.dump())
	}
}

func TestDigitsEachAreATurn(t *testing.T) {
	r := call(t, nil, func(r *rig) {
		r.wait(3 * time.Second)
		r.dial("5")
		r.wait(2 * time.Second)
	})
	if len(r.brain.turns) != 1 || r.brain.turns[0].Kind != InputDigits || r.brain.turns[0].Digits != "5" {
		t.Errorf("turns %+v", r.brain.turns)
	}
	r.want(event.EntryDTMF, "5")
}

func collecting(rule DigitRule) func(*rig) {
	return func(r *rig) {
		r.brain.do = func(_ context.Context, in Input, out Emitter) error {
			if in.Kind == InputDigits || in.Kind == InputSilence {
				return out.Say("Thank you.")
			}
			if err := out.Say("Please dial your customer number and then the hash key."); err != nil {
				return err
			}
			out.CollectDigits(rule)
			return nil
		}
	}
}

func TestCollectDigits(t *testing.T) {
	for _, c := range []struct {
		name, dial string
		rule       DigitRule
		wait       time.Duration
		kind       InputKind
		want       string
	}{
		{"terminator", "1234#", DigitRule{Terminator: '#'}, time.Second, InputDigits, "1234"},
		{"length", "123456", DigitRule{Max: 4}, time.Second, InputDigits, "1234"},
		{"inter-digit time-out", "12", DigitRule{Max: 4, InterTimeout: 2 * time.Second}, 3 * time.Second, InputDigits, "12"},
		{"nothing dialled", "", DigitRule{FirstTimeout: 4 * time.Second}, 10 * time.Second, InputSilence, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := call(t, collecting(c.rule), func(r *rig) {
				r.wait(3 * time.Second)
				r.speak(time.Second)
				r.wait(2 * time.Second) // into the prompt: digits interrupt it
				r.dial(c.dial)
				r.wait(c.wait)
			})
			if len(r.brain.turns) < 2 || r.brain.turns[1].Kind != c.kind || r.brain.turns[1].Digits != c.want {
				t.Errorf("turns %+v\n%s", r.brain.turns, r.dump())
			}
		})
	}
}

func TestHoldStopsTheClocks(t *testing.T) {
	r := call(t, nil, func(r *rig) {
		r.wait(time.Second) // in the greeting
		r.event(media.LegEvent{Kind: media.LegHold})
		r.wait(100 * time.Millisecond)
		if r.loud(60 * time.Millisecond) {
			t.Error("the agent speaks to music on hold")
		}
		r.wait(2 * time.Minute)
		r.count(event.EntryIdle, 0)
		r.event(media.LegEvent{Kind: media.LegResume})
		r.wait(3 * time.Second)
	})
	r.count(event.EntryHold, 2)
	if r.said() != "Hello, how can I help you?" {
		t.Errorf("said %q: the greeting must go on after the hold\n%s", r.said(), r.dump())
	}
}

func TestAgentHangsUpAfterItsLastWords(t *testing.T) {
	r := call(t, func(r *rig) {
		r.brain.do = func(_ context.Context, _ Input, out Emitter) error {
			_ = out.Say("Goodbye then.")
			out.Outcome("booked", map[string]any{"day": "Tuesday"})
			out.Hangup("done")
			return nil
		}
	}, func(r *rig) {
		r.wait(3 * time.Second)
		r.speak(time.Second)
		r.wait(700 * time.Millisecond)
		r.speak(time.Second) // too late to interrupt
		r.ended(10 * time.Second)
	})
	if r.out.Cause.Code != "done" || r.out.Cause.By != "agent" || !strings.HasSuffix(r.said(), "Goodbye then.") {
		t.Errorf("cause %+v, said %q\n%s", r.out.Cause, r.said(), r.dump())
	}
	if r.out.Outcomes["booked"]["day"] != "Tuesday" {
		t.Errorf("outcomes %+v", r.out.Outcomes)
	}
	r.want(event.EntryOutcome, "booked")
}

func transferring(r *rig) {
	r.brain.do = func(_ context.Context, in Input, out Emitter) error {
		if in.Kind == InputTransferFailed {
			return out.Say("Nobody answers there.")
		}
		_ = out.Say("I am putting you through.")
		out.Transfer("sip:sales@example.org")
		return nil
	}
}

func TestTransfer(t *testing.T) {
	r := call(t, transferring, func(r *rig) {
		r.wait(3 * time.Second)
		r.speak(time.Second)
		r.ended(10 * time.Second)
	})
	if r.out.Transferred != "sip:sales@example.org" || !slices.Equal(r.leg.transfers, []string{"sip:sales@example.org"}) {
		t.Errorf("outcome %+v\n%s", r.out, r.dump())
	}
	if !strings.HasSuffix(r.said(), "putting you through.") {
		t.Errorf("said %q", r.said())
	}
}

func TestTransferFails(t *testing.T) {
	r := call(t, func(r *rig) { transferring(r); r.leg.refuse = errors.New("486 busy here") }, func(r *rig) {
		r.wait(3 * time.Second)
		r.speak(time.Second)
		r.wait(6 * time.Second)
	})
	if !strings.HasSuffix(r.said(), "Nobody answers there.") || r.out.Transferred != "" {
		t.Errorf("said %q, outcome %+v\n%s", r.said(), r.out, r.dump())
	}
}

func TestServerStops(t *testing.T) {
	r := call(t, nil, func(r *rig) {
		r.wait(time.Second)
		r.cancel()
		r.ended(time.Second)
	})
	if r.out.Cause.Code != "interrupted" || r.leg.cause.Code != "interrupted" {
		t.Errorf("cause %+v", r.out.Cause)
	}
}

func TestLegThatDoesNotEnd(t *testing.T) {
	r := call(t, func(r *rig) { r.leg.deadEnd = true }, func(r *rig) {
		r.wait(time.Second)
		r.cancel()
		r.ended(10 * time.Second)
	})
	r.count(event.EntryEnded, 1)
}

func TestPanicEndsThisCallOnly(t *testing.T) {
	for name, edit := range map[string]func(*rig){
		"brain":    func(r *rig) { r.brain.do = func(context.Context, Input, Emitter) error { panic("brain") } },
		"detector": func(r *rig) { r.cfg.Detector = panicking{} },
		"recorder": func(r *rig) { r.cfg.Recorder = panicking{} },
		"voice": func(r *rig) {
			r.cfg.TTS = ttsFunc(func(context.Context, provider.SpeakRequest) (provider.AudioStream, error) { panic("voice") })
		},
		"recogniser": func(r *rig) {
			r.cfg.STT = sttFunc(func(context.Context) (provider.STTStream, error) { panic("recogniser") })
		},
		"observer": func(r *rig) { r.cfg.Observer.TurnLatency = func(time.Duration) { panic("observer") } },
	} {
		t.Run(name, func(t *testing.T) {
			r := call(t, edit, func(r *rig) {
				r.wait(3 * time.Second)
				r.speak(time.Second)
				r.ended(5 * time.Second)
			})
			if r.out.Cause.Code != "error" || r.out.Cause.By != "system" || r.out.Leaked != 0 {
				t.Errorf("outcome %+v\n%s", r.out, r.dump())
			}
			r.count(event.EntryAlert, 1)
			r.count(event.EntryEnded, 1)
		})
	}
}

type panicking struct{}

func (panicking) Speech([]int16) bool     { panic("detector") }
func (panicking) Frames(_, agent []int16) { panic("recorder") }

// A journal that panics costs the call and the log, nothing else.
func TestPanicOfTheJournal(t *testing.T) {
	r := call(t, func(r *rig) { r.cfg.Journal = badJournal{} }, func(r *rig) { r.ended(5 * time.Second) })
	if r.out.Cause.Code != "error" || r.out.Leaked != 0 || r.leg.cause.Code != "error" {
		t.Errorf("outcome %+v", r.out)
	}
}

type badJournal struct{}

func (badJournal) Append(event.Entry) { panic("journal") }

func TestLiveTranscriptForClientsThatShowIt(t *testing.T) {
	r := call(t, func(r *rig) { r.leg.kind = media.KindWebRTC }, func(r *rig) { r.wait(3 * time.Second) })
	if len(r.leg.texts) == 0 || !strings.Contains(string(r.leg.texts[0]), `{"type":"entry","entry":{"seq":1,`) {
		t.Errorf("texts %q", r.leg.texts)
	}
	if r := call(t, nil, func(r *rig) { r.wait(3 * time.Second) }); len(r.leg.texts) != 0 {
		t.Error("a telephone got text")
	}
}

func TestRecorderGetsEveryFrame(t *testing.T) {
	r := call(t, nil, func(r *rig) {
		r.wait(4 * time.Second)
		r.speak(time.Second)
		r.wait(3 * time.Second)
	})
	if r.caller < 395 || r.caller > 405 {
		t.Errorf("%d frames of the caller in 8 s", r.caller)
	}
	if int64(r.agent) < r.leg.sent-1 || int64(r.agent) > r.leg.sent {
		t.Errorf("%d frames of the agent recorded, %d sent", r.agent, r.leg.sent)
	}
}

// Somebody who never stops is answered all the same, with all they said by then.
func TestEndlessSpeech(t *testing.T) {
	stt := &counting{}
	r := call(t, func(r *rig) {
		stt.STT = sim.New(r.sim).STT()
		r.cfg.STT = stt
		r.cfg.Interruption.MaxUtterance = 10 * time.Second
	}, func(r *rig) {
		r.wait(3 * time.Second)
		r.speak(12 * time.Second)
		r.wait(time.Second)
	})
	if len(r.brain.turns) != 1 || stt.frames < 495 || stt.frames > 520 {
		t.Errorf("%d turns, %d frames recognised\n%s", len(r.brain.turns), stt.frames, r.dump())
	}
}

// counting counts the frames a recogniser gets.
type counting struct {
	provider.STT
	frames int
}

func (c *counting) Open(ctx context.Context, cfg provider.STTConfig) (provider.STTStream, error) {
	s, err := c.STT.Open(ctx, cfg)
	return countingStream{s, c}, err
}

type countingStream struct {
	provider.STTStream
	c *counting
}

func (s countingStream) Write(frame []int16) {
	s.c.frames++
	s.STTStream.Write(frame)
}

// A leg that only sends on its tick works as well, a little later; so does one of 16 kHz.
func TestOtherLegs(t *testing.T) {
	for name, edit := range map[string]func(*rig){
		"no kick": func(r *rig) { r.cfg.Leg = struct{ media.Leg }{r.leg} },
		"16 kHz":  func(r *rig) { r.leg.rate = 16000 },
	} {
		t.Run(name, func(t *testing.T) {
			r := call(t, edit, func(r *rig) {
				r.wait(3 * time.Second)
				r.speak(time.Second)
				r.wait(3 * time.Second)
			})
			r.want(event.EntryAgentSaid, "Hello, how can I help you?", "I see.")
			if len(r.latency) != 1 || r.latency[0] > 20*time.Millisecond {
				t.Errorf("latency %v", r.latency)
			}
		})
	}
}

// A caller who speaks up during the goodbye is not hung up on.
func TestSpeakingUpDuringTheGoodbye(t *testing.T) {
	r := call(t, func(r *rig) { r.cfg.Texts.Reprompts = []string{"-"} }, func(r *rig) {
		r.wait(10500 * time.Millisecond) // half a second into it
		r.count(event.EntryIdle, 1)
		r.speak(1500 * time.Millisecond)
		r.wait(3 * time.Second)
	})
	if r.out.Cause.By != "caller" || !strings.HasSuffix(r.said(), "I see.") {
		t.Errorf("cause %+v, said %q\n%s", r.out.Cause, r.said(), r.dump())
	}
}

// The same seed and the same sound give the same call, to the microsecond.
func TestReplay(t *testing.T) {
	play := func() []string {
		r := call(t, func(r *rig) {
			// Not at the instant of a tick: which of the two comes first then is chance.
			r.sim.STT.Latency.A, r.sim.STT.Partials = 151*time.Millisecond, true
			r.sim.TTS.Latency.A = 83 * time.Millisecond
			r.sim.TTS.Faults.Error = 0.3
			r.brain.answers = []string{longAnswer, longAnswer, longAnswer}
		}, func(r *rig) {
			r.wait(3 * time.Second)
			for range 3 {
				r.speak(1300 * time.Millisecond)
				r.wait(3100 * time.Millisecond)
			}
			r.dial("42")
			r.wait(2 * time.Second)
		})
		lines := []string{}
		for _, e := range r.entries {
			e.Seq = 0
			lines = append(lines, line(e))
		}
		slices.Sort(lines) // several goroutines at one instant: the order among them is nobody's
		return lines
	}
	first := play()
	for range 3 {
		if again := play(); !slices.Equal(first, again) {
			t.Fatalf("first:\n%s\nthen:\n%s", strings.Join(first, "\n"), strings.Join(again, "\n"))
		}
	}
}
