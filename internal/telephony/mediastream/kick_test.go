package mediastream

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/media"
)

// taker notes for each call of Tick what it was asked for.
type taker struct {
	calls []string
	left  int
	in    func()
}

func (k *taker) Tick(in, out []int16) bool {
	what := ""
	if in != nil {
		what = "in"
	}
	if out != nil {
		what += "out"
	}
	k.calls = append(k.calls, what)
	if k.in != nil {
		k.in()
	}
	if out == nil || k.left == 0 {
		return false
	}
	k.left--
	return true
}

func (*taker) Played(int64)         {}
func (*taker) Event(media.LegEvent) {}

func newIdleLeg(t *testing.T, e media.Endpoint, lead time.Duration) *leg {
	t.Helper()
	clock := quartz.NewMock(t)
	s, err := New(Config{Tokens: &Tokens{}, Accept: func(context.Context, media.Leg) {}, Pacer: &media.Pacer{}, Clock: clock, Lead: lead})
	if err != nil {
		t.Fatal(err)
	}
	l := &leg{s: s, e: e}
	l.out = newOutbox("MZ1", func([]byte) error { return nil })
	l.lastMedia.Store(clock.Now().UnixNano())
	return l
}

// A kick sends at once and a little ahead; the ticks after the spurt make up for it, so that in the long run
// one frame is taken for each that comes.
func TestKickSendsAtOnceAndStaysInStep(t *testing.T) {
	e := &taker{left: 5}
	l := newIdleLeg(t, e, 0)
	tick := func() { l.Tick(media.Beat{Now: l.s.cfg.Clock.Now()}) }
	l.Kick()
	l.Kick() // speaking already: nothing
	if l.out.accepted != 2 {
		t.Errorf("%d frames went out with the kick, want the two of the lead", l.out.accepted)
	}
	for range 8 {
		tick()
	}
	want := []string{"out", "out", "inout", "inout", "inout", "inout", "in", "in", "inout", "inout"}
	if !slices.Equal(e.calls, want) || l.out.accepted != 5 {
		t.Errorf("%d frames, calls %q", l.out.accepted, e.calls)
	}
	in, out := 0, 0
	for _, c := range e.calls {
		if c != "out" {
			in++
		}
		if c != "in" {
			out++
		}
	}
	if in != out {
		t.Errorf("%d frames in, %d out", in, out)
	}
	e.calls = nil
	l.Kick() // nothing to say
	if !slices.Equal(e.calls, []string{"out"}) || l.speaking || l.ahead != 0 {
		t.Errorf("a kick for nothing: %q", e.calls)
	}
}

func TestNoLead(t *testing.T) {
	e := &taker{left: 3}
	l := newIdleLeg(t, e, -1)
	l.Kick()
	if l.out.accepted != 1 {
		t.Errorf("%d frames went out", l.out.accepted)
	}
}

func TestKickFromWithinTick(t *testing.T) {
	e := &taker{left: 1}
	l := newIdleLeg(t, e, 0)
	e.in = func() { l.Kick() }
	done := make(chan struct{})
	go func() { l.Tick(media.Beat{}); close(done) }()
	wait(t, "the tick", done)
}

// A caller's network that stalls for a second leaves no delay.
func TestNoDelayAfterStall(t *testing.T) {
	e := &hearer{}
	l := newIdleLeg(t, e, 0)
	frame := make([]byte, frameBytes)
	number := 0
	arrive := func() {
		for i := range frame {
			frame[i] = byte(number % 128)
		}
		number++
		l.in.push(frame)
	}
	for range 100 {
		arrive()
		l.Tick(media.Beat{})
	}
	for range 50 {
		l.Tick(media.Beat{})
	}
	for range 50 {
		arrive()
	}
	for range 250 {
		arrive()
		l.Tick(media.Beat{})
	}
	if want := muLaw(byte((number - 2) % 128)); e.last != want && e.last != muLaw(byte((number-1)%128)) {
		t.Errorf("5 s after the stall the frame heard is %d, the last sent %d", e.last, want)
	}
}

type hearer struct{ last int16 }

func (h *hearer) Tick(in, _ []int16) bool { h.last = in[0]; return false }
func (*hearer) Played(int64)              {}
func (*hearer) Event(media.LegEvent)      {}
