package local

import (
	"os"
	"strings"
	"testing"

	"github.com/parley-voice/parley/internal/media/audio"
	"github.com/parley-voice/parley/internal/voice/provider"
)

// written reads a grammar of the front desk as package flow wrote it.
func written(t testing.TB, name string) provider.Expect {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + name + ".jsgf")
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(raw), "grammar flow;")
	seen := map[string]bool{"public": true}
	var words []string
	for _, w := range strings.FieldsFunc(body, func(r rune) bool { return strings.ContainsRune(" |[]()*;=\n", r) }) {
		if !seen[w] && !strings.HasPrefix(w, "<") {
			seen[w] = true
			words = append(words, w)
		}
	}
	return provider.Expect{Grammar: string(raw), Words: words}
}

func telephone(t testing.TB, pcm []int16) []int16 {
	t.Helper()
	r, err := audio.NewResampler(16000, 8000)
	if err != nil {
		t.Fatal(err)
	}
	return r.Process(nil, pcm)
}

// Two voices say what the front desk asks for, over the telephone, and what it does not.
func TestRecognition(t *testing.T) {
	said := map[string][]string{
		"menu":  {"opening hours", "book an appointment", "cancel my appointment", "pharmacy", "goodbye"},
		"day":   {"tomorrow", "friday", "the first available"},
		"time":  {"ten thirty", "half past two in the afternoon", "noon"},
		"offer": {"the first one", "another day"},
		"yesno": {"yes please", "no thank you"},
	}
	other := []string{"the weather is lovely in the mountains", "i have lost my umbrella", "we are watching television"}
	e := engine(t, Config{})
	right, total, taken, strange := 0, 0, 0, 0
	for name, phrases := range said {
		x := written(t, name)
		for _, voice := range []string{"slt", "rms"} {
			for i, p := range append(phrases, other...) {
				h, err := e.recognise(t.Context(), telephone(t, say(t, e, voice, p)), 8000, x, i)
				if err != nil {
					t.Fatal(err)
				}
				switch {
				case i >= len(phrases):
					strange++
					if h.text != "" {
						taken++
					}
				default:
					total++
					if h.text == p {
						right++
					} else {
						t.Logf("%s, %s: %q was heard as %q (%.1f)", name, voice, p, h.text, h.margin)
					}
				}
			}
		}
	}
	t.Logf("understood %d of %d phrases; took %d of %d other sentences for one", right, total, taken, strange)
	if right*100 < total*80 || taken*100 > strange*25 {
		t.Fatal("the recogniser has become worse")
	}
}

// A grammar that is used often gets a threshold of its own, between the bounds.
func TestCalibration(t *testing.T) {
	e := engine(t, Config{})
	x := written(t, "time")
	pcm := telephone(t, say(t, e, "slt", "ten thirty"))
	for id := range calibrateAfter {
		if _, err := e.recognise(t.Context(), pcm, 8000, x, id); err != nil {
			t.Fatal(err)
		}
	}
	e.calibration.wg.Wait()
	g, ok := e.grammars.GetIfPresent(x.Grammar)
	if !ok || g.limit.Load() == nil {
		t.Fatal("the grammar was not calibrated")
	}
	if l := *g.limit.Load(); l < lowest || l > threshold8k {
		t.Fatalf("threshold %g", l)
	}
	t.Logf("threshold of the grammar of times: %.1f", *g.limit.Load())
	h, err := e.recognise(t.Context(), pcm, 8000, x, 9)
	if err != nil || h.text != "ten thirty" {
		t.Fatalf("%+v %v", h, err)
	}
}

func BenchmarkRecognise(b *testing.B) {
	e := engine(b, Config{})
	x, pcm := written(b, "menu"), say(b, e, "slt", "book an appointment")
	for b.Loop() {
		if _, err := e.recognise(b.Context(), pcm, 16000, x, 1); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSpeak(b *testing.B) {
	e := engine(b, Config{})
	b.Run("flite", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			e.spoken.InvalidateAll()
			say(b, e, "slt", "How can I help you today?")
		}
	})
	b.Run("cached", func(b *testing.B) {
		for b.Loop() {
			say(b, e, "slt", "How can I help you today?")
		}
	})
}
