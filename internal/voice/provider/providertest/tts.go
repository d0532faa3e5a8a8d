package providertest

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/voice/provider"
)

// TTSCase says how to build a voice and what it says.
type TTSCase struct {
	New func(t testing.TB) provider.TTS
	// Request is spoken; the zero value greets in en-US with the vendor's default voice.
	Request provider.SpeakRequest
	// Failing and Hanging build one whose vendor refuses or never answers. Nil when that cannot be.
	Failing, Hanging func(t testing.TB) provider.TTS
}

// TTS is the conformance suite of voices.
func TTS(t *testing.T, c TTSCase) {
	if c.Request.Text == "" {
		c.Request.Text = "Good morning, this is the front desk."
	}
	if c.Request.Language == "" {
		c.Request.Language = "en-US"
	}
	run(t, "speech, then io.EOF", c.speech)
	run(t, "any size of buffer gives the same", c.sizes)
	run(t, "longer text is longer speech", c.longer)
	run(t, "nothing to say", c.empty)
	run(t, "odd text", c.odd)
	run(t, "two voices at once", c.twoAtOnce)
	run(t, "close twice, and before the end", c.closeEarly)
	run(t, "an ended context", c.cancelled)
	run(t, "cancel during speech", c.cancelBusy)
	if c.Failing != nil {
		run(t, "a failing vendor", c.failing)
	}
	if c.Hanging != nil {
		run(t, "a hanging vendor ends with its context", c.hanging)
	}
}

// speak reads a whole utterance with a buffer of size samples.
func (c TTSCase) speak(t *testing.T, vendor provider.TTS, req provider.SpeakRequest, size int) (rate int, pcm []int16) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := vendor.Speak(ctx, req)
	if err != nil {
		t.Fatalf("Speak: %v", err)
	}
	defer func() { _ = s.Close() }()
	rate = s.Rate()
	return rate, c.read(t, s, size)
}

func (c TTSCase) read(t *testing.T, s provider.AudioStream, size int) (pcm []int16) {
	t.Helper()
	buf := make([]int16, size)
	empty := 0
	for {
		n, err := s.Read(buf)
		if n < 0 || n > len(buf) {
			t.Fatalf("Read returned %d for a buffer of %d", n, len(buf))
		}
		pcm = append(pcm, buf[:n]...)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("Read: %v", err)
		}
		if empty++; n > 0 {
			empty = 0
		}
		if empty > 1000 {
			t.Fatal("Read returns nothing, again and again")
		}
	}
	if n, err := s.Read(buf); n != 0 || !errors.Is(err, io.EOF) {
		t.Fatalf("Read after the end gave %d, %v, want 0, io.EOF", n, err)
	}
	return pcm
}

func (c TTSCase) speech(t *testing.T) {
	rate, pcm := c.speak(t, c.New(t), c.Request, 320)
	if rate < 8000 || rate > 48000 {
		t.Fatalf("rate %d is not within 8000 and 48000", rate)
	}
	long := time.Duration(len(pcm)) * time.Second / time.Duration(rate)
	if long < 200*time.Millisecond || long > time.Minute {
		t.Fatalf("%q takes %v", c.Request.Text, long)
	}
	// Leading silence is at most 20 ms by contract; quiet onsets of real voices get some more.
	lead := 0
	for lead < len(pcm) && pcm[lead] > -200 && pcm[lead] < 200 {
		lead++
	}
	if at := time.Duration(lead) * time.Second / time.Duration(rate); at > 80*time.Millisecond {
		t.Fatalf("%v of silence before the first sound; trim it", at)
	}
}

func (c TTSCase) sizes(t *testing.T) {
	vendor := c.New(t)
	_, want := c.speak(t, vendor, c.Request, 4096)
	for _, size := range []int{1, 7, 160, 100000} {
		_, got := c.speak(t, vendor, c.Request, size)
		// Real engines are not the same to the sample each time; the length is.
		if diff := len(got) - len(want); diff > len(want)/10 || -diff > len(want)/10 {
			t.Errorf("a buffer of %d gives %d samples, one of 4096 gives %d", size, len(got), len(want))
		}
	}
}

func (c TTSCase) longer(t *testing.T) {
	vendor := c.New(t)
	_, short := c.speak(t, vendor, c.Request, 320)
	req := c.Request
	req.Text += " " + req.Text
	_, long := c.speak(t, vendor, req, 320)
	if len(long) <= len(short) {
		t.Fatalf("twice the text gives %d samples, once gives %d", len(long), len(short))
	}
}

