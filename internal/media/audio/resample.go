package audio

import (
	"fmt"
	"math"
)

// Resampler changes the sample rate of a stream with a polyphase windowed-sinc filter. It keeps what it
// needs of the past between calls, so frames join without a seam, and its delay is half the filter: 2 ms at
// 8 kHz, less at higher rates.
//
// The filter is a Kaiser-windowed sinc, 32 samples of the slower rate wide, with its edge at 0.46 of that rate.
// Up to 0.4 of it tones pass unharmed, and from 0.56 on they are at least 60 dB down.
type Resampler struct {
	from, to int
	up, down int // the ratio in lowest terms
	taps     int // of one phase
	bank     []float32
	history  []float32 // taps-1 samples of the past, then the block
	phase    int       // of the next output sample, in 1/up of an input sample
	skip     int       // input samples to pass over before it
}

const (
	zeroCrossings = 16   // on each side of the filter's centre
	passEdge      = 0.46 // of the slower rate: the -6 dB point of the filter
	kaiserBeta    = 7.5
	maxPhases     = 640 // 44.1 kHz to 48 kHz has 160, 11.025 kHz to 16 kHz has 640
	blockSamples  = 1024
)

// NewResampler makes a Resampler. Rates are from 1 kHz to 384 kHz; a pair whose ratio needs more than 640
// phases is refused.
func NewResampler(from, to int) (*Resampler, error) {
	if from < 1000 || from > 384000 || to < 1000 || to > 384000 {
		return nil, fmt.Errorf("audio: resample from %d to %d Hz: rates have to be from 1000 to 384000", from, to)
	}
	g := gcd(from, to)
	r := &Resampler{from: from, to: to, up: to / g, down: from / g}
	if r.up > maxPhases {
		return nil, fmt.Errorf("audio: resample from %d to %d Hz: the ratio %d:%d is too uneven; use a common rate", from, to, r.up, r.down)
	}
	if r.up == r.down {
		return r, nil
	}
	// The width in input samples grows when the rate falls, because the edge is that of the slower rate.
	width := float64(zeroCrossings) * max(1, float64(from)/float64(to))
	r.taps = 2 * int(math.Ceil(width))
	r.design(width)
	r.history = make([]float32, r.taps-1, r.taps-1+blockSamples)
	return r, nil
}

// Delay is the time by which the output is behind the input, in input samples.
func (r *Resampler) Delay() int { return r.taps / 2 }

func (r *Resampler) design(width float64) {
	cutoff := 2 * passEdge * min(1, float64(r.to)/float64(r.from)) // of the input's Nyquist frequency
	r.bank = make([]float32, r.up*r.taps)
	half := r.taps / 2
	for p := range r.up {
		row := r.bank[p*r.taps : (p+1)*r.taps]
		frac := float64(p) / float64(r.up)
		var sum float64
		weights := make([]float64, r.taps)
		for k := range weights {
			// Tap k looks at input sample k; the output lies at half-1+frac.
			x := float64(k-half+1) - frac
			weights[k] = cutoff * sinc(cutoff*x) * kaiser(x/width)
			sum += weights[k]
		}
		for k, w := range weights {
			row[k] = float32(w / sum) // each phase passes DC unchanged
		}
	}
}

// Process appends the output for src to dst and returns it. It allocates only when dst is too small.
func (r *Resampler) Process(dst, src []int16) []int16 {
	if r.up == r.down {
		return append(dst, src...)
	}
	for len(src) > 0 {
		n := min(len(src), blockSamples)
		dst = r.block(dst, src[:n])
		src = src[n:]
	}
	return dst
}

func (r *Resampler) block(dst, src []int16) []int16 {
	past := r.taps - 1
	buf := r.history[:past+len(src)]
	for i, s := range src {
		buf[past+i] = float32(s)
	}
	at := r.skip
	for at < len(src) {
		x := buf[at : at+r.taps]
		h := r.bank[r.phase*r.taps : r.phase*r.taps+len(x)]
		var a, b, c, d float32
		i := 0
		for ; i+4 <= len(x); i += 4 {
			a += x[i] * h[i]
			b += x[i+1] * h[i+1]
			c += x[i+2] * h[i+2]
			d += x[i+3] * h[i+3]
		}
		for ; i < len(x); i++ {
			a += x[i] * h[i]
		}
		dst = append(dst, clip(a+b+c+d))
		r.phase += r.down
		at += r.phase / r.up
		r.phase %= r.up
	}
	r.skip = at - len(src)
	copy(buf, buf[len(src):])
	r.history = buf[:past]
	return dst
}

// Reset forgets the past.
func (r *Resampler) Reset() {
	clear(r.history)
	r.phase, r.skip = 0, 0
}

func clip(v float32) int16 {
	switch {
	case v >= 32767:
		return 32767
	case v <= -32768:
		return -32768
	case v >= 0:
		return int16(v + 0.5)
	default:
		return int16(v - 0.5)
	}
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// kaiser is the Kaiser window at x from -1 to 1.
func kaiser(x float64) float64 {
	if x < -1 || x > 1 {
		return 0
	}
	return bessel(kaiserBeta*math.Sqrt(1-x*x)) / bessel(kaiserBeta)
}

// bessel is the modified Bessel function of the first kind and order zero, by its power series.
func bessel(x float64) float64 {
	sum, term := 1.0, 1.0
	for k := 1; term > 1e-12*sum; k++ {
		term *= x / 2 / float64(k) * (x / 2 / float64(k))
		sum += term
	}
	return sum
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
