package conversation

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/coder/quartz"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/search"
)

// Publisher tells those who watch, without the database.
type Publisher interface {
	// PublishLive does not block; it reports whether there was room.
	PublishLive(orgID string, f event.Fact) bool
}

// Blobs keeps the files of ended calls.
type Blobs interface {
	Put(ctx context.Context, key string, r io.Reader) error
	GetRange(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error)
	Size(ctx context.Context, key string) (int64, error)
	Delete(ctx context.Context, key string) error
}

// Search finds calls by what was said; platform/search is one.
type Search interface {
	Put(ctx context.Context, orgID string, docs []search.Doc) error
	Find(ctx context.Context, orgID, query string, limit int) ([]string, error)
	Delete(ctx context.Context, orgID string, ids []string) error
}

// Agents tells which agents belong to whom.
type Agents interface {
	// OwnedBy gives the ids of the agents that belong to one of users.
	OwnedBy(ctx context.Context, orgID string, users []string) ([]string, error)
	// InProject gives the ids of the agents of a project.
	InProject(ctx context.Context, orgID, projectID string) ([]string, error)
	// Reach refuses an agent, by id or slug, that ctx does not reach, as if there were none.
	Reach(ctx context.Context, orgID, name string) error
}

// Live hangs up calls that go on, wherever they are carried.
type Live interface {
	Hangup(ctx context.Context, callID, by string) error
}

// OutboundRequest asks for a call to be placed.
type OutboundRequest struct {
	OrgID  string
	UserID string // who asks
	To     string // sip: URI or number
	Agent  string // slug or id
	From   string
	// TrunkID is what a number is called through, "" being the first trunk that is switched on, and CallerNumber what it shows.
	TrunkID, CallerNumber string
	Variables             map[string]string
	Metadata              map[string]any
}

// Dialer places calls. The id it gives is that of a call which was begun here.
type Dialer interface {
	PlaceCall(ctx context.Context, r OutboundRequest) (callID string, err error)
}

// Config is what New needs. Search, Calls and Dialer may be nil: then only numbers and names are searched,
// and the operations that need the others answer "unavailable".
type Config struct {
	DB       *db.DB
	Blobs    Blobs
	Keys     Keys
	DataDir  string
	Live     Publisher
	Search   Search
	Agents   Agents // nil: who may see only some people's calls sees none by their agents
	Calls    Live
	Dialer   Dialer
	Clock    quartz.Clock          // nil is the real one
	Log      *slog.Logger          // nil discards
	Registry prometheus.Registerer // nil is one of its own
	Files    Files                 // nil is the file system
	MaxCalls int                   // in memory at once; 0 is 20,000
	// Reader is a process that carries no calls: it reads, deletes, and has no spool. Begin answers "unavailable".
	Reader bool
}

const defaultMaxCalls = 20_000

// Service keeps the records of calls. Start it before the first Begin; Close it after the last End.
type Service struct {
	db       *db.DB
	blobs    Blobs
	keys     Keys
	spool    string
	node     string
	live     Publisher
	search   Search
	agents   Agents
	calls    Live
	dialer   Dialer
	clock    quartz.Clock
	log      *slog.Logger
	files    Files
	maxCalls int
	reader   bool
	metrics  *metrics
	saver    *saver
	finisher *finisher
	shards   []*shard

	mu     sync.RWMutex
	byID   map[string]*Call
	closed bool

	cancel context.CancelFunc
	wait   sync.WaitGroup
}

// New makes a service. It makes the spool, and touches nothing else until Start.
func New(c Config) (*Service, error) {
	switch {
	case c.DB == nil || c.Blobs == nil || c.Live == nil || c.Keys == nil:
		return nil, errors.New("conversation: Config needs DB, Blobs, Keys and Live")
	case c.DataDir == "":
		return nil, errors.New("conversation: Config needs DataDir")
	}
	s := &Service{db: c.DB, blobs: c.Blobs, keys: c.Keys, spool: filepath.Join(c.DataDir, "spool"), live: c.Live,
		search: c.Search, agents: c.Agents, calls: c.Calls, dialer: c.Dialer, clock: c.Clock, log: c.Log, files: c.Files, maxCalls: c.MaxCalls, reader: c.Reader,
		byID: map[string]*Call{}}
	if s.clock == nil {
		s.clock = quartz.NewReal()
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.files == nil {
		s.files = osFiles{}
	}
	if s.maxCalls == 0 {
		s.maxCalls = defaultMaxCalls
	}
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
	}
	if !s.reader {
		if err := s.openSpool(); err != nil {
			return nil, err
		}
	}
	s.metrics = newMetrics(c.Registry, func() float64 { return float64(s.inMemory()) })
	s.finisher = newFinisher(s)
	s.saver = newSaver(s.db, s.clock, s.log, s.metrics, s.finisher.push, s.forget)
	for range min(max(runtime.GOMAXPROCS(0), 2), 8) {
		s.shards = append(s.shards, newShard(s))
	}
	return s, nil
}

func (s *Service) openSpool() (err error) {
	if err := os.MkdirAll(s.spool, 0o700); err != nil {
		return fmt.Errorf("make the spool: %w", err)
	}
	if s.node, err = nodeID(s.spool); err != nil {
		return fmt.Errorf("name this node: %w", err)
	}
	return nil
}

