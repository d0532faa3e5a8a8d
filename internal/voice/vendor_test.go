package voice

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/voice/provider"
	"github.com/parley-voice/parley/internal/voice/provider/sim"
)

// turnOnce is a caller who says one thing and waits.
func turnOnce(r *rig) {
	r.wait(3 * time.Second)
	r.speak(time.Second)
	r.wait(40 * time.Second)
}

// wantApology fails unless the call ended by itself with an apology that was heard.
func wantApology(t *testing.T, r *rig) {
	t.Helper()
	r.count(event.EntryApology, 1)
	if !strings.Contains(r.said(), "something is not working") {
		t.Errorf("the apology was not heard: %q\n%s", r.said(), r.dump())
	}
	if r.out.Cause.Code != "vendor_failed" || r.out.Cause.By != "system" {
		t.Errorf("cause %+v\n%s", r.out.Cause, r.dump())
	}
}

func failing(first int, fatal bool) (func(context.Context, Input, Emitter) error, *int) {
	n := 0
	return func(_ context.Context, _ Input, out Emitter) error {
		if n++; n <= first {
			return &provider.Error{Service: provider.ServiceLLM, Vendor: "x", Code: "failed", Message: "no", Fatal: fatal}
		}
		return out.Say("At last.")
	}, &n
}

func TestBrainFailsOnceAndIsAskedAgain(t *testing.T) {
	r := call(t, func(r *rig) { r.brain.do, _ = failing(1, false) }, func(r *rig) {
		r.wait(3 * time.Second)
		r.speak(time.Second)
		r.wait(3 * time.Second)
	})
	r.count(event.EntryVendorError, 1)
	r.count(event.EntryApology, 0)
	if !strings.HasSuffix(r.said(), "At last.") || !r.brain.turns[1].Continues {
		t.Errorf("said %q, turns %+v", r.said(), r.brain.turns)
	}
}

func TestBrainFailsTwice(t *testing.T) {
	r := call(t, func(r *rig) { r.brain.do, _ = failing(9, false) }, turnOnce)
	r.count(event.EntryVendorError, 2)
	wantApology(t, r)
}

func TestBrainFailsForGood(t *testing.T) {
	r := call(t, func(r *rig) { r.brain.do, _ = failing(9, true) }, turnOnce)
	r.count(event.EntryVendorError, 1)
	wantApology(t, r)
}

func TestBrainHangs(t *testing.T) {
	r := call(t, func(r *rig) {
		r.brain.do = func(ctx context.Context, _ Input, _ Emitter) error { <-ctx.Done(); return ctx.Err() }
	}, turnOnce)
	if len(r.find(event.EntryFiller)) == 0 {
		t.Errorf("no filler\n%s", r.dump())
	}
	if !slices.Equal(r.errors, []string{"llm:timeout", "llm:timeout"}) {
		t.Errorf("errors %v", r.errors)
	}
	wantApology(t, r)
}

// A model that falls silent in the midst of its answer is given up; what it had said stands.
func TestBrainStallsMidway(t *testing.T) {
	r := call(t, func(r *rig) {
		r.brain.do = func(ctx context.Context, in Input, out Emitter) error {
			if in.Text == "utterance 2" {
				return out.Say("Here I am again.")
			}
			_ = out.Say("Let me think about that.")
			<-ctx.Done()
			return ctx.Err()
		}
	}, func(r *rig) {
		r.wait(3 * time.Second)
		r.speak(time.Second)
		r.wait(15 * time.Second)
		r.speak(time.Second)
		r.wait(4 * time.Second)
	})
	if !slices.Equal(r.errors, []string{"llm:timeout"}) || !strings.HasSuffix(r.said(), "Let me think about that. Here I am again.") {
		t.Errorf("errors %v, said %q\n%s", r.errors, r.said(), r.dump())
	}
}

// A brain that ignores its context is the one thing that can outlive a call; it is counted.
func TestBrainIgnoresItsContext(t *testing.T) {
	release := make(chan struct{})
	r := call(t, func(r *rig) {
		release = make(chan struct{})
		r.brain.do = func(context.Context, Input, Emitter) error { <-release; return nil }
	}, func(r *rig) {
		turnOnce(r)
		<-r.over
		close(release)
	})
	wantApology(t, r)
	if r.out.Leaked != 1 {
		t.Errorf("leaked %d, want 1", r.out.Leaked)
	}
}

