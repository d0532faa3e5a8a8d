package voice

import (
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/media"
)

const longAnswer = "Our opening hours are as follows. On weekdays we open at nine in the morning and close at five. " +
	"On Saturdays we open at ten and close at two. On Sundays we are closed all day long."

// asked is a caller who gets the long answer and is two seconds into it.
func asked(r *rig) {
	r.wait(3 * time.Second)
	r.speak(time.Second)
	r.wait(3 * time.Second)
}

func withAnswers(answers ...string) func(*rig) {
	return func(r *rig) { r.brain.answers = answers }
}

func TestInterruptionCutsAndKeepsOnlyWhatWasHeard(t *testing.T) {
	r := call(t, withAnswers(longAnswer, "Sorry."), func(r *rig) {
		asked(r)
		r.speak(1500 * time.Millisecond)
		if r.loud(500 * time.Millisecond) {
			t.Error("the agent speaks on after the interruption")
		}
		r.wait(4 * time.Second)
	})
	r.count(event.EntryPaused, 1)
	r.count(event.EntryCut, 1)
	r.count(event.EntryResumed, 0)
	h := r.brain.heards[len(r.brain.heards)-1]
	if h.text != "Our opening hours are as follows." && !strings.HasPrefix(longAnswer, h.text) || !h.cut {
		t.Errorf("heard %+v, want the beginning of the answer", h)
	}
	if h.text == longAnswer || h.text == "" {
		t.Errorf("heard %q of an answer cut in the middle", h.text)
	}
	last := r.find(event.EntryAgentSaid)[2]
	if last.Data["interrupted"] != true {
		t.Errorf("the sentence cut is not marked: %v\n%s", last, r.dump())
	}
	if len(r.brain.turns) != 2 {
		t.Errorf("%d turns, want 2\n%s", len(r.brain.turns), r.dump())
	}
	if r.leg.cleared != 1 {
		t.Errorf("the leg's buffer was cleared %d times, want once", r.leg.cleared)
	}
}

func TestNoisePausesAndResumes(t *testing.T) {
	var before, after int64
	r := call(t, withAnswers(longAnswer), func(r *rig) {
		asked(r)
		before = r.sent()
		r.play(clap())
		r.wait(15 * time.Second)
		after = r.sent()
	})
	r.count(event.EntryPaused, 1)
	r.count(event.EntryResumed, 1)
	r.count(event.EntryCut, 0)
	if !strings.HasSuffix(r.said(), longAnswer) {
		t.Errorf("said %q, want the whole answer after a false alarm", r.said())
	}
	if want := int64(len(longAnswer) * 3); after-before < want/2 {
		t.Errorf("%d frames were sent after the noise", after-before)
	}
}

// clap is a loud sound too short for the recogniser to find words in.
func clap() []int16 {
	pcm := make([]int16, 8*80)
	for i := range pcm {
		pcm[i] = int16(8000 * ((i*7919)%201 - 100) / 100)
	}
	return pcm
}

func TestBackchannelDoesNotInterrupt(t *testing.T) {
	r := call(t, func(r *rig) {
		r.brain.answers = []string{longAnswer}
		r.sim.STT.Texts = []string{"when are you open", "uh-huh"}
	}, func(r *rig) {
		asked(r)
		r.speak(300 * time.Millisecond)
		r.wait(15 * time.Second)
	})
	r.want(event.EntryBackchannel, "uh-huh")
	r.count(event.EntryCut, 0)
	if !strings.HasSuffix(r.said(), longAnswer) {
		t.Errorf("said %q\n%s", r.said(), r.dump())
	}
}

func TestShortWordInterrupts(t *testing.T) {
	r := call(t, func(r *rig) {
		r.brain.answers = []string{longAnswer, "All right."}
		r.sim.STT.Texts = []string{"when are you open", "stop"}
	}, func(r *rig) {
		asked(r)
		r.speak(300 * time.Millisecond)
		r.wait(4 * time.Second)
	})
	r.count(event.EntryCut, 1)
	if len(r.brain.turns) != 2 || r.brain.turns[1].Text != "stop" {
		t.Errorf("turns %+v\n%s", r.brain.turns, r.dump())
	}
}

