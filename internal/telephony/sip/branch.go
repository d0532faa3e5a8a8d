package sip

import (
	"context"
	"fmt"
	"strings"

	sipmsg "github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"

	"github.com/parley-voice/parley/internal/media"
)

// describe makes the branch's offer. Where the signalling is encrypted, keys are offered first.
func (b *branch) describe(srtp bool) {
	b.caps.srtp = srtpAccept
	if srtp {
		b.caps.srtp = srtpRequire
	}
	b.offer, b.key = offerSDP(b.caps, sendRecv)
}

// invite sends the branch's INVITE, with credentials when it was challenged.
func (b *branch) invite(header, credentials string) {
	l := b.a.l
	l.mu.Lock()
	l.d.localSeq++
	b.seq = l.d.localSeq
	d := l.d
	d.remoteTarget, d.remoteTag, d.routes = b.target, "", nil
	if trunk := b.a.request.Trunk; trunk != nil {
		d.routes = trunk.route()
	}
	req := d.requestSeq(sipmsg.INVITE, b.seq)
	l.mu.Unlock()
	if credentials != "" {
		req.AppendHeader(sipmsg.NewHeader(header, credentials))
	}
	for name, value := range b.a.request.Headers {
		req.AppendHeader(sipmsg.NewHeader(name, value))
	}
	if trunk := b.a.request.Trunk; trunk != nil && trunk.Assert {
		req.AppendHeader(sipmsg.NewHeader("P-Asserted-Identity", asserted(&d)))
	}
	req.AppendHeader(sipmsg.NewHeader("Session-Expires", fmt.Sprint(int(sessionDefault.Seconds()))))
	req.AppendHeader(sipmsg.NewHeader("Content-Type", "application/sdp"))
	req.SetBody(b.offer)
	l.s.dress(req, b.flow, &d)
	tx := &clientTx{req: req, flow: b.flow, ladder: l}
	tx.onResponse = b.answered
	tx.onFail = func(error) { b.finish(408) }
	l.mu.Lock()
	b.req, b.tx, b.provisional, b.cancelSent = req, tx, false, false
	l.mu.Unlock()
	if err := l.s.tx.request(tx); err != nil {
		l.s.log.Info("SIP call not sent", "to", b.target.String(), "error", err)
		b.finish(503)
	}
}

// answered takes a response to the branch's INVITE.
func (b *branch) answered(res *sipmsg.Response) {
	b.a.l.mu.Lock()
	b.heard = true
	b.a.l.mu.Unlock()
	switch code := res.StatusCode; {
	case code < 200:
		b.ringing(res)
	case code < 300:
		b.accepted(res)
	case code < 400 && b.a.request.Trunk != nil: // it was asked to bring the call there, not to say who else might
		b.finish(code)
	case code < 400:
		b.redirected(res)
	case code == 401 || code == 407:
		b.challenged(res)
	case code == 488 || code == 415 || code == 606:
		b.unencrypted(code)
	default:
		b.finish(code)
	}
}

// unencrypted offers plain media to a phone that refused SRTP, unless nothing else will do. Nobody else can have made
// it refuse: the answer came by TLS.
func (b *branch) unencrypted(status int) {
	l := b.a.l
	l.mu.Lock()
	again := b.caps.srtp == srtpRequire && !b.encrypted && !b.a.over
	if again {
		b.describe(false)
		b.early, b.auths = nil, 0
	}
	l.mu.Unlock()
	if !again {
		b.finish(status)
		return
	}
	b.invite("", "")
}

func (b *branch) ringing(res *sipmsg.Response) {
	l := b.a.l
	l.mu.Lock()
	b.provisional = true
	if len(res.Body()) > 0 && contentType(res) == "application/sdp" {
		b.early = res.Body()
	}
	over := b.a.over
	l.mu.Unlock()
	if over {
		b.cancel()
	}
}

// accepted takes a 2xx: the first wins, its repetitions are acknowledged again, every other one is
// acknowledged and hung up (RFC 3261 section 13.2.2.4).
func (b *branch) accepted(res *sipmsg.Response) {
	a, l := b.a, b.a.l
	tag, _ := res.To().Params.Get("tag")
	l.mu.Lock()
	if a.won == b && b.tag == tag {
		ack := b.ack
		l.mu.Unlock()
		if ack != nil {
			l.signal(true, ack, b.flow)
			_ = l.s.send(ack, b.flow)
		}
		return
	}
	if a.over {
		l.mu.Unlock()
		b.spurn(res)
		return
	}
	a.over, a.won, b.tag = true, b, tag
	a.timer.Stop()
	l.invite = b.req
	l.d.confirm(res, b.flow)
	l.allow = strings.Join(optionTags(res, "Allow"), " ")
	ack := l.d.requestSeq(sipmsg.ACK, b.seq)
	body := res.Body()
	if len(body) == 0 {
		body = b.early
	}
	l.caps, l.sdp, l.localKey = b.caps, b.offer, b.key
	got, err := acceptSDP(body, l.caps, l.localKey, false)
	if err == nil {
		err = l.settle(got)
	}
	l.state = up
	b.flow.keep(connKept)
	l.followSession(res)
	a.err = err
	l.mu.Unlock()
	l.s.background("answered", func(ctx context.Context) { b.confirm(ctx, ack, err) })
}

