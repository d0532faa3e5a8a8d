package amd

import "math"

const (
	toneRate   = 8000 // what is analysed, whatever the leg's rate
	toneFrame  = toneRate / 50
	leastPower = 150 * 150 // mean square below which a tone is not looked for: -47 dBFS
	leastPure  = 0.80      // share of the frame's energy that one sine must have: 6 dB above all the rest
)

// analyser tells whether a frame is one sine.
type analyser struct {
	rate int
	x    [toneFrame]float64
}

// sine gives the frequency of a frame that is one sine and little else. The frequency is the reformed Pisarenko
// estimate (H. C. So and K. W. Chan, "Reformulation of Pisarenko harmonic decomposition method", IEEE Transactions
// on Signal Processing 52, 2004), which needs no spectrum and is not biased by white noise; Goertzel's filter at that
// frequency then says how much of the energy it has.
func (a *analyser) sine(pcm []int16) (hz float64, ok bool) {
	x := a.take(pcm)
	if len(x) < toneFrame {
		return 0, false
	}
	energy := 0.0
	for _, v := range x {
		energy += v * v
	}
	if energy < leastPower*float64(len(x)) {
		return 0, false
	}
	var p, q float64
	for n := 2; n < len(x); n++ {
		sum := x[n] + x[n-2]
		p += sum * x[n-1]
		q += sum*sum - 2*x[n-1]*x[n-1]
	}
	c, root := 0.0, math.Sqrt(q*q+8*p*p)
	switch { // two forms of one root, so that nothing cancels at a quarter of the rate, where p is 0
	case q < 0:
		c = 2 * p / (root - q)
	case p != 0:
		c = (q + root) / (4 * p)
	}
	if !(c > -1 && c < 1) {
		return 0, false
	}
	var s1, s2 float64
	for _, v := range x {
		s1, s2 = v+2*c*s1-s2, s1
	}
	power := 2 * (s1*s1 + s2*s2 - 2*c*s1*s2) / float64(len(x))
	if power < leastPure*energy {
		return 0, false
	}
	return math.Acos(c) * toneRate / (2 * math.Pi), true
}

// take brings a frame to 8 kHz: of 16 kHz, the mean of each two samples, which is filter enough below 2.2 kHz.
func (a *analyser) take(pcm []int16) []float64 {
	n := 0
	if a.rate == 16000 {
		for i := 0; i+1 < len(pcm) && n < toneFrame; i += 2 {
			a.x[n] = (float64(pcm[i]) + float64(pcm[i+1])) / 2
			n++
		}
		return a.x[:n]
	}
	for ; n < len(pcm) && n < toneFrame; n++ {
		a.x[n] = float64(pcm[n])
	}
	return a.x[:n]
}
