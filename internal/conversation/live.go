package conversation

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/parley-voice/parley/internal/event"
)

const (
	maxPending  = 1024 // entries of one call that wait for the writer
	maxUnsaved  = 1000 // transcript items of one call that wait for the database
	maxLegs     = 32
	maxMetadata = 64
)

// Call is the handle of a call that goes on. Its methods may be called by any goroutine; none of them
// waits for the disk or the database. It is a voice.Journal and a voice.Recorder.
type Call struct {
	id, org string
	s       *Service
	shard   *shard
	queued  atomic.Bool // in the shard's list
	marked  atomic.Bool // in the saver's list

	recording atomic.Bool // Frames has something to do
	lanes     lanes

	keyed   atomic.Pointer[callKey] // nil until it is known
	keyCame chan struct{}

	in    inbox
	state state
	files files // owned by the shard's goroutine
	saved chan struct{}
}

// inbox is where Append leaves entries. Lock order: state.mu, then inbox.mu.
type inbox struct {
	mu       sync.Mutex
	pending  []event.Entry
	spare    []event.Entry
	seq      int64
	dropped  int64
	zero     time.Time // of AtUS: the answer, or the start before it
	endNoted bool      // a call.ended entry was appended
	closed   bool      // nothing is taken any more
}

// state is everything about the call but its sound and the entries that wait.
type state struct {
	mu       sync.Mutex
	row      callRow
	metadata map[string]any
	legs     []legRow
	legsNew  []bool // changed since they were saved
	derived  derivation
	partial  *TranscriptItem
	peaks    peaks
	ending   *Ending // set by End; the row has it once all the rest is written, so that "ended" means whole

	items   []TranscriptItem // not yet saved
	turns   []CallTurn       // closed, not yet saved
	facts   []event.Fact     // not yet published
	small   smallFiles
	final   bool // the files are closed, the row will not change but by the finisher
	stored  bool // taken by the finisher
	failing int  // times the call could not be saved while others could
}

// ID is the call's id.
func (c *Call) ID() string { return c.id }

// OrgID is the organisation the call belongs to.
func (c *Call) OrgID() string { return c.org }

// Saved is closed when the call has ended and its row, transcript and facts are in the database.
func (c *Call) Saved() <-chan struct{} { return c.saved }

// Append adds an entry to the event log. It gives the entry its Seq; whatever the caller set there is not
// used, because several parties append. Data must not be changed afterwards. When maxPending entries
// wait for the disk, the entry is dropped, counted and told of in an alert.
func (c *Call) Append(e event.Entry) {
	c.in.mu.Lock()
	ok := c.in.add(e)
	c.in.mu.Unlock()
	if !ok {
		return
	}
	c.wake()
}

func (b *inbox) add(e event.Entry) bool {
	switch {
	case b.closed:
		return false
	case len(b.pending) >= maxPending && e.Kind != event.EntryEnded:
		b.dropped++
		return false
	}
	b.seq++
	e.Seq = b.seq
	if e.Kind == event.EntryEnded {
		b.endNoted = true
	}
	b.pending = append(b.pending, e)
	return true
}

// Note appends an entry that happens now.
func (c *Call) Note(kind event.EntryKind, text string, data map[string]any) {
	now := c.s.clock.Now()
	c.in.mu.Lock()
	ok := c.in.add(event.Entry{AtUS: now.Sub(c.in.zero).Microseconds(), Kind: kind, Text: text, Data: data})
	c.in.mu.Unlock()
	if ok {
		c.wake()
	}
}

// Frames records one frame of each side; nil is silence. It is called once a tick from the answer on, so
// that the two lanes and the transcript have one clock.
func (c *Call) Frames(caller, agent []int16) {
	if !c.recording.Load() {
		return
	}
	if c.lanes.add(caller, agent) {
		c.wake()
	}
}

// wake tells the writer that there is something to take.
func (c *Call) wake() {
	if !c.queued.Swap(true) {
		c.shard.push(c)
	}
}

// SetStatus moves the call on: to ringing. Answered and End have methods of their own.
func (c *Call) SetStatus(s Status) {
	if s == StatusInProgress || s == StatusEnded {
		return
	}
	c.state.mu.Lock()
	moved := c.move(s)
	c.state.mu.Unlock()
	if moved {
		c.tell(s)
	}
}

// move needs state.mu.
func (c *Call) move(s Status) bool {
	if c.state.ending != nil || !Status(c.state.row.Status).before(s) {
		return false
	}
	c.state.row.Status = string(s)
	return true
}

// tell publishes the status to those who watch and has the row saved.
func (c *Call) tell(s Status) {
	c.s.live.PublishLive(c.org, event.CallStatus{CallOf: c.of(), CallID: c.id, Status: string(s), At: c.s.clock.Now().UnixMilli()})
	c.s.saver.mark(c)
}

