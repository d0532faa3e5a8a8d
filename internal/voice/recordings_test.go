package voice

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/event"
)

// human is speech that Debian installs, brought to 8 kHz by sox.
func human(t *testing.T, pattern string, n int) map[string][]int16 {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings at %s: install alsa-utils, pocketsphinx-testdata and asterisk-core-sounds-en-wav", pattern)
	}
	out := map[string][]int16{}
	for _, f := range files[:min(n, len(files))] {
		raw, err := exec.CommandContext(t.Context(), "sox", "-D", "-V1", f, "-t", "raw", "-r", strconv.Itoa(8000),
			"-e", "signed", "-b", "16", "-c", "1", "-").Output()
		if err != nil {
			t.Fatalf("sox %s: %v", f, err)
		}
		pcm := make([]int16, len(raw)/2)
		for i := range pcm {
			pcm[i] = int16(binary.LittleEndian.Uint16(raw[2*i:]))
		}
		out[filepath.Base(f)] = pcm
	}
	return out
}

// hiss is what a quiet telephone line sounds like.
func hiss(d time.Duration, r *rand.Rand) []int16 {
	pcm := make([]int16, int(d.Seconds()*8000))
	for i := range pcm {
		pcm[i] = int16(r.NormFloat64() * 12)
	}
	return pcm
}

// listened plays a recording to an agent that says nothing and gives the turns it made of it.
func listened(t *testing.T, pcm []int16) int {
	r := call(t, func(r *rig) {
		r.brain.greeting = ""
		r.brain.do = func(context.Context, Input, Emitter) error { return nil }
		r.cfg.Limits.Idle = time.Hour
	}, func(r *rig) {
		rnd := rand.New(rand.NewPCG(1, 1))
		mixed := hiss(time.Duration(len(pcm))*time.Second/8000+7*time.Second, rnd)
		for i, v := range pcm {
			mixed[4*8000+i] = int16(max(-32768, min(32767, int(mixed[4*8000+i])+int(v))))
		}
		r.play(mixed)
		r.wait(time.Duration(len(mixed)) * time.Second / 8000)
	})
	return len(r.find(event.EntryEndOfSpeech))
}

// Each utterance of a person is one turn, however they pronounce it.
func TestHumanUtterancesAreOneTurnEach(t *testing.T) {
	for _, c := range []struct {
		pattern string
		n       int
	}{
		{"/usr/share/sounds/alsa/*_*.wav", 8},
		{"/usr/share/pocketsphinx/test/data/cards/*.wav", 5},
		{"/usr/share/asterisk/sounds/en_US_f_Allison/a*.wav", 12},
	} {
		for name, pcm := range human(t, c.pattern, c.n) {
			if got := listened(t, pcm); got != 1 {
				t.Errorf("%s (%.1f s) gave %d turns, want 1", name, float64(len(pcm))/8000, got)
			}
		}
	}
}

// Somebody who reads from a book pauses at full stops: few turns, never none.
func TestReadingIsFewTurns(t *testing.T) {
	for name, pcm := range human(t, "/usr/share/pocketsphinx/test/data/librivox/*.wav", 5) {
		if got := listened(t, pcm); got < 1 || got > 4 {
			t.Errorf("%s (%.1f s) gave %d turns", name, float64(len(pcm))/8000, got)
		}
	}
}

// A person who speaks over the agent is let speak, each time, and is answered.
func TestHumanInterruption(t *testing.T) {
	for name, pcm := range human(t, "/usr/share/sounds/alsa/*_*.wav", 8) {
		r := call(t, func(r *rig) { r.brain.answers = []string{longAnswer, "Sorry."} }, func(r *rig) {
			asked(r)
			r.play(pcm)
			r.wait(5 * time.Second)
		})
		if cuts := len(r.find(event.EntryCut)); cuts != 1 || len(r.brain.turns) != 2 {
			t.Errorf("%s: %d cuts, %d turns\n%s", name, cuts, len(r.brain.turns), r.dump())
		}
	}
}

// A line that only hisses has nobody on it.
func TestHissIsNoTurn(t *testing.T) {
	if got := listened(t, hiss(20*time.Second, rand.New(rand.NewPCG(5, 5)))); got != 0 {
		t.Errorf("%d turns", got)
	}
}
