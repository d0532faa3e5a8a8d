package audio

import "math/bits"

// features computes the log energies of the six bands, in Q4, by splitting the signal again and again. It
// returns whether there is any energy to speak of: more than vadMinEnergy means yes.
func (v *VAD) features(in []int16, f *[vadBands]int16) (power int16) {
	n := len(in) / 2
	v.split(0, in, v.hp120[:n], v.lp120[:n])
	v.split(1, v.hp120[:n], v.hp60[:n/2], v.lp60[:n/2])
	f[5] = logEnergy(v.hp60[:n/2], vadLogOffsets[5], &power) // 3000 to 4000 Hz
	f[4] = logEnergy(v.lp60[:n/2], vadLogOffsets[4], &power) // 2000 to 3000
	v.split(2, v.lp120[:n], v.hp60[:n/2], v.lp60[:n/2])
	n /= 2
	f[3] = logEnergy(v.hp60[:n], vadLogOffsets[3], &power) // 1000 to 2000
	v.split(3, v.lp60[:n], v.hp120[:n/2], v.lp120[:n/2])
	n /= 2
	f[2] = logEnergy(v.hp120[:n], vadLogOffsets[2], &power) // 500 to 1000
	v.split(4, v.lp120[:n], v.hp60[:n/2], v.lp60[:n/2])
	n /= 2
	f[1] = logEnergy(v.hp60[:n], vadLogOffsets[1], &power) // 250 to 500
	v.highPass(v.lp60[:n], v.hp120[:n])
	f[0] = logEnergy(v.hp120[:n], vadLogOffsets[0], &power) // 80 to 250
	return power
}

// split halves the band: hp and lp get the upper and the lower half at half the rate.
func (v *VAD) split(i int, in, hp, lp []int16) {
	allPass(in, vadSplit[0], &v.upper[i], hp)
	allPass(in[1:], vadSplit[1], &v.lower[i], lp)
	for j, h := range hp {
		l := lp[j]
		hp[j] = h - l
		lp[j] = l + h
	}
}

// allPass filters every second sample of in.
func allPass(in []int16, coefficient int32, state *int16, out []int16) {
	s := int32(*state) << 16 // Q15
	for i := range out {
		x := int32(in[2*i])
		y := int16((s + coefficient*x) >> 16)
		out[i] = y
		s = (x<<14 - coefficient*int32(y)) * 2
	}
	*state = int16(s >> 16)
}

func (v *VAD) highPass(in, out []int16) {
	for i, x := range in {
		y := vadHighZeros[0]*int32(x) + vadHighZeros[1]*int32(v.high[0]) + vadHighZeros[2]*int32(v.high[1])
		v.high[1], v.high[0] = v.high[0], x
		y -= vadHighPoles[1]*int32(v.high[2]) + vadHighPoles[2]*int32(v.high[3])
		v.high[3], v.high[2] = v.high[2], int16(y>>14)
		out[i] = v.high[2]
	}
}

// logEnergy is 10*log10 of the energy in Q4 plus offset.
func logEnergy(x []int16, offset int16, power *int16) int16 {
	energy, shifts := energy(x)
	if energy == 0 {
		return offset
	}
	normalise := 17 - bits.LeadingZeros32(energy)
	shifts += normalise
	if normalise < 0 {
		energy <<= uint(-normalise)
	} else {
		energy >>= uint(normalise)
	}
	// The energy has 15 bits now; the fraction of its logarithm is taken as linear.
	log2 := int32(vadLogInt + energy&0x3fff>>4) // Q10
	log := max(0, int16(vadLogConst*log2>>19+int32(shifts)*vadLogConst>>9))
	if *power <= vadMinEnergy {
		if shifts >= 0 {
			*power += vadMinEnergy + 1
		} else {
			*power += int16(energy >> uint(-shifts))
		}
	}
	return log + offset
}

// energy is the sum of squares, each shifted right so that the sum fits 31 bits.
func energy(x []int16) (sum uint32, shifts int) {
	largest := int16(-1)
	for _, s := range x {
		if s < 0 {
			s = -s
		}
		largest = max(largest, s)
	}
	if largest != 0 {
		if free := int(norm(int32(largest) * int32(largest))); free <= bits.Len(uint(len(x))) {
			shifts = bits.Len(uint(len(x))) - free
		}
	}
	var total int32
	for _, s := range x {
		total += int32(s) * int32(s) >> uint(shifts)
	}
	return uint32(total), shifts
}

// toNarrow halves the rate of a frame.
func (v *VAD) toNarrow(in []int16) []int16 {
	out := v.narrow[:len(in)/2]
	a, b := v.halve[0], v.halve[1]
	for i := range out {
		x := int32(in[2*i])
		y := int16(a>>1 + vadHalve[0]*x>>14)
		a = x - vadHalve[0]*int32(y)>>12
		x = int32(in[2*i+1])
		z := int16(b>>1 + vadHalve[1]*x>>14)
		b = x - vadHalve[1]*int32(z)>>12
		out[i] = y + z
	}
	v.halve[0], v.halve[1] = a, b
	return out
}
