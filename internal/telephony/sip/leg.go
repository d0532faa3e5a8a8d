package sip

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/coder/quartz"
	sipmsg "github.com/emiago/sipgo/sip"
	"github.com/google/uuid"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// legState is where a call stands.
//
//	inbound   incoming ──Answer: 200──► answered ──ACK──► up ──BYE, either way──► ended
//	              ├──Hangup: 3xx-6xx──────────────────────────────────────────────►│
//	              └──CANCEL: 487──────────────────────────────────────────────────►│
//	                            answered ──no ACK in 32 s: BYE────────────────────►│
//	outbound  calling ──200: ACK──► up ──BYE, either way──────────────────────────►│
//	              ├──3xx-6xx, time-out────────────────────────────────────────────►│
//	              └──Hangup: CANCEL──► cancelling ──487, or 200: ACK and BYE──────►│
type legState int

const (
	incoming legState = iota
	calling
	answered
	up
	ended
)

// Bounds of a call's signalling.
const (
	byeWithin      = 2 * time.Second  // we wait for the answer to BYE; the call is over for us before
	transferWithin = 60 * time.Second // from REFER to the last NOTIFY
	ringAfter      = 200 * time.Millisecond
	ringLimit      = 3 * time.Minute // a call that nobody answers
)

// leg is one SIP call. It implements media.Leg.
//
// Locks: mu guards the call. A transaction's lock and the audio's event queue may be taken under it; the
// server's tables and whatever calls back may not.
type leg struct {
	s      *Server
	info   media.LegInfo
	invite *sipmsg.Request // theirs, or the one of ours that was answered
	audio  *audio

	mu       sync.Mutex
	state    legState
	d        dialog
	tx       *serverTx // the INVITE we are sent, until answered
	allow    string    // methods the peer understands
	caps     capability
	agreed   agreed
	localKey string // SDES key of our offer that waits for an answer
	sdp      []byte // the session description we sent last
	weHold   bool
	// encrypted: the phone takes nothing but SRTP
	encrypted bool
	held      bool
	busy      bool // an offer of ours is out, or one of theirs is being served (RFC 3264 section 4)
	acks      ackWait
	refer     *referral
	timer     *quartz.Timer // session timer
	ringing   *quartz.Timer
	attempt   *attempt // outbound, until answered
	cause     media.Cause

	done chan struct{}
}

// ackWait is the 200 of ours that waits for its ACK (RFC 3261 section 13.3.1.4).
type ackWait struct {
	seq      uint32
	raw      []byte
	flow     flow
	interval time.Duration
	began    time.Time
	timer    *quartz.Timer
	offer    bool          // the ACK must bring the answer to our offer
	done     chan struct{} // closed when it came, or the leg ended
	closed   bool
	err      error
}

var (
	_ media.Leg    = (*leg)(nil)
	_ media.Kicker = (*leg)(nil)
)

func newLeg(s *Server, info media.LegInfo) *leg {
	info.ID = uuid.Must(uuid.NewV7()).String()
	info.Kind = media.KindSIP
	l := &leg{s: s, info: info, done: make(chan struct{})}
	l.audio = newAudio(l)
	return l
}

// srtp is the policy for the call's media.
func (l *leg) srtp() srtpPolicy {
	if l.encrypted {
		return srtpRequire
	}
	return l.s.srtp(l.d.flow)
}

// Info implements media.Leg.
func (l *leg) Info() media.LegInfo { return l.info }

// Rate implements media.Leg.
func (l *leg) Rate() int { return l.audio.rate() }

// Done implements media.Leg.
func (l *leg) Done() <-chan struct{} { return l.done }

// End implements media.Leg.
func (l *leg) End() media.Cause {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cause
}

// Start implements media.Leg. A call that is over already only tells e what happened on it.
func (l *leg) Start(e media.Endpoint) error {
	l.mu.Lock()
	state := l.state
	l.mu.Unlock()
	if state == incoming || state == calling {
		return fault.New(fault.NotPossible, "the call is not answered")
	}
	return l.audio.start(e)
}

// Kick implements media.Kicker.
func (l *leg) Kick() { l.audio.kick() }

// Clear implements media.Leg.
func (l *leg) Clear() { l.audio.clear() }

// SendText implements media.Leg. SIP phones have nowhere to show it.
func (l *leg) SendText([]byte) {}

// Stats implements media.Leg.
func (l *leg) Stats() media.LegStats { return l.audio.stats() }

// Answer implements media.Leg.
func (l *leg) Answer(ctx context.Context) error {
	if l.info.Direction == media.Outbound {
		return l.awaitAnswer(ctx)
	}
	return l.accept(ctx)
}

