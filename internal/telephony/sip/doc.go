// Package sip is the SIP user agent and registrar: signalling by RFC 3261 on UDP and TCP, SDP by RFC 3264,
// and legs (media.Leg) whose audio an rtp.Session carries.
//
//	server.go       Config, New, Start, Drain, Stop: what there is one of
//	transport.go, tcp.go      sockets; framing of streams
//	dispatch.go     from a datagram to the handler: parse, check, find the transaction, the dialog
//	message.go      what a message must have; 400 for what cannot be parsed; the ladder's copy
//	transaction.go, client.go transactions of both sides (section 17), drawn at txState
//	dialog.go       dialogs (section 12), and where their requests go (RFC 3263)
//	leg.go          one call: its states drawn at legState, media.Leg
//	inbound.go      calls we are sent; outbound.go, branch.go calls we place; trunk.go through a carrier's server
//	reoffer.go      hold, re-INVITE, UPDATE, INFO; refer.go transfer; session.go session timers (RFC 4028)
//	sdp.go, stream.go, sdes.go offers and answers
//	audio.go        a leg's media, and the queue of its events
//	digest.go, registrar.go   phones: authentication and where they are
//	cause.go        why calls end, as SIP statuses, in both directions
//
// # What it stands on
//
// Messages and their parser are emiago/sipgo's; transports and transactions are our own, on top of it.
// sipgo's remember every address a datagram came from for as long as the socket lives, start a goroutine for
// each request outside of any recover, refuse to send more than 1,300 bytes by UDP, answer CANCEL with another
// tag than the INVITE, and have their timers in package variables. Here everything is bounded and injected, so
// the tests move the clock through a minute of retransmissions without waiting.
//
// # Who runs what
//
// One goroutine reads UDP, two serve each TCP connection. They parse and hand the message to one of eight
// workers, chosen by Call-ID, so that one call's messages stay in order and a slow call holds up one worker in
// eight. Workers never wait for a database: requests that need the store (REGISTER, an INVITE with a
// password) go to a bounded set of goroutines of their own. Accept runs on a goroutine of its own for each
// call. Every one of them recovers: a panic ends one call, is counted, and is logged with its stack.
//
// # Who may call
//
// An agent is called without credentials only from the networks in Config.Open, which by default are the
// machine's own loopback addresses: that is how a softphone beside the server calls sip:front-desk@127.0.0.1.
// Everybody else is asked for a phone's password (401, digest by RFC 8760: SHA-256 and MD5, qop=auth; MD5 alone for phones that know no other). Add a
// trunk's or an office's network to Open to let it in; leave it out to have only registered phones call.
// Ten wrong passwords from an address, or from an IPv6 /64, shut it out for five minutes.
//
// # What happens to bad input
//
// What is no SIP is counted and ignored. A request that can be answered is: 400 for what is malformed, with a
// Warning that says what is wrong; 405, 415, 416, 420, 481, 482, 483, 488, 491, 503, 505 as the RFCs have them.
// SDP that cannot be read is 400, SDP that offers nothing we speak 488. Nothing a peer sends inside a call ends
// it but BYE.
package sip
