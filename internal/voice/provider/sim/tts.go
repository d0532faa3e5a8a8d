package sim

import (
	"context"
	"hash/fnv"
	"io"
	"math"
	"time"
	"unicode/utf8"

	"github.com/parley-voice/parley/internal/voice/provider"
)

// TTSConfig sets up the voice.
type TTSConfig struct {
	Latency Latency // request → first audio
	Faults  Faults
	Rate    int // samples a second; 0 means 8000
}

func (c TTSConfig) rate() int {
	if c.Rate == 0 {
		return 8000
	}
	return c.Rate
}

const (
	perChar  = 60 * time.Millisecond
	maxChars = 2000 // longer texts are refused
	syllable = 200 * time.Millisecond
)

// bank is some seconds of speech-like sound that every utterance is cut from, so that speaking costs no more
// than copying.
type bank struct {
	rate int
	pcm  []int16
}

func newBank(rate int) *bank {
	b := &bank{rate: rate, pcm: make([]int16, 8*rate)}
	for i := range b.pcm {
		t := float64(i) / float64(rate)
		n := math.Floor(t / syllable.Seconds())
		within := t/syllable.Seconds() - n
		// Each syllable has its pitch and its colour; the envelope rises fast and falls slowly.
		pitch := 110 + 35*math.Sin(n*1.7)
		envelope := min(within*12, 1) * (1 - 0.8*within)
		v := 0.0
		for h := 1; h <= 10; h++ {
			v += math.Sin(2*math.Pi*pitch*float64(h)*t) / (1 + math.Abs(float64(h)-3-2*math.Sin(n*2.3)))
		}
		b.pcm[i] = int16(4500 * envelope * v)
	}
	return b
}

// Speak implements provider.TTS.
func (v *Vendor) Speak(ctx context.Context, req provider.SpeakRequest) (provider.AudioStream, error) {
	o := v.draw(v.cfg.TTS.Latency, v.cfg.TTS.Faults)
	if err := o.wait(ctx, v.cfg.Clock, provider.ServiceTTS); err != nil {
		return nil, err
	}
	if err := o.fail(provider.ServiceTTS); err != nil {
		return nil, err
	}
	chars := utf8.RuneCountInString(req.Text)
	if chars > maxChars {
		return nil, &provider.Error{
			Service: provider.ServiceTTS, Vendor: Name, Code: "too_long", Message: "the text is too long", Fatal: true,
		}
	}
	speed := req.Speed
	if speed <= 0 {
		speed = 1
	}
	rate := v.bank.rate
	left := int(float64(chars) * perChar.Seconds() * float64(rate) / speed)
	if o.fate == rubbish {
		left = 0 // speech that is none
	}
	h := fnv.New32a()
	_, _ = io.WriteString(h, req.Text)
	step := int(syllable.Seconds() * float64(rate))
	at := int(h.Sum32()%uint32(len(v.bank.pcm)/step)) * step
	return &speech{ctx: ctx, bank: v.bank, at: at, left: left}, nil
}

type speech struct {
	ctx    context.Context
	bank   *bank
	at     int
	left   int
	closed bool
}

// Rate implements provider.AudioStream.
func (s *speech) Rate() int { return s.bank.rate }

// Read implements provider.AudioStream.
func (s *speech) Read(p []int16) (int, error) {
	if s.closed || s.left <= 0 {
		return 0, io.EOF
	}
	if err := s.ctx.Err(); err != nil {
		return 0, ended(err, provider.ServiceTTS)
	}
	n := 0
	for n < len(p) && s.left > 0 {
		k := copy(p[n:min(len(p), n+s.left)], s.bank.pcm[s.at:])
		n += k
		s.left -= k
		s.at = (s.at + k) % len(s.bank.pcm)
	}
	return n, nil
}

// Close implements provider.AudioStream.
func (s *speech) Close() error {
	s.closed = true
	return nil
}
