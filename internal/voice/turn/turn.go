// Package turn decides whose turn it is: a pure state machine of a conversation by voice.
//
// Step takes a state, an event and the time and gives the next state and what to do. It has no clock, no
// channel and no I/O, so it is tested by table, by random walks, and replayed exactly. The owner feeds it
// events in the order they happen, carries out the actions, wakes it at State.Deadline with a Timer
// event, and keeps the playout paused while State.Muted.
//
// Two things go on at once, and the state is their product: what the caller does (quiet, talking, trailing
// off) and what the agent does (quiet, thinking, speaking). State.Phase folds them into the one word that
// people read; docs/turn.md draws them.
//
// The rules that matter:
//   - Every reply has a generation number; a reply that is answered by a new one, or cut, is cancelled
//     first. Two replies are never alive together.
//   - Speech during a reply pauses it at once and is judged after: cut when it lasts or has words of its
//     own, resumed when it was noise or a backchannel. A pause always ends.
//   - Nothing waits for ever: each wait has a timer, and a failure leads to one retry, then to an apology
//     and the end of the call.
//
// Files: turn.go the types, caller.go what the caller does, reply.go what the agent does, timer.go the
// time-outs, words.go the judgement of words, outset.go what comes before the conversation of a call that we placed.
package turn

import "time"

// Config tunes the machine. It does not change during a call. All durations must be positive, except that
// FillerAfter 0 means no fillers.
type Config struct {
	Interrupt     bool          // the caller may interrupt by speech
	Endpoint      time.Duration // silence that ends a turn
	PauseEndpoint time.Duration // the same while a reply waits, paused
	MaxUtterance  time.Duration // a longer turn is ended
	CutAfter      time.Duration // speech this long cuts a reply
	Hang          time.Duration // the VAD's delay in noticing silence: it judges CutAfter that much later
	Confirm       time.Duration // how long a paused reply waits for the words of a short sound
	UnclearAfter  time.Duration // speech this long without words is asked about, shorter is noise
	STTTimeout    time.Duration // end of speech → final result
	ReplyTimeout  time.Duration // turn → first audio
	FillerAfter   time.Duration // end of speech → filler
	Idle          time.Duration // both quiet → reprompt
	Reprompts     int           // so many, then goodbye
	MaxDuration   time.Duration // of the call
	EndWithin     time.Duration // last words → hang-up, whatever happens
	Digits        DigitRule     // when no collection was asked for
	Backchannels  map[string]bool

	// Of a call that we placed; all zero where the conversation begins at once.
	Detect      bool          // it is not known yet who answered: silent until Answered
	DetectFor   time.Duration // then a person is taken for granted
	OnMachine   OnMachine
	MessageWait time.Duration // for the end of a machine's greeting; then no message is left
	MessageFor  time.Duration // a message takes no longer
	Disclosures int           // texts that are said before anything else, to their end
}

// OnMachine is what is done when a machine has answered.
type OnMachine uint8

// What may be done.
const (
	MachineHangup  OnMachine = iota
	MachineMessage           // wait until it records, say LineMessage, hang up
	MachineTalk              // as with a person
)

// DigitRule says when dialled digits are complete.
type DigitRule struct {
	Max        int
	Terminator byte
	First      time.Duration // wait for the first digit
	Inter      time.Duration // wait between digits
}

// Agent is what the agent does.
type Agent uint8

// The agent's states.
const (
	AgentQuiet    Agent = iota
	AgentThinking       // a reply is on its way: recognition, model, synthesis
	AgentSpeaking       // its first frame was sent
)

// Caller is what the caller does.
type Caller uint8

// The caller's states.
const (
	CallerQuiet    Caller = iota
	CallerTalking         // the VAD hears speech
	CallerTrailing        // silent again, but maybe not finished
)

// Phase is the state in one word.
type Phase string

// The phases.
const (
	PhaseNew        Phase = "new"        // before Begin
	PhaseDetecting  Phase = "detecting"  // who has answered?
	PhaseWaiting    Phase = "waiting"    // a machine has, and has not finished its greeting
	PhaseGreeting   Phase = "greeting"   // the first reply, thinking or speaking
	PhaseListening  Phase = "listening"  // both quiet
	PhaseHearing    Phase = "hearing"    // the caller talks
	PhaseEndpoint   Phase = "endpoint"   // the caller has stopped, perhaps
	PhaseThinking   Phase = "thinking"   // recognition, model, synthesis
	PhaseSpeaking   Phase = "speaking"   //
	PhasePaused     Phase = "paused"     // possible interruption
	PhaseCollecting Phase = "collecting" // waiting for digits
	PhaseHeld       Phase = "held"       // the caller holds us
	PhaseEnding     Phase = "ending"     // last words, or a transfer under way
	PhaseOver       Phase = "over"       //
)

// InputKind names an Input.
type InputKind uint8

