package sip

import (
	"bytes"
	"net/netip"
	"sync"
	"time"

	"github.com/coder/quartz"
	sipmsg "github.com/emiago/sipgo/sip"
)

// Rate is a number of messages in a time: that many may come at once, and over time no more.
type Rate struct {
	Messages int
	Per      time.Duration
}

// Limits of what is remembered of senders.
const (
	floodSenders    = 16384       // addresses with messages in the last Rate.Per; those beyond share one limit
	floodPhones     = 65536       // registered phones that have a limit of their own
	floodTellEvery  = time.Second // a sender is told 503 no more often: an answer for each message would feed the flood
	floodSweepEvery = time.Second
	// answersMore: one request of ours has many responses, and a carrier answers all our calls from one address.
	answersMore = 20
)

// flood limits what one sender may send, before it is parsed. Senders are addresses, or IPv6 /64s; a registered phone is
// a sender of its own by address and port, so that what else comes from its network does not shut it out.
type flood struct {
	clock quartz.Clock
	rate  Rate

	mu      sync.Mutex
	senders map[sender]*allowance
	rest    map[bool]*allowance // of senders that found no place, by sender.answers
	phones  map[netip.AddrPort]time.Time
	swept   time.Time
}

// sender has no port, unless it is a registered phone.
type sender struct {
	at      netip.AddrPort
	answers bool // responses, not requests
}

// allowance is a token bucket kept as a time (the generic cell rate algorithm): when everything that came is paid for.
type allowance struct{ paid, told time.Time }

// verdict is what becomes of a message.
type verdict int

const (
	floodPass verdict = iota
	floodTell         // refuse it with 503
	floodDrop         // say nothing
)

func newFlood(r Rate, clock quartz.Clock) *flood {
	return &flood{clock: clock, rate: r, senders: map[sender]*allowance{}, rest: map[bool]*allowance{false: {}, true: {}},
		phones: map[netip.AddrPort]time.Time{}}
}

// judge counts a message.
func (l *flood) judge(raw []byte, from netip.AddrPort) verdict {
	if l.rate.Messages <= 0 || l.rate.Per <= 0 {
		return floodPass
	}
	now := l.clock.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	s := sender{at: netip.AddrPortFrom(network(from.Addr()), 0), answers: bytes.HasPrefix(raw, []byte("SIP/2.0 "))}
	if until, ok := l.phones[from]; ok && now.Before(until) {
		s.at = from
	}
	a, ok := l.senders[s]
	if !ok {
		if len(l.senders) >= floodSenders {
			l.sweep(now)
		}
		if a = l.rest[s.answers]; len(l.senders) < floodSenders {
			a = &allowance{}
			l.senders[s] = a
		}
	}
	each := l.rate.Per / time.Duration(l.rate.Messages)
	if s.answers {
		each /= answersMore
	}
	if a.paid.Before(now) {
		a.paid = now
	}
	if a.paid.Add(each).Sub(now) <= l.rate.Per {
		a.paid = a.paid.Add(each)
		return floodPass
	}
	if s.answers || now.Sub(a.told) < floodTellEvery {
		return floodDrop
	}
	a.told = now
	return floodTell
}

// sweep forgets who sent nothing lately. l.mu is held.
func (l *flood) sweep(now time.Time) {
	if now.Sub(l.swept) < floodSweepEvery {
		return
	}
	l.swept = now
	for s, a := range l.senders {
		if a.paid.Before(now) {
			delete(l.senders, s)
		}
	}
}

// know gives a phone that proved its password a limit of its own until then.
func (l *flood) know(from netip.AddrPort, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.phones[from]; !ok && len(l.phones) >= floodPhones {
		now := l.clock.Now()
		for at, end := range l.phones {
			if !now.Before(end) {
				delete(l.phones, at)
			}
		}
		if len(l.phones) >= floodPhones {
			return
		}
	}
	l.phones[from] = until
}

// tooMany reports whether a message is one too many, and tells its sender now and then.
func (s *Server) tooMany(raw []byte, f flow) bool {
	if s.allowed(f.remote.Addr()) {
		return false
	}
	v := s.flood.judge(raw, f.remote)
	switch v {
	case floodPass:
		return false
	case floodDrop:
		s.count("flood", "dropped")
		return true
	}
	s.count("flood", "refused")
	s.log.Warn("more SIP messages than one address may send (rate-sip)", "peer", f.String())
	s.guard("parse", func() {
		msg, err := s.parser.ParseSIP(raw)
		if req, ok := msg.(*sipmsg.Request); err == nil && ok && req.Method != sipmsg.ACK && wellFormed(req) == nil {
			back := stampVia(req, f)
			_ = s.send([]byte(s.refusal(req, refuse(503, "too many messages from your address").with("Retry-After", retryAfter)).String()), back)
		}
	})
	return true
}
