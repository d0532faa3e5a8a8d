package sip

import (
	"context"
	"errors"
	"strings"

	sipmsg "github.com/emiago/sipgo/sip"
)

// receive takes one datagram, or one message of a stream. It parses, and leaves the rest to a worker.
func (s *Server) receive(raw []byte, f flow) {
	if len(strings.Trim(string(raw[:min(len(raw), 8)]), "\r\n\x00")) == 0 {
		return // keep-alive
	}
	if s.tooMany(raw, f) {
		return
	}
	s.guard("parse", func() {
		msg, err := s.parser.ParseSIP(raw)
		if err != nil {
			s.broken(raw, f, err)
			return
		}
		j := job{msg: msg, raw: append([]byte(nil), raw...), f: f}
		if !f.reliable() {
			s.enqueue(j)
			return
		}
		select {
		case s.queue(msg) <- j:
		case <-s.done:
		case <-f.conn.done:
		}
	})
}

// broken answers what cannot be parsed, if it can be answered.
func (s *Server) broken(raw []byte, f flow, why error) {
	s.count("malformed", "syntax")
	s.log.Debug("malformed SIP message", "peer", f.String(), "error", why)
	if res := badRequest(raw, why.Error()); res != nil {
		_ = s.send(res, f) // nobody waits for it
	}
}

func (s *Server) work(q chan job) {
	defer s.wg.Done()
	for {
		select {
		case <-s.done:
			return
		case j := <-q:
			s.guard("message", func() { s.handle(j) })
		}
	}
}

func (s *Server) handle(j job) {
	switch m := j.msg.(type) {
	case *sipmsg.Request:
		s.request(m, j.raw, j.f)
	case *sipmsg.Response:
		if !respondable(m) {
			s.count("malformed", "response")
			return
		}
		if s.passOn(s.othersMark(m), j.raw, j.f) {
			return
		}
		branch, _ := m.Via().Params.Get("branch")
		if tx := s.tx.client(txKey{branch: branch, method: string(m.CSeq().MethodName)}); tx != nil {
			tx.received(m, j.raw, j.f)
		} else {
			s.count("stray", "response") // late, or not ours: nothing to do (RFC 3261 section 17.1.1.2)
		}
	}
}

// request takes a request through RFC 3261 section 8.2: is it sound, is it a retransmission, may it be
// served; then to its dialog or to what its method asks for.
func (s *Server) request(req *sipmsg.Request, raw []byte, f flow) {
	if err := wellFormed(req); err != nil {
		s.count("malformed", "request")
		var p *problem
		if errors.As(err, &p) && req.Method != sipmsg.ACK {
			back := stampVia(req, f)
			_ = s.send([]byte(s.refusal(req, p).String()), back)
		}
		return
	}
	s.count("request", known(req.Method))
	if s.passOn(s.othersMark(req), raw, f) {
		return
	}
	back := stampVia(req, f)
	switch req.Method {
	case sipmsg.ACK:
		s.ack(req, raw, f)
		return
	case sipmsg.CANCEL:
		s.cancelRequest(req, raw, back)
		return
	}
	tx, found, err := s.tx.newServer(req, back)
	if found != nil {
		found.retransmitted()
		return
	}
	if err != nil {
		s.count("overload", "transactions")
		_ = s.send([]byte(s.refusal(req, refuse(503, "%v", err).with("Retry-After", retryAfter)).String()), back)
		return
	}
	// Whatever happens below, the transaction gets an answer.
	defer func() {
		if p := recover(); p != nil {
			s.refuse(tx, refuse(500, "this request was too much for us"))
			panic(p)
		}
	}()
	p := admissible(req)
	if p == nil {
		p = s.needsTLS(f)
	}
	if p == nil && req.Recipient.Scheme == "sips" && !f.secure() {
		p = secureOnly("a sips address is reached by TLS")
	}
	if p != nil {
		s.refuse(tx, p)
		return
	}
	if tag, ok := req.To().Params.Get("tag"); ok && tag != "" {
		s.inDialog(tx, req, raw, f, tag)
		return
	}
	s.outOfDialog(tx, req, raw, f)
}

// inDialog gives a request to the call it belongs to.
func (s *Server) inDialog(tx *serverTx, req *sipmsg.Request, raw []byte, f flow, tag string) {
	l := s.leg(dialogID{req.CallID().Value(), tag})
	remote, _ := req.From().Params.Get("tag")
	if l == nil || !l.owns(remote) {
		s.refuse(tx, refuse(481, "no such call"))
		return
	}
	tx.setLadder(l)
	l.signal(false, raw, f)
	l.request(tx, req, f)
}

// outOfDialog serves what does not belong to a call.
func (s *Server) outOfDialog(tx *serverTx, req *sipmsg.Request, raw []byte, f flow) {
	switch req.Method {
	case sipmsg.INVITE:
		s.invite(tx, req, raw, f)
	case sipmsg.OPTIONS:
		s.answer(tx, s.options(req))
	case sipmsg.REGISTER:
		s.waiting(tx, func(ctx context.Context) { s.registrar.register(ctx, tx, req, f) })
	case sipmsg.BYE, sipmsg.INFO, sipmsg.UPDATE, sipmsg.REFER, sipmsg.NOTIFY, sipmsg.PRACK:
		s.refuse(tx, refuse(481, "%s belongs in a call", req.Method))
	default:
		s.refuse(tx, refuse(405, "%s is not served here", known(req.Method)).with("Allow", methods))
	}
}

// waiting serves a request that needs the store, which may be slow: not on a worker, and not without bound.
func (s *Server) waiting(tx *serverTx, f func(ctx context.Context)) {
	select {
	case s.slow <- struct{}{}:
	default:
		s.count("overload", "store")
		s.refuse(tx, refuse(503, "too many requests wait").with("Retry-After", retryAfter))
		return
	}
	s.background("store", func(ctx context.Context) {
		defer func() { <-s.slow }()
		ctx, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		f(ctx)
		if !tx.answered() && tx.req.Method != sipmsg.INVITE {
			s.refuse(tx, refuse(500, "no answer was found"))
		}
	})
}

// ack finds what an ACK acknowledges: a refusal (the transaction) or an answer (the dialog).
func (s *Server) ack(req *sipmsg.Request, raw []byte, f flow) {
	tag, _ := req.To().Params.Get("tag")
	l := s.leg(dialogID{req.CallID().Value(), tag})
	if l != nil {
		l.signal(false, raw, f)
	}
	if tx := s.tx.server(serverKey(req)); tx != nil {
		tx.acked()
	}
	if l != nil {
		l.acked(req)
	}
}

// cancelRequest serves CANCEL (RFC 3261 section 9.2): it names the INVITE by its branch.
func (s *Server) cancelRequest(req *sipmsg.Request, raw []byte, back flow) {
	k := serverKey(req)
	k.method = string(sipmsg.INVITE)
	invite := s.tx.server(k)
	if invite == nil {
		_ = s.send([]byte(s.refusal(req, refuse(481, "nothing to cancel")).String()), back)
		return
	}
	l := s.legOf(invite.req)
	res := s.response(req, 200)
	if l != nil {
		l.signal(false, raw, back)
		if to := res.To(); to != nil {
			to.Params.Add("tag", l.d.id.localTag) // section 9.2: the same tag as the INVITE's answers
		}
	}
	out := []byte(res.String())
	if l != nil {
		l.signal(true, out, back)
	}
	_ = s.send(out, back)
	if l != nil {
		l.cancelled()
	}
}
