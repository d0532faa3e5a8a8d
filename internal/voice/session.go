package voice

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/voice/provider"
	"github.com/parley-voice/parley/internal/voice/turn"
)

// The bounds of tear-down.
const (
	hangupTimeout = 5 * time.Second
	stopTimeout   = 3 * time.Second
)

// Session is one call.
type Session struct {
	cfg  Config
	rate int
	log  *slog.Logger
	now  func() time.Time
	kick func()

	// Shared by the call's goroutines.
	inbox    chan msg
	over     chan struct{} // closed when Run no longer reads the inbox
	ctx      context.Context
	wg       sync.WaitGroup
	ear      *ear
	playout  *playout
	endpoint *endpoint
	listener *listener
	thinker  *thinker
	speaker  *speaker
	watch    *watch // nil: who answered does not matter
	started  atomic.Bool

	droppedEvents, droppedSignals, droppedAudio atomic.Int64

	// Owned by Run.
	machine  turn.Config
	state    turn.State
	actions  []turn.Action
	zero     time.Time
	begun    time.Time
	timer    *quartz.Timer
	wakeAt   time.Duration
	reply    reply
	answerer answerer
	heard    []heardItem
	asked    time.Time // the end of speech was decided
	timed    bool      // asked counts: no first frame since
	expect   provider.Expect
	speech   [8]utterance
	vadAt    int64
	activity string
	seq      int64
	live     bool
	ending   bool
	farewell *media.Cause // we hang up in a moment
	cause    media.Cause
	out      Outcome
}

// reply is the generation alive.
type reply struct {
	gen     int
	ctx     context.Context
	cancel  context.CancelFunc
	text    []string // of the brain's words, what was heard
	brain   bool     // it is the brain's
	given   bool     // and the brain was asked
	thought bool     // the brain has finished

	line      turn.Line // of the session's own
	n         int       // which of them
	lineHeard []string
	from, to  time.Time // it was heard
}

// utterance is when a caller's utterance was, in frames' time.
type utterance struct {
	from, to time.Time
}

// New makes a session of an answered leg. Nothing runs until Run.
func New(c Config) (*Session, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	c.fill()
	s := &Session{
		cfg: c, rate: c.Leg.Rate(), log: c.Log, inbox: make(chan msg, inboxSize), over: make(chan struct{}),
		machine: c.machine(), live: c.Leg.Info().Kind == media.KindWebRTC,
	}
	if c.Detector == nil {
		d, err := newDetector(s.rate)
		if err != nil {
			return nil, fault.Wrap(fault.Internal, err, "the voice activity detector does not start")
		}
		c.Detector = d
	}
	w, err := newWatch(c.Outbound, s.rate)
	if err != nil {
		return nil, err
	}
	s.watch = w
	s.now = func() time.Time { return s.cfg.Clock.Now() }
	s.kick = func() {}
	if k, ok := c.Leg.(media.Kicker); ok {
		s.kick = k.Kick
	}
	s.ear = newEar(c.Detector, s.rate, c.Interruption.MinSpeech)
	s.playout = newPlayout(s.rate)
	s.endpoint = newEndpoint(s)
	s.listener = &listener{s: s, orders: make(chan order, orderQueue), frame: make([]int16, media.FrameSamples(s.rate))}
	s.thinker = &thinker{s: s, jobs: make(chan job, jobQueue)}
	s.speaker = &speaker{s: s, chunks: make(chan chunk, chunkQueue), lines: make(chan chunk, lineQueue), synth: newSynth(s)}
	return s, nil
}

