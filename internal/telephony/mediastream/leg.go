package mediastream

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	rate        = 8000
	checkTicks  = 50 // how often the tick looks at its watches
	maxDigits   = 64
	closeWithin = 2 * time.Second
)

// leg is one stream. The handler's goroutine reads the socket, a writer empties the outbox, and the pacer
// ticks; tickMu makes the endpoint's calls one at a time. Nothing is sent or waited for under it.
//
// Locks: tickMu before the locks of inbox and outbox; none of them before another.
type leg struct {
	s       *Server
	info    media.LegInfo
	account string
	conn    *websocket.Conn
	in      inbox
	out     *outbox
	done    chan struct{}
	stop    chan struct{} // ends the writer

	lastMedia  atomic.Int64 // Unix nanoseconds
	writeSince atomic.Int64 // Unix nanoseconds since which a write is under way, 0 when none is
	closing    sync.Once
	shut       chan struct{} // closed when the closing hand-shake is over
	kicked     atomic.Bool

	packetsIn, lost, late, duplicate, malformed atomic.Uint64
	framesIn, concealed                         atomic.Uint64

	tickMu   sync.Mutex
	e        media.Endpoint
	pending  media.EarlyEvents // from before Start
	finished bool
	speaking bool
	ahead    int // frames taken beyond one a tick, in this spurt
	skip     int // ticks that take none, to make up for it
	ticks    int
	lostTold bool
	reported int64
	pcmIn    [media.FrameDuration * rate / time.Second]int16
	pcmOut   [media.FrameDuration * rate / time.Second]int16

	mu    sync.Mutex // guards the rest
	slot  *media.Slot
	cause media.Cause
	ended bool
	tones toneQueue
}

var (
	_ media.Leg    = (*leg)(nil)
	_ media.Kicker = (*leg)(nil)
)

// Info implements media.Leg.
func (l *leg) Info() media.LegInfo { return l.info }

// Rate implements media.Leg.
func (l *leg) Rate() int { return rate }

// Answer implements media.Leg. The carrier has answered the call when the stream begins.
func (l *leg) Answer(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return fault.New(fault.NotPossible, "the stream has ended")
	}
	return nil
}

// Start implements media.Leg.
func (l *leg) Start(e media.Endpoint) error {
	if err := l.join(e); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.slot = l.s.cfg.Pacer.Add(l, l.panicked)
	}
	return nil
}

// join tells e what happened before it came.
func (l *leg) join(e media.Endpoint) error {
	l.tickMu.Lock()
	defer l.unlock()
	if l.finished || l.e != nil {
		return fault.New(fault.NotPossible, "the stream has ended, or was started before")
	}
	l.e = e
	l.pending.Tell(e)
	return nil
}

func (l *leg) panicked(err error) {
	l.s.count("panic")
	l.end(media.Cause{By: "system", Code: "error", Text: err.Error()}, websocket.StatusInternalError, "internal error")
}

// Tick implements media.Paced.
func (l *leg) Tick(b media.Beat) {
	l.tickMu.Lock()
	defer l.unlock()
	if l.finished {
		return
	}
	if l.in.pop(l.pcmIn[:]) {
		l.framesIn.Add(1)
	} else {
		l.concealed.Add(1)
	}
	switch {
	case l.tone(b.Now):
		l.e.Tick(l.pcmIn[:], nil)
	case l.skip > 0:
		l.skip--
		l.e.Tick(l.pcmIn[:], nil)
	default:
		l.speak(b.Now, l.e.Tick(l.pcmIn[:], l.pcmOut[:]))
	}
	if n := l.out.played(b.Now); n > l.reported {
		l.reported = n
		l.e.Played(n)
	}
	if l.ticks++; l.ticks%checkTicks == 0 {
		l.watch(b.Now)
	}
}

// speak sends the frame that Tick wrote, if it is speech. A spurt begins with some frames more, so that
// the carrier's buffer covers jitter on the way; the ticks after the spurt make up for them.
func (l *leg) speak(now time.Time, speech bool) {
	if !speech {
		if l.speaking {
			l.speaking = false
			l.skip, l.ahead = l.ahead, 0
			l.out.endSpurt()
		}
		return
	}
	l.out.put(l.pcmOut[:], true, now)
	if l.speaking {
		return
	}
	l.speaking = true
	for l.ahead < l.s.lead && l.e.Tick(nil, l.pcmOut[:]) {
		l.ahead++
		l.out.put(l.pcmOut[:], true, now)
	}
}

