package openai_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/voice/provider"
	"github.com/parley-voice/parley/internal/voice/provider/openai"
	"github.com/parley-voice/parley/internal/voice/provider/providertest"
)

// aimock starts the peer, which nobody here wrote, and gives its address. make installs it.
func aimock(t testing.TB) string {
	t.Helper()
	cmd := exec.Command("node", "serve.mjs")
	cmd.Dir = "../../../../test/peers/aimock"
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start aimock: %v; make test installs it", err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	sc := bufio.NewScanner(stdout)
	for sc.Scan() {
		if strings.HasPrefix(sc.Text(), "http") {
			go func() { _, _ = io.Copy(io.Discard, stdout) }()
			return sc.Text()
		}
	}
	t.Fatal("aimock did not start; make test installs it")
	return ""
}

func client(t testing.TB, base string, change ...func(*openai.Config)) *openai.Client {
	t.Helper()
	c := openai.Config{
		STT: openai.Endpoint{BaseURL: base, Model: "whisper-1"},
		LLM: openai.Endpoint{BaseURL: base + "/v1/", Model: "gpt-4o-mini"},
		TTS: openai.Endpoint{BaseURL: base + "/v1", Model: "tts-1"},
	}
	for _, f := range change {
		f(&c)
	}
	cl, err := openai.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cl.Close() })
	return cl
}

func TestAgainstAimock(t *testing.T) {
	url := aimock(t)
	tool := provider.ChatRequest{Messages: []provider.Message{{Role: "user", Text: "What is the weather?"}},
		Tools: []provider.ToolSpec{{Name: "weather", Description: "Tells it", Parameters: []byte(`{"type":"object","properties":{"city":{"type":"string"}}}`)}}}
	t.Run("llm", func(t *testing.T) {
		providertest.LLM(t, providertest.LLMCase{
			New:         func(t testing.TB) provider.LLM { return client(t, url) },
			Request:     provider.ChatRequest{Messages: []provider.Message{{Role: "system", Text: "Be brief."}, {Role: "user", Text: "hello"}}},
			Want:        "front desk",
			ToolRequest: &tool,
			Failing:     func(t testing.TB) provider.LLM { return client(t, broken(t)) },
			Hanging:     func(t testing.TB) provider.LLM { return client(t, hanging(t)) },
		})
	})
	t.Run("tts", func(t *testing.T) {
		providertest.TTS(t, providertest.TTSCase{
			New:     func(t testing.TB) provider.TTS { return client(t, talker(t)) },
			Failing: func(t testing.TB) provider.TTS { return client(t, broken(t)) },
			Hanging: func(t testing.TB) provider.TTS { return client(t, hanging(t)) },
		})
		s, err := client(t, url).Speak(t.Context(), provider.SpeakRequest{Text: "Good morning."})
		if err != nil {
			t.Fatal(err)
		}
		pcm := drain(t, s)
		if s.Rate() != 24000 || len(pcm) < 24000 || len(pcm) > 24480 {
			t.Fatalf("%d samples at %d; want the second of sound and at most 20 ms before it", len(pcm), s.Rate())
		}
	})
	t.Run("stt", func(t *testing.T) {
		providertest.STT(t, providertest.STTCase{
			New:     func(t testing.TB) provider.STT { return client(t, url) },
			Want:    "book an appointment",
			Failing: func(t testing.TB) provider.STT { return client(t, broken(t)) },
			Hanging: func(t testing.TB) provider.STT {
				return client(t, hanging(t), func(c *openai.Config) { c.FirstByte = 200 * time.Millisecond })
			},
		})
	})
	t.Run("rate limit", func(t *testing.T) {
		_, err := client(t, url).Chat(t.Context(), provider.ChatRequest{Messages: []provider.Message{{Role: "user", Text: "busy"}}})
		wantCode(t, err, "rate_limited", "Slow down")
	})
	t.Run("models", func(t *testing.T) {
		models, err := openai.Prober{}.Probe(t.Context(), "llm", url, "")
		if err != nil || len(models) == 0 {
			t.Fatalf("%v %v", models, err)
		}
	})
}

func drain(t testing.TB, s provider.AudioStream) []int16 {
	t.Helper()
	defer func() { _ = s.Close() }()
	var pcm []int16
	buf := make([]int16, 1000)
	for {
		n, err := s.Read(buf)
		pcm = append(pcm, buf[:n]...)
		if errors.Is(err, io.EOF) {
			return pcm
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func wantCode(t testing.TB, err error, code, part string) {
	t.Helper()
	var e *provider.Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Message, part) {
		t.Fatalf("got %v, want code %s with %q", err, code, part)
	}
}

// answer reads a chat to its end or its error.
func answer(ctx context.Context, cl *openai.Client) (text string, calls []provider.ToolCall, last provider.ChatDelta, err error) {
	s, err := cl.Chat(ctx, provider.ChatRequest{Messages: []provider.Message{{Role: "user", Text: "hi"}}})
	if err != nil {
		return "", nil, last, err
	}
	defer func() { _ = s.Close() }()
	for {
		d, err := s.Next()
		if errors.Is(err, io.EOF) {
			return text, calls, last, nil
		}
		if err != nil {
			return text, calls, last, err
		}
		text += d.Text
		calls = append(calls, d.ToolCalls...)
		last = d
	}
}
