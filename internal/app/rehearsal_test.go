package app

import (
	"strings"
	"testing"
	"time"

	"github.com/coder/quartz"
)

func TestRehearsalSettings(t *testing.T) {
	c := Config{SimSTT: "latency=normal:300ms,50ms error=0.01 slow=0.05 slow-by=3s"}
	got, err := c.rehearsal(quartz.NewMock(t))
	if err != nil {
		t.Fatal(err)
	}
	if f := got.STT.Faults; f.Error != 0.01 || f.Slow != 0.05 || f.SlowBy != 3*time.Second || got.STT.Latency.A != 300*time.Millisecond {
		t.Errorf("recogniser %+v", got.STT)
	}
	if got.LLM.Faults.Error != 0 || got.TTS.Latency.A != 0 {
		t.Error("what is not set must answer at once and never fail")
	}
	for text, want := range map[string]string{
		"speed=3": "unknown", "error=2": "share", "error=x": "invalid", "error=0.6 hang=0.6": "more than 1", "latency=soon": "", "slow-by=-1s": "negative",
	} {
		if _, _, err := simulated(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("simulated(%q) = %v, want an error with %q", text, err, want)
		}
	}
}
