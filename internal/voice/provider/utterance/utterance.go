// Package utterance is the recognition stream of vendors that take an utterance whole: it gathers the
// frames of one, hands them to a function when the caller has finished, and delivers what that found.
package utterance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/parley-voice/parley/internal/voice/provider"
)

const (
	maxSeconds  = 30 // of an utterance; the runtime cuts turns before
	maxRunning  = 4  // utterances of a call being recognised at once
	resultsRoom = 32 // results nobody has read yet; more are dropped with a warning
)

// Utterance is what was said.
type Utterance struct {
	ID     int
	PCM    []int16
	Rate   int
	Expect provider.Expect
}

// Config sets a Stream up.
type Config struct {
	Vendor string
	Rate   int // 8000 or 16000
	Log    *slog.Logger
	// Recognise understands one utterance. It honours its context; nothing understood is text "".
	Recognise func(ctx context.Context, u Utterance) (text string, confidence float64, err error)
}

// Stream implements provider.STTStream.
type Stream struct {
	c       Config
	ctx     context.Context
	cancel  context.CancelFunc
	results chan provider.STTResult
	room    chan struct{}
	wg      sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	open    bool
	dropped bool
	u       Utterance // the open one
	running map[int]context.CancelFunc
}

// New makes a stream for one call. It ends with ctx.
func New(ctx context.Context, c Config) (*Stream, error) {
	s := &Stream{c: c}
	if err := ctx.Err(); err != nil {
		return nil, s.fail("failed", false, err, "the call no longer waits")
	}
	if c.Rate != 8000 && c.Rate != 16000 {
		return nil, s.fail("refused", true, nil, "audio of %d samples a second cannot be understood; give 8000 or 16000", c.Rate)
	}
	s.ctx, s.cancel = context.WithCancel(ctx)
	s.results = make(chan provider.STTResult, resultsRoom)
	s.room = make(chan struct{}, maxRunning)
	s.running = map[int]context.CancelFunc{}
	return s, nil
}

func (s *Stream) fail(code string, fatal bool, cause error, format string, args ...any) *provider.Error {
	return &provider.Error{Service: provider.ServiceSTT, Vendor: s.c.Vendor, Code: code, Fatal: fatal, Cause: cause,
		Message: fmt.Sprintf(format, args...)}
}

// Begin implements provider.STTStream.
func (s *Stream) Begin(id int, expect provider.Expect) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open, s.dropped = !s.closed, false
	s.u = Utterance{ID: id, Rate: s.c.Rate, Expect: expect, PCM: make([]int16, 0, 4*s.c.Rate)}
}

// Write implements provider.STTStream.
func (s *Stream) Write(frame []int16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open {
		return
	}
	if len(s.u.PCM)+len(frame) > maxSeconds*s.c.Rate { // the oldest second goes
		s.dropped = true
		s.u.PCM = append(s.u.PCM[:0], s.u.PCM[min(len(s.u.PCM), s.c.Rate):]...)
	}
	s.u.PCM = append(s.u.PCM, frame...)
}

// End implements provider.STTStream.
func (s *Stream) End(id int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open || s.u.ID != id {
		return
	}
	u := s.u
	s.open, s.u = false, Utterance{}
	if s.dropped {
		s.give(provider.STTResult{Utterance: id, Final: true,
			Err: s.fail("too_long", false, nil, "more than %d seconds were said without a pause", maxSeconds)})
		return
	}
	select {
	case s.room <- struct{}{}:
	default:
		s.give(provider.STTResult{Utterance: id, Final: true,
			Err: s.fail("timeout", false, nil, "%d utterances of this call wait already", maxRunning)})
		return
	}
	ctx, cancel := context.WithCancel(s.ctx)
	s.running[id] = cancel
	s.wg.Go(func() { s.recognise(ctx, cancel, u) })
}

func (s *Stream) recognise(ctx context.Context, cancel context.CancelFunc, u Utterance) {
	defer func() { <-s.room }()
	text, confidence, err := s.c.Recognise(ctx, u)
	abandoned := ctx.Err() != nil && s.ctx.Err() == nil
	s.mu.Lock()
	defer s.mu.Unlock()
	cancel()
	delete(s.running, u.ID)
	if !abandoned {
		s.give(provider.STTResult{Utterance: u.ID, Text: text, Confidence: confidence, Final: true, Err: err})
	}
}

// give hands a result over. A reader that left resultsRoom of them unread has gone.
func (s *Stream) give(r provider.STTResult) {
	var e *provider.Error
	if r.Err != nil && !errors.As(r.Err, &e) {
		r.Err = s.fail("failed", false, r.Err, "%v", r.Err)
	}
	if s.closed {
		return
	}
	select {
	case s.results <- r:
	default:
		if s.c.Log != nil {
			s.c.Log.Warn("a recognition was not read", "vendor", s.c.Vendor, "utterance", r.Utterance)
		}
	}
}

// Abandon implements provider.STTStream.
func (s *Stream) Abandon(id int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open && s.u.ID == id {
		s.open, s.u = false, Utterance{}
	}
	if cancel := s.running[id]; cancel != nil {
		cancel()
	}
}

// Results implements provider.STTStream.
func (s *Stream) Results() <-chan provider.STTResult { return s.results }

// Close implements provider.STTStream.
func (s *Stream) Close() error {
	s.mu.Lock()
	s.closed, s.open, s.u = true, false, Utterance{}
	s.mu.Unlock()
	s.cancel()
	s.wg.Wait()
	return nil
}
