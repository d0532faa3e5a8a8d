package sip

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/coder/quartz"
	sipmsg "github.com/emiago/sipgo/sip"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Auth is what a server that challenges us is told.
type Auth struct{ Username, Password string }

// DialRequest says whom to call, and how.
type DialRequest struct {
	To       string            // SIP URI, or the user name of a registered phone
	From     string            // user part of our From; default "parley"
	FromName string            // display name
	Auth     Auth              // for servers that challenge
	Headers  map[string]string // more headers of the INVITE; names are X-...
	Codecs   []string          // default: the server's
	SRTP     bool              // offer RTP/SAVP
	Ring     time.Duration     // how long it may ring; default 60 s
	// Trunk is what the call goes through; To is then the number as the trunk wants it, and Auth and SRTP are the trunk's.
	Trunk *Trunk
	// CallID begins the Call-ID, so that a carrier's list of calls can be compared with ours; default: random.
	CallID string
}

const (
	ringDefault  = 60 * time.Second
	maxTargets   = 10 // phones rung for one call, redirections included (RFC 3261 section 8.1.3.4)
	maxAuthTries = 2  // the second is for a nonce that went stale
)

// attempt is a call of ours on its way: one or more INVITEs, of which the first answered wins. leg.mu
// guards it.
type attempt struct {
	l        *leg
	request  DialRequest
	branches []*branch
	tried    map[string]bool
	open     int // branches without a final answer
	best     int // status of the most telling refusal (RFC 3261 section 16.7)
	over     bool
	won      *branch
	err      error
	done     chan struct{} // closed when it is over
	timer    *quartz.Timer
}

// branch is one INVITE of an attempt.
type branch struct {
	a           *attempt
	target      sipmsg.Uri
	flow        flow
	caps        capability
	offer       []byte
	key         string // SDES key of the offer
	encrypted   bool   // nothing without SRTP will do
	seq         uint32
	req         *sipmsg.Request
	tx          *clientTx
	provisional bool
	heard       bool // any answer came
	cancelSent  bool
	finished    bool
	auths       int
	early       []byte // session description of a provisional answer
	ack         []byte // of the answer that won, to repeat
	tag         string // its To tag
}

