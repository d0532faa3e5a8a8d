package app

import (
	"context"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/parley-voice/parley/internal/conversation"
	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/telephony/sip"
)

const (
	transferRing = 25 * time.Second // a phone that a caller is transferred to may ring so long
	bridgeLimit  = 6 * time.Hour    // two people may talk so long; a phone left off its hook does not hold a call for ever
	bridgeDigits = 32               // digits on their way to the other side; more are dropped
)

// bridge joins a caller to another person by SIP, through a mixer that converts between their sample rates.
// The call's record goes on: the caller's lane is the caller, the agent's lane whoever the caller talks to.
type bridge struct {
	c          *calls
	rec        *conversation.Call
	caller     media.Leg
	other      media.Leg
	otherID    string // the other leg in the record
	callerSide callerSide
	otherSide  side
	digits     chan dialled
	over       chan struct{}
	once       sync.Once
}

// dialled is a digit that one side pressed, on its way to the other.
type dialled struct {
	to    media.Leg
	digit byte
}

// dial calls target and waits until somebody answers. The record has the new leg from the first moment, so
// that it shows attempts that failed too; a leg that comes with an error has ended and says why. ctx ends the
// attempt.
func (c *calls) dial(ctx context.Context, rec *conversation.Call, from media.LegInfo, target string) (media.Leg, string, error) {
	if c.sip == nil {
		return nil, "", fault.New(fault.Unavailable, "SIP is off (sip-addr), so no phone can be called; turn it on")
	}
	if err := c.reachable(ctx, rec.OrgID(), target); err != nil {
		return nil, "", err
	}
	leg, err := c.sip.Dial(ctx, sip.DialRequest{To: target, From: plain(from.From), FromName: plain(from.FromName), Ring: transferRing})
	if err != nil {
		return nil, "", err
	}
	info := leg.Info()
	id := rec.LegStarted(conversation.NewLeg{ID: info.ID, Channel: string(info.Kind), Direction: string(info.Direction),
		From: info.From, To: target, Remote: info.Remote})
	if err := leg.Answer(ctx); err != nil {
		c.refuse(leg, media.Cause{By: "system", Code: "cancelled", Text: "the caller is no longer waiting"})
		c.drainSignals(leg, rec)
		rec.LegEnded(id, legCause(leg.End()), conversation.LegStats(leg.Stats()))
		return leg, id, err
	}
	return leg, id, nil
}

// reachable keeps an organisation's callers from ringing another one's phones: their names are the server's.
func (c *calls) reachable(ctx context.Context, org, target string) error {
	name, ok := c.sip.Phone(ctx, target)
	if !ok {
		return nil // not a phone that is registered here: Dial says what it makes of that
	}
	owner, found, err := c.phones.Owner(ctx, name)
	if err != nil {
		return err
	}
	if found && owner != org {
		return fault.Field("to", "phone %q is not registered", name)
	}
	return nil
}

// plain leaves out of a caller's name what a SIP header cannot quote.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("\r\n\x00\"<>", r) {
			return -1
		}
		return r
	}, s)
}

// newBridge prepares both sides; start joins the other one, and the caller's leg is to be given callerSide.
func (c *calls) newBridge(rec *conversation.Call, caller, other media.Leg, otherID string) (*bridge, error) {
	b := &bridge{c: c, rec: rec, caller: caller, other: other, otherID: otherID,
		digits: make(chan dialled, bridgeDigits), over: make(chan struct{})}
	m, err := media.NewMixer(media.MixerConfig{Rate: caller.Rate()})
	if err != nil {
		return nil, err
	}
	pc, err := m.Join(caller.Rate())
	if err != nil {
		return nil, err
	}
	po, err := m.Join(other.Rate())
	if err != nil {
		return nil, err
	}
	b.callerSide = callerSide{side: side{Party: pc, b: b, peer: other}, frame: media.FrameSamples(caller.Rate())}
	b.callerSide.said = make([]int16, saidFrames*b.callerSide.frame)
	b.otherSide = side{Party: po, b: b, peer: caller, leg: otherID}
	return b, nil
}

// start joins the other leg. The caller's is joined by whoever owns it.
func (b *bridge) start() error {
	go b.passDigits()
	return b.other.Start(&b.otherSide)
}

// passDigits lets a caller dial through what answered: telephone events are not part of the sound.
func (b *bridge) passDigits() {
	for {
		select {
		case d := <-b.digits:
			ctx, cancel := context.WithTimeout(context.Background(), hangupTimeout)
			err := d.to.SendDTMF(ctx, string(rune(d.digit)))
			cancel()
			if err != nil {
				b.c.log.Debug("a digit was not passed on", "call", b.rec.ID(), "error", err)
			}
		case <-b.over:
			return
		}
	}
}

// abandon ends a bridge that nobody came to.
func (b *bridge) abandon() {
	b.once.Do(func() { close(b.over) })
}

