package audio

import (
	"fmt"

	"github.com/thesyncim/gopus"
)

// opusCodec is Opus for voice (RFC 6716, RFC 7587): 16 kHz mono on our side, so the encoder uses the
// speech layer at wideband and the decoder folds whatever the far end sends, stereo and fullband too, down
// to that. The RTP clock is 48 kHz whatever the sample rate (RFC 7587 section 4.1).
type opusCodec struct {
	enc *gopus.Encoder
	dec *gopus.Decoder
}

const (
	opusRate    = 16000
	opusBitrate = 24000 // wideband speech without audible loss (RFC 7587 section 3.1.1 names 16 to 20 kbit/s)
	opusMaxSize = 1275  // the largest frame (RFC 6716 section 3.4)
)

func newOpus() (*opusCodec, error) {
	enc, err := gopus.NewEncoder(gopus.EncoderConfig{SampleRate: opusRate, Channels: 1, Application: gopus.ApplicationVoIP})
	if err != nil {
		return nil, fmt.Errorf("audio: opus encoder: %w", err)
	}
	for _, set := range []func() error{
		func() error { return enc.SetFrameSize(opusRate / 50) },
		func() error { return enc.SetBitrate(opusBitrate) },
		// Complexity 3 of 10: measured, it costs a third of 9 and speech at 24 kbit/s does not show it.
		func() error { return enc.SetComplexity(3) },
		func() error { return enc.SetSignal(gopus.SignalVoice) },
	} {
		if err := set(); err != nil {
			return nil, fmt.Errorf("audio: opus encoder: %w", err)
		}
	}
	dec, err := gopus.NewDecoder(gopus.DefaultDecoderConfig(opusRate, 1))
	if err != nil {
		return nil, fmt.Errorf("audio: opus decoder: %w", err)
	}
	return &opusCodec{enc: enc, dec: dec}, nil
}

func (*opusCodec) Name() string   { return Opus }
func (*opusCodec) Rate() int      { return opusRate }
func (*opusCodec) ClockRate() int { return 48000 }

// Samples reads the packet's duration from its TOC byte and frame count (RFC 6716 section 3.1 and 3.2).
func (*opusCodec) Samples(p []byte) int {
	if len(p) == 0 {
		return 0
	}
	var frame int // in samples at 16 kHz
	switch config := p[0] >> 3; {
	case config < 12: // SILK: 10, 20, 40, 60 ms
		frame = [4]int{160, 320, 640, 960}[config&3]
	case config < 16: // hybrid: 10, 20 ms
		frame = [2]int{160, 320}[config&1]
	default: // CELT: 2.5, 5, 10, 20 ms
		frame = 40 << (config & 3)
	}
	count := 1
	switch p[0] & 3 {
	case 1, 2:
		count = 2
	case 3:
		if len(p) < 2 {
			return 0
		}
		count = int(p[1] & 0x3f)
	}
	if n := frame * count; n <= MaxPacketSamples {
		return n
	}
	return 0
}

func (c *opusCodec) Encode(dst []byte, pcm []int16) ([]byte, error) {
	if len(pcm) != opusRate/50 {
		return nil, fmt.Errorf("audio: opus: a frame of %d samples, want %d", len(pcm), opusRate/50)
	}
	dst = grow(dst, opusMaxSize)
	n, err := c.enc.EncodeInt16(pcm, dst)
	if err != nil {
		return nil, fmt.Errorf("audio: opus: encode: %w", err)
	}
	return dst[:n], nil
}

func (c *opusCodec) Decode(dst []int16, p []byte) (int, error) {
	want := c.Samples(p)
	if want == 0 {
		return 0, fmt.Errorf("audio: opus: malformed packet of %d bytes", len(p))
	}
	if len(dst) < want {
		return 0, errShort(Opus, len(dst), want)
	}
	n, err := c.dec.DecodeInt16(p, dst)
	if err != nil {
		return 0, fmt.Errorf("audio: opus: decode: %w", err)
	}
	return n, nil
}
