package voice

import (
	"context"
	"time"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/voice/provider"
)

// Brain decides what the agent says and does. One Brain serves one call. Its methods are called one
// after the other, never at the same time, so it needs no lock; the goroutine may differ.
//
// Begin and Turn run as long as the answer takes and speak through the Emitter as they go. Their
// context ends when the caller interrupts, a time-out strikes or the call ends; they return soon after
// (within a second). An error, unless the context's, counts as a failure of a vendor: the session tries
// once more when nothing of the answer was heard and the error is not fatal (provider.IsFatal), then
// apologises and ends the call.
type Brain interface {
	// Begin opens the conversation: the greeting, or nothing when the caller shall speak first.
	Begin(ctx context.Context, out Emitter) error
	// Turn answers what the caller said, typed or dialled.
	Turn(ctx context.Context, in Input, out Emitter) error
	// Expect tells what may be said next. It is asked after each Begin and Turn.
	Expect() provider.Expect
	// Heard tells what the caller has heard of the last answer: all of it, or as far as the interruption
	// let them. It comes after Begin or Turn has returned and before the next Turn. Nothing heard is
	// text "" with interrupted true. Fillers, reprompts and apologies are not reported.
	Heard(text string, interrupted bool)
}

// InputKind names an Input.
type InputKind string

// The kinds of Input.
const (
	InputSpeech         InputKind = "speech"          // Text and Confidence
	InputText           InputKind = "text"            // Text, typed
	InputDigits         InputKind = "digits"          // Digits: as collected, without the terminator
	InputUnclear        InputKind = "unclear"         // something was said that nobody could understand
	InputSilence        InputKind = "silence"         // digits were asked for and none came in time
	InputTransferFailed InputKind = "transfer_failed" // Text says why; the caller is still here
)

// Input is one turn of the caller.
type Input struct {
	Kind       InputKind
	Text       string
	Confidence float64 // 0 to 1; 1 for typed text and digits
	Digits     string
	// Continues says that the caller spoke on before anything of the last answer was heard: Text then
	// holds their whole sentence, the part given before included, and the last Turn counts as not given.
	Continues bool
}

// Emitter is how a Brain acts. It belongs to one Begin or Turn and is dead when that has returned or
// its context has ended: calls then do nothing.
type Emitter interface {
	// Say speaks text, of any length; it is cut into sentences. It waits when some seconds of speech are
	// ahead of the caller, and returns the context's error when the answer was interrupted.
	Say(text string) error
	// CollectDigits gathers DTMF into one InputDigits. It counts from now: digits dialled during the
	// prompt interrupt it. Any other turn of the caller ends the collection.
	CollectDigits(rule DigitRule)
	// Transfer hands the caller to target (SIP URI or number) after what was said has been heard.
	Transfer(target string)
	// Hangup ends the call after what was said has been heard. The caller can no longer interrupt.
	Hangup(reason string)
	// Outcome records what the call came to. The last one of each name counts. What the person wishes of us
	// (event.Standing) is recorded even when the answer was interrupted.
	Outcome(name string, data map[string]any)
	// Note writes an entry to the call's event log: tool.call, tool.result, flow.node, llm.first_token,
	// llm.done. An event.EntryActivity changes what the agent is shown to be doing.
	Note(kind event.EntryKind, text string, data map[string]any)
}

// DigitRule says when a collection of digits is complete.
type DigitRule struct {
	Max          int           // digits at most; 0 means 32
	Terminator   byte          // '#' usually; 0 for none
	FirstTimeout time.Duration // for the first digit, after the prompt was heard; 0 means 8 s
	InterTimeout time.Duration // between digits; 0 means 3 s
}
