package sip

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"net/netip"
	"strconv"
	"strings"

	sipmsg "github.com/emiago/sipgo/sip"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// Several servers of one installation share their phones. A phone is reached by the flow of its registration only (RFC 5626
// section 5.3): behind NAT and with TLS nobody else gets through to it. So the server that has a call lends itself the flow of
// the server that has the phone, which passes messages on as they are:
//
//	call ── server B ── Peers.Send ──► server A ── the phone's flow ──► phone
//	             ▲                        │
//	             └────── Peers.Send ──────┘ what bears B's mark: the branch of a Via, the user part of a Request-URI
//
// B's requests name A's address in Via and Contact, with B's mark in them. A keeps nothing of a call. Sound goes between the
// phone and B; A does not see it.

// Peers reaches the other servers of the installation. Its methods may be called at the same time.
type Peers interface {
	// Where gives the phones of a user that are registered with other servers and reachable now, as their Here tells. It may
	// wait for a database and the network, and bounds that.
	Where(ctx context.Context, username string) ([]Elsewhere, error)
	// Send brings a message to the Passed of the server with that mark. It does not wait, and messages may get lost.
	Send(mark string, message []byte) error
}

// Elsewhere is a phone at another server.
type Elsewhere struct {
	Contact
	Mark    string `json:"mark"`    // of the server that has it
	Address string `json:"address"` // of that server, as the phone knows it
}

// Mark names a server in the messages that others pass on to it: 16 hexadecimal digits, which say nothing else of it.
func Mark(node string) string {
	sum := sha256.Sum256([]byte("sip " + node))
	return hex.EncodeToString(sum[:8])
}

// lent is a phone's flow at another server.
type lent struct {
	mark     string
	user     string
	uri      string // the contact's
	address  hostPort
	protocol string // "udp", "tcp" or "tls"
}

// passing is a message on its way from one server to another.
type passing struct {
	User string `json:"user,omitempty"` // the phone that it is for; "": it came from one
	URI  string `json:"uri,omitempty"`
	Raw  []byte `json:"raw"`
}

const (
	passedMark = "parley-" // before a mark in the user part of a Contact, and after branchMagic in a branch
	markDigits = 16
)

// Here gives the phones of a user that are registered here and reachable now.
func (s *Server) Here(username string) []Elsewhere {
	out := []Elsewhere{}
	for _, c := range s.registrar.contacts(username) {
		f, ok := contactFlow(c)
		if !ok {
			continue
		}
		out = append(out, Elsewhere{Contact: c, Mark: s.mark(), Address: s.advertised(f).String()})
	}
	return out
}

// contactFlow is the flow of a contact as far as its address matters.
func contactFlow(c Contact) (flow, bool) {
	source, err := netip.ParseAddrPort(c.Source)
	return flow{remote: source, conn: c.conn}, err == nil
}

func (s *Server) mark() string { return Mark(s.config.Node) }

// elsewhere gives the ways to a user's phones at other servers. here are those that are known already: a phone that moved is
// at both, and the registration that lasts longer counts.
func (s *Server) elsewhere(ctx context.Context, username string, here []Contact) (hops []hop, stale map[string]bool) {
	if s.config.Peers == nil {
		return nil, nil
	}
	found, err := s.config.Peers.Where(ctx, username)
	if err != nil {
		s.log.Warn("phones at other servers are not known; only those here are called", "user", username, "error", err)
		return nil, nil
	}
	stale = map[string]bool{}
	newest := map[string]Elsewhere{}
	for _, e := range found {
		if old, ok := newest[e.URI]; !ok || e.ExpiresAt.After(old.ExpiresAt) {
			newest[e.URI] = e
		}
	}
	for _, c := range here {
		if e, ok := newest[c.URI]; ok && e.ExpiresAt.After(c.ExpiresAt) {
			stale[c.URI] = true
		} else if ok {
			delete(newest, c.URI)
		}
	}
	for _, e := range found {
		if n, ok := newest[e.URI]; !ok || n.Mark != e.Mark {
			continue
		}
		if h, err := s.lend(username, e); err == nil && s.needsTLS(h.flow) == nil && (!h.encrypted || h.flow.secure()) {
			hops = append(hops, h)
		} else if err != nil {
			s.log.Warn("a phone at another server cannot be called", "user", username, "error", err)
		}
	}
	return hops, stale
}

// lend makes the way to a phone at another server.
func (s *Server) lend(username string, e Elsewhere) (hop, error) {
	var uri sipmsg.Uri
	if err := sipmsg.ParseUri(e.URI, &uri); err != nil {
		return hop{}, err
	}
	source, err := netip.ParseAddrPort(e.Source)
	if err != nil {
		return hop{}, err
	}
	address := hostPort{}
	i := strings.LastIndexByte(e.Address, ':')
	if i < 0 {
		return hop{}, fmt.Errorf("%q is no address of a server", e.Address)
	}
	address.host = strings.Trim(e.Address[:i], "[]")
	if address.port, err = strconv.Atoi(e.Address[i+1:]); err != nil || !isMark(e.Mark) {
		return hop{}, fmt.Errorf("%q at %q is no server", e.Mark, e.Address)
	}
	f := flow{remote: source, lent: &lent{mark: e.Mark, user: username, uri: e.URI, address: address, protocol: e.Transport}}
	return hop{uri: uri, flow: f, encrypted: e.Encrypted}, nil
}

