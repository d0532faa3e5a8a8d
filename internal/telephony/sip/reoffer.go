package sip

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// Offers within a call: re-INVITE (RFC 3261 section 14) and UPDATE (RFC 3311), theirs and ours. At most
// one offer is open at a time (RFC 3264 section 4); a second one is answered 491, ours then waits and tries
// again.

// reoffered serves a re-INVITE or UPDATE of the peer.
func (l *leg) reoffered(tx *serverTx, req *sipmsg.Request, f flow) {
	invite := req.Method == sipmsg.INVITE
	if p := checkSession(req); p != nil {
		l.s.refuse(tx, p)
		return
	}
	if len(req.Body()) > 0 && contentType(req) != "application/sdp" {
		l.s.refuse(tx, refuse(415, "a body of type %q is not taken", contentType(req)).with("Accept", "application/sdp"))
		return
	}
	l.mu.Lock()
	switch {
	case l.state != up && l.state != answered:
		l.mu.Unlock()
		l.s.refuse(tx, refuse(491, "the call is not answered yet"))
		return
	case l.busy && (invite || len(req.Body()) > 0):
		l.mu.Unlock()
		l.s.refuse(tx, refuse(491, "another offer is open")) // RFC 3261 section 14.2
		return
	case invite && l.acks.raw != nil:
		l.mu.Unlock()
		// The answer to the last INVITE is not acknowledged yet (RFC 3261 section 14.2).
		l.s.refuse(tx, refuse(500, "the last INVITE is not over").with("Retry-After", "1"))
		return
	}
	l.d.retarget(req.Contact())
	res := l.s.response(req, 200)
	res.AppendHeader(l.s.contact(f, &l.d))
	if invite || len(req.Body()) > 0 {
		if err := l.reanswer(req, res); err != nil {
			l.mu.Unlock()
			l.s.refuse(tx, asProblem(err))
			return
		}
	}
	l.startSession(req, res)
	if invite {
		late := len(req.Body()) == 0
		l.busy = late // our offer is open until the ACK
		l.tx = tx
		l.awaitAck(req.CSeq().SeqNo, res, late)
	}
	l.mu.Unlock()
	l.s.answer(tx, res)
}

// reanswer puts our session description into res. An offer that cannot be taken leaves the call as it is.
// l.mu is held.
func (l *leg) reanswer(req *sipmsg.Request, res *sipmsg.Response) error {
	caps, sdp, key := l.caps, l.sdp, l.localKey
	if _, err := l.describe(req.Body()); err != nil {
		l.caps, l.sdp, l.localKey = caps, sdp, key
		return err
	}
	res.AppendHeader(sipmsg.NewHeader("Content-Type", "application/sdp"))
	res.SetBody(l.sdp)
	return nil
}

// reinviteTries bounds how often we come back after a 491.
const reinviteTries = 4

// Hold implements media.Leg (RFC 3264 section 8.4).
func (l *leg) Hold(ctx context.Context, on bool) error {
	l.mu.Lock()
	if l.state != up && l.state != answered {
		l.mu.Unlock()
		return fault.New(fault.NotPossible, "the call is not answered, or is over")
	}
	if l.weHold == on {
		l.mu.Unlock()
		return nil
	}
	l.mu.Unlock()
	return l.reinvite(ctx, func() { l.weHold = on })
}

// reinvite sends the peer a new offer. change is applied to the leg when the offer is made, under its lock,
// and undone when the peer refuses.
func (l *leg) reinvite(ctx context.Context, change func()) error {
	for try := 1; ; try++ {
		status, err := l.reinviteOnce(ctx, change)
		if err != nil || status < 300 {
			return err
		}
		if status != 491 || try == reinviteTries {
			return fault.New(fault.Upstream, "the phone refused to change the call: %d %s", status, reason(status))
		}
		if err := l.pause(ctx); err != nil {
			return err
		}
	}
}

