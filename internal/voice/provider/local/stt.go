package local

import (
	"context"
	"errors"
	"sync"

	"github.com/parley-voice/parley/internal/voice/provider"
)

const (
	maxUtterance = 30 // seconds; of longer ones the oldest part is dropped
	maxWaiting   = 4  // utterances of a call being recognised at once
	resultsRoom  = 32
)

// Open implements provider.STT.
func (e *Engine) Open(ctx context.Context, c provider.STTConfig) (provider.STTStream, error) {
	if err := ctx.Err(); err != nil {
		return nil, fail(provider.ServiceSTT, "failed", false, err, "the call no longer waits")
	}
	if c.Rate != 8000 && c.Rate != 16000 {
		return nil, fail(provider.ServiceSTT, "refused", true, nil, "audio of %d samples a second cannot be understood; give 8000 or 16000", c.Rate)
	}
	if e.programs[pocketsphinx] == "" || !e.model {
		return nil, fail(provider.ServiceSTT, "refused", true, nil, "the %s is not installed; install pocketsphinx and pocketsphinx-en-us", RecogniserName)
	}
	ctx, cancel := context.WithCancel(ctx)
	return &stream{e: e, ctx: ctx, cancel: cancel, rate: c.Rate, results: make(chan provider.STTResult, resultsRoom),
		room: make(chan struct{}, maxWaiting), running: map[int]context.CancelFunc{}}, nil
}

// stream recognises the utterances of one call.
type stream struct {
	e       *Engine
	ctx     context.Context
	cancel  context.CancelFunc
	rate    int
	results chan provider.STTResult
	room    chan struct{}
	wg      sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	id      int // the open utterance
	open    bool
	dropped bool
	expect  provider.Expect
	pcm     []int16
	running map[int]context.CancelFunc
}

// Begin implements provider.STTStream.
func (s *stream) Begin(id int, expect provider.Expect) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id, s.open, s.dropped, s.expect, s.pcm = id, !s.closed, false, expect, make([]int16, 0, 4*s.rate)
}

// Write implements provider.STTStream.
func (s *stream) Write(frame []int16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open {
		return
	}
	if len(s.pcm)+len(frame) > maxUtterance*s.rate {
		s.dropped = true
		s.pcm = append(s.pcm[:0], s.pcm[min(len(s.pcm), s.rate):]...)
	}
	s.pcm = append(s.pcm, frame...)
}

// End implements provider.STTStream.
func (s *stream) End(id int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open || s.id != id {
		return
	}
	pcm, expect, dropped := s.pcm, s.expect, s.dropped
	s.open, s.pcm = false, nil
	if dropped {
		s.give(provider.STTResult{Utterance: id, Final: true,
			Err: fail(provider.ServiceSTT, "too_long", false, nil, "more than %d seconds were said without a pause", maxUtterance)})
		return
	}
	select {
	case s.room <- struct{}{}:
	default:
		s.give(provider.STTResult{Utterance: id, Final: true,
			Err: fail(provider.ServiceSTT, "timeout", false, nil, "%d utterances of this call wait already", maxWaiting)})
		return
	}
	ctx, cancel := context.WithCancel(s.ctx)
	s.running[id] = cancel
	s.wg.Go(func() {
		defer func() { <-s.room }()
		h, err := s.e.recognise(ctx, pcm, s.rate, expect, id)
		abandoned := ctx.Err() != nil && s.ctx.Err() == nil
		s.mu.Lock()
		defer s.mu.Unlock()
		cancel()
		delete(s.running, id)
		if !abandoned {
			s.give(provider.STTResult{Utterance: id, Text: h.text, Confidence: h.confidence, Final: true, Err: err})
		}
	})
}

// give hands a result over. A reader that left resultsRoom of them unread has gone.
func (s *stream) give(r provider.STTResult) {
	var e *provider.Error
	if r.Err != nil && !errors.As(r.Err, &e) {
		r.Err = fail(provider.ServiceSTT, "failed", false, r.Err, "%v", r.Err)
	}
	if s.closed {
		return
	}
	select {
	case s.results <- r:
	default:
		s.e.c.Log.Warn("a recognition was not read", "vendor", Vendor, "utterance", r.Utterance)
	}
}

// Abandon implements provider.STTStream.
func (s *stream) Abandon(id int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open && s.id == id {
		s.open, s.pcm = false, nil
	}
	if cancel := s.running[id]; cancel != nil {
		cancel()
	}
}

// Results implements provider.STTStream.
func (s *stream) Results() <-chan provider.STTResult { return s.results }

// Close implements provider.STTStream.
func (s *stream) Close() error {
	s.mu.Lock()
	s.closed, s.open, s.pcm = true, false, nil
	s.mu.Unlock()
	s.cancel()
	s.wg.Wait()
	return nil
}
