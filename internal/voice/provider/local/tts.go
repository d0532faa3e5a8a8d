package local

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/parley-voice/parley/internal/media/audio"
	"github.com/parley-voice/parley/internal/voice/provider"
)

const (
	speechRate  = 16000 // of every stream, whatever the voice
	maxPiece    = 400   // characters a child is given; flite needs seconds for endless words
	maxTotal    = 4000  // characters of one request
	maxWord     = 24    // longer words are cut: nobody can say them
	defaultPace = 175   // espeak-ng's words a minute
)

// voices are those the engine knows. flite takes any other name without a word and speaks in the wrong
// voice, so names are checked here.
var voices = map[string]struct{ program, voice string }{
	"slt":          {flite, "slt"},
	"rms":          {flite, "rms"},
	"awb":          {flite, "awb"},
	"kal":          {flite, "kal16"},
	"espeak":       {espeak, "en-us"},
	"espeak-gb":    {espeak, "en-gb"},
	"espeak-woman": {espeak, "en-us+f3"},
}

// Voices lists the voices' names.
func Voices() []string { return slices.Sorted(maps.Keys(voices)) }

// sentence is what the cache knows speech by.
type sentence struct {
	voice, text string
	speed       float64
}

// Speak implements provider.TTS.
func (e *Engine) Speak(ctx context.Context, req provider.SpeakRequest) (provider.AudioStream, error) {
	if err := ctx.Err(); err != nil {
		return nil, fail(provider.ServiceTTS, "failed", false, err, "the call no longer waits")
	}
	name, err := e.voice(req.Voice)
	if err != nil {
		return nil, err
	}
	speed := req.Speed
	if speed == 0 {
		speed = 1
	}
	if speed < 0.3 || speed > 3 {
		return nil, fail(provider.ServiceTTS, "refused", true, nil, "speed %g is not possible; choose 0.3 to 3", speed)
	}
	if len(req.Text) > 4*maxTotal {
		return nil, fail(provider.ServiceTTS, "too_long", true, nil, "the text has %d bytes; at most %d characters can be spoken at once", len(req.Text), maxTotal)
	}
	text := speakable(req.Text)
	if len(text) > maxTotal {
		return nil, fail(provider.ServiceTTS, "too_long", true, nil, "the text has %d characters; at most %d can be spoken at once", len(text), maxTotal)
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &speech{e: e, ctx: ctx, cancel: cancel, pieces: pieces(text), voice: name, speed: speed}
	if err := s.next(); err != nil && err != io.EOF {
		cancel()
		return nil, err
	}
	return s, nil
}

// voice finds the voice to use: the one asked for, or the best that is installed.
func (e *Engine) voice(name string) (string, error) {
	if name == "" {
		for _, v := range []string{"slt", "espeak"} {
			if e.programs[voices[v].program] != "" {
				return v, nil
			}
		}
		return "", fail(provider.ServiceTTS, "refused", true, nil, "no voice is installed; install flite or espeak-ng")
	}
	v, ok := voices[strings.ToLower(name)]
	switch {
	case !ok:
		return "", fail(provider.ServiceTTS, "refused", true, nil, "there is no voice %q; use one of %s", name, strings.Join(Voices(), ", "))
	case e.programs[v.program] == "":
		if other := map[string]string{flite: "espeak", espeak: "slt"}[v.program]; e.programs[voices[other].program] != "" {
			return other, nil // another voice is better than none
		}
		return "", fail(provider.ServiceTTS, "refused", true, nil, "voice %q needs %s; install it", name, v.program)
	}
	return strings.ToLower(name), nil
}

// speakable leaves of a text what an engine can say: words of ASCII, no control characters, no word longer
// than a person could say, and no sign at the start that it could take for an option.
func speakable(s string) string {
	s = strings.NewReplacer("’", "'", "‘", "'", "“", `"`, "”", `"`, "–", ", ", "—", ", ", "…", ".", "é", "e", "è", "e",
		"ö", "o", "ü", "u", "ä", "a", "ñ", "n", "ç", "c").Replace(s)
	var b strings.Builder
	run, speaks := 0, false
	for _, r := range s {
		switch {
		case r == ' ' || r == '\n' || r == '\t':
			r, run = ' ', 0
		case r > unicode.MaxASCII || r < ' ' || r == 127 || strings.ContainsRune("<>|\\^~`{}[]", r):
			r, run = ' ', 0
		default:
			if run++; run > maxWord {
				b.WriteByte(' ')
				run = 1
			}
			speaks = speaks || unicode.IsLetter(r) || unicode.IsDigit(r)
		}
		b.WriteRune(r)
	}
	if !speaks {
		return ""
	}
	return strings.TrimLeft(strings.Join(strings.Fields(b.String()), " "), "-. ")
}

// pieces cuts a text into what a child is given at once, after a sentence or a word.
func pieces(s string) []string {
	var out []string
	for len(s) > maxPiece {
		at := strings.LastIndexAny(s[:maxPiece], ".!?;")
		if at < maxPiece/2 {
			at = strings.LastIndexByte(s[:maxPiece], ' ')
		}
		if at <= 0 {
			at = maxPiece - 1
		}
		out = append(out, strings.TrimSpace(s[:at+1]))
		s = strings.TrimSpace(s[at+1:])
	}
	if s != "" {
		out = append(out, s)
	}
	return out
}

// speech is one request: its pieces are synthesised one after the other as they are read.
type speech struct {
	e      *Engine
	ctx    context.Context
	cancel context.CancelFunc
	pieces []string
	voice  string
	speed  float64
	pcm    []int16 // what is left of the piece being read; shared with the cache, never written to
	closed bool
}

// Rate implements provider.AudioStream.
func (s *speech) Rate() int { return speechRate }

// Read implements provider.AudioStream.
func (s *speech) Read(p []int16) (int, error) {
	if s.closed {
		return 0, io.EOF
	}
	if err := s.ctx.Err(); err != nil {
		return 0, fail(provider.ServiceTTS, "failed", false, err, "the speech was stopped")
	}
	for len(s.pcm) == 0 {
		if err := s.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.pcm)
	s.pcm = s.pcm[n:]
	return n, nil
}

// Close implements provider.AudioStream.
func (s *speech) Close() error {
	s.closed, s.pcm, s.pieces = true, nil, nil
	s.cancel()
	return nil
}

// next makes the next piece; io.EOF when there is none.
func (s *speech) next() error {
	if len(s.pieces) == 0 {
		return io.EOF
	}
	pcm, err := s.e.synthesise(s.ctx, sentence{voice: s.voice, text: s.pieces[0], speed: s.speed})
	if err != nil {
		return err
	}
	s.pieces, s.pcm = s.pieces[1:], pcm
	return nil
}

// synthesise speaks one piece, or takes it from the cache.
func (e *Engine) synthesise(ctx context.Context, k sentence) ([]int16, error) {
	if pcm, ok := e.spoken.GetIfPresent(k); ok {
		return pcm, nil
	}
	v := voices[k.voice]
	var args []string
	if v.program == flite {
		// Into a pipe: to a socket flite writes nothing.
		args = []string{"-voice", v.voice, "--setf", fmt.Sprintf("duration_stretch=%.3f", 1/k.speed), "-t", k.text, "-o", "/dev/stdout"}
	} else {
		args = []string{"-v", v.voice, "-s", fmt.Sprint(int(defaultPace * k.speed)), "--stdout", "--", k.text}
	}
	out, err := e.run(ctx, provider.ServiceTTS, v.program, args...)
	if err != nil {
		return nil, err
	}
	rate, pcm, err := parseWAV(out)
	if err != nil {
		return nil, fail(provider.ServiceTTS, "bad_response", false, err, "%s gave no speech", v.program)
	}
	if rate != speechRate {
		r, err := audio.NewResampler(rate, speechRate)
		if err != nil {
			return nil, fail(provider.ServiceTTS, "bad_response", false, err, "%s gave a rate of %d", v.program, rate)
		}
		pcm = r.Process(nil, pcm)
	}
	pcm = slices.Clone(trim(pcm, speechRate)) // a copy: the cache must not hold the silence
	e.spoken.Set(k, pcm)
	return pcm, nil
}