// sendLent has the server that has a phone send it a message.
func (s *Server) sendLent(raw []byte, l *lent) error {
	if s.config.Peers == nil {
		return errNoPeers
	}
	m, err := json.Marshal(passing{User: l.user, URI: l.uri, Raw: raw})
	if err != nil {
		return err
	}
	return s.config.Peers.Send(l.mark, m)
}

var errNoPeers = errors.New("this server has no peers")

// passOn gives a message from the network to the server whose mark it bears, and reports whether it bore one.
func (s *Server) passOn(mark string, raw []byte, f flow) bool {
	if mark == "" || f.lent != nil || s.config.Peers == nil {
		return false
	}
	m, err := json.Marshal(passing{Raw: raw})
	if err == nil {
		err = s.config.Peers.Send(mark, m)
	}
	if err != nil {
		s.count("peers", "lost")
		s.log.Debug("a SIP message was not passed on", "error", err)
	}
	return true
}

// markOf gives whose answer or request within a call a message is; "" is nobody's but ours. A request that begins something
// is never passed on.
func markOf(m sipmsg.Message) string {
	var word string
	switch m := m.(type) {
	case *sipmsg.Response:
		branch, _ := m.Via().Params.Get("branch")
		word, _ = strings.CutPrefix(branch, branchMagic)
	case *sipmsg.Request:
		if tag, _ := m.To().Params.Get("tag"); tag == "" && m.Method != sipmsg.CANCEL {
			return ""
		}
		word = m.Recipient.User
	}
	mark, ok := strings.CutPrefix(word, passedMark)
	if !ok || len(mark) < markDigits || !isMark(mark[:markDigits]) {
		return ""
	}
	return mark[:markDigits]
}

// othersMark is markOf, but for our own mark.
func (s *Server) othersMark(m sipmsg.Message) string {
	if s.config.Peers == nil {
		return ""
	}
	if mark := markOf(m); mark != s.mark() {
		return mark
	}
	return ""
}

func isMark(s string) bool {
	return len(s) == markDigits && strings.Trim(s, "0123456789abcdef") == ""
}

// Passed takes a message of another server: for a phone that is registered here, or of a phone that is registered there. It
// does not wait.
func (s *Server) Passed(message []byte) {
	s.guard("passed", func() {
		var p passing
		if err := json.Unmarshal(message, &p); err != nil || len(p.Raw) > maxMessage {
			s.count("peers", "malformed")
			return
		}
		if p.User != "" {
			s.toPhone(p)
			return
		}
		s.fromPhone(p.Raw)
	})
}

// toPhone sends a message by the flow of a phone's registration.
func (s *Server) toPhone(p passing) {
	for _, c := range s.registrar.contacts(p.User) {
		if c.URI != p.URI {
			continue
		}
		// A phone that registered by TCP may have to be dialled.
		select {
		case s.slow <- struct{}{}:
		default:
			s.count("overload", "peers")
			return
		}
		if c.Transport != "tcp" {
			defer func() { <-s.slow }()
			s.deliver(s.ctx, c, p.Raw)
			return
		}
		if !s.background("peers", func(ctx context.Context) {
			defer func() { <-s.slow }()
			s.deliver(ctx, c, p.Raw)
		}) {
			<-s.slow
		}
		return
	}
	s.count("peers", "gone") // its caller gives up as if the phone were silent
}

func (s *Server) deliver(ctx context.Context, c Contact, raw []byte) {
	h, ok := s.contactHop(ctx, c)
	if !ok {
		s.count("peers", "gone")
		return
	}
	if err := s.send(raw, h.flow); err != nil {
		s.count("peers", "lost")
	}
}

// fromPhone takes what a phone of another server answered, or sent within a call of ours. Anything else would come past that
// server's checks and is dropped.
func (s *Server) fromPhone(raw []byte) {
	msg, err := s.parser.ParseSIP(raw)
	if err != nil {
		s.count("peers", "malformed")
		return
	}
	f, ok := s.lentFlow(msg)
	if !ok {
		s.count("peers", "stray")
		return
	}
	s.enqueue(job{msg: msg, raw: raw, f: f})
}

// lentFlow gives the flow of the call that a message belongs to, when it goes by another server.
func (s *Server) lentFlow(msg sipmsg.Message) (flow, bool) {
	switch m := msg.(type) {
	case *sipmsg.Response:
		if !respondable(m) {
			return flow{}, false
		}
		branch, _ := m.Via().Params.Get("branch")
		tx := s.tx.client(txKey{branch: branch, method: string(m.CSeq().MethodName)})
		if tx == nil {
			return flow{}, false
		}
		return tx.flow, tx.flow.lent != nil
	case *sipmsg.Request:
		if wellFormed(m) != nil {
			return flow{}, false
		}
		tag, _ := m.To().Params.Get("tag")
		l := s.leg(dialogID{m.CallID().Value(), tag})
		if l == nil {
			return flow{}, false
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.d.flow, l.d.flow.lent != nil
	}
	return flow{}, false
}

// enqueue gives a message to the worker of its call. It waits for nothing.
func (s *Server) enqueue(j job) {
	select {
	case s.queue(j.msg) <- j:
	default:
		s.count("overload", "datagram") // it will be sent again
	}
}

// queue is the worker of a call.
func (s *Server) queue(msg sipmsg.Message) chan job {
	id := ""
	if c := msg.CallID(); c != nil {
		id = c.Value()
	}
	return s.queues[maphash.String(s.seed, id)%uint64(len(s.queues))]
}

// notRegistered is the error of a phone that is nowhere.
func notRegistered(user string) error {
	return fault.Field("to", "phone %q is not registered", user)
}
