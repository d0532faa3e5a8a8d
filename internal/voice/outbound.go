package voice

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/voice/amd"
	"github.com/parley-voice/parley/internal/voice/optout"
	"github.com/parley-voice/parley/internal/voice/provider"
	"github.com/parley-voice/parley/internal/voice/turn"
)

// MachineAction is what is done when an answering machine has answered.
type MachineAction string

// The actions.
const (
	MachineHangup  MachineAction = "hangup"  // at once; "" is the same
	MachineMessage MachineAction = "message" // wait until it records, leave the message, hang up
	MachineTalk    MachineAction = "talk"    // talk to it as to a person
)

// Outbound is what happens on a call that we placed before the conversation begins, and what is watched for in it.
// docs/answering-machines.md draws it.
type Outbound struct {
	// Detect finds out who answered before anything is said: a person, a machine, a fax, the network.
	Detect    bool
	Detection amd.Config // Rate is the leg's
	OnMachine MachineAction
	Message   string        // left on a machine; at most some sentences
	Within    time.Duration // of a machine's answer its greeting must have ended [60 s]
	// Disclosures are said first, one after the other, each to its end: nobody can interrupt them. Where one cannot be
	// said the call ends ("disclosure_failed"). They come before a message too.
	Disclosures []string
	// OptOutKey is the key by which the person is called no more, 0 for none. While digits are asked for it is a digit.
	OptOutKey byte
	OptedOut  string // said to somebody who opted out by key or word, then the call ends; "" is a default in the call's language
}

// maxMessage bounds what a message takes to say.
const maxMessage = 3 * time.Minute

// Check fails for what would only show on the call.
func (o *Outbound) Check() error {
	switch o.OnMachine {
	case "", MachineHangup, MachineTalk:
	case MachineMessage:
		if !speakable(o.Message) {
			return fault.Field("outbound.message", "write the message that is left on a machine, or choose to hang up")
		}
	default:
		return fault.Field("outbound.onMachine", "%q is no way to treat a machine; use hangup, message or talk", o.OnMachine)
	}
	for i, d := range o.Disclosures {
		if !speakable(d) {
			return fault.Field(fmt.Sprintf("outbound.disclosures[%d]", i), "a disclosure needs words; remove it or write them")
		}
	}
	if o.OptOutKey != 0 && !strings.ContainsRune("0123456789*#", rune(o.OptOutKey)) {
		return fault.Field("outbound.optOutKey", "%q is no key of a telephone; use 0 to 9, * or #", string(rune(o.OptOutKey)))
	}
	return nil
}

// machine adds to the turn machine's configuration.
func (o *Outbound) machine(c *turn.Config) {
	c.Detect = o.Detect
	c.DetectFor = orDuration(o.Detection.Within, 5*time.Second) + time.Second // the detector's own limit comes first
	c.MessageWait, c.MessageFor = orDuration(o.Within, time.Minute), maxMessage
	c.Disclosures = len(o.Disclosures)
	switch o.OnMachine {
	case MachineMessage:
		c.OnMachine = turn.MachineMessage
	case MachineTalk:
		c.OnMachine = turn.MachineTalk
	}
}

// watch is the detector as the leg's goroutine feeds it.
type watch struct {
	d      *amd.Detector
	unsent amd.Signal
	off    atomic.Bool // nothing it could say matters any more
}

// newWatch gives nil where nothing is to be found out.
func newWatch(o *Outbound, rate int) (*watch, error) {
	if o == nil || !o.Detect {
		return nil, nil
	}
	c := o.Detection
	c.Rate = rate
	d, err := amd.New(c)
	return &watch{d: d}, err
}

// hear takes a frame; news that find the inbox full are told with the next frame.
func (w *watch) hear(s *Session, in []int16, speech bool) {
	if w.off.Load() {
		return
	}
	if w.unsent |= w.d.Hear(in, speech); w.unsent != 0 {
		w.tell(s)
	}
}

func (w *watch) tell(s *Session) {
	r := w.d.Result()
	if s.offer(msg{kind: msgAnswerer, signal: w.unsent, answerer: &r}) {
		w.unsent = 0
	}
}

// answerer is what the session knows of who answered.
type answerer struct {
	verdict amd.Verdict
	lull    bool // silent for long, since it last spoke
}

// secondLook is how long what was taken for a person may turn out to be a machine.
const secondLook = 30 * time.Second

// answererHeard takes the detector's news.
func (s *Session) answererHeard(sig amd.Signal, r *amd.Result) {
	if sig&amd.Decided != 0 {
		s.answeredBy(r.Verdict, string(r.Reason), map[string]any{
			"afterMs": r.After.Milliseconds(), "greetingMs": r.Greeting.Milliseconds(), "phrases": r.Phrases,
		})
	}
	if sig&amd.Lull != 0 {
		s.answerer.lull = true
		if s.state.Waiting() {
			s.step(turn.Event{Kind: turn.Record})
		}
	}
	if sig&amd.Beeped != 0 {
		if s.state.Turn == 0 && s.secondLook() && s.cfg.Outbound.OnMachine != MachineTalk {
			s.answeredBy(amd.Machine, string(amd.BecauseBeep), nil)
		}
		s.step(turn.Event{Kind: turn.Record})
	}
}

func (s *Session) secondLook() bool { return s.now().Sub(s.begun) < secondLook }

