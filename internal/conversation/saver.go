package conversation

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/db"
)

const (
	saveEvery   = 20 * time.Millisecond // how long changes gather before they are committed together
	saveBatch   = 256                   // calls in one transaction
	saveTimeout = 10 * time.Second
	retryMin    = 100 * time.Millisecond
	retryMax    = 5 * time.Second
	poisonAfter = 5 // failures of one call while others are saved
)

// saver is the one goroutine that writes calls to the database. Whoever changes a call marks it; the saver
// takes what has changed of all marked calls and commits it together, one transaction for each
// organisation. A failure leaves the call marked: nothing is lost and nothing queues but the call itself.
type saver struct {
	db      *db.DB
	clock   quartz.Clock
	log     *slog.Logger
	metrics *metrics
	done    func(*Call) // told when an ended call was saved
	giveUp  func(*Call) // told when the database will not have a call

	mu      sync.Mutex
	list    []*Call
	wake    chan struct{}
	flush   chan chan error
	backoff time.Duration
}

func newSaver(d *db.DB, clock quartz.Clock, log *slog.Logger, m *metrics, done, giveUp func(*Call)) *saver {
	return &saver{db: d, clock: clock, log: log, metrics: m, done: done, giveUp: giveUp, wake: make(chan struct{}, 1),
		flush: make(chan chan error)}
}

// mark has the call saved soon.
func (s *saver) mark(c *Call) {
	if c.marked.Swap(true) {
		return
	}
	s.mu.Lock()
	s.list = append(s.list, c)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// run saves until ctx ends; what is left then is for a last flush.
func (s *saver) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case reply := <-s.flush:
			reply <- s.saveAll(ctx)
			continue
		case <-s.wake:
		}
		if !s.pause(ctx, max(saveEvery, s.backoff)) {
			return
		}
		s.saveAll(ctx) //nolint:errcheck // logged, and tried again
	}
}

// pause waits, and serves a flush meanwhile.
func (s *saver) pause(ctx context.Context, d time.Duration) bool {
	t := s.clock.NewTimer(d, "saver")
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case reply := <-s.flush:
		reply <- s.saveAll(ctx)
		return true
	case <-t.C:
		return true
	}
}

// saveAll saves what is marked now.
func (s *saver) saveAll(ctx context.Context) error {
	s.mu.Lock()
	calls := s.list
	s.list = nil
	s.mu.Unlock()
	var first error
	for len(calls) > 0 {
		n := min(len(calls), saveBatch)
		if err := s.saveBatch(ctx, calls[:n]); err != nil && first == nil {
			first = err
		}
		calls = calls[n:]
	}
	if first == nil {
		s.backoff = 0
		return nil
	}
	s.backoff = min(max(2*s.backoff, retryMin), retryMax)
	s.log.ErrorContext(ctx, "calls could not be saved; trying again", "error", first, "in", s.backoff)
	return first
}

// saveBatch saves some calls, those of an organisation together.
func (s *saver) saveBatch(ctx context.Context, calls []*Call) error {
	byOrg := map[string][]*save{}
	for _, c := range calls {
		c.marked.Store(false)
		byOrg[c.org] = append(byOrg[c.org], c.take())
	}
	var first error
	for org, saves := range byOrg {
		err := s.commit(ctx, org, saves)
		if err == nil {
			s.settle(saves)
			continue
		}
		if db.IsGone(err) { // the organisation was erased, and what goes on of it with it
			for _, v := range saves {
				s.giveUp(v.call)
			}
			continue
		}
		if first == nil {
			first = err
		}
		s.oneByOne(ctx, org, saves)
	}
	return first
}

// oneByOne finds the call that spoils a batch: a value that the database refuses must not stop the others.
func (s *saver) oneByOne(ctx context.Context, org string, saves []*save) {
	ok := 0
	var failed []*save
	for _, v := range saves {
		away := len(failed) > 2 && ok == 0 // it is the database, not a call
		if len(saves) == 1 || away || s.commit(ctx, org, []*save{v}) != nil {
			failed = append(failed, v)
			continue
		}
		ok++
		s.settle([]*save{v})
	}
	for _, v := range failed {
		if ok > 0 {
			v.call.state.mu.Lock()
			v.call.state.failing++
			given := v.call.state.failing >= poisonAfter
			v.call.state.mu.Unlock()
			if given {
				s.log.ErrorContext(ctx, "a call cannot be saved and is given up", "call", v.call.id)
				s.metrics.givenUp.Inc()
				s.giveUp(v.call)
				continue
			}
		}
		v.call.putBack(v)
		s.mark(v.call)
	}
}

