package turn

import (
	"math/rand/v2"
	"testing"
	"time"
)

// checker plays the world around the machine and checks what must hold in any state.
type checker struct {
	t     testing.TB
	c     *Config
	s     State
	now   time.Duration
	alive int // the generation that may speak; 0 none
	last  int // the highest generation seen
	open  int // the utterance begun
	ended map[int]bool
	trail []Event
	said  int  // disclosures heard to their end since the call, or its message, began
	line  Line // being said
	final bool // last words of a call that ends early
}

func newChecker(t testing.TB) *checker { return newCheckerOf(t, config()) }

func newCheckerOf(t testing.TB, c *Config) *checker {
	k := &checker{t: t, c: c, ended: map[int]bool{}}
	k.step(Event{Kind: Begin})
	return k
}

func (k *checker) fail(format string, args ...any) {
	k.t.Helper()
	k.t.Logf("trail: %+v", k.trail)
	k.t.Fatalf(format, args...)
}

func (k *checker) step(e Event) {
	k.trail = append(k.trail, e)
	gen := k.s.Gen
	over := k.s.Over
	var out []Action
	k.s, out = Step(k.c, k.s, e, k.now, nil)
	if k.s.Gen < gen {
		k.fail("the generation went back from %d to %d", gen, k.s.Gen)
	}
	if over && len(out) > 0 {
		k.fail("actions after the end: %v", out)
	}
	if e.Kind == ReplyDone && e.Gen == k.alive {
		k.alive = 0
		if k.line == LineDisclosure && !over {
			k.said++
		}
	}
	for _, a := range out {
		k.action(a)
	}
	if k.s.Paused && !k.s.Over && k.s.Agent == AgentQuiet {
		k.fail("a pause without a reply")
	}
	if !k.s.Over {
		if _, ok := k.s.Deadline(); !ok {
			k.fail("no deadline in phase %s: the machine could wait for ever", k.s.Phase())
		}
	}
}

func (k *checker) action(a Action) {
	switch a.Kind {
	case Ask, Say:
		if k.alive != 0 {
			k.fail("reply %d begins while %d is alive", a.Gen, k.alive)
		}
		if a.Gen <= k.last {
			k.fail("reply %d begins after %d", a.Gen, k.last)
		}
		k.alive, k.last = a.Gen, a.Gen
		k.disclosed(a)
	case Filler:
		if a.Gen < k.last || k.alive != 0 && k.alive != a.Gen {
			k.fail("filler of %d while %d is alive", a.Gen, k.alive)
		}
	case Cancel:
		if a.Gen == k.alive {
			k.alive = 0
		}
	case BeginUtterance:
		if k.open != 0 {
			k.fail("utterance %d begins in utterance %d", a.Utterance, k.open)
		}
		k.open = a.Utterance
	case EndUtterance:
		if k.open != a.Utterance {
			k.fail("utterance %d ends, %d is open", a.Utterance, k.open)
		}
		k.open = 0
		k.ended[a.Utterance] = true
	case DropUtterance:
		if k.open == a.Utterance {
			k.open = 0
		}
		delete(k.ended, a.Utterance)
	}
}

// disclosed fails when something is said before what must be said first. That the call is over may be said always.
func (k *checker) disclosed(a Action) {
	if k.line = a.Line; a.Kind == Ask {
		k.line = 0
	}
	switch {
	case k.final || k.line == LineTimeUp || k.line == LineOptedOut:
		k.final = true
	case k.line == LineDisclosure:
		if a.N == 0 {
			k.said = 0
		}
		if a.N != k.said {
			k.fail("disclosure %d after %d of them", a.N, k.said)
		}
	case k.said < k.c.Disclosures:
		k.fail("line %d is said after %d of %d disclosures", k.line, k.said, k.c.Disclosures)
	}
	if k.s.detecting || k.s.waiting {
		k.fail("line %d is said before it is known who answered", k.line)
	}
}

// random is an event that may come at any time, sensible or not.
func (k *checker) random(r *rand.Rand) Event {
	texts := []string{"", "yes", "uh-huh", "I want to", "stop it now."}
	e := Event{
		Kind: EventKind(r.IntN(int(numEvents))), Gen: k.s.Gen - r.IntN(2), Utterance: k.s.Utterance() - r.IntN(2),
		Text: texts[r.IntN(len(texts))], Confidence: r.Float64(), Digit: "0123456789*#"[r.IntN(12)],
		Rule:  DigitRule{Max: 1 + r.IntN(5), Terminator: '#', First: time.Second, Inter: time.Second},
		Fatal: r.IntN(20) == 0, On: r.IntN(2) == 0,
	}
	// What ends a call at once would make the walks short.
	switch e.Kind {
	case LegEnded, Hangup, Transfer, Unusable, OptOut:
		if r.IntN(10) == 0 {
			return e
		}
		e.Kind = Timer
	case AnsweredMachine, Record, Answered:
		if r.IntN(3) == 0 {
			return e
		}

		e.Kind = Timer
	}
	return e
}

