package sip

import (
	"context"
	"errors"
	"net/netip"
	"strings"

	sipmsg "github.com/emiago/sipgo/sip"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// invite serves an INVITE that begins a call (RFC 3261 section 13.3.1).
func (s *Server) invite(tx *serverTx, req *sipmsg.Request, raw []byte, f flow) {
	if s.allowed(f.remote.Addr()) || s.trusts(f) {
		s.newCall(tx, req, raw, f, caller{})
		return
	}
	// A stranger must be a phone of ours; the password is in the store, which may be slow.
	s.waiting(tx, func(ctx context.Context) {
		who, p := s.auth.verify(ctx, req, f)
		if p != nil {
			s.refuse(tx, p)
			return
		}
		s.newCall(tx, req, raw, f, who)
	})
}

// allowed reports whether calls from an address need no credentials.
func (s *Server) allowed(a netip.Addr) bool {
	return within(s.open, a)
}

func within(networks []netip.Prefix, a netip.Addr) bool {
	for _, p := range networks {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// newCall makes a leg of an INVITE and hands it to Accept.
func (s *Server) newCall(tx *serverTx, req *sipmsg.Request, raw []byte, f flow, who caller) {
	l := newLeg(s, inboundInfo(req, f, who.phone))
	l.invite, l.tx, l.state, l.encrypted = req, tx, incoming, who.encrypted
	l.d = dialogFromInvite(req, f, s.token())
	if p := s.checkInvite(req, l.srtp()); p != nil {
		s.refuse(tx, p)
		return
	}
	l.allow = strings.Join(optionTags(req, "Allow"), " ")

	s.mu.Lock()
	p := s.admit(req)
	if p == nil {
		s.legs[l.d.id] = l
		s.invites[inviteOf(req)] = l
	}
	s.mu.Unlock()
	if p != nil {
		s.refuse(tx, p)
		return
	}
	s.count("call", "in")
	l.signal(false, raw, f)
	tx.setLadder(l)
	s.answer(tx, s.response(req, 100))
	l.mu.Lock()
	l.ringing = s.config.Clock.AfterFunc(ringAfter, l.ring, "sip", "ring")
	l.mu.Unlock()
	s.background("call", func(ctx context.Context) {
		defer func() {
			if p := recover(); p != nil {
				l.end(media.Cause{By: "system", Code: "error", Status: 500, Text: "the call's handler failed"})
				s.refuse(tx, refuse(500, "the call's handler failed"))
				panic(p)
			}
		}()
		s.config.Accept(ctx, l)
	})
}

// checkInvite refuses what can be refused before anybody is asked.
func (s *Server) checkInvite(req *sipmsg.Request, srtp srtpPolicy) *problem {
	if c := req.Contact(); c == nil || c.Address.Host == "" || c.Address.Wildcard {
		return refuse(400, "INVITE needs one Contact that can be reached")
	}
	if p := checkSession(req); p != nil {
		return p
	}
	if len(req.Body()) == 0 {
		return nil
	}
	if t := contentType(req); t != "application/sdp" {
		return refuse(415, "a body of type %q is not taken", t).with("Accept", "application/sdp")
	}
	c := capability{addr: s.Addr(), codecs: s.config.Codecs, srtp: srtp, key: func(int) string { return "" }}
	_, _, err := answerSDP(req.Body(), c, false)
	return asProblem(err)
}

func asProblem(err error) *problem {
	var p *problem
	switch {
	case err == nil:
		return nil
	case errors.As(err, &p):
		return p
	}
	return refuse(500, "%v", err)
}

// admit says whether there is room for one more call. s.mu is held.
func (s *Server) admit(req *sipmsg.Request) *problem {
	switch {
	case s.stopped || s.draining.Load():
		return refuse(503, "the server is about to stop").with("Retry-After", retryAfter)
	case len(s.legs) >= s.config.MaxCalls:
		s.config.Count("overload", "calls")
		return refuse(503, "%d calls are up already", len(s.legs)).with("Retry-After", retryAfter)
	case s.invites[inviteOf(req)] != nil:
		return refuse(482, "this call came by another way already") // RFC 3261 section 8.2.2.2
	}
	return nil
}

// paramHeaders are the headers that are of no use to an agent.
const maxParams = 32

// inboundInfo reads who calls whom.
func inboundInfo(req *sipmsg.Request, f flow, user string) media.LegInfo {
	from := req.From()
	info := media.LegInfo{
		Direction: media.Inbound, From: unescape(from.Address.User), FromName: from.DisplayName,
		To: unescape(req.Recipient.User), External: req.CallID().Value(), Remote: remoteAddr(f), Params: map[string]string{},
	}
	if user != "" {
		info.From = user // what was proven counts, not what was claimed
		info.Params["phone"] = user
	}
	if strings.EqualFold(from.Address.User, "anonymous") || strings.HasSuffix(from.Address.Host, ".invalid") {
		info.From, info.FromName = "", "" // RFC 3323 section 4.1.1.3
	}
	for _, h := range req.Headers() {
		name := strings.ToLower(h.Name())
		if strings.HasPrefix(name, "x-") && len(info.Params) < maxParams {
			info.Params[clip(name, 64)] = clip(h.Value(), 512)
		}
	}
	return info
}

// ring says that the call reached us when nobody answers at once: an agent does, and then the message
// would only be in the way.
func (l *leg) ring() {
	l.mu.Lock()
	ok := l.state == incoming
	tx := l.tx
	if ok {
		l.ringing = l.s.config.Clock.AfterFunc(ringLimit, l.unanswered, "sip", "ring")
	}
	l.mu.Unlock()
	if ok {
		l.s.answer(tx, l.tagged(l.s.response(l.invite, 180)))
	}
}

// unanswered refuses a call that nobody took: a caller that never gives up must not hold a place for ever.
func (l *leg) unanswered() {
	l.s.background("ring", func(ctx context.Context) {
		l.mu.Lock()
		waits := l.state == incoming
		l.mu.Unlock()
		if waits {
			_ = l.Hangup(ctx, media.Cause{By: "system", Code: "no_answer", Status: 480, Text: "nobody answered"})
		}
	})
}

// tagged puts the dialog's tag and Contact into a response to the INVITE.
func (l *leg) tagged(res *sipmsg.Response) *sipmsg.Response {
	if to := res.To(); to != nil {
		to.Params.Add("tag", l.d.id.localTag)
	}
	res.AppendHeader(l.s.contact(l.d.flow, &l.d))
	return res
}

// accept answers the call: 200 with our answer, or with our offer when the INVITE had none
// (RFC 3264, RFC 3261 section 13.3.1.4).
func (l *leg) accept(ctx context.Context) error {
	if err := l.audio.open(l.d.flow); err != nil {
		return fault.Wrap(fault.Unavailable, err, "no port is free for the call's media")
	}
	l.mu.Lock()
	if l.state != incoming {
		l.mu.Unlock()
		return fault.New(fault.NotPossible, "the call is answered already, or is over")
	}
	late, err := l.describe(l.invite.Body())
	if err != nil {
		l.mu.Unlock()
		return err
	}
	res := l.tagged(l.s.response(l.invite, 200))
	res.AppendHeader(sipmsg.NewHeader("Content-Type", "application/sdp"))
	l.startSession(l.invite, res)
	res.SetBody(l.sdp)
	l.state = answered
	l.d.flow.keep(connKept)
	l.awaitAck(l.invite.CSeq().SeqNo, res, late)
	if l.ringing != nil {
		l.ringing.Stop()
	}
	tx, acks := l.tx, l.acks.done
	l.mu.Unlock()
	l.s.mu.Lock()
	delete(l.s.invites, inviteOf(l.invite))
	l.s.mu.Unlock()
	if err := tx.respond(res); err != nil {
		return fault.Wrap(fault.NotPossible, err, "the caller is gone")
	}
	if !late {
		return nil
	}
	select {
	case <-acks:
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.acks.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// describe makes the session description for a peer's offer, and applies what is agreed; without an
// offer it makes one (late is true). l.mu is held.
func (l *leg) describe(offer []byte) (late bool, err error) {
	l.caps = l.audio.capability(l.caps.version + 1)
	if len(offer) == 0 {
		if l.caps.srtp == srtpAccept && l.d.flow.secure() {
			l.caps.srtp = srtpPrefer // there is no second offer to make, should the first be refused
		}
		l.sdp, l.localKey = offerSDP(l.caps, l.ourDirection())
		return true, nil
	}
	body, a, err := answerSDP(offer, l.caps, l.weHold)
	if err != nil {
		return false, err
	}
	l.sdp = body
	return false, l.settle(a)
}

// ourDirection is what we offer. l.mu is held.
func (l *leg) ourDirection() direction {
	if l.weHold {
		return sendOnly
	}
	return sendRecv
}

// settle makes what was agreed true. l.mu is held.
func (l *leg) settle(a agreed) error {
	if err := l.audio.apply(a); err != nil {
		return fault.Wrap(fault.Upstream, err, "the media that were agreed cannot be used")
	}
	l.agreed = a
	if a.held != l.held {
		l.held = a.held
		kind := media.LegResume
		if a.held {
			kind = media.LegHold
		}
		l.tell(kind, "")
	}
	return nil
}

// awaitAck repeats a 200 until its ACK comes (RFC 3261 section 13.3.1.4). l.mu is held.
func (l *leg) awaitAck(seq uint32, res *sipmsg.Response, offer bool) {
	f := l.d.flow
	if l.tx != nil {
		f = l.tx.flow
	}
	if l.acks.timer != nil {
		l.acks.timer.Stop()
	}
	l.acks = ackWait{seq: seq, raw: []byte(res.String()), flow: f, interval: t1, began: l.s.config.Clock.Now(),
		offer: offer, done: make(chan struct{})}
	l.acks.timer = l.s.config.Clock.AfterFunc(t1, l.repeat, "sip", "2xx")
}

// repeat sends the 200 again, or gives up after 64*T1: then the call is ended with BYE.
func (l *leg) repeat() {
	l.mu.Lock()
	if l.acks.closed || l.acks.raw == nil || l.state == ended {
		l.mu.Unlock()
		return
	}
	left := txLife - l.s.config.Clock.Since(l.acks.began)
	if left <= 0 {
		l.acks.finish(errTimeout)
		l.mu.Unlock()
		l.s.background("no ack", func(ctx context.Context) {
			l.audio.stop()
			_ = l.bye(ctx, media.Cause{}) // a peer that does not acknowledge may not answer either
			l.end(media.Cause{By: "system", Code: "unreachable", Status: 408, Text: "the caller never acknowledged our answer"})
		})
		return
	}
	raw, f := l.acks.raw, l.acks.flow
	l.acks.interval = min(2*l.acks.interval, t2)
	l.acks.timer = l.s.config.Clock.AfterFunc(min(l.acks.interval, left), l.repeat, "sip", "2xx")
	l.mu.Unlock()
	l.signal(true, raw, f)
	_ = l.s.send(raw, f) // sent again when it is lost
}

// acked takes the ACK of a 200.
func (l *leg) acked(req *sipmsg.Request) {
	l.mu.Lock()
	if l.state == ended || l.acks.closed || l.acks.done == nil || req.CSeq().SeqNo != l.acks.seq {
		l.mu.Unlock()
		return
	}
	var err error
	if l.acks.offer {
		if err = l.takeAnswer(req); err != nil {
			l.s.count("malformed", "answer")
		}
	}
	if l.state == answered {
		l.state = up
	}
	if l.acks.timer != nil {
		l.acks.timer.Stop()
	}
	l.busy = false
	l.acks.raw = nil
	l.acks.finish(err)
	first := l.agreed.codec.name == ""
	l.mu.Unlock()
	if err != nil && first {
		// There is no way to refuse in an ACK: the call is ended (RFC 3261 section 14.2).
		l.s.background("bad answer", func(ctx context.Context) {
			_ = l.bye(ctx, media.Cause{Code: "not_acceptable", Text: err.Error()})
			l.end(media.Cause{By: "system", Code: "not_acceptable", Status: 488, Text: "the caller's media cannot be used"})
		})
	}
}

// takeAnswer reads the answer in an ACK. l.mu is held.
func (l *leg) takeAnswer(req *sipmsg.Request) error {
	if len(req.Body()) == 0 {
		return refuse(488, "the ACK has no answer to our offer")
	}
	a, err := acceptSDP(req.Body(), l.caps, l.localKey, l.weHold)
	if err != nil {
		return err
	}
	return l.settle(a)
}

// cancelled serves CANCEL: the INVITE is answered 487 unless it was answered already.
func (l *leg) cancelled() {
	l.mu.Lock()
	if l.state != incoming {
		l.mu.Unlock()
		return
	}
	l.state = ended
	tx := l.tx
	l.mu.Unlock()
	l.s.answer(tx, l.tagged(l.s.response(l.invite, 487)))
	l.end(media.Cause{By: "caller", Code: "cancelled", Status: 487, Text: "the caller gave up before we answered"})
}
