// Package mediastream carries calls over a carrier's WebSocket: Twilio Media Streams, in both directions.
//
// A call takes two steps. The carrier posts the call to Server.Voice, which verifies the request's
// signature, looks up the agent of the dialled number and answers TwiML that connects the call to
// Server.Media with a short-lived token. The carrier then opens that WebSocket, sends connected and start
// with the token, and from there it is a media.Leg: 20 ms of µ-law each way, paced by media.Pacer.
//
//	signature.go  X-Twilio-Signature
//	token.go      the token that a stream must bring
//	webhook.go    voice and status webhooks, TwiML
//	socket.go     the WebSocket's hand-shake and life
//	leg.go        the leg: ticks, control, statistics
//	message.go    the carrier's messages, read without allocation
//	inbox.go      the caller's audio: bounded, no standing delay
//	outbox.go     the agent's audio: bounded queue, writer, playout ledger by marks
//	rest.go       hang up and transfer by the carrier's REST API
//
// The carrier plays what it is sent in order and keeps it in a buffer of its own, so a frame's arrival says
// nothing of when it is heard. Marks do: the carrier returns each when the audio before it was played, but
// returns all of them at once after a clear. The ledger in outbox.go therefore never believes a mark
// beyond what the time since the audio was written allows.
//
// Messages: https://www.twilio.com/docs/voice/media-streams/websocket-messages
package mediastream
