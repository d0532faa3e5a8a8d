package audio

import (
	"encoding/binary"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func tone(rate, n int, hz, amplitude float64) []int16 {
	pcm := make([]int16, n)
	for i := range pcm {
		pcm[i] = int16(math.Round(amplitude * math.Sin(2*math.Pi*hz*float64(i)/float64(rate))))
	}
	return pcm
}

// The next two tests transcribe ITU-T G.711 tables 2 and 1: for each segment its first decision value and
// the step within it. They cover every code and every 14- or 13-bit input.
func TestMuLawAgainstG711Table2(t *testing.T) {
	// Segment: first decision value x, quantising step, number of intervals. 14-bit values.
	segments := []struct{ start, step int }{{-1, 2}, {31, 4}, {95, 8}, {223, 16}, {479, 32}, {991, 64}, {2015, 128}, {4063, 256}}
	for seg, s := range segments {
		for i := range 16 {
			lo, hi := s.start+i*s.step, s.start+(i+1)*s.step
			y := (lo + hi) / 2
			code := ^byte(seg<<4 | i)
			if seg == 0 && i == 0 {
				lo, y = 0, 0
			}
			if got := muToLinear[code]; int(got) != 4*y {
				t.Errorf("code %#02x decodes to %d, table 2a says %d", code, got, 4*y)
			}
			if got := muToLinear[code&0x7f]; int(got) != -4*y {
				t.Errorf("code %#02x decodes to %d, table 2b says %d", code&0x7f, got, -4*y)
			}
			for v := lo; v < hi; v++ {
				if got := encodeMu(v); got != code {
					t.Errorf("value %d encodes to %#02x, table 2a says %#02x", v, got, code)
				}
			}
		}
	}
	for v := 8159; v <= 8191; v++ {
		if encodeMu(v) != 0x80 || encodeMu(-v-1) != 0 {
			t.Errorf("value %d is not clipped", v)
		}
	}
}

func TestALawAgainstG711Table1(t *testing.T) {
	// 13-bit values (table 1 counts 4,096 positive ones).
	segments := []struct{ start, step int }{{0, 2}, {32, 2}, {64, 4}, {128, 8}, {256, 16}, {512, 32}, {1024, 64}, {2048, 128}}
	for seg, s := range segments {
		for i := range 16 {
			lo, hi := s.start+i*s.step, s.start+(i+1)*s.step
			y := (lo + hi) / 2
			code := byte(0x80|seg<<4|i) ^ 0x55
			if got := aToLinear[code]; int(got) != 8*y {
				t.Errorf("code %#02x decodes to %d, table 1a says %d", code, got, 8*y)
			}
			if got := aToLinear[code^0x80]; int(got) != -8*y {
				t.Errorf("code %#02x decodes to %d, table 1b says %d", code^0x80, got, -8*y)
			}
			for v := lo; v < hi; v++ {
				if got := encodeA(v); got != code {
					t.Errorf("value %d encodes to %#02x, table 1a says %#02x", v, got, code)
				}
				if got := encodeA(-v - 1); got != code^0x80 {
					t.Errorf("value %d encodes to %#02x, table 1b says %#02x", -v-1, got, code^0x80)
				}
			}
		}
	}
}

// TestG711Identity: decoding and encoding again gives the same code, for all 256 (for µ-law the two zeros
// are one value).
func TestG711Identity(t *testing.T) {
	for i := range 256 {
		c := byte(i)
		var pcm [1]int16
		var back [1]byte
		ALawDecode(pcm[:], []byte{c})
		if ALawEncode(back[:], pcm[:]); back[0] != c {
			t.Errorf("A-law %#02x comes back as %#02x", c, back[0])
		}
		MuLawDecode(pcm[:], []byte{c})
		if MuLawEncode(back[:], pcm[:]); back[0] != c && c != 0x7f {
			t.Errorf("µ-law %#02x comes back as %#02x", c, back[0])
		}
	}
}

// TestG711AgainstSox compares all 65,536 samples with an independent implementation.
func TestG711AgainstSox(t *testing.T) {
	dir := t.TempDir()
	raw := filepath.Join(dir, "in.raw")
	pcm := make([]int16, 1<<16)
	buf := make([]byte, 2<<16)
	for i := range pcm {
		pcm[i] = int16(i)
		binary.LittleEndian.PutUint16(buf[2*i:], uint16(i))
	}
	if err := os.WriteFile(raw, buf, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		encode func([]byte, []int16)
	}{{"mu-law", MuLawEncode}, {"a-law", ALawEncode}} {
		out := filepath.Join(dir, tc.name)
		cmd := exec.CommandContext(t.Context(), "sox", "-D", "-t", "raw", "-r", "8000", "-e", "signed", "-b", "16", "-c", "1", raw,
			"-t", "raw", "-e", tc.name, "-b", "8", out)
		if b, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("sox: %v: %s", err, b)
		}
		want, err := os.ReadFile(out)
		if err != nil || len(want) != len(pcm) {
			t.Fatalf("sox wrote %d codes: %v", len(want), err)
		}
		got := make([]byte, len(pcm))
		tc.encode(got, pcm)
		differ := 0
		for i := range got {
			if got[i] == want[i] {
				continue
			}
			// sox rounds to 13 or 14 bits before it quantises, the Recommendation's decision values do not: next
			// to a boundary (within half a step of those bits) the codes may be neighbours, nowhere else.
			differ++
			var near [2]byte
			tc.encode(near[:], []int16{int16(max(int(pcm[i])-4, -1<<15)), int16(min(int(pcm[i])+4, 1<<15-1))})
			if want[i] != near[0] && want[i] != near[1] {
				t.Errorf("%s of %d: %#02x by us, %#02x by sox", tc.name, pcm[i], got[i], want[i])
			}
		}
		if differ > len(pcm)/50 {
			t.Errorf("%s: %d of %d codes differ from sox", tc.name, differ, len(pcm))
		}
	}
}

