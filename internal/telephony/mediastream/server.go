package mediastream

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/quartz"
	"github.com/coder/websocket"

	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Parameters that Parley adds to a leg's LegInfo.Params. A carrier's custom parameters cannot set them.
const (
	ParamOrg   = "parley-organisation" // the organisation's id
	ParamAgent = "parley-agent"        // the agent's slug
)

// Route is where a dialled number leads.
type Route struct {
	Org   string // id
	Agent string // slug
}

// Accounts knows the carrier accounts.
type Accounts interface {
	// AuthToken gives the auth token of an account, or a fault NotFound.
	AuthToken(ctx context.Context, accountSid string) (string, error)
}

// Numbers knows which agent answers a number.
type Numbers interface {
	// Route gives the route of a dialled number, or a fault NotFound.
	Route(ctx context.Context, accountSid, number string) (Route, error)
}

// Control steers a call through the carrier's REST API. REST implements it.
type Control interface {
	Hangup(ctx context.Context, accountSid, callSid string) error
	Redirect(ctx context.Context, accountSid, callSid, twiml string) error
}

// Status is news of a call from the carrier's status callback.
type Status struct {
	AccountSid, CallSid string
	CallStatus          string // queued, ringing, in-progress, completed, busy, failed, no-answer, canceled
	From, To            string
	Direction           string
	DurationSeconds     string
	SIPResponseCode     string
	Timestamp           string
}

// Config is what a Server needs.
type Config struct {
	PublicURL string   // https://host[:port][/prefix], as the carrier sees us
	Tokens    *Tokens  // required
	Accounts  Accounts // nil: no webhook is accepted
	Numbers   Numbers  // nil: every call is rejected
	Control   Control  // nil: no transfer, and a call ends with its stream
	OnStatus  func(ctx context.Context, s Status)
	Accept    media.Accept // nil: streams are taken by another process, and only webhooks are answered
	Pacer     *media.Pacer // required with Accept
	Clock     quartz.Clock // nil: the real clock
	Log       *slog.Logger // nil: discarded
	// Count is told of everything worth a counter: "rejected", "malformed", "bad_token", ... Nil: nobody is.
	Count func(event string)

	MaxStreams     int           // at once, those that have not begun included [2000]
	StartTimeout   time.Duration // from the hand-shake to the start message [10 s]
	LostAfter      time.Duration // without audio: LegLost [3 s]
	MediaTimeout   time.Duration // without audio: the leg ends [60 s]
	WriteTimeout   time.Duration // for one message [5 s]
	ControlTimeout time.Duration // for one REST request [10 s]
	TokenTTL       time.Duration // from the webhook to the stream [1 min]
	Lead           time.Duration // what the carrier's buffer holds ahead [40 ms]; negative: nothing
}

// Server answers a carrier's webhooks and streams.
type Server struct {
	cfg     Config
	public  *url.URL
	lead    int
	streams atomic.Int64
	closed  atomic.Bool
	wg      sync.WaitGroup

	base   context.Context // cancelled by Close
	cancel context.CancelFunc

	mu   sync.Mutex
	legs map[*leg]struct{}
}

// New makes a Server.
func New(c Config) (*Server, error) {
	if c.Tokens == nil || (c.Accept == nil) != (c.Pacer == nil) {
		return nil, fault.New(fault.Internal, "mediastream needs Tokens, and both Accept and Pacer where it takes streams")
	}
	s := &Server{legs: map[*leg]struct{}{}}
	if c.PublicURL != "" {
		u, err := url.Parse(strings.TrimRight(c.PublicURL, "/"))
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" {
			return nil, fault.Field("publicUrl", "%q is not a URL like https://voice.example.com", c.PublicURL)
		}
		s.public = u
	}
	if c.Clock == nil {
		c.Clock = quartz.NewReal()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.MaxStreams <= 0 {
		c.MaxStreams = 2000
	}
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{
		{&c.StartTimeout, 10 * time.Second}, {&c.LostAfter, 3 * time.Second}, {&c.MediaTimeout, time.Minute},
		{&c.WriteTimeout, 5 * time.Second}, {&c.ControlTimeout, 10 * time.Second}, {&c.TokenTTL, time.Minute},
		{&c.Lead, 40 * time.Millisecond},
	} {
		if *d.v == 0 {
			*d.v = d.def
		}
	}
	s.lead = int(min(max(c.Lead, 0), 100*time.Millisecond) / media.FrameDuration)
	s.cfg = c
	s.base, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// enter counts a stream in, unless the server is stopping.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() {
		return false
	}
	s.wg.Add(1)
	return true
}

// join makes the leg known to Close.
func (s *Server) join(l *leg) {
	s.mu.Lock()
	s.legs[l] = struct{}{}
	s.mu.Unlock()
	if s.base.Err() != nil {
		l.end(shutdown, websocket.StatusGoingAway, "shutting down")
	}
}

var shutdown = media.Cause{By: "system", Code: "shutdown", Text: "The server is stopping."}

func (s *Server) count(event string) {
	if s.cfg.Count != nil {
		s.cfg.Count(event)
	}
}

// Streams is the number of streams at present.
func (s *Server) Streams() int { return int(s.streams.Load()) }

// Drain refuses new calls; those that run go on.
func (s *Server) Drain() { s.closed.Store(true) }

// Close ends every stream and waits until they are gone, or for ctx.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed.Store(true)
	s.cancel()
	for l := range s.legs {
		l.end(shutdown, websocket.StatusGoingAway, "shutting down")
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() { s.wg.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fullURL is the URL of a request as the carrier sees it, which is what it signs. Behind a proxy the
// request itself knows neither scheme nor host.
func (s *Server) fullURL(r *http.Request) string {
	if s.public != nil {
		return s.public.String() + r.URL.RequestURI()
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host + r.URL.RequestURI()
}

// mediaURL is where the carrier opens the stream.
func (s *Server) mediaURL(r *http.Request) string {
	base := s.fullURL(r)
	if s.public != nil {
		base = s.public.String()
	} else if u, err := url.Parse(base); err == nil {
		base = u.Scheme + "://" + u.Host
	}
	return "ws" + strings.TrimPrefix(base, "http") + MediaPath
}
