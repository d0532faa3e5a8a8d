package audio

import (
	"fmt"
	"strings"
)

// Codec turns PCM into payloads and back. It holds the state of one stream in both directions; encoding
// and decoding do not disturb each other, but each is for one goroutine at a time.
type Codec interface {
	// Name is the codec's name as SDP writes it: PCMU, PCMA, G722, opus.
	Name() string
	// Rate is the sample rate of the PCM on our side.
	Rate() int
	// ClockRate is the rate of the RTP timestamp, which for G722 and opus is not the sample rate.
	ClockRate() int
	// Encode appends the payload of pcm to dst[:0] and returns it. pcm holds one frame of 20 ms.
	Encode(dst []byte, pcm []int16) ([]byte, error)
	// Decode writes the samples of payload to dst and returns how many. dst has to hold Samples(payload).
	Decode(dst []int16, payload []byte) (int, error)
	// Samples is the number of samples payload decodes to, found without decoding; 0 when it is malformed.
	Samples(payload []byte) int
}

// The names of the codecs, as in SDP.
const (
	PCMU = "PCMU"
	PCMA = "PCMA"
	G722 = "G722"
	Opus = "opus"
)

// MaxPacketSamples is the most samples one payload may decode to: 120 ms, the longest Opus packet
// (RFC 6716 section 3.2.5), at 16 kHz. Longer payloads are malformed.
const MaxPacketSamples = 16000 * 120 / 1000

// NewCodec makes the codec with the given SDP name, in any case of letters.
func NewCodec(name string) (Codec, error) {
	switch {
	case strings.EqualFold(name, PCMU):
		return muLaw{}, nil
	case strings.EqualFold(name, PCMA):
		return aLaw{}, nil
	case strings.EqualFold(name, G722):
		return newG722(), nil
	case strings.EqualFold(name, Opus):
		return newOpus()
	}
	return nil, fmt.Errorf("audio: codec %q is not supported; use PCMU, PCMA, G722 or opus", name)
}

// errShort says that the caller's buffer cannot hold what a payload decodes to.
func errShort(codec string, have, want int) error {
	return fmt.Errorf("audio: %s: a buffer of %d samples cannot hold %d", codec, have, want)
}
