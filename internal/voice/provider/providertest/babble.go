package providertest

import (
	"math"
	"time"
)

// Babble is speech-like sound for adapters that do not care for the words: syllables of about 200 ms, a
// voiced tone with harmonics under an envelope. It is the same each time.
func Babble(rate int, d time.Duration) []int16 {
	pcm := make([]int16, int(d.Seconds()*float64(rate)))
	for i := range pcm {
		t := float64(i) / float64(rate)
		pitch := 120 + 20*math.Sin(2*math.Pi*0.7*t)
		envelope := math.Abs(math.Sin(math.Pi * t / 0.2))
		v := 0.0
		for h := 1; h <= 12; h++ {
			v += math.Sin(2*math.Pi*pitch*float64(h)*t) / float64(h)
		}
		pcm[i] = int16(6000 * envelope * v)
	}
	return pcm
}