// The kinds of Input.
const (
	InputNone InputKind = iota // the greeting
	InputSpeech
	InputText
	InputDigits
	InputUnclear
	InputSilence
	InputTransferFailed
)

// Input is a turn of the caller.
type Input struct {
	Kind       InputKind
	Text       string // words, or digits
	Confidence float64
	Continues  bool // the last turn was unfinished: Text holds it too
}

// Line is something said without the brain.
type Line uint8

// The lines.
const (
	LineReprompt Line = iota + 1
	LineGoodbye
	LineApology
	LineTimeUp
	LineDisclosure // N: which of them
	LineMessage    // for a machine's tape
	LineOptedOut   // to somebody who does not want to be called any more
)

// After is what follows when a reply was heard.
type After uint8

// What may follow.
const (
	AfterListen After = iota
	AfterHangup
	AfterTransfer
)

// EventKind names an Event.
type EventKind uint8

// The events. In brackets: the fields that count.
const (
	Timer           EventKind = iota // a deadline may have passed
	Begin                            // the call is up
	SpeechStart                      // the VAD hears speech [Lag]
	SpeechEnd                        // and no more [Lag]
	Partial                          // [Utterance, Text]
	Final                            // [Utterance, Text, Confidence]
	RecogniseFail                    // [Utterance, Fatal]
	FirstFrame                       // the reply is audible [Gen]
	ReplyDone                        // all of it was heard, or it has nothing to say [Gen]
	ReplyFail                        // its brain or voice failed [Gen, Fatal]
	Typed                            // [Text]
	Digit                            // [Digit]
	Hold                             // [On]
	Collect                          // the reply asks for digits [Gen, Rule]
	Hangup                           // the reply ends the call [Gen, Text: code]
	Transfer                         // the reply hands the caller on [Gen, Text: target]
	TransferFailed                   // [Text: why]
	Answered                         // a person, or nobody knows
	AnsweredMachine                  // an answering machine
	Unusable                         // nothing to talk to: a fax, the network [Text: code]
	Record                           // the machine records now: its beep, or its silence
	OptOut                           // the person does not want to be called any more
	LegEnded
	numEvents
)

// Event is something that happened.
type Event struct {
	Kind       EventKind
	Gen        int
	Utterance  int
	Text       string
	Confidence float64
	Digit      byte
	Rule       DigitRule
	Fatal, On  bool
	Lag        time.Duration // the VAD's delay: it happened that long ago
}

// ActionKind names an Action.
type ActionKind uint8

// The actions. In brackets: the fields that count.
const (
	Ask            ActionKind = iota + 1 // the brain [Gen, Input, Retry]
	Say                                  // a line [Gen, Line, N]
	Filler                               // something short while the reply is late [Gen, N]
	Cancel                               // drop the reply, keep what was heard [Gen, Cut: it was audible]
	Paused                               // for the log: the reply waits
	Resumed                              // for the log: it goes on
	Backchannel                          // for the log [Text]
	BeginUtterance                       // [Utterance]
	EndUtterance                         // a final is awaited [Utterance, Cut: a reply is paused by it]
	DropUtterance                        // [Utterance]
	Failed                               // for the log: nothing came in time [Text: "stt" or "reply"]
	DoTransfer                           // [Text: target]
	DoHangup                             // [Text: code]
)

// Action is something to do.
type Action struct {
	Kind       ActionKind
	Gen        int
	Utterance  int
	Input      Input
	Line       Line
	N          int
	Text       string
	Retry, Cut bool
}

// timer names a deadline.
type timer uint8

const (
	tEndpoint  timer = iota // trailing → end of speech
	tUtterance              // talking too long
	tDecide                 // paused → cut or resume
	tFinal                  // STT is late
	tFiller                 // the reply is late
	tReply                  // the reply is far too late
	tIdle                   // both quiet
	tDigits                 // collection
	tMax                    // the call is too long
	tEnd                    // last words take too long
	tOutset                 // who answered, or the machine's greeting, takes too long
	numTimers
)

// maxAwaited bounds the finals waited for at a time; the oldest is forgotten.
const maxAwaited = 4

// State is everything the machine knows. It is a value: copying it copies the machine.
type State struct {
	Agent  Agent
	Caller Caller
	Begun  bool
	Over   bool
	Held   bool // by the far end
	Paused bool // the reply waits: possible interruption

	Gen  int // of the reply alive, or of the last one
	Turn int // caller's turns so far

	reply    Line // what is being said by the machine itself; 0 the brain's
	asked    bool // the brain or a line was told to speak in this generation
	audible  bool
	broken   bool // the reply failed midway; what it had said plays on
	input    Input
	retried  bool
	failures int // of replies, in a row
	deaf     int // of recognitions, in a row
	after    After
	target   string // transfer
	code     string // why the call ends
	handing  bool   // transfer under way

	utterance int // the last one's id
	open      bool
	partial   string
	speechAt  time.Duration // the utterance began
	quietAt   time.Duration // the caller fell silent
	pausedAt  time.Duration
	spoken    time.Duration // of the utterances gathered
	awaited   [maxAwaited]int
	text      string // gathered for the next turn
	conf      float64
	continues bool

	collecting bool
	rule       DigitRule
	digits     string

	detecting bool // who has answered is not known
	waiting   bool // for a machine to record
	leaving   bool // a message is being left, or was begun
	restarts  int  // of the message
	disclosed int  // disclosures said
	doomed    bool // the conversation will be an apology: no recogniser
	unheard   int  // utterances up to this one are no turns: they were said before the conversation began

	reprompts int
	fillers   int
	heldAt    time.Duration
	timers    [numTimers]time.Duration // 0: not set
}