// Dial places a call. It returns as soon as the INVITE is out; the leg's Answer waits for the far end.
func (s *Server) Dial(ctx context.Context, r DialRequest) (media.Leg, error) {
	if r.From == "" {
		r.From = "parley"
	}
	if r.Ring <= 0 {
		r.Ring = ringDefault
	}
	for _, c := range r.Codecs {
		if _, ok := codecs[c]; !ok {
			return nil, fault.Field("codecs", "codec %q is not known; use g722, pcmu, pcma or opus", c)
		}
	}
	for name, value := range r.Headers {
		if !strings.HasPrefix(strings.ToLower(name), "x-") || strings.ContainsAny(name+value, "\r\n\x00") || strings.ContainsAny(name, " :\t") {
			return nil, fault.Field("headers", "header %q cannot be set; use names that begin with X- and values of one line", name)
		}
	}
	if strings.ContainsAny(r.From+r.FromName, "\r\n\x00\"<>") {
		return nil, fault.Field("from", "the caller's name may not hold quotes, brackets or line ends")
	}
	if strings.Trim(strings.ToLower(r.CallID), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || len(r.CallID) > 100 {
		return nil, fault.Field("callId", "a Call-ID begins with letters, digits and hyphens here")
	}
	var uri sipmsg.Uri
	var hops []hop
	var err error
	if r.Trunk != nil {
		r.Auth, r.SRTP = r.Trunk.Auth, r.Trunk.SRTP
		uri, hops, err = s.through(ctx, r.Trunk, r.To)
	} else {
		uri, hops, err = s.route(ctx, r.To)
	}
	if err != nil {
		return nil, err
	}
	return s.place(r, uri, hops)
}

// hop is one place to send an INVITE to.
type hop struct {
	uri       sipmsg.Uri
	flow      flow
	encrypted bool // the phone takes SRTP only
}

// route finds where a call to text goes: a registered phone's contacts, or the URI's own address.
func (s *Server) route(ctx context.Context, text string) (sipmsg.Uri, []hop, error) {
	uri, err := s.target(text)
	if err != nil {
		return uri, nil, err
	}
	if s.ours(uri) {
		hops := s.phoneHops(ctx, uri.User)
		if uri.Scheme == "sips" {
			hops = slices.DeleteFunc(hops, func(h hop) bool { return !h.flow.secure() })
		}
		if len(hops) > 0 {
			return uri, hops, nil
		}
		// Without a port the address may be another server's beside us, at the usual port: a user agent that has no
		// phones of its own calls that one.
		if uri.Port == 0 && s.config.Phones != nil {
			return uri, nil, notRegistered(uri.User)
		}
	}
	f, err := s.resolve(ctx, uri)
	if err != nil {
		return uri, nil, fault.Wrap(fault.Upstream, err, "%s cannot be reached", uri.String())
	}
	return uri, []hop{{uri: uri, flow: f}}, nil
}

// phoneHops gives the ways to a user's phones, here and at other servers.
func (s *Server) phoneHops(ctx context.Context, user string) (hops []hop) {
	here := s.registrar.contacts(user)
	others, stale := s.elsewhere(ctx, user, here)
	for _, c := range here {
		if h, ok := s.contactHop(ctx, c); ok && !stale[c.URI] {
			hops = append(hops, h)
		}
	}
	return append(hops, others...)
}

// contactHop is how a registered phone is reached: back where its registration came from, which works
// through NAT too.
func (s *Server) contactHop(ctx context.Context, c Contact) (hop, bool) {
	var uri sipmsg.Uri
	if err := sipmsg.ParseUri(c.URI, &uri); err != nil {
		return hop{}, false
	}
	source, err := netip.ParseAddrPort(c.Source)
	if err != nil {
		return hop{}, false
	}
	h := hop{uri: uri, flow: flow{remote: source}, encrypted: c.Encrypted}
	switch c.Transport {
	case "tls":
		h.flow.conn = c.conn
		return h, c.conn != nil && c.conn.open()
	case "tcp":
		if h.flow, err = s.transport.dial(ctx, source); err != nil {
			h.flow, err = s.resolve(ctx, uri)
		}
	}
	return h, err == nil && !c.Encrypted && s.needsTLS(h.flow) == nil
}

// ours reports whether a URI names a phone of this server.
func (s *Server) ours(u sipmsg.Uri) bool {
	own := s.Addr()
	host := strings.ToLower(u.Host)
	port := u.Port == 0 || u.Port == int(own.Port())
	if at := s.TLSAddr(); at.IsValid() {
		port = port || u.Port == int(at.Port())
	}
	return u.User != "" && port &&
		(host == strings.ToLower(s.config.Realm) || host == strings.ToLower(s.config.Host) || host == own.Addr().String() || host == "localhost")
}

// Phone gives the user name of the registered phone that a call to text would ring; ok is false when it would
// go elsewhere, or nowhere.
func (s *Server) Phone(ctx context.Context, text string) (username string, ok bool) {
	uri, err := s.target(text)
	if err != nil || !s.ours(uri) {
		return "", false
	}
	if len(s.registrar.contacts(uri.User)) > 0 {
		return uri.User, true
	}
	hops, _ := s.elsewhere(ctx, uri.User, nil)
	return uri.User, len(hops) > 0
}

// target reads a SIP URI, or the user name of a phone.
func (s *Server) target(text string) (sipmsg.Uri, error) {
	var uri sipmsg.Uri
	text = strings.TrimSpace(text)
	if strings.ContainsAny(text, "\r\n\x00<> ") || text == "" || len(text) > 512 {
		return uri, fault.Field("to", "%q is not a SIP URI; write sip:name@host", clip(text, 100))
	}
	if !strings.Contains(text, ":") && !strings.Contains(text, "@") {
		text = "sip:" + text + "@" + s.config.Realm
	}
	if !strings.Contains(text, ":") || (!strings.HasPrefix(text, "sip:") && strings.Contains(text, "@") && !strings.HasPrefix(text, "sips:")) {
		text = "sip:" + text
	}
	if err := sipmsg.ParseUri(text, &uri); err != nil || uri.Host == "" || uri.Wildcard || (uri.Scheme != "sip" && uri.Scheme != "sips") {
		return uri, fault.Field("to", "%q is not a SIP URI; write sip:name@host or sips:name@host", clip(text, 100))
	}
	uri.Headers = nil // they would become headers of our INVITE (RFC 3261 section 19.1.5)
	return uri, nil
}

// place makes the leg and sends the first INVITEs.
func (s *Server) place(r DialRequest, to sipmsg.Uri, hops []hop) (media.Leg, error) {
	l := newLeg(s, media.LegInfo{Direction: media.Outbound, From: r.From, FromName: r.FromName, To: to.User,
		External: cmp.Or(r.CallID, s.token()) + "@" + s.advertised(hops[0].flow).host, Remote: remoteAddr(hops[0].flow), Params: map[string]string{}})
	local := s.advertised(hops[0].flow)
	l.state = calling
	l.d = dialog{id: dialogID{l.info.External, s.token()}, remote: *to.Clone(),
		local: sipmsg.Uri{Scheme: "sip", User: escape(r.From), Host: local.host}, localName: r.FromName}
	if local.port != 5060 && !hops[0].flow.secure() {
		l.d.local.Port = local.port
	}
	l.d.secure = hops[0].uri.Scheme == "sips"
	if r.Trunk != nil {
		l.info.To = r.To
		l.d.remote = sipmsg.Uri{Scheme: "sip", User: to.User, Host: to.Host} // without what tells the way (RFC 3261 section 19.1.1)
		if r.Trunk.Domain != "" {
			l.d.local.Host, l.d.local.Port = r.Trunk.Domain, 0
		}
	}
	if err := l.audio.open(hops[0].flow); err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "no port is free for the call's media")
	}
	l.caps = l.audio.capability(1)
	if len(r.Codecs) > 0 {
		l.caps.codecs = r.Codecs
	}
	a := &attempt{l: l, request: r, tried: map[string]bool{}, done: make(chan struct{})}
	l.attempt = a
	s.mu.Lock()
	full := s.stopped || s.draining.Load() || len(s.legs) >= s.config.MaxCalls
	if !full {
		s.legs[l.d.id] = l
	}
	s.mu.Unlock()
	if full {
		l.audio.end(media.LegEvent{Kind: media.LegEnded})
		return nil, fault.New(fault.Unavailable, "no more calls are taken now; try again later")
	}
	s.count("call", "out")
	l.mu.Lock()
	a.timer = s.config.Clock.AfterFunc(r.Ring, a.rang, "sip", "ring")
	l.mu.Unlock()
	a.try(hops)
	return l, nil
}

