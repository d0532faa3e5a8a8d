package voice

import "math"

// failureTone says without a voice that the call cannot go on: three falling tones, as the special information
// tone does the other way round (ITU-T E.180/Q.35 section 8).
func failureTone(rate int) []int16 {
	var pcm []int16
	for _, hz := range []float64{1800, 1400, 950} {
		for i := range rate * 330 / 1000 {
			pcm = append(pcm, int16(6000*math.Sin(2*math.Pi*hz*float64(i)/float64(rate))))
		}
	}
	return pcm
}
