package voice

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/voice/provider"
	"github.com/parley-voice/parley/internal/voice/provider/providertest"
	"github.com/parley-voice/parley/internal/voice/provider/sim"
)

// The tests here hold whole calls in virtual time: inside a synctest bubble the real clock is a fake one that
// jumps when every goroutine waits, so nothing sleeps and nothing races the machine. A bubble ends only when
// all its goroutines have: each of these tests proves that a call leaves none.

// fakeLeg is a leg of a test: it ticks every 20 ms, sends what the caller says and keeps what they hear.
type fakeLeg struct {
	rate     int
	kind     media.Kind
	buffer   int64  // frames the far end plays late
	noPlay   bool   // the far end never says what it played
	refuse   error  // of Transfer
	deadEnd  bool   // Hangup does nothing
	forget   bool   // do not keep what was sent
	onSpeech func() // each frame of speech

	mu        sync.Mutex
	e         media.Endpoint
	in        []int16
	out       []int16 // what was sent, one frame a tick, silence included
	sent      int64
	speaking  bool
	early     bool // a kick has taken the next tick's frame
	kicks     int
	cleared   int
	texts     [][]byte
	transfers []string
	done      chan struct{}
	cause     media.Cause
}

func newLeg() *fakeLeg {
	return &fakeLeg{rate: 8000, kind: media.KindSIP, done: make(chan struct{})}
}

func (l *fakeLeg) Info() media.LegInfo                    { return media.LegInfo{ID: "leg", Kind: l.kind} }
func (l *fakeLeg) Rate() int                              { return l.rate }
func (l *fakeLeg) Answer(context.Context) error           { return nil }
func (l *fakeLeg) Hold(context.Context, bool) error       { return nil }
func (l *fakeLeg) SendDTMF(context.Context, string) error { return nil }
func (l *fakeLeg) Stats() media.LegStats                  { return media.LegStats{} }
func (l *fakeLeg) Done() <-chan struct{}                  { return l.done }

func (l *fakeLeg) SendText(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.texts = append(l.texts, b)
}

func (l *fakeLeg) Clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cleared++
}

func (l *fakeLeg) End() media.Cause {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cause
}

func (l *fakeLeg) Transfer(_ context.Context, to string) error {
	l.mu.Lock()
	l.transfers = append(l.transfers, to)
	l.mu.Unlock()
	if l.refuse != nil {
		return l.refuse
	}
	l.end(media.Cause{By: "agent", Code: "transferred"})
	return nil
}

func (l *fakeLeg) Hangup(_ context.Context, c media.Cause) error {
	if !l.deadEnd {
		l.end(c)
	}
	return nil
}

func (l *fakeLeg) end(c media.Cause) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.done:
	default:
		l.cause = c
		close(l.done)
	}
}

func (l *fakeLeg) Start(e media.Endpoint) error {
	l.mu.Lock()
	l.e = e
	l.mu.Unlock()
	go func() {
		tick := time.NewTicker(media.FrameDuration)
		defer tick.Stop()
		for {
			select {
			case <-l.done:
				return
			case <-tick.C:
				l.tick()
			}
		}
	}()
	return nil
}

func (l *fakeLeg) tick() {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := media.FrameSamples(l.rate)
	in := make([]int16, n)
	k := copy(in, l.in)
	l.in = l.in[k:]
	if l.early { // its output was sent ahead of time
		l.early = false
		l.e.Tick(in, nil)
		return
	}
	l.take(in)
}

func (l *fakeLeg) take(in []int16) {
	out := make([]int16, media.FrameSamples(l.rate))
	l.speaking = l.e.Tick(in, out)
	if !l.speaking {
		clear(out)
	} else {
		l.sent++
		if l.onSpeech != nil {
			l.onSpeech()
		}
	}
	if !l.forget {
		l.out = append(l.out, out...)
	}
	if !l.noPlay {
		l.e.Played(max(l.sent-l.buffer, 0))
	}
}

// Kick implements media.Kicker.
func (l *fakeLeg) Kick() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.e == nil || l.speaking || l.early {
		return
	}
	l.kicks++
	l.early = true
	l.take(nil)
}

// rig is a call under test.
type rig struct {
	t     *testing.T
	leg   *fakeLeg
	cfg   Config
	sim   sim.Config
	brain *scriptBrain

	mu      sync.Mutex
	entries []event.Entry
	caller  int
	agent   int
	latency []time.Duration
	errors  []string
	cuts    []bool

	cancel context.CancelFunc
	over   chan struct{}
	out    Outcome
}

