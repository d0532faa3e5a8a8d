package mediastream

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/coder/quartz"
)

// carrier collects what an outbox writes.
type sink struct {
	got []string
	err error
}

func (s *sink) write(b []byte) error {
	if s.err != nil {
		return s.err
	}
	s.got = append(s.got, string(b))
	return nil
}

func (s *sink) events(o *outbox) string {
	var b strings.Builder
	for _, m := range s.got {
		switch {
		case strings.Contains(m, `"media"`):
			b.WriteByte('.')
		case strings.Contains(m, `"mark"`):
			i := strings.Index(m, `"name":"`) + 8
			b.WriteString("[" + strings.TrimSuffix(m[i:], `"}}`) + "]")
		case strings.Contains(m, `"clear"`):
			b.WriteByte('!')
		}
	}
	return b.String()
}

func newTestOutbox(t *testing.T) (*outbox, *sink, *quartz.Mock) {
	t.Helper()
	s := &sink{}
	return newOutbox("MZ1", s.write), s, quartz.NewMock(t)
}

var voiceFrame = make([]int16, frameBytes)

func send(t *testing.T, o *outbox, clock quartz.Clock, n int) {
	t.Helper()
	for range n {
		o.put(voiceFrame, true, clock.Now())
	}
	if err := o.drain(clock); err != nil {
		t.Fatal(err)
	}
}

func TestOutboxMarks(t *testing.T) {
	o, s, clock := newTestOutbox(t)
	send(t, o, clock, 7)
	o.endSpurt()
	o.endSpurt()
	send(t, o, clock, 0)
	if got := s.events(o); got != ".....[p0.5]..[p0.7]" && got != "....[p0.5]...[p0.7]" {
		t.Errorf("wrote %s", got)
	}
	for _, m := range s.got {
		var parsed message
		if err := parseSlow([]byte(m), &parsed); err != nil {
			t.Errorf("%s: %v", m, err)
		}
	}
}

// A mark that comes back at once is not believed before the audio can have been played.
func TestLedgerIsBoundByTime(t *testing.T) {
	o, _, clock := newTestOutbox(t)
	send(t, o, clock, 5)
	o.markReturned(0, 5)
	for i := range 5 {
		if got := o.played(clock.Now()); got != int64(i) {
			t.Errorf("after %d ms: %d frames played", 20*i, got)
		}
		clock.Advance(20 * time.Millisecond)
	}
	if got := o.played(clock.Now()); got != 5 {
		t.Errorf("after 100 ms: %d", got)
	}
	if got := o.played(clock.Now().Add(time.Hour)); got != 5 {
		t.Errorf("much later: %d", got)
	}
}

// After a clear the carrier returns every mark; none of the audio it dropped was heard.
func TestLedgerAfterClear(t *testing.T) {
	o, s, clock := newTestOutbox(t)
	send(t, o, clock, 10)
	clock.Advance(60 * time.Millisecond)
	if !o.clear(clock.Now()) || o.clear(clock.Now()) {
		t.Error("clear once")
	}
	o.put(voiceFrame, true, clock.Now())
	if err := o.drain(clock); err != nil {
		t.Fatal(err)
	}
	o.markReturned(0, 5)
	o.markReturned(0, 10)
	if got := o.played(clock.Now()); got != 3 {
		t.Errorf("%d frames of the cleared audio count as played, 3 can have been", got)
	}
	clock.Advance(time.Second)
	if got := o.played(clock.Now()); got != 3 {
		t.Errorf("a second later: %d", got)
	}
	send(t, o, clock, 4)
	o.endSpurt()
	send(t, o, clock, 0)
	o.markReturned(1, 15)
	clock.Advance(time.Second)
	if got := o.played(clock.Now()); got != 15 {
		t.Errorf("after the next reply: %d", got)
	}
	if got := s.events(o); !strings.Contains(got, "!.") {
		t.Errorf("wrote %s", got)
	}
	o.clear(clock.Now())
	send(t, o, clock, 1)
	o.clear(clock.Now())
	if o.markReturned(0, 10); o.played(clock.Now()) != 15 {
		t.Errorf("a mark from two clears ago counts: %d", o.played(clock.Now()))
	}
}