// answeredBy notes who answered and lets the machine act.
func (s *Session) answeredBy(v amd.Verdict, why string, more map[string]any) {
	if s.answerer.verdict == v || s.state.Over {
		return
	}
	s.answerer.verdict = v
	data := map[string]any{"reason": why}
	for k, x := range more {
		data[k] = x
	}
	s.note(event.EntryAnswerer, string(v), data)
	s.outcome(event.OutcomeAnsweredBy, map[string]any{"value": string(v), "reason": why})
	switch v {
	case amd.Machine:
		s.step(turn.Event{Kind: turn.AnsweredMachine})
		if s.answerer.lull && s.state.Waiting() {
			s.step(turn.Event{Kind: turn.Record})
		}
	case amd.Fax, amd.Invalid:
		s.step(turn.Event{Kind: turn.Unusable, Text: string(v)})
	default:
		s.step(turn.Event{Kind: turn.Answered})
	}
}

// overheard looks for what a campaign must not miss in what was recognised. It is true when the words have had
// their effect.
func (s *Session) overheard(r *provider.STTResult) bool {
	o := s.cfg.Outbound
	if o == nil || r.Err != nil || r.Text == "" {
		return false
	}
	if o.Detect && s.answerer.verdict != amd.Machine && s.secondLook() {
		if words, ok := amd.Phrase(r.Text); ok {
			s.answeredBy(amd.Machine, string(amd.BecauseWords), map[string]any{"words": words})
		}
	}
	if !r.Final {
		return false
	}
	words, ok := optout.Said(r.Text)
	if ok {
		s.optOut("words", words)
	}
	return ok
}

// optOut records that the person does not want to be called any more, and ends the call.
func (s *Session) optOut(by, what string) {
	s.outcome(event.OutcomeOptOut, map[string]any{"value": by, "what": what})
	s.step(turn.Event{Kind: turn.OptOut})
}

// dialledOptOut is true for the key by which somebody opts out.
func (s *Session) dialledOptOut(digit byte) bool {
	o := s.cfg.Outbound
	return o != nil && o.OptOutKey != 0 && digit == o.OptOutKey && !s.state.Collecting()
}

// outcome records what the call came to.
func (s *Session) outcome(name string, data map[string]any) {
	s.keepOutcome(event.Entry{Kind: event.EntryOutcome, Text: name, Data: data}, s.now())
}

// keepOutcome writes an outcome to the log and to what Run returns.
func (s *Session) keepOutcome(e event.Entry, at time.Time) {
	if s.out.Outcomes == nil {
		s.out.Outcomes = map[string]map[string]any{}
	}
	s.out.Outcomes[e.Text] = e.Data
	s.entryAt(at, e)
}

// firstSaid logs how a disclosure or a message was heard: from when to when, and whether to its end.
func (s *Session) firstSaid(r *reply, whole bool) {
	if r.line != turn.LineDisclosure && r.line != turn.LineMessage {
		return
	}
	whole = whole && !r.from.IsZero()
	data := map[string]any{"whole": whole, "heard": strings.Join(r.lineHeard, " ")}
	if !r.from.IsZero() {
		data["startMs"], data["endMs"] = s.millis(r.from), s.millis(r.to)
	}
	o := s.cfg.Outbound
	if r.line == turn.LineMessage {
		s.entry(event.Entry{Kind: event.EntryMessage, Gen: r.gen, Text: o.Message, Data: data})
		s.outcome(event.OutcomeMessage, map[string]any{"value": wholeWord(whole)})
		return
	}
	data["number"], data["of"] = r.n+1, len(o.Disclosures)
	s.entry(event.Entry{Kind: event.EntryDisclosure, Gen: r.gen, Text: o.Disclosures[r.n], Data: data})
	if !whole || r.n == len(o.Disclosures)-1 {
		s.outcome(event.OutcomeDisclosure, map[string]any{"value": wholeWord(whole)})
	}
}

// heardLine keeps when a line was heard.
func (r *reply) heardLine(h said) {
	if r.from.IsZero() {
		r.from = h.from
	}
	r.to, r.lineHeard = h.to, append(r.lineHeard, h.text)
}

// optedOutText is the last thing said to somebody who opted out.
func (s *Session) optedOutText() string {
	language, _, _ := strings.Cut(strings.ToLower(s.cfg.Voice.Language), "-")
	usual, ok := optedOut[language]
	if !ok {
		usual = optedOut["en"]
	}
	return orText(s.cfg.Outbound.OptedOut, usual)
}

// optedOut is what is said to somebody who opted out, by language.
var optedOut = map[string]string{
	"en": "All right, you will not be called again. Goodbye.",
	"de": "In Ordnung, wir rufen Sie nicht mehr an. Auf Wiederhören.",
	"fr": "Très bien, nous ne vous appellerons plus. Au revoir.",
	"es": "De acuerdo, no le llamaremos más. Adiós.",
	"it": "Va bene, non la chiameremo più. Arrivederci.",
	"nl": "Goed, we bellen u niet meer. Tot ziens.",
	"pt": "Tudo bem, não ligaremos mais. Adeus.",
	"ar": "حسنا، لن نتصل بك مرة أخرى. مع السلامة.",
}

// machineEnded is why a call is over that the far end hung up: nobody was spoken to when a machine did.
func (s *Session) machineEnded(c media.Cause) media.Cause {
	if (s.state.Waiting() || s.reply.line == turn.LineMessage) && c.Code == "normal" {
		c.Code, c.Text = turn.CodeMachine, "the answering machine hung up"
	}
	return c
}

func wholeWord(whole bool) string {
	if whole {
		return "played"
	}
	return "not_played"
}
