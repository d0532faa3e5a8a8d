package sip

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/quartz"
	sipmsg "github.com/emiago/sipgo/sip"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/media/rtp"
	"github.com/parley-voice/parley/internal/platform/strength"
)

// Config says how a Server runs. Only Accept and Pacer are needed by every server.
type Config struct {
	Addr   string     // host:port for UDP and TCP; default 127.0.0.1:5060; port 0 takes a free one
	Host   string     // what we call ourselves in Via, Contact and SDP; default: the address the peer reaches
	Realm  string     // of digest authentication; stored passwords depend on it; default "parley"
	Digest []string   // algorithms offered to phones, strongest first, and taken from them and from servers; default SHA-256 and MD5
	Agent  string     // our Server and User-Agent header; default "Parley"
	Ports  *rtp.Ports // local ports for media; default: free ones
	Codecs []string   // in order of preference: g722, pcmu, pcma, opus; default all, in this order
	SRTP   bool       // refuse calls without SRTP
	// Open lists the networks whose calls need no credentials. The default is the machine itself: a softphone
	// on it may call, and nobody else without being registered as a phone. Add a trunk's addresses here.
	Open []netip.Prefix
	// TLSAddr is host:port for SIP over TLS, "" for none; TLS is our side of its handshakes. When TLS asks for
	// certificates, a peer whose certificate proves one of the domains in TLSTrust calls without credentials.
	TLSAddr  string
	TLS      *tls.Config
	TLSTrust []string
	// TLSRoots are the authorities of servers that we call by TLS, nil for the system's. TLSCertificate is what we show
	// to those that ask; it may be nil.
	TLSRoots       *x509.CertPool
	TLSCertificate func(*tls.CertificateRequestInfo) (*tls.Certificate, error)
	// Strength is what the keys in certificates of servers that we call must have.
	Strength strength.Level
	// RequireTLS refuses signalling without TLS and media without SRTP, in both directions, but from and to the networks
	// in Plain, which by default are the machine itself.
	RequireTLS bool
	Plain      []netip.Prefix
	// Flood is how many messages an address outside of Open may send: see Rate. The zero value is no limit.
	Flood    Rate
	MaxCalls int // at once; default 2000; more are answered 503

	Accept media.Accept
	Pacer  *media.Pacer
	Phones Phones // nil: nobody can register
	// Node names this server among several that share their phones, and Peers reaches the others. nil: there are none.
	Node  string
	Peers Peers
	Clock quartz.Clock
	Rand  io.Reader // default crypto/rand; tags, branches, nonces and SRTP keys come from it
	Log   *slog.Logger
	// Count is told what happens, for metrics: ("request", method), ("malformed", why), ("register", status),
	// ("call", "in"), ("overload", what), ("flood", what), ("handshake", "failed"), ("panic", where).
	Count func(event, detail string)

	handshake time.Duration // how long one may take; tests have more of it
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

// Server is a SIP user agent on UDP, TCP and TLS, and the registrar of its phones.
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
	flood     *flood
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
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	if c.Open == nil {
		c.Open = loopback
	}
	if c.Plain == nil {
		c.Plain = loopback
	}
	udp, ln, err := listen(c.Addr)
	if err != nil {
		return nil, err
	}
	var secure *secureListener
	if c.TLSAddr != "" {
		if secure, err = listenTLS(c); err != nil {
			return nil, errors.Join(err, udp.Close(), ln.Close())
		}
	}
	s := &Server{config: c, log: c.Log, parser: sipmsg.NewParser(), resolver: net.DefaultResolver, open: c.Open,
		seed: maphash.MakeSeed(), done: make(chan struct{}), slow: make(chan struct{}, 64),
		legs: map[dialogID]*leg{}, invites: map[inviteID]*leg{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.auth = newAuthenticator(c, s.bytes)
	s.registrar = &registrar{s: s, users: map[string][]Contact{}}
	s.flood = newFlood(c.Flood, c.Clock)
	s.transport = &transport{log: c.Log, clock: c.Clock, udp: udp, ln: ln, tls: secure, client: clientTLS(c), level: c.Strength, receive: s.receive, broken: s.broken,
		done: make(chan struct{}), conns: map[connKey]*tcpConn{}, from: map[netip.Addr]int{}}
	if secure != nil {
		secure.t = s.transport
	}
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

// TLSAddr is the address of SIP over TLS; it is not valid when there is none.
func (s *Server) TLSAddr() netip.AddrPort {
	if s.transport.tls == nil {
		return netip.AddrPort{}
	}
	a := s.transport.tls.ln.Addr().(*net.TCPAddr).AddrPort()
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

func (s *Server) send(raw []byte, f flow) error {
	if f.lent != nil {
		return s.sendLent(raw, f.lent)
	}
	return s.transport.send(raw, f)
}

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
// It reports whether it does: a server that stopped runs nothing.
func (s *Server) background(where string, f func(ctx context.Context)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.calls.Go(func() { s.guard(where, func() { f(s.ctx) }) })
	return true
}

// srtp is the policy for media encryption of a call whose signalling goes by f.
func (s *Server) srtp(f flow) srtpPolicy {
	if s.config.SRTP || (s.config.RequireTLS && !within(s.config.Plain, f.remote.Addr())) {
		return srtpRequire
	}
	return srtpAccept
}
