package turn

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const ms = time.Millisecond

func config() *Config {
	return &Config{
		Interrupt: true, Endpoint: 550 * ms, PauseEndpoint: 300 * ms, MaxUtterance: 30 * time.Second,
		CutAfter: 400 * ms, Hang: 200 * ms, Confirm: time.Second, UnclearAfter: 400 * ms,
		STTTimeout: 5 * time.Second, ReplyTimeout: 15 * time.Second, FillerAfter: 1200 * ms,
		Idle: 8 * time.Second, Reprompts: 2, MaxDuration: time.Hour, EndWithin: 30 * time.Second,
		Digits:       DigitRule{Max: 1, First: 8 * time.Second, Inter: 3 * time.Second},
		Backchannels: Backchannels("en-US"),
	}
}

// walk is a machine under test: it takes events and remembers actions as words.
type walk struct {
	c   *Config
	s   State
	now time.Duration
	log []string
}

func start() *walk {
	w := &walk{c: config()}
	w.at(0, Event{Kind: Begin})
	return w
}

// greeted has heard the greeting and is being listened to.
func greeted() *walk {
	w := start()
	w.at(100*ms, Event{Kind: FirstFrame, Gen: 1})
	w.at(2*time.Second, Event{Kind: ReplyDone, Gen: 1})
	w.log = nil
	return w
}

func (w *walk) at(now time.Duration, e Event) {
	w.until(now)
	w.step(e)
}

// until fires the deadlines before now.
func (w *walk) until(now time.Duration) {
	for {
		at, ok := w.s.Deadline()
		if !ok || at > now {
			break
		}
		w.now = max(w.now, at)
		w.step(Event{})
	}
	w.now = now
}

func (w *walk) step(e Event) {
	var out []Action
	w.s, out = Step(w.c, w.s, e, w.now, nil)
	for _, a := range out {
		w.log = append(w.log, word(a))
	}
}

func word(a Action) string {
	switch a.Kind {
	case Ask:
		more := ""
		if a.Retry {
			more = " retry"
		}
		if a.Input.Continues {
			more += " continues"
		}
		return fmt.Sprintf("ask %d %d %q%s", a.Gen, a.Input.Kind, a.Input.Text, more)
	case Say:
		return fmt.Sprintf("say %d line %d", a.Gen, a.Line)
	case Filler:
		return fmt.Sprintf("filler %d", a.Gen)
	case Cancel:
		return fmt.Sprintf("cancel %d %v", a.Gen, a.Cut)
	case Paused:
		return "paused"
	case Resumed:
		return "resumed"
	case Backchannel:
		return "backchannel " + a.Text
	case BeginUtterance:
		return fmt.Sprintf("begin %d", a.Utterance)
	case EndUtterance:
		return fmt.Sprintf("end %d", a.Utterance)
	case DropUtterance:
		return fmt.Sprintf("drop %d", a.Utterance)
	case Failed:
		return "failed " + a.Text
	case DoTransfer:
		return "transfer " + a.Text
	case DoHangup:
		return "hangup " + a.Text
	}
	return "?"
}

func (w *walk) want(t *testing.T, phase Phase, log ...string) {
	t.Helper()
	if got, want := strings.Join(w.log, "; "), strings.Join(log, "; "); got != want {
		t.Errorf("actions:\n got %s\nwant %s", got, want)
	}
	if got := w.s.Phase(); got != phase {
		t.Errorf("phase %s, want %s", got, phase)
	}
	w.log = nil
}

// speaking is in the middle of the answer to a first turn, at 5 s.
func speaking() *walk {
	w := greeted()
	w.at(3*time.Second, Event{Kind: SpeechStart, Lag: 80 * ms})
	w.at(4*time.Second, Event{Kind: SpeechEnd, Lag: 200 * ms})
	w.until(4400 * ms)
	w.at(4400*ms, Event{Kind: Final, Utterance: 1, Text: "hello", Confidence: 0.9})
	w.at(4500*ms, Event{Kind: FirstFrame, Gen: 2})
	w.now = 5 * time.Second
	w.log = nil
	return w
}

