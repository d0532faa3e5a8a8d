package audio

import "math/bits"

// likelihood is the binary logarithm, rounded to whole numbers, of how much likelier band b's energy is under
// the speech model than under the noise model. It also leaves each Gaussian's share for learn.
func (v *VAD) likelihood(b int, x int16) int32 {
	var noise, speech [2]int32 // Q27
	for k := range 2 {
		g := b + k*vadBands
		var p int32
		p, v.deltaN[g] = gaussian(x, v.noiseMeans[g], v.noiseStds[g])
		noise[k] = int32(vadNoiseWeights[g]) * p
		p, v.deltaS[g] = gaussian(x, v.speechMeans[g], v.speechStds[g])
		speech[k] = int32(vadSpeechWeights[g]) * p
	}
	h0, h1 := noise[0]+noise[1], speech[0]+speech[1]
	v.noiseP[b], v.noiseP[b+vadBands] = shares(noise[0], h0, 16384)
	v.speechP[b], v.speechP[b+vadBands] = shares(speech[0], h1, 0)
	return leading(h0) - leading(h1)
}

// leading counts the bits before the first significant one.
func leading(v int32) int32 {
	if v == 0 {
		return 31
	}
	return norm(v)
}

func norm(v int32) int32 {
	if v == 0 {
		return 0
	}
	if v < 0 {
		v = ^v
	}
	return int32(bits.LeadingZeros32(uint32(v))) - 1
}

// shares splits a probability over the two Gaussians, in Q14; otherwise is the first one's share when there is
// next to nothing to split.
func shares(first, total int32, otherwise int16) (int16, int16) {
	h := int16(total >> 12) // Q15
	if h <= 0 {
		return otherwise, 0
	}
	s := int16(int32(uint32(first)&0xfffff000<<2) / int32(h))
	return s, 16384 - s
}

// gaussian is 1/s * exp(-(x-m)²/2s²) in Q20, and (x-m)/s² in Q11. x is in Q4, mean and std in Q7.
func gaussian(x, mean, std int16) (p int32, delta int16) {
	inv := int16((131072 + int32(std>>1)) / int32(std)) // 1/s, Q10
	quarter := inv >> 2                                 // Q8
	inv2 := int16(int32(quarter) * int32(quarter) >> 2) // 1/s², Q14
	d := x<<3 - mean                                    // Q7
	delta = int16(int32(inv2) * int32(d) >> 10)
	exponent := int32(delta) * int32(d) >> 9 // Q10
	if exponent >= 22005 {                   // the result would be zero
		return 0, delta
	}
	// exp(-y) is 2^(-y*log2(e)): the whole part shifts, the fraction is taken as linear.
	e := -int16(5909 * exponent >> 12) // log2(e) in Q12
	mantissa := int16(0x0400 | e&0x03ff)
	shift := (^e)>>10 + 1
	return int32(inv) * int32(mantissa>>uint(shift)), delta
}

// learn moves the models of band b towards what was heard.
func (v *VAD) learn(b int, x int16, speech bool, limit int16) {
	minimum := v.minima[b].update(x, v.frames)
	global := int16(weighted(&v.noiseMeans, &vadNoiseWeights, b, 0) >> 6) // Q8
	for k := range 2 {
		g := b + k*vadBands
		noiseMean := v.noiseMeans[g]
		v.noiseMeans[g] = v.noiseMean(g, k, b, speech, minimum<<4-global)
		if speech {
			v.learnSpeech(g, k, x, limit)
		} else {
			v.learnNoise(g, x, noiseMean)
		}
	}
	v.separate(b)
}

// noiseMean moves the mean towards the frame when that is noise, and always towards the minimum of the past.
func (v *VAD) noiseMean(g, k, b int, speech bool, toMinimum int16) int16 {
	m := v.noiseMeans[g]
	if !speech {
		d := int16(int32(v.noiseP[g]) * int32(v.deltaN[g]) >> 11) // Q14
		m += int16(int32(d) * vadNoiseUpdate >> 22)
	}
	m += int16(int32(toMinimum) * vadBackEta >> 9)
	return min(max(m, int16(k+5)<<7), int16(72+k-b)<<7)
}

