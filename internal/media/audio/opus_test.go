package audio

import "testing"

// TestOpusPauses: with discontinuous transmission a frame is a TOC byte alone (RFC 6716 section 3.2.1); it
// decodes to its duration of something faint.
func TestOpusPauses(t *testing.T) {
	c, err := NewCodec(Opus)
	if err != nil {
		t.Fatal(err)
	}
	speech, err := c.Encode(nil, tone(16000, 320, 300, 3000))
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]int16, MaxPacketSamples)
	if _, err := c.Decode(dst, speech); err != nil {
		t.Fatal(err)
	}
	toc := speech[0] &^ 3
	for i := range 20 {
		n, err := c.Decode(dst, []byte{toc})
		if err != nil || n != 320 {
			t.Fatalf("pause %d: %d samples, %v", i, n, err)
		}
	}
	if l := Level(dst[:320]); l > -50 {
		t.Errorf("a long pause is at %.0f dB", l)
	}
}
