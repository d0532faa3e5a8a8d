package providertest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/voice/provider"
)

// STTCase says how to build a recogniser and what it understands.
type STTCase struct {
	New    func(t testing.TB) provider.STT
	Config provider.STTConfig // zero means 16 kHz, en-US
	// Speech is an utterance at Config.Rate; nil means a second of speech-like noise.
	Speech []int16
	Expect provider.Expect
	// Want is a part of the text recognised, in lower case; "" when the text does not matter.
	Want string
	// Failing and Hanging build one whose vendor refuses or never answers (with the adapter's time-out set
	// to some hundred milliseconds). Nil when that cannot be.
	Failing, Hanging func(t testing.TB) provider.STT
}

// STT is the conformance suite of recognisers.
func STT(t *testing.T, c STTCase) {
	if c.Config.Rate == 0 {
		c.Config.Rate = 16000
	}
	if c.Config.Language == "" {
		c.Config.Language = "en-US"
	}
	if c.Speech == nil {
		c.Speech = Babble(c.Config.Rate, time.Second)
	}
	run(t, "one final for each utterance", c.oneFinal)
	run(t, "an abandoned utterance gives nothing", c.abandon)
	run(t, "abandon and end twice", c.twice)
	run(t, "silence is not an error", c.silence)
	run(t, "a very short utterance gets its final", c.short)
	run(t, "close twice, and use after it", c.closeTwice)
	run(t, "close during recognition", c.closeBusy)
	run(t, "a cancelled context does not hang", c.cancelled)
	run(t, "end of an unknown utterance", c.unknown)
	if c.Failing != nil {
		run(t, "a failing vendor", func(t *testing.T) { c.broken(t, c.Failing) })
	}
	if c.Hanging != nil {
		run(t, "a hanging vendor", func(t *testing.T) { c.broken(t, c.Hanging) })
	}
}