// Answered says that the call goes on from now, and starts the recording.
func (c *Call) Answered(a Answer) {
	if a.At.IsZero() {
		a.At = c.s.clock.Now()
	}
	c.state.mu.Lock()
	// A browser's call may begin in progress: it is answered all the same.
	moved := c.state.ending == nil && c.state.row.AnsweredAt == nil
	record := false
	if moved {
		c.state.row.Status = string(StatusInProgress)
		c.state.row.AnsweredAt = ptr(a.At.UnixMilli())
		c.state.row.Codec = clip(a.Codec, maxNameBytes)
		if len(c.state.legs) > 0 {
			c.state.legs[0].Codec, c.state.legsNew[0] = c.state.row.Codec, true
		}
		record = c.state.row.RecState == string(RecordingRunning)
		c.in.mu.Lock()
		c.in.zero = a.At
		c.in.mu.Unlock()
	}
	c.state.mu.Unlock()
	if !moved {
		return
	}
	lay := layout{formatFor(a.Codec, a.Rate), a.Rate}
	if record && lay.valid() {
		c.lanes.start(lay)
		c.recording.Store(true)
	}
	c.tell(StatusInProgress)
}

// SetAgent says who answers, where that was not known at the beginning.
func (c *Call) SetAgent(id, slug, name string, version int) {
	c.state.mu.Lock()
	r := &c.state.row
	r.AgentID, r.AgentSlug, r.AgentName, r.AgentVersion = id, slug, clip(name, maxNameBytes), version
	c.state.mu.Unlock()
	c.s.saver.mark(c)
}

// SetTakenBy says to whose phone the call was put through. Where it came from nobody of ours it is their call.
func (c *Call) SetTakenBy(userID string) {
	c.state.mu.Lock()
	c.state.row.TakenBy = userID
	c.state.mu.Unlock()
	c.s.saver.mark(c)
}

// SetExternalID keeps the carrier's id, which an outbound call gets only when it was placed.
func (c *Call) SetExternalID(id string) {
	c.state.mu.Lock()
	c.state.row.ExternalID = clip(id, maxNameBytes)
	c.state.mu.Unlock()
	c.s.saver.mark(c)
}

// SetMetadata merges m into the call's metadata. Keys beyond maxMetadata are left out.
func (c *Call) SetMetadata(m map[string]any) {
	c.state.mu.Lock()
	next := make(map[string]any, len(c.state.metadata)+len(m))
	maps.Copy(next, c.state.metadata)
	for k, v := range m {
		if _, ok := next[k]; ok || len(next) < maxMetadata {
			next[clip(k, maxNameBytes)] = v
		}
	}
	c.state.metadata = next
	c.state.mu.Unlock()
	c.s.saver.mark(c)
}

// LegStarted adds one more side to the call and gives its id. The first leg is there from the beginning.
func (c *Call) LegStarted(l NewLeg) string {
	if l.ID == "" {
		l.ID = newID()
	}
	c.state.mu.Lock()
	if len(c.state.legs) < maxLegs {
		c.state.legs = append(c.state.legs, legRow{ID: l.ID, OrganisationID: c.org, CallID: c.id,
			Position: len(c.state.legs), Channel: l.Channel, Direction: l.Direction, From: clip(l.From, maxNameBytes),
			To: clip(l.To, maxNameBytes), Remote: clip(l.Remote, maxNameBytes), Codec: l.Codec,
			StartedAt: c.s.clock.Now().UnixMilli()})
		c.state.legsNew = append(c.state.legsNew, true)
	}
	c.state.mu.Unlock()
	c.s.saver.mark(c)
	return l.ID
}

// LegEnded says how a leg ended; id "" is the first leg.
func (c *Call) LegEnded(id string, cause LegCause, stats LegStats) {
	c.state.mu.Lock()
	for i := range c.state.legs {
		l := &c.state.legs[i]
		if l.ID != id && (id != "" || i != 0) {
			continue
		}
		l.EndedAt = ptr(c.s.clock.Now().UnixMilli())
		l.Cause, l.Stats = toJSON(cause), toJSON(stats)
		if stats.Codec != "" {
			l.Codec = stats.Codec
		}
		c.state.legsNew[i] = true
	}
	c.state.mu.Unlock()
	c.s.saver.mark(c)
}

// End ends the call: nothing is taken afterwards. The files are closed, saved and moved to the blob store
// in the background. Calling it again does nothing.
func (c *Call) End(e Ending) {
	if e.At.IsZero() {
		e.At = c.s.clock.Now()
	}
	if e.Reason == "" {
		e.Reason = ReasonNormal
	}
	c.state.mu.Lock()
	again := c.state.ending != nil
	if !again {
		c.state.ending = &e
	}
	c.state.mu.Unlock()
	if again {
		return
	}
	c.recording.Store(false)
	c.lanes.stop()
	c.in.mu.Lock()
	if !c.in.endNoted {
		c.in.add(endEntry(e, c.in.zero))
	}
	c.in.closed = true
	c.in.mu.Unlock()
	c.wake()
}

func endEntry(e Ending, zero time.Time) event.Entry {
	data := map[string]any{"by": e.By, "code": e.Reason}
	if e.Status != 0 {
		data["status"] = e.Status
	}
	return event.Entry{AtUS: e.At.Sub(zero).Microseconds(), Kind: event.EntryEnded, Text: e.Text, Data: data}
}

// Activity is what the agent does now.
func (c *Call) Activity() string {
	c.state.mu.Lock()
	defer c.state.mu.Unlock()
	return c.state.derived.activity
}

func ptr[T any](v T) *T { return &v }

// newID makes a UUIDv7: it sorts by time, which keeps the index's pages together.
func newID() string { return uuid.Must(uuid.NewV7()).String() }