// pause waits as long as RFC 3261 section 14.1 says after a 491: longer on the side that owns the Call-ID.
func (l *leg) pause(ctx context.Context) error {
	d := jitter(10*time.Millisecond, 2*time.Second)
	if l.attemptOwner() {
		d = jitter(2100*time.Millisecond, 4*time.Second)
	}
	t := l.s.config.Clock.NewTimer(d, "sip", "491")
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-l.done:
		return errEnded
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reinviteOnce sends one re-INVITE and gives its status.
func (l *leg) reinviteOnce(ctx context.Context, change func()) (int, error) {
	if err := l.confirmed(ctx); err != nil {
		return 0, err
	}
	l.mu.Lock()
	if l.state != up || l.busy {
		state := l.state
		l.mu.Unlock()
		if state != up {
			return 0, fault.New(fault.NotPossible, "the call is over")
		}
		return 491, nil
	}
	l.busy = true
	hold, caps, sdp, key := l.weHold, l.caps, l.sdp, l.localKey
	change()
	l.caps = l.audio.capability(l.caps.version + 1)
	l.caps.codecs = l.reofferCodecs()
	l.caps.srtp = srtpAccept
	if l.agreed.suite != "" {
		l.caps.srtp, l.caps.avp = srtpRequire, l.agreed.avp
	}
	l.sdp, l.localKey = offerSDP(l.caps, l.ourDirection())
	req := l.d.request(sipmsg.INVITE)
	req.AppendHeader(sipmsg.NewHeader("Content-Type", "application/sdp"))
	req.SetBody(l.sdp)
	l.mu.Unlock()

	res, err := l.send(ctx, req)
	if err == nil && res.StatusCode < 300 {
		return res.StatusCode, l.reinvited(ctx, res)
	}
	l.mu.Lock()
	l.busy = false
	l.weHold, l.caps, l.sdp, l.localKey = hold, caps, sdp, key
	l.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return res.StatusCode, nil
}

// confirmed waits until the call is up: a dialog must be acknowledged before it can be changed.
func (l *leg) confirmed(ctx context.Context) error {
	l.mu.Lock()
	state, wait := l.state, l.acks.done
	l.mu.Unlock()
	if state == answered && wait != nil {
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		}
		l.mu.Lock()
		state = l.state
		l.mu.Unlock()
	}
	if state != up {
		return fault.New(fault.NotPossible, "the call is not answered, or is over")
	}
	return nil
}

// reofferCodecs puts the codec in use first: a hold must not change it. l.mu is held.
func (l *leg) reofferCodecs() []string {
	out := []string{l.agreed.codec.name}
	for _, c := range l.s.config.Codecs {
		if c != out[0] {
			out = append(out, c)
		}
	}
	return out
}

// reinvited takes the 200 to our re-INVITE: it is acknowledged whatever it says.
func (l *leg) reinvited(ctx context.Context, res *sipmsg.Response) error {
	l.mu.Lock()
	l.d.retarget(res.Contact())
	a, err := acceptSDP(res.Body(), l.caps, l.localKey, l.weHold)
	if err == nil {
		err = l.settle(a)
	}
	l.busy = false
	l.followSession(res)
	ack := l.d.requestSeq(sipmsg.ACK, res.CSeq().SeqNo)
	l.mu.Unlock()
	if sendErr := l.acknowledge(ctx, ack); sendErr != nil {
		return sendErr
	}
	if err != nil {
		return fault.Wrap(fault.Upstream, err, "the phone's answer cannot be used")
	}
	return nil
}

// acknowledge sends an ACK for 2xx: a message of its own, without a transaction (RFC 3261 section 13.2.2.4).
func (l *leg) acknowledge(ctx context.Context, ack *sipmsg.Request) error {
	tx, err := l.prepare(ctx, ack)
	if err != nil {
		return err
	}
	raw := []byte(ack.String())
	l.signal(true, raw, tx.flow)
	return l.s.send(raw, tx.flow)
}