// wait holds the bridge until one side hangs up, and hangs up the other.
func (b *bridge) wait(ctx context.Context) media.Cause {
	limit := b.c.clock.NewTimer(bridgeLimit, "calls", "bridge")
	defer limit.Stop()
	var cause media.Cause
	select {
	case <-b.caller.Done():
		cause = b.caller.End()
	case <-b.other.Done():
		cause = b.other.End()
		if cause.By == "caller" { // legs call their far end so
			cause.By, cause.Text = "operator", "The person that the caller was connected to hung up."
		}
	case <-limit.C:
		cause = media.Cause{By: "system", Code: "max_duration", Text: "the call reached its maximum duration"}
	case <-ctx.Done():
		cause = media.Cause{By: "system", Code: "interrupted", Text: "the server is stopping"}
	}
	b.close(cause)
	return cause
}

// close hangs up both sides and closes the other leg in the record. It does nothing the second time.
func (b *bridge) close(cause media.Cause) {
	b.once.Do(func() {
		close(b.over)
		var both sync.WaitGroup
		for _, l := range []media.Leg{b.caller, b.other} {
			both.Go(func() { b.c.refuse(l, cause) })
		}
		both.Wait()
		b.callerSide.Leave()
		b.otherSide.Leave()
		timer := b.c.clock.NewTimer(hangupTimeout, "calls", "bridge")
		defer timer.Stop()
		for _, l := range []media.Leg{b.caller, b.other} {
			select {
			case <-l.Done():
			case <-timer.C:
			}
		}
		b.rec.LegEnded(b.otherID, legCause(b.other.End()), conversation.LegStats(b.other.Stats()))
	})
}

// side is one leg's endpoint in a bridge.
type side struct {
	*media.Party
	b    *bridge
	peer media.Leg
	leg  string // in the record; "" is the caller's
}

// Event implements media.Endpoint.
func (s *side) Event(e media.LegEvent) {
	data := map[string]any{}
	if s.leg != "" {
		data["leg"] = s.leg
	}
	switch e.Kind {
	case media.LegDTMF:
		s.b.rec.Note(event.EntryDTMF, string(rune(e.Digit)), data)
		select {
		case s.b.digits <- dialled{s.peer, e.Digit}:
		default:
		}
	case media.LegText:
		s.b.rec.Note(event.EntryText, e.Text, data)
	case media.LegHold, media.LegResume:
		data["on"] = e.Kind == media.LegHold
		s.b.rec.Note(event.EntryHold, "", data)
	case media.LegSignal:
		data["sent"], data["peer"], data["raw"] = e.Signal.Sent, e.Signal.Peer, e.Signal.Raw
		s.b.rec.Note(event.EntrySignal, e.Signal.Summary, data)
	case media.LegLost:
		data["code"] = "media_lost"
		s.b.rec.Note(event.EntryAlert, "no sound comes: "+e.Text, data)
	}
}

// saidFrames bounds what the caller was given ahead of what came from him: legs may take and bring frames in
// phases of their own.
const saidFrames = 3

// callerSide is the caller's endpoint in a bridge, which keeps both lanes of the recording. It runs on the
// leg's goroutine every 20 ms and allocates nothing.
type callerSide struct {
	side
	frame, ready int
	said         []int16
}

// Tick implements media.Endpoint.
func (s *callerSide) Tick(in, out []int16) bool {
	speech := s.Party.Tick(in, out)
	if speech {
		if s.ready == saidFrames {
			copy(s.said, s.said[s.frame:])
			s.ready--
		}
		copy(s.said[s.ready*s.frame:][:s.frame], out)
		s.ready++
	}
	if in == nil {
		return speech
	}
	if s.ready == 0 {
		s.b.rec.Frames(in, nil)
		return speech
	}
	s.b.rec.Frames(in, s.said[:s.frame])
	copy(s.said, s.said[s.frame:s.ready*s.frame])
	s.ready--
	return speech
}

// ringback is what a caller hears while the other phone rings: 440 and 480 Hz, two seconds of six.
type ringback struct {
	wave  []int16 // 50 ms: both tones are whole in it
	at, n int
}

const (
	ringFrames  = 300
	toneFrames  = 100
	ringbackAmp = 2500 // of each tone, about -22 dBFS
)

func newRingback(rate int) *ringback {
	r := &ringback{wave: make([]int16, rate/20)}
	for i := range r.wave {
		t := 2 * math.Pi * float64(i) / float64(rate)
		r.wave[i] = int16(ringbackAmp * (math.Sin(440*t) + math.Sin(480*t)))
	}
	return r
}

// fill writes the next frame and reports whether it is not silent.
func (r *ringback) fill(out []int16) bool {
	on := r.n < toneFrames
	r.n = (r.n + 1) % ringFrames
	if !on {
		return false
	}
	for i := range out {
		out[i] = r.wave[r.at]
		if r.at++; r.at == len(r.wave) {
			r.at = 0
		}
	}
	return true
}

var (
	_ media.Endpoint = (*side)(nil)
	_ media.Endpoint = (*callerSide)(nil)
)
