package event

// Entry is one line of a call's event log. Everything that entered a session or came out of it is an
// Entry: the transcript, the latency waterfall, billing and replay all read from it.
type Entry struct {
	Seq  int64          `json:"seq"`            // from 1, no gaps
	AtUS int64          `json:"atUs"`           // microseconds since the call was answered (negative before)
	Kind EntryKind      `json:"kind"`           //
	Turn int            `json:"turn,omitempty"` // caller's turn it belongs to, from 1; 0 is the greeting
	Gen  int            `json:"gen,omitempty"`  // reply generation
	Text string         `json:"text,omitempty"` // spoken or recognised text, digit, message
	Data map[string]any `json:"data,omitempty"` // the kind's own fields; numbers, strings and booleans
}

// EntryKind names an Entry.
type EntryKind string

// The kinds of Entry. In brackets: the fields of Data.
const (
	EntryAnswered    EntryKind = "call.answered"       // [seed, rate, codec, channel, agent, version]
	EntryEnded       EntryKind = "call.ended"          // Text: sentence [by, code, status]
	EntrySignal      EntryKind = "signal"              // Text: summary [sent, peer, raw]
	EntryDigest      EntryKind = "frames.digest"       // [frames, sha256] of the caller's audio since the last
	EntryVADStart    EntryKind = "vad.start"           // speech begins
	EntryVADEnd      EntryKind = "vad.end"             // speech ends (before endpointing)
	EntryEndOfSpeech EntryKind = "turn.end_of_speech"  // endpointing decided; the waterfall's zero
	EntrySTTPartial  EntryKind = "stt.partial"         // Text
	EntrySTTFinal    EntryKind = "stt.final"           // Text: caller's item [startMs, endMs, confidence]
	EntryFirstToken  EntryKind = "llm.first_token"     //
	EntryLLMDone     EntryKind = "llm.done"            // [tokensIn, tokensOut]
	EntryFirstAudio  EntryKind = "tts.first_audio"     //
	EntryFirstFrame  EntryKind = "playout.first_frame" // first frame sent
	EntryPaused      EntryKind = "playout.paused"      // possible interruption
	EntryResumed     EntryKind = "playout.resumed"     // it was noise or a backchannel
	EntryCut         EntryKind = "playout.cut"         // it was speech
	EntryAgentSaid   EntryKind = "agent.said"          // Text: what was heard [startMs, endMs, interrupted]
	EntryBackchannel EntryKind = "turn.backchannel"    // Text
	EntryToolCall    EntryKind = "tool.call"           // Text: name [id, arguments]
	EntryToolResult  EntryKind = "tool.result"         // Text: name [id, ok, result, ms]
	EntryDTMF        EntryKind = "dtmf"                // Text: digit
	EntryText        EntryKind = "caller.text"         // Text typed by the caller
	EntryHold        EntryKind = "hold"                // [on]
	EntryFiller      EntryKind = "filler"              // Text
	EntryApology     EntryKind = "apology"             // Text
	EntryIdle        EntryKind = "idle"                // Text: reprompt
	EntryVendorError EntryKind = "vendor.error"        // Text: message [service, vendor, code, fatal]
	EntryFlow        EntryKind = "flow.node"           // Text: node id
	EntryTransfer    EntryKind = "transfer"            // Text: target [state: dialling, answered, failed; reason]
	EntryActivity    EntryKind = "activity"            // Text: listening, thinking, speaking, paused, tool, transferring, transferred
	EntryOutcome     EntryKind = "outcome"             // Text: name, any Data
	EntryAnswerer    EntryKind = "answerer"            // Text: human, machine, unsure, fax, invalid [reason, afterMs, greetingMs, phrases, words]
	EntryDisclosure  EntryKind = "disclosure"          // Text: what was to be said [number, of, startMs, endMs, whole, heard]
	EntryMessage     EntryKind = "message"             // Text: what was to be left on a machine [startMs, endMs, whole, heard]
	EntryAlert       EntryKind = "alert"               // Text: what a person should know [code]
)