// empty accepts silence or a clear error, and no hanging.
func (c TTSCase) empty(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req := c.Request
	for _, text := range []string{"", "  \n", "...", "—"} {
		req.Text = text
		within(t, patience, "speaking nothing", func() {
			s, err := c.New(t).Speak(ctx, req)
			if err != nil {
				var e *provider.Error
				if !errors.As(err, &e) {
					t.Errorf("text %q gave %T, want a *provider.Error", text, err)
				}
				return
			}
			defer func() { _ = s.Close() }()
			buf := make([]int16, 320)
			for {
				if _, err := s.Read(buf); err != nil {
					return
				}
			}
		})
	}
}

// odd text must neither hang nor be taken for an option or markup by the engine.
func (c TTSCase) odd(t *testing.T) {
	vendor := c.New(t)
	for _, text := range []string{
		"-v nothing", "<speak>x</speak>", "a\x00b", "\xff\xfe", "👋 hello", strings.Repeat("a", 6000),
	} {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		req := c.Request
		req.Text = text
		within(t, patience+promptly, "speaking odd text", func() {
			s, err := vendor.Speak(ctx, req)
			if err != nil {
				wantVendorError(t, err, provider.ServiceTTS)
				return
			}
			defer func() { _ = s.Close() }()
			buf := make([]int16, 4096)
			for range 100000 {
				if _, err := s.Read(buf); err != nil {
					return
				}
			}
			t.Errorf("text of %d bytes gives endless audio", len(text))
		})
		cancel()
	}
}

func (c TTSCase) twoAtOnce(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	vendor := c.New(t)
	a, err := vendor.Speak(ctx, c.Request)
	if err != nil {
		t.Fatalf("Speak: %v", err)
	}
	defer func() { _ = a.Close() }()
	b, err := vendor.Speak(ctx, c.Request)
	if err != nil {
		t.Fatalf("second Speak: %v", err)
	}
	defer func() { _ = b.Close() }()
	pb, pa := c.read(t, b, 320), c.read(t, a, 320)
	if len(pa) == 0 || len(pb) == 0 {
		t.Fatalf("got %d and %d samples", len(pa), len(pb))
	}
}

func (c TTSCase) closeEarly(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := c.New(t).Speak(ctx, c.Request)
	if err != nil {
		t.Fatalf("Speak: %v", err)
	}
	buf := make([]int16, 160)
	if _, err := s.Read(buf); err != nil {
		t.Fatalf("Read: %v", err)
	}
	within(t, promptly, "Close", func() {
		_ = s.Close()
		_ = s.Close()
	})
	within(t, promptly, "Read after Close", func() {
		for range 100000 {
			if _, err := s.Read(buf); err != nil {
				return
			}
		}
		t.Error("Read after Close never ends")
	})
}

func (c TTSCase) cancelled(t *testing.T) {
	vendor := c.New(t)
	within(t, promptly, "Speak with an ended context", func() {
		s, err := vendor.Speak(ended(), c.Request)
		if err != nil {
			return
		}
		defer func() { _ = s.Close() }()
		buf := make([]int16, 320)
		for range 100000 {
			if _, err := s.Read(buf); err != nil {
				return
			}
		}
	})
}

func (c TTSCase) cancelBusy(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s, err := c.New(t).Speak(ctx, c.Request)
	if err != nil {
		t.Fatalf("Speak: %v", err)
	}
	defer func() { _ = s.Close() }()
	buf := make([]int16, 160)
	if _, err := s.Read(buf); err != nil {
		t.Fatalf("Read: %v", err)
	}
	cancel()
	within(t, promptly, "Read after cancel", func() {
		for {
			if _, err := s.Read(buf); err != nil {
				return
			}
		}
	})
}

func (c TTSCase) failing(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := c.Failing(t).Speak(ctx, c.Request)
	if err != nil {
		wantVendorError(t, err, provider.ServiceTTS)
		return
	}
	defer func() { _ = s.Close() }()
	buf := make([]int16, 320)
	for {
		_, err := s.Read(buf)
		if errors.Is(err, io.EOF) {
			t.Fatal("the failure looks like the end of speech")
		}
		if err != nil {
			wantVendorError(t, err, provider.ServiceTTS)
			return
		}
	}
}

func (c TTSCase) hanging(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	vendor := c.Hanging(t)
	asked := make(chan struct{})
	go func() { <-asked; cancel() }()
	within(t, patience, "a hanging vendor", func() {
		close(asked)
		s, err := vendor.Speak(ctx, c.Request)
		if err != nil {
			return
		}
		defer func() { _ = s.Close() }()
		buf := make([]int16, 320)
		for {
			if _, err := s.Read(buf); err != nil {
				if errors.Is(err, io.EOF) {
					t.Error("a vendor that hangs spoke to the end")
				}
				return
			}
		}
	})
}