// Start ends what a stopped process left behind, and begins to work. A reader has nothing to begin.
func (s *Service) Start(ctx context.Context) error {
	if s.reader {
		return nil
	}
	if s.cancel != nil {
		return errors.New("conversation: started already")
	}
	if err := s.recover(ctx); err != nil {
		return fmt.Errorf("recover interrupted calls: %w", err)
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	for _, sh := range s.shards {
		s.wait.Go(func() { sh.run(run) })
	}
	s.wait.Go(func() { s.saver.run(run) })
	s.wait.Go(func() { s.finisher.run(run) })
	return nil
}

// Begin makes the record of a new call and gives its handle. It does not wait for the database; the row is
// there some 20 ms later, and Get knows the call at once. Nor does it wait for the key of the call's files: what happens
// meanwhile is kept in memory.
func (s *Service) Begin(ctx context.Context, n NewCall) (*Call, error) {
	if err := ctx.Err(); err != nil {
		return nil, fault.Wrap(fault.Timeout, err, "The caller gave up.")
	}
	if n.OrgID == "" {
		return nil, fault.Field("organisationId", "A call needs an organisation.")
	}
	if n.ID == "" {
		n.ID = newID()
	} else if uuid.Validate(n.ID) != nil {
		return nil, fault.Field("id", "A call's id must be a UUID.")
	}
	c := s.newCall(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch _, taken := s.byID[n.ID]; {
	case s.closed || s.cancel == nil:
		return nil, fault.New(fault.Unavailable, "The server takes no calls now; try again soon.")
	case taken:
		return nil, fault.New(fault.Conflict, "There is a call with this id already.")
	case len(s.byID) >= s.maxCalls:
		return nil, fault.New(fault.Unavailable, "Too many calls wait to be saved: the database is away or too slow.")
	}
	s.byID[n.ID] = c
	c.obtainKey()
	s.metrics.begun.Inc()
	s.saver.mark(c)
	return c, nil
}

func (s *Service) newCall(n NewCall) *Call {
	now := s.clock.Now()
	if n.Status == "" {
		n.Status = StatusQueued
	}
	rec := RecordingRunning
	if n.NoRecording {
		rec = RecordingNone
	}
	c := &Call{id: n.ID, org: n.OrgID, s: s, saved: make(chan struct{}), keyCame: make(chan struct{}, 1)}
	h := fnv.New32a()
	_, _ = h.Write([]byte(n.ID))
	c.shard = s.shards[int(h.Sum32()%uint32(len(s.shards)))]
	c.in.zero = now
	st := &c.state
	st.row = callRow{ID: n.ID, OrganisationID: n.OrgID, Node: s.node, Status: string(n.Status), Direction: n.Direction,
		Channel: n.Channel, From: clip(n.From, maxNameBytes), FromName: clip(n.FromName, maxNameBytes),
		To: clip(n.To, maxNameBytes), AgentID: n.AgentID, AgentSlug: n.AgentSlug, AgentName: clip(n.AgentName, maxNameBytes),
		AgentVersion: n.AgentVersion, ExternalID: clip(n.ExternalID, maxNameBytes), StartedAt: now.UnixMilli(),
		UserID: n.UserID, TakenBy: n.TakenBy, TrunkID: n.TrunkID, RecState: string(rec)}
	st.legs = []legRow{{ID: newID(), OrganisationID: n.OrgID, CallID: n.ID, Channel: n.Channel, Direction: n.Direction,
		From: st.row.From, To: st.row.To, Remote: clip(n.Remote, maxNameBytes), StartedAt: now.UnixMilli()}}
	st.legsNew = []bool{true}
	st.metadata = map[string]any{}
	for k, v := range n.Metadata {
		if len(st.metadata) < maxMetadata {
			st.metadata[clip(k, maxNameBytes)] = v
		}
	}
	st.facts = []event.Fact{event.CallStarted{CallID: n.ID, OrgID: n.OrgID, AgentID: n.AgentID, AgentSlug: n.AgentSlug, UserID: n.UserID,
		Channel: n.Channel, Direction: n.Direction, From: st.row.From, To: st.row.To, StartedAt: now.UnixMilli()}}
	return c
}

// find gives a call that is in memory, if it is the organisation's.
func (s *Service) find(org, id string) *Call {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if c := s.byID[id]; c != nil && c.org == org {
		return c
	}
	return nil
}

// forget lets go of a call whose row and files are safe.
func (s *Service) forget(c *Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, c.id)
}

func (s *Service) inMemory() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.byID)
}

// Flush writes and saves everything that was given before.
func (s *Service) Flush(ctx context.Context) error {
	for _, sh := range s.shards {
		if err := sh.drainNow(ctx); err != nil {
			return err
		}
	}
	return s.saver.saveNow(ctx)
}

// Close takes no more calls, writes what there is and stops. Calls that were not ended are found at the next
// start, as after a crash; so are files that could not be moved in time.
func (s *Service) Close(ctx context.Context) error {
	s.mu.Lock()
	again := s.closed
	s.closed = true
	s.mu.Unlock()
	if again || s.cancel == nil {
		return nil
	}
	err := s.Flush(ctx)
	if err == nil {
		err = s.finisher.finishNow(ctx)
	}
	s.cancel()
	s.wait.Wait()
	return err
}
