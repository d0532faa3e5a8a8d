package conversation

import "testing"

// Values from ITU-T G.711, tables 1a to 2b: decoder output at the ends of segments, on the 16-bit scale.
func TestLawsMatchTheirTables(t *testing.T) {
	for code, want := range map[byte]int16{0xff: 0, 0x7f: 0, 0x80: 32124, 0x00: -32124, 0xfe: 8, 0xf0: 120, 0xef: 132, 0x8f: 16764} {
		if got := muLawLinear[code]; got != want {
			t.Errorf("µ-law %#02x: %d, want %d", code, got, want)
		}
	}
	for code, want := range map[byte]int16{0xd5: 8, 0x55: -8, 0xaa: 32256, 0x2a: -32256, 0xd4: 24, 0xc5: 264, 0xf5: 528} {
		if got := aLawLinear[code]; got != want {
			t.Errorf("A-law %#02x: %d, want %d", code, got, want)
		}
	}
}

// A recording of a G.711 call is exact: what was decoded for the session encodes to the same value again.
func TestLawsAreLossless(t *testing.T) {
	for code := range 256 {
		var b [1]byte
		formatMuLaw.encode(b[:], []int16{muLawLinear[code]})
		if muLawLinear[b[0]] != muLawLinear[code] {
			t.Errorf("µ-law %#02x became %#02x", code, b[0])
		}
		formatALaw.encode(b[:], []int16{aLawLinear[code]})
		if b[0] != byte(code) {
			t.Errorf("A-law %#02x became %#02x", code, b[0])
		}
	}
}

// Every sample encodes to a code whose value is near, and the extremes do not wrap.
func TestLawsAreNear(t *testing.T) {
	for s := -32768; s <= 32767; s++ {
		for _, f := range []format{formatMuLaw, formatALaw, formatPCM16} {
			var b [2]byte
			f.encode(b[:], []int16{int16(s)})
			got := int(f.at(b[:], 0))
			if d := max(got-s, s-got); d > 16+max(s, -s)/24 {
				t.Fatalf("format %d: %d became %d", f, s, got)
			}
		}
	}
}

func TestSilenceIsSilent(t *testing.T) {
	for _, f := range []format{formatMuLaw, formatALaw, formatPCM16} {
		s := f.silence()
		if v := f.at([]byte{s, s}, 0); v < -8 || v > 8 {
			t.Errorf("format %d: silence is %d", f, v)
		}
	}
}
