package telephony

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/breaker"
	"github.com/parley-voice/parley/internal/platform/fault"
)

func newGates(t *testing.T, change ...func(*GatesConfig)) (*Gates, *quartz.Mock, *[]event.TrunkState) {
	clock, told := quartz.NewMock(t), &[]event.TrunkState{}
	c := GatesConfig{Node: "here", Clock: clock, Rand: func() float64 { return 0 }, Tell: func(s event.TrunkState) { *told = append(*told, s) }}
	for _, f := range change {
		f(&c)
	}
	return NewGates(c), clock, told
}

var carrier = Trunk{ID: "t", Name: "Carrier", Lines: 3, PerSecond: 2}

func TestLinesOfATrunk(t *testing.T) {
	g, clock, _ := newGates(t)
	var calls []*Passage
	for range carrier.Lines {
		p, err := g.Pass("org", carrier, false)
		if err != nil {
			t.Fatal(err)
		}
		calls = append(calls, p)
		clock.Advance(time.Second)
	}
	if _, err := g.Pass("org", carrier, false); !errors.Is(err, ErrLinesBusy) || !fault.Is(err, fault.LimitReached) {
		t.Errorf("one line too many: %v", err)
	}
	if _, err := g.Pass("org", carrier, true); err != nil {
		t.Errorf("lines are counted elsewhere: %v", err)
	}
	calls[0].End()
	calls[0].End() // twice is once
	calls[1].End()
	clock.Advance(time.Second)
	if _, err := g.Pass("org", carrier, false); err != nil {
		t.Errorf("a line that was given back: %v", err)
	}
	if s := g.States(); len(s) != 1 || s[0].Calls != 3 || s[0].State != "closed" || s[0].Reason != "" || s[0].Node != "here" {
		t.Errorf("%+v", s)
	}
}

// In no second begin more calls than the trunk takes, however they come.
func TestCallsASecond(t *testing.T) {
	for _, most := range []int{1, 2, 7} {
		g, clock, _ := newGates(t)
		var begun []time.Time
		for range 400 { // every 20 ms, for 8 s
			p, err := g.Pass("org", Trunk{ID: "t", Lines: 1000, PerSecond: most}, false)
			if err == nil {
				begun = append(begun, clock.Now())
				p.End()
			} else if !errors.Is(err, ErrTooFast) || !fault.Is(err, fault.RateLimited) {
				t.Fatal(err)
			}
			clock.Advance(20 * time.Millisecond)
		}
		for i := range begun {
			if i >= most && begun[i].Sub(begun[i-most]) < time.Second {
				t.Fatalf("%d calls in less than a second, at most %d may begin", most+1, most)
			}
		}
		if len(begun) < 8*most {
			t.Errorf("only %d calls in 8 s, with %d a second", len(begun), most)
		}
	}
}

// A limit that changes counts at once, and does not forget what has begun.
func TestLimitChanges(t *testing.T) {
	g, clock, _ := newGates(t)
	pass := func(perSecond int) error {
		_, err := g.Pass("org", Trunk{ID: "t", Lines: 1000, PerSecond: perSecond}, false)
		return err
	}
	for range 5 {
		if err := pass(5); err != nil {
			t.Fatal(err)
		}
	}
	if err := pass(2); !errors.Is(err, ErrTooFast) {
		t.Errorf("a lower limit: %v", err)
	}
	clock.Advance(time.Second)
	if err := errors.Join(pass(2), pass(2)); err != nil {
		t.Error(err)
	}
	if err := errors.Join(pass(4), pass(4)); err != nil {
		t.Errorf("a higher limit: %v", err)
	}
	if err := pass(4); !errors.Is(err, ErrTooFast) {
		t.Errorf("a higher limit has an end: %v", err)
	}
}

// A trunk that fails is left alone for a while, then tried by one call, and used again when it works. Who is busy or does not answer
// says nothing against it.
func TestABrokenTrunk(t *testing.T) {
	g, clock, told := newGates(t)
	trunk := Trunk{ID: "t", Name: "Carrier", Lines: 100, PerSecond: 100}
	call := func(o breaker.Outcome) error {
		p, err := g.Pass("org", trunk, false)
		if err == nil {
			p.Judge(o, "it answered 503")
			p.Judge(breaker.Good, "") // only the first counts
			p.End()
		}
		return err
	}
	for range 30 {
		if err := call(breaker.Good); err != nil {
			t.Fatal(err)
		}
	}
	clock.Advance(2 * trunkJudged.Window)
	for i := range trunkJudged.Enough {
		if err := call(breaker.Bad); err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
	}
	if err := call(breaker.Good); !errors.Is(err, ErrTrunkOut) || !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "it answered 503") {
		t.Errorf("it failed ten times: %v", err)
	}
	clock.Advance(trunkJudged.First)
	probe, err := g.Pass("org", trunk, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := call(breaker.Good); !errors.Is(err, ErrTrunkOut) {
		t.Errorf("a second call tries it at once: %v", err)
	}
	probe.End() // it says nothing: another one tries
	if err := errors.Join(call(breaker.Good), call(breaker.Good), call(breaker.Good)); err != nil {
		t.Errorf("it works again: %v", err)
	}
	var states []string
	for _, s := range *told {
		states = append(states, s.State)
		if (s.State == "closed") != (s.Reason == "") || (s.State == "open") != (s.Until > 0) || s.TrunkID != "t" || s.OrgID != "org" {
			t.Errorf("%+v", s)
		}
	}
	if fmt.Sprint(states) != "[open half-open closed]" {
		t.Errorf("told %v", states)
	}
	clock.Advance(2 * trunkJudged.Window)
	if s := g.States(); len(s) != 0 {
		t.Errorf("a trunk without calls is remembered: %+v", s)
	}
}

func TestASilentTrunkIsLeftAlone(t *testing.T) {
	g, _, _ := newGates(t)
	trunk := Trunk{ID: "t", Lines: 100, PerSecond: 100}
	for range trunkJudged.Refusals {
		p, err := g.Pass("org", trunk, false)
		if err != nil {
			t.Fatal(err)
		}
		p.Judge(breaker.Refused, "nobody is there")
		p.End()
	}
	if _, err := g.Pass("org", trunk, false); !errors.Is(err, ErrTrunkOut) {
		t.Errorf("%v", err)
	}
}
