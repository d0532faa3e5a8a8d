package voice

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/event"
)

func newLegClock() quartz.Clock { return quartz.NewReal() }

// mute is an emitter nobody hears.
type mute struct{}

func (mute) Say(string) error                             { return nil }
func (mute) CollectDigits(DigitRule)                      {}
func (mute) Transfer(string)                              {}
func (mute) Hangup(string)                                {}
func (mute) Outcome(string, map[string]any)               {}
func (mute) Note(event.EntryKind, string, map[string]any) {}

func TestSentences(t *testing.T) {
	for text, want := range map[string][]string{
		"":                       nil,
		"Hello":                  {"Hello"},
		"Hello. How are you?":    {"Hello.", "How are you?"},
		"It is 3.5 km away. Ok?": {"It is 3.5 km away.", "Ok?"},
		"Ask Dr. Miller. Or Mr. J. Smith, at 9 a.m. on Monday.": {"Ask Dr. Miller.", "Or Mr. J. Smith, at 9 a.m. on Monday."},
		"Certainly, I can do that for you, one moment. Done.":   {"Certainly, I can do that for you,", "one moment.", "Done."},
		"One\ntwo":      {"One", "two"},
		"你好。你好吗？":       {"你好。", "你好吗？"},
		"Wait... what?": {"Wait...", "what?"},
	} {
		if got := sentences(text); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	if long := sentences(strings.Repeat("word ", 200)); len(long) < 4 || len(long[0]) > maxChunk {
		t.Errorf("a long text without marks gives %d chunks", len(long))
	}
}

// However the text is cut into tokens, the same words come out in order, in chunks of bounded length.
func FuzzSplitter(f *testing.F) {
	f.Add("Hello there, this is a test. It works!", 3)
	f.Add("\xff\xfe. x", 1)
	f.Add(strings.Repeat("a", 600), 7)
	f.Fuzz(func(t *testing.T, text string, n int) {
		n = min(max(n, 1), 64)
		var s Splitter
		var got []string
		for rest := text; rest != ""; {
			k := min(n, len(rest))
			got = append(got, s.Add(rest[:k])...)
			rest = rest[k:]
		}
		got = append(got, s.Flush()...)
		strip := func(s string) string { return strings.Join(strings.Fields(s), "") }
		if utf8.ValidString(text) && strip(strings.Join(got, "")) != strip(text) {
			t.Fatalf("%q became %q", text, got)
		}
		for _, c := range got {
			if len(c) > maxChunk+8 {
				t.Fatalf("a chunk of %d bytes", len(c))
			}
		}
	})
}

func TestFirstPart(t *testing.T) {
	for share, want := range map[float64]string{0: "", 0.3: "one", 0.5: "one two", 0.8: "one two three", 1: "one two three four"} {
		if got := firstPart("one two three four", share); got != want {
			t.Errorf("%v: got %q, want %q", share, got, want)
		}
	}
}
