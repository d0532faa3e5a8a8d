package conversation

import "testing"

// A waveform keeps its bound and its loudest moments, whatever the length of the call.
func TestPeaksOfALongCall(t *testing.T) {
	var p peaks
	const frames = 24 * 3600 * 50
	for i := range frames {
		v := byte(10)
		if i == frames/4 {
			v = 200
		}
		p.add(v, 0)
	}
	if len(p.caller) > maxPeaks || len(p.caller) <= maxPeaks/2 || cap(p.caller) > 2*maxPeaks {
		t.Fatalf("%d points", len(p.caller))
	}
	v := p.show(100)
	if v.DurationMs != frames*20 || v.Caller[25] < 0.7 || v.Caller[24] > 0.1 || v.Caller[99] < 0.03 || v.Agent[25] != 0 {
		t.Errorf("%d ms, %v", v.DurationMs, v.Caller)
	}
}

// The loudest sample is found in each format, the most negative ones too.
func TestLoudest(t *testing.T) {
	for _, f := range []format{formatMuLaw, formatALaw, formatPCM16} {
		l := layout{f, 8000}
		lane := make([]byte, l.laneBytes())
		samples := make([]int16, 160)
		f.encode(lane, samples)
		if got := l.loudest(lane); got != 0 {
			t.Errorf("format %d: silence is %d", f, got)
		}
		for _, s := range []int16{-32768, 32767, 16000, -16000} {
			samples[77] = s
			f.encode(lane, samples)
			want := int(max(s, -max(s, -32767))) / 128
			if got := int(l.loudest(lane)); got < want-6 || got > want+6 {
				t.Errorf("format %d: %d gives %d, want about %d", f, s, got, want)
			}
		}
	}
}

// Fewer points than asked for are repeated, none give silence.
func TestPeaksOfAShortCall(t *testing.T) {
	var p peaks
	if c, a := p.at(3); len(c) != 3 || len(a) != 3 || c[0] != 0 {
		t.Error("no sound")
	}
	p.add(255, 0)
	p.add(0, 255)
	c, a := p.at(4)
	if c[0] != 1 || c[1] != 1 || c[2] != 0 || a[3] != 1 || a[1] != 0 {
		t.Errorf("%v %v", c, a)
	}
}
