// Package flow is the engine of agents that follow a drawn flow instead of a language model: a graph of
// nodes that greet, ask, collect, book appointments, inform, route and say goodbye.
//
// It is pure: no clock, no goroutine, no I/O of its own. What it needs of the world comes in as Deps (the
// time, the caller, a Calendar), and one call of Machine.Step turns an Input (words, keys, silence) into
// Actions (say, listen, transfer, hang up). Who runs a call wraps a Machine; nothing here knows of audio.
//
// Where to look:
//
//	definition.go  the JSON a flow is saved as, and its limits
//	validate.go    what can be wrong with it, with place and remedy
//	machine.go     the machine: inputs, actions, universal commands, re-prompts
//	nodes.go       what each type of node does
//	appointment.go booking, moving and cancelling: the conversation around a Calendar
//	question.go    what is being asked, and how an utterance answers it
//	match.go       matching words to phrases
//	when.go        days and times in spoken or written English
//	grammar.go     the JSGF grammar of what can be said now
//	template.go    flows to start from
package flow
