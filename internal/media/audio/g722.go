package audio

import (
	"errors"

	"github.com/gotranspile/g722"
)

// g722Codec is ITU-T G.722 at 64 kbit/s: 16 kHz audio, one byte for two samples. Its RTP clock is 8 kHz, a
// mistake that RFC 3551 section 4.5.2 keeps for compatibility.
type g722Codec struct {
	enc *g722.Encoder
	dec *g722.Decoder
}

func newG722() *g722Codec {
	return &g722Codec{enc: g722.NewEncoder(g722.Rate64000, 0), dec: g722.NewDecoder(g722.Rate64000, 0)}
}

func (*g722Codec) Name() string   { return G722 }
func (*g722Codec) Rate() int      { return 16000 }
func (*g722Codec) ClockRate() int { return 8000 }

func (*g722Codec) Samples(p []byte) int {
	if 2*len(p) > MaxPacketSamples {
		return 0
	}
	return 2 * len(p)
}

func (c *g722Codec) Encode(dst []byte, pcm []int16) ([]byte, error) {
	if len(pcm)%2 != 0 {
		return nil, errors.New("audio: G722: an odd number of samples")
	}
	dst = grow(dst, len(pcm)/2)
	return dst[:c.enc.Encode(dst, pcm)], nil
}

func (c *g722Codec) Decode(dst []int16, p []byte) (int, error) {
	if len(dst) < 2*len(p) {
		return 0, errShort(G722, len(dst), 2*len(p))
	}
	return c.dec.Decode(dst, p), nil
}
