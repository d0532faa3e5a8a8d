package amd

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/media/audio"
)

const rate = 8000

// voices speak the greetings: flite's recorded ones and espeak-ng's formants.
var voices = []string{"flite kal", "flite awb", "flite rms", "flite slt", "espeak-ng en-us", "espeak-ng en-gb+f3"}

var people = []string{
	"Hello?", "Yes?", "Yeah, hello?", "Hi, this is Anna.", "Miller.", "Hello, who is this?", "Good morning, Smith speaking.",
	"Hello, Johnson residence.",
}

// business is how people answer at work: long, and told from machines only by the pause.
var business = []string{
	"Good afternoon, Green Valley Clinic, how can I help you?",
	"Thank you for calling Parker and Sons, this is Martin.",
}

var machines = []string{
	"Hi, you've reached Anna. I can't come to the phone right now. Please leave your name and number after the beep, and I will call you back.",
	"Hello. We are not at home. Please leave a message after the tone.",
	"The person you are calling is not available. At the tone, please record your message. When you have finished recording, you may hang up.",
	"You have reached the voice mail box of, five five five, zero one nine three. Please leave a message.",
	"Hey, it's Mike, leave me a message and I'll get back to you as soon as I can. Thanks.",
}

// hesitant machines pause after their first word for so long as a person does who waits for an answer.
var hesitant = [2]string{"Hello.", "You have reached the Millers. Please leave a message after the tone."}

// others are greetings in other languages, by the voice that speaks them.
var others = map[string][2][]string{
	"espeak-ng de": {{"Hallo?", "Müller.", "Ja bitte?"}, {"Guten Tag, Sie sind verbunden mit der Mailbox von Anna Schmidt. Bitte hinterlassen Sie eine Nachricht nach dem Signalton."}},
	"espeak-ng fr": {{"Allô?", "Oui?"}, {"Bonjour, vous êtes bien sur la messagerie de Pierre. Laissez un message après le bip sonore."}},
	"espeak-ng es": {{"¿Diga?", "¿Sí?", "¿Bueno?"}, {"Hola, en este momento no puedo atenderle. Deje su mensaje después de la señal, por favor."}},
}

var spoken sync.Map // voice and text → once-func of []int16

// say gives a text in a voice at 8 kHz, without silence around it.
func say(tb testing.TB, voice, text string) []int16 {
	tb.Helper()
	made, _ := spoken.LoadOrStore(voice+"|"+text, sync.OnceValues(func() ([]int16, error) { return synthesise(voice, text) }))
	pcm, err := made.(func() ([]int16, error))()
	if err != nil {
		tb.Fatalf("%s does not say %q: %v", voice, text, err)
	}
	return pcm
}