// try sends an INVITE to every hop that was not tried yet.
func (a *attempt) try(hops []hop) {
	l := a.l
	var send []*branch
	l.mu.Lock()
	for _, h := range hops {
		key := h.uri.String()
		if a.over || a.tried[key] || len(a.tried) >= maxTargets {
			continue
		}
		a.tried[key] = true
		b := &branch{a: a, target: h.uri, flow: h.flow, caps: l.caps}
		b.encrypted = a.request.SRTP || h.encrypted || l.s.srtp(h.flow) == srtpRequire
		b.describe(b.encrypted || h.flow.secure())
		a.branches = append(a.branches, b)
		a.open++
		send = append(send, b)
	}
	l.mu.Unlock()
	for _, b := range send {
		b.invite("", "")
	}
	a.settled()
}

// finish ends a branch that was not answered; with the last one the attempt fails.
func (b *branch) finish(status int) {
	a := b.a
	a.l.mu.Lock()
	if b.finished {
		a.l.mu.Unlock()
		return
	}
	b.finished = true
	a.open--
	// A 6xx speaks for all, else the lowest says most (RFC 3261 section 16.7 step 6).
	if a.best == 0 || (status >= 600 && a.best < 600) || (a.best < 600 && status < a.best) {
		a.best = status
	}
	a.l.mu.Unlock()
	a.settled()
}

