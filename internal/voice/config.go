package voice

import (
	"log/slog"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/voice/provider"
)

// Journal takes the call's event log. Append never blocks; it is called by one goroutine, with Seq set.
type Journal interface {
	Append(event.Entry)
}

// Recorder takes the call's audio, once a Tick: what came in and what was sent, agent nil for silence. It
// never blocks and copies what it keeps.
type Recorder interface {
	Frames(caller, agent []int16)
}

// Detector tells speech from everything else, 20 ms at a time. It allocates nothing.
type Detector interface {
	Speech(frame []int16) bool
}

// Config is everything a Session needs.
type Config struct {
	// Leg is the caller's, answered already (Answer has returned nil): its rate is known. Run starts it,
	// and hangs it up in the end.
	Leg media.Leg
	// AnsweredAt is the zero of the event log. Zero means: when Run begins.
	AnsweredAt time.Time

	Brain Brain
	// STT may be nil: then speech interrupts but is not understood (typed text and digits are).
	STT provider.STT
	TTS provider.TTS
	// FallbackTTS speaks the apology when TTS has failed; nil means a tone tells the caller.
	FallbackTTS provider.TTS
	// STTVendor and TTSVendor name the vendors in the event log.
	STTVendor, TTSVendor string
	Voice                Voice

	Journal  Journal  // nil: none
	Recorder Recorder // nil: none
	// Detector is the VAD, made for the leg's rate. Nil means the built-in one (package media/audio).
	Detector Detector
	Prompts  *PromptCache // shared by calls: fillers and apologies at once. Nil: each is synthesised

	Clock quartz.Clock
	Seed  uint64 // goes to the event log; everything random in the call derives from it
	Log   *slog.Logger

	Limits       Limits
	Interruption Interruption
	Texts        Texts
	Digits       DigitRule // when the Brain did not ask to collect; Max 0 means each digit is a turn
	Observer     Observer
	// Outbound is for a call that we placed. Nil: the conversation begins at once.
	Outbound *Outbound
	// Describe is added to the call.answered entry: codec, channel, agent, version.
	Describe map[string]any
}

// Voice is how the agent sounds and which language is spoken.
type Voice struct {
	Name     string
	Language string  // BCP 47; "" means en-US
	Speed    float64 // 0 means 1
}

// Limits bound a call. Zero values mean the default in brackets.
type Limits struct {
	MaxDuration  time.Duration // of the call, then goodbye [1 h]
	Idle         time.Duration // both silent, then reprompt [8 s]
	ReplyTimeout time.Duration // from a turn to the first audio [15 s]
	STTTimeout   time.Duration // from the end of speech to the final result [5 s]
	FillerAfter  time.Duration // a filler when no audio has come by then [1.2 s]; negative: never
}

// Interruption tunes turn-taking. Zero values mean the default in brackets.
type Interruption struct {
	Off          bool          // the caller cannot interrupt by speech
	Endpoint     time.Duration // silence that ends a turn [550 ms]
	MinSpeech    time.Duration // shorter sounds are noise [80 ms]
	MaxUtterance time.Duration // longer turns are cut off [30 s]
	CutAfter     time.Duration // speech this long interrupts for good [400 ms]
	Backchannels []string      // words that do not interrupt [by language]
}

// Texts are what the session says by itself. Empty texts mean the English default, "-" means nothing.
type Texts struct {
	Fillers   []string // while a vendor is slow, in turn
	Apology   string   // a vendor failed for good
	Reprompts []string // nothing was said, one after the other
	Goodbye   string   // after the last reprompt
	TimeUp    string   // the call's maximum duration is reached
}

// Observer is told of what a metric wants to know. Nil functions are not called; they must not block.
type Observer struct {
	TurnLatency func(time.Duration)                   // end of speech decided → first frame sent
	Dropped     func(what string, n int)              // "caller_audio", "event", "signal", "entry"
	VendorError func(s provider.Service, code string) //
	Interrupted func(cut bool)                        // a possible interruption was decided
	Panicked    func(where string)
}

// Outcome is how a call went.
type Outcome struct {
	Cause    media.Cause
	Turns    int
	Duration time.Duration
	Outcomes map[string]map[string]any // by name
	// Transferred is the target the caller was handed to, if any.
	Transferred string
	// Leaked counts goroutines that did not end in time at tear-down: a vendor that ignores its context.
	Leaked int
}

func (c *Config) check() error {
	switch {
	case c.Leg == nil:
		return fault.Field("leg", "a session needs an answered leg")
	case c.Brain == nil:
		return fault.Field("brain", "a session needs a brain: a flow or a prompt")
	case c.TTS == nil:
		return fault.Field("tts", "a session needs a TTS vendor; choose one for the agent")
	case c.Clock == nil:
		return fault.Field("clock", "a session needs a clock")
	case c.Log == nil:
		return fault.Field("log", "a session needs a logger")
	}
	if c.Outbound != nil {
		if err := c.Outbound.Check(); err != nil {
			return err
		}
	}
	if r := c.Leg.Rate(); r != 8000 && r != 16000 {
		return fault.Field("leg", "the leg's rate is %d; answer it first, legs have 8000 or 16000", r)
	}
	return nil
}
