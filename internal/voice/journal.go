package voice

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"runtime/debug"
	"strings"
	"time"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/voice/provider"
	"github.com/parley-voice/parley/internal/voice/turn"
)

// entryAt writes an entry of time at: to the journal, and to a client that shows the call live.
func (s *Session) entryAt(at time.Time, e event.Entry) {
	s.seq++
	e.Seq, e.AtUS = s.seq, at.Sub(s.zero).Microseconds()
	if e.Turn == 0 {
		e.Turn = s.state.Turn
	}
	s.publish(e)
}

// publish hands an entry out. A journal that panics is used no more: the call must still end cleanly.
func (s *Session) publish(e event.Entry) {
	defer func() {
		if p := recover(); p != nil {
			s.cfg.Journal, s.live = nil, false
			s.crashed(fmt.Sprintf("journal: %v\n%s", p, debug.Stack()))
		}
	}()
	if s.cfg.Journal != nil {
		s.cfg.Journal.Append(e)
	}
	if s.live && e.Kind != event.EntryDigest && e.Kind != event.EntrySignal {
		if raw, err := json.Marshal(liveEntry{Type: "entry", Entry: e}); err == nil {
			s.cfg.Leg.SendText(raw)
		}
	}
}

// liveEntry is what a client on the leg's data channel gets.
type liveEntry struct {
	Type  string      `json:"type"`
	Entry event.Entry `json:"entry"`
}

func (s *Session) entry(e event.Entry) { s.entryAt(s.now(), e) }

func (s *Session) note(kind event.EntryKind, text string, data map[string]any) {
	s.entry(event.Entry{Kind: kind, Text: text, Data: data})
}

func (s *Session) alert(code, text string) {
	s.note(event.EntryAlert, text, map[string]any{"code": code})
}

// millis is t on the call's clock.
func (s *Session) millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Sub(s.zero).Milliseconds()
}

func (s *Session) answered() {
	data := map[string]any{"seed": s.cfg.Seed, "rate": s.rate}
	maps.Copy(data, s.cfg.Describe)
	s.note(event.EntryAnswered, "", data)
}

// vendorFailed logs a failure of a vendor, whether it was made good or not.
func (s *Session) vendorFailed(service provider.Service, err error, gen int) {
	vendor := ""
	switch service {
	case provider.ServiceSTT:
		vendor = s.cfg.STTVendor
	case provider.ServiceTTS:
		vendor = s.cfg.TTSVendor
	}
	e := vendorError(err, service, vendor)
	s.log.Warn("a vendor failed", "leg", s.cfg.Leg.Info().ID, "service", e.Service, "vendor", e.Vendor, "code", e.Code,
		"fatal", e.Fatal, "error", e.Message)
	if s.cfg.Observer.VendorError != nil {
		s.cfg.Observer.VendorError(e.Service, e.Code)
	}
	s.entry(event.Entry{Kind: event.EntryVendorError, Gen: gen, Text: e.Message, Data: map[string]any{
		"service": string(e.Service), "vendor": e.Vendor, "code": e.Code, "fatal": e.Fatal,
	}})
}

// late logs that nothing came in time.
func (s *Session) late(a turn.Action) {
	service, what := provider.ServiceSTT, "no recognition in time"
	if a.Text == "reply" {
		service, what = provider.ServiceLLM, "no answer in time"
		if s.reply.thought {
			service, what = provider.ServiceTTS, "no speech in time"
		}
	}
	s.vendorFailed(service, &provider.Error{Service: service, Code: "timeout", Message: what}, a.Gen)
}

