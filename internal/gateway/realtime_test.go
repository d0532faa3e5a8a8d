package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"github.com/parley-voice/parley/internal/gateway"
	"github.com/parley-voice/parley/internal/identity"
)

const within = 20 * time.Second

// feed is a hub behind a real HTTP server.
type feed struct {
	*gateway.Hub
	url string
}

func newFeed(t *testing.T) feed {
	t.Helper()
	hub := gateway.NewHub(people(), nil, quartz.NewReal(), slog.New(slog.DiscardHandler))
	srv := httptest.NewServer(hub)
	t.Cleanup(func() {
		hub.Close()
		srv.Close()
	})
	return feed{hub, srv.URL}
}

func (f feed) say(id uint64, org, room, typ string) {
	f.Publish(org, gateway.Event{ID: id, Type: typ, Room: room, At: time.Unix(0, 0), Data: json.RawMessage(`{}`)})
}

// message is whatever the server sends.
type message struct {
	Type   string    `json:"type"`
	ID     uint64    `json:"id"`
	Room   string    `json:"room"`
	Detail string    `json:"detail"`
	Batch  []message `json:"batch"`
}

type socket struct {
	t  *testing.T
	ws *websocket.Conn
	// ahead holds the rest of a batch.
	ahead []message
}

func (f feed) dial(t *testing.T, token string) *socket {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, f.url, &websocket.DialOptions{
		HTTPHeader: http.Header{"Authorization": {"Bearer " + token}}, HTTPClient: smallWindow(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ws.SetReadLimit(64 << 20)
	t.Cleanup(func() { _ = ws.CloseNow() })
	return &socket{t: t, ws: ws}
}

// smallWindow is a client whose kernel keeps little, so that one who does not read is soon noticed.
func smallWindow() *http.Client {
	d := &net.Dialer{}
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := d.DialContext(ctx, network, addr)
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetReadBuffer(128 << 10)
		}
		return c, err
	}}}
}

func (s *socket) send(v any) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), within)
	defer cancel()
	if err := wsjson.Write(ctx, s.ws, v); err != nil {
		s.t.Fatal(err)
	}
}

func (s *socket) next() (message, error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), within)
	defer cancel()
	for len(s.ahead) == 0 {
		var m message
		if err := wsjson.Read(ctx, s.ws, &m); err != nil {
			return m, err
		}
		if m.Batch == nil {
			return m, nil
		}
		s.ahead = m.Batch
	}
	m := s.ahead[0]
	s.ahead = s.ahead[1:]
	return m, nil
}

// want reads one message and compares.
func (s *socket) want(typ string, id uint64) {
	s.t.Helper()
	m, err := s.next()
	if err != nil || m.Type != typ || m.ID != id {
		s.t.Fatalf("got %s %d %q (%v), want %s %d", m.Type, m.ID, m.Detail, err, typ, id)
	}
}

func (s *socket) subscribe(after uint64, rooms ...string) {
	s.t.Helper()
	s.send(map[string]any{"type": "subscribe", "rooms": rooms, "after": after})
}

func TestRooms(t *testing.T) {
	t.Parallel()
	f := newFeed(t)
	s := f.dial(t, "owner-a")
	s.subscribe(0, "call:1")
	s.want("subscribed", 0)
	f.say(1, "a", "call:2", "call:transcript") // another call
	f.say(2, "b", "call:1", "call:transcript") // another organisation
	f.say(3, "a", "call:1", "call:transcript")
	s.want("call:transcript", 3)
	f.say(3, "a", "call:1", "call:transcript") // a repeat
	s.subscribe(0, "org")
	s.want("subscribed", 3)
	f.say(4, "b", "call:9", "call:started")
	f.say(5, "a", "call:2", "call:transcript") // the organisation's room does not tell what is said
	f.say(6, "a", "call:2", "call:started")
	s.want("call:started", 6)
	s.send(map[string]any{"type": "unsubscribe", "rooms": []string{"org"}})
	s.send(map[string]any{"type": "ping"})
	s.want("pong", 0)
	f.say(7, "a", "call:2", "call:ended")
	s.subscribe(0, "role:owner")
	s.want("subscribed", 7)
	f.say(8, "a", "call:2", "call:ended")
	s.want("call:ended", 8)
}

