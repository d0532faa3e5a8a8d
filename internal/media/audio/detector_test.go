package audio

import (
	"math"
	"math/rand/v2"
	"testing"
)

// speechShare feeds pcm to a new detector behind two seconds of the same noise, and returns the share of
// frames of pcm it took for speech, and the share of the noise before.
func speechShare(t *testing.T, pcm []int16, rate int, sigma float64, seed uint64) (speech, noise float64) {
	t.Helper()
	d, err := NewDetector(DetectorConfig{Rate: rate, Mode: -1})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	lead := 2 * rate
	all := noisy(append(make([]int16, lead), pcm...), sigma, rng)
	n := rate / 50
	var before, during, frames int
	for i := 0; i+n <= len(all); i += n {
		yes := d.Speech(all[i : i+n])
		switch {
		case i < lead && yes:
			before++
		case i >= lead:
			frames++
			if yes {
				during++
			}
		}
	}
	return float64(during) / float64(max(frames, 1)), float64(before) / float64(lead/n)
}

// loudShare is the share of frames within 25 dB of the loudest: where there is speech, roughly.
func loudShare(pcm []int16, n int) float64 {
	loudest, loud, frames := -96.0, 0, 0
	for i := 0; i+n <= len(pcm); i += n {
		loudest = max(loudest, Level(pcm[i:i+n]))
	}
	for i := 0; i+n <= len(pcm); i += n {
		frames++
		if Level(pcm[i:i+n]) > loudest-25 {
			loud++
		}
	}
	return float64(loud) / float64(max(frames, 1))
}

func TestDetectorHearsPeople(t *testing.T) {
	for _, rate := range []int{8000, 16000} {
		for _, sigma := range []float64{0, 10, 100, 400} {
			var heard, loud, noise float64
			deaf, count := 0, 0
			for name, pcm := range recordings(t, rate) {
				if len(pcm) < rate/2 {
					continue
				}
				s, n := speechShare(t, pcm, rate, sigma, uint64(len(name)))
				heard, loud, noise = heard+s, loud+loudShare(pcm, rate/50), noise+n
				count++
				if s < 0.1 {
					deaf++
					t.Logf("%s at %d Hz, noise %.0f: only %.0f %% is speech", name, rate, sigma, 100*s)
				}
			}
			c := float64(count)
			t.Logf("%d Hz, noise %4.0f (%.0f dBFS): speech in %.0f %% of the frames (%.0f %% are loud), in %.1f %% of the noise before",
				rate, sigma, 20*math.Log10(max(sigma, 1)/32768), 100*heard/c, 100*loud/c, 100*noise/c)
			if heard/c < 0.5*loud/c {
				t.Errorf("%d Hz, noise %.0f: heard %.2f of the frames, %.2f are loud", rate, sigma, heard/c, loud/c)
			}
			if noise/c > 0.02 {
				t.Errorf("%d Hz, noise %.0f: %.1f %% of pure noise is speech", rate, sigma, 100*noise/c)
			}
			if deaf > count/10 {
				t.Errorf("%d Hz, noise %.0f: %d of %d recordings were not heard", rate, sigma, deaf, count)
			}
		}
	}
}

// TestDetectorFollowsTheBackground: a hum that the VAD may take for speech is background within seconds.
func TestDetectorFollowsTheBackground(t *testing.T) {
	d, err := NewDetector(DetectorConfig{Rate: 8000, Mode: 0})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 3))
	hum := noisy(tone(8000, 8000*10, 200, 3000), 300, rng)
	late := 0
	for i := 0; i < len(hum); i += 160 {
		if d.Speech(hum[i:i+160]) && i > 8000*9/2 {
			late++
		}
	}
	if late > 0 {
		t.Errorf("%d frames of a steady hum are speech after 4.5 s", late)
	}
	if d.Floor() < -25 || d.Floor() > -20 {
		t.Errorf("floor %.1f dB", d.Floor())
	}
	quiet := make([]int16, 160)
	for range 20 {
		d.Speech(quiet)
	}
	if d.Floor() > -55 {
		t.Errorf("floor %.1f dB after 0.4 s of silence", d.Floor())
	}
}

func BenchmarkDetector(b *testing.B) {
	d, err := NewDetector(DetectorConfig{Rate: 8000, Mode: 3})
	if err != nil {
		b.Fatal(err)
	}
	frames := noisy(tone(8000, 8000, 300, 5000), 200, rand.New(rand.NewPCG(1, 1)))
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		d.Speech(frames[i : i+160])
		i = (i + 160) % (len(frames) - 160)
	}
}