// call holds a call in virtual time: edit changes its set-up, script is what the caller does. Whatever is left
// of the call is hung up by the caller in the end.
func call(t *testing.T, edit func(*rig), script func(*rig)) *rig {
	t.Helper()
	var r *rig
	synctest.Test(t, func(t *testing.T) {
		r = &rig{t: t, leg: newLeg(), brain: &scriptBrain{greeting: "Hello, how can I help you?"}, over: make(chan struct{})}
		r.cfg = Config{
			Clock: quartz.NewReal(), Log: slog.New(slog.DiscardHandler), Journal: r, Recorder: r, Seed: 1,
			STTVendor: sim.Name, TTSVendor: sim.Name,
			Observer: Observer{
				TurnLatency: func(d time.Duration) { r.latency = append(r.latency, d) },
				VendorError: func(s provider.Service, code string) { r.errors = append(r.errors, string(s)+":"+code) },
				Interrupted: func(cut bool) { r.cuts = append(r.cuts, cut) },
			},
		}
		r.cfg.Leg, r.cfg.Brain = r.leg, r.brain
		r.sim.Clock, r.sim.Seed = r.cfg.Clock, 1
		if edit != nil {
			edit(r)
		}
		v := sim.New(r.sim)
		if r.cfg.STT == nil {
			r.cfg.STT = v.STT()
		}
		if r.cfg.TTS == nil {
			r.cfg.TTS = v
		}
		s, err := New(r.cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		r.cancel = cancel
		defer cancel()
		go func() { defer close(r.over); r.out = s.Run(ctx) }()
		script(r)
		r.leg.end(media.Cause{By: "caller", Code: "normal"})
		<-r.over
	})
	r.t = t // the bubble's is over
	return r
}

// Append implements Journal.
func (r *rig) Append(e event.Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if want := int64(len(r.entries) + 1); e.Seq != want {
		r.t.Errorf("entry %d has seq %d", want, e.Seq)
	}
	r.entries = append(r.entries, e)
}

// Frames implements Recorder.
func (r *rig) Frames(_, agent []int16) {
	r.caller++
	if agent != nil {
		r.agent++
	}
}

func (r *rig) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// speak makes the caller talk for d and waits until they have.
func (r *rig) speak(d time.Duration) {
	r.play(providertest.Babble(r.leg.rate, d))
	r.wait(d)
}

func (r *rig) play(pcm []int16) { r.leg.say(pcm) }

// say queues sound of the caller's.
func (l *fakeLeg) say(pcm []int16) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.in = append(l.in, pcm...)
}

// sent is how many frames of speech the caller got.
func (r *rig) sent() int64 {
	r.leg.mu.Lock()
	defer r.leg.mu.Unlock()
	return r.leg.sent
}

func (r *rig) event(e media.LegEvent) {
	r.leg.mu.Lock()
	r.leg.e.Event(e)
	r.leg.mu.Unlock()
	synctest.Wait()
}

func (r *rig) dial(digits string) {
	for i := range len(digits) {
		r.event(media.LegEvent{Kind: media.LegDTMF, Digit: digits[i]})
		r.wait(100 * time.Millisecond)
	}
}

// ended waits until the call is over.
func (r *rig) ended(within time.Duration) {
	r.t.Helper()
	select {
	case <-r.over:
	case <-time.After(within):
		r.t.Fatalf("the call goes on after %v\n%s", within, r.dump())
	}
}

func (r *rig) find(kind event.EntryKind) (found []event.Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.entries {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

func (r *rig) texts(kind event.EntryKind) (texts []string) {
	for _, e := range r.find(kind) {
		texts = append(texts, e.Text)
	}
	return texts
}

// said is what the transcript has of the agent.
func (r *rig) said() string { return strings.Join(r.texts(event.EntryAgentSaid), " ") }

// want fails unless kind's entries have these texts.
func (r *rig) want(kind event.EntryKind, texts ...string) {
	r.t.Helper()
	if got := r.texts(kind); !slices.Equal(got, texts) {
		r.t.Errorf("%s: got %q, want %q\n%s", kind, got, texts, r.dump())
	}
}

// count fails unless there are n entries of kind.
func (r *rig) count(kind event.EntryKind, n int) {
	r.t.Helper()
	if got := len(r.find(kind)); got != n {
		r.t.Errorf("%d entries of %s, want %d\n%s", got, kind, n, r.dump())
	}
}

func (r *rig) dump() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return render(r.entries)
}

func render(entries []event.Entry) string {
	var b strings.Builder
	for _, e := range entries {
		if e.Kind == event.EntryDigest {
			continue
		}
		b.WriteString(line(e) + "\n")
	}
	return b.String()
}

// loud says whether the caller hears anything in the last d.
func (r *rig) loud(d time.Duration) bool {
	r.leg.mu.Lock()
	defer r.leg.mu.Unlock()
	n := min(int(d/media.FrameDuration)*media.FrameSamples(r.leg.rate), len(r.leg.out))
	return slices.ContainsFunc(r.leg.out[len(r.leg.out)-n:], func(v int16) bool { return v != 0 })
}

// scriptBrain answers from a list; do, when set, takes its place.
type scriptBrain struct {
	greeting string
	answers  []string
	do       func(ctx context.Context, in Input, out Emitter) error
	expect   provider.Expect

	turns  []Input
	heards []heardItem
}

func (b *scriptBrain) Begin(_ context.Context, out Emitter) error {
	if b.greeting == "" {
		return nil
	}
	return out.Say(b.greeting)
}

func (b *scriptBrain) Turn(ctx context.Context, in Input, out Emitter) error {
	b.turns = append(b.turns, in)
	if b.do != nil {
		return b.do(ctx, in, out)
	}
	n := len(b.turns) - 1
	if n < len(b.answers) {
		return out.Say(b.answers[n])
	}
	return out.Say("I see.")
}

func (b *scriptBrain) Expect() provider.Expect { return b.expect }

func (b *scriptBrain) Heard(text string, cut bool) {
	b.heards = append(b.heards, heardItem{text, cut})
}
