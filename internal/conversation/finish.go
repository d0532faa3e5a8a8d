package conversation

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/search"
)

const (
	finishEvery   = 200 * time.Millisecond // how long ended calls gather, to be indexed together
	sweepEvery    = time.Minute            // how often files that could not be moved are tried again
	moveTimeout   = 5 * time.Minute
	indexTimeout  = 30 * time.Second
	maxIndexed    = 256 << 10 // bytes of one call's transcript in the index
	maxFinishWork = 64        // calls at a time
)

// stored says where a call's files are.
type stored struct {
	recState, recKey, logKey string
	recBytes                 int64
}

// finisher moves the files of ended calls from the spool to the blob store and has their text indexed. The
// spool itself is the queue: a file that is there belongs to a call that is not done, whatever happens to
// this process. So a failure needs no bookkeeping, the next sweep finds it. (A job queue in the database would
// not do: any process may run a job, but only this one has the files.)
type finisher struct {
	s     *Service
	mu    sync.Mutex
	list  []*Call
	wake  chan struct{}
	flush chan chan error
}

func newFinisher(s *Service) *finisher {
	return &finisher{s: s, wake: make(chan struct{}, 1), flush: make(chan chan error)}
}

// push takes a call that has ended and was saved. It is called again when the finisher had it saved.
func (f *finisher) push(c *Call) {
	c.state.mu.Lock()
	again := c.state.stored
	c.state.stored = true
	c.state.mu.Unlock()
	if again {
		return
	}
	close(c.saved)
	f.mu.Lock()
	f.list = append(f.list, c)
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default: // it will look anyway
	}
}

func (f *finisher) run(ctx context.Context) {
	sweep := f.s.clock.NewTimer(sweepEvery, "finisher", "sweep")
	defer sweep.Stop()
	gather := f.s.clock.NewTimer(time.Hour, "finisher", "gather")
	defer gather.Stop()
	gathering := false
	_ = f.sweep(ctx) // what the last run left behind need not wait; logged, the next one tries again
	for {
		select {
		case <-ctx.Done():
			return
		case reply := <-f.flush:
			reply <- f.work(ctx)
		case <-f.wake:
			if !gathering { // calls that go on ending must not put it off for ever
				gathering = true
				gather.Reset(finishEvery, "finisher", "gather")
			}
		case <-gather.C:
			gathering = false
			_ = f.work(ctx) // logged; the sweep tries again
		case <-sweep.C:
			_ = f.sweep(ctx) // logged; the next one tries again
			sweep.Reset(sweepEvery, "finisher", "sweep")
		}
	}
}

