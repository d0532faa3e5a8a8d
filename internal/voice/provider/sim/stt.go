package sim

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/voice/provider"
)

// STTConfig sets up recognition.
type STTConfig struct {
	Latency Latency // end of the utterance → final
	Faults  Faults
	// Texts are given in order, one an utterance; after the last, and when there are none, it is
	// "utterance N".
	Texts []string
	// Partials gives the text word by word during the utterance.
	Partials bool
	// Timeout ends a hanging request; 0 means 10 s.
	Timeout time.Duration
}

const (
	loud      = 200 // rms of a frame that may be speech
	minLoud   = 6   // of them make an utterance
	resultCap = 64  // results waiting to be read; the oldest partials go first
)

// STT gives the vendor as a recogniser.
func (v *Vendor) STT() provider.STT { return recogniser{v} }

type recogniser struct{ v *Vendor }

// Open implements provider.STT.
func (r recogniser) Open(ctx context.Context, _ provider.STTConfig) (provider.STTStream, error) {
	if err := ctx.Err(); err != nil {
		return nil, ended(err, provider.ServiceSTT)
	}
	return &stream{v: r.v, results: make(chan provider.STTResult, resultCap), waiting: map[int]*quartz.Timer{}}, nil
}

// stream needs no goroutine: results are sent by End or by the clock.
type stream struct {
	v       *Vendor
	results chan provider.STTResult

	mu      sync.Mutex
	closed  bool
	id      int
	frames  int
	loud    int
	said    int // utterances recognised
	shown   int // words of the partial
	waiting map[int]*quartz.Timer
}

// Begin implements provider.STTStream.
func (s *stream) Begin(id int, _ provider.Expect) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id, s.frames, s.loud, s.shown = id, 0, 0, 0
}

// Write implements provider.STTStream.
func (s *stream) Write(frame []int16) {
	var sum int64
	for _, x := range frame {
		sum += int64(x) * int64(x)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.id == 0 || s.closed {
		return
	}
	s.frames++
	if len(frame) > 0 && sum/int64(len(frame)) > loud*loud {
		s.loud++
		s.partial()
	}
}

// partial shows another word each 15 loud frames: 300 ms.
func (s *stream) partial() {
	if !s.v.cfg.STT.Partials || s.loud%15 != 0 {
		return
	}
	words := strings.Fields(s.text(s.said))
	if s.shown < len(words) {
		s.shown++
		s.send(provider.STTResult{Utterance: s.id, Text: strings.Join(words[:s.shown], " ")})
	}
}

// text is what utterance n (from 0) says.
func (s *stream) text(n int) string {
	if texts := s.v.cfg.STT.Texts; n < len(texts) {
		return texts[n]
	}
	return fmt.Sprintf("utterance %d", n+1)
}

// End implements provider.STTStream.
func (s *stream) End(id int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id == 0 || id != s.id || s.closed {
		return
	}
	s.id = 0
	o := s.v.draw(s.v.cfg.STT.Latency, s.v.cfg.STT.Faults)
	r := s.result(id, o)
	if o.fate == hanging {
		o.delay = s.v.cfg.STT.timeout()
	}
	if o.delay <= 0 {
		s.send(r)
		return
	}
	s.waiting[id] = s.v.cfg.Clock.AfterFunc(o.delay, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if _, ok := s.waiting[id]; ok && !s.closed {
			delete(s.waiting, id)
			s.send(r)
		}
	})
}

func (c STTConfig) timeout() time.Duration {
	if c.Timeout > 0 {
		return c.Timeout
	}
	return 10 * time.Second
}

func (s *stream) result(id int, o outcome) provider.STTResult {
	r := provider.STTResult{Utterance: id, Final: true}
	if err := o.fail(provider.ServiceSTT); err != nil {
		r.Err = err
		return r
	}
	switch {
	case o.fate == hanging:
		r.Err = &provider.Error{Service: provider.ServiceSTT, Vendor: Name, Code: "timeout", Message: "a simulated time-out"}
	case s.loud < minLoud: // a noise
	case o.fate == rubbish:
		r.Text, r.Confidence = "\uFFFDxq zzt ��", 0.1
		s.said++
	default:
		r.Text, r.Confidence = s.text(s.said), 0.95
		s.said++
	}
	return r
}

// send never blocks: a reader that is so far behind loses the oldest.
func (s *stream) send(r provider.STTResult) {
	for {
		select {
		case s.results <- r:
			return
		default:
		}
		select {
		case <-s.results:
		default:
		}
	}
}

// Abandon implements provider.STTStream.
func (s *stream) Abandon(id int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id == s.id {
		s.id = 0
	}
	if t, ok := s.waiting[id]; ok {
		t.Stop()
		delete(s.waiting, id)
	}
}

// Results implements provider.STTStream.
func (s *stream) Results() <-chan provider.STTResult { return s.results }

// Close implements provider.STTStream.
func (s *stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for id, t := range s.waiting {
		t.Stop()
		delete(s.waiting, id)
	}
	return nil
}
