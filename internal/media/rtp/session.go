package rtp

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/media"
)

// Config is what a Session needs.
type Config struct {
	Local netip.Addr // the address to bind; the unspecified address for all
	Ports *Ports     // where the sockets come from
	// Conn, when set, carries RTP and RTCP in place of sockets from Ports (RFC 5761): a WebRTC peer connection.
	// Remote.Mux must then be true and Remote.SRTP nil: who lends the Conn encrypts. Close closes it.
	Conn  Conn
	Pacer *media.Pacer // what drives the session
	Clock quartz.Clock // nil: the real clock
	Log   *slog.Logger // nil: discarded
	Rand  *rand.Rand   // for SSRC, first sequence number and timestamp (RFC 3550 section 5.1); nil: seeded by the runtime
	CNAME string       // RFC 3550 section 6.5.1; "" means a random one, which tells nothing (RFC 7022)

	// Timeout is the time without a packet after which OnTimeout is called. 0 means 30 s, less than 0 never.
	Timeout time.Duration
	// QuietWhenIdle stops sending while there is nothing to play. By default silence is sent, which keeps the
	// way through NATs open and recorders in step.
	QuietWhenIdle bool

	// OnDTMF and OnTimeout are called by the tick, OnEnd by the tick or a goroutine of its own; none is called
	// after Close has returned, except by a tick under way. They must not block and must not call SetRemote,
	// Rate or Start. All may be nil.
	OnDTMF    func(digit byte)
	OnTimeout func(silent time.Duration) // once for each silence
	OnEnd     func(error)                // the session cannot go on: a panic in a tick, a broken socket
}

// ErrClosed says that the session was closed.
var ErrClosed = errors.New("rtp: the session is closed")

// Session is the media half of a leg. Its methods are safe for use by several goroutines.
//
// Locks: mu guards the tick and what it sends; in guards what the readers and the tick share. in may be
// taken under mu, never the other way round. SendDTMF, Stats, Kick and Close take no mu that they would
// wait for, so an Endpoint may call them from its Tick.
type Session struct {
	config Config
	socks  sockets
	done   chan struct{}
	once   sync.Once
	wg     sync.WaitGroup

	peer         atomic.Pointer[peer]           // what was negotiated, for the readers
	dest         atomic.Pointer[netip.AddrPort] // where RTP goes, nil while unknown
	destRTCP     atomic.Pointer[netip.AddrPort]
	started      atomic.Bool
	closed       atomic.Bool
	kicked       atomic.Bool
	eventsAgreed atomic.Bool
	dtmf         dtmfOut
	heard        atomic.Int64 // Unix ns of the last valid packet

	in  inbound
	mu  sync.Mutex
	out outbound
}