func TestWrongSubscriptions(t *testing.T) {
	t.Parallel()
	f := newFeed(t)
	s := f.dial(t, "owner-a")
	many := make([]string, 201)
	for i := range many {
		many[i] = fmt.Sprintf("call:%d", i)
	}
	for _, c := range []struct {
		message any
		detail  string
	}{
		{map[string]any{"type": "sing"}, "unknown type"},
		{map[string]any{"type": "subscribe", "rooms": []string{"kitchen"}}, "unknown room"},
		{map[string]any{"type": "subscribe", "rooms": []string{"call:"}}, "unknown room"},
		{map[string]any{"type": "subscribe", "rooms": []string{"role:admin"}}, "another role"},
		{map[string]any{"type": "subscribe", "rooms": many}, "too many rooms"},
	} {
		s.send(c.message)
		m, err := s.next()
		if err != nil || m.Type != "error" || !strings.Contains(m.Detail, c.detail) {
			t.Errorf("%v: got %+v, %v", c.message, m, err)
		}
	}
}

func TestResume(t *testing.T) {
	t.Parallel()
	f := newFeed(t)
	for id := uint64(10); id <= 20; id++ {
		f.say(id, "a", "call:1", "call:transcript")
	}
	s := f.dial(t, "owner-a")
	s.subscribe(17, "call:1")
	s.want("subscribed", 20)
	for id := uint64(18); id <= 20; id++ {
		s.want("call:transcript", id)
	}
	f.say(21, "a", "call:1", "call:ended")
	s.want("call:ended", 21)
}

// What lies before the oldest event that is kept was missed for good, and so is what another run of the
// server counted.
func TestResumeTooOld(t *testing.T) {
	t.Parallel()
	f := newFeed(t)
	for id := uint64(100); id < 100+25_000; id++ {
		f.say(id, "a", "call:1", "call:status")
	}
	last := uint64(100 + 25_000 - 1)
	for _, after := range []uint64{50, 4000, last + 10} {
		s := f.dial(t, "owner-a")
		s.subscribe(after, "call:1")
		s.want("reset", last)
		s.want("subscribed", last)
	}
	s := f.dial(t, "owner-a")
	s.subscribe(last-5000, "call:1") // more than the queue of a client holds
	s.want("subscribed", last)
	for id := last - 4999; id <= last; id++ {
		s.want("call:status", id)
	}
}

func TestSlowClientResumesWithoutLoss(t *testing.T) {
	t.Parallel()
	f := newFeed(t)
	s := f.dial(t, "owner-a")
	s.subscribe(0, "call:1")
	s.want("subscribed", 0)
	// More than the sockets and the queue hold.
	big := json.RawMessage(`"` + strings.Repeat("x", 8<<10) + `"`)
	const first, all = 4000, 4500
	publish := func(from, to uint64) {
		for id := from; id <= to; id++ {
			f.Publish("a", gateway.Event{ID: id, Type: "call:status", Room: "call:1", Data: big})
		}
	}
	publish(1, first)
	rest := make(chan struct{})
	go func() { // while it begins to read
		defer close(rest)
		publish(first+1, all)
	}()
	seen := uint64(0)
	closedSlow := 0
	for seen < all {
		m, err := s.next()
		if err != nil {
			if websocket.CloseStatus(err) != websocket.StatusTryAgainLater {
				t.Fatalf("after %d: %v", seen, err)
			}
			closedSlow++
			s = f.dial(t, "owner-a")
			s.subscribe(seen, "call:1")
			continue
		}
		switch m.Type {
		case "subscribed":
		case "call:status":
			if m.ID != seen+1 {
				t.Fatalf("%d came after %d", m.ID, seen)
			}
			seen = m.ID
		default:
			t.Fatalf("got %+v", m)
		}
	}
	<-rest
	if closedSlow == 0 {
		t.Error("the slow client was never closed")
	}
}

