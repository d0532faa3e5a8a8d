package sip

import (
	"errors"
	"strconv"

	sipmsg "github.com/emiago/sipgo/sip"
)

// options answers a question about us (RFC 3261 section 11.2).
func (s *Server) options(req *sipmsg.Request) *sipmsg.Response {
	status := 200
	if s.draining.Load() {
		status = 503
	}
	res := s.response(req, status)
	res.AppendHeader(sipmsg.NewHeader("Accept", "application/sdp, application/dtmf-relay"))
	res.AppendHeader(sipmsg.NewHeader("Accept-Encoding", "identity"))
	res.AppendHeader(sipmsg.NewHeader("Accept-Language", "en"))
	return res
}

// response makes a response with the headers every one of ours has.
func (s *Server) response(req *sipmsg.Request, status int) *sipmsg.Response {
	res := sipmsg.NewResponseFromRequest(req, status, reason(status), nil)
	res.SipVersion = "SIP/2.0" // whatever the request said
	if to := res.To(); to != nil && status > 100 {
		if had, _ := req.To().Params.Get("tag"); had == "" {
			to.Params.Add("tag", s.token())
		}
	}
	res.AppendHeader(sipmsg.NewHeader("Server", s.config.Agent))
	if status >= 200 && status < 300 && (req.Method == sipmsg.INVITE || req.Method == sipmsg.OPTIONS) {
		res.AppendHeader(sipmsg.NewHeader("Allow", methods))
		res.AppendHeader(sipmsg.NewHeader("Supported", supported))
	}
	return res
}

// refusal makes the answer to a problem.
func (s *Server) refusal(req *sipmsg.Request, p *problem) *sipmsg.Response {
	res := s.response(req, p.status)
	for _, h := range p.headers {
		res.AppendHeader(h)
	}
	if p.text != "" && p.status != 401 {
		res.AppendHeader(sipmsg.NewHeader("Warning", "399 parley "+quote(p.text)))
	}
	return res
}

func (s *Server) refuse(tx *serverTx, p *problem) {
	s.count("refused", strconv.Itoa(p.status))
	s.answer(tx, s.refusal(tx.req, p))
}

// answer sends a response. An error is the transport's: the peer will ask again, or give up.
func (s *Server) answer(tx *serverTx, res *sipmsg.Response) {
	if err := tx.respond(res); err != nil && !errors.Is(err, errTerminated) {
		s.log.Debug("SIP response not sent", "status", res.StatusCode, "error", err)
	}
}

func (s *Server) leg(id dialogID) *leg {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.legs[id]
}

func (s *Server) legOf(invite *sipmsg.Request) *leg {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.invites[inviteOf(invite)]
}

func inviteOf(req *sipmsg.Request) inviteID {
	tag, _ := req.From().Params.Get("tag")
	return inviteID{req.CallID().Value(), tag, req.CSeq().SeqNo}
}

// known keeps a peer's inventions out of the metrics' labels.
func known(m sipmsg.RequestMethod) string {
	switch m {
	case sipmsg.INVITE, sipmsg.ACK, sipmsg.CANCEL, sipmsg.BYE, sipmsg.OPTIONS, sipmsg.INFO, sipmsg.UPDATE, sipmsg.REFER,
		sipmsg.NOTIFY, sipmsg.REGISTER, sipmsg.PRACK, sipmsg.SUBSCRIBE, sipmsg.PUBLISH, sipmsg.MESSAGE:
		return string(m)
	}
	return "other"
}
