package local

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
)

var errNoWAV = errors.New("no 16-bit mono WAV")

// parseWAV reads a WAV file whose lengths cannot be trusted: written to a pipe, they are guesses. The data
// chunk is taken to run to the end. (RIFF: "Multimedia Programming Interface and Data Specifications 1.0".)
func parseWAV(b []byte) (rate int, pcm []int16, err error) {
	if len(b) < 12 || string(b[:4]) != "RIFF" || string(b[8:12]) != "WAVE" {
		return 0, nil, errNoWAV
	}
	for at := 12; at+8 <= len(b); {
		id, size := string(b[at:at+4]), int64(binary.LittleEndian.Uint32(b[at+4:]))
		body := b[at+8:]
		switch id {
		case "fmt ":
			if len(body) < 16 || binary.LittleEndian.Uint16(body) != 1 || binary.LittleEndian.Uint16(body[2:]) != 1 ||
				binary.LittleEndian.Uint16(body[14:]) != 16 {
				return 0, nil, errNoWAV
			}
			rate = int(binary.LittleEndian.Uint32(body[4:]))
		case "data":
			if rate < 4000 || rate > 96000 {
				return 0, nil, errNoWAV
			}
			pcm = make([]int16, len(body)/2)
			for i := range pcm {
				pcm[i] = int16(binary.LittleEndian.Uint16(body[2*i:])) //nolint:gosec // two's complement
			}
			return rate, pcm, nil
		}
		next := int64(at) + 8 + size + size%2
		if next > int64(len(b)) {
			break
		}
		at = int(next)
	}
	return 0, nil, errNoWAV
}

const (
	speechLevel = 150 // quieter samples are silence of the engines
	keepBefore  = 100 // 1/100 s: 10 ms of silence stay before speech
	keepAfter   = 10  // 1/10 s stay after it
)

// trim cuts the silence the engines put around speech.
func trim(pcm []int16, rate int) []int16 {
	first, last := -1, -1
	for i, v := range pcm {
		if v > speechLevel || v < -speechLevel {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	if first < 0 {
		return nil
	}
	return pcm[max(0, first-rate/keepBefore):min(len(pcm), last+1+rate/keepAfter)]
}

// noisy writes pcm as raw bytes with a little noise (σ = 30) and a margin around it: without noise the
// recogniser's feature extraction meets digital silence and goes astray.
func noisy(pcm []int16, margin int, rnd *rand.Rand) []byte {
	out := make([]byte, 2*(len(pcm)+2*margin))
	for i := range len(out) / 2 {
		v := rnd.NormFloat64() * 30
		if j := i - margin; j >= 0 && j < len(pcm) {
			v += float64(pcm[j])
		}
		binary.LittleEndian.PutUint16(out[2*i:], uint16(int16(max(-32768, min(32767, v))))) //nolint:gosec // clipped
	}
	return out
}
