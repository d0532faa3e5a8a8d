package voice

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/voice/provider/providertest"
	"github.com/parley-voice/parley/internal/voice/provider/sim"
)

// randomFaults are a vendor on a bad day.
func randomFaults(r *rand.Rand) sim.Faults {
	share := func() float64 {
		if r.IntN(3) > 0 {
			return 0
		}
		return r.Float64() * 0.3
	}
	return sim.Faults{
		Error: share(), Fatal: share() / 5, Hang: share() / 2, Rubbish: share(), Slow: share(), SlowBy: 4 * time.Second,
	}
}

func randomLatency(r *rand.Rand) sim.Latency {
	return sim.Latency{Shape: sim.LogNormal, A: time.Duration(r.IntN(700)) * time.Millisecond, Sigma: r.Float64()}
}

// misbehave is a caller who does anything at any time.
func misbehave(r *rig, rnd *rand.Rand) {
	r.wait(time.Millisecond)
	for range 25 {
		select {
		case <-r.over:
			return
		default:
		}
		switch rnd.IntN(9) {
		case 0, 1, 2:
			r.play(providertest.Babble(8000, time.Duration(60+rnd.IntN(2500))*time.Millisecond))
		case 3:
			r.event(media.LegEvent{Kind: media.LegDTMF, Digit: "0123456789*#"[rnd.IntN(12)]})
		case 4:
			r.event(media.LegEvent{Kind: media.LegText, Text: "typed"})
		case 5:
			r.event(media.LegEvent{Kind: media.LegHold})
			r.wait(time.Duration(rnd.IntN(5000)) * time.Millisecond)
			r.event(media.LegEvent{Kind: media.LegResume})
		case 6:
			r.event(media.LegEvent{Kind: media.LegLost, Text: "2 s"})
		}
		r.wait(time.Duration(rnd.IntN(3000)) * time.Millisecond)
	}
}

// Whatever vendors and callers do, the call goes on or ends cleanly: it never hangs, never leaks, never says the
// same words twice in one reply, and lets a silent caller go.
func TestChaos(t *testing.T) {
	for seed := range uint64(12) {
		rnd := rand.New(rand.NewPCG(seed, 9))
		r := call(t, func(r *rig) {
			r.sim.Seed = seed
			r.sim.STT = sim.STTConfig{Latency: randomLatency(rnd), Faults: randomFaults(rnd), Partials: rnd.IntN(2) == 0}
			r.sim.LLM = sim.LLMConfig{
				Latency: randomLatency(rnd), Faults: randomFaults(rnd), Token: time.Duration(rnd.IntN(80)) * time.Millisecond,
				Answers: []string{longAnswer, "Yes.", "One, two, three. Four. Five."},
			}
			r.sim.TTS = sim.TTSConfig{Latency: randomLatency(rnd), Faults: randomFaults(rnd), Rate: []int{8000, 16000, 22050}[rnd.IntN(3)]}
			r.leg.buffer = int64(rnd.IntN(2) * 20)
			if rnd.IntN(2) == 0 {
				r.cfg.Prompts = NewPromptCache(1 << 20)
			}
			prompted(r, nil)
		}, func(r *rig) {
			misbehave(r, rnd)
			r.ended(4 * time.Minute) // the caller says nothing more
		})
		if r.out.Leaked != 0 || !slices.Contains([]string{"idle", "vendor_failed", "max_duration", "normal"}, r.out.Cause.Code) {
			t.Errorf("seed %d: outcome %+v", seed, r.out)
		}
		r.count(event.EntryEnded, 1)
		checkTranscript(t, seed, r)
		if t.Failed() {
			t.Fatalf("seed %d:\n%s", seed, r.dump())
		}
	}
}

// checkTranscript holds what the agent said against what it can have said.
func checkTranscript(t *testing.T, seed uint64, r *rig) {
	t.Helper()
	texts := map[int][]string{}
	last := int64(0)
	for _, e := range r.find(event.EntryAgentSaid) {
		if slices.Contains(texts[e.Gen], e.Text) {
			t.Errorf("seed %d: reply %d says %q twice", seed, e.Gen, e.Text)
		}
		texts[e.Gen] = append(texts[e.Gen], e.Text)
		from, to := e.Data["startMs"].(int64), e.Data["endMs"].(int64)
		if to < from || from < last-20 {
			t.Errorf("seed %d: %q is said from %d to %d ms, the one before ended at %d", seed, e.Text, from, to, last)
		}
		last = to
	}
	for gen, said := range texts {
		if whole := strings.Join(said, " "); strings.Contains(longAnswer, said[0]) && !strings.HasPrefix(longAnswer, strings.TrimSuffix(whole, ",")) {
			t.Errorf("seed %d: reply %d says %q", seed, gen, whole)
		}
	}
}
