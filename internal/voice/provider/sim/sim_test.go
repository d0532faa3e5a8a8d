package sim

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/voice/provider"
	"github.com/parley-voice/parley/internal/voice/provider/providertest"
)

func vendor(edit func(*Config)) *Vendor {
	c := Config{Clock: quartz.NewReal(), Seed: 1}
	if edit != nil {
		edit(&c)
	}
	return New(c)
}

func TestSTTConformance(t *testing.T) {
	providertest.STT(t, providertest.STTCase{
		New:  func(testing.TB) provider.STT { return vendor(nil).STT() },
		Want: "utterance",
		Failing: func(testing.TB) provider.STT {
			return vendor(func(c *Config) { c.STT.Faults.Error = 1 }).STT()
		},
		Hanging: func(testing.TB) provider.STT {
			return vendor(func(c *Config) {
				c.STT.Faults.Hang, c.STT.Timeout = 1, 20*time.Millisecond
			}).STT()
		},
	})
}

func TestSlowSTTConformance(t *testing.T) {
	providertest.STT(t, providertest.STTCase{
		New: func(testing.TB) provider.STT {
			return vendor(func(c *Config) {
				c.STT.Latency, c.STT.Partials = Latency{Shape: Normal, A: 2 * time.Millisecond, B: time.Millisecond}, true
			}).STT()
		},
	})
}

func TestLLMConformance(t *testing.T) {
	providertest.LLM(t, providertest.LLMCase{
		New:  func(testing.TB) provider.LLM { return vendor(withTool) },
		Want: "you said",
		ToolRequest: &provider.ChatRequest{
			Messages: []provider.Message{{Role: "user", Text: "Please end it"}},
			Tools:    []provider.ToolSpec{{Name: "hang_up", Parameters: []byte(`{"type":"object"}`)}},
		},
		Failing: func(testing.TB) provider.LLM {
			return vendor(func(c *Config) { c.LLM.Faults.Fatal = 1 })
		},
		Hanging: func(testing.TB) provider.LLM {
			return vendor(func(c *Config) { c.LLM.Faults.Hang = 1 })
		},
	})
}

func withTool(c *Config) {
	c.LLM.Tools = []ToolUse{{Word: "end it", Name: "hang_up", Arguments: `{"reason":"asked"}`}}
}

func TestTTSConformance(t *testing.T) {
	providertest.TTS(t, providertest.TTSCase{
		New: func(testing.TB) provider.TTS { return vendor(nil) },
		Failing: func(testing.TB) provider.TTS {
			return vendor(func(c *Config) { c.TTS.Faults.Error = 1 })
		},
		Hanging: func(testing.TB) provider.TTS {
			return vendor(func(c *Config) { c.TTS.Faults.Hang = 1 })
		},
	})
}

func TestSameSeedSameFate(t *testing.T) {
	f := Faults{Error: 0.2, Hang: 0.2, Rubbish: 0.2, Slow: 0.2, SlowBy: time.Second}
	l := Latency{Shape: LogNormal, A: 300 * time.Millisecond, Sigma: 0.5}
	a, b, c := vendor(nil).Call(7), vendor(nil).Call(7), vendor(nil).Call(8)
	differ := false
	for range 200 {
		x, y, z := a.draw(l, f), b.draw(l, f), c.draw(l, f)
		if x != y {
			t.Fatalf("the same seed gave %+v and %+v", x, y)
		}
		differ = differ || x != z
	}
	if !differ {
		t.Fatal("another seed gave the same")
	}
}

func TestLatencyShapes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for text, want := range map[string][2]time.Duration{ // bounds of the median
		"":                            {0, 0},
		"300ms":                       {300 * time.Millisecond, 300 * time.Millisecond},
		"normal:300ms,50ms":           {280 * time.Millisecond, 320 * time.Millisecond},
		"lognormal:300ms,0.4":         {270 * time.Millisecond, 330 * time.Millisecond},
		"percentiles:200ms,600ms,2s":  {180 * time.Millisecond, 220 * time.Millisecond},
		" percentiles:0s, 600ms , 2s": {0, 20 * time.Millisecond},
	} {
		l, err := ParseLatency(text)
		if err != nil {
			t.Fatal(err)
		}
		below, above := 0, 0
		for range 2000 {
			d := l.draw(r)
			if d < want[0] {
				below++
			}
			if d > want[1] {
				above++
			}
			if d < 0 {
				t.Fatalf("%q gave %v", text, d)
			}
		}
		if below > 1000 || above > 1050 {
			t.Errorf("%q: the median is not within %v: %d below, %d above", text, want, below, above)
		}
	}
}

func FuzzParseLatency(f *testing.F) {
	for _, s := range []string{"", "1s", "normal:1s,1s", "lognormal:1s,0.5", "percentiles:1s,2s,3s", "lognormal:1s,NaN", ":", "x:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseLatency(s)
		if err != nil {
			return
		}
		r := rand.New(rand.NewPCG(1, 2))
		for range 20 {
			if d := l.draw(r); d < 0 || d > maxDelay*2 {
				t.Fatalf("%q gave %v", s, d)
			}
		}
	})
}
