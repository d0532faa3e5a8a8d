package openai

import (
	"encoding/binary"
	"errors"
	"io"
)

var errWAV = errors.New("not a WAV of 16-bit PCM")

// wav writes mono PCM as a WAV file.
func wav(pcm []int16, rate int) []byte {
	n := 2 * len(pcm)
	b := make([]byte, 44+n)
	copy(b, "RIFF")
	binary.LittleEndian.PutUint32(b[4:], uint32(36+n)) //nolint:gosec // an utterance has 30 s at most
	copy(b[8:], "WAVEfmt ")
	binary.LittleEndian.PutUint32(b[16:], 16)
	binary.LittleEndian.PutUint16(b[20:], 1)
	binary.LittleEndian.PutUint16(b[22:], 1)
	binary.LittleEndian.PutUint32(b[24:], uint32(rate))   //nolint:gosec // 8000 or 16000
	binary.LittleEndian.PutUint32(b[28:], uint32(2*rate)) //nolint:gosec // the same
	binary.LittleEndian.PutUint16(b[32:], 2)
	binary.LittleEndian.PutUint16(b[34:], 16)
	copy(b[36:], "data")
	binary.LittleEndian.PutUint32(b[40:], uint32(n)) //nolint:gosec // the same
	for i, v := range pcm {
		binary.LittleEndian.PutUint16(b[44+2*i:], uint16(v)) //nolint:gosec // two's complement
	}
	return b
}

// wavHead is what a WAV file says of itself.
type wavHead struct {
	rate, channels int
	size           int64 // of the data; -1 when the writer did not know it
}

// readWAVHead reads from after "RIFF" to the first sample. Servers that stream write lengths they cannot
// know: 0, the largest number, or one close to it.
func readWAVHead(r io.Reader) (wavHead, error) {
	var h wavHead
	b := make([]byte, 8)
	if _, err := io.ReadFull(r, b); err != nil || string(b[4:]) != "WAVE" {
		return h, errWAV
	}
	for chunks := 0; chunks < 64; chunks++ {
		if _, err := io.ReadFull(r, b); err != nil {
			return h, errWAV
		}
		size := int64(binary.LittleEndian.Uint32(b[4:]))
		switch string(b[:4]) {
		case "fmt ":
			if err := h.format(r, size); err != nil {
				return h, err
			}
		case "data":
			if h.rate == 0 {
				return h, errWAV
			}
			if h.size = size; size == 0 || size >= 0x7ffff000 {
				h.size = -1
			}
			return h, nil
		default:
			if size > 1<<20 {
				return h, errWAV
			}
			if _, err := io.CopyN(io.Discard, r, size+size%2); err != nil {
				return h, errWAV
			}
		}
	}
	return h, errWAV
}

func (h *wavHead) format(r io.Reader, size int64) error {
	if size < 16 || size > 1024 {
		return errWAV
	}
	f := make([]byte, size+size%2)
	if _, err := io.ReadFull(r, f); err != nil {
		return errWAV
	}
	kind := binary.LittleEndian.Uint16(f)
	if kind == 0xfffe && size >= 26 { // WAVE_FORMAT_EXTENSIBLE: the real one begins the sub-format
		kind = binary.LittleEndian.Uint16(f[24:])
	}
	h.channels = int(binary.LittleEndian.Uint16(f[2:]))
	h.rate = int(binary.LittleEndian.Uint32(f[4:]))
	bits := binary.LittleEndian.Uint16(f[14:])
	if kind != 1 || bits != 16 || h.channels < 1 || h.channels > 2 || h.rate < 8000 || h.rate > 96000 {
		return errWAV
	}
	return nil
}