func TestSlowBrainGetsAFiller(t *testing.T) {
	r := call(t, func(r *rig) {
		r.brain.do = func(ctx context.Context, _ Input, out Emitter) error {
			select {
			case <-time.After(4 * time.Second):
				return out.Say("Here it is.")
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}, func(r *rig) {
		r.wait(3 * time.Second)
		r.speak(time.Second)
		r.wait(8 * time.Second)
	})
	r.want(event.EntryFiller, "One moment, please.")
	if said := r.said(); !strings.HasSuffix(said, "Here it is.") || strings.Contains(said, "One moment") {
		t.Errorf("said %q", said)
	}
}

func TestSlowVoiceGetsAFillerFromTheCache(t *testing.T) {
	var slow atomic.Bool
	r := call(t, func(r *rig) {
		r.cfg.Prompts = NewPromptCache(1 << 20)
		quick := sim.New(r.sim)
		r.cfg.TTS = ttsFunc(func(ctx context.Context, req provider.SpeakRequest) (provider.AudioStream, error) {
			if slow.Load() {
				select {
				case <-time.After(3 * time.Second):
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}
			return quick.Speak(ctx, req)
		})
	}, func(r *rig) {
		r.wait(3 * time.Second)
		slow.Store(true)
		r.speak(time.Second)
		r.wait(8 * time.Second)
	})
	r.want(event.EntryFiller, "One moment, please.")
	if !strings.HasSuffix(r.said(), "I see.") {
		t.Errorf("said %q\n%s", r.said(), r.dump())
	}
}

type ttsFunc func(context.Context, provider.SpeakRequest) (provider.AudioStream, error)

func (f ttsFunc) Speak(ctx context.Context, req provider.SpeakRequest) (provider.AudioStream, error) {
	return f(ctx, req)
}

func TestVoiceFailsForGood(t *testing.T) {
	fallback := func(r *rig) {
		r.cfg.FallbackTTS = sim.New(r.sim)
		r.cfg.TTS = ttsFunc(func(context.Context, provider.SpeakRequest) (provider.AudioStream, error) {
			return nil, &provider.Error{Service: provider.ServiceTTS, Vendor: "x", Code: "unauthorized", Message: "no", Fatal: true}
		})
	}
	r := call(t, fallback, func(r *rig) { r.ended(20 * time.Second) })
	wantApology(t, r)

	r = call(t, func(r *rig) { fallback(r); r.cfg.FallbackTTS = nil }, func(r *rig) { r.ended(20 * time.Second) })
	if r.leg.sent < 45 {
		t.Errorf("no tone took the place of the apology: %d frames\n%s", r.leg.sent, r.dump())
	}
	if r.out.Cause.Code != "vendor_failed" {
		t.Errorf("cause %+v", r.out.Cause)
	}
}

func TestVoiceHangs(t *testing.T) {
	r := call(t, func(r *rig) { r.sim.TTS.Faults.Hang = 1 }, func(r *rig) { r.ended(90 * time.Second) })
	if r.out.Cause.Code != "vendor_failed" || len(r.errors) == 0 {
		t.Errorf("cause %+v errors %v\n%s", r.out.Cause, r.errors, r.dump())
	}
}

func TestVoiceGivesRubbish(t *testing.T) {
	for name, s := range map[string]*oddAudio{
		"no audio":         {rate: 8000},
		"impossible rate":  {rate: 1},
		"endless":          {rate: 8000, endless: true},
		"fails midway":     {rate: 8000, frames: 20, err: errors.New("reset by peer")},
		"stalls midway":    {rate: 8000, frames: 20, stall: true},
		"odd rate is fine": {rate: 44100, frames: 100, err: io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			r := call(t, func(r *rig) {
				r.cfg.TTS = ttsFunc(func(ctx context.Context, _ provider.SpeakRequest) (provider.AudioStream, error) {
					c := *s
					c.ctx = ctx
					return &c, nil
				})
				r.cfg.FallbackTTS = sim.New(r.sim)
				r.cfg.Limits.MaxDuration = 2 * time.Minute
			}, func(r *rig) { r.ended(5 * time.Minute) })
			if fine := s.err == io.EOF; fine != (len(r.errors) == 0) {
				t.Errorf("errors %v\n%s", r.errors, r.dump())
			}
		})
	}
}

// oddAudio is a voice's stream that does not do as it should.
type oddAudio struct {
	ctx     context.Context
	rate    int
	frames  int
	endless bool
	stall   bool
	err     error
}

func (s *oddAudio) Rate() int    { return s.rate }
func (s *oddAudio) Close() error { return nil }
func (s *oddAudio) Read(p []int16) (int, error) {
	if s.ctx.Err() != nil {
		return 0, s.ctx.Err()
	}
	if s.frames == 0 && !s.endless {
		if s.stall {
			<-s.ctx.Done()
			return 0, s.ctx.Err()
		}
		if s.err == nil {
			return 0, io.EOF
		}
		return 0, s.err
	}
	s.frames--
	for i := range p {
		p[i] = 1000
	}
	return len(p), nil
}

func TestRecogniserFailsOnceThenWorks(t *testing.T) {
	r := call(t, func(r *rig) { r.cfg.STT = &sttOnce{STT: sim.New(r.sim).STT()} }, func(r *rig) {
		r.wait(3 * time.Second)
		r.speak(time.Second)
		r.wait(4 * time.Second)
		r.speak(time.Second)
		r.wait(4 * time.Second)
	})
	kinds := []InputKind{}
	for _, in := range r.brain.turns {
		kinds = append(kinds, in.Kind)
	}
	if !slices.Equal(kinds, []InputKind{InputUnclear, InputSpeech}) {
		t.Errorf("turns %v\n%s", kinds, r.dump())
	}
}

// sttOnce fails the first utterance.
type sttOnce struct{ provider.STT }

func (s *sttOnce) Open(ctx context.Context, c provider.STTConfig) (provider.STTStream, error) {
	inner, err := s.STT.Open(ctx, c)
	return &streamOnce{STTStream: inner, results: make(chan provider.STTResult, 8)}, err
}

type streamOnce struct {
	provider.STTStream
	results chan provider.STTResult
	n       int
}

func (s *streamOnce) Results() <-chan provider.STTResult { return s.results }
func (s *streamOnce) End(id int) {
	s.STTStream.End(id)
	r := <-s.STTStream.Results()
	if s.n++; s.n == 1 {
		r = provider.STTResult{Utterance: id, Final: true, Err: errors.New("connection reset")}
	}
	s.results <- r
}

func TestRecogniserFailsForGood(t *testing.T) {
	for name, f := range map[string]sim.Faults{
		"twice": {Error: 1}, "fatal": {Fatal: 1}, "hangs": {Hang: 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := call(t, func(r *rig) {
				r.sim.STT.Faults = f
				r.sim.STT.Timeout = time.Minute
			}, func(r *rig) {
				r.wait(3 * time.Second)
				r.speak(time.Second)
				r.wait(10 * time.Second)
				select {
				case <-r.over:
				default:
					r.speak(time.Second)
				}
				r.ended(40 * time.Second)
			})
			wantApology(t, r)
		})
	}
}

func TestRecogniserDoesNotOpen(t *testing.T) {
	r := call(t, func(r *rig) {
		r.cfg.STT = sttFunc(func(context.Context) (provider.STTStream, error) { return nil, errors.New("refused") })
	}, func(r *rig) { r.ended(30 * time.Second) })
	wantApology(t, r)
	r = call(t, func(r *rig) {
		r.cfg.STT = sttFunc(func(ctx context.Context) (provider.STTStream, error) { <-ctx.Done(); return nil, ctx.Err() })
	}, func(r *rig) { r.ended(60 * time.Second) })
	wantApology(t, r)
}

type sttFunc func(context.Context) (provider.STTStream, error)

func (f sttFunc) Open(ctx context.Context, _ provider.STTConfig) (provider.STTStream, error) {
	return f(ctx)
}

func TestRecogniserGivesRubbish(t *testing.T) {
	r := call(t, func(r *rig) { r.sim.STT.Faults.Rubbish = 1 }, func(r *rig) {
		r.wait(3 * time.Second)
		r.speak(time.Second)
		r.wait(3 * time.Second)
	})
	if len(r.brain.turns) != 1 || !strings.HasSuffix(r.said(), "I see.") {
		t.Errorf("rubbish must be the brain's to answer: %+v\n%s", r.brain.turns, r.dump())
	}
}