// New binds the sockets and begins to read. The session is silent until SetRemote and Start.
func New(c Config) (*Session, error) {
	if c.Ports == nil && c.Conn == nil || c.Pacer == nil {
		return nil, errors.New("rtp: Config needs Ports or a Conn, and a Pacer")
	}
	if c.Clock == nil {
		c.Clock = quartz.NewReal()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Rand == nil {
		c.Rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if c.CNAME == "" {
		c.CNAME = fmt.Sprintf("%016x", c.Rand.Uint64())
	}
	if !c.Local.IsValid() {
		c.Local = netip.IPv4Unspecified()
	}
	socks := sockets{rtp: c.Conn}
	if c.Conn == nil {
		var err error
		if socks, err = c.Ports.open(c.Local); err != nil {
			return nil, err
		}
	}
	s := &Session{config: c, socks: socks, done: make(chan struct{})}
	s.out = outbound{
		ssrc:    c.Rand.Uint32(),
		seq:     uint16(c.Rand.Uint32() & 0x7fff), // half of the range: an early wrap upsets some SRTP peers
		ts:      c.Rand.Uint32(),
		started: c.Clock.Now(),
	}
	s.wg.Go(func() { s.read(socks.rtp, s.datagram) })
	if socks.rtcp != nil {
		s.wg.Go(func() { s.read(socks.rtcp, s.control) })
	}
	return s, nil
}

// LocalPort is the port to write into SDP; RTCP is on the next one. It is 0 on a Conn that is no socket.
func (s *Session) LocalPort() int {
	if a, ok := s.socks.rtp.LocalAddr().(*net.UDPAddr); ok {
		return a.Port
	}
	return 0
}

// Rate is the sample rate of the frames, from the first SetRemote on; 0 before it.
func (s *Session) Rate() int {
	s.mu.Lock()
	defer s.unlock()
	return s.out.rate
}

// Start joins the session to e and begins to tick. It is called once, after SetRemote.
func (s *Session) Start(e media.Endpoint) error {
	s.mu.Lock()
	defer s.unlock()
	o := &s.out
	switch {
	case s.closed.Load():
		return ErrClosed
	case o.endpoint != nil:
		return errors.New("rtp: the session was started already")
	case o.rate == 0:
		return errors.New("rtp: SetRemote has to come before Start")
	}
	o.endpoint = e
	o.frameIn = make([]int16, media.FrameSamples(o.rate))
	o.frameOut = make([]int16, media.FrameSamples(o.rate))
	o.player = newPlayer(o.rate)
	o.nextReport = s.config.Clock.Now().Add(time.Duration(s.config.Rand.Int64N(int64(reportEvery))))
	s.heard.Store(s.config.Clock.Now().UnixNano())
	s.in.mu.Lock()
	s.in.jitter.reset()
	s.in.mu.Unlock()
	s.started.Store(true)
	o.slot = s.config.Pacer.Add(s, func(err error) { s.fail(err) })
	if s.closed.Load() { // Close came in between and saw no slot
		s.config.Pacer.Remove(o.slot)
	}
	return nil
}

// Kick implements media.Kicker: when nothing but silence is being sent and the endpoint has speech, its
// first frame leaves now, in the place of the one that is due next. It never waits.
func (s *Session) Kick() {
	s.kicked.Store(true)
	s.runKick()
}

// runKick serves a kick unless somebody holds mu, who then does it in unlock. Twice, for one that came in
// between, and no more: an endpoint that kicks in each Tick must not hold up the pacer.
func (s *Session) runKick() {
	for range 2 {
		if !s.kicked.Load() || !s.mu.TryLock() {
			return
		}
		s.kickLocked()
	}
}

func (s *Session) kickLocked() {
	defer s.mu.Unlock()
	defer func() {
		if v := recover(); v != nil {
			// Not the caller's fault, and OnEnd must not run under its locks.
			s.config.Log.Error("an endpoint panicked when it was kicked", "panic", v, "stack", string(debug.Stack()))
			go s.fail(fmt.Errorf("rtp: panic in tick: %v", v))
		}
	}()
	if s.kicked.Swap(false) {
		s.early()
	}
}

func (s *Session) unlock() {
	s.mu.Unlock()
	s.runKick()
}

func (s *Session) fail(err error) {
	s.config.Log.Error("RTP session failed", "error", err)
	if s.config.OnEnd != nil && !s.closed.Load() {
		s.config.OnEnd(err)
	}
}

// Close ends the session and releases its ports. It says goodbye by RTCP. It is safe to call twice and from
// a Tick.
func (s *Session) Close() error {
	var err error
	s.once.Do(func() {
		s.closed.Store(true)
		close(s.done)
		if s.mu.TryLock() {
			s.config.Pacer.Remove(s.out.slot)
			s.sendBye()
			s.mu.Unlock()
		}
		err = s.socks.close()
		s.wg.Wait()
	})
	return err
}

// Stats returns the counters since the session began.
func (s *Session) Stats() media.LegStats {
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	in := &s.in
	st := media.LegStats{
		PacketsIn:       in.packets,
		Lost:            in.jitter.lost,
		Late:            in.jitter.late + in.jitter.overflow,
		Duplicate:       in.jitter.duplicates,
		Malformed:       in.malformed + in.foreign,
		RoundTripMS:     in.roundTrip,
		BufferMS:        in.bufferMS,
		FramesIn:        in.framesIn,
		FramesConcealed: in.concealed,
		PacketsOut:      s.out.packets.Load(),
		FramesOut:       s.out.frames.Load(),
		FramesLateOut:   s.out.lateFrames.Load(),
	}
	if p := s.peer.Load(); p != nil {
		st.Codec = p.formats[0].codec.Name()
		st.JitterMS = in.arrivals.jitter * 1000 / float64(p.formats[0].codec.ClockRate())
	}
	return st
}

var _ media.Kicker = (*Session)(nil)
