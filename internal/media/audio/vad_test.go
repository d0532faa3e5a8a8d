package audio

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// recordings are human speech that Debian installs: alsa-utils, pocketsphinx-testdata and
// asterisk-core-sounds-en-wav. They are brought to the given rate by sox.
func recordings(t testing.TB, rate int) map[string][]int16 {
	t.Helper()
	var files []string
	for _, pattern := range []string{
		"/usr/share/sounds/alsa/*_*.wav",
		"/usr/share/pocketsphinx/test/data/cards/*.wav",
		"/usr/share/pocketsphinx/test/data/librivox/*.wav",
		"/usr/share/asterisk/sounds/en_US_f_Allison/a*.wav",
	} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("no recordings at %s: install alsa-utils, pocketsphinx-testdata and asterisk-core-sounds-en-wav", pattern)
		}
		files = append(files, found[:min(len(found), 12)]...)
	}
	out := make(map[string][]int16, len(files))
	for _, f := range files {
		out[filepath.Base(f)] = soxRead(t, f, rate)
	}
	return out
}

func soxRead(t testing.TB, file string, rate int) []int16 {
	t.Helper()
	raw, err := exec.CommandContext(t.Context(), "sox", "-D", "-V1", file, "-t", "raw", "-r", fmt.Sprint(rate),
		"-e", "signed", "-b", "16", "-c", "1", "-").Output()
	if err != nil {
		t.Fatalf("sox %s: %v", file, err)
	}
	pcm := make([]int16, len(raw)/2)
	for i := range pcm {
		pcm[i] = int16(binary.LittleEndian.Uint16(raw[2*i:]))
	}
	return pcm
}

func rawBytes(pcm []int16) []byte {
	b := make([]byte, 0, 2*len(pcm))
	for _, s := range pcm {
		b = binary.LittleEndian.AppendUint16(b, uint16(s))
	}
	return b
}

// noisy adds Gaussian noise.
func noisy(pcm []int16, sigma float64, rng *rand.Rand) []int16 {
	out := make([]int16, len(pcm))
	for i, s := range pcm {
		out[i] = clip(float32(float64(s) + sigma*rng.NormFloat64()))
	}
	return out
}

// TestVADIsTheReference compares every decision with the library it is a port of, on speech, on speech in
// noise, and on the extremes of the number range.
func TestVADIsTheReference(t *testing.T) {
	program := buildReference(t)
	rng := rand.New(rand.NewPCG(7, 7))
	compared := 0
	for _, rate := range []int{8000, 16000} {
		var all []int16
		for _, pcm := range sorted(recordings(t, rate)) {
			all = append(all, pcm...)
		}
		wild := make([]int16, 3*rate)
		for i := range wild {
			wild[i] = int16(rng.Uint32())
			if i > rate {
				wild[i] = []int16{-32768, 32767, 0}[i/7%3]
			}
		}
		inputs := map[string][]int16{
			"clean": all, "noise 30": noisy(all, 30, rng), "noise 300": noisy(all, 300, rng), "noise 2000": noisy(all, 2000, rng),
			"wild": append(wild, all[:5*rate]...), "silence": make([]int16, rate),
		}
		for name, pcm := range inputs {
			raw := rawBytes(pcm)
			for mode := range 4 {
				for ms := 10; ms <= 30; ms += 10 {
					if name != "clean" && (ms != 20 || mode%3 != 0) {
						continue
					}
					n := rate * ms / 1000
					compared += compareVAD(t, program, name, raw, pcm, rate, mode, n)
				}
			}
		}
	}
	t.Logf("%d decisions compared", compared)
}

func sorted(m map[string][]int16) [][]int16 {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	out := make([][]int16, 0, len(m))
	for _, n := range names {
		out = append(out, m[n])
	}
	return out
}

func buildReference(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	source, program := filepath.Join(dir, "reference.c"), filepath.Join(dir, "reference")
	text, err := os.ReadFile("testdata/vad_reference.c.txt")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(source, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "gcc", "-O1", "-o", program, source, "-lwebrtc_audio_processing").CombinedOutput(); err != nil {
		t.Fatalf("building the reference (install gcc and libwebrtc-audio-processing-dev): %v\n%s", err, out)
	}
	return program
}

func compareVAD(t *testing.T, program, name string, raw []byte, pcm []int16, rate, mode, n int) int {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, fmt.Sprint(mode), fmt.Sprint(rate), fmt.Sprint(n))
	cmd.Stdin = bytes.NewReader(raw)
	want, err := cmd.Output()
	if err != nil {
		t.Fatalf("reference: %v", err)
	}
	v, err := NewVAD(rate, mode)
	if err != nil {
		t.Fatal(err)
	}
	differ, first := 0, -1
	for i := range want {
		if v.Speech(pcm[i*n:(i+1)*n]) != (want[i] == '1') {
			if differ++; first < 0 {
				first = i
			}
		}
	}
	if differ > 0 {
		t.Errorf("%s at %d Hz, mode %d, %d samples: %d of %d decisions differ, the first at frame %d", name, rate, mode, n, differ, len(want), first)
	}
	return len(want)
}

func TestVADRefuses(t *testing.T) {
	if _, err := NewVAD(44100, 1); err == nil {
		t.Error("44.1 kHz was taken")
	}
	if _, err := NewVAD(8000, 4); err == nil {
		t.Error("mode 4 was taken")
	}
	for _, rate := range []int{8000, 16000} {
		v, err := NewVAD(rate, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{0, 1, 79, 161, 500, 10000} {
			if v.Speech(make([]int16, n)) {
				t.Errorf("%d samples at %d Hz are speech", n, rate)
			}
		}
	}
}

func BenchmarkVAD(b *testing.B) {
	for _, rate := range []int{8000, 16000} {
		b.Run(fmt.Sprint(rate), func(b *testing.B) {
			v, err := NewVAD(rate, 3)
			if err != nil {
				b.Fatal(err)
			}
			frames := noisy(tone(rate, rate, 300, 5000), 200, rand.New(rand.NewPCG(1, 1)))
			n := rate / 50
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				v.Speech(frames[i : i+n])
				i = (i + n) % (len(frames) - n)
			}
		})
	}
}
