package media

// Kicker is what a leg may offer besides Leg: to send a frame now instead of at its next tick.
//
// A reply is ready at any moment between two ticks, so a leg that only sends on its tick adds 10 ms to
// every answer on average and 20 ms at worst. The endpoint therefore calls Kick when it has speech to
// send after a silence. The leg then calls Endpoint.Tick(nil, out) at once and sends that frame in the place of
// the next tick's. Ticks keep their phase: the talk spurt runs one place ahead until it ends, and one send is
// left out then. RTP allows it: a talk spurt starts anywhere, with the marker bit (RFC 3551 section 4.1).
//
// What follows for Tick on legs that are Kickers:
//   - in is nil when the call only takes a frame to send; out is nil when it only brings the caller's
//     frame. A leg may do both in one call, as before, or keep the two in phases of their own.
//   - Endpoint is still called by one goroutine at a time: Kick excludes the leg's own tick.
//
// Kick is safe from any goroutine, also from before Start and after the leg's end, when it does nothing. It
// waits at most for a tick under way and may call Tick before it returns, so the endpoint must hold no
// lock that Tick takes. It does nothing while the leg is sending speech already: then the next frame is
// due within 20 ms and must not be early.
type Kicker interface {
	Kick()
}
