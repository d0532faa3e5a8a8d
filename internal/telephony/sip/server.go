package sip

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/quartz"
	sipmsg "github.com/emiago/sipgo/sip"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/media/rtp"
)

// Config says how a Server runs. Only Accept and Pacer are needed by every server.
type Config struct {
	Addr   string     // host:port for UDP and TCP; default 127.0.0.1:5060; port 0 takes a free one
	Host   string     // what we call ourselves in Via, Contact and SDP; default: the address the peer reaches
	Realm  string     // of digest authentication; stored passwords depend on it; default "parley"
	Digest []string   // algorithms offered to phones, strongest first; default SHA-256 and MD5
	Agent  string     // our Server and User-Agent header; default "Parley"
	Ports  *rtp.Ports // local ports for media; default: free ones
	Codecs []string   // in order of preference: g722, pcmu, pcma, opus; default all, in this order
	SRTP   bool       // refuse calls without SRTP
	// Open lists the networks whose calls need no credentials. The default is the machine itself: a softphone
	// on it may call, and nobody else without being registered as a phone. Add a trunk's addresses here.
	Open     []netip.Prefix
	MaxCalls int // at once; default 2000; more are answered 503

	Accept media.Accept
	Pacer  *media.Pacer
	Phones Phones // nil: nobody can register
	Clock  quartz.Clock
	Rand   io.Reader // default crypto/rand; tags, branches, nonces and SRTP keys come from it
	Log    *slog.Logger
	// Count is told what happens, for metrics: ("request", method), ("malformed", why), ("register", status),
	// ("call", "in"), ("overload", what), ("panic", where).
	Count func(event, detail string)
}

// Limits of the dispatcher.
const (
	workers      = 8   // goroutines that handle messages; one call's messages go to one of them, in order
	workerQueue  = 512 // messages waiting for each; when full datagrams are dropped and TCP waits
	maxTx        = 1 << 16
	stopWithin   = 5 * time.Second
	retryAfter   = "5" // seconds, in a 503
	storeTimeout = 5 * time.Second
)

// Server is a SIP user agent on UDP and TCP, and the registrar of its phones.
type Server struct {
	config    Config
	log       *slog.Logger
	transport *transport
	tx        *transactions
	parser    *sipmsg.Parser
	auth      *authenticator
	registrar *registrar
	resolver  *net.Resolver
	open      []netip.Prefix
	seed      maphash.Seed

	queues   []chan job
	done     chan struct{}
	wg       sync.WaitGroup // workers
	calls    sync.WaitGroup // goroutines that belong to calls and requests
	ctx      context.Context
	cancel   context.CancelFunc
	start    sync.Once
	stop     sync.Once
	draining atomic.Bool
	slow     chan struct{} // bounds requests that wait for the store

	mu      sync.Mutex
	stopped bool
	legs    map[dialogID]*leg
	invites map[inviteID]*leg // inbound calls that are not answered yet (RFC 3261 section 8.2.2.2)
}

// inviteID tells two copies of one INVITE that came by different ways.
type inviteID struct {
	callID, fromTag string
	cseq            uint32
}

// job is one message on its way to a worker.
type job struct {
	msg sipmsg.Message
	raw []byte
	f   flow
}

