package app

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/voice/provider/sim"
)

// rehearsal makes the simulated vendors as bad as the settings ask.
func (c *Config) rehearsal(clock quartz.Clock) (sim.Config, error) {
	out := sim.Config{Clock: clock}
	for _, s := range []struct {
		text    string
		latency *sim.Latency
		faults  *sim.Faults
	}{
		{c.SimSTT, &out.STT.Latency, &out.STT.Faults},
		{c.SimLLM, &out.LLM.Latency, &out.LLM.Faults},
		{c.SimTTS, &out.TTS.Latency, &out.TTS.Faults},
	} {
		var err error
		if *s.latency, *s.faults, err = simulated(s.text); err != nil {
			return out, err
		}
	}
	return out, nil
}

// simulated reads "latency=lognormal:300ms,0.4 error=0.01 slow=0.05 slow-by=3s".
func simulated(text string) (latency sim.Latency, faults sim.Faults, err error) {
	shares := map[string]*float64{
		"error": &faults.Error, "fatal": &faults.Fatal, "hang": &faults.Hang, "rubbish": &faults.Rubbish, "slow": &faults.Slow,
	}
	for pair := range strings.FieldsSeq(text) {
		key, value, _ := strings.Cut(pair, "=")
		switch share := shares[key]; {
		case key == "latency":
			latency, err = sim.ParseLatency(value)
		case key == "slow-by":
			faults.SlowBy, err = time.ParseDuration(value)
			if err == nil && faults.SlowBy < 0 {
				err = fmt.Errorf("slow-by=%s is negative", value)
			}
		case share != nil:
			*share, err = strconv.ParseFloat(value, 64)
			if err == nil && (*share < 0 || *share > 1) {
				err = fmt.Errorf("%s=%s is no share from 0 to 1", key, value)
			}
		default:
			err = fmt.Errorf("%q is unknown; known are latency, error, fatal, hang, rubbish, slow and slow-by", key)
		}
		if err != nil {
			return latency, faults, err
		}
	}
	if sum := faults.Error + faults.Fatal + faults.Hang + faults.Rubbish + faults.Slow; sum > 1 {
		return latency, faults, fmt.Errorf("the shares add up to %g, more than 1", sum)
	}
	return latency, faults, nil
}