func TestClearDropsWhatWaits(t *testing.T) {
	o, s, clock := newTestOutbox(t)
	for range 20 {
		o.put(voiceFrame, true, clock.Now())
	}
	o.clear(clock.Now())
	if err := o.drain(clock); err != nil {
		t.Fatal(err)
	}
	if got := s.events(o); got != "!" {
		t.Errorf("wrote %s", got)
	}
	o.markReturned(0, 20)
	if got := o.played(clock.Now().Add(time.Hour)); got != 0 {
		t.Errorf("%d frames that never left count as played", got)
	}
}

func TestOutboxIsBounded(t *testing.T) {
	o, s, clock := newTestOutbox(t)
	for range 10 * outboxSlots {
		o.put(voiceFrame, true, clock.Now())
	}
	if _, dropped, _ := o.counters(); dropped == 0 || o.n >= outboxSlots {
		t.Errorf("%d wait, %d dropped", o.n, dropped)
	}
	o.clear(clock.Now()) // there is always room for it
	if err := o.drain(clock); err != nil || s.events(o) != "!" {
		t.Errorf("%v, wrote %s", err, s.events(o))
	}
	s.err = errors.New("gone")
	o.put(voiceFrame, true, clock.Now())
	if err := o.drain(clock); err == nil {
		t.Error("a dead socket was not noticed")
	}
}

func TestForeignMarks(t *testing.T) {
	o, _, clock := newTestOutbox(t)
	send(t, o, clock, 5)
	for _, m := range [][2]int64{{0, 6}, {0, -1}, {1, 1}, {5, 5}} {
		if o.markReturned(m[0], m[1]) {
			t.Errorf("mark %v accepted", m)
		}
	}
	for _, name := range []string{"", "p", "p.", "p.1", "p1", "p1.", "x1.1", "p1.1.1", "p-1.1", "p1.99999999999999999999", strings.Repeat("p", 99)} {
		if e, n, ok := parseMark([]byte(name)); ok {
			t.Errorf("%q read as %d.%d", name, e, n)
		}
	}
	if e, n, ok := parseMark([]byte("p12.345")); !ok || e != 12 || n != 345 {
		t.Errorf("%d.%d %v", e, n, ok)
	}
}

func FuzzMark(f *testing.F) {
	f.Add([]byte("p0.5"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, n, ok := parseMark(b); ok && (e < 0 || n < 0) {
			t.Fatalf("%q: %d %d", b, e, n)
		}
	})
}

// A second of silence and then everything at once: the delay must be gone soon after.
func TestInboxRecoversFromStall(t *testing.T) {
	for _, burst := range []int{5, 10, 11, 37, 50, 500} {
		var q inbox
		out, frame := make([]int16, frameBytes), make([]byte, frameBytes)
		for range 50 {
			q.push(frame)
			q.pop(out)
		}
		for range burst {
			q.pop(out)
		}
		for range burst {
			q.push(frame)
		}
		if n, _ := q.level(); n > inboxFrames*frameBytes {
			t.Errorf("burst of %d: %d bytes wait", burst, n)
		}
		for range 250 { // 5 s
			q.push(frame)
			q.pop(out)
		}
		if n, _ := q.level(); n > 2*frameBytes {
			t.Errorf("burst of %d: %d ms of delay 5 s after", burst, n/8)
		}
	}
}

func TestInboxKeepsOrderAndLosesNothingInStep(t *testing.T) {
	var q inbox
	out := make([]int16, frameBytes)
	sizes := []int{160, 80, 240, 160, 320, 0, 160}
	var in, next byte
	for range 40 {
		for _, n := range sizes {
			p := make([]byte, n)
			for i := range p {
				p[i] = in
				in = (in + 1) % 100
			}
			q.push(p)
			if q.pop(out) {
				for _, v := range out {
					if v != muLaw(next) {
						t.Fatalf("got %d, want code %d", v, next)
					}
					next = (next + 1) % 100
				}
			}
		}
	}
	if _, dropped := q.level(); dropped != 0 {
		t.Errorf("%d bytes dropped", dropped)
	}
	var big inbox
	big.push(make([]byte, 100*frameBytes))
	if n, dropped := big.level(); n != 2*frameBytes || dropped != 98*frameBytes {
		t.Errorf("a message of 2 s: %d kept, %d dropped", n, dropped)
	}
}
