package turn

import (
	"testing"
	"time"
)

// outbound is a call of ours that was answered a moment ago.
func outbound(edit func(*Config)) *walk {
	c := config()
	c.Detect, c.DetectFor, c.MessageWait, c.MessageFor = true, 6*time.Second, time.Minute, time.Minute
	edit(c)
	w := &walk{c: c}
	w.at(0, Event{Kind: Begin})
	return w
}

// A person says hello, is told what must be said, and is greeted. Their hello is no turn.
func TestOutsetOfAPerson(t *testing.T) {
	w := outbound(func(c *Config) { c.Disclosures = 2 })
	w.want(t, PhaseDetecting)
	w.at(500*ms, Event{Kind: SpeechStart})
	w.at(1100*ms, Event{Kind: SpeechEnd, Lag: 200 * ms})
	w.at(1600*ms, Event{Kind: Answered})
	w.want(t, PhaseThinking, "begin 1", "end 1", "say 1 line 5")
	w.at(1700*ms, Event{Kind: FirstFrame, Gen: 1})
	w.at(1800*ms, Event{Kind: Final, Utterance: 1, Text: "hello"})
	w.at(2000*ms, Event{Kind: SpeechStart}) // they speak over it: it goes on
	w.at(2900*ms, Event{Kind: SpeechEnd, Lag: 200 * ms})
	w.at(2950*ms, Event{Kind: Digit, Digit: '5'})
	w.at(4*time.Second, Event{Kind: Final, Utterance: 2, Text: "who is this"})
	w.want(t, PhaseSpeaking, "begin 2", "end 2")
	w.at(5*time.Second, Event{Kind: ReplyDone, Gen: 1})
	w.want(t, PhaseThinking, "say 2 line 5")
	w.at(5100*ms, Event{Kind: FirstFrame, Gen: 2})
	w.at(7*time.Second, Event{Kind: ReplyDone, Gen: 2})
	w.want(t, PhaseGreeting, `ask 3 0 ""`)
	w.at(7100*ms, Event{Kind: FirstFrame, Gen: 3})
	w.at(9*time.Second, Event{Kind: ReplyDone, Gen: 3})
	w.want(t, PhaseListening)
}

// Nothing tells who answered: a person, for all we know.
func TestOutsetTimesOut(t *testing.T) {
	w := outbound(func(*Config) {})
	w.until(6100 * ms)
	w.want(t, PhaseGreeting, `ask 1 0 ""`)
}

func TestMachineIsHungUpOn(t *testing.T) {
	w := outbound(func(c *Config) { c.Disclosures = 1 })
	w.at(2*time.Second, Event{Kind: SpeechStart})
	w.at(4*time.Second, Event{Kind: AnsweredMachine})
	w.want(t, PhaseOver, "begin 1", "drop 1", "hangup machine")
}

func TestMessageIsLeft(t *testing.T) {
	w := outbound(func(c *Config) { c.OnMachine, c.Disclosures = MachineMessage, 1 })
	w.at(3*time.Second, Event{Kind: AnsweredMachine})
	w.want(t, PhaseWaiting)
	w.at(20*time.Second, Event{Kind: Record})
	w.want(t, PhaseThinking, "say 1 line 5")
	w.at(20100*ms, Event{Kind: FirstFrame, Gen: 1})
	w.at(22*time.Second, Event{Kind: ReplyDone, Gen: 1})
	w.want(t, PhaseEnding, "say 2 line 6")
	w.at(22100*ms, Event{Kind: FirstFrame, Gen: 2})
	w.at(23*time.Second, Event{Kind: Record}) // it begins to record only now
	w.want(t, PhaseThinking, "cancel 2 true", "say 3 line 5")
	w.at(23100*ms, Event{Kind: FirstFrame, Gen: 3})
	w.at(24*time.Second, Event{Kind: ReplyDone, Gen: 3})
	w.at(24100*ms, Event{Kind: FirstFrame, Gen: 4})
	w.at(30*time.Second, Event{Kind: ReplyDone, Gen: 4})
	w.want(t, PhaseOver, "say 4 line 6", "hangup message")
}