func snr(want, got []int16) float64 {
	var s, n float64
	for i := range want {
		d := float64(got[i]) - float64(want[i])
		s += float64(want[i]) * float64(want[i])
		n += d * d
	}
	return 10 * math.Log10(s/max(n, 1))
}

// bestSNR aligns got to want, for codecs that delay.
func bestSNR(want, got []int16, maxDelay int) (float64, int) {
	best, at := math.Inf(-1), 0
	for d := range maxDelay {
		if v := snr(want[1600:len(want)-maxDelay], got[1600+d:len(got)-maxDelay+d]); v > best {
			best, at = v, d
		}
	}
	return best, at
}

func TestCodecsRoundTrip(t *testing.T) {
	for _, tc := range []struct {
		name        string
		rate, clock int
		bytes       int // of a 20 ms payload, 0 = any
		minSNR      float64
		maxDelay    int
	}{
		{PCMU, 8000, 8000, 160, 33, 1}, {PCMA, 8000, 8000, 160, 33, 1},
		{G722, 16000, 8000, 160, 20, 64}, {Opus, 16000, 48000, 0, 10, 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := NewCodec(tc.name)
			if err != nil {
				t.Fatal(err)
			}
			if c.Name() != tc.name || c.Rate() != tc.rate || c.ClockRate() != tc.clock {
				t.Errorf("%s at %d, clock %d", c.Name(), c.Rate(), c.ClockRate())
			}
			in := tone(tc.rate, tc.rate, 440, 8000)
			out := make([]int16, 0, len(in))
			var payload []byte
			frame := make([]int16, MaxPacketSamples)
			for off := 0; off < len(in); off += tc.rate / 50 {
				if payload, err = c.Encode(payload, in[off:off+tc.rate/50]); err != nil {
					t.Fatal(err)
				}
				if tc.bytes > 0 && len(payload) != tc.bytes {
					t.Fatalf("payload of %d bytes", len(payload))
				}
				if n := c.Samples(payload); n != tc.rate/50 {
					t.Fatalf("Samples says %d", n)
				}
				n, err := c.Decode(frame, payload)
				if err != nil || n != tc.rate/50 {
					t.Fatalf("decoded %d samples: %v", n, err)
				}
				out = append(out, frame[:n]...)
			}
			got, delay := bestSNR(in, out, tc.maxDelay)
			t.Logf("SNR %.1f dB, delay %d samples, last payload %d bytes", got, delay, len(payload))
			if got < tc.minSNR {
				t.Errorf("SNR %.1f dB, want %.0f", got, tc.minSNR)
			}
		})
	}
}

func TestCodecErrors(t *testing.T) {
	if _, err := NewCodec("iLBC"); err == nil {
		t.Error("an unknown codec was made")
	}
	for _, name := range []string{PCMU, PCMA, G722, Opus} {
		c, err := NewCodec(name)
		if err != nil {
			t.Fatal(err)
		}
		payload := []byte{0x08, 1, 2, 3}
		if _, err := c.Decode(make([]int16, 1), payload); err == nil {
			t.Errorf("%s decoded into a buffer that is too short", name)
		}
		if n := c.Samples(make([]byte, 5000)); n > MaxPacketSamples {
			t.Errorf("%s: a payload of 5,000 bytes has %d samples", name, n)
		}
	}
}

func FuzzCodecDecode(f *testing.F) {
	f.Add([]byte{}, byte(0))
	f.Add([]byte{0x4b, 0x41, 1, 2, 3}, byte(3))
	f.Add([]byte{0xff, 0x3f}, byte(3))
	f.Fuzz(func(t *testing.T, payload []byte, which byte) {
		c, err := NewCodec([]string{PCMU, PCMA, G722, Opus}[which%4])
		if err != nil {
			t.Fatal(err)
		}
		var dst [MaxPacketSamples]int16
		n := c.Samples(payload)
		if n == 0 {
			return
		}
		if got, err := c.Decode(dst[:], payload); err == nil && got != n {
			t.Errorf("Samples says %d, Decode gave %d", n, got)
		}
	})
}

func BenchmarkCodec(b *testing.B) {
	for _, name := range []string{PCMU, PCMA, G722, Opus} {
		c, err := NewCodec(name)
		if err != nil {
			b.Fatal(err)
		}
		pcm := tone(c.Rate(), c.Rate()/50, 440, 8000)
		payload, err := c.Encode(nil, pcm)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name+"/encode", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if payload, err = c.Encode(payload, pcm); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/decode", func(b *testing.B) {
			b.ReportAllocs()
			dst := make([]int16, MaxPacketSamples)
			for b.Loop() {
				if _, err := c.Decode(dst, payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
