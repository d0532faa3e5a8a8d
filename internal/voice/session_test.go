package voice

import (
	"fmt"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/event"
)

func line(e event.Entry) string {
	return fmt.Sprintf("%9.3f t%d g%d %-20s %s %v", float64(e.AtUS)/1e6, e.Turn, e.Gen, e.Kind, e.Text, e.Data)
}

func TestGreetingTurnAndHangup(t *testing.T) {
	r := call(t, func(r *rig) {
		r.brain.answers = []string{"We are open from nine to five."}
		r.sim.STT.Texts = []string{"when are you open"}
	}, func(r *rig) {
		r.wait(3 * time.Second)
		r.speak(time.Second)
		r.wait(5 * time.Second)
	})
	r.want(event.EntryAgentSaid, "Hello, how can I help you?", "We are open from nine to five.")
	r.want(event.EntrySTTFinal, "when are you open")
	r.count(event.EntryEndOfSpeech, 1)
	r.count(event.EntryFirstFrame, 2)
	r.count(event.EntryEnded, 1)
	if len(r.brain.turns) != 1 || r.brain.turns[0].Text != "when are you open" {
		t.Errorf("turns: %+v", r.brain.turns)
	}
	if len(r.brain.heards) != 1 || r.brain.heards[0].text != "Hello, how can I help you?" || r.brain.heards[0].cut {
		t.Errorf("heard: %+v", r.brain.heards)
	}
	if r.out.Cause.By != "caller" || r.out.Turns != 1 || r.out.Leaked != 0 {
		t.Errorf("outcome: %+v", r.out)
	}
	if len(r.latency) != 1 || r.latency[0] > 2*time.Millisecond {
		t.Errorf("latency: %v\n%s", r.latency, r.dump())
	}
	if t.Failed() || testing.Verbose() {
		t.Log("\n" + r.dump())
	}
}