func (s *saver) settle(saves []*save) {
	for _, v := range saves {
		if v.final {
			s.done(v.call)
		}
	}
}

// commit writes some calls of one organisation.
func (s *saver) commit(ctx context.Context, org string, saves []*save) error {
	ctx, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	var facts []event.Fact
	var legs []legRow
	var items []itemRow
	var turns []turnRow
	var peaks []peakRow
	var files []fileRow
	calls := make([]callRow, 0, len(saves))
	for _, v := range saves {
		calls = append(calls, v.row)
		legs = append(legs, v.legs...)
		for _, it := range v.items {
			items = append(items, newItemRow(org, v.call.id, it))
		}
		for _, t := range v.turns {
			turns = append(turns, newTurnRow(org, v.call.id, v.row.zero(), t))
		}
		if v.peaks != nil {
			peaks = append(peaks, *v.peaks)
		}
		files = append(files, v.files...)
		facts = append(facts, v.facts...)
	}
	err := s.db.InTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		if err := upsert(ctx, tx, calls, legs, items, turns, peaks, files); err != nil {
			return err
		}
		return tx.Publish(ctx, facts...)
	})
	if err == nil {
		s.metrics.saves.Inc()
		s.metrics.savedCalls.Add(float64(len(saves)))
	}
	return err
}

// saveNow flushes: everything marked before the call is saved when it returns nil.
func (s *saver) saveNow(ctx context.Context) error {
	reply := make(chan error, 1)
	select {
	case s.flush <- reply:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-reply:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// save is what has changed of one call.
type save struct {
	call  *Call
	row   callRow
	legs  []legRow
	items []TranscriptItem
	turns []CallTurn
	facts []event.Fact
	peaks *peakRow
	files []fileRow
	final bool
}

// zero is the Unix ms that the log's times count from.
func (r *callRow) zero() int64 {
	if r.AnsweredAt != nil {
		return *r.AnsweredAt
	}
	return r.StartedAt
}

// take moves out of the call what is to be saved.
func (c *Call) take() *save {
	c.state.mu.Lock()
	defer c.state.mu.Unlock()
	st := &c.state
	st.row.apply(&st.derived)
	st.row.Metadata = toJSON(st.metadata)
	v := &save{call: c, row: st.row, items: st.items, turns: st.turns, facts: st.facts, final: st.final}
	st.items, st.turns, st.facts = nil, nil, nil
	for i, l := range st.legs {
		if st.legsNew[i] {
			v.legs = append(v.legs, l)
			st.legsNew[i] = false
		}
	}
	if st.final {
		for _, suffix := range []string{logSuffix, recSuffix} {
			if b := st.small.get(suffix); b != nil {
				v.files = append(v.files, fileRow{OrganisationID: c.org, CallID: c.id, Suffix: suffix, Data: b})
			}
		}
	}
	if st.final && len(st.peaks.caller) > 0 {
		v.peaks = &peakRow{OrganisationID: c.org, CallID: c.id, Span: st.peaks.span, Caller: st.peaks.caller, Agent: st.peaks.agent}
	}
	return v
}

// putBack returns what could not be saved. The oldest items give way when there are too many: the event log
// has them all the same.
func (c *Call) putBack(v *save) {
	c.state.mu.Lock()
	defer c.state.mu.Unlock()
	st := &c.state
	st.items = append(v.items, st.items...)
	if n := len(st.items) - maxUnsaved; n > 0 {
		st.items = st.items[n:]
		c.s.metrics.itemsDropped.Add(float64(n))
	}
	st.turns = append(v.turns, st.turns...)
	st.facts = append(v.facts, st.facts...)
	if n := len(st.turns) - maxUnsaved; n > 0 {
		st.turns = st.turns[n:]
	}
	if n := len(st.facts) - 2*maxUnsaved; n > 0 {
		st.facts = st.facts[n:]
	}
	for _, l := range v.legs {
		st.legsNew[l.Position] = true
	}
}