func TestRealtimeAsksWhoYouAre(t *testing.T) {
	t.Parallel()
	f := newFeed(t)
	for name, c := range map[string]struct {
		header http.Header
		status int
	}{
		"nobody":                    {http.Header{}, http.StatusUnauthorized},
		"no permission":             {http.Header{"Authorization": {"Bearer nothing"}}, http.StatusForbidden},
		"cookie from another site":  {http.Header{"Cookie": {gateway.SessionCookie + "=owner-a"}, "Origin": {"https://evil.example"}}, http.StatusForbidden},
		"cookie, said by a browser": {http.Header{"Cookie": {gateway.SessionCookie + "=owner-a"}, "Sec-Fetch-Site": {"cross-site"}}, http.StatusForbidden},
		"cookie from our own page":  {http.Header{"Cookie": {gateway.SessionCookie + "=owner-a"}, "Origin": {f.url}}, http.StatusSwitchingProtocols},
		"token from another site":   {http.Header{"Authorization": {"Bearer owner-a"}, "Origin": {"https://evil.example"}}, http.StatusSwitchingProtocols},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		ws, res, err := websocket.Dial(ctx, f.url, &websocket.DialOptions{HTTPHeader: c.header})
		if ws != nil {
			_ = ws.CloseNow()
		}
		if res == nil || res.StatusCode != c.status {
			t.Errorf("%s: got %v (%v), want %d", name, res, err, c.status)
		}
		cancel()
	}
}

func TestHubCloses(t *testing.T) {
	t.Parallel()
	f := newFeed(t)
	s := f.dial(t, "owner-a")
	s.subscribe(0, "org")
	s.want("subscribed", 0)
	if f.Clients() != 1 {
		t.Errorf("%d clients", f.Clients())
	}
	f.Close()
	if _, err := s.next(); websocket.CloseStatus(err) != websocket.StatusServiceRestart {
		t.Errorf("got %v", err)
	}
	late := f.dial(t, "owner-a")
	if _, err := late.next(); websocket.CloseStatus(err) != websocket.StatusServiceRestart {
		t.Errorf("a late client got %v", err)
	}
}

// Who signed out meanwhile does not go on listening, nor who may no longer see calls.
func TestSignedOutWhileListening(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*directory){
		"signed out":   func(d *directory) { d.forget("owner-a") },
		"another role": func(d *directory) { d.demote("owner-a") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listenUntil(t, change)
		})
	}
}

func listenUntil(t *testing.T, change func(*directory)) {
	t.Helper()
	clock := quartz.NewMock(t)
	who := people()
	hub := gateway.NewHub(who, nil, clock, slog.New(slog.DiscardHandler))
	srv := httptest.NewServer(hub)
	t.Cleanup(srv.Close)
	s := feed{hub, srv.URL}.dial(t, "owner-a")
	s.subscribe(0, "org")
	s.want("subscribed", 0)
	change(who)
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	closed := make(chan error, 1)
	go func() {
		_, err := s.next()
		closed <- err
	}()
	for range 3 { // two pings pass before the minute is over
		_, w := clock.AdvanceNext()
		if err := w.Wait(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-closed; websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("got %v", err)
	}
}

// Who may see only some people's calls is told of theirs: by the agent, by who placed or took the call. The organisation's
// totals and other people's calls are not for them, neither live nor when they resume.
func TestNarrowFeed(t *testing.T) {
	t.Parallel()
	who := people()
	who.known["anna"] = identity.Principal{UserID: "anna", OrgID: "a", Role: "clerk", Permissions: []string{"call:read:own"}}
	agents := func(_ context.Context, org string, users []string) ([]string, error) {
		if org != "a" || len(users) != 1 || users[0] != "anna" {
			return nil, fmt.Errorf("asked for the agents of %v of %s", users, org)
		}
		return []string{"a1"}, nil
	}
	hub := gateway.NewHub(who, agents, quartz.NewReal(), slog.New(slog.DiscardHandler))
	srv := httptest.NewServer(hub)
	t.Cleanup(func() { hub.Close(); srv.Close() })
	f := feed{hub, srv.URL}
	s := f.dial(t, "anna")

	say := func(id uint64, agent string, people ...string) {
		hub.Publish("a", gateway.Event{ID: id, Type: "call:status", Room: "call:" + fmt.Sprint(id), Data: json.RawMessage(`{}`), Agent: agent, People: people})
	}
	say(1, "a2", "ben", "")
	say(2, "a1", "", "")
	say(3, "", "", "") // the organisation's totals
	say(4, "a2", "", "anna")
	s.subscribe(0, "org", "call:7")
	s.want("subscribed", 4)
	s.send(map[string]any{"type": "subscribe", "rooms": []string{"org"}, "after": 1})
	s.want("subscribed", 4)
	s.want("call:status", 2)
	s.want("call:status", 4)
	say(5, "a2", "ben")
	say(6, "", "", "")
	say(7, "a2", "ben") // subscribed to by its id, and not hers all the same
	say(8, "a2", "anna")
	s.want("call:status", 8)
}