// Run holds the conversation and returns when the call is over: somebody hung up, the agent ended it or ctx
// was cancelled (the caller then hears nothing more). It returns at most some seconds after the leg's end,
// with every goroutine of the call gone, unless a vendor ignores its context: Outcome.Leaked counts those.
// It is called once.
func (s *Session) Run(ctx context.Context) Outcome {
	if s.started.Swap(true) {
		return Outcome{Cause: media.Cause{By: "system", Code: "error", Text: "the session was run already"}}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.ctx = ctx
	s.begun = s.now()
	if s.zero = s.cfg.AnsweredAt; s.zero.IsZero() {
		s.zero = s.begun
	}
	s.converse(ctx)
	s.tearDown(cancel)
	return s.out
}

// converse runs the call until it is over. A panic ends it cleanly.
func (s *Session) converse(ctx context.Context) {
	defer func() {
		if p := recover(); p != nil {
			s.crashed(fmt.Sprintf("session: %v\n%s", p, debug.Stack()))
		}
	}()
	s.timer = s.cfg.Clock.NewTimer(s.cfg.Limits.MaxDuration)
	defer s.timer.Stop()
	s.answered()
	s.goRun("listener", s.listener.run)
	s.goRun("thinker", s.thinker.run)
	s.goRun("speaker", s.speaker.run)
	s.warmPrompts()
	if err := s.cfg.Leg.Start(s.endpoint); err != nil {
		s.end(media.Cause{By: "system", Code: "error", Text: "the leg did not start: " + err.Error()})
		return
	}
	s.step(turn.Event{Kind: turn.Begin})
	for !s.ending {
		select {
		case m := <-s.inbox:
			s.handle(m)
		case <-s.timer.C:
			s.wake()
		case <-s.cfg.Leg.Done():
			s.drain()
			s.end(s.cfg.Leg.End())
		case <-ctx.Done():
			s.end(media.Cause{By: "system", Code: "interrupted", Text: "the server is stopping"})
		}
	}
}

// wake is the timer's: a deadline of the machine, or the end of the farewell.
func (s *Session) wake() {
	if s.farewell != nil {
		s.end(*s.farewell)
		return
	}
	s.wakeAt = 0
	s.step(turn.Event{Kind: turn.Timer})
}

// drain handles what the leg said before it ended.
func (s *Session) drain() {
	for !s.ending {
		select {
		case m := <-s.inbox:
			s.handle(m)
		default:
			return
		}
	}
}

// end notes why the call is over; the first cause counts.
func (s *Session) end(c media.Cause) {
	if s.ending {
		return
	}
	if s.farewell != nil { // we had said goodbye: who was faster does not matter
		c = *s.farewell
	}
	if c.By != "agent" && c.By != "system" {
		c = s.machineEnded(c)
	}
	s.ending, s.cause = true, c
}

// goRun starts one of the call's goroutines; a panic there ends this call only.
func (s *Session) goRun(name string, fn func(context.Context)) {
	s.wg.Go(func() {
		defer func() {
			if p := recover(); p != nil {
				s.send(msg{kind: msgPanic, text: fmt.Sprintf("%s: %v\n%s", name, p, debug.Stack())})
			}
		}()
		fn(s.ctx)
	})
}

// crashed ends the call after a panic.
func (s *Session) crashed(what string) {
	s.log.Error("a call has crashed", "leg", s.cfg.Leg.Info().ID, "panic", what)
	if s.cfg.Observer.Panicked != nil {
		s.cfg.Observer.Panicked(what)
	}
	s.end(media.Cause{By: "system", Code: "error", Text: "an internal error ended the call"})
	s.alert("panic", "an internal error ended the call")
}

// tearDown ends everything, within bounds.
func (s *Session) tearDown(cancel context.CancelFunc) {
	leg := s.cfg.Leg
	s.finishReply()
	cancel()
	close(s.over)
	s.playout.begin(-1)
	ctx, done := s.timeout(hangupTimeout)
	if err := leg.Hangup(ctx, s.cause); err != nil {
		s.log.Warn("hanging up failed", "leg", leg.Info().ID, "error", err)
	}
	select {
	case <-leg.Done():
		// Who hung up first is the leg's to say, unless we had a reason of our own.
		if s.cause.By == "" {
			s.cause = leg.End()
		}
	case <-ctx.Done():
		s.log.Warn("the leg did not end in time", "leg", leg.Info().ID)
	}
	done()
	s.out.Leaked = s.join()
	s.out.Cause, s.out.Turns, s.out.Duration = s.cause, s.state.Turn, s.now().Sub(s.zero)
	s.reportDrops()
	s.entry(event.Entry{
		Kind: event.EntryEnded, Text: s.cause.Text,
		Data: map[string]any{"by": s.cause.By, "code": s.cause.Code, "status": s.cause.Status},
	})
}

// timeout is a context on the session's clock, independent of the call's.
func (s *Session) timeout(d time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	t := s.cfg.Clock.AfterFunc(d, cancel)
	return ctx, func() { t.Stop(); cancel() }
}

// join waits for the call's goroutines and says whether some did not end in time.
func (s *Session) join() (leaked int) {
	gone := make(chan struct{})
	go func() { s.wg.Wait(); close(gone) }()
	ctx, done := s.timeout(stopTimeout)
	defer done()
	select {
	case <-gone:
		return 0
	case <-ctx.Done():
		s.log.Error("a vendor ignores its context: goroutines are left", "leg", s.cfg.Leg.Info().ID)
		return 1
	}
}
