// Package load is the load generator of "parley load": it places many calls to a running server, speaks in
// them, listens, and reports what the server did and what the generator itself did.
//
//	report.go    Report: what every kind of load measures, as a table and as JSON
//	scrape.go    the server's own figures, from its /metrics
//	http.go      API requests, at their time whether those before were answered or not
//	sip.go       SIP calls: Config, the run from ramp to hang-up
//	signal.go    one call's signalling, as little of it as a load needs
//	rtp.go       sending and receiving audio on a few shared sockets
//	stamp*.go    when the kernel received a packet
//	speech.go    what the caller says
//
// A generator that shares the machine with the server must be cheap and must not blame the server for its own
// delays. All calls of one socket share a port (the server's port tells them apart), one goroutine sends every
// millisecond what is due, packets are read in batches, and their time is the kernel's. How late the
// generator itself was is part of the report, and a run in which it was late says so.
package load
