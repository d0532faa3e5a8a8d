package gateway

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/quartz"
	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Bounds of the realtime feed.
const (
	keptEvents    = 20_000 // of all organisations together; a client further behind gets "reset"
	clientQueue   = 2_000  // events; a client slower than that is closed and resumes
	maxBatch      = 100    // events in one WebSocket message
	batchDelay    = 20 * time.Millisecond
	maxRooms      = 200
	writeTimeout  = 10 * time.Second
	pingEvery     = 25 * time.Second
	reauthEvery   = time.Minute
	maxClientRead = 32 << 10

	feedPermission = "call:read"
)

// Event is one message of the realtime feed. IDs rise and are the same on every instance.
type Event struct {
	ID   uint64          `json:"id"`
	Type string          `json:"type"` // call:started, call:status, call:transcript, transcript:update, call:ended, call:error, agent:status, dashboard:metrics
	Room string          `json:"room,omitempty"`
	At   time.Time       `json:"at"`
	Data json.RawMessage `json:"data"`

	// Agent and People are whose calls it is about: the agent's owner, and who placed or took the call. An event that
	// names none is about the whole organisation.
	Agent  string   `json:"-"`
	People []string `json:"-"`

	orgID string
}

// Agents gives the ids of the agents that belong to one of users.
type Agents func(ctx context.Context, orgID string, users []string) ([]string, error)

// Hub keeps the last events and hands them to the WebSockets that asked for them.
type Hub struct {
	auth   Authenticator
	agents Agents
	clock  quartz.Clock
	log    *slog.Logger

	mu      sync.Mutex
	ring    []Event // oldest first once full: ring[next]
	next    int
	last    uint64
	clients map[*client]struct{}
	waiting map[chan struct{}]uint64 // who waits until an event is here
	closed  bool
	empty   chan struct{} // closed when the last client of a closed hub is gone
}

// NewHub makes a hub without events.
func NewHub(auth Authenticator, agents Agents, clock quartz.Clock, log *slog.Logger) *Hub {
	return &Hub{auth: auth, agents: agents, clock: clock, log: log, ring: make([]Event, 0, 1024), clients: map[*client]struct{}{},
		waiting: map[chan struct{}]uint64{}, empty: make(chan struct{})}
}

// Publish adds an event. Its id must be above the last one's; a repeated event is dropped.
func (h *Hub) Publish(orgID string, e Event) {
	e.orgID = orgID
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.ID <= h.last {
		return
	}
	h.last = e.ID
	if len(h.ring) < keptEvents {
		h.ring = append(h.ring, e)
	} else {
		h.ring[h.next] = e
		h.next = (h.next + 1) % keptEvents
	}
	for c := range h.clients {
		c.offer(e)
	}
	for ch, id := range h.waiting {
		if id <= h.last {
			close(ch)
			delete(h.waiting, ch)
		}
	}
}

// Clients is how many WebSockets are open.
func (h *Hub) Clients() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.clients)
}

// since gives the kept events after id, and whether none is missing.
func (h *Hub) since(id uint64) (out []Event, whole bool) {
	n := len(h.ring)
	if n == 0 || id >= h.last {
		return nil, id <= h.last
	}
	oldest := h.ring[0]
	if n == keptEvents {
		oldest = h.ring[h.next]
	}
	for i := range n {
		j := i
		if n == keptEvents {
			j = (h.next + i) % keptEvents
		}
		if h.ring[j].ID > id {
			out = append(out, h.ring[j])
		}
	}
	return out, oldest.ID <= id+1
}

// client is one WebSocket. What changes of it is guarded by the hub's lock.
type client struct {
	principal identity.Principal
	scope     identity.Scope // whose calls it is told of
	agents    []string       // that belong to those people, where scope is narrow
	rooms     []string
	queue     chan Event
	stop      chan struct{}
	ended     bool
	slow      bool
}

// end closes the WebSocket soon. The caller holds the hub's lock.
func (c *client) end() {
	if !c.ended {
		c.ended = true
		close(c.stop)
	}
}

// offer queues e. Once one was dropped none may follow: the last id the client has must tell what it missed.
func (c *client) offer(e Event) {
	if c.ended || !c.wants(e) {
		return
	}
	select {
	case c.queue <- e:
	default:
		// Nothing is lost: the client resumes from the last id it has.
		c.slow = true
		c.end()
	}
}

