// Package amd tells who answered a call that we placed: a person, an answering machine, a fax, or the network's
// announcement that the number is not in service. It hears the beep after which a message may be left, and
// when a machine has stopped talking.
//
//	detector.go   the Detector: 20 ms frames and VAD decisions in, Signals out; Config with its defaults
//	tone.go       is a frame one pure tone, and of which frequency
//	tones.go      runs of tones: beeps, special information tones, fax tones
//	phrase.go     what answering machines say, in words: a second opinion from the transcript
//
// A Detector is a pure function of the frames it was fed: it has no clock and no goroutine and allocates nothing. It
// is fed by the leg's goroutine on the hot path.
//
// People answer with a word or two and wait; machines talk. So a short utterance and a pause is a person, and a long
// one, or several in a row, is a machine. docs/answering-machines.md has the states, and how often that is right.
package amd