// Kick implements media.Kicker: the carrier buffers, so the frame goes out now and the ticks keep their
// phase. It never waits: whoever holds tickMu serves the kick when letting go, so that it may be called from
// Tick.
func (l *leg) Kick() {
	l.kicked.Store(true)
	l.serveKick()
}

func (l *leg) serveKick() {
	for l.kicked.Load() && l.tickMu.TryLock() {
		l.kickLocked()
	}
}

func (l *leg) kickLocked() {
	defer l.tickMu.Unlock()
	defer l.recovered()
	if l.kicked.Swap(false) {
		l.early()
	}
}

// recovered ends the stream when the endpoint panicked on a goroutine that is not the pacer's.
func (l *leg) recovered() {
	if p := recover(); p != nil {
		l.s.cfg.Log.Error("an endpoint panicked", "leg", l.info.ID, "panic", p, "stack", string(debug.Stack()))
		l.panicked(fmt.Errorf("panic: %v", p))
	}
}

func (l *leg) unlock() {
	l.tickMu.Unlock()
	l.serveKick()
}

// early takes and sends a frame between two ticks. tickMu is held.
func (l *leg) early() {
	if l.e == nil || l.finished || l.speaking || l.ahead+l.skip > l.s.lead {
		return
	}
	if !l.e.Tick(nil, l.pcmOut[:]) {
		return
	}
	l.ahead, l.skip = l.skip+1, 0
	l.speak(l.s.cfg.Clock.Now(), true)
}

// watch notices a caller from whom nothing comes and a socket that takes nothing.
func (l *leg) watch(now time.Time) {
	quiet := now.Sub(time.Unix(0, l.lastMedia.Load()))
	switch {
	case quiet >= l.s.cfg.MediaTimeout:
		l.s.count("media_timeout")
		l.end(media.Cause{By: "carrier", Code: "media_timeout", Text: "No audio came from the carrier for " + quiet.Round(time.Second).String() + "."},
			websocket.StatusPolicyViolation, "no media")
	case quiet < l.s.cfg.LostAfter:
		l.lostTold = false
	case !l.lostTold:
		l.lostTold = true
		l.e.Event(media.LegEvent{Kind: media.LegLost, At: now, Text: quiet.Round(time.Second).String()})
	}
	if since := l.writeSince.Load(); since != 0 && now.Sub(time.Unix(0, since)) >= l.s.cfg.WriteTimeout {
		l.s.count("write_timeout")
		l.end(media.Cause{By: "carrier", Code: "unreachable", Text: "The carrier stopped reading."}, websocket.StatusPolicyViolation, "write time-out")
	}
}

// emit tells the endpoint, or keeps the event until there is one.
func (l *leg) emit(ev media.LegEvent) {
	l.tickMu.Lock()
	defer l.unlock()
	l.deliver(ev)
}

func (l *leg) deliver(ev media.LegEvent) {
	if ev.At.IsZero() {
		ev.At = l.s.cfg.Clock.Now()
	}
	if l.e != nil {
		l.e.Event(ev)
		return
	}
	l.pending.Add(ev)
}

func (l *leg) signal(sent bool, summary, raw string) {
	l.emit(media.LegEvent{Kind: media.LegSignal, Signal: media.Signal{Sent: sent, Summary: summary, Raw: raw, Peer: l.info.Remote}})
}

// Clear implements media.Leg. It may be called from Tick.
func (l *leg) Clear() {
	if l.out.clear(l.s.cfg.Clock.Now()) {
		l.s.count("clear")
	}
}

// Hangup implements media.Leg. Without a stream the carrier has no instruction left and ends the call
// (https://www.twilio.com/docs/voice/twiml/stream#connect-stream); where there are credentials it is told
// so by REST as well, which holds when the instructions were not ours.
func (l *leg) Hangup(ctx context.Context, cause media.Cause) error {
	select {
	case <-l.done:
		return nil
	default:
	}
	if !l.end(cause, websocket.StatusNormalClosure, "hang-up") || l.s.cfg.Control == nil || l.info.External == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.s.cfg.ControlTimeout)
	defer cancel()
	err := l.s.cfg.Control.Hangup(ctx, l.account, l.info.External)
	if fault.Is(err, fault.NotFound) {
		return nil // no credentials, or over already
	}
	return err
}

