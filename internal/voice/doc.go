// Package voice is the conversation runtime: it joins a caller's leg to an agent and holds the
// conversation until one of them ends it.
//
// A Session is one call. Beside the leg's goroutine it has four of its own, and only one decides:
//
//	leg's goroutine      ear.go, playout.go   Tick: VAD, caller audio into the ear's ring, agent audio out
//	session (Run)        session.go, act.go   owns the turn machine, the clock's timer and the journal
//	listener             listener.go          feeds the STT stream and forwards its results
//	thinker              thinker.go           runs the Brain, one turn at a time
//	speaker              speaker.go           turns sentences into audio, ahead of the playout by some seconds
//
// Around them: config.go and defaults.go what a call is set up with, handle.go what reaches the session and
// act.go what it does about it, journal.go the event log, prompts.go the audio of fixed texts, split.go
// sentences, outbound.go who answered a call that we placed and what is said first, wish.go the tools
// by which an agent records what the person wishes, converter.go the leg's sample rate, tone.go what is left when no voice works.
//
// They meet in one bounded inbox (inbox.go). The turn machine itself (package turn) is pure: events in, actions out.
// Each reply has a generation number; whatever carries an older one is dropped where it arrives. The
// ledger (playout.go) knows which words the caller has really heard, and nothing else enters the
// transcript or the Brain's history.
//
// What answers a turn is a Brain (brain.go): NewPromptBrain asks a language model (prompt.go, tool.go); a flow
// engine is adapted by the application. Audio format, vendor and carrier are somebody else's: package media, package provider.
package voice
