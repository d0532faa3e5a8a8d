package local

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/voice/provider"
	"github.com/parley-voice/parley/internal/voice/provider/providertest"
)

func engine(t testing.TB, c Config) *Engine {
	t.Helper()
	if c.TempDir == "" {
		c.TempDir = t.TempDir()
	}
	e, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// fake makes a folder with programs that do what script says instead of the real ones.
func fake(t testing.TB, script string) string {
	t.Helper()
	dir := t.TempDir()
	for _, p := range []string{flite, espeak, pocketsphinx} {
		if err := os.WriteFile(filepath.Join(dir, p), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil { //nolint:gosec // it has to run
			t.Fatal(err)
		}
	}
	return dir
}

// say gives what a voice says, at a rate.
func say(t testing.TB, e *Engine, voice, text string) []int16 {
	t.Helper()
	s, err := e.Speak(context.Background(), provider.SpeakRequest{Text: text, Voice: voice})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var pcm []int16
	buf := make([]int16, 4000)
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

func menu(phrases ...string) provider.Expect {
	seen := map[string]bool{}
	var words []string
	for _, p := range phrases {
		for w := range strings.FieldsSeq(p) {
			if !seen[w] {
				seen[w] = true
				words = append(words, w)
			}
		}
	}
	return provider.Expect{Grammar: "#JSGF V1.0;\ngrammar flow;\npublic <flow> = " + strings.Join(phrases, " | ") + ";\n", Words: words}
}

func TestTTSConformance(t *testing.T) {
	for _, voice := range []string{"slt", "espeak"} {
		t.Run(voice, func(t *testing.T) {
			providertest.TTS(t, providertest.TTSCase{
				New:     func(t testing.TB) provider.TTS { return engine(t, Config{}) },
				Request: provider.SpeakRequest{Text: "Good morning, this is the front desk.", Voice: voice},
				Failing: func(t testing.TB) provider.TTS { return engine(t, Config{Path: fake(t, "exit 3")}) },
				Hanging: func(t testing.TB) provider.TTS { return engine(t, Config{Path: fake(t, "sleep 60 & wait")}) },
			})
		})
	}
}

func TestSTTConformance(t *testing.T) {
	providertest.STT(t, providertest.STTCase{
		New:     func(t testing.TB) provider.STT { return engine(t, Config{}) },
		Speech:  say(t, engine(t, Config{}), "slt", "book an appointment"),
		Expect:  menu("book an appointment", "opening hours", "goodbye"),
		Want:    "book an appointment",
		Failing: func(t testing.TB) provider.STT { return engine(t, Config{Path: fake(t, "exit 3")}) },
		Hanging: func(t testing.TB) provider.STT {
			return engine(t, Config{Path: fake(t, "sleep 60 & wait"), Timeout: 200 * time.Millisecond})
		},
	})
}

// A flow's sentence is spoken once and then taken from memory.
func TestSentencesAreCached(t *testing.T) {
	e := engine(t, Config{})
	first := say(t, e, "slt", "Welcome to the clinic.")
	e.programs[flite] = filepath.Join(t.TempDir(), "gone")
	if again := say(t, e, "slt", "Welcome to the clinic."); len(again) != len(first) {
		t.Fatalf("%d samples, then %d", len(first), len(again))
	}
}

func TestLeadingSilenceIsTrimmed(t *testing.T) {
	e := engine(t, Config{})
	for _, v := range Voices() {
		pcm := say(t, e, v, "Good morning.")
		at := 0
		for at < len(pcm) && pcm[at] > -speechLevel && pcm[at] < speechLevel {
			at++
		}
		if at > speechRate/50 || len(pcm) < speechRate/3 {
			t.Errorf("voice %s: %d samples, %d of them leading silence", v, len(pcm), at)
		}
	}
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	e := engine(t, Config{Path: t.TempDir(), ModelDir: t.TempDir()})
	s := e.Check()
	if s.Speech || s.Recognition || len(s.Missing) != 4 || !strings.Contains(s.String(), "install flite espeak-ng pocketsphinx pocketsphinx-en-us") {
		t.Fatalf("%+v: %s", s, s)
	}
	if strings.Contains(s.String(), "typing") {
		t.Errorf("an agent without a voice is promised to those who type: %s", s)
	}
	s.Speech = true
	if !strings.Contains(s.String(), "typing") || strings.Contains(s.String(), "menus") {
		t.Errorf("with a voice and no recogniser: %s", s)
	}
	_, err := e.Speak(t.Context(), provider.SpeakRequest{Text: "x"})
	if !provider.IsFatal(err) || !strings.Contains(err.Error(), "install flite") {
		t.Fatal(err)
	}
	if _, err := e.Open(t.Context(), provider.STTConfig{Rate: 8000}); !provider.IsFatal(err) {
		t.Fatal(err)
	}
	if s := Check(Config{}); !s.OK() {
		t.Fatalf("the tests need the engines: %s", s)
	}
}

func TestFreeSpeechIsRefused(t *testing.T) {
	e := engine(t, Config{})
	_, err := e.recognise(t.Context(), make([]int16, 16000), 16000, provider.Expect{}, 1)
	if !provider.IsFatal(err) || !strings.Contains(err.Error(), "not free speech") {
		t.Fatal(err)
	}
}

func TestBadRequests(t *testing.T) {
	e := engine(t, Config{})
	for _, r := range []provider.SpeakRequest{{Text: "x", Voice: "nobody"}, {Text: "x", Speed: 99}, {Text: strings.Repeat("word ", 2000)}} {
		if _, err := e.Speak(t.Context(), r); !provider.IsFatal(err) {
			t.Errorf("%.20q %q %g: %v", r.Text, r.Voice, r.Speed, err)
		}
	}
}

// A full pool makes callers wait, and says so when they wait too long.
func TestPoolIsBounded(t *testing.T) {
	e := engine(t, Config{Workers: 1, QueueTimeout: time.Millisecond, Path: fake(t, "sleep 60 & wait")})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = e.Speak(ctx, provider.SpeakRequest{Text: "hello"}) })
	for len(e.pool) == 0 {
		runtime.Gosched() // until the child holds the worker
	}
	_, err := e.Speak(t.Context(), provider.SpeakRequest{Text: "hello"})
	var pe *provider.Error
	if !errors.As(err, &pe) || pe.Code != "timeout" || !strings.Contains(pe.Message, "busy") {
		t.Fatal(err)
	}
	cancel()
	wg.Wait()
}

// Whatever happens, no file of a caller's speech stays behind.
func TestNoFilesStay(t *testing.T) {
	e := engine(t, Config{})
	if _, err := e.recognise(t.Context(), say(t, e, "slt", "goodbye"), 16000, menu("goodbye", "hello"), 1); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(e.dir)
	if err != nil || len(left) > 0 {
		t.Fatalf("left: %v %v", left, err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(e.dir); !os.IsNotExist(err) {
		t.Fatalf("the directory stays: %v", err)
	}
}

// Words no dictionary has are pronounced by rule.
func TestUnknownWords(t *testing.T) {
	e := engine(t, Config{})
	h, err := e.recognise(t.Context(), say(t, e, "slt", "physiotherapy please"), 16000, menu("physiotherapy please", "pharmacy please", "goodbye"), 1)
	if err != nil || h.text != "physiotherapy please" {
		t.Fatalf("%+v %v", h, err)
	}
}

func FuzzParseWAV(f *testing.F) {
	f.Add([]byte("RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x80\x3e\x00\x00\x00\x7d\x00\x00\x02\x00\x10\x00data\xff\xff\xff\xff\x01\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if rate, pcm, err := parseWAV(b); err == nil && (rate < 4000 || len(pcm) > len(b)) {
			t.Fatal(rate, len(pcm))
		}
	})
}

func FuzzParseHyp(f *testing.F) {
	f.Add([]byte("book it (u -4371)\n"))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _, _ = parseHyp(b) })
}

func FuzzSpeakable(f *testing.F) {
	f.Add("-v nothing <speak> a\x00b")
	f.Fuzz(func(t *testing.T, s string) {
		for _, p := range pieces(speakable(s)) {
			if len(p) > maxPiece || strings.HasPrefix(p, "-") && p == speakable(s) {
				t.Fatalf("%q", p)
			}
		}
	})
}
