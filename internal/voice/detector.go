package voice

import "github.com/parley-voice/parley/internal/media/audio"

// newDetector is the built-in VAD: the WebRTC algorithm in its most aggressive mode and an energy that stands
// out of the background.
func newDetector(rate int) (Detector, error) {
	return audio.NewDetector(audio.DetectorConfig{Rate: rate, Mode: -1})
}