func synthesise(voice, text string) ([]int16, error) {
	program, name := "", ""
	if _, err := fmt.Sscanf(voice, "%s %s", &program, &name); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "amd-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "say.wav")
	args := []string{"-voice", name, "-t", text, "-o", file}
	if program == "espeak-ng" {
		args = []string{"-v", name, "-w", file, text}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, program, args...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return load(file)
}

// load reads a WAV file and brings it to 8 kHz.
func load(file string) ([]int16, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pcm, info, err := audio.ReadWAV(bytes.NewReader(raw), 60*48000)
	if err != nil {
		return nil, err
	}
	if info.Rate != rate {
		r, err := audio.NewResampler(info.Rate, rate)
		if err != nil {
			return nil, err
		}
		pcm = r.Process(nil, append(pcm, make([]int16, r.Delay())...))
	}
	loud := 0
	for _, v := range pcm {
		loud = max(loud, int(math.Abs(float64(v))))
	}
	from, to := 0, len(pcm)
	for from < to && int(math.Abs(float64(pcm[from])))*50 < loud {
		from++
	}
	for to > from && int(math.Abs(float64(pcm[to-1])))*50 < loud {
		to--
	}
	return pcm[from:to], nil
}

// sine is a tone with edges of 5 ms, so that it does not click.
func sine(hz float64, d time.Duration, level float64) []int16 {
	pcm := make([]int16, int(d.Seconds()*rate))
	edge := rate / 200
	for i := range pcm {
		a := min(1, float64(i+1)/float64(edge), float64(len(pcm)-i)/float64(edge))
		pcm[i] = int16(a * level * math.Sin(2*math.Pi*hz*float64(i)/rate))
	}
	return pcm
}

func silence(d time.Duration) []int16 { return make([]int16, int(d.Seconds()*rate)) }

func join(parts ...[]int16) (all []int16) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// line is what a telephone line does to sound.
type line struct {
	name  string
	gain  float64 // 0 means 1
	noise float64 // dB below the speech; 0 means a hiss of -68 dBFS
	codec string
}

var lines = []line{
	{name: "clean"},
	{name: "µ-law", codec: audio.PCMU},
	{name: "A-law, 20 dB quieter", codec: audio.PCMA, gain: 0.1},
	{name: "µ-law, noise 25 dB below", codec: audio.PCMU, noise: 25},
	{name: "A-law, noise 15 dB below", codec: audio.PCMA, noise: 15},
}

// through sends pcm over the line.
func (l line) through(tb testing.TB, pcm []int16, rnd *rand.Rand) []int16 {
	tb.Helper()
	power, n := 0.0, 0
	for i := 0; i+160 <= len(pcm); i += 160 {
		if audio.Level(pcm[i:i+160]) > -45 {
			p := math.Pow(10, audio.Level(pcm[i:i+160])/10)
			power, n = power+p, n+1
		}
	}
	gain := l.gain
	if gain == 0 {
		gain = 1
	}
	sigma := 13.0
	if l.noise > 0 && n > 0 {
		sigma = gain * 32768 * math.Sqrt(power/float64(n)*math.Pow(10, -l.noise/10))
	}
	out := make([]int16, len(pcm))
	for i, v := range pcm {
		out[i] = int16(max(-32768, min(32767, gain*float64(v)+sigma*rnd.NormFloat64())))
	}
	if l.codec != "" {
		code := make([]byte, len(out))
		if l.codec == audio.PCMU {
			audio.MuLawEncode(code, out)
			audio.MuLawDecode(out, code)
		} else {
			audio.ALawEncode(code, out)
			audio.ALawDecode(out, code)
		}
	}
	return out
}

// outcome is what a Detector made of a sound.
type outcome struct {
	Result
	at    time.Duration   // of the verdict
	beeps []time.Duration // when they were told
	lulls []time.Duration
}

// listen feeds a sound to a Detector behind the VAD that the runtime uses.
func listen(tb testing.TB, pcm []int16, c Config) (o outcome) {
	tb.Helper()
	c.Rate = rate
	d, err := New(c)
	if err != nil {
		tb.Fatal(err)
	}
	vad, err := audio.NewDetector(audio.DetectorConfig{Rate: rate, Mode: -1})
	if err != nil {
		tb.Fatal(err)
	}
	for i := 0; i+160 <= len(pcm); i += 160 {
		frame := pcm[i : i+160]
		s := d.Hear(frame, vad.Speech(frame))
		now := time.Duration(i/160+1) * frameTime
		if s&Decided != 0 && o.at == 0 {
			o.at = now
		}
		if s&Beeped != 0 {
			o.beeps = append(o.beeps, now)
		}
		if s&Lull != 0 {
			o.lulls = append(o.lulls, now)
		}
	}
	o.Result = d.Result()
	return o
}

// between draws a time.
func between(r *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(r.Int64N(int64(to-from)))
}

// recording reads what Debian installs, as the tests of voice do.
func recording(tb testing.TB, file string) []int16 {
	tb.Helper()
	pcm, err := load(file)
	if err != nil {
		tb.Fatalf("%v: install alsa-utils and asterisk-core-sounds-en-wav", err)
	}
	return pcm
}
