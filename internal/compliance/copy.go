package compliance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	copyRows  = 200
	copyBytes = 4 << 20 // of one batch, about
	copyIdle  = 10 * time.Second
	copyPause = time.Second // after a failure, then twice that, and so on
	copyMost  = time.Minute
	copyLate  = 2 * time.Minute // an entry that waits for longer is told by the health
)

// Sink is another place that gets a copy of the platform log.
type Sink interface {
	// Place names it without secrets. How far the copy is, is kept under this name.
	Place() string
	// Write keeps entries there before it returns. What it was given before, it changes nothing of. It ends by itself.
	Write(ctx context.Context, entries []AuditEntry) error
	// Close lets go of connections.
	Close() error
}

// CopyState is how far the copy of the platform log is.
type CopyState struct {
	Place  string
	Copied int64     // number of the last entry that is there
	Last   int64     // number of the last entry of the log
	Oldest time.Time // when what waits for longest happened; zero where nothing waits
	Why    string    // why the last attempt failed; empty after one that did not
}

// Behind is how many entries wait.
func (s CopyState) Behind() int64 { return max(0, s.Last-s.Copied) }

// copier copies the platform log to a sink, from where it was. The log itself is the buffer: it is on disk and nobody who
// appends to it waits for the copy; in memory there is one batch. A batch that was written and not noted, because the
// process ended between the two, is written again.
type copier struct {
	s      *Service
	sink   Sink
	wake   chan struct{} // holds one: that there is something new
	cancel context.CancelFunc
	done   chan struct{}
}

func (s *Service) startCopy(ctx context.Context) {
	if s.cfg.Sink == nil || s.copier != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	s.copier = &copier{s: s, sink: s.cfg.Sink, wake: make(chan struct{}, 1), cancel: cancel, done: make(chan struct{})}
	go s.copier.run(ctx)
}

func (c *copier) stop() {
	c.cancel()
	<-c.done
	if err := c.sink.Close(); err != nil {
		c.s.log.Warn("the platform log's copy", "place", c.sink.Place(), "error", err)
	}
}