// Hangup implements media.Leg.
func (l *leg) Hangup(ctx context.Context, cause media.Cause) error {
	l.mu.Lock()
	switch l.state {
	case ended:
		l.mu.Unlock()
		return nil
	case incoming:
		status := statusOf(cause)
		cause.Status = status
		tx := l.tx
		l.mu.Unlock()
		l.s.refuse(tx, refuse(status, "%s", cause.Text))
		l.end(cause)
		return nil
	case calling:
		a := l.attempt
		l.mu.Unlock()
		a.cancel(cause)
		return nil
	}
	wait := l.acks.done
	if l.state == up {
		wait = nil
	}
	l.mu.Unlock()
	l.audio.stop()
	if wait != nil {
		// The callee must not send BYE before it has the ACK (RFC 3261 section 15).
		ctx, cancel := context.WithTimeout(ctx, byeWithin)
		select {
		case <-wait:
		case <-ctx.Done():
		}
		cancel()
	}
	err := l.bye(ctx, cause)
	l.end(cause)
	return err
}

// bye sends BYE and waits for its answer, not for long: the call is over whatever it says.
func (l *leg) bye(ctx context.Context, cause media.Cause) error {
	l.mu.Lock()
	if l.state == ended {
		l.mu.Unlock()
		return nil
	}
	l.state = ended // nothing else may be sent in this dialog; end finishes the rest
	req := l.d.request(sipmsg.BYE)
	l.mu.Unlock()
	if cause.Text != "" {
		// RFC 3326: lets the peer's log say why.
		req.AppendHeader(sipmsg.NewHeader("Reason", fmt.Sprintf("SIP;cause=%d;text=%s", statusOf(cause), quote(cause.Text))))
	}
	ctx, cancel := context.WithTimeout(ctx, byeWithin)
	defer cancel()
	_, err := l.send(ctx, req)
	return err
}

// send sends a request of the dialog and waits for its final answer.
func (l *leg) send(ctx context.Context, req *sipmsg.Request) (*sipmsg.Response, error) {
	tx, err := l.prepare(ctx, req)
	if err != nil {
		return nil, err
	}
	res, err := l.s.tx.do(ctx, tx)
	if err == nil && (res.StatusCode == 401 || res.StatusCode == 407) {
		if again, ok := l.authorise(req, res); ok {
			l.s.prepend(again, tx.flow)
			res, err = l.s.tx.do(ctx, &clientTx{req: again, flow: tx.flow, ladder: l})
		}
	}
	if err != nil {
		return nil, fault.Wrap(fault.Timeout, err, "the phone did not answer %s", req.Method)
	}
	return res, nil
}

// authorise answers a trunk that challenges requests within a call too (RFC 3261 section 22.2).
func (l *leg) authorise(req *sipmsg.Request, res *sipmsg.Response) (*sipmsg.Request, bool) {
	if l.attempt == nil {
		return nil, false
	}
	name, value, ok := credentials(res, l.attempt.request.Auth, string(req.Method), req.Recipient.String(), l.s.config.Digest)
	if !ok {
		return nil, false
	}
	again := req.Clone()
	again.RemoveHeader("Via")
	l.mu.Lock()
	l.d.localSeq++
	again.CSeq().SeqNo = l.d.localSeq
	l.mu.Unlock()
	again.AppendHeader(sipmsg.NewHeader(name, value))
	return again, true
}

// prepare addresses a request of the dialog.
func (l *leg) prepare(ctx context.Context, req *sipmsg.Request) (*clientTx, error) {
	l.mu.Lock()
	d := l.d
	l.mu.Unlock()
	f, err := d.hop(ctx, l.s)
	if err != nil {
		return nil, fault.Wrap(fault.Upstream, err, "the phone cannot be reached")
	}
	l.s.dress(req, f, &d)
	return &clientTx{req: req, flow: f, ladder: l}, nil
}

// dress gives a request what every one of ours has: Via, User-Agent, and Contact where it makes or
// refreshes a dialog.
func (s *Server) dress(req *sipmsg.Request, f flow, d *dialog) {
	req.AppendHeader(sipmsg.NewHeader("User-Agent", s.config.Agent))
	switch req.Method {
	case sipmsg.INVITE, sipmsg.UPDATE, sipmsg.REFER:
		req.AppendHeader(s.contact(f, d))
		req.AppendHeader(sipmsg.NewHeader("Allow", methods))
		req.AppendHeader(sipmsg.NewHeader("Supported", supported))
	}
	if req.ContentLength() == nil {
		req.SetBody(nil)
	}
	s.prepend(req, f)
}