func TestMachineThatNeverRecords(t *testing.T) {
	w := outbound(func(c *Config) { c.OnMachine = MachineMessage })
	w.at(3*time.Second, Event{Kind: AnsweredMachine})
	w.until(64 * time.Second)
	w.want(t, PhaseOver, "hangup machine")
}

// What was taken for a person is a machine after all: the greeting ends.
func TestMachineAfterAll(t *testing.T) {
	w := outbound(func(c *Config) { c.OnMachine = MachineMessage })
	w.at(time.Second, Event{Kind: Answered})
	w.at(1100*ms, Event{Kind: FirstFrame, Gen: 1})
	w.at(2*time.Second, Event{Kind: AnsweredMachine})
	w.want(t, PhaseWaiting, `ask 1 0 ""`, "cancel 1 true")
	w.at(9*time.Second, Event{Kind: Record})
	w.want(t, PhaseEnding, "say 2 line 6")
}

func TestConversationIsNotTakenBack(t *testing.T) {
	w := outbound(func(*Config) {})
	w.at(time.Second, Event{Kind: Answered})
	w.at(1100*ms, Event{Kind: FirstFrame, Gen: 1})
	w.at(2*time.Second, Event{Kind: ReplyDone, Gen: 1})
	for i := range 3 {
		w.at(time.Duration(3+i)*time.Second, Event{Kind: Typed, Text: "yes"})
	}
	w.log = nil
	w.at(6*time.Second, Event{Kind: AnsweredMachine})
	w.want(t, PhaseThinking)
}

// Without its disclosure a call does not go on, and nothing else is said.
func TestDisclosureThatFails(t *testing.T) {
	for name, fail := range map[string]func(*walk){
		"the voice fails": func(w *walk) { w.at(2*time.Second, Event{Kind: ReplyFail, Gen: 1}) },
		"for good":        func(w *walk) { w.at(2*time.Second, Event{Kind: ReplyFail, Gen: 1, Fatal: true}) },
		"in the midst": func(w *walk) {
			w.at(1100*ms, Event{Kind: FirstFrame, Gen: 1})
			w.at(2*time.Second, Event{Kind: ReplyFail, Gen: 1})
		},
		"it gives no audio": func(w *walk) { w.until(17 * time.Second) },
	} {
		w := outbound(func(c *Config) { c.Disclosures = 1 })
		w.at(time.Second, Event{Kind: Answered})
		w.log = nil
		fail(w)
		if last := w.log[len(w.log)-1]; last != "hangup disclosure_failed" || w.s.Phase() != PhaseOver {
			t.Errorf("%s: %v, phase %s", name, w.log, w.s.Phase())
		}
	}
}

func TestOptOutEndsTheCall(t *testing.T) {
	w := greeted()
	w.at(3*time.Second, Event{Kind: SpeechStart})
	w.at(4*time.Second, Event{Kind: OptOut})
	w.want(t, PhaseEnding, "begin 1", "drop 1", "say 2 line 7")
	w.at(4100*ms, Event{Kind: FirstFrame, Gen: 2})
	w.at(4200*ms, Event{Kind: OptOut})
	w.at(6*time.Second, Event{Kind: ReplyDone, Gen: 2})
	w.want(t, PhaseOver, "hangup opted_out")
}

// A recogniser that is gone for good when the call begins: what must be said is said, then the apology.
func TestDeafOutset(t *testing.T) {
	w := outbound(func(c *Config) { c.Disclosures = 1 })
	w.at(100*ms, Event{Kind: RecogniseFail, Fatal: true})
	w.at(time.Second, Event{Kind: Answered})
	w.at(1100*ms, Event{Kind: FirstFrame, Gen: 1})
	w.at(3*time.Second, Event{Kind: ReplyDone, Gen: 1})
	w.want(t, PhaseEnding, "say 1 line 5", "say 2 line 3")
}

func TestFaxIsLeft(t *testing.T) {
	w := outbound(func(*Config) {})
	w.at(2*time.Second, Event{Kind: Unusable, Text: "fax"})
	w.want(t, PhaseOver, "hangup fax")
}
