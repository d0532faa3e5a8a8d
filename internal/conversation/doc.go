// Package conversation keeps the record of every call: its state, legs, transcript, recording and event
// log, written as the call goes on and readable while it does.
//
// A newcomer's map:
//
//	call.go        what a call is: states, legs, items, turns
//	service.go     Config, New, Start, Close, Begin
//	live.go        *Call, the handle of a call that goes on; Append is the way into the event log
//	lanes.go       Call.Frames, the hot path of the recording; law.go holds G.711
//	derive.go      event log entries → transcript items, turns, alerts, outcome (pure)
//	writer.go      goroutines that take what calls have gathered every 50 ms; sound.go writes the recording
//	saver.go       the one writer to the database: many calls in one transaction (group commit)
//	store.go       queries; rows.go the rows
//	sealed.go      encrypted files that can be appended to and read from the middle
//	spool.go       the files of calls that go on: <data>/spool/<call>.rec and <call>.log
//	finish.go      moves the files of ended calls to the blob store, and has the text indexed
//	recover.go     what a killed process left behind is ended as "interrupted"
//	node.go        which process has a call, and the calls of a process that does not come back
//	query.go       reading: lists, one call, transcript, turns, overview
//	source.go      reading: a call's file, wherever it is
//	recording.go   reading: WAV with seeking; peaks.go the waveform
//	eventlog.go    reading: entries page by page or as a stream
//	vtt.go         the transcript as WebVTT and text
//	purge.go       deletes what is past its term; person.go one person's calls; audit.go entries of the audit trail
//	http.go        operations of /api/v1; download.go those that answer with files
//
// docs/call.md draws the states, the way of the data and the files.
//
// # Who waits for whom
//
// The leg's goroutine calls Frames 50 times a second and the session's calls Append. Both copy into
// memory that belongs to the call, bounded, and return. A writer takes it every 50 ms, derives
// the transcript, and appends to the call's two files. Then it marks the call as changed; the saver
// writes the rows of all changed calls in one transaction, with the facts they give rise to. A slow disk or
// database therefore costs entries and frames (counted, and told in an alert) and never a late frame.
//
// What is true where: the spool is at most half a second behind the call, the database some 100 ms. The
// event log is the truth, and everything in the database can be derived from it again: that is what
// recovery does.
package conversation