// collect writes what was heard of the reply alive; with end set the reply is over and the brain is told.
func (s *Session) collect(end bool) {
	r := &s.reply
	heard, all := s.playout.collect(r.gen, end)
	for _, h := range heard {
		if h.kind == spanFiller {
			continue
		}
		s.entry(event.Entry{Kind: event.EntryAgentSaid, Gen: r.gen, Text: h.text, Data: map[string]any{
			"startMs": s.millis(h.from), "endMs": s.millis(h.to), "interrupted": h.cut,
		}})
		if h.kind == spanAnswer {
			r.text = append(r.text, h.text)
		} else {
			r.heardLine(h)
		}
	}
	if end {
		s.firstSaid(r, all)
	}
	if end && r.given && (!all || len(r.text) > 0) {
		s.heard = append(s.heard, heardItem{text: strings.Join(r.text, " "), cut: !all})
		if n := len(s.heard); n > 16 { // a brain that never comes back
			s.heard = s.heard[n-16:]
		}
	}
}

// reportDrops tells the metrics what was lost since the last time.
func (s *Session) reportDrops() {
	for what, n := range map[string]int64{
		"event":        s.droppedEvents.Swap(0),
		"signal":       s.droppedSignals.Swap(0),
		"caller_audio": s.droppedAudio.Swap(0),
	} {
		if n == 0 {
			continue
		}
		s.alert("dropped", "the session was too slow and lost: "+what)
		if s.cfg.Observer.Dropped != nil {
			s.cfg.Observer.Dropped(what, int(n))
		}
	}
}

// promptKey is what the sound of one of the session's texts depends on.
func (s *Session) promptKey(text string) promptKey {
	v := s.cfg.Voice
	return promptKey{
		vendor: s.cfg.TTSVendor, voice: v.Name, language: v.Language, speed: v.Speed, rate: s.rate, text: text,
	}
}

// warmPrompts makes the texts that must sound when the voice may be failing: once for all calls.
func (s *Session) warmPrompts() {
	texts := []string{s.cfg.Texts.Apology}
	if o := s.cfg.Outbound; o != nil { // a person waits for them
		texts = append(texts, s.optedOutText())
		for _, d := range o.Disclosures {
			texts = append(texts, sentences(d)...)
		}
	}
	if s.machine.FillerAfter > 0 {
		texts = append(texts, s.cfg.Texts.Fillers...)
	}
	var todo []string
	for _, t := range texts {
		if s.cfg.Prompts.claim(s.promptKey(t)) {
			todo = append(todo, t)
		}
	}
	if len(todo) == 0 {
		return
	}
	s.goRun("prompts", func(ctx context.Context) {
		for _, t := range todo {
			pcm, err := s.render(ctx, t)
			if err != nil {
				pcm = nil
			}
			s.cfg.Prompts.settle(s.promptKey(t), pcm)
		}
	})
}

// maxPrompt bounds the audio of a text of the session's own: 15 s.
const maxPrompt = 15 * 50

// render synthesises a text to whole frames.
func (s *Session) render(ctx context.Context, text string) ([]int16, error) {
	y := newSynth(s)
	var pcm []int16
	_, err := y.run(ctx, s.cfg.TTS, text, func(p []int16) error {
		if len(pcm)+len(p) > maxPrompt*y.frame {
			return y.bad("too much audio")
		}
		pcm = append(pcm, p...)
		return nil
	})
	if rest := len(pcm) % y.frame; rest != 0 {
		pcm = append(pcm, make([]int16, y.frame-rest)...)
	}
	return pcm, err
}

// interject says a filler if it is at hand before the answer is.
func (s *Session) interject(ctx context.Context, gen int, text string) {
	pcm, ok := s.cfg.Prompts.get(s.promptKey(text))
	if !ok {
		var err error
		if pcm, err = s.render(ctx, text); err != nil {
			return // the answer's own time-out tells of a voice that fails
		}
	}
	kick, ok := s.playout.interject(gen, text, pcm[:min(len(pcm), playoutFrames*media.FrameSamples(s.rate))])
	if kick {
		s.kick()
	}
	if ok {
		s.send(msg{kind: msgFiller, gen: gen, text: text})
	}
}