// Muted says that the playout must wait.
func (s *State) Muted() bool { return s.Paused || s.Held }

// Ending says that the last words are being said or a transfer is under way: the caller cannot interrupt. The
// goodbye to a silent caller is no such end: whoever speaks up then is heard.
func (s *State) Ending() bool { return s.handing || s.after != AfterListen && s.reply != LineGoodbye }

// Answering says that a turn was given to the brain and its reply is alive.
func (s *State) Answering() bool { return s.Agent != AgentQuiet && s.asked && s.reply == 0 }

// Deadline is when the machine wants a Timer event; ok is false for never.
func (s *State) Deadline() (at time.Duration, ok bool) {
	for t, d := range s.timers {
		if d == 0 || s.suspended(timer(t)) {
			continue
		}
		if !ok || d < at {
			at, ok = d, true
		}
	}
	return at, ok
}

// suspended timers stand still while the far end holds us.
func (s *State) suspended(t timer) bool { return s.Held && t != tMax && t != tEnd }

// Phase folds the state into one word.
func (s *State) Phase() Phase {
	switch {
	case s.Over:
		return PhaseOver
	case !s.Begun:
		return PhaseNew
	case s.detecting:
		return PhaseDetecting
	case s.waiting:
		return PhaseWaiting
	case s.Ending() || s.after != AfterListen && !s.Paused && s.Caller == CallerQuiet:
		return PhaseEnding
	case s.Held:
		return PhaseHeld
	case s.Paused:
		return PhasePaused
	case s.Caller == CallerTalking:
		return PhaseHearing
	case s.Caller == CallerTrailing:
		return PhaseEndpoint
	case s.Agent != AgentQuiet && s.Turn == 0 && s.asked && s.reply == 0:
		return PhaseGreeting
	case s.Agent == AgentThinking:
		return PhaseThinking
	case s.Agent == AgentSpeaking:
		return PhaseSpeaking
	case s.collecting:
		return PhaseCollecting
	default:
		return PhaseListening
	}
}

// machine is one step being taken.
type machine struct {
	c   *Config
	s   State
	now time.Duration
	out []Action
}

// Step takes event e at now, which never goes back and counts from the call's beginning. Actions are appended
// to out.
func Step(c *Config, s State, e Event, now time.Duration, out []Action) (State, []Action) {
	m := machine{c: c, s: s, now: now, out: out}
	if m.s.Over {
		return m.s, m.out
	}
	m.event(e)
	if m.s.Over {
		m.s.timers = [numTimers]time.Duration{}
		m.s.Paused, m.s.open = false, false
		m.s.Agent, m.s.Caller = AgentQuiet, CallerQuiet
	}
	return m.s, m.out
}

func (m *machine) event(e Event) {
	if !m.s.Begun && e.Kind != Begin && e.Kind != LegEnded && e.Kind != Hold {
		return
	}
	switch e.Kind {
	case Timer:
		m.expire()
	case Begin:
		m.begin()
	case SpeechStart:
		m.speechStart(e)
	case SpeechEnd:
		m.speechEnd(e)
	case Partial:
		m.onPartial(e)
	case Final:
		m.final(e)
	case RecogniseFail:
		m.recogniseFail(e)
	case Typed:
		m.typed(e)
	case Digit:
		m.digit(e)
	case Hold:
		m.hold(e.On)
	case TransferFailed:
		m.transferFailed(e)
	case Answered, AnsweredMachine, Unusable, Record, OptOut:
		m.outsetEvent(e)
	case LegEnded:
		m.cancel()
		m.s.Over = true
	default:
		if e.Gen == m.s.Gen && m.s.Agent != AgentQuiet && m.s.asked {
			m.replyEvent(e)
		}
	}
}

func (m *machine) do(a Action) { m.out = append(m.out, a) }

func (m *machine) arm(t timer, after time.Duration) {
	at := m.now + after
	if at <= 0 {
		at = 1
	}
	m.s.timers[t] = at
}

func (m *machine) disarm(ts ...timer) {
	for _, t := range ts {
		m.s.timers[t] = 0
	}
}

// Utterance is the id of the caller's last utterance.
func (s *State) Utterance() int { return s.utterance }
