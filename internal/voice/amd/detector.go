package amd

import (
	"time"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// frameTime is the length of a frame.
const frameTime = 20 * time.Millisecond

// Config tunes a Detector. Zero values mean the default in brackets. Where a default is another system's, that is
// said: Asterisk's are those of the sample amd.conf of its application AMD, Twilio's those of the tuning parameters
// on https://www.twilio.com/docs/voice/answering-machine-detection.
type Config struct {
	// Rate of the frames: 8000 or 16000.
	Rate int
	// InitialSilence without a word: unsure [2.5 s; Asterisk initial_silence 2500 says machine, Twilio
	// MachineDetectionSilenceTimeout 5000 says unknown].
	InitialSilence time.Duration
	// Greeting is how long a person's first words last at most, pauses shorter than AfterGreeting included; longer is a
	// machine [2 s; Asterisk greeting 1500, Twilio MachineDetectionSpeechThreshold 2400].
	Greeting time.Duration
	// AfterGreeting is the silence by which a person shows that they wait for an answer [700 ms; Asterisk
	// after_greeting_silence 800].
	AfterGreeting time.Duration
	// Phrase is the shortest sound that counts [100 ms; Asterisk min_word_length 100].
	Phrase time.Duration
	// Pause divides phrases [160 ms; Asterisk between_words_silence 50, which divides words].
	Pause time.Duration
	// Phrases is how many of them a person's first words have at most; more are a machine [3; Asterisk
	// maximum_number_of_words 2].
	Phrases int
	// Within is when a verdict is given whatever was heard: unsure [5 s; Asterisk total_analysis_time 5000].
	Within time.Duration
	// EndOfGreeting is the silence by which a machine shows that it records, where it does not beep [2 s; Twilio
	// MachineDetectionSpeechEndThreshold 1200, which cuts into greetings with a pause].
	EndOfGreeting time.Duration
	// Beep is how long a steady tone is a beep [120 ms].
	Beep time.Duration
}

func or(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}

func (c *Config) fill() {
	c.InitialSilence = or(c.InitialSilence, 2500*time.Millisecond)
	c.Greeting = or(c.Greeting, 2*time.Second)
	c.AfterGreeting = or(c.AfterGreeting, 700*time.Millisecond)
	c.Phrase = or(c.Phrase, 100*time.Millisecond)
	c.Pause = or(c.Pause, 160*time.Millisecond)
	c.Within = or(c.Within, 5*time.Second)
	c.EndOfGreeting = or(c.EndOfGreeting, 2*time.Second)
	c.Beep = or(c.Beep, 120*time.Millisecond)
	if c.Phrases <= 0 {
		c.Phrases = 3
	}
}

// Verdict says who answered.
type Verdict string

// The verdicts.
const (
	Undecided Verdict = ""
	Human     Verdict = "human"
	Machine   Verdict = "machine"
	Unsure    Verdict = "unsure"  // nothing, or nothing that tells
	Fax       Verdict = "fax"     // the tone of a fax or modem
	Invalid   Verdict = "invalid" // special information tones: the number is not in service
)

// Reason says why.
type Reason string

// The reasons.
const (
	BecausePause          Reason = "pause_after_greeting"
	BecauseInitialSilence Reason = "initial_silence"
	BecauseLongGreeting   Reason = "long_greeting"
	BecausePhrases        Reason = "many_phrases"
	BecauseBeep           Reason = "beep"
	BecauseTimeUp         Reason = "time_up"
	BecauseSIT            Reason = "special_information_tones"
	BecauseFax            Reason = "fax_tone"
	BecauseWords          Reason = "words" // of the transcript: see Phrase
)

// Signal is a set of news.
type Signal uint8

// The signals.
const (
	// Decided: Result has a verdict, or a better one: a tone that cannot be mistaken overrules the sound of a voice.
	Decided Signal = 1 << iota
	// Beeped: a beep is over; a message may be left now.
	Beeped
	// Lull: EndOfGreeting of silence after speech.
	Lull
)

// Result is what was found out, as of the last frame.
type Result struct {
	Verdict  Verdict
	Reason   Reason
	After    time.Duration // from the first frame to the verdict
	Greeting time.Duration // from the first sound to the last one before the verdict
	Phrases  int           // in it
}

// Detector listens to one call from its answer on. It is for one goroutine.
type Detector struct {
	initial, greeting, after, phrase, pause, within, end int // frames
	phrases                                              int
	tones                                                tones

	at     int   // frames heard
	recent uint8 // the last decisions of the VAD, the latest lowest
	first  int   // frame of the first voice; -1: none yet
	last   int   // and of the last
	run    int   // voice frames of the phrase under way
	count  int   // phrases
	lulled bool
	found  Result
}

// New makes a Detector.
func New(c Config) (*Detector, error) {
	if c.Rate != 8000 && c.Rate != 16000 {
		return nil, fault.Field("rate", "frames have 8000 or 16000 samples a second, not %d", c.Rate)
	}
	c.fill()
	frames := func(d time.Duration) int { return max(1, int(d/frameTime)) }
	return &Detector{
		initial: frames(c.InitialSilence), greeting: frames(c.Greeting), after: frames(c.AfterGreeting), phrase: frames(c.Phrase),
		pause: frames(c.Pause), within: frames(c.Within), end: frames(c.EndOfGreeting), phrases: c.Phrases,
		tones: newTones(c.Rate, frames(c.Beep)), first: -1, last: -1, lulled: true,
	}, nil
}

// Hear takes 20 ms of the far end and what the VAD says of them, and gives what is new.
func (d *Detector) Hear(pcm []int16, speech bool) (s Signal) {
	now := d.at
	d.at++
	tone := d.tones.hear(pcm, d.count > 0)
	d.voice(now, speech && !tone.sounds)
	switch {
	case tone.invalid:
		s |= d.decide(Invalid, BecauseSIT)
	case tone.fax:
		s |= d.decide(Fax, BecauseFax)
	case tone.beep:
		s |= Beeped
		d.lulled = true // what the silence after it would tell is told
		if d.found.Verdict == Undecided || d.found.Verdict == Unsure {
			s |= d.decide(Machine, BecauseBeep)
		}
	}
	if d.found.Verdict == Undecided {
		s |= d.judge(now, tone.sounds)
	}
	if d.last >= 0 && !d.lulled && now-d.last >= d.end {
		d.lulled = true
		s |= Lull
	}
	return s
}

// voice keeps the phrases. One frame alone is no voice: two of three are.
func (d *Detector) voice(now int, speech bool) {
	d.recent <<= 1
	if speech {
		d.recent |= 1
	}
	switch d.recent & 7 {
	case 3, 5, 6, 7:
	default:
		return
	}
	if d.first < 0 {
		d.first = now
	}
	if now-d.last > d.pause || d.count == 0 && d.run == 0 {
		d.run = 0
	}
	if d.run++; d.run == d.phrase {
		d.count++
		d.lulled = false
	}
	d.last = now
}

// judge gives a verdict when there is enough to tell by.
func (d *Detector) judge(now int, tone bool) Signal {
	switch {
	case d.first >= 0 && d.count == 0 && now-d.last >= d.after: // a click
		d.first, d.last, d.run = -1, -1, 0
	case d.first >= 0 && d.last-d.first >= d.greeting:
		return d.decide(Machine, BecauseLongGreeting)
	case d.count > d.phrases:
		return d.decide(Machine, BecausePhrases)
	case d.count > 0 && now-d.last >= d.after && !tone:
		return d.decide(Human, BecausePause)
	case d.first < 0 && now+1 >= d.initial && !tone:
		return d.decide(Unsure, BecauseInitialSilence)
	case now+1 >= d.within:
		return d.decide(Unsure, BecauseTimeUp)
	}
	return 0
}

func (d *Detector) decide(v Verdict, why Reason) Signal {
	if d.found.Verdict == v {
		return 0
	}
	d.found = Result{Verdict: v, Reason: why, After: time.Duration(d.at) * frameTime, Phrases: d.count}
	if d.first >= 0 {
		d.found.Greeting = time.Duration(d.last-d.first+1) * frameTime
	}
	return Decided
}

// Result is what was found out so far.
func (d *Detector) Result() Result { return d.found }
