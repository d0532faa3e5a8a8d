package audio

// Detector tells speech from everything else: the WebRTC VAD in an aggressive mode and an energy that stands
// out of the background. The VAD alone takes hum, babble and music for speech; energy alone takes every
// knock. Both together were measured best in noise.
//
// The background is the least energy of the last seconds (minimum statistics: even fluent speech pauses
// between words), so it follows a changing noise within floorSpans*spanFrames frames when it rises and at once
// when it falls.
type Detector struct {
	vad    *VAD
	margin float64

	level  float64 // of the last frame, dBFS
	smooth float64 // over a few frames, so that one quiet frame is no background
	floor  float64
	spans  [floorSpans]float64 // minima of the last spans
	span   int
	frames int
}

const (
	floorSpans = 8
	spanFrames = 25    // half a second of 20 ms frames
	leastFloor = -62.0 // dBFS: below it is digital silence, and 6 dB above that is no speech either
	unknown    = 0.0   // a floor above all levels: the first frame sets it
)

// DetectorConfig is what a Detector needs.
type DetectorConfig struct {
	Rate   int     // 8000 or 16000
	Mode   int     // of the VAD, 0 to 3; -1 means 3
	Margin float64 // dB above the background; 0 means 6
}

// NewDetector makes a Detector for frames of 20 ms.
func NewDetector(c DetectorConfig) (*Detector, error) {
	if c.Mode < 0 {
		c.Mode = 3
	}
	if c.Margin == 0 {
		c.Margin = 6
	}
	v, err := NewVAD(c.Rate, c.Mode)
	if err != nil {
		return nil, err
	}
	d := &Detector{vad: v, margin: c.Margin}
	d.Reset()
	return d, nil
}

// Reset forgets all that was learnt.
func (d *Detector) Reset() {
	d.vad.Reset()
	d.level, d.smooth, d.floor, d.span, d.frames = -96, unknown, unknown, 0, 0
	for i := range d.spans {
		d.spans[i] = unknown
	}
}

// Speech tells whether a frame of 20 ms holds speech.
func (d *Detector) Speech(frame []int16) bool {
	d.level = Level(frame)
	d.follow()
	return d.vad.Speech(frame) && d.level >= d.floor+d.margin
}

// Level is the last frame's level in dB relative to full scale.
func (d *Detector) Level() float64 { return d.level }

// Floor is the level of the background, in dB relative to full scale.
func (d *Detector) Floor() float64 { return d.floor }

func (d *Detector) follow() {
	level := max(d.level, leastFloor)
	if d.smooth == unknown {
		d.smooth = level
	}
	d.smooth += (level - d.smooth) / 4
	if d.frames++; d.frames == spanFrames {
		d.frames = 0
		d.span = (d.span + 1) % floorSpans
		d.spans[d.span] = d.smooth
	}
	d.spans[d.span] = min(d.spans[d.span], d.smooth)
	d.floor = d.spans[0]
	for _, s := range d.spans[1:] {
		d.floor = min(d.floor, s)
	}
}