func TestTurn(t *testing.T) {
	w := start()
	w.want(t, PhaseGreeting, `ask 1 0 ""`)
	w.at(100*ms, Event{Kind: FirstFrame, Gen: 1})
	w.at(2*time.Second, Event{Kind: ReplyDone, Gen: 1})
	w.want(t, PhaseListening)
	w.at(3*time.Second, Event{Kind: SpeechStart, Lag: 80 * ms})
	w.want(t, PhaseHearing, "begin 1")
	w.at(4*time.Second, Event{Kind: SpeechEnd, Lag: 200 * ms})
	w.want(t, PhaseEndpoint)
	w.until(4349 * ms)
	w.want(t, PhaseEndpoint)
	w.until(4350 * ms) // 550 ms after the last sound
	w.want(t, PhaseThinking, "end 1")
	w.at(4400*ms, Event{Kind: Final, Utterance: 1, Text: "hello", Confidence: 0.9})
	w.want(t, PhaseThinking, `ask 2 1 "hello"`)
	w.at(4500*ms, Event{Kind: FirstFrame, Gen: 2})
	w.want(t, PhaseSpeaking)
	w.at(6*time.Second, Event{Kind: ReplyDone, Gen: 2})
	w.want(t, PhaseListening)
}

func TestEndpointing(t *testing.T) {
	for _, c := range []struct {
		partial string
		want    time.Duration // of silence
	}{
		{"", 550 * ms},
		{"I would like to book a table", 550 * ms},
		{"I would like a table for two.", 385 * ms},
		{"I would like to", 990 * ms},
		{"I was there on Monday, and", 990 * ms},
		{"two pizzas,", 990 * ms},
		{"yes", 440 * ms},
	} {
		w := greeted()
		w.at(3*time.Second, Event{Kind: SpeechStart})
		if c.partial != "" {
			w.at(3200*ms, Event{Kind: Partial, Utterance: 1, Text: c.partial})
		}
		w.at(3700*ms, Event{Kind: SpeechEnd, Lag: 200 * ms})
		for w.s.Caller != CallerQuiet {
			at, _ := w.s.Deadline()
			w.until(at)
		}
		if got := w.now - 3500*ms; got != c.want {
			t.Errorf("%q ends after %v, want %v", c.partial, got, c.want)
		}
	}
}

func TestSpeechThatGoesOnIsOneTurn(t *testing.T) {
	w := greeted()
	w.at(3*time.Second, Event{Kind: SpeechStart})
	w.at(4*time.Second, Event{Kind: SpeechEnd, Lag: 200 * ms})
	w.at(4200*ms, Event{Kind: SpeechStart})
	w.at(5*time.Second, Event{Kind: SpeechEnd, Lag: 200 * ms})
	w.until(6 * time.Second)
	w.want(t, PhaseThinking, "begin 1", "end 1")
}