// New binds the sockets. Start begins to serve them.
func New(c Config) (*Server, error) {
	c.Addr = cmp.Or(c.Addr, "127.0.0.1:5060")
	c.Realm = cmp.Or(c.Realm, "parley")
	c.Agent = cmp.Or(c.Agent, "Parley")
	c.MaxCalls = cmp.Or(c.MaxCalls, 2000)
	if c.Clock == nil {
		c.Clock = quartz.NewReal()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Count == nil {
		c.Count = func(string, string) {}
	}
	if len(c.Codecs) == 0 {
		c.Codecs = []string{"g722", "pcmu", "pcma", "opus"}
	}
	if len(c.Digest) == 0 {
		c.Digest = []string{"SHA-256", "MD5"}
	}
	for _, name := range c.Codecs {
		if _, ok := codecs[name]; !ok {
			return nil, fmt.Errorf("SIP codec %q is not known; use g722, pcmu, pcma or opus", name)
		}
	}
	if c.Pacer == nil || c.Accept == nil {
		return nil, errors.New("a SIP server needs a Pacer and an Accept")
	}
	if c.Ports == nil {
		var err error
		if c.Ports, err = rtp.NewPorts(rtp.PortsConfig{Clock: c.Clock}); err != nil {
			return nil, err
		}
	}
	if c.Open == nil {
		c.Open = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	}
	udp, ln, err := listen(c.Addr)
	if err != nil {
		return nil, err
	}
	s := &Server{config: c, log: c.Log, parser: sipmsg.NewParser(), resolver: net.DefaultResolver, open: c.Open,
		seed: maphash.MakeSeed(), done: make(chan struct{}), slow: make(chan struct{}, 64),
		legs: map[dialogID]*leg{}, invites: map[inviteID]*leg{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.auth = newAuthenticator(c, s.bytes)
	s.registrar = &registrar{s: s, users: map[string][]Contact{}}
	s.transport = &transport{log: c.Log, clock: c.Clock, udp: udp, ln: ln, receive: s.receive, broken: s.broken,
		done: make(chan struct{}), conns: map[netip.AddrPort]*tcpConn{}}
	s.tx = &transactions{clock: c.Clock, send: s.send, max: maxTx,
		servers: map[txKey]*serverTx{}, clients: map[txKey]*clientTx{}}
	for range workers {
		s.queues = append(s.queues, make(chan job, workerQueue))
	}
	return s, nil
}

// Addr is the address we are bound to; UDP and TCP have the same port.
func (s *Server) Addr() netip.AddrPort {
	a := s.transport.udp.LocalAddr().(*net.UDPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// Realm is the digest realm passwords are stored for.
func (s *Server) Realm() string { return s.config.Realm }

// Start loads the registrations and begins to serve.
func (s *Server) Start(ctx context.Context) error {
	var err error
	s.start.Do(func() {
		if err = s.registrar.load(ctx); err != nil {
			return
		}
		s.wg.Add(len(s.queues))
		for _, q := range s.queues {
			go s.work(q)
		}
		s.transport.start()
	})
	return err
}

// Drain refuses new calls and lets the running ones finish.
func (s *Server) Drain() { s.draining.Store(true) }

// Calls is the number of calls that are up or being set up.
func (s *Server) Calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.legs)
}

// Registrations gives where every registered phone is.
func (s *Server) Registrations() map[string][]Contact { return s.registrar.all() }

// Forget ends the registrations of a phone that was deleted.
func (s *Server) Forget(username string) {
	s.registrar.mu.Lock()
	delete(s.registrar.users, username)
	s.registrar.mu.Unlock()
}

// Stop hangs up what is left, within ctx or five seconds, and closes the sockets. It may be called before
// Start and twice.
func (s *Server) Stop(ctx context.Context) {
	s.stop.Do(func() {
		s.Drain()
		ctx, cancel := context.WithTimeout(ctx, stopWithin)
		defer cancel()
		var all sync.WaitGroup
		for _, l := range s.all() {
			all.Go(func() {
				_ = l.Hangup(ctx, media.Cause{By: "system", Code: "shutdown", Text: "the server stops"})
			})
		}
		all.Wait()
		s.mu.Lock()
		s.stopped = true
		s.mu.Unlock()
		s.cancel()
		s.tx.close()
		close(s.done)
		s.transport.stop()
		s.wg.Wait()
		for _, l := range s.all() {
			l.end(media.Cause{By: "system", Code: "shutdown", Text: "the server stopped"})
		}
		s.calls.Wait()
	})
}

func (s *Server) all() []*leg {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*leg, 0, len(s.legs))
	for _, l := range s.legs {
		out = append(out, l)
	}
	return out
}

func (s *Server) count(event, detail string) { s.config.Count(event, detail) }

// bytes gives n random bytes.
func (s *Server) bytes(n int) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(s.config.Rand, b); err != nil {
		panic(fmt.Sprintf("no randomness: %v", err)) // nothing can be secure without it
	}
	return b
}

// token gives an unguessable word for tags and branches.
func (s *Server) token() string { return hex.EncodeToString(s.bytes(10)) }

func (s *Server) send(raw []byte, f flow) error { return s.transport.send(raw, f) }

// guard runs f and turns a panic into a log line: one bad message must not end the service.
func (s *Server) guard(where string, f func()) {
	defer func() {
		if p := recover(); p != nil {
			s.count("panic", where)
			s.log.Error("SIP handler panicked", "where", where, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	f()
}

// background runs f on a goroutine of its own that Stop waits for. ctx ends when the server stops.
func (s *Server) background(where string, f func(ctx context.Context)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	s.calls.Go(func() { s.guard(where, func() { f(s.ctx) }) })
}

// receive takes one datagram, or one message of a stream. It parses, and leaves the rest to a worker.
func (s *Server) receive(raw []byte, f flow) {
	if len(strings.Trim(string(raw[:min(len(raw), 8)]), "\r\n\x00")) == 0 {
		return // keep-alive
	}
	s.guard("parse", func() {
		msg, err := s.parser.ParseSIP(raw)
		if err != nil {
			s.broken(raw, f, err)
			return
		}
		j := job{msg: msg, raw: append([]byte(nil), raw...), f: f}
		id := ""
		if c := msg.CallID(); c != nil {
			id = c.Value()
		}
		q := s.queues[maphash.String(s.seed, id)%uint64(len(s.queues))]
		if f.reliable() {
			select {
			case q <- j:
			case <-s.done:
			case <-f.conn.done:
			}
			return
		}
		select {
		case q <- j:
		default:
			s.count("overload", "datagram") // it will be sent again
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
	if p := admissible(req); p != nil {
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

// srtp is the server's policy for media encryption.
func (s *Server) srtp() srtpPolicy {
	if s.config.SRTP {
		return srtpRequire
	}
	return srtpAccept
}
