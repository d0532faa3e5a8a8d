package webrtc

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"
	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	pion "github.com/pion/webrtc/v4"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/media/audio"
	"github.com/parley-voice/parley/internal/media/rtp"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Config is what a Server needs.
type Config struct {
	UDPAddr   string       // host:port; all peers share it [":0"]
	PublicIPs []string     // addresses to announce besides the interfaces' own, behind a 1:1 NAT
	Pacer     *media.Pacer // required
	Accept    media.Accept // told of every leg; nil: whoever called Offer owns it
	Clock     quartz.Clock // nil: the real clock
	Log       *slog.Logger // nil: discarded
	Codecs    []string     // in order of preference [G722, opus, PCMU]
	MaxPeers  int          // at once, those that are not connected yet included [500]
	// ConnectTimeout is from the offer to the first media path; then the leg is released [15 s].
	ConnectTimeout time.Duration
	// LostAfter without audio the endpoint is told [5 s].
	LostAfter time.Duration
	// Count is told of everything worth a counter: "bad_offer", "malformed", ... Nil: nobody is.
	Count func(event string)
}

// Server takes offers.
type Server struct {
	cfg Config
	mux *ice.UDPMuxDefault
	wg  sync.WaitGroup
	log logs

	base   context.Context // the owners' of legs; cancelled by Close
	cancel context.CancelFunc

	mu   sync.Mutex
	legs map[*leg]struct{}
	held int // places taken by offers under way
	shut bool
	cert *pion.Certificate
}

// OfferRequest is a browser's offer.
type OfferRequest struct {
	SDP       string
	AgentSlug string
	From      string            // who calls: an e-mail address, a name
	FromName  string            //
	Remote    string            // network address of the request
	Codecs    []string          // order of preference; empty: the server's
	Params    map[string]string // go to LegInfo.Params
}

// New opens the port.
func New(c Config) (*Server, error) {
	if c.Pacer == nil {
		return nil, fault.New(fault.Internal, "webrtc needs a Pacer")
	}
	if c.UDPAddr == "" {
		c.UDPAddr = ":0"
	}
	if c.Clock == nil {
		c.Clock = quartz.NewReal()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.MaxPeers <= 0 {
		c.MaxPeers = 500
	}
	if c.ConnectTimeout <= 0 {
		c.ConnectTimeout = 15 * time.Second
	}
	if c.LostAfter <= 0 {
		c.LostAfter = 5 * time.Second
	}
	for _, ip := range c.PublicIPs {
		if net.ParseIP(ip) == nil {
			return nil, fault.Field("publicIps", "%q is not an IP address", ip)
		}
	}
	var err error
	if c.Codecs, err = preference(c.Codecs, allCodecs); err != nil {
		return nil, err
	}
	addr, err := net.ResolveUDPAddr("udp", c.UDPAddr)
	if err != nil {
		return nil, fault.Field("udpAddr", "%q is not host:port: %v", c.UDPAddr, err)
	}
	network := "udp"
	if addr.IP == nil || addr.IP.To4() != nil {
		network = "udp4"
	}
	conn, err := net.ListenUDP(network, addr)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the WebRTC port %s cannot be opened; choose another", c.UDPAddr)
	}
	s := &Server{cfg: c, legs: map[*leg]struct{}{}, log: logs{c.Log}}
	s.mux = ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: conn, Logger: s.log.NewLogger("mux")})
	s.base, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

func (s *Server) count(event string) {
	if s.cfg.Count != nil {
		s.cfg.Count(event)
	}
}

// Addr is the address of the UDP port.
func (s *Server) Addr() net.Addr { return s.mux.LocalAddr() }

// Peers is the number of peers at present.
func (s *Server) Peers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.legs)
}

// Drain refuses new offers; calls go on.
func (s *Server) Drain() {
	s.mu.Lock()
	s.shut = true
	s.mu.Unlock()
}

// Close ends every call and closes the port. It waits for ctx at most.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	s.shut = true
	s.cancel()
	for l := range s.legs {
		l.end(media.Cause{By: "system", Code: "shutdown", Text: "The server is stopping."})
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() { s.wg.Wait(); close(done) }()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	return errors.Join(err, s.mux.Close())
}

func (s *Server) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.shut:
		return fault.New(fault.Unavailable, "the server is stopping; try again in a moment")
	case len(s.legs)+s.held >= s.cfg.MaxPeers:
		return fault.New(fault.Unavailable, "there are %d calls from browsers already; try again later", s.cfg.MaxPeers)
	}
	s.held++
	s.wg.Add(1)
	return nil
}

// settle turns a held place into a leg's, or gives it back.
func (s *Server) settle(l *leg) {
	s.mu.Lock()
	s.held--
	if l != nil {
		s.legs[l] = struct{}{}
	}
	shut := s.shut
	s.mu.Unlock()
	if l != nil && shut {
		l.end(media.Cause{By: "system", Code: "shutdown", Text: "The server is stopping."})
	}
	s.wg.Done()
}

