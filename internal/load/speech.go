package load

import (
	_ "embed"
	"time"
)

// speech is "What are your opening hours today?" in G.711 µ-law, 8 kHz. It was made with
// flite -voice slt, resampled, trimmed and brought to -6 dB with sox.
//
//go:embed speech.ulaw
var speech []byte

const (
	frameTime  = 20 * time.Millisecond
	frameBytes = 160
	// everyFrames is the caller's rhythm: it begins to speak every 7 s.
	everyFrames = int(7 * time.Second / frameTime)
	ulawSilence = 0xFF
)

// silence is 20 ms of it.
func silence() []byte {
	b := make([]byte, frameBytes)
	for i := range b {
		b[i] = ulawSilence
	}
	return b
}

// spoken is the speech in frames, the last one filled up with silence.
func spoken() [][]byte {
	var out [][]byte
	for at := 0; at < len(speech); at += frameBytes {
		f := silence()
		copy(f, speech[at:])
		out = append(out, f)
	}
	return out
}

// loud tells for each µ-law byte whether it is clearly not silence: above about -40 dBFS.
var loud = func() (t [256]bool) {
	for i := range t {
		u := ^byte(i)
		magnitude := ((int(u&0x0F)<<3)+0x84)<<(u>>4&7) - 0x84 // ITU-T G.711 table 2
		t[i] = magnitude > 328
	}
	return t
}()

// audible reports whether a frame holds sound. One loud sample may be a click.
func audible(frame []byte) bool {
	n := 0
	for _, b := range frame {
		if loud[b] {
			if n++; n >= 4 {
				return true
			}
		}
	}
	return false
}
