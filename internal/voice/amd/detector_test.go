package amd

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/media/audio"
)

// hiss adds the noise of a quiet line and codes it, as every call is.
func hiss(tb testing.TB, pcm []int16) []int16 {
	tb.Helper()
	return line{codec: audio.PCMU}.through(tb, pcm, rand.New(rand.NewPCG(1, 2)))
}

const second = time.Second

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func TestVerdicts(t *testing.T) {
	hello := say(t, "flite slt", "Hello?")
	greeting := say(t, "flite rms", machines[0])
	sit := join(sine(950, ms(330), 8000), sine(1400, ms(330), 8000), sine(1800, ms(330), 8000))
	american := join(sine(985.2, ms(380), 8000), silence(ms(20)), sine(1370.6, ms(274), 8000), silence(ms(20)), sine(1776.7, ms(380), 8000))
	for name, c := range map[string]struct {
		pcm     []int16
		verdict Verdict
		reason  Reason
		beeps   int
	}{
		"nothing":                   {silence(6 * second), Unsure, BecauseInitialSilence, 0},
		"hello":                     {join(silence(ms(400)), hello, silence(3*second)), Human, BecausePause, 0},
		"hello at once":             {join(hello, silence(3*second)), Human, BecausePause, 0},
		"a click, then hello":       {join(silence(ms(300)), sine(700, ms(15), 9000), silence(ms(900)), hello, silence(2*second)), Human, BecausePause, 0},
		"a greeting":                {join(silence(ms(400)), greeting, silence(4*second)), Machine, BecauseLongGreeting, 0},
		"a beep alone":              {join(silence(ms(800)), sine(1000, ms(400), 8000), silence(2*second)), Machine, BecauseBeep, 1},
		"a beep after long silence": {join(silence(4*second), sine(1000, ms(400), 8000), silence(2*second)), Machine, BecauseBeep, 1},
		"hello, a beep at once":     {join(silence(ms(300)), hello, silence(ms(300)), sine(850, ms(300), 8000), silence(2*second)), Machine, BecauseBeep, 1},
		"number not in service":     {join(silence(ms(200)), sit, silence(ms(200)), greeting), Invalid, BecauseSIT, 0},
		"the same in America":       {join(silence(ms(200)), american, greeting), Invalid, BecauseSIT, 0},
		"announced late":            {join(silence(3*second), sit, silence(second)), Invalid, BecauseSIT, 0},
		"a fax answers":             {join(silence(ms(700)), sine(2100, 3*second, 6000), silence(second)), Fax, BecauseFax, 0},
		"a fax that called": {join(silence(ms(900)), sine(1100, ms(500), 6000), silence(3*second), sine(1100, ms(500), 6000), silence(second)),
			Fax, BecauseFax, 0},
		"ringing after the answer":      {join(sine(425, second, 6000), silence(4*second), sine(425, second, 6000), silence(second)), Unsure, BecauseInitialSilence, 0},
		"a line tone":                   {join(sine(440, 8*second, 6000), silence(second)), Unsure, BecauseTimeUp, 0},
		"a key, which a person presses": {dtmf(), Human, BecausePause, 0},
		"noise":                         {line{noise: 1}.through(t, silence(6*second), rand.New(rand.NewPCG(3, 3))), Unsure, BecauseInitialSilence, 0},
	} {
		o := listen(t, hiss(t, c.pcm), Config{})
		if o.Verdict != c.verdict || o.Reason != c.reason || len(o.beeps) != c.beeps {
			t.Errorf("%s: %s %s at %v, beeps %v; want %s %s and %d beeps", name, o.Verdict, o.Reason, o.at, o.beeps, c.verdict, c.reason, c.beeps)
		}
	}
}

// dtmf is the key 9 for half a second, sent as sound.
func dtmf() []int16 {
	pcm := join(silence(ms(500)), sine(852, ms(500), 6000), silence(3*second))
	for i, v := range join(silence(ms(500)), sine(1477, ms(500), 6000)) {
		pcm[i] += v
	}
	return pcm
}