// nudge tells of new entries. It never waits.
func (c *copier) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *copier) run(ctx context.Context) {
	defer close(c.done)
	var pause time.Duration
	var wake chan struct{}
	for ctx.Err() == nil {
		more, err := c.step(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			pause, wake = min(copyMost, max(copyPause, 2*pause)), nil // nothing new makes it well
			c.failed(ctx, err)
		case more:
			pause = 0
			c.worked(ctx)
			continue
		default:
			pause, wake = 0, c.wake
			c.worked(ctx)
		}
		wait := pause
		if wait == 0 {
			wait = copyIdle // other processes append too
		}
		timer := c.s.clock.NewTimer(wait, "compliance", "copy")
		select {
		case <-timer.C:
		case <-wake:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// failed and worked log what changed, not every attempt.
func (c *copier) failed(ctx context.Context, err error) {
	why := err.Error()
	if f := (*fault.Error)(nil); errors.As(err, &f) {
		why = f.Message // its cause is another one each time
	}
	c.s.copyFailures.Add(1)
	if before := c.s.copyWhy.Swap(&why); before == nil || *before != why {
		c.s.log.WarnContext(ctx, "the platform log is not copied; nothing is lost, it is tried again", "place", c.sink.Place(), "error", err)
	}
}

func (c *copier) worked(ctx context.Context) {
	if before := c.s.copyWhy.Swap(nil); before != nil {
		c.s.log.InfoContext(ctx, "the platform log is copied again", "place", c.sink.Place())
	}
}

// step copies a batch, and reports whether there is more.
func (c *copier) step(ctx context.Context) (more bool, err error) {
	state, entries, err := c.next(ctx)
	if err != nil || len(entries) == 0 {
		return false, err
	}
	if err := c.sink.Write(ctx, entries); err != nil {
		return false, err
	}
	last := entries[len(entries)-1].Seq
	err = c.s.cfg.DB.InSystem(ctx, "copy the platform log", func(ctx context.Context, tx *db.Tx) error {
		row := copyRow{Place: c.sink.Place(), Seq: last, CopiedAt: tx.Now().UnixMilli()}
		_, err := tx.NewInsert().Model(&row).On("CONFLICT (place) DO UPDATE").Set("seq = EXCLUDED.seq").Set("copied_at = EXCLUDED.copied_at").
			Returning("NULL").Exec(ctx) // where another process was further, some are written again
		return err
	})
	if err != nil {
		return false, fmt.Errorf("note how far the platform log is copied: %w", err)
	}
	c.s.copied.Add(uint64(len(entries)))
	return last < state.Last, nil
}

type copyRow struct {
	bun.BaseModel `bun:"table:platform_copies,alias:c"`

	Place    string `bun:"place,pk"`
	Seq      int64  `bun:"seq"`
	CopiedAt int64  `bun:"copied_at"`
}

// next gives the entries that follow what was copied.
func (c *copier) next(ctx context.Context) (state CopyState, entries []AuditEntry, err error) {
	log := chain{c.s.cfg.DB, identity.Platform}
	err = log.read(ctx, "copy the platform log", func(ctx context.Context, tx *db.Tx) (err error) {
		if state, err = c.s.copyState(ctx, tx, log, c.sink.Place()); err != nil {
			return err
		}
		rows, err := log.page(ctx, tx, state.Copied, state.Last, copyRows)
		for i := range batch(rows) {
			entries = append(entries, rows[i].entry())
		}
		return err
	})
	if err != nil {
		err = fmt.Errorf("read the platform log: %w", err)
	}
	return state, entries, err
}

// batch cuts rows to what is written at once; one always is.
func batch(rows []entryRow) []entryRow {
	size := 0
	for i := range rows {
		if size += len(rows[i].Before) + len(rows[i].After) + len(rows[i].Reason) + 1024; size > copyBytes && i > 0 {
			return rows[:i]
		}
	}
	return rows
}

func (s *Service) copyState(ctx context.Context, tx *db.Tx, log chain, place string) (v CopyState, err error) {
	v.Place = place
	row, err := log.state(ctx, tx, false)
	if err != nil {
		return v, err
	}
	copied := copyRow{Place: place}
	if err := tx.NewSelect().Model(&copied).WherePK().Scan(ctx); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return v, err
	}
	if v.Last = row.Seq; copied.Seq > row.Seq {
		copied.Seq = 0 // this is not the log that was copied
	}
	v.Copied = max(row.BaseSeq, copied.Seq)
	return v, nil
}

// CopyState gives how far the copy of the platform log is, whichever process makes it. Without a sink it is empty.
func (s *Service) CopyState(ctx context.Context) (v CopyState, err error) {
	if s.cfg.Sink == nil {
		return v, nil
	}
	log := chain{s.cfg.DB, identity.Platform}
	err = log.read(ctx, "copy the platform log", func(ctx context.Context, tx *db.Tx) (err error) {
		if v, err = s.copyState(ctx, tx, log, s.cfg.Sink.Place()); err != nil || v.Behind() == 0 {
			return err
		}
		rows, err := log.page(ctx, tx, v.Copied, v.Last, 1)
		if len(rows) > 0 {
			v.Oldest = fromMillis(rows[0].At)
		}
		return err
	})
	if why := s.copyWhy.Load(); why != nil {
		v.Why = *why
	}
	return v, err
}

// Copied is how many entries this process has copied, and how often it could not.
func (s *Service) Copied() (entries, failures uint64) { return s.copied.Load(), s.copyFailures.Load() }

// CopyLate is the error of a copy that is behind: the installation works without it, but not as it should.
type CopyLate struct{ CopyState }

// Error implements error.
func (e *CopyLate) Error() string {
	return fmt.Sprintf("%d entries of the platform log wait to be copied since %s: %s", e.Behind(), e.Oldest.UTC().Format(time.RFC3339), e.Why)
}

// Degraded says that everything else works.
func (*CopyLate) Degraded() bool { return true }

// CheckCopy tells of entries that wait for longer than they should.
func (s *Service) CheckCopy(ctx context.Context) error {
	v, err := s.CopyState(ctx)
	if err != nil {
		return err
	}
	if !v.Oldest.IsZero() && s.clock.Now().Sub(v.Oldest) > copyLate {
		return &CopyLate{v}
	}
	return nil
}