func TestPartialWordsInterruptAtOnce(t *testing.T) {
	r := call(t, func(r *rig) {
		r.brain.answers = []string{longAnswer, "All right."}
		r.sim.STT.Partials = true
		r.sim.STT.Texts = []string{"when are you open", "no wait a moment"}
		r.cfg.Interruption.CutAfter = 5 * time.Second
	}, func(r *rig) {
		asked(r)
		r.speak(time.Second)
		r.wait(4 * time.Second)
	})
	paused, cut := r.find(event.EntryPaused), r.find(event.EntryCut)
	if len(paused) != 1 || len(cut) != 1 || cut[0].AtUS-paused[0].AtUS > 500_000 {
		t.Errorf("words did not cut the reply in time\n%s", r.dump())
	}
}

func TestInterruptionSwitchedOff(t *testing.T) {
	r := call(t, func(r *rig) {
		r.brain.answers = []string{longAnswer}
		r.cfg.Interruption.Off = true
	}, func(r *rig) {
		asked(r)
		r.speak(time.Second)
		r.wait(15 * time.Second)
	})
	r.count(event.EntryPaused, 0)
	if len(r.brain.turns) != 1 || !strings.HasSuffix(r.said(), longAnswer) {
		t.Errorf("%d turns, said %q", len(r.brain.turns), r.said())
	}
}

func TestCallerGoesOnBeforeTheAnswer(t *testing.T) {
	r := call(t, func(r *rig) {
		r.brain.answers = []string{"Never heard.", "Booked."}
		r.sim.TTS.Latency.A = 900 * time.Millisecond
		r.cfg.Limits.FillerAfter = -1
		r.sim.STT.Texts = []string{"I would like to", "book a table"}
	}, func(r *rig) {
		r.wait(5 * time.Second)
		r.speak(time.Second)
		r.wait(800 * time.Millisecond) // past the endpoint
		r.speak(time.Second)
		r.wait(5 * time.Second)
	})
	if len(r.brain.turns) != 2 || r.brain.turns[1].Text != "I would like to book a table" || !r.brain.turns[1].Continues {
		t.Errorf("turns %+v\n%s", r.brain.turns, r.dump())
	}
	if strings.Contains(r.said(), "Never heard") {
		t.Errorf("said %q", r.said())
	}
}

func TestTypedTextInterrupts(t *testing.T) {
	r := call(t, withAnswers(longAnswer, "Fine."), func(r *rig) {
		asked(r)
		r.event(media.LegEvent{Kind: media.LegText, Text: "never mind"})
		r.wait(2 * time.Second)
	})
	r.count(event.EntryCut, 1)
	if n := len(r.brain.turns); n != 2 || r.brain.turns[1].Kind != InputText || r.brain.turns[1].Text != "never mind" {
		t.Errorf("turns %+v", r.brain.turns)
	}
}

// A carrier plays late and says so with its marks: what it has not played was not heard.
func TestLedgerFollowsTheCarrier(t *testing.T) {
	heard := func(buffer int64) int {
		r := call(t, func(r *rig) {
			r.brain.answers = []string{longAnswer, "Sorry."}
			r.leg.buffer = buffer
		}, func(r *rig) {
			asked(r)
			r.speak(1500 * time.Millisecond)
			r.wait(3 * time.Second)
		})
		return len(r.brain.heards[len(r.brain.heards)-1].text)
	}
	if now, late := heard(0), heard(50); late >= now || late == 0 {
		t.Errorf("heard %d characters with nothing buffered and %d with a second", now, late)
	}
}

// A carrier that says nothing of what it played must not freeze the call.
func TestCarrierWithoutMarks(t *testing.T) {
	r := call(t, func(r *rig) { r.leg.noPlay = true }, func(r *rig) {
		r.wait(6 * time.Second)
		r.speak(time.Second)
		r.wait(6 * time.Second)
	})
	if !strings.HasSuffix(r.said(), "I see.") {
		t.Errorf("said %q\n%s", r.said(), r.dump())
	}
}