// end finishes the leg once: tables, timers, media, the last event.
func (l *leg) end(cause media.Cause) {
	l.mu.Lock()
	if l.cause.Code != "" {
		l.mu.Unlock()
		return
	}
	l.state = ended
	l.cause = cause
	if l.cause.Code == "" {
		l.cause.Code = "normal"
	}
	cause = l.cause
	for _, t := range []*quartz.Timer{l.timer, l.ringing, l.acks.timer} {
		if t != nil {
			t.Stop()
		}
	}
	l.acks.finish(errEnded)
	if l.refer != nil {
		l.refer.finish(errEnded)
	}
	id, invite := l.d.id, l.invite
	l.mu.Unlock()

	l.s.mu.Lock()
	if l.s.legs[id] == l {
		delete(l.s.legs, id)
	}
	if invite != nil && l.info.Direction == media.Inbound {
		delete(l.s.invites, inviteOf(invite))
	}
	l.s.mu.Unlock()
	l.s.count("ended", cause.Code)
	l.audio.end(media.LegEvent{Kind: media.LegEnded, At: l.s.config.Clock.Now(), Cause: cause})
	close(l.done)
}

var errEnded = errors.New("the call is over")

func (a *ackWait) finish(err error) {
	if a.done != nil && !a.closed {
		a.closed = true
		a.err = err
		close(a.done)
	}
}

// signal puts a message on the ladder.
func (l *leg) signal(sent bool, raw []byte, f flow) {
	ev := media.LegEvent{Kind: media.LegSignal, At: l.s.config.Clock.Now(), Signal: media.Signal{
		Sent: sent, Summary: summarise(raw), Raw: redact(raw), Peer: f.String()}}
	l.audio.event(ev)
}

func (l *leg) tell(kind media.LegEventKind, text string) {
	l.audio.event(media.LegEvent{Kind: kind, At: l.s.config.Clock.Now(), Text: text})
}

// owns reports whether a request with this remote tag belongs to the leg's dialog.
func (l *leg) owns(remoteTag string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.d.remoteTag == remoteTag
}

// request serves a request of the dialog (RFC 3261 section 12.2.2).
func (l *leg) request(tx *serverTx, req *sipmsg.Request, f flow) {
	l.mu.Lock()
	if l.state == ended {
		l.mu.Unlock()
		if req.Method == sipmsg.BYE {
			l.s.answer(tx, l.s.response(req, 200)) // both hung up in the same moment
			return
		}
		l.s.refuse(tx, refuse(481, "the call is over"))
		return
	}
	if seq := req.CSeq().SeqNo; seq <= l.d.remoteSeq {
		l.mu.Unlock()
		l.s.refuse(tx, refuse(500, "CSeq %d came after %d", seq, l.d.remoteSeq))
		return
	}
	l.d.remoteSeq = req.CSeq().SeqNo
	if f.reliable() {
		l.d.flow = f
	}
	l.mu.Unlock()
	switch req.Method {
	case sipmsg.BYE:
		l.s.answer(tx, l.s.response(req, 200))
		l.peerEnded()
	case sipmsg.INVITE, sipmsg.UPDATE:
		l.reoffered(tx, req, f)
	case sipmsg.INFO:
		l.infoReceived(tx, req)
	case sipmsg.NOTIFY:
		l.notified(tx, req)
	case sipmsg.OPTIONS:
		l.s.answer(tx, l.s.options(req))
	case sipmsg.REFER:
		// An agent is not sent elsewhere by the caller; it transfers callers itself.
		l.s.refuse(tx, refuse(603, "this side does not take transfers"))
	case sipmsg.PRACK:
		l.s.refuse(tx, refuse(481, "no provisional answer of ours waits for PRACK"))
	default:
		l.s.refuse(tx, refuse(405, "%s is not served in a call", known(req.Method)).with("Allow", methods))
	}
}

// peerEnded ends the leg because the far end hung up.
func (l *leg) peerEnded() {
	l.mu.Lock()
	by := "caller"
	code, text := "normal", "the far end hung up"
	if l.refer != nil && l.refer.accepted {
		code, text = "transferred", "the far end was transferred"
		by = "agent"
	}
	l.mu.Unlock()
	l.end(media.Cause{By: by, Code: code, Status: 200, Text: text})
}

// jitter picks a moment between lo and hi: both sides of a collision must not come back together.
func jitter(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(rand.Int64N(int64(hi-lo)))
}

// remoteAddr is the network address in LegInfo.
func remoteAddr(f flow) string { return f.remote.String() }
