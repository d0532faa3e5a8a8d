package conversation

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/event"
)

const (
	// drainEvery is how long a call's news gather. It is what a watcher sees the transcript late.
	drainEvery = 50 * time.Millisecond
	// settleAfter is how long an event log is in memory only: less than the second that a killed process may
	// lose, and longer than a call that is refused.
	settleAfter   = 400 * time.Millisecond
	maxEntryBytes = 64 << 10
	maxLogChunk   = 64 << 10
	maxLogBacklog = 192 << 10 // of one call, while its log cannot be written
)

// shard is one writer: a goroutine that owns the files of its calls. A call stays with its shard, so that
// its entries keep their order. Calls that have something for it are in list, each at most once.
type shard struct {
	s     *Service
	clock quartz.Clock
	log   *slog.Logger

	mu    sync.Mutex
	list  []*Call
	spare []*Call
	wake  chan struct{}
	flush chan chan struct{}

	force bool
	// Scratch space of the goroutine.
	buf    bytes.Buffer
	enc    *json.Encoder
	chunks []chunk
	dense  []byte
}

func newShard(s *Service) *shard {
	sh := &shard{s: s, clock: s.clock, log: s.log, wake: make(chan struct{}, 1), flush: make(chan chan struct{})}
	sh.enc = json.NewEncoder(&sh.buf)
	sh.enc.SetEscapeHTML(false)
	return sh
}

// push adds a call that is not in the list.
func (sh *shard) push(c *Call) {
	sh.mu.Lock()
	sh.list = append(sh.list, c)
	first := len(sh.list) == 1
	sh.mu.Unlock()
	if first {
		select {
		case sh.wake <- struct{}{}:
		default: // awake already
		}
	}
}

// run writes until ctx ends.
func (sh *shard) run(ctx context.Context) {
	timer := sh.clock.NewTimer(time.Hour, "writer")
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case done := <-sh.flush:
			sh.drain(true)
			close(done)
			continue
		case <-sh.wake:
		}
		timer.Reset(drainEvery, "writer")
		select {
		case <-ctx.Done():
			return
		case done := <-sh.flush:
			sh.drain(true)
			close(done)
		case <-timer.C:
			sh.drain(false)
		}
	}
}