func (c STTCase) open(t *testing.T, ctx context.Context) provider.STTStream {
	t.Helper()
	s, err := c.New(t).Open(ctx, c.Config)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// write gives pcm in frames of 20 ms; a short rest is filled with silence.
func (c STTCase) write(s provider.STTStream, pcm []int16) {
	frame := make([]int16, c.Config.Rate/50)
	for len(pcm) > 0 {
		clear(frame)
		n := copy(frame, pcm)
		pcm = pcm[n:]
		s.Write(frame)
	}
	clear(frame) // the stream must have copied what it keeps
}

// final waits for the final result of utterance id and fails on any other utterance's.
func final(t *testing.T, s provider.STTStream, id int) provider.STTResult {
	t.Helper()
	limit := time.After(patience)
	for {
		select {
		case r, ok := <-s.Results():
			if !ok {
				t.Fatalf("Results was closed before the final of utterance %d", id)
			}
			if r.Utterance != id {
				if r.Final {
					t.Fatalf("got a final of utterance %d while waiting for that of %d: %+v", r.Utterance, id, r)
				}
				continue // a late partial of an abandoned one
			}
			if r.Err != nil && !r.Final {
				t.Fatalf("a result with Err must be final: %+v", r)
			}
			if r.Final {
				return r
			}
		case <-limit:
			t.Fatalf("no final for utterance %d within %v", id, patience)
		}
	}
}

// quiet fails when a result is waiting.
func quiet(t *testing.T, s provider.STTStream) {
	t.Helper()
	select {
	case r, ok := <-s.Results():
		if ok {
			t.Fatalf("a result too many: %+v", r)
		}
	default:
	}
}

func (c STTCase) oneFinal(t *testing.T) {
	s := c.open(t, context.Background())
	for id := 1; id <= 3; id++ {
		s.Begin(id, c.Expect)
		c.write(s, c.Speech)
		s.End(id)
		r := final(t, s, id)
		if r.Err != nil {
			t.Fatalf("utterance %d: %v", id, r.Err)
		}
		if c.Want != "" && !strings.Contains(strings.ToLower(r.Text), c.Want) {
			t.Fatalf("utterance %d: got %q, want it to contain %q", id, r.Text, c.Want)
		}
		if r.Confidence < 0 || r.Confidence > 1 {
			t.Fatalf("confidence %v is not within 0 and 1", r.Confidence)
		}
		quiet(t, s)
	}
}

func (c STTCase) abandon(t *testing.T) {
	s := c.open(t, context.Background())
	s.Begin(1, c.Expect)
	c.write(s, c.Speech[:len(c.Speech)/4])
	s.Abandon(1)
	s.Begin(2, c.Expect)
	c.write(s, c.Speech)
	s.End(2)
	final(t, s, 2)
}

func (c STTCase) twice(t *testing.T) {
	s := c.open(t, context.Background())
	s.Begin(1, c.Expect)
	c.write(s, c.Speech[:len(c.Speech)/4])
	s.Abandon(1)
	s.Abandon(1)
	s.Begin(2, c.Expect)
	c.write(s, c.Speech)
	s.End(2)
	s.End(2)
	final(t, s, 2)
	quiet(t, s)
}

func (c STTCase) silence(t *testing.T) {
	s := c.open(t, context.Background())
	s.Begin(1, c.Expect)
	c.write(s, make([]int16, c.Config.Rate))
	s.End(1)
	if r := final(t, s, 1); r.Err != nil {
		t.Fatalf("silence gave %v", r.Err)
	}
}

func (c STTCase) short(t *testing.T) {
	s := c.open(t, context.Background())
	s.Begin(1, c.Expect)
	s.End(1) // not one frame
	if r := final(t, s, 1); r.Err != nil {
		t.Fatalf("an utterance without audio gave %v", r.Err)
	}
	s.Begin(2, c.Expect)
	c.write(s, c.Speech[:c.Config.Rate/50])
	s.End(2)
	if r := final(t, s, 2); r.Err != nil {
		t.Fatalf("an utterance of one frame gave %v", r.Err)
	}
}

func (c STTCase) closeTwice(t *testing.T) {
	s := c.open(t, context.Background())
	within(t, promptly, "Close", func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close again: %v", err)
		}
	})
	within(t, promptly, "use after Close", func() {
		s.Begin(1, c.Expect)
		c.write(s, c.Speech)
		s.End(1)
		s.Abandon(1)
	})
}

func (c STTCase) closeBusy(t *testing.T) {
	s := c.open(t, context.Background())
	s.Begin(1, c.Expect)
	c.write(s, c.Speech)
	s.End(1)
	within(t, promptly, "Close during recognition", func() { _ = s.Close() })
}

func (c STTCase) cancelled(t *testing.T) {
	vendor := c.New(t)
	within(t, promptly, "Open with an ended context", func() {
		if s, err := vendor.Open(ended(), c.Config); err == nil {
			_ = s.Close()
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	s, err := vendor.Open(ctx, c.Config)
	if err != nil {
		cancel()
		t.Fatalf("Open: %v", err)
	}
	s.Begin(1, c.Expect)
	c.write(s, c.Speech)
	s.End(1)
	cancel()
	within(t, promptly, "Close after the context's end", func() { _ = s.Close() })
}

func (c STTCase) unknown(t *testing.T) {
	s := c.open(t, context.Background())
	s.End(7)
	s.Abandon(8)
	s.Begin(9, c.Expect)
	c.write(s, c.Speech)
	s.End(9)
	final(t, s, 9)
}

// broken checks that a vendor's failure comes out as one final with a *provider.Error, or from Open.
func (c STTCase) broken(t *testing.T, build func(t testing.TB) provider.STT) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := build(t).Open(ctx, c.Config)
	if err != nil {
		wantVendorError(t, err, provider.ServiceSTT)
		return
	}
	s.Begin(1, c.Expect)
	c.write(s, c.Speech)
	s.End(1)
	r := final(t, s, 1)
	if r.Err == nil {
		t.Fatalf("the failure did not show: %+v", r)
	}
	wantVendorError(t, r.Err, provider.ServiceSTT)
	within(t, promptly, "Close after a failure", func() { _ = s.Close() })
}