func (s *Server) leave(l *leg) {
	s.mu.Lock()
	delete(s.legs, l)
	s.mu.Unlock()
}

// Offer takes an offer and returns the answer with every candidate in it. The leg is not connected yet:
// Answer waits for that. When the Server has an Accept, that owns the leg.
func (s *Server) Offer(ctx context.Context, r OfferRequest) (answer string, _ media.Leg, err error) {
	prefer, err := preference(r.Codecs, s.cfg.Codecs)
	if err != nil {
		return "", nil, err
	}
	use, err := choose(r.SDP, prefer)
	if err != nil {
		s.count("bad_offer")
		return "", nil, err
	}
	if err := s.enter(); err != nil {
		s.count("refused")
		return "", nil, err
	}
	l, answer, err := s.negotiate(ctx, r, use)
	if err != nil {
		s.settle(nil)
		s.count("bad_offer")
		return "", nil, err
	}
	s.settle(l)
	s.count("offer")
	if s.cfg.Accept != nil {
		s.wg.Go(func() { l.guard(func() { s.cfg.Accept(s.base, l) }) })
	}
	return answer, l, nil
}

func (s *Server) negotiate(ctx context.Context, r OfferRequest, use chosen) (l *leg, answer string, err error) {
	codec := parameters(use)
	pc, err := s.peer(codec, use)
	if err != nil {
		return nil, "", fault.Wrap(fault.Internal, err, "the call could not be set up")
	}
	defer func() {
		if p := recover(); p != nil {
			s.count("panic")
			s.cfg.Log.Error("an offer made pion panic", "panic", p, "stack", string(debug.Stack()))
			err = fault.Field("sdp", "the offer cannot be used")
			if l != nil {
				l.cancel() // or callbacks would wait for a leg that never gets whole
				l = nil
			}
		}
		if err != nil {
			_ = pc.GracefulClose()
		}
	}()
	id := uuid.Must(uuid.NewV7()).String()
	conn := newTrackConn(id, codec)
	sender, err := pc.AddTrack(conn)
	if err != nil {
		return nil, "", fault.Wrap(fault.Internal, err, "the call could not be set up")
	}
	l = s.newLeg(id, r, pc, conn)
	l.watch()
	if answer, err = describe(ctx, pc, r.SDP); err != nil {
		l.cancel()
		return nil, "", err
	}
	if err = l.audio(use); err != nil {
		l.cancel()
		return nil, "", err
	}
	s.wg.Go(func() { l.reports(sender) })
	l.waiting = s.cfg.Clock.AfterFunc(s.cfg.ConnectTimeout, func() {
		s.count("connect_timeout")
		l.end(media.Cause{By: "caller", Code: "unreachable", Text: "The browser did not connect in time."})
	}, "connect")
	close(l.ready)
	l.signal(false, "offer", r.SDP)
	l.signal(true, "answer", answer)
	return l, answer, nil
}

// describe runs the offer and answer through pion and waits for the candidates, which are all local.
func describe(ctx context.Context, pc *pion.PeerConnection, offer string) (string, error) {
	if err := pc.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeOffer, SDP: offer}); err != nil {
		return "", fault.Field("sdp", "the offer cannot be used: %v", err)
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		return "", fault.Field("sdp", "the offer cannot be answered: %v", err)
	}
	gathered := pion.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(answer); err != nil {
		return "", fault.Field("sdp", "the offer cannot be answered: %v", err)
	}
	select {
	case <-gathered:
	case <-ctx.Done():
		return "", fault.Wrap(fault.Timeout, ctx.Err(), "the request was given up")
	}
	return pc.LocalDescription().SDP, nil
}

// peer makes a peer connection that knows the one codec, with the payload types of the offer.
func (s *Server) peer(codec pion.RTPCodecParameters, use chosen) (*pion.PeerConnection, error) {
	var m pion.MediaEngine
	if err := m.RegisterCodec(codec, pion.RTPCodecTypeAudio); err != nil {
		return nil, err
	}
	if use.events >= 0 {
		ev := pion.RTPCodecParameters{
			RTPCodecCapability: pion.RTPCodecCapability{MimeType: "audio/telephone-event", ClockRate: codec.ClockRate},
			PayloadType:        pion.PayloadType(use.events),
		}
		if err := m.RegisterCodec(ev, pion.RTPCodecTypeAudio); err != nil {
			return nil, err
		}
	}
	var in interceptor.Registry
	if err := pion.ConfigureRTCPReports(&in); err != nil {
		return nil, err
	}
	engine, err := s.engine()
	if err != nil {
		return nil, err
	}
	cert, err := s.certificate()
	if err != nil {
		return nil, err
	}
	api := pion.NewAPI(pion.WithMediaEngine(&m), pion.WithInterceptorRegistry(&in), pion.WithSettingEngine(engine))
	return api.NewPeerConnection(pion.Configuration{Certificates: []pion.Certificate{*cert}})
}