func (c *client) wants(e Event) bool {
	if e.orgID != c.principal.OrgID || !c.reaches(e) {
		return false
	}
	for _, r := range c.rooms {
		if r == e.Room {
			return true
		}
		// The organisation's room, and that of one's own role, tell of every call but not what is said.
		if (r == "org" || r == "role:"+c.principal.Role) && e.Type != "call:transcript" && e.Type != "transcript:update" {
			return true
		}
	}
	return false
}

// reaches reports whether e is about what the person may see. The organisation's totals are for who may see all calls.
func (c *client) reaches(e Event) bool {
	return c.scope.All() || e.Agent != "" && slices.Contains(c.agents, e.Agent) || slices.ContainsFunc(e.People, c.scope.Has)
}

// admit gives a client what its person may see now; an error when that is nothing.
func (h *Hub) admit(ctx context.Context, c *client, p identity.Principal) error {
	scope, may := p.Scope(feedPermission)
	if !may {
		return fault.New(fault.Forbidden, "your role does not include %q", feedPermission)
	}
	var agents []string
	if !scope.All() && h.agents != nil {
		var err error
		if agents, err = h.agents(ctx, p.OrgID, scope.Users()); err != nil {
			return err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	c.principal, c.scope, c.agents = p, scope, agents
	return nil
}

type subscribeMessage struct {
	Type  string   `json:"type"` // subscribe, unsubscribe, ping
	Rooms []string `json:"rooms"`
	After uint64   `json:"after"`
}

type controlMessage struct {
	Type   string   `json:"type"` // subscribed, reset, pong, error
	ID     uint64   `json:"id,omitempty"`
	Rooms  []string `json:"rooms,omitempty"`
	Detail string   `json:"detail,omitempty"`

	missed []Event // sent after the message
}

// ServeHTTP is GET /api/v1/realtime. The client says {"type":"subscribe","rooms":["call:ID","org"],"after":N};
// it is answered {"type":"subscribed","id":LAST} and gets events, several at a time as {"batch":[...]}. When
// events after N are no longer kept, "reset" comes first: read the state again.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p, err := Authenticate(r, h.auth)
	c := &client{queue: make(chan Event, clientQueue), stop: make(chan struct{})}
	if err == nil {
		err = h.admit(r.Context(), c, p)
	}
	if err != nil {
		WriteProblem(w, err)
		return
	}
	// Origin was compared by Authenticate for cookies; a bearer token needs no such proof.
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer func() { _ = ws.CloseNow() }()
	ws.SetReadLimit(maxClientRead)
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		_ = ws.Close(websocket.StatusServiceRestart, "draining")
		return
	}
	h.clients[c] = struct{}{}
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		delete(h.clients, c)
		if h.closed && len(h.clients) == 0 {
			close(h.empty)
		}
		h.mu.Unlock()
	}()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	control := make(chan controlMessage, 16)
	go func() {
		defer cancel()
		h.read(ctx, ws, c, control)
	}()
	h.write(ctx, ws, c, control)
}

func (h *Hub) read(ctx context.Context, ws *websocket.Conn, c *client, control chan<- controlMessage) {
	for {
		var m subscribeMessage
		if err := wsjson.Read(ctx, ws, &m); err != nil {
			return
		}
		var reply controlMessage
		switch m.Type {
		case "subscribe":
			h.await(ctx, m.After)
			var ok bool
			if reply, ok = h.subscribe(c, m, control); ok {
				continue
			}
		case "unsubscribe":
			h.mu.Lock()
			c.rooms = slices.DeleteFunc(slices.Clone(c.rooms), func(r string) bool { return slices.Contains(m.Rooms, r) })
			h.mu.Unlock()
			continue
		case "ping":
			reply = controlMessage{Type: "pong"}
		default:
			reply = controlMessage{Type: "error", Detail: "unknown type; use subscribe, unsubscribe or ping"}
		}
		select {
		case control <- reply:
		case <-ctx.Done():
			return
		}
	}
}