// settled fails the attempt when no branch is left.
func (a *attempt) settled() {
	l := a.l
	l.mu.Lock()
	if a.over || a.open > 0 {
		l.mu.Unlock()
		return
	}
	a.over = true
	a.timer.Stop()
	cause := a.outOf(cmp.Or(a.best, 404))
	a.err = fault.New(fault.Upstream, "the call was not answered: %s (%d)", cause.Text, cause.Status)
	l.mu.Unlock()
	l.end(cause)
	close(a.done)
}

// rang gives up a call that rang long enough.
func (a *attempt) rang() {
	cause := media.Cause{By: "system", Code: "no_answer", Status: 408, Text: "nobody answered in time"}
	a.l.mu.Lock()
	if a.request.Trunk != nil && a.silent() {
		cause = a.outOf(408)
	}
	a.l.mu.Unlock()
	a.cancel(cause)
}

// cancel calls the attempt off.
func (a *attempt) cancel(cause media.Cause) {
	a.l.mu.Lock()
	if a.over {
		a.l.mu.Unlock()
		return
	}
	a.over = true
	a.timer.Stop()
	a.err = fault.New(fault.Upstream, "the call was called off: %s", cause.Text)
	a.l.mu.Unlock()
	a.callOff(nil)
	a.l.end(cause)
	close(a.done)
}

// callOff cancels every branch but one.
func (a *attempt) callOff(but *branch) {
	a.l.mu.Lock()
	branches := append([]*branch(nil), a.branches...)
	a.l.mu.Unlock()
	for _, b := range branches {
		if b != but {
			b.cancel()
		}
	}
}

// cancel sends CANCEL, once, and only after a provisional answer (RFC 3261 section 9.1): before one, the
// branch waits for it.
func (b *branch) cancel() {
	l := b.a.l
	l.mu.Lock()
	if !b.provisional || b.cancelSent || b.finished || b.tx == nil {
		l.mu.Unlock()
		return
	}
	b.cancelSent = true
	invite, tx := b.req, b.tx
	l.mu.Unlock()
	req := sipmsg.NewRequest(sipmsg.CANCEL, *invite.Recipient.Clone())
	req.AppendHeader(sipmsg.HeaderClone(invite.Via()))
	sipmsg.CopyHeaders("Route", invite, req)
	hops := sipmsg.MaxForwardsHeader(70)
	req.AppendHeader(&hops)
	req.AppendHeader(sipmsg.HeaderClone(invite.From()))
	req.AppendHeader(sipmsg.HeaderClone(invite.To()))
	req.AppendHeader(sipmsg.HeaderClone(invite.CallID()))
	req.AppendHeader(&sipmsg.CSeqHeader{SeqNo: invite.CSeq().SeqNo, MethodName: sipmsg.CANCEL})
	req.SetBody(nil)
	if err := l.s.tx.request(&clientTx{req: req, flow: b.flow, ladder: l}); err != nil {
		l.s.log.Debug("CANCEL not sent", "error", err)
	}
	// A peer that never ends the INVITE is given up after 64*T1 (section 9.1).
	l.s.config.Clock.AfterFunc(txLife, func() { tx.fail(errTimeout) }, "sip", "cancel")
}

// awaitAnswer waits for the far end.
func (l *leg) awaitAnswer(ctx context.Context) error {
	select {
	case <-l.attempt.done:
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.attempt.err
	case <-ctx.Done():
		return fault.Wrap(fault.Timeout, ctx.Err(), "the call was not answered yet")
	}
}

// attemptOwner reports whether we own the Call-ID, which decides who waits longer after a collision.
func (l *leg) attemptOwner() bool { return l.info.Direction == media.Outbound }