func TestPossibleInterruption(t *testing.T) {
	type at struct {
		ms int
		e  Event
	}
	begin := at{0, Event{Kind: SpeechStart, Lag: 80 * ms}}
	short := at{400, Event{Kind: SpeechEnd, Lag: 200 * ms}}
	for _, c := range []struct {
		name   string
		events []at
		until  int
		phase  Phase
		want   []string
	}{
		{"long speech cuts", []at{begin}, 520, PhaseHearing, []string{"begin 2", "paused", "cancel 2 true"}},
		{"not a moment earlier", []at{begin}, 519, PhasePaused, []string{"begin 2", "paused"}},
		{"words cut at once", []at{begin, {200, Event{Kind: Partial, Utterance: 2, Text: "no stop"}}}, 200, PhaseHearing,
			[]string{"begin 2", "paused", "cancel 2 true"}},
		{"a noise resumes", []at{begin, short, {600, Event{Kind: Final, Utterance: 2}}}, 700, PhaseSpeaking,
			[]string{"begin 2", "paused", "end 2", "resumed"}},
		{"a backchannel resumes", []at{begin, short, {600, Event{Kind: Final, Utterance: 2, Text: "Uh-huh, okay."}}}, 700, PhaseSpeaking,
			[]string{"begin 2", "paused", "end 2", "backchannel Uh-huh, okay.", "resumed"}},
		{"a short word cuts", []at{begin, short, {600, Event{Kind: Final, Utterance: 2, Text: "stop"}}}, 700, PhaseThinking,
			[]string{"begin 2", "paused", "end 2", "cancel 2 true", `ask 3 1 "stop"`}},
		{"no words in time resume", []at{begin, short}, 2000, PhaseSpeaking,
			[]string{"begin 2", "paused", "end 2", "drop 2", "resumed"}},
		{"a failing recogniser resumes", []at{begin, short, {600, Event{Kind: RecogniseFail, Utterance: 2}}}, 700, PhaseSpeaking,
			[]string{"begin 2", "paused", "end 2", "resumed"}},
		{"the reply ends meanwhile", []at{begin, short, {450, Event{Kind: ReplyDone, Gen: 2}}, {900, Event{Kind: Final, Utterance: 2, Text: "okay"}}},
			1000, PhaseThinking, []string{"begin 2", "paused", "end 2", `ask 3 1 "okay"`}},
		{"a long backchannel is looked at again", []at{begin, {300, Event{Kind: Partial, Utterance: 2, Text: "mhm"}}}, 600, PhasePaused,
			[]string{"begin 2", "paused"}},
		{"and cuts in the end", []at{begin, {300, Event{Kind: Partial, Utterance: 2, Text: "mhm"}}}, 1500, PhaseHearing,
			[]string{"begin 2", "paused", "cancel 2 true"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := speaking()
			for _, e := range c.events {
				w.at(5*time.Second+time.Duration(e.ms)*ms, e.e)
			}
			w.until(5*time.Second + time.Duration(c.until)*ms)
			w.want(t, c.phase, c.want...)
		})
	}
}

func TestCallerGoesOnWhileWeThink(t *testing.T) {
	w := greeted()
	w.at(3*time.Second, Event{Kind: SpeechStart})
	w.at(4*time.Second, Event{Kind: SpeechEnd, Lag: 200 * ms})
	w.at(4400*ms, Event{Kind: Final, Utterance: 1, Text: "I would like", Confidence: 0.9})
	w.at(4600*ms, Event{Kind: SpeechStart})
	w.until(5300 * ms)
	w.want(t, PhaseHearing, "begin 1", "end 1", `ask 2 1 "I would like"`, "begin 2", "paused", "cancel 2 false")
	w.at(5400*ms, Event{Kind: SpeechEnd, Lag: 200 * ms})
	w.at(6*time.Second, Event{Kind: Final, Utterance: 2, Text: "a table", Confidence: 0.8})
	w.want(t, PhaseThinking, "end 2", `ask 3 1 "I would like a table" continues`)
}

func TestWordsOfTwoUtterancesAreOneTurn(t *testing.T) {
	w := greeted()
	w.at(3*time.Second, Event{Kind: SpeechStart})
	w.at(4*time.Second, Event{Kind: SpeechEnd, Lag: 200 * ms})
	w.until(4350 * ms)
	w.at(4400*ms, Event{Kind: SpeechStart}) // before the first one's words are there
	w.at(5*time.Second, Event{Kind: Final, Utterance: 1, Text: "one", Confidence: 0.9})
	w.at(5400*ms, Event{Kind: SpeechEnd, Lag: 200 * ms})
	w.until(6 * time.Second)
	w.at(6*time.Second, Event{Kind: Final, Utterance: 2, Text: "two", Confidence: 0.8})
	if got := w.log[len(w.log)-1]; got != `ask 3 1 "one two"` {
		t.Errorf("got %s in %v", got, w.log)
	}
}

