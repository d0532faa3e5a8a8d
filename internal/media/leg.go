// Package media is what sound is made of: the 20 ms frame, the leg that carries it, the pacer that
// drives legs, and the mixer and bridge that join them.
//
// A Leg is one side of a call whatever carries it (SIP, WebRTC, a carrier's WebSocket). An Endpoint is
// what a leg is joined to (a voice session, a bridge, a test). Every 20 ms the leg calls
// Endpoint.Tick once with the caller's frame and takes the frame to play; nothing else moves audio.
//
// The sub-packages own the heavy parts: audio (codecs, resampling, VAD, WAV) and rtp (packets, jitter
// buffer, SRTP, telephone-event). This package imports no database and no HTTP server.
package media

import (
	"context"
	"time"
)

// FrameDuration is the length of every frame on the hot path.
const FrameDuration = 20 * time.Millisecond

// FrameSamples is the number of samples of one mono frame at rate samples a second.
func FrameSamples(rate int) int { return rate / 50 }

// Kind names what carries a leg.
type Kind string

// The kinds of leg.
const (
	KindSIP    Kind = "sip"
	KindWebRTC Kind = "webrtc"
	KindTwilio Kind = "twilio"
)

// Direction is seen from Parley: inbound calls reach us, outbound calls are placed by us.
type Direction string

// The directions of a leg.
const (
	Inbound  Direction = "inbound"
	Outbound Direction = "outbound"
)

// LegInfo is what is known of a leg when it reaches us or is placed. It does not change afterwards.
type LegInfo struct {
	ID        string            // UUIDv7, ours
	Kind      Kind              // what carries it
	Direction Direction         // who placed it
	From      string            // caller: SIP user or E.164 number, "" when withheld
	FromName  string            // display name, if any
	To        string            // called: agent slug, SIP user or E.164 number
	External  string            // the carrier's own id: SIP Call-ID, Twilio CallSid
	Remote    string            // network address of the signalling peer
	Params    map[string]string // carrier's custom parameters, X- headers in lower case
}

// Endpoint is what a leg is joined to. Its methods are called by one goroutine at a time, the leg's, and
// must not block or allocate: Tick is the hot path.
type Endpoint interface {
	// Tick moves one frame each way. in holds the caller's 20 ms at the leg's rate (concealed or silent
	// where packets were lost) and is valid only during the call. out is to be filled; Tick reports
	// whether it wrote speech: false means silence, and out's content is ignored.
	Tick(in, out []int16) (speech bool)
	// Played says that the far end has played n frames that carried speech, counted since Start (the RTP
	// clock, or a carrier's marks). It never goes back.
	Played(n int64)
	// Event tells of everything else. Events from before Start are kept (the last 64) and delivered first.
	Event(LegEvent)
}

// LegEventKind names a LegEvent.
type LegEventKind string

// The kinds of LegEvent.
const (
	LegDTMF   LegEventKind = "dtmf"   // Digit is set
	LegHold   LegEventKind = "hold"   // the far end holds us (RFC 3264 section 8.4)
	LegResume LegEventKind = "resume" // the far end takes us back
	LegSignal LegEventKind = "signal" // one signalling message, for the ladder
	LegText   LegEventKind = "text"   // Text typed by the caller (WebRTC data channel)
	LegLost   LegEventKind = "lost"   // no media for a while; Text says how long
	LegEnded  LegEventKind = "ended"  // the last event; Cause is set
)

// LegEvent is something that happened on a leg besides audio.
type LegEvent struct {
	Kind   LegEventKind
	At     time.Time
	Digit  byte   // 0-9 * # A-D
	Text   string // LegText, LegLost
	Signal Signal
	Cause  Cause
}

// Signal is one signalling message of the ladder.
type Signal struct {
	Sent    bool   // by us
	Summary string // "INVITE", "200 OK (INVITE)", "start", "mark"
	Raw     string // the message, at most 8 KiB, credentials removed
	Peer    string // address it came from or went to
}

// Cause says why a leg ended.
type Cause struct {
	By     string // "caller", "agent", "system", "carrier"
	Code   string // stable: "normal", "busy", "no_answer", "declined", "unreachable", "media_timeout", "error", ...
	Status int    // SIP or HTTP status where there is one
	Text   string // a sentence for a person
}

// LegStats are counters since the leg began.
type LegStats struct {
	Codec                                string
	PacketsIn, PacketsOut                uint64
	Lost, Late, Duplicate, Malformed     uint64
	JitterMS, BufferMS, RoundTripMS      float64
	FramesIn, FramesConcealed, FramesOut uint64
	FramesLateOut                        uint64 // sent more than 20 ms after their time
}

// Leg is one side of a call. All methods are safe for use by several goroutines; none of them blocks
// longer than its context.
type Leg interface {
	Info() LegInfo
	// Rate is the sample rate of the frames, 8000 or 16000. It is known once Answer has returned.
	Rate() int
	// Answer accepts an inbound leg, or waits until an outbound one is answered.
	Answer(ctx context.Context) error
	// Start joins the leg to e and begins to tick. It is called once, after Answer.
	Start(e Endpoint) error
	// Clear drops audio that was accepted from Tick and is not yet played (a carrier's buffer).
	Clear()
	// Hangup ends the leg, or refuses it when it was not answered. It is safe to call twice.
	Hangup(ctx context.Context, cause Cause) error
	// Transfer hands the far end to target (a SIP URI or number) and ends the leg when that worked.
	Transfer(ctx context.Context, target string) error
	// Hold puts the far end on hold, or takes it back.
	Hold(ctx context.Context, on bool) error
	// SendDTMF sends digits (0-9 * # A-D, "," waits half a second).
	SendDTMF(ctx context.Context, digits string) error
	// SendText sends a JSON message to a client that can show it (WebRTC data channel); others drop it.
	SendText(msg []byte)
	Stats() LegStats
	// Done is closed when the leg has ended and released everything. End is valid from then on.
	Done() <-chan struct{}
	End() Cause
}

// Accept is told of every inbound leg, before it is answered, on a goroutine of its own. It owns the leg.
type Accept func(ctx context.Context, leg Leg)
