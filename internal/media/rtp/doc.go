// Package rtp carries one leg's audio over UDP: RTP and RTCP (RFC 3550), the audio profile (RFC 3551), SRTP
// (RFC 3711) and telephone-event (RFC 4733).
//
// A Session is the media half of a SIP leg. It owns the leg's sockets, one goroutine for each of them that
// blocks in read, and a place in a media.Pacer. What arrives goes through the jitter buffer; every 20 ms
// the pacer's tick takes a frame from it, hands it to the media.Endpoint, and sends the frame it got back.
//
//   - ports.go: the range of local ports
//   - session.go: configuration and life; remote.go: what was negotiated
//   - read.go: from the socket to the buffer, which source is believed; jitter.go, adapt.go: the buffer
//   - play.go: from the buffer to a frame, concealment; send.go: the tick and what is sent
//   - dtmf.go: telephone-event both ways; rtcp.go: reports; srtp.go: keys
//
// Nothing received can do more than be counted and dropped: there is a fuzz target for every parser.
package rtp