// Each beep is told within a quarter of a second of its end, whatever its pitch, length and level.
func TestBeeps(t *testing.T) {
	words := say(t, "flite awb", "Leave a message.")
	for hz := 400.0; hz <= 2000; hz += 50 {
		for _, d := range []time.Duration{ms(180), ms(400), ms(1500)} {
			for _, level := range []float64{600, 12000} {
				pcm := join(silence(ms(200)), words, silence(ms(250)), sine(hz, d, level))
				end := length(pcm)
				o := listen(t, hiss(t, join(pcm, silence(second))), Config{})
				if len(o.beeps) != 1 || o.beeps[0] < end || o.beeps[0] > end+ms(250) {
					t.Errorf("%.0f Hz of %v at %.0f: beeps %v, it ended at %v", hz, d, level, o.beeps, end)
				}
			}
		}
	}
}

// A machine without a beep is known by its silence, once a pause.
func TestEndOfGreeting(t *testing.T) {
	words := say(t, "flite rms", machines[3])
	more := say(t, "flite rms", "Thank you.")
	pcm := hiss(t, join(silence(ms(300)), words, silence(3*second), more, silence(4*second)))
	o := listen(t, pcm, Config{})
	first := ms(300) + length(words)
	second := first + 3*second + length(more)
	if len(o.lulls) != 2 || o.lulls[0] < first+ms(1700) || o.lulls[0] > first+ms(2300) || o.lulls[1] < second+ms(1700) || o.lulls[1] > second+ms(2300) {
		t.Errorf("lulls %v, speech ends at %v and %v", o.lulls, first, second)
	}
}

func TestWideBand(t *testing.T) {
	narrow := join(silence(ms(300)), sine(1000, ms(400), 8000), silence(second))
	wide := make([]int16, 2*len(narrow))
	for i := range narrow { // held and smoothed: enough for a tone
		wide[2*i] = narrow[i]
		if i+1 < len(narrow) {
			wide[2*i+1] = int16((int(narrow[i]) + int(narrow[i+1])) / 2)
		}
	}
	d, err := New(Config{Rate: 16000})
	if err != nil {
		t.Fatal(err)
	}
	beeped := false
	for i := 0; i+320 <= len(wide); i += 320 {
		beeped = d.Hear(wide[i:i+320], false)&Beeped != 0 || beeped
	}
	if !beeped || d.Result().Verdict != Machine {
		t.Errorf("no beep at 16 kHz: %+v", d.Result())
	}
}

func TestRateIsChecked(t *testing.T) {
	if _, err := New(Config{Rate: 44100}); err == nil {
		t.Error("44.1 kHz is taken")
	}
}

func TestHearDoesNotAllocate(t *testing.T) {
	pcm := hiss(t, join(say(t, "flite rms", machines[0]), sine(1000, ms(400), 8000), silence(second)))
	d, err := New(Config{Rate: rate})
	if err != nil {
		t.Fatal(err)
	}
	i := 0
	if n := testing.AllocsPerRun(400, func() {
		d.Hear(pcm[i*160:][:160], i%3 != 0)
		i++
	}); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

func BenchmarkHear(b *testing.B) {
	pcm := hiss(b, join(say(b, "flite rms", machines[0]), sine(1000, ms(400), 8000), silence(second)))
	frames := len(pcm) / 160
	d, err := New(Config{Rate: rate})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		d.Hear(pcm[i%frames*160:][:160], true)
	}
}

// Whatever is heard: a verdict comes in time, a reason with it, and what was found is found again.
func FuzzHear(f *testing.F) {
	f.Add([]byte{1, 2, 3, 0xff, 0x7f, 0, 0x80}, false)
	f.Fuzz(func(t *testing.T, raw []byte, wide bool) {
		n, c := 160, Config{Rate: 8000}
		if wide {
			n, c.Rate = 320, 16000
		}
		frame := make([]int16, n)
		var found [2]Result
		for k := range found {
			d, err := New(c)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 300 {
				for j := range frame {
					if len(raw) > 1 {
						at := (i*n + j) * 2 % (len(raw) - 1)
						frame[j] = int16(uint16(raw[at]) | uint16(raw[at+1])<<8)
					}
				}
				d.Hear(frame[:len(frame)-len(raw)%3], len(raw) > 0 && raw[i%len(raw)]&1 == 1)
			}
			found[k] = d.Result()
		}
		if found[0] != found[1] {
			t.Errorf("%+v and %+v of the same frames", found[0], found[1])
		}
		if found[0].Verdict == Undecided || found[0].Reason == "" {
			t.Errorf("no verdict after 6 s: %+v", found[0])
		}
	})
}