// Transfer implements media.Leg by replacing the call's instructions.
func (l *leg) Transfer(ctx context.Context, target string) error {
	twiml, err := dialTwiML(target)
	if err != nil {
		return err
	}
	if l.s.cfg.Control == nil || l.info.External == "" {
		return fault.New(fault.NotPossible, "a stream can be transferred only with the carrier account's credentials; add them to the carrier's settings")
	}
	ctx, cancel := context.WithTimeout(ctx, l.s.cfg.ControlTimeout)
	defer cancel()
	if err := l.s.cfg.Control.Redirect(ctx, l.account, l.info.External, twiml); err != nil {
		return err
	}
	l.end(media.Cause{By: "agent", Code: "normal", Text: "Transferred to " + target + "."}, websocket.StatusNormalClosure, "transferred")
	return nil
}

// Hold implements media.Leg.
func (l *leg) Hold(context.Context, bool) error {
	return fault.New(fault.NotPossible, "a carrier's stream cannot be held; transfer the call instead")
}

// SendDTMF implements media.Leg. The protocol has no message for digits from our side: they are sent as
// tones in the audio (ITU-T Q.23), in place of the agent's.
func (l *leg) SendDTMF(_ context.Context, digits string) error {
	digits = strings.ToUpper(digits)
	if i := strings.IndexFunc(digits, func(r rune) bool { return !strings.ContainsRune(toneDigits+",", r) }); i >= 0 || digits == "" {
		return fault.Field("digits", "%q is not a sequence of 0-9 * # A-D and \",\"", digits)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return fault.New(fault.NotPossible, "the stream has ended")
	}
	if !l.tones.add(digits) {
		return fault.New(fault.RateLimited, "more than %d digits wait to be sent", maxDigits)
	}
	return nil
}

func (l *leg) tone(now time.Time) bool {
	l.mu.Lock()
	ok := l.tones.next(l.pcmOut[:])
	l.mu.Unlock()
	if ok {
		l.out.put(l.pcmOut[:], false, now)
	}
	return ok
}

// SendText implements media.Leg. A phone has nowhere to show it.
func (l *leg) SendText([]byte) {}

// Stats implements media.Leg.
func (l *leg) Stats() media.LegStats {
	sent, dropped, lateOut := l.out.counters()
	waiting, _ := l.in.level()
	return media.LegStats{
		Codec: "PCMU", PacketsIn: l.packetsIn.Load(), PacketsOut: sent,
		Lost: l.lost.Load(), Late: l.late.Load(), Duplicate: l.duplicate.Load(), Malformed: l.malformed.Load(),
		BufferMS: float64(waiting) / 8,
		FramesIn: l.framesIn.Load(), FramesConcealed: l.concealed.Load(), FramesOut: sent, FramesLateOut: lateOut + dropped,
	}
}

// Done implements media.Leg.
func (l *leg) Done() <-chan struct{} { return l.done }

// End implements media.Leg.
func (l *leg) End() media.Cause {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cause
}

// end records the cause, if it is the first, and closes the socket in the background; the reader then
// notices and finishes. It does not block and may be called from Tick.
func (l *leg) end(cause media.Cause, code websocket.StatusCode, reason string) (first bool) {
	l.mu.Lock()
	first = !l.ended
	if first {
		l.ended, l.cause = true, cause
	}
	l.mu.Unlock()
	l.closing.Do(func() {
		l.s.wg.Go(func() {
			defer close(l.shut)
			// Close waits for the far end; a peer that does not answer is cut off.
			cut := l.s.cfg.Clock.AfterFunc(closeWithin, func() { _ = l.conn.CloseNow() }, "close")
			defer cut.Stop()
			_ = l.conn.Close(code, reason)
		})
	})
	return first
}

// finish is the reader's last act: the socket is dead.
func (l *leg) finish(cause media.Cause) {
	l.end(cause, websocket.StatusNormalClosure, "")
	l.mu.Lock()
	l.s.cfg.Pacer.Remove(l.slot)
	cause = l.cause
	l.mu.Unlock()
	close(l.stop)
	l.last(media.LegEvent{Kind: media.LegEnded, Cause: cause})
	close(l.done)
}

func (l *leg) last(ev media.LegEvent) {
	l.tickMu.Lock()
	defer l.unlock()
	defer l.recovered()
	l.finished = true
	l.deliver(ev)
}