// suites are those with authenticated encryption and forward secrecy, for our certificate's kind (RFC 9325 section 4.2).
// pion would also take AES-CBC with SHA-1; every browser has the first of these, which RFC 8827 section 6.5 demands.
var suites = []dtls.CipherSuiteID{
	dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, dtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, dtls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
}

func (s *Server) engine() (pion.SettingEngine, error) {
	e := pion.SettingEngine{LoggerFactory: s.log}
	e.SetLite(true)
	e.SetICEUDPMux(s.mux)
	e.SetIncludeLoopbackCandidate(true)
	e.SetNetworkTypes([]pion.NetworkType{pion.NetworkTypeUDP4, pion.NetworkTypeUDP6})
	// Browsers hide their addresses behind mDNS names; an ICE-lite server learns them from the checks.
	e.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	e.SetICETimeouts(5*time.Second, 20*time.Second, 2*time.Second)
	e.SetSCTPMaxMessageSize(maxSendMessage)
	e.SetDTLSCipherSuites(suites...)
	if err := e.SetAnsweringDTLSRole(pion.DTLSRoleServer); err != nil {
		return e, err
	}
	if len(s.cfg.PublicIPs) == 0 {
		return e, nil
	}
	return e, e.SetICEAddressRewriteRules(pion.ICEAddressRewriteRule{
		External: s.cfg.PublicIPs, AsCandidateType: pion.ICECandidateTypeHost, Mode: pion.ICEAddressRewriteAppend,
	})
}

// certificate is shared by all peers and renewed in time: pion refuses one that has expired.
func (s *Server) certificate() (*pion.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cert != nil && time.Until(s.cert.Expires()) > 7*24*time.Hour {
		return s.cert, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	s.cert, err = pion.GenerateCertificate(key)
	return s.cert, err
}

func parameters(use chosen) pion.RTPCodecParameters {
	c := pion.RTPCodecCapability{MimeType: "audio/" + use.codec, ClockRate: uint32(clocks[use.codec]), Channels: 1}
	if use.codec == audio.Opus {
		c.Channels, c.SDPFmtpLine = 2, use.fmtp // always 2 (RFC 7587 section 7)
	}
	return pion.RTPCodecParameters{RTPCodecCapability: c, PayloadType: pion.PayloadType(use.pt)}
}

func (s *Server) newLeg(id string, r OfferRequest, pc *pion.PeerConnection, conn *trackConn) *leg {
	params := make(map[string]string, len(r.Params))
	for k, v := range r.Params {
		params[strings.ToLower(k)] = v
	}
	l := &leg{
		s: s, pc: pc, conn: conn, channel: newChannel(),
		ready: make(chan struct{}), connected: make(chan struct{}), over: make(chan struct{}), done: make(chan struct{}),
		info: media.LegInfo{
			ID: id, Kind: media.KindWebRTC, Direction: media.Inbound,
			From: r.From, FromName: r.FromName, To: r.AgentSlug, External: id, Remote: r.Remote, Params: params,
		},
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// watch sets pion's callbacks. They wait until the leg is whole.
func (l *leg) watch() {
	whole := func(f func()) {
		select {
		case <-l.ready:
			l.guard(f)
		case <-l.ctx.Done():
		}
	}
	l.pc.OnConnectionStateChange(func(st pion.PeerConnectionState) { whole(func() { l.state(st) }) })
	l.pc.OnDataChannel(func(dc *pion.DataChannel) { whole(func() { l.opened(dc) }) })
	l.pc.OnTrack(func(t *pion.TrackRemote, _ *pion.RTPReceiver) {
		if !l.conn.hear(t) {
			l.s.count("foreign_track")
		}
	})
}

// audio makes the session that runs over the peer connection.
func (l *leg) audio(use chosen) error {
	session, err := rtp.New(rtp.Config{
		Conn: l.conn, Pacer: l.s.cfg.Pacer, Clock: l.s.cfg.Clock, Log: l.s.cfg.Log, Timeout: l.s.cfg.LostAfter,
		OnDTMF:    func(d byte) { l.emit(media.LegEvent{Kind: media.LegDTMF, Digit: d}) },
		OnTimeout: l.lost,
		OnEnd: func(err error) {
			l.end(media.Cause{By: "system", Code: "error", Text: fmt.Sprintf("The audio failed: %v.", err)})
		},
	})
	if err != nil {
		return fault.Wrap(fault.Internal, err, "the call could not be set up")
	}
	remote := rtp.Remote{RTP: far, Mux: true, Format: rtp.Format{Codec: use.codec, SendPT: use.pt, RecvPT: use.pt}, Deaf: !use.sends}
	if use.events >= 0 {
		remote.Events = &rtp.Events{SendPT: uint8(use.events), RecvPT: uint8(use.events)}
	}
	if err := session.SetRemote(remote); err != nil {
		_ = l.conn.Close()
		_ = session.Close()
		return fault.Wrap(fault.Internal, err, "the call could not be set up")
	}
	l.session, l.rate = session, session.Rate()
	return nil
}
