// Package provider defines what the conversation runtime needs of a speech or language vendor: STT, LLM
// and TTS. Each vendor lives in a sub-package (sim, local, openai) and keeps its SDK's types to itself;
// every adapter passes the conformance suite of its kind in providertest.
//
// Contract shared by all: methods honour their context and return within a second of its end; a stream
// is used by one goroutine; Close is safe twice and releases everything; errors are *Error.
package provider

import (
	"context"
	"errors"
	"fmt"
)

// Service names the three kinds of vendor service.
type Service string

// The services.
const (
	ServiceSTT Service = "stt"
	ServiceLLM Service = "llm"
	ServiceTTS Service = "tts"
)

// Error is a vendor's failure.
type Error struct {
	Service Service
	Vendor  string
	Code    string // stable: "timeout", "refused", "unauthorized", "rate_limited", "bad_response", "failed", "too_long"
	Message string // for a person; never holds a key
	Fatal   bool   // trying again cannot help
	Cause   error
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("%s (%s): %s: %s", e.Vendor, e.Service, e.Code, e.Message)
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// IsFatal reports whether trying again cannot help.
func IsFatal(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Fatal
}

// STT opens recognition streams.
type STT interface {
	// Open gives a stream for one call. It may connect; it is called before the first utterance.
	Open(ctx context.Context, c STTConfig) (STTStream, error)
}

// STTConfig describes the audio and what may be said.
type STTConfig struct {
	Rate     int    // of the frames given to Write: 8000 or 16000
	Language string // BCP 47, "en-US"
}

// STTStream recognises the utterances of one call. The runtime's VAD delimits them: Begin, Write for every
// frame (starting with up to 300 ms from before the speech), End. Results arrive on Results, also after End.
type STTStream interface {
	// Begin starts utterance id. Expect says what the flow can understand now; the zero value means anything.
	Begin(id int, expect Expect)
	// Write adds one 20 ms frame; the stream copies it. It never blocks: a stream that cannot keep up drops
	// the oldest audio and says so with an Error result.
	Write(frame []int16)
	// End says that the utterance is over: a result with Final (or Err) follows for id, once.
	End(id int)
	// Abandon drops utterance id: it was noise. No result follows.
	Abandon(id int)
	Results() <-chan STTResult
	Close() error
}

// Expect limits recognition to what a flow can understand.
type Expect struct {
	Grammar string   // JSGF 1.0, "" for free speech
	Words   []string // the grammar's vocabulary
	Hints   []string // phrases likely to be said
}

// STTResult is a recognition.
type STTResult struct {
	Utterance  int
	Text       string // "" with Final means: nothing understandable was said
	Confidence float64
	Final      bool
	Err        error // *Error; Final is true
}

// LLM answers chats.
type LLM interface {
	// Chat streams the answer to req. Deltas come in order; the last has Done or Err.
	Chat(ctx context.Context, req ChatRequest) (ChatStream, error)
}

// ChatRequest is a conversation to continue.
type ChatRequest struct {
	Messages    []Message
	Tools       []ToolSpec
	Temperature *float64
	MaxTokens   int
}

// Message is one entry of the history.
type Message struct {
	Role       string // system, user, assistant, tool
	Text       string
	ToolCalls  []ToolCall // assistant
	ToolCallID string     // tool
}

// ToolSpec tells the model of a tool.
type ToolSpec struct {
	Name, Description string
	Parameters        []byte // JSON Schema
}

// ToolCall is the model's wish to use a tool.
type ToolCall struct {
	ID, Name  string
	Arguments string // JSON as the model wrote it
}

// ChatStream gives an answer piece by piece.
type ChatStream interface {
	// Next blocks for the next piece; io.EOF after the last.
	Next() (ChatDelta, error)
	Close() error
}

// ChatDelta is a piece of an answer.
type ChatDelta struct {
	Text                string
	ToolCalls           []ToolCall // whole calls, never parts
	TokensIn, TokensOut int        // set on the last, where the vendor says
}

// TTS speaks.
type TTS interface {
	// Speak synthesises text, one sentence or less. Audio is streamed as it is made.
	Speak(ctx context.Context, req SpeakRequest) (AudioStream, error)
}

// SpeakRequest is something to say.
type SpeakRequest struct {
	Text     string
	Voice    string
	Language string
	Speed    float64 // 1 is normal; 0 means 1
}

// AudioStream gives mono PCM as it is made, leading silence trimmed to at most 20 ms.
type AudioStream interface {
	Rate() int // samples a second; known when Speak returns
	// Read fills p with samples and returns how many; io.EOF at the end.
	Read(p []int16) (int, error)
	Close() error
}
