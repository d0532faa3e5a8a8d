package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

const (
	firstPause   = 500 * time.Millisecond
	longestPause = 15 * time.Second
	dialTimeout  = 10 * time.Second
	silence      = 90 * time.Second // the server pings every 25 s; an answer to our own ping must come within this
	maxMessage   = 16 << 20         // a hundred events at most
)

// FeedEvent is one event of the realtime feed. IDs rise and are the same on every instance of the server.
type FeedEvent struct {
	ID   uint64          `json:"id"`
	Type string          `json:"type"` // call:started, call:status, transcript:update, ...: docs/api.md
	Room string          `json:"room"`
	At   time.Time       `json:"at"`
	Data json.RawMessage `json:"data"`
}

// FeedConfig is what Follow needs.
type FeedConfig struct {
	URL   string // of the server: https://voice.example.com
	Token string // an API token that may call:read
	Rooms []string
	After uint64 // the last event that is known; 0 is: only what is new

	OnSubscribed func()         // the rooms are joined, again after each connection; may be nil
	OnReset      func()         // events were lost: read the state again; may be nil
	HTTPClient   *http.Client   // http.DefaultClient
	Pause        time.Duration  // before the first attempt to come back, from half to all of it by chance; then twice as long each time, at most 15 s; 500 ms
	Rand         func() float64 // from 0 to below 1
}

// Follow hands every event of the rooms to fn, once and in order, until ctx ends, fn fails, or the server says that the token
// may not. When a connection breaks it comes back and resumes after the last event, on whichever instance answers.
func Follow(ctx context.Context, c FeedConfig, fn func(FeedEvent) error) error {
	if c.Pause == 0 {
		c.Pause = firstPause
	}
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	f := &follower{c: c, fn: fn, last: c.After}
	for {
		err := f.connect(ctx)
		var end *endError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &end):
			return end.err
		}
		// By chance, so that the clients of an instance that stopped do not come back all at once.
		full := min(longestPause, c.Pause<<min(f.attempt, 10))
		f.attempt++
		t := time.NewTimer(time.Duration(float64(full) * (0.5 + c.Rand()/2)))
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
	}
}

// endError ends Follow: coming back would not help.
type endError struct{ err error }

// Error implements error.
func (e *endError) Error() string { return e.err.Error() }

type follower struct {
	c       FeedConfig
	fn      func(FeedEvent) error
	last    uint64
	attempt int
	started bool // it was connected once: what was missed without an id is lost
}

// connect follows the feed for as long as one connection lasts.
func (f *follower) connect(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dialing, connected := context.WithTimeout(ctx, dialTimeout)
	defer connected()
	ws, resp, err := websocket.Dial(dialing, strings.TrimSuffix(f.c.URL, "/")+"/api/v1/realtime", &websocket.DialOptions{
		HTTPHeader: http.Header{"Authorization": {"Bearer " + f.c.Token}}, HTTPClient: f.c.HTTPClient,
	})
	if err != nil {
		if resp != nil && (resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden) {
			return &endError{fmt.Errorf("realtime feed: the token may not: %s", resp.Status)}
		}
		return err
	}
	defer func() { _ = ws.CloseNow() }()
	ws.SetReadLimit(maxMessage)
	if err := wsjson.Write(ctx, ws, map[string]any{"type": "subscribe", "rooms": f.c.Rooms, "after": f.last}); err != nil {
		return err
	}
	go watch(ctx, cancel, ws)
	for {
		var m feedMessage
		if err := wsjson.Read(ctx, ws, &m); err != nil {
			if websocket.CloseStatus(err) == websocket.StatusPolicyViolation {
				return &endError{fmt.Errorf("realtime feed: %w", err)}
			}
			return err
		}
		if err := f.take(m); err != nil {
			return err
		}
	}
}

// watch ends a connection whose other end is silent.
func watch(ctx context.Context, cancel context.CancelFunc, ws *websocket.Conn) {
	t := time.NewTicker(silence / 2)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		waiting, stop := context.WithTimeout(ctx, silence/2)
		err := ws.Ping(waiting)
		stop()
		if err != nil {
			cancel()
			return
		}
	}
}

// feedMessage is whatever the server sends: an event, several, or an answer.
type feedMessage struct {
	FeedEvent
	Detail string      `json:"detail"`
	Batch  []FeedEvent `json:"batch"`
}

func (f *follower) take(m feedMessage) error {
	switch m.Type {
	case "subscribed":
		if f.started && f.last == 0 {
			f.reset()
		}
		f.started, f.attempt = true, 0
		if f.last == 0 {
			f.last = m.ID
		}
		if f.c.OnSubscribed != nil {
			f.c.OnSubscribed()
		}
		return nil
	case "reset":
		f.last = m.ID
		f.reset()
		return nil
	case "error":
		return &endError{errors.New("realtime feed: " + m.Detail)}
	case "pong":
		return nil
	}
	events := m.Batch
	if events == nil {
		events = []FeedEvent{m.FeedEvent}
	}
	for _, e := range events {
		if e.ID <= f.last { // a repeat
			continue
		}
		f.last = e.ID
		if err := f.fn(e); err != nil {
			return &endError{err}
		}
	}
	return nil
}

func (f *follower) reset() {
	if f.c.OnReset != nil {
		f.c.OnReset()
	}
}
