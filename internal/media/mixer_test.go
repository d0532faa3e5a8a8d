package media

import (
	"testing"
)

func flat(v int16, n int) []int16 {
	f := make([]int16, n)
	for i := range f {
		f[i] = v
	}
	return f
}

func join(t testing.TB, m *Mixer, rate int) *Party {
	t.Helper()
	p, err := m.Join(rate)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newMixer(t testing.TB, rate int) *Mixer {
	t.Helper()
	m, err := NewMixer(MixerConfig{Rate: rate})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// round lets each party say its value for some ticks and returns what each hears in the last one.
func round(parties []*Party, rates []int, say []int16, ticks int) []int16 {
	heard := make([]int16, len(parties))
	for range ticks {
		for i, p := range parties {
			out := make([]int16, rates[i]/50)
			heard[i] = 0
			if p.Tick(flat(say[i], rates[i]/50), out) {
				heard[i] = out[len(out)/2]
			}
		}
	}
	return heard
}

func TestMixerSumsTheOthers(t *testing.T) {
	m := newMixer(t, 8000)
	rates := []int{8000, 8000, 8000}
	p := []*Party{join(t, m, 8000), join(t, m, 8000), join(t, m, 8000)}
	if h := round(p, rates, []int16{100, 1000, 20000}, 4); h[0] != 21000 || h[1] != 20100 || h[2] != 1100 {
		t.Errorf("heard %v", h)
	}
	if h := round(p, rates, []int16{20000, 30000, -32768}, 4); h[2] != 32767 || h[0] != -2768 {
		t.Errorf("not cut off at full scale: %v", h)
	}
	p[1].Leave()
	p[1].Leave()
	if h := round(p, rates, []int16{100, 1000, 20000}, 4); h[0] != 20000 || h[1] != 0 || h[2] != 100 {
		t.Errorf("after one left: %v", h)
	}
	// Another one in the same place hears and is heard, and nothing old.
	p[1] = join(t, m, 8000)
	if h := round(p, rates, []int16{100, 5, 20000}, 4); h[0] != 20005 || h[1] != 20100 {
		t.Errorf("after one joined: %v", h)
	}
}

func TestMixerListenWhisperBarge(t *testing.T) {
	m := newMixer(t, 8000)
	caller, operator, chief := join(t, m, 8000), join(t, m, 8000), join(t, m, 8000)
	p, rates, say := []*Party{caller, operator, chief}, []int{8000, 8000, 8000}, []int16{100, 1000, 10000}
	for _, tc := range []struct {
		name string
		do   func()
		want [3]int16
	}{
		{"listen", func() { chief.HeardBy() }, [3]int16{1000, 100, 1100}},
		{"whisper", func() { chief.HeardBy(operator) }, [3]int16{1000, 10100, 1100}},
		{"barge", func() { chief.HeardBy(caller, operator) }, [3]int16{11000, 10100, 1100}},
		{"gain", func() { caller.Hear(chief, 0.5); chief.Hear(caller, 2) }, [3]int16{6000, 10100, 1200}},
	} {
		tc.do()
		if h := round(p, rates, say, 4); [3]int16(h) != tc.want {
			t.Errorf("%s: heard %v, want %v", tc.name, h, tc.want)
		}
	}
}

func TestMixerJoinsRates(t *testing.T) {
	m := newMixer(t, 16000)
	rates := []int{8000, 16000}
	p := []*Party{join(t, m, 8000), join(t, m, 16000)}
	h := round(p, rates, []int16{1000, 3000}, 10)
	if h[0] < 2990 || h[0] > 3010 || h[1] < 990 || h[1] > 1010 {
		t.Errorf("heard %v", h)
	}
}

// TestMixerKeepsUpWithLegsOutOfStep: a leg that ticks less often for a while is heard without a growing delay.
func TestMixerKeepsUpWithLegsOutOfStep(t *testing.T) {
	m := newMixer(t, 8000)
	a, b := join(t, m, 8000), join(t, m, 8000)
	out := make([]int16, 160)
	b.Tick(nil, out)
	for i := range 20 {
		a.Tick(flat(int16(i+1), 160), nil)
	}
	if !b.Tick(nil, out) || out[0] != 19 {
		t.Errorf("after a pause %d is heard, want the newest but one", out[0])
	}
	if !b.Tick(nil, out) || out[0] != 20 || b.Tick(nil, out) {
		t.Errorf("then %d", out[0])
	}
}

func TestMixerRefusesAndReports(t *testing.T) {
	if _, err := NewMixer(MixerConfig{Rate: 44100}); err == nil {
		t.Error("44.1 kHz was taken")
	}
	var got LegEvent
	m, err := NewMixer(MixerConfig{Rate: 8000, OnEvent: func(_ *Party, e LegEvent) { got = e }})
	if err != nil {
		t.Fatal(err)
	}
	for range maxParties {
		join(t, m, 8000).Event(LegEvent{Kind: LegDTMF, Digit: '7'})
	}
	if got.Digit != '7' {
		t.Errorf("event %+v", got)
	}
	if _, err := m.Join(8000); err == nil {
		t.Error("too many parties were taken")
	}
	if _, err := newMixer(t, 8000).Join(12345); err == nil {
		t.Error("a leg at 12,345 Hz was taken")
	}
}

func BenchmarkMixerTick(b *testing.B) {
	m := newMixer(b, 8000)
	x, y := join(b, m, 8000), join(b, m, 8000)
	in, out := flat(1000, 160), make([]int16, 160)
	b.ReportAllocs()
	for b.Loop() {
		x.Tick(in, out)
		y.Tick(in, out)
	}
}
