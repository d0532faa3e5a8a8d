package conversation

import "math/bits"

// How samples lie in a recording. G.711 is kept as it came, so that a telephone call's recording is what
// was on the wire, at half the size.
type format byte

const (
	formatMuLaw format = 1 // ITU-T G.711 µ-law, one byte a sample
	formatALaw  format = 2 // ITU-T G.711 A-law, one byte a sample
	formatPCM16 format = 3 // signed little-endian, two bytes a sample
)

// formatFor chooses the format: a narrow-band call is G.711 on the wire, or nearly so.
func formatFor(codec string, rate int) format {
	switch {
	case rate != 8000:
		return formatPCM16
	case codec == "PCMA" || codec == "pcma":
		return formatALaw
	default:
		return formatMuLaw
	}
}

func (f format) valid() bool { return f >= formatMuLaw && f <= formatPCM16 }

// bytes is the size of one sample.
func (f format) bytes() int {
	if f == formatPCM16 {
		return 2
	}
	return 1
}

// silence is the byte that stands for no sound.
func (f format) silence() byte {
	switch f {
	case formatMuLaw:
		return 0xff
	case formatALaw:
		return 0xd5
	default:
		return 0
	}
}

// encode writes samples to dst, which is large enough.
func (f format) encode(dst []byte, samples []int16) {
	switch f {
	case formatMuLaw:
		for i, s := range samples {
			dst[i] = muLawOf[uint16(s)>>2]
		}
	case formatALaw:
		for i, s := range samples {
			dst[i] = aLawOf[uint16(s)>>3]
		}
	default:
		for i, s := range samples {
			dst[2*i], dst[2*i+1] = byte(s), byte(uint16(s)>>8)
		}
	}
}

// at decodes sample i of src.
func (f format) at(src []byte, i int) int16 {
	switch f {
	case formatMuLaw:
		return muLawLinear[src[i]]
	case formatALaw:
		return aLawLinear[src[i]]
	default:
		return int16(uint16(src[2*i]) | uint16(src[2*i+1])<<8)
	}
}

// The tables are made once from the definitions and never change. Their index is the sample without the
// bits that the law drops anyway (G.711 tables 1 and 2: 14 bits for µ-law, 13 for A-law).
var (
	muLawOf     = makeMuLaw()
	aLawOf      = makeALaw()
	muLawLinear = makeMuLawLinear()
	aLawLinear  = makeALawLinear()
)

const muLawBias = 33 // G.711 section 3.2, in units of the 14-bit scale

func makeMuLaw() (t [1 << 14]byte) {
	for i := range t {
		v := int(int16(uint16(i)<<2)) >> 2
		sign := 0x80
		if v < 0 {
			v, sign = -v, 0
		}
		v = min(v+muLawBias, 8191)
		segment := bits.Len(uint(v)) - 6
		step := v >> (segment + 1) & 0x0f
		t[i] = ^byte(segment<<4|step) & 0x7f
		if sign != 0 {
			t[i] |= 0x80
		}
	}
	return t
}

func makeMuLawLinear() (t [256]int16) {
	for i := range t {
		c := ^byte(i)
		segment, step := uint(c>>4&7), int(c&0x0f)
		v := ((2*step+muLawBias)<<segment - muLawBias) << 2
		if c&0x80 != 0 {
			v = -v
		}
		t[i] = int16(v)
	}
	return t
}

func makeALaw() (t [1 << 13]byte) {
	for i := range t {
		v := int(int16(uint16(i)<<3)) >> 3
		sign := byte(0x80)
		if v < 0 {
			v, sign = -v-1, 0
		}
		var c byte
		if v < 32 {
			c = byte(v >> 1)
		} else {
			segment := bits.Len(uint(v)) - 5
			c = byte(segment<<4) | byte(v>>segment&0x0f)
		}
		t[i] = (c | sign) ^ 0x55
	}
	return t
}

func makeALawLinear() (t [256]int16) {
	for i := range t {
		c := byte(i) ^ 0x55
		segment, step := uint(c>>4&7), int(c&0x0f)
		v := 2*step + 1
		if segment > 0 {
			v = (v + 32) << (segment - 1)
		}
		v <<= 3
		if c&0x80 == 0 {
			v = -v
		}
		t[i] = int16(v)
	}
	return t
}
