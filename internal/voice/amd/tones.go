package amd

import "math"

// Bounds of tones, in Hz and in frames of 20 ms. A tone fills its first and last frame only in part, so that as many
// as two frames of it are not seen.
const (
	beepLow, beepHigh = 380, 2050 // voicemail beeps: most are 400 to 1400 Hz, some 2000
	beepMost          = 125       // 2.5 s; what lasts longer is a line tone
	beepRest          = 4         // 80 ms without a tone after it: the next of special information tones comes within 30 ms

	// Ringing, busy and dial tones in most of the world: ITU-T E.180/Q.35 section 2.3, 400 to 450 Hz, 425 preferred. An
	// exchange that answers and then rings is no machine, so such a tone is a beep only after speech.
	progressLow, progressHigh = 395, 455

	// Special information tones: ITU-T E.180/Q.35 section 8, 950 ± 50, 1400 ± 50 and 1800 ± 50 Hz for 330 ± 70 ms each,
	// gaps of at most 30 ms. North America codes the kind of trouble in the first two (914 or 985, 1371 or 1429 Hz, 274
	// or 380 ms), which is why the bounds are wider.
	sitLeast, sitMost = 10, 24
	sitGap            = 5

	// Fax: ITU-T T.30 section 4.1: the called fax answers by 2100 ± 15 Hz for 2.6 to 4 s, the calling one sends 1100 ±
	// 38 Hz for half a second every 3 s. Modems (V.25, V.8) answer by 2100 Hz with its phase turned every 450 ms.
	faxAnswerLeast  = 20
	faxCallingLeast = 20
	faxCallingMost  = 32
	faxCallingGap   = 165 // 3.3 s; 3 s and what is not seen

	steady = 0.015 // a tone's frequency wavers no more than that, or 12 Hz
)

var sitLow, sitHigh = [3]float64{880, 1330, 1720}, [3]float64{1020, 1470, 1880}

// run is a tone that went on for some frames.
type run struct {
	hz     float64
	frames int
	end    int // the frame after it
}

// heardTone is what a frame told.
type heardTone struct {
	sounds             bool // this frame is part of a tone
	beep, invalid, fax bool
}

// tones follows the tones of a call.
type tones struct {
	analyser analyser
	least    int // frames of a beep

	at      int
	now     run // under way; frames 0: none
	missed  int // frames of it that were not clear
	before  [2]run
	pending bool // the last run was a beep, if no tone follows at once
	fax     int  // bursts of a calling fax
	spent   bool // a fax or the network: no beep means anything
}

func newTones(rate, beep int) tones {
	return tones{analyser: analyser{rate: rate}, least: beep}
}

// hear takes a frame. spoke says that there was speech before.
func (t *tones) hear(pcm []int16, spoke bool) (h heardTone) {
	now := t.at
	t.at++
	hz, ok := t.analyser.sine(pcm)
	switch {
	case ok && t.now.frames > 0 && math.Abs(hz-t.now.hz) <= math.Max(12, steady*t.now.hz):
		t.now.hz += (hz - t.now.hz) / float64(t.now.frames+1)
		t.now.frames += 1 + t.missed
		t.now.end, t.missed = now+1, 0
		t.last(&h)
	case !ok && t.missed < t.patience(): // a lost packet, noise, or its end
		t.missed++
		h.sounds = t.now.frames >= t.least
		return h
	default:
		t.over(spoke, &h)
		if ok {
			t.now = run{hz: hz, frames: 1, end: now + 1}
		}
	}
	h.sounds = t.now.frames >= 3
	if t.pending && t.now.frames >= 3 { // another tone: this was part of something else
		t.pending = false
	}
	t.spent = t.spent || h.fax || h.invalid
	if t.pending && now-t.before[1].end >= beepRest && t.now.frames == 0 {
		t.pending, h.beep = false, !t.spent
	}
	return h
}

// patience is how many frames of the tone under way may be unclear.
func (t *tones) patience() int {
	switch {
	case t.now.frames == 0:
		return 0
	case t.now.frames < t.least:
		return 1
	default:
		return 3
	}
}

// last looks at the tone under way for what need not wait for its end.
func (t *tones) last(h *heardTone) {
	r := t.now
	if r.frames >= faxAnswerLeast && r.hz > 2075 && r.hz < 2125 {
		h.fax = true
	}
	if r.frames < sitLeast || r.hz < sitLow[2] || r.hz > sitHigh[2] {
		return
	}
	begin := r.end - r.frames
	for i := 1; i >= 0; i-- {
		p := t.before[i]
		if p.frames < sitLeast || p.frames > sitMost || p.hz < sitLow[i] || p.hz > sitHigh[i] || begin-p.end > sitGap {
			return
		}
		begin = p.end - p.frames
	}
	h.invalid = true
}

// over ends the tone under way.
func (t *tones) over(spoke bool, h *heardTone) {
	r := t.now
	t.now, t.missed = run{}, 0
	if r.frames < 3 {
		return
	}
	if r.hz > 1062 && r.hz < 1138 && r.frames >= faxCallingLeast && r.frames <= faxCallingMost && !spoke {
		if p := t.before[1]; t.fax > 0 && math.Abs(p.hz-r.hz) < 12 && r.end-r.frames-p.end <= faxCallingGap {
			h.fax = true
		}
		t.fax++
		t.before[0], t.before[1] = t.before[1], r
		t.pending = false
		return
	}
	t.before[0], t.before[1] = t.before[1], r
	progress := r.hz > progressLow && r.hz < progressHigh
	t.pending = r.frames >= t.least && r.frames <= beepMost && r.hz >= beepLow && r.hz <= beepHigh && (spoke || !progress)
}