// subscribe adds rooms. It answers by itself while events are held back, so that what was missed comes before
// what is new; what it cannot do it gives as a reply to send.
func (h *Hub) subscribe(c *client, m subscribeMessage, control chan<- controlMessage) (reply controlMessage, done bool) {
	for _, room := range m.Rooms {
		kind, name, _ := strings.Cut(room, ":")
		if room != "org" && (name == "" || (kind != "call" && kind != "role")) {
			return controlMessage{Type: "error", Detail: "unknown room; use org, role:ROLE or call:ID"}, false
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, room := range m.Rooms {
		if name, ok := strings.CutPrefix(room, "role:"); ok && name != c.principal.Role {
			return controlMessage{Type: "error", Detail: "that room belongs to another role"}, false
		}
	}
	for _, room := range m.Rooms {
		if len(c.rooms) >= maxRooms {
			return controlMessage{Type: "error", Detail: "too many rooms; unsubscribe from some"}, false
		}
		if !slices.Contains(c.rooms, room) {
			c.rooms = append(c.rooms, room)
		}
	}
	answers := []controlMessage{{Type: "subscribed", ID: h.last, Rooms: c.rooms}}
	if m.After > 0 {
		missed, whole := h.since(m.After)
		missed = slices.DeleteFunc(missed, func(e Event) bool { return !c.wants(e) })
		if !whole {
			answers = []controlMessage{{Type: "reset", ID: h.last}, answers[0]}
		}
		answers[len(answers)-1].missed = missed
	}
	for _, a := range answers {
		select {
		case control <- a:
		default: // it asks faster than it reads
			c.slow = true
			c.end()
		}
	}
	return controlMessage{}, true
}

func (h *Hub) write(ctx context.Context, ws *websocket.Conn, c *client, control <-chan controlMessage) {
	ping := h.clock.NewTicker(pingEvery, "realtime", "ping")
	defer ping.Stop()
	reauth := h.clock.NewTicker(reauthEvery, "realtime", "reauth")
	defer reauth.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-c.stop:
			if c.slow {
				_ = ws.Close(websocket.StatusTryAgainLater, "too slow; resume with the last id")
			} else {
				_ = ws.Close(websocket.StatusServiceRestart, "draining; resume with the last id")
			}
			return
		case <-ping.C:
			err = withTimeout(ctx, ws.Ping)
		case <-reauth.C:
			if !h.again(ctx, c) {
				_ = ws.Close(websocket.StatusPolicyViolation, "signed out")
				return
			}
		case m := <-control:
			err = writeControl(ctx, ws, m)
		case e := <-c.queue:
			err = h.writeEvents(ctx, ws, c, control, e)
		}
		if err != nil {
			return
		}
	}
}

// again asks whether a client may go on, and takes over what it may see by now. A role that sees less counts here a minute
// later at most.
func (h *Hub) again(ctx context.Context, c *client) bool {
	p, err := h.auth.Still(ctx, c.principal)
	return err == nil && h.admit(ctx, c, p) == nil
}

// writeEvents sends e and what comes with it within batchDelay as one message. An answer that was given before
// an event came stands before it, because it may bring older events along.
func (h *Hub) writeEvents(ctx context.Context, ws *websocket.Conn, c *client, control <-chan controlMessage, e Event) error {
	var batch []Event
	add := func(e Event) error {
		for len(control) > 0 {
			if err := writeBatch(ctx, ws, batch); err != nil {
				return err
			}
			batch = nil
			if err := writeControl(ctx, ws, <-control); err != nil {
				return err
			}
		}
		batch = append(batch, e)
		return nil
	}
	if err := add(e); err != nil {
		return err
	}
	timer := h.clock.NewTimer(batchDelay, "realtime", "batch")
	defer timer.Stop()
	for len(batch) < maxBatch {
		select {
		case more := <-c.queue:
			if err := add(more); err != nil {
				return err
			}
			continue
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		break
	}
	return writeBatch(ctx, ws, batch)
}

// writeControl sends m and the events it brings along.
func writeControl(ctx context.Context, ws *websocket.Conn, m controlMessage) error {
	err := withTimeout(ctx, func(ctx context.Context) error { return wsjson.Write(ctx, ws, m) })
	for batch := range slices.Chunk(m.missed, maxBatch) {
		if err != nil {
			break
		}
		err = writeBatch(ctx, ws, batch)
	}
	return err
}

func writeBatch(ctx context.Context, ws *websocket.Conn, batch []Event) error {
	return withTimeout(ctx, func(ctx context.Context) error {
		switch len(batch) {
		case 0:
			return nil
		case 1:
			return wsjson.Write(ctx, ws, batch[0])
		}
		return wsjson.Write(ctx, ws, map[string][]Event{"batch": batch})
	})
}

func withTimeout(ctx context.Context, fn func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return fn(ctx)
}