func TestLateFinalIsIgnored(t *testing.T) {
	w := speaking()
	w.at(5*time.Second, Event{Kind: Final, Utterance: 1, Text: "again"})
	w.at(5*time.Second, Event{Kind: Final, Utterance: 9, Text: "unknown"})
	w.want(t, PhaseSpeaking)
}

func TestStaleRepliesAreIgnored(t *testing.T) {
	w := speaking()
	for _, k := range []EventKind{FirstFrame, ReplyDone, ReplyFail, Collect, Hangup, Transfer} {
		w.at(5*time.Second, Event{Kind: k, Gen: 1, Text: "x"})
	}
	w.want(t, PhaseSpeaking)
}

func TestNothingUnderstood(t *testing.T) {
	w := greeted()
	w.at(3*time.Second, Event{Kind: SpeechStart})
	w.at(4*time.Second, Event{Kind: SpeechEnd, Lag: 200 * ms})
	w.at(5*time.Second, Event{Kind: Final, Utterance: 1})
	w.want(t, PhaseThinking, "begin 1", "end 1", fmt.Sprintf(`ask 2 %d ""`, InputUnclear))

	w = greeted() // a cough
	w.at(3*time.Second, Event{Kind: SpeechStart})
	w.at(3400*ms, Event{Kind: SpeechEnd, Lag: 200 * ms})
	w.at(4*time.Second, Event{Kind: Final, Utterance: 1})
	w.want(t, PhaseListening, "begin 1", "end 1", "cancel 2 false")
}

func TestRecogniserTwiceLate(t *testing.T) {
	w := greeted()
	w.at(3*time.Second, Event{Kind: SpeechStart})
	w.at(4*time.Second, Event{Kind: SpeechEnd, Lag: 200 * ms})
	w.until(9400 * ms)
	w.want(t, PhaseThinking, "begin 1", "end 1", "filler 2", "failed stt", "drop 1", fmt.Sprintf(`ask 2 %d ""`, InputUnclear))
	w.at(9500*ms, Event{Kind: FirstFrame, Gen: 2})
	w.at(10*time.Second, Event{Kind: ReplyDone, Gen: 2})
	w.at(11*time.Second, Event{Kind: SpeechStart})
	w.at(12*time.Second, Event{Kind: SpeechEnd, Lag: 200 * ms})
	w.until(18 * time.Second)
	w.want(t, PhaseEnding, "begin 2", "end 2", "filler 3", "failed stt", "drop 2", "cancel 3 false", "say 4 line 3")
}

func TestFailures(t *testing.T) {
	answerable := func() *walk {
		w := greeted()
		w.at(3*time.Second, Event{Kind: Typed, Text: "hi"})
		w.log = nil
		return w
	}
	w := answerable()
	w.at(4*time.Second, Event{Kind: ReplyFail, Gen: 2})
	w.want(t, PhaseThinking, "cancel 2 false", `ask 3 2 "hi" retry`)
	w.at(4*time.Second, Event{Kind: ReplyFail, Gen: 3})
	w.want(t, PhaseEnding, "cancel 3 false", "say 4 line 3")
	w.at(5*time.Second, Event{Kind: FirstFrame, Gen: 4})
	w.at(6*time.Second, Event{Kind: ReplyDone, Gen: 4})
	w.want(t, PhaseOver, "hangup vendor_failed")

	w = answerable()
	w.at(4*time.Second, Event{Kind: ReplyFail, Gen: 2, Fatal: true})
	w.want(t, PhaseEnding, "cancel 2 false", "say 3 line 3")
	w.at(5*time.Second, Event{Kind: ReplyFail, Gen: 3})
	w.want(t, PhaseOver, "hangup vendor_failed")

	w = answerable() // nothing comes at all
	w.until(5 * time.Minute)
	w.want(t, PhaseOver, "filler 2", "filler 2", "filler 2", "failed reply", "cancel 2 false", `ask 3 2 "hi" retry`,
		"filler 3", "filler 3", "filler 3", "filler 3", "failed reply", "cancel 3 false", "say 4 line 3", "failed reply", "hangup vendor_failed")

	w = answerable() // midway: what was said stands
	w.at(4*time.Second, Event{Kind: FirstFrame, Gen: 2})
	w.at(5*time.Second, Event{Kind: ReplyFail, Gen: 2})
	w.at(6*time.Second, Event{Kind: ReplyDone, Gen: 2})
	w.want(t, PhaseListening)
}

