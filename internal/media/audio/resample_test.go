package audio

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os/exec"
	"testing"
)

var commonRates = []int{8000, 11025, 16000, 22050, 24000, 44100, 48000}

// fit is the SNR of x against the sine of frequency hz that fits it best, whatever its phase and level, and
// that sine's amplitude.
func fit(x []int16, rate int, hz float64) (snr, amplitude float64) {
	var c, s, power float64
	for i, v := range x {
		a := 2 * math.Pi * hz * float64(i) / float64(rate)
		c += float64(v) * math.Cos(a)
		s += float64(v) * math.Sin(a)
		power += float64(v) * float64(v)
	}
	n := float64(len(x))
	amplitude = 2 * math.Hypot(c, s) / n
	signal := amplitude * amplitude / 2
	return 10 * math.Log10(signal/max(power/n-signal, 1e-9)), amplitude
}

// process feeds frames of 20 ms, as a call does.
func process(t testing.TB, r *Resampler, in []int16, rate int) []int16 {
	t.Helper()
	var out []int16
	for i := 0; i < len(in); i += rate / 50 {
		out = r.Process(out, in[i:min(i+rate/50, len(in))])
	}
	return out
}

func TestResamplerTones(t *testing.T) {
	for _, from := range commonRates {
		for _, to := range commonRates {
			r, err := NewResampler(from, to)
			if err != nil {
				t.Fatal(err)
			}
			if d := 1000 * float64(r.Delay()) / float64(from); d > 5 {
				t.Errorf("%d to %d: %.1f ms of delay", from, to, d)
			}
			for _, hz := range []float64{300, 1000, 0.4 * float64(min(from, to))} {
				r.Reset()
				in := tone(from, from, hz, 16000)
				out := process(t, r, in, from)
				if d := len(out) - len(in)*to/from; d < -1 || d > 1 {
					t.Fatalf("%d to %d: %d samples from %d", from, to, len(out), len(in))
				}
				// Whole hundredths of a second hold whole periods of each of the tones.
				snr, amplitude := fit(out[to/10:to*9/10], to, hz)
				if snr < 60 || amplitude < 15700 || amplitude > 16300 {
					t.Errorf("%d to %d, %.0f Hz: SNR %.1f dB, amplitude %.0f", from, to, hz, snr, amplitude)
				}
			}
		}
	}
}

func TestResamplerKeepsAliasesOut(t *testing.T) {
	for _, from := range commonRates {
		for _, to := range commonRates {
			if to >= from {
				continue
			}
			for _, hz := range []float64{0.56 * float64(to), 0.7 * float64(to)} {
				if hz > 0.49*float64(from) {
					continue
				}
				r, err := NewResampler(from, to)
				if err != nil {
					t.Fatal(err)
				}
				out := process(t, r, tone(from, from, hz, 16000), from)
				if l := Level(out[to/10:]) - Level(tone(from, from, hz, 16000)); l > -60 {
					t.Errorf("%d to %d: %.0f Hz comes through at %.1f dB", from, to, hz, l)
				}
			}
		}
	}
}

// TestResamplerAgainstSox compares speech with an independent resampler of high quality.
func TestResamplerAgainstSox(t *testing.T) {
	for _, pair := range [][2]int{{48000, 8000}, {48000, 16000}, {16000, 8000}, {8000, 16000}, {22050, 16000}, {24000, 8000}} {
		from, to := pair[0], pair[1]
		in := soxRead(t, "/usr/share/sounds/alsa/Front_Center.wav", from)
		cmd := exec.CommandContext(t.Context(), "sox", "-D", "-t", "raw", "-r", fmt.Sprint(from), "-e", "signed", "-b", "16", "-c", "1", "-",
			"-t", "raw", "-", "rate", "-h", fmt.Sprint(to))
		cmd.Stdin = bytes.NewReader(rawBytes(in))
		raw, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		want := make([]int16, len(raw)/2)
		for i := range want {
			want[i] = int16(binary.LittleEndian.Uint16(raw[2*i:]))
		}
		r, err := NewResampler(from, to)
		if err != nil {
			t.Fatal(err)
		}
		got := process(t, r, in, from)
		n := min(len(want), len(got)) - 1600
		best := math.Inf(-1)
		for d := range 80 {
			best = max(best, snr(want[1600:n], got[1600+d:n+d]))
		}
		t.Logf("%d to %d: %.1f dB like sox", from, to, best)
		// The last tenth of the band is where the filters differ; a delay of a fraction of a sample counts as
		// difference too.
		if best < 15 {
			t.Errorf("%d to %d: only %.1f dB like sox", from, to, best)
		}
	}
}

func TestResamplerRefuses(t *testing.T) {
	for _, pair := range [][2]int{{0, 8000}, {8000, 0}, {8000, 500000}, {8000, 7999}} {
		if _, err := NewResampler(pair[0], pair[1]); err == nil {
			t.Errorf("%v was taken", pair)
		}
	}
}

func BenchmarkResampler(b *testing.B) {
	for _, pair := range [][2]int{{8000, 16000}, {16000, 8000}, {22050, 8000}, {24000, 8000}, {48000, 16000}} {
		b.Run(fmt.Sprintf("%d-%d", pair[0], pair[1]), func(b *testing.B) {
			r, err := NewResampler(pair[0], pair[1])
			if err != nil {
				b.Fatal(err)
			}
			in := tone(pair[0], pair[0]/50, 440, 8000)
			out := make([]int16, 0, pair[1])
			b.ReportAllocs()
			for b.Loop() {
				out = r.Process(out[:0], in)
			}
		})
	}
}
