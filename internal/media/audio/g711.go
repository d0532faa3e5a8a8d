package audio

import "math/bits"

// G.711 by table. The decoders have 256 entries; the encoders have one entry for each of the 16,384
// 14-bit (µ-law) or 8,192 13-bit (A-law) inputs that ITU-T G.711 distinguishes, 24 KiB together.
var (
	muToLinear = makeDecoder(decodeMu)
	aToLinear  = makeDecoder(decodeA)
	linearToMu = makeMuEncoder()
	linearToA  = makeAEncoder()
)

// MuLawEncode writes the µ-law codes of pcm to dst, which must be as long.
func MuLawEncode(dst []byte, pcm []int16) {
	dst = dst[:len(pcm)]
	for i, s := range pcm {
		dst[i] = linearToMu[uint16(s)>>2]
	}
}

// MuLawDecode writes the samples of the µ-law codes src to dst, which must be as long.
func MuLawDecode(dst []int16, src []byte) {
	dst = dst[:len(src)]
	for i, c := range src {
		dst[i] = muToLinear[c]
	}
}

// ALawEncode writes the A-law codes of pcm to dst, which must be as long.
func ALawEncode(dst []byte, pcm []int16) {
	dst = dst[:len(pcm)]
	for i, s := range pcm {
		dst[i] = linearToA[uint16(s)>>3]
	}
}

// ALawDecode writes the samples of the A-law codes src to dst, which must be as long.
func ALawDecode(dst []int16, src []byte) {
	dst = dst[:len(src)]
	for i, c := range src {
		dst[i] = aToLinear[c]
	}
}

// decodeMu is ITU-T G.711 table 2 as a formula: the code is inverted, has a sign, three bits of segment
// and four of step. Outputs are 14-bit values, here scaled to 16 bits.
func decodeMu(code byte) int16 {
	c := ^code
	segment, step := int(c>>4&7), int(c&15)
	v := (2*step+33)<<segment - 33
	if c&0x80 != 0 {
		v = -v
	}
	return int16(v * 4)
}

// decodeA is ITU-T G.711 table 1 as a formula: even bits are inverted (the code is XORed with 0x55), the sign
// bit is set for positive values. Outputs are 13-bit values, here scaled to 16 bits.
func decodeA(code byte) int16 {
	c := code ^ 0x55
	segment, step := int(c>>4&7), int(c&15)
	v := 2*step + 1
	if segment > 0 {
		v = (v + 32) << (segment - 1)
	}
	if c&0x80 == 0 {
		v = -v
	}
	return int16(v * 8)
}

func makeDecoder(f func(byte) int16) *[256]int16 {
	var t [256]int16
	for i := range t {
		t[i] = f(byte(i))
	}
	return &t
}

func makeMuEncoder() *[1 << 14]byte {
	var t [1 << 14]byte
	for i := range t {
		t[i] = encodeMu(int(int16(i<<2) >> 2))
	}
	return &t
}

func makeAEncoder() *[1 << 13]byte {
	var t [1 << 13]byte
	for i := range t {
		t[i] = encodeA(int(int16(i<<3) >> 3))
	}
	return &t
}

// encodeMu quantises a 14-bit value. Adding the bias of 33 makes the segment the position of the highest bit.
func encodeMu(v int) byte {
	sign := byte(0)
	if v < 0 {
		// The truncation to 14 bits rounded towards minus infinity; the magnitude it stands for is one less,
		// which keeps both signs symmetrical.
		v, sign = -v-1, 0x80
	}
	v = min(v, 8158) + 33 // 8,159 and more are clipped (G.711 table 2)
	segment := bits.Len(uint(v)) - 6
	step := v >> (segment + 1) & 15
	return ^(sign | byte(segment<<4) | byte(step))
}

// encodeA quantises a 13-bit value.
func encodeA(v int) byte {
	sign := byte(0x80)
	if v < 0 {
		v, sign = -v-1, 0
	}
	code := v >> 1
	if segment := bits.Len(uint(v)) - 5; segment > 0 {
		code = segment<<4 | v>>segment&15
	}
	return (sign | byte(code)) ^ 0x55
}

type muLaw struct{}

func (muLaw) Name() string         { return PCMU }
func (muLaw) Rate() int            { return 8000 }
func (muLaw) ClockRate() int       { return 8000 }
func (muLaw) Samples(p []byte) int { return g711Samples(p) }
func (muLaw) Encode(dst []byte, pcm []int16) ([]byte, error) {
	dst = grow(dst, len(pcm))
	MuLawEncode(dst, pcm)
	return dst, nil
}

func (c muLaw) Decode(dst []int16, p []byte) (int, error) {
	if len(dst) < len(p) {
		return 0, errShort(PCMU, len(dst), len(p))
	}
	MuLawDecode(dst, p)
	return len(p), nil
}

type aLaw struct{}

func (aLaw) Name() string         { return PCMA }
func (aLaw) Rate() int            { return 8000 }
func (aLaw) ClockRate() int       { return 8000 }
func (aLaw) Samples(p []byte) int { return g711Samples(p) }
func (aLaw) Encode(dst []byte, pcm []int16) ([]byte, error) {
	dst = grow(dst, len(pcm))
	ALawEncode(dst, pcm)
	return dst, nil
}

func (c aLaw) Decode(dst []int16, p []byte) (int, error) {
	if len(dst) < len(p) {
		return 0, errShort(PCMA, len(dst), len(p))
	}
	ALawDecode(dst, p)
	return len(p), nil
}

func g711Samples(p []byte) int {
	if len(p) > 8000*120/1000 {
		return 0
	}
	return len(p)
}

// grow returns dst with length n, reusing its memory when it suffices.
func grow(dst []byte, n int) []byte {
	if cap(dst) < n {
		return make([]byte, n)
	}
	return dst[:n]
}