// placed is the configuration of a call of ours, of one kind or another.
func placed(r *rand.Rand) *Config {
	c := config()
	c.Detect, c.DetectFor = r.IntN(4) > 0, 6*time.Second
	c.OnMachine, c.MessageWait, c.MessageFor = OnMachine(r.IntN(3)), time.Minute, time.Minute
	c.Disclosures = r.IntN(3)
	c.Interrupt = r.IntN(4) > 0
	return c
}

// pass lets d go by with a Timer event at each deadline, as the session does.
func (k *checker) pass(d time.Duration) {
	end := k.now + d
	for !k.s.Over {
		at, ok := k.s.Deadline()
		if !ok || at > end {
			break
		}
		if at > k.now {
			k.now = at
		}
		before := k.s
		k.step(Event{})
		if next, ok := k.s.Deadline(); ok && next <= k.now && k.s == before {
			k.fail("a deadline that is not handled, in phase %s", k.s.Phase())
		}
	}
	k.now = max(k.now, end)
}

// quiet plays the rest of a call whose caller says nothing more and whose vendors work, and fails unless it
// ends.
func (k *checker) quiet() {
	k.step(Event{Kind: Hold})
	k.step(Event{Kind: SpeechEnd})
	for range 400 {
		if k.s.Over {
			return
		}
		for id := range k.ended {
			delete(k.ended, id)
			k.step(Event{Kind: Final, Utterance: id})
		}
		if k.alive != 0 && !k.s.Paused {
			k.step(Event{Kind: FirstFrame, Gen: k.alive})
			k.pass(time.Second)
			if k.alive != 0 && !k.s.Paused {
				k.step(Event{Kind: ReplyDone, Gen: k.alive})
			}
		}
		k.pass(time.Second)
	}
	k.fail("a quiet caller is never let go: phase %s at %v", k.s.Phase(), k.now)
}

// dead plays on with a world that never answers: only the timers are left.
func (k *checker) dead() {
	k.step(Event{Kind: Hold})
	k.pass(2 * time.Hour)
	if !k.s.Over {
		k.fail("a dead world keeps the call in phase %s", k.s.Phase())
	}
}

func randomWalk(t testing.TB, seed uint64, steps int, finish func(*checker)) {
	r := rand.New(rand.NewPCG(seed, 1))
	k := newChecker(t)
	if seed%2 == 1 {
		k = newCheckerOf(t, placed(r))
	}
	for range steps {
		k.step(k.random(r))
		if r.IntN(2) == 0 {
			k.pass(time.Duration(r.IntN(1500)) * time.Millisecond)
		}
		if k.s.Paused && !k.s.Held && r.IntN(30) == 0 { // a pause always ends
			k.step(Event{Kind: SpeechEnd})
			k.pass(10 * time.Second)
			if k.s.Paused {
				k.fail("still paused 10 s after the last sound")
			}
		}
	}
	finish(k)
}

func TestRandomWalks(t *testing.T) {
	for seed := range uint64(3000) {
		randomWalk(t, seed, 80, (*checker).quiet)
		randomWalk(t, seed, 80, (*checker).dead)
	}
}

func FuzzWalk(f *testing.F) {
	f.Add(uint64(1), 50)
	f.Fuzz(func(t *testing.T, seed uint64, steps int) {
		randomWalk(t, seed, min(max(steps, 0), 500), (*checker).quiet)
	})
}

// A paused reply is decided even when the caller never stops talking.
func TestPauseEndsWhileTalking(t *testing.T) {
	k := newChecker(t)
	k.step(Event{Kind: FirstFrame, Gen: 1})
	k.now = time.Second
	k.step(Event{Kind: SpeechStart})
	k.step(Event{Kind: Partial, Utterance: 1, Text: "mhm"})
	k.pass(3 * time.Second)
	if k.s.Paused {
		t.Fatal("still paused after 3 s of speech")
	}
}

// The same events at the same times give the same states and actions.
func TestStepIsPure(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	k := newChecker(t)
	for range 2000 {
		e := k.random(r)
		a, x := Step(k.c, k.s, e, k.now, nil)
		b, y := Step(k.c, k.s, e, k.now, nil)
		if a != b || len(x) != len(y) {
			t.Fatalf("two steps of %+v differ", e)
		}
		if k.s.Over {
			k = newChecker(t)
		}
		k.step(e)
		k.pass(100 * time.Millisecond)
	}
}