func (v *VAD) learnSpeech(g, k int, x, limit int16) {
	mean, std := v.speechMeans[g], v.speechStds[g]
	d := int16(int32(v.speechP[g]) * int32(v.deltaS[g]) >> 11)
	step := int16(int32(d) * vadSpeechUpdate >> 21) // Q8
	moved := mean + (step+1)>>1
	v.speechMeans[g] = min(max(moved, vadMinMean[k]), limit+640)

	off := x - (mean+4)>>3                            // Q4
	y := int32(v.deltaS[g])*int32(off)>>3 - 4096      // Q12
	y = int32(v.speechP[g]>>2) * y >> 4               // Q20
	std += (towardsZero(y, int32(std)*10) + 128) >> 8 // 0.025 of the change, rounded
	v.speechStds[g] = max(std, vadMinStd)
}

func (v *VAD) learnNoise(g int, x, mean int16) {
	std := v.noiseStds[g]
	off := x - mean>>3
	y := int32(v.deltaN[g])*int32(off)>>3 - 4096
	y = int32((v.noiseP[g]+2)>>2) * y >> 14 // Q20, and about 0.001 of it
	std += (towardsZero(y, int32(std)) + 32) >> 6
	v.noiseStds[g] = max(std, vadMinStd)
}

// towardsZero divides and keeps the low 16 bits, as the reference does with the divisor in 16 bits.
func towardsZero(y, by int32) int16 {
	by = int32(int16(by)) // never zero: the deviations are small multiples of whole numbers
	if y > 0 {
		return int16(y / by)
	}
	return -int16(-y / by)
}

// separate keeps the models apart, and within their limits.
func (v *VAD) separate(b int) {
	noise := weighted(&v.noiseMeans, &vadNoiseWeights, b, 0) // Q14
	speech := weighted(&v.speechMeans, &vadSpeechWeights, b, 0)
	if diff := int16(speech>>9) - int16(noise>>9); diff < vadMinDifference[b] { // Q5
		short := int32(vadMinDifference[b] - diff)
		// The speech model gives way by 0.8 of what is short and the noise model by 0.2, in Q7.
		speech = weighted(&v.speechMeans, &vadSpeechWeights, b, int16(13*short>>2))
		noise = weighted(&v.noiseMeans, &vadNoiseWeights, b, -int16(3*short>>2))
	}
	if over := int16(speech>>7) - vadMaxSpeech[b]; over > 0 {
		v.speechMeans[b] -= over
		v.speechMeans[b+vadBands] -= over
	}
	if over := int16(noise>>7) - vadMaxNoise[b]; over > 0 {
		v.noiseMeans[b] -= over
		v.noiseMeans[b+vadBands] -= over
	}
}

// weighted moves both means of band b and returns their weighted sum.
func weighted(means, weights *[vadGaussians]int16, b int, move int16) int32 {
	means[b] += move
	means[b+vadBands] += move
	return int32(means[b])*int32(weights[b]) + int32(means[b+vadBands])*int32(weights[b+vadBands])
}

// update takes a band's energy and returns its smoothed minimum.
func (m *minima) update(x int16, frames int32) int16 {
	for i := range m.age {
		if m.age[i] != 100 {
			m.age[i]++
			continue
		}
		copy(m.value[i:], m.value[i+1:])
		copy(m.age[i:], m.age[i+1:])
		m.value[15], m.age[15] = 10000, 101
	}
	if x < m.value[15] {
		at := 0
		for x >= m.value[at] {
			at++
		}
		copy(m.value[at+1:], m.value[at:15])
		copy(m.age[at+1:], m.age[at:15])
		m.value[at], m.age[at] = x, 1
	}
	median := int16(1600)
	switch {
	case frames > 2:
		median = m.value[2]
	case frames > 0:
		median = m.value[0]
	}
	var alpha int32 // Q15
	if frames > 0 {
		alpha = 32439 // up slowly: 0.99
		if median < m.mean {
			alpha = 6553 // down quickly: 0.2
		}
	}
	m.mean = int16(((alpha+1)*int32(m.mean) + (32767-alpha)*int32(median) + 16384) >> 15)
	return m.mean
}
