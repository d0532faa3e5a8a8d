package voice

import (
	"time"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/voice/turn"
)

func orDuration(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

func orText(s, otherwise string) string {
	switch s {
	case "":
		return otherwise
	case "-":
		return ""
	}
	return s
}

// orTexts drops texts that say nothing; nil means the default.
func orTexts(texts, otherwise []string) []string {
	if texts == nil {
		return otherwise
	}
	var out []string
	for _, s := range texts {
		if s = orText(s, ""); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// fill sets the defaults.
func (c *Config) fill() {
	if c.Voice.Language == "" {
		c.Voice.Language = "en-US"
	}
	l := &c.Limits
	l.MaxDuration = orDuration(l.MaxDuration, time.Hour)
	l.Idle = orDuration(l.Idle, 8*time.Second)
	l.ReplyTimeout = orDuration(l.ReplyTimeout, 15*time.Second)
	l.STTTimeout = orDuration(l.STTTimeout, 5*time.Second)
	l.FillerAfter = orDuration(l.FillerAfter, 1200*time.Millisecond)
	i := &c.Interruption
	i.Endpoint = orDuration(i.Endpoint, 550*time.Millisecond)
	i.MinSpeech = orDuration(i.MinSpeech, 80*time.Millisecond)
	i.MaxUtterance = orDuration(i.MaxUtterance, 30*time.Second)
	i.CutAfter = orDuration(i.CutAfter, 400*time.Millisecond)
	t := &c.Texts
	t.Fillers = orTexts(t.Fillers, []string{"One moment, please.", "I am still looking into it.", "Thank you for waiting."})
	t.Apology = orText(t.Apology, "I am sorry, something is not working on our side. Please call again later. Goodbye.")
	t.Reprompts = orTexts(t.Reprompts, []string{"Are you still there?", "I cannot hear you. Are you there?"})
	t.Goodbye = orText(t.Goodbye, "I still cannot hear you, so I will hang up now. Goodbye.")
	t.TimeUp = orText(t.TimeUp, "I am sorry, our time is up. Goodbye.")
	if c.Digits.Max <= 0 {
		c.Digits.Max = 1
	}
}

// machine is the turn machine's configuration.
func (c *Config) machine() turn.Config {
	words := turn.Backchannels(c.Voice.Language)
	if c.Interruption.Backchannels != nil {
		words = map[string]bool{}
		for _, w := range c.Interruption.Backchannels {
			words[w] = true
		}
	}
	fillers := max(c.Limits.FillerAfter, 0)
	if len(c.Texts.Fillers) == 0 {
		fillers = 0
	}
	m := turn.Config{
		Interrupt:     !c.Interruption.Off,
		Endpoint:      c.Interruption.Endpoint,
		PauseEndpoint: 300 * time.Millisecond,
		MaxUtterance:  c.Interruption.MaxUtterance,
		CutAfter:      c.Interruption.CutAfter,
		Hang:          hangFrames * media.FrameDuration,
		Confirm:       time.Second,
		UnclearAfter:  400 * time.Millisecond,
		STTTimeout:    c.Limits.STTTimeout,
		ReplyTimeout:  c.Limits.ReplyTimeout,
		FillerAfter:   fillers,
		Idle:          c.Limits.Idle,
		Reprompts:     len(c.Texts.Reprompts),
		MaxDuration:   c.Limits.MaxDuration,
		EndWithin:     30 * time.Second,
		Digits:        c.Digits.rule(),
		Backchannels:  words,
	}
	if c.Outbound != nil {
		c.Outbound.machine(&m)
	}
	return m
}

func (r DigitRule) rule() turn.DigitRule {
	out := turn.DigitRule{
		Max: r.Max, Terminator: r.Terminator,
		First: orDuration(r.FirstTimeout, 8*time.Second), Inter: orDuration(r.InterTimeout, 3*time.Second),
	}
	if out.Max <= 0 {
		out.Max = 32
	}
	return out
}