// finishNow finishes what was pushed before.
func (f *finisher) finishNow(ctx context.Context) error {
	reply := make(chan error, 1)
	select {
	case f.flush <- reply:
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

// work finishes the calls that were pushed.
func (f *finisher) work(ctx context.Context) error {
	var first error
	for {
		f.mu.Lock()
		n := min(len(f.list), maxFinishWork)
		calls := f.list[:n:n]
		f.list = f.list[n:]
		f.mu.Unlock()
		if n == 0 {
			return first
		}
		if err := f.finish(ctx, calls); err != nil && first == nil {
			first = err
		}
	}
}

// finish moves the files of some calls, notes where they are, and lets go of the calls. What fails stays in the spool,
// for the sweep.
func (f *finisher) finish(ctx context.Context, calls []*Call) error {
	var first error
	byOrg := map[string][]finished{}
	for _, c := range calls {
		c.state.mu.Lock()
		row := c.state.row
		c.state.mu.Unlock()
		where, err := f.move(ctx, row)
		if err != nil && first == nil {
			first = err
		}
		byOrg[c.org] = append(byOrg[c.org], finished{row: row, where: where, ok: err == nil})
	}
	for org, done := range byOrg {
		if err := f.settle(ctx, org, done); err != nil && first == nil {
			first = err
		}
		f.index(ctx, org, done)
	}
	for _, c := range calls {
		f.s.forget(c)
	}
	return first
}

// finished is a call with its files moved.
type finished struct {
	row   callRow
	where stored
	ok    bool
}

// settle notes where the files are, and lets go of the spool's.
func (f *finisher) settle(ctx context.Context, org string, done []finished) error {
	rows := make([]callRow, 0, len(done))
	for _, d := range done {
		if d.ok && (d.where.recKey != d.row.RecKey || d.where.logKey != d.row.LogKey) {
			rows = append(rows, d.row)
			r := &rows[len(rows)-1]
			r.RecState, r.RecKey, r.LogKey, r.RecBytes = d.where.recState, d.where.recKey, d.where.logKey, d.where.recBytes
		}
	}
	if len(rows) > 0 {
		if err := markStored(ctx, f.s.db, org, rows); db.IsGone(err) {
			return f.takeBack(ctx, rows)
		} else if err != nil {
			f.s.metrics.storeFails.Add(float64(len(rows)))
			f.s.log.ErrorContext(ctx, "where calls are stored could not be saved; trying again", "error", err)
			return err
		}
		for i := range rows {
			f.clean(ctx, rows[i].ID)
		}
		f.s.metrics.stored.Add(float64(len(rows)))
	}
	return nil
}

// takeBack removes what was stored of calls whose organisation was erased meanwhile.
func (f *finisher) takeBack(ctx context.Context, rows []callRow) error {
	if _, err := f.s.purgeFiles(ctx, classCalls, rows); err != nil {
		return err
	}
	for i := range rows {
		f.clean(ctx, rows[i].ID)
	}
	return nil
}

// clean removes a call's files from the spool: the blob store has them and the row says so.
func (f *finisher) clean(ctx context.Context, id string) {
	for _, suffix := range []string{recSuffix, logSuffix} {
		if err := os.Remove(f.s.spoolPath(id, suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			f.s.log.WarnContext(ctx, "a file stays in the spool", "call", id, "error", err)
		}
	}
}

// blobKey is where a call's file is kept: by organisation and day, which makes retention easy to see.
func blobKey(r *callRow, suffix string) string {
	return fmt.Sprintf("calls/%s/%s/%s%s", r.OrganisationID, fromMs(r.StartedAt).Format("2006/01/02"), r.ID, suffix)
}

// move copies a call's files to the blob store, encrypted as they are.
func (f *finisher) move(ctx context.Context, row callRow) (stored, error) {
	ctx, cancel := context.WithTimeout(ctx, moveTimeout)
	defer cancel()
	done := stored{recState: row.RecState, recKey: row.RecKey, logKey: row.LogKey, recBytes: row.RecBytes}
	if key, size, err := f.copy(ctx, &row, logSuffix); err != nil {
		return done, f.failed(ctx, row.ID, err)
	} else if size > 0 {
		done.logKey = key
	}
	switch key, size, err := f.copy(ctx, &row, recSuffix); {
	case err != nil:
		return done, f.failed(ctx, row.ID, err)
	case size > 0:
		done.recKey, done.recBytes, done.recState = key, size, string(RecordingAvailable)
	case row.RecState == string(RecordingRunning):
		done.recState = string(RecordingNone)
	}
	return done, nil
}

func (f *finisher) failed(ctx context.Context, id string, err error) error {
	f.s.metrics.storeFails.Inc()
	f.s.log.ErrorContext(ctx, "a call's files could not be moved to the blob store; trying again", "call", id,
		"error", err, "in", sweepEvery)
	return err
}

func (f *finisher) copy(ctx context.Context, row *callRow, suffix string) (string, int64, error) {
	file, err := os.Open(f.s.spoolPath(row.ID, suffix))
	if errors.Is(err, fs.ErrNotExist) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, err
	}
	defer file.Close() //nolint:errcheck // only read
	info, err := file.Stat()
	if err != nil {
		return "", 0, err
	}
	key := blobKey(row, suffix)
	return key, info.Size(), f.s.blobs.Put(ctx, key, file)
}

// sweep finishes files of calls that are not in memory: what failed before.
func (f *finisher) sweep(ctx context.Context) error {
	ids, err := f.s.spooledCalls()
	if err != nil {
		f.s.log.ErrorContext(ctx, "the spool cannot be read", "error", err)
		return err
	}
	var first error
	for _, id := range ids {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if f.s.holds(id) {
			continue
		}
		if err := f.sweepOne(ctx, id); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (f *finisher) sweepOne(ctx context.Context, id string) error {
	row, err := findAnyCall(ctx, f.s.db, id)
	if err != nil {
		return err
	}
	if row == nil { // deleted meanwhile, or never saved and not readable: recovery has looked
		return nil
	}
	done, err := f.move(ctx, *row)
	if err != nil {
		return err
	}
	moved := []finished{{row: *row, where: done, ok: true}}
	f.index(ctx, row.OrganisationID, moved)
	return f.settle(ctx, row.OrganisationID, moved)
}

func (s *Service) holds(id string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byID[id] != nil
}

// index has the text of ended calls indexed, together. It is a help, not a record: a failure is told, not repeated.
func (f *finisher) index(ctx context.Context, org string, done []finished) {
	if f.s.search == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, indexTimeout)
	defer cancel()
	docs := make([]search.Doc, 0, len(done))
	for i := range done {
		if done[i].row.AnsweredAt == nil { // nothing was said
			continue
		}
		doc, err := f.s.document(ctx, &done[i].row)
		if err != nil {
			f.s.metrics.indexFails.Inc()
			f.s.log.ErrorContext(ctx, "a call could not be indexed", "call", done[i].row.ID, "error", err)
			continue
		}
		docs = append(docs, doc)
	}
	if err := f.s.search.Put(ctx, org, docs); err != nil {
		f.s.metrics.indexFails.Add(float64(len(docs)))
		f.s.log.ErrorContext(ctx, "calls could not be indexed; they are found by number and name only", "error", err)
	}
}

// document gathers what was said, up to maxIndexed bytes. Numbers and names are found in the database.
func (s *Service) document(ctx context.Context, r *callRow) (search.Doc, error) {
	var text strings.Builder
	for after := 0; text.Len() < maxIndexed; {
		items, err := listItems(ctx, s.db, r.OrganisationID, r.ID, after, pageItems)
		if err != nil {
			return search.Doc{}, err
		}
		for i := range items {
			text.WriteString(items[i].Text)
			text.WriteByte('\n')
			after = items[i].Seq
		}
		if len(items) < pageItems {
			break
		}
	}
	return search.Doc{ID: r.ID, Fields: map[string]string{"transcript": clip(text.String(), maxIndexed)}}, nil
}
