package fleet_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/parley-voice/parley/internal/gateway/fleet"
)

// echo answers each message, until "bye", which it closes by, or "die", at which it is gone without a word.
func echo(closed chan<- websocket.StatusCode) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		ws, err := websocket.Accept(w, req, &websocket.AcceptOptions{Subprotocols: []string{"talk"}})
		if err != nil {
			return
		}
		defer func() { _ = ws.CloseNow() }()
		for {
			kind, data, err := ws.Read(req.Context())
			if err != nil {
				closed <- websocket.CloseStatus(err)
				return
			}
			if string(data) == "die" {
				return
			}
			if string(data) == "bye" {
				_ = ws.Close(4001, "as you wish")
				closed <- 4001
				return
			}
			if ws.Write(req.Context(), kind, data) != nil {
				return
			}
		}
	}
}

func dial(t *testing.T, url string) *websocket.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	ws, resp, err := websocket.Dial(ctx, url, &websocket.DialOptions{Subprotocols: []string{"talk"}})
	if err != nil {
		t.Fatal(err)
	}
	if resp.Header.Get("Sec-WebSocket-Protocol") != "talk" {
		t.Errorf("%v", resp.Header)
	}
	t.Cleanup(func() { _ = ws.CloseNow() })
	return ws
}

func say(t *testing.T, ws *websocket.Conn, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	if err := ws.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, ws *websocket.Conn) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	_, data, err := ws.Read(ctx)
	return string(data), err
}

// Messages, close codes and reasons cross both ways.
func TestWebSocket(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	closed := make(chan websocket.StatusCode, 10)
	r.join(fleet.Instance{ID: "m", Capacity: 5}, echo(closed))
	srv, p := r.proxy(fleet.ProxyConfig{Takes: true})
	ws := dial(t, srv.URL)
	for _, text := range []string{"one", strings.Repeat("long", 5000)} {
		say(t, ws, text)
		if got, err := hear(t, ws); got != text {
			t.Fatalf("%.20s %v", got, err)
		}
	}
	if n := r.fleet.Instances("")[0].InFlight; n != 1 || p.Sockets() != 1 {
		t.Errorf("%d in flight, %d sockets", n, p.Sockets())
	}
	say(t, ws, "bye")
	if _, err := hear(t, ws); websocket.CloseStatus(err) != 4001 || !strings.Contains(err.Error(), "as you wish") {
		t.Errorf("closed by the instance: %v", err)
	}
	<-closed
	again := dial(t, srv.URL)
	cut, cancel := context.WithCancel(t.Context())
	cancel()
	if p.Wait(cut) == nil {
		t.Error("a call that crosses is not waited for")
	}
	waited := make(chan error, 2)
	for range 2 {
		go func() { waited <- p.Wait(t.Context()) }()
	}
	if err := again.Close(4002, "enough"); err != nil {
		t.Error(err)
	}
	if code := <-closed; code != 4002 {
		t.Errorf("the instance heard %d", code)
	}
	for range 2 {
		if err := <-waited; err != nil {
			t.Error(err)
		}
	}
	eventually(t, "the end of both", func() bool { return p.Sockets() == 0 && r.fleet.Instances("")[0].InFlight == 0 })
}

// A WebSocket ends with its instance, with the gateway, and when neither end says anything for long.
func TestWebSocketEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, ws *websocket.Conn, p *fleet.Proxy){
		"the instance dies": func(t *testing.T, ws *websocket.Conn, _ *fleet.Proxy) { say(t, ws, "die") },
		"the gateway stops": func(_ *testing.T, _ *websocket.Conn, p *fleet.Proxy) { p.Close() },
		"silence":           nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.join(fleet.Instance{ID: "m"}, echo(make(chan websocket.StatusCode, 10)))
			srv, p := r.proxy(fleet.ProxyConfig{SocketIdle: time.Minute})
			ws := dial(t, srv.URL)
			say(t, ws, "one")
			if _, err := hear(t, ws); err != nil {
				t.Fatal(err)
			}
			over := make(chan struct{})
			go func() {
				defer close(over)
				if _, err := hear(t, ws); err == nil || websocket.CloseStatus(err) != -1 {
					t.Errorf("it ends by %v", err)
				}
			}()
			if end != nil {
				end(t, ws, p)
			}
			eventually(t, "the end", func() bool {
				if d, ok := r.clock.Peek(); ok && d <= time.Minute && end == nil {
					r.clock.Advance(d)
				}
				return p.Sockets() == 0 && r.fleet.Instances("")[0].InFlight == 0
			})
			<-over
		})
	}
}