// confirm acknowledges the answer that won and calls off the other branches. An answer that cannot be
// used is hung up.
func (b *branch) confirm(ctx context.Context, ack *sipmsg.Request, bad error) {
	a, l := b.a, b.a.l
	if tx, err := l.prepare(ctx, ack); err == nil {
		raw := []byte(ack.String())
		l.mu.Lock()
		b.ack = raw
		l.mu.Unlock()
		l.signal(true, raw, tx.flow)
		_ = l.s.send(raw, tx.flow) // the 2xx comes again when it is lost
	}
	a.callOff(b)
	if bad != nil {
		_ = l.bye(ctx, media.Cause{Code: "not_acceptable", Text: bad.Error()})
		l.end(media.Cause{By: "system", Code: "not_acceptable", Status: 488, Text: bad.Error()})
	}
	close(a.done)
}

// spurn acknowledges and ends a dialog we do not want.
func (b *branch) spurn(res *sipmsg.Response) {
	l := b.a.l
	l.mu.Lock()
	d := l.d
	l.mu.Unlock()
	d.confirm(res, b.flow)
	d.localSeq = b.seq
	ack, bye := d.requestSeq(sipmsg.ACK, b.seq), d.request(sipmsg.BYE)
	l.s.background("spurn", func(ctx context.Context) {
		f, err := d.hop(ctx, l.s)
		if err != nil {
			f = b.flow
		}
		l.s.dress(ack, f, &d)
		l.s.dress(bye, f, &d)
		_ = l.s.send([]byte(ack.String()), f)
		// Nobody waits for the answer; the transaction repeats BYE until there is one.
		_ = l.s.tx.request(&clientTx{req: bye, flow: f})
	})
}

// redirected follows a 3xx (RFC 3261 section 8.1.3.4).
func (b *branch) redirected(res *sipmsg.Response) {
	l := b.a.l
	var uris []sipmsg.Uri
	for _, h := range res.GetHeaders("Contact") {
		if c, ok := h.(*sipmsg.ContactHeader); ok && c.Address.Host != "" && (c.Address.Scheme == "sips" ||
			// What was asked for by sips is not looked for elsewhere without (RFC 5630 section 5.1.1.1).
			(b.target.Scheme != "sips" && (c.Address.Scheme == "sip" || c.Address.Scheme == ""))) {
			u := *c.Address.Clone()
			u.Headers = nil
			uris = append(uris, u)
		}
	}
	l.s.background("redirect", func(ctx context.Context) {
		var hops []hop
		for _, u := range uris[:min(len(uris), maxTargets)] {
			if f, err := l.s.resolve(ctx, u); err == nil {
				hops = append(hops, hop{uri: u, flow: f})
			}
		}
		b.a.try(hops)
		b.finish(480)
	})
}

// challenged answers a 401 or 407 (RFC 3261 section 22).
func (b *branch) challenged(res *sipmsg.Response) {
	name, value, ok := credentials(res, b.a.request.Auth, "INVITE", b.target.String(), b.a.l.s.config.Digest)
	b.a.l.mu.Lock()
	b.auths++
	again := ok && !b.a.over && (b.auths == 1 || (b.auths <= maxAuthTries && isStale(res, b.a.l.s.config.Digest)))
	b.a.l.mu.Unlock()
	if !again {
		b.finish(res.StatusCode)
		return
	}
	b.invite(name, value)
}

// credentials makes the header that answers a 401 or 407 by one of the algorithms.
func credentials(res *sipmsg.Response, auth Auth, method, uri string, algorithms []string) (name, value string, ok bool) {
	ask, name := challengeHeaders(res)
	chal := pickChallenge(res.GetHeaders(ask), algorithms)
	if chal == nil || auth.Username == "" {
		return "", "", false
	}
	cred, err := digest.Digest(chal, digest.Options{Method: method, URI: uri, Username: auth.Username, Password: auth.Password})
	if err != nil {
		return "", "", false
	}
	return name, cred.String(), true
}

func challengeHeaders(res *sipmsg.Response) (ask, reply string) {
	if res.StatusCode == 407 {
		return "Proxy-Authenticate", "Proxy-Authorization"
	}
	return "WWW-Authenticate", "Authorization"
}

// isStale reports whether only the nonce was refused, because of its age (RFC 7616 section 3.3).
func isStale(res *sipmsg.Response, algorithms []string) bool {
	ask, _ := challengeHeaders(res)
	chal := pickChallenge(res.GetHeaders(ask), algorithms)
	return chal != nil && chal.Stale
}

// answers reports whether we answer challenges of an algorithm. A server may know SHA-512, which is no weaker than what we offer.
func answers(algorithms []string, name string) bool {
	return takes(algorithms, name) || name != "" && !strings.EqualFold(name, "MD5") && !strings.EqualFold(name, "MD5-sess")
}

// pickChallenge takes the strongest challenge we can answer, of the algorithms that we do (RFC 8760 section 2.4).
func pickChallenge(hs []sipmsg.Header, algorithms []string) *digest.Challenge {
	var best *digest.Challenge
	for _, h := range hs {
		c, err := digest.ParseChallenge(h.Value())
		if err != nil || !digest.CanDigest(c) || !answers(algorithms, c.Algorithm) {
			continue
		}
		if best == nil || (strings.EqualFold(c.Algorithm, "SHA-256") && !strings.EqualFold(best.Algorithm, "SHA-256")) {
			best = c
		}
	}
	return best
}
