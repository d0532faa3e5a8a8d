package voice

import (
	"fmt"
	"runtime/debug"

	"github.com/parley-voice/parley/internal/media"
)

// endpoint is the session as its leg sees it. Everything here runs on the leg's goroutine, every 20 ms: it
// neither blocks nor allocates, and a panic here ends this call only.
type endpoint struct {
	s      *Session
	broken bool
	// Output taken since the last input frame, for the recorder: legs may take output in a phase of its own.
	said  []int16
	ready int
}

// backlog bounds said: output may be ahead of input by so many frames, the oldest go.
const backlog = 3

func newEndpoint(s *Session) *endpoint {
	return &endpoint{s: s, said: make([]int16, backlog*media.FrameSamples(s.rate))}
}

// Tick implements media.Endpoint.
func (e *endpoint) Tick(in, out []int16) (speech bool) {
	if e.broken {
		return false
	}
	defer func() {
		if p := recover(); p != nil {
			speech = false
			e.panicked("leg", p)
		}
	}()
	// Input first: an interruption heard in this tick is on its way before another frame is sent.
	if in != nil {
		e.input(in)
	}
	if out != nil {
		speech = e.output(out)
	}
	if in != nil {
		e.record(in)
	}
	return speech
}

func (e *endpoint) input(in []int16) {
	s := e.s
	edge, at, lag := s.ear.hear(in)
	switch edge {
	case edgeStart:
		s.offer(msg{kind: msgVADStart, frame: at, lag: lag})
	case edgeEnd:
		s.offer(msg{kind: msgVADEnd, frame: at, lag: lag})
	}
	if s.watch != nil {
		s.watch.hear(s, in, s.ear.speech)
	}
	if frames, due := s.ear.sum(in); due {
		s.offer(msg{kind: msgDigest, frame: int64(frames)})
	}
}

func (e *endpoint) output(out []int16) bool {
	t := e.s.playout.take(out, e.s.now)
	e.tell(t)
	if t.speech && e.s.cfg.Recorder != nil {
		n := len(e.said) / backlog
		if e.ready == backlog {
			copy(e.said, e.said[n:])
			e.ready--
		}
		copy(e.said[e.ready*n:][:n], out)
		e.ready++
	}
	return t.speech
}

func (e *endpoint) tell(t taken) {
	s := e.s
	if t.first {
		s.offer(msg{kind: msgFirstFrame, gen: t.gen, at: s.now()})
	}
	if t.starved {
		s.offer(msg{kind: msgStarved, gen: t.gen})
	}
	if t.done {
		s.offer(msg{kind: msgDone, gen: t.gen})
	} else if t.spoke {
		s.offer(msg{kind: msgSpoke, gen: t.gen})
	}
}

func (e *endpoint) record(in []int16) {
	r := e.s.cfg.Recorder
	if r == nil {
		return
	}
	if e.ready == 0 {
		r.Frames(in, nil)
		return
	}
	n := len(e.said) / backlog
	r.Frames(in, e.said[:n])
	copy(e.said, e.said[n:e.ready*n])
	e.ready--
}

// Played implements media.Endpoint.
func (e *endpoint) Played(n int64) { e.tell(e.s.playout.advance(n)) }

// Event implements media.Endpoint. Signalling is for the log only: it may not crowd out the rest.
func (e *endpoint) Event(ev media.LegEvent) {
	if ev.Kind == media.LegSignal && len(e.s.inbox) > inboxSize/2 {
		e.s.droppedSignals.Add(1)
		return
	}
	e.s.offer(msg{kind: msgLeg, leg: &ev})
}

func (e *endpoint) panicked(where string, p any) {
	e.broken = true
	e.s.offer(msg{kind: msgPanic, text: fmt.Sprintf("%s: %v\n%s", where, p, debug.Stack())})
}
