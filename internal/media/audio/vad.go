package audio

import "fmt"

// VAD is the WebRTC voice activity detector in Go, bit by bit the same decisions: the energies of six bands
// between 80 Hz and 4 kHz are put to two Gaussian mixture models, one of noise and one of speech, and both
// learn as the call goes on. All arithmetic is in fixed point.
//
// It decides by the shape of the spectrum and follows a changing level, but takes some noises for speech;
// Detector adds what that needs.
type VAD struct {
	mode vadMode
	rate int

	noiseMeans, speechMeans, noiseStds, speechStds [vadGaussians]int16
	frames                                         int32
	hang, run                                      int16

	upper, lower [5]int16 // states of the five splits
	high         [4]int16
	halve        [2]int32
	minima       [vadBands]minima

	narrow          [240]int16 // 30 ms at 8 kHz, from 16 kHz
	hp120, lp120    [120]int16
	hp60, lp60      [60]int16
	deltaN, deltaS  [vadGaussians]int16
	noiseP, speechP [vadGaussians]int16 // conditional probabilities, Q14
}

// minima are the sixteen smallest values of a band's energy in the last hundred frames.
type minima struct {
	value, age [16]int16
	mean       int16
}

// NewVAD makes a detector. rate is 8000 or 16000; mode goes from 0, which misses the least speech, to 3, which
// takes the least noise for speech.
func NewVAD(rate, mode int) (*VAD, error) {
	if rate != 8000 && rate != 16000 {
		return nil, fmt.Errorf("audio: VAD at %d Hz: the rate has to be 8000 or 16000", rate)
	}
	if mode < 0 || mode >= len(vadModes) {
		return nil, fmt.Errorf("audio: VAD mode %d: it has to be from 0 to 3", mode)
	}
	v := &VAD{rate: rate, mode: vadModes[mode]}
	v.Reset()
	return v, nil
}

// Reset forgets all that was learnt.
func (v *VAD) Reset() {
	*v = VAD{
		rate: v.rate, mode: v.mode,
		noiseMeans: vadNoiseMeans, speechMeans: vadSpeechMeans, noiseStds: vadNoiseStds, speechStds: vadSpeechStds,
	}
	for b := range v.minima {
		v.minima[b].mean = 1600
		for i := range v.minima[b].value {
			v.minima[b].value[i] = 10000
		}
	}
}

// Speech tells whether a frame of 10, 20 or 30 ms holds speech. Frames of any other length are none.
func (v *VAD) Speech(frame []int16) bool {
	if v.rate == 16000 {
		if len(frame) > 2*len(v.narrow) {
			return false
		}
		frame = v.toNarrow(frame)
	}
	size := len(frame)/80 - 1
	if len(frame)%80 != 0 || size < 0 || size > 2 {
		return false
	}
	var features [vadBands]int16
	power := v.features(frame, &features)
	return v.hangover(size, power > vadMinEnergy && v.classify(size, &features))
}

// hangover lets speech last a few frames longer, the more so the longer it was.
func (v *VAD) hangover(size int, speech bool) bool {
	if !speech {
		v.run = 0
		if v.hang == 0 {
			return false
		}
		v.hang--
		return true
	}
	if v.run++; v.run > vadMaxSpeechFrames {
		v.run = vadMaxSpeechFrames
		v.hang = v.mode.hangLong[size]
	} else {
		v.hang = v.mode.hangShort[size]
	}
	return true
}

// classify puts the energies to the models and lets them learn.
func (v *VAD) classify(size int, features *[vadBands]int16) bool {
	speech := false
	var sum int32
	for b := range vadBands {
		ratio := v.likelihood(b, features[b])
		sum += ratio * vadSpectrumWeight[b]
		if ratio*4 > v.mode.local[size] {
			speech = true
		}
	}
	speech = speech || sum >= v.mode.global[size]
	limit := int16(12800)
	for b := range vadBands {
		v.learn(b, features[b], speech, limit)
		limit = vadMaxSpeech[b]
	}
	v.frames++
	return speech
}