func TestIdleThenGoodbye(t *testing.T) {
	w := greeted()
	for gen := 2; gen <= 3; gen++ {
		w.until(w.now + 8*time.Second)
		w.want(t, PhaseThinking, fmt.Sprintf("say %d line 1", gen))
		w.at(w.now, Event{Kind: FirstFrame, Gen: gen})
		w.at(w.now+time.Second, Event{Kind: ReplyDone, Gen: gen})
	}
	w.until(w.now + 8*time.Second)
	w.want(t, PhaseEnding, "say 4 line 2")
	w.at(w.now, Event{Kind: FirstFrame, Gen: 4})
	silent := *w
	silent.at(w.now+time.Second, Event{Kind: ReplyDone, Gen: 4})
	silent.want(t, PhaseOver, "hangup idle")

	// Whoever speaks up during the goodbye is heard, whether it is over before they are or not.
	w.at(w.now, Event{Kind: SpeechStart})
	late := *w
	w.until(w.now + time.Second)
	w.want(t, PhaseHearing, "begin 1", "paused", "cancel 4 true")
	w.until(w.now + 40*time.Second)
	if w.s.Over {
		t.Error("the caller is hung up on while they speak")
	}
	late.at(late.now, Event{Kind: ReplyDone, Gen: 4})
	late.want(t, PhaseHearing, "begin 1", "paused")
	late.at(late.now+time.Second, Event{Kind: SpeechEnd, Lag: 200 * ms})
	late.until(late.now + time.Second)
	late.at(late.now, Event{Kind: Final, Utterance: 1, Text: "wait", Confidence: 1})
	late.want(t, PhaseThinking, "end 1", `ask 5 1 "wait"`)
}

func TestCollect(t *testing.T) {
	w := speaking()
	w.at(5*time.Second, Event{Kind: Collect, Gen: 2, Rule: DigitRule{Max: 4, Terminator: '#', First: 6 * time.Second, Inter: 2 * time.Second}})
	w.at(6*time.Second, Event{Kind: ReplyDone, Gen: 2})
	w.want(t, PhaseCollecting)
	w.at(7*time.Second, Event{Kind: Digit, Digit: '1'})
	w.at(8*time.Second, Event{Kind: Digit, Digit: '2'})
	w.at(9*time.Second, Event{Kind: Digit, Digit: '#'})
	w.want(t, PhaseThinking, `ask 3 3 "12"`)
}

func TestHoldShiftsTheDeadlines(t *testing.T) {
	w := greeted()
	before, _ := w.s.Deadline()
	w.at(5*time.Second, Event{Kind: Hold, On: true})
	if !w.s.Muted() {
		t.Error("a held call is not muted")
	}
	w.at(time.Minute+5*time.Second, Event{Kind: Hold})
	if after, _ := w.s.Deadline(); after != before+time.Minute {
		t.Errorf("the deadline is %v, was %v before a minute's hold", after, before)
	}
}

func TestTransferThatHangs(t *testing.T) {
	w := speaking()
	w.at(5*time.Second, Event{Kind: Transfer, Gen: 2, Text: "sip:a"})
	w.at(6*time.Second, Event{Kind: ReplyDone, Gen: 2})
	w.want(t, PhaseEnding, "transfer sip:a")
	w.until(time.Minute)
	w.want(t, PhaseOver, "hangup transferred")
}
