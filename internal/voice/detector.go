package voice

import "math"

// newDetector is the built-in VAD.
func newDetector(int) (Detector, error) { return &energy{floor: 50}, nil }

type energy struct{ floor float64 }

// Process implements Detector.
func (e *energy) Process(frame []int16) bool {
	sum := 0.0
	for _, v := range frame {
		sum += float64(v) * float64(v)
	}
	rms := math.Sqrt(sum / float64(len(frame)))
	if rms < e.floor {
		e.floor = max(20, rms)
	} else {
		e.floor *= 1.002
	}
	return rms > 4*e.floor && rms > 150
}
