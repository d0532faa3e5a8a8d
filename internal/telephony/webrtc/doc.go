// Package webrtc carries calls from browsers: one POST brings the offer, its answer completes the
// negotiation, and from there it is a media.Leg.
//
// All peers share one UDP port. The server is ICE-lite (RFC 8445 section 2.5): it has a reachable address and
// only answers checks, so nothing is trickled and no STUN server is asked. Media is DTLS-SRTP with one
// codec of PCMU, G.722 and Opus, and telephone-event. The data channel "parley" carries JSON both ways.
//
//	server.go   the port, the limits, Offer
//	sdp.go      what is read from an offer before pion sees it
//	leg.go      the leg's life
//	track.go    the peer connection as the connection of an rtp.Session
//	channel.go  the data channel
//
// Pion does ICE, DTLS, SRTP and SCTP. Jitter buffer, pacing, concealment and DTMF are those of every other
// leg: an rtp.Session runs over the peer connection's tracks.
package webrtc