// infoReceived serves INFO: DTMF as application/dtmf-relay ("Signal=5\r\nDuration=160", the form of Cisco's
// gateways) or application/dtmf ("5"). Whatever else it holds is refused or ignored, and harms nothing.
func (l *leg) infoReceived(tx *serverTx, req *sipmsg.Request) {
	switch t := contentType(req); t {
	case "application/dtmf-relay", "application/dtmf":
		digit, ok := parseDTMF(req.Body())
		if !ok {
			l.s.count("malformed", "dtmf")
			l.s.refuse(tx, refuse(400, "the body names no digit"))
			return
		}
		l.audio.digit(digit)
		l.s.answer(tx, l.s.response(req, 200))
	case "":
		if len(req.Body()) > 0 {
			l.s.refuse(tx, refuse(415, "Content-Type is missing").with("Accept", "application/dtmf-relay"))
			return
		}
		l.s.answer(tx, l.s.response(req, 200)) // RFC 6086 section 4.2.2: an empty INFO is a sign of life
	default:
		l.s.refuse(tx, refuse(415, "INFO of type %q is not taken", t).with("Accept", "application/dtmf-relay"))
	}
}

// parseDTMF reads the digit of an INFO body.
func parseDTMF(body []byte) (byte, bool) {
	body = body[:min(len(body), 256)]
	for line := range bytes.Lines(body) {
		text := strings.TrimSpace(string(line))
		if k, v, ok := strings.Cut(text, "="); ok {
			if !strings.EqualFold(strings.TrimSpace(k), "signal") {
				continue
			}
			text = strings.TrimSpace(v)
		}
		switch strings.ToUpper(text) {
		case "10":
			return '*', true
		case "11":
			return '#', true
		}
		if len(text) == 1 && strings.Contains("0123456789*#ABCD", strings.ToUpper(text)) {
			return strings.ToUpper(text)[0], true
		}
		return 0, false
	}
	return 0, false
}

// SendDTMF implements media.Leg: telephone-event (RFC 4733) where the peer takes it, else INFO.
func (l *leg) SendDTMF(ctx context.Context, digits string) error {
	for _, d := range digits {
		if !strings.ContainsRune("0123456789*#ABCDabcd,", d) {
			return fault.Field("digits", "%q is not a digit; use 0-9 * # A-D, and a comma to wait half a second", d)
		}
	}
	l.mu.Lock()
	state, events := l.state, l.agreed.dtmf != 0
	l.mu.Unlock()
	if state != up && state != answered {
		return fault.New(fault.NotPossible, "the call is not answered, or is over")
	}
	if events {
		return l.audio.sendDTMF(ctx, strings.ToUpper(digits))
	}
	for _, d := range strings.ToUpper(digits) {
		if err := l.infoDigit(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

const (
	digitLength = 160 * time.Millisecond
	digitPause  = 500 * time.Millisecond
)

func (l *leg) infoDigit(ctx context.Context, d rune) error {
	if d == ',' {
		t := l.s.config.Clock.NewTimer(digitPause, "sip", "dtmf")
		defer t.Stop()
		select {
		case <-t.C:
			return nil
		case <-l.done:
			return errEnded
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	l.mu.Lock()
	if l.state == ended {
		l.mu.Unlock()
		return errEnded
	}
	req := l.d.request(sipmsg.INFO)
	l.mu.Unlock()
	req.AppendHeader(sipmsg.NewHeader("Content-Type", "application/dtmf-relay"))
	req.SetBody([]byte(fmt.Sprintf("Signal=%c\r\nDuration=%s\r\n", d, strconv.Itoa(int(digitLength.Milliseconds())))))
	res, err := l.send(ctx, req)
	if err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		return fault.New(fault.Upstream, "the phone takes no digits: %d %s", res.StatusCode, reason(res.StatusCode))
	}
	return nil
}