// drainNow returns once everything that was there before is written.
func (sh *shard) drainNow(ctx context.Context) error {
	done := make(chan struct{})
	select {
	case sh.flush <- done:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// drain writes what the calls in the list have gathered; force leaves nothing for later.
func (sh *shard) drain(force bool) {
	sh.force = force
	sh.mu.Lock()
	list := sh.list
	sh.list = sh.spare[:0]
	sh.mu.Unlock()
	for i, c := range list {
		sh.guard(c)
		list[i] = nil
	}
	sh.mu.Lock()
	sh.spare = list
	sh.mu.Unlock()
}

// guard keeps a panic in one call from ending the others.
func (sh *shard) guard(c *Call) {
	defer func() {
		if p := recover(); p != nil {
			sh.log.Error("a call's records could not be written", "call", c.id, "panic", p)
			sh.s.metrics.logFailures.Inc()
			c.files.abandon()
			sh.s.saver.mark(c)
		}
	}()
	sh.process(c)
}

// process takes what a call has gathered and writes it.
func (sh *shard) process(c *Call) {
	c.queued.Store(false)
	if c.files.closed {
		return
	}
	if !c.awaitKey(sh.force) {
		c.wake() // look again
		return
	}
	entries, ended := c.in.swap()
	sh.chunks = c.lanes.take(sh.chunks[:0], ended)
	entries = sh.noteLosses(c, entries, ended)
	entries = sh.writeSound(c, entries, ended)
	changed := sh.derive(c, entries, ended)
	sh.writeLog(c, entries)
	sh.settleLog(c, ended)
	sh.s.metrics.entries.Add(float64(len(entries)))
	c.in.giveBack(entries)
	if ended {
		sh.finish(c)
		changed = true
	}
	if changed {
		sh.s.saver.mark(c)
	}
}

// swap takes the entries that wait.
func (b *inbox) swap() ([]event.Entry, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.pending
	b.pending, b.spare = b.spare, nil
	return e, b.closed
}

// giveBack returns the slice, so that Append need not make one.
func (b *inbox) giveBack(e []event.Entry) {
	clear(e) // lets go of the texts
	b.mu.Lock()
	b.spare = e[:0]
	b.mu.Unlock()
}

// alert adds an alert to the log: to the next batch, or to this one when it is the call's last.
func (sh *shard) alert(c *Call, entries []event.Entry, ended bool, code, text string) []event.Entry {
	data := map[string]any{"code": code}
	if !ended {
		c.Note(event.EntryAlert, text, data)
		return entries
	}
	now := sh.clock.Now()
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.in.seq++
	return append(entries, event.Entry{Seq: c.in.seq, AtUS: now.Sub(c.in.zero).Microseconds(), Kind: event.EntryAlert,
		Text: text, Data: data})
}

// noteLosses tells once when entries or frames begin to be lost, and at the end how many.
func (sh *shard) noteLosses(c *Call, entries []event.Entry, ended bool) []event.Entry {
	c.in.mu.Lock()
	dropped := c.in.dropped
	c.in.mu.Unlock()
	_, lost := c.lanes.count()
	told := &c.files.told
	sh.s.metrics.entriesDropped.Add(float64(dropped - told.entriesSeen))
	sh.s.metrics.framesDropped.Add(float64(lost - told.framesSeen))
	told.entriesSeen, told.framesSeen = dropped, lost
	if dropped > told.entries && (ended || told.entries == 0) {
		told.entries = dropped
		entries = sh.alert(c, entries, ended, codeLogGap, fmt.Sprintf("The event log lacks %d entries: the disk was too slow.", dropped))
	}
	if lost > told.frames && (ended || told.frames == 0) {
		told.frames = lost
		entries = sh.alert(c, entries, ended, codeRecordGap,
			fmt.Sprintf("The recording has %d ms of silence where sound was lost: the disk was too slow.", lost*20))
	}
	return entries
}

// derive keeps the transcript, the turns and the rest of the call's state, and tells those who watch.
func (sh *shard) derive(c *Call, entries []event.Entry, ended bool) bool {
	if len(entries) == 0 {
		return false
	}
	var out derived
	c.state.mu.Lock()
	st := &c.state
	for i := range entries {
		st.derived.add(&entries[i], &out)
	}
	st.partial = st.partial.next(out)
	zero := st.row.zero()
	c.addFacts(&out, zero)
	activity, status, of := st.derived.activity, st.row.Status, st.row.of()
	c.state.mu.Unlock()
	if out.partial != nil {
		sh.s.live.PublishLive(c.org, out.partial.fact(c.id, of))
	}
	if out.moved && !ended {
		sh.s.live.PublishLive(c.org, event.CallStatus{CallOf: of, CallID: c.id, Status: status, Activity: activity,
			At: sh.clock.Now().UnixMilli()})
	}
	return out.changed || len(out.items)+len(out.turns)+len(out.errors)+len(out.tools)+len(out.told) > 0
}

// addFacts queues what is to be saved; it needs state.mu.
func (c *Call) addFacts(out *derived, zero int64) {
	st := &c.state
	st.items = append(st.items, out.items...)
	if n := len(st.items) - maxUnsaved; n > 0 {
		st.items = append(st.items[:0], st.items[n:]...)
		c.s.metrics.itemsDropped.Add(float64(n))
	}
	st.turns = append(st.turns, out.turns...)
	for i := range out.items {
		if len(st.facts) < 2*maxUnsaved {
			st.facts = append(st.facts, out.items[i].fact(c.id, st.row.of()))
		}
	}
	for i := range out.tools {
		st.facts = append(st.facts, out.tools[i].fact(&st.row, zero))
	}
	for _, e := range out.errors {
		e.CallOf, e.CallID, e.At = st.row.of(), c.id, zero+e.At
		st.facts = append(st.facts, e)
	}
	for _, e := range out.told {
		st.facts = append(st.facts, st.row.outcomeFact(e, zero))
	}
}

// next is the partial item after a batch: the newest, or none once it was finished or taken back.
func (it *TranscriptItem) next(out derived) *TranscriptItem {
	if out.partial != nil {
		if out.partial.Final {
			return nil
		}
		return out.partial
	}
	for i := range out.items {
		if it != nil && out.items[i].Seq == it.Seq {
			return nil
		}
	}
	return it
}

func (it *TranscriptItem) fact(call string, of event.CallOf) event.CallTranscript {
	return event.CallTranscript{CallOf: of, CallID: call, Seq: it.Seq, Speaker: it.Speaker, Text: it.Text, StartMS: it.StartMs,
		EndMS: it.EndMs, Confidence: it.Confidence, Final: it.Final, Interrupted: it.Interrupted}
}

// writeLog appends entries to the event log, a line of JSON each. What cannot be written waits for the next
// time, as far as there is room.
func (sh *shard) writeLog(c *Call, entries []event.Entry) {
	f := &c.files
	for i := range entries {
		sh.line(&entries[i])
		if f.backlogFirst == 0 {
			f.backlogFirst = entries[i].Seq
		}
		f.backlog = append(f.backlog, sh.buf.Bytes()...)
		f.backlogCount++
		if len(f.backlog) >= maxLogChunk && i < len(entries)-1 {
			sh.flushLog(c)
		}
	}
	if f.backlogCount > 0 {
		sh.flushLog(c)
	}
}

// line leaves an entry's JSON and a newline in sh.buf.
func (sh *shard) line(e *event.Entry) {
	sh.buf.Reset()
	err := sh.enc.Encode(e)
	if err == nil && sh.buf.Len() <= maxEntryBytes {
		return
	}
	short := *e
	short.Text, short.Data = clip(e.Text, maxTextBytes), map[string]any{"truncated": true}
	sh.buf.Reset()
	_ = sh.enc.Encode(&short) // strings and numbers only
}

// settleLog puts a new log on disk once it is old enough. That of a call which is over by then goes to the blob
// store from memory.
func (sh *shard) settleLog(c *Call, ended bool) {
	f := &c.files
	if f.log == nil || f.log.f != nil || ended {
		return
	}
	if !sh.force && sh.clock.Since(f.logSince) < settleAfter {
		c.wake() // look again
		return
	}
	if err := f.log.settle(sh.s.files, sh.s.spoolPath(c.id, logSuffix)); err != nil {
		sh.logFailed(c, err)
		return
	}
	f.logFailing = false
}

func (sh *shard) flushLog(c *Call) {
	f := &c.files
	err := f.openLog(sh.s, c)
	if err == nil {
		sh.dense = logChunk(sh.dense[:0], f.backlogFirst, f.backlogCount, f.backlog)
		err = f.log.append(sh.dense)
	}
	if err == nil {
		f.backlog, f.backlogFirst, f.backlogCount = f.backlog[:0], 0, 0
		if cap(f.backlog) > 16<<10 {
			f.backlog = nil
		}
		if f.log.f != nil {
			f.logFailing = false
		}
		return
	}
	sh.logFailed(c, err)
	if len(f.backlog) > maxLogBacklog {
		sh.s.metrics.entriesDropped.Add(float64(f.backlogCount))
		f.logLost += int64(f.backlogCount)
		f.backlog, f.backlogFirst, f.backlogCount = nil, 0, 0
	}
}

// logFailed says once that a log cannot be written. The next entry is the next try.
func (sh *shard) logFailed(c *Call, err error) {
	sh.s.metrics.logFailures.Inc()
	if !c.files.logFailing {
		c.files.logFailing = true
		sh.log.Error("an event log cannot be written; trying again", "call", c.id, "error", err)
	}
}
