package audio

import "math"

// quietPower is the mean square of -50 dBm0 or so: background, not speech.
const quietPower = 100 * 100

// Quiet tells whether a frame is so faint that leaving it out is not heard.
func Quiet(pcm []int16) bool {
	var sum int64
	for _, s := range pcm {
		sum += int64(s) * int64(s)
	}
	return sum <= quietPower*int64(len(pcm))
}

// Level is the RMS of a frame in dB relative to full scale; silence is -96.
func Level(pcm []int16) float64 {
	var sum int64
	for _, s := range pcm {
		sum += int64(s) * int64(s)
	}
	if sum == 0 || len(pcm) == 0 {
		return -96
	}
	return max(-96, 10*math.Log10(float64(sum)/float64(len(pcm))/(32768*32768)))
}
