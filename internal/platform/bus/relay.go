package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/db"
)

const (
	relayBatch = 500
	// relayPoll finds facts of other processes, and after an error tries again.
	relayPoll = time.Second
	// relaySweep is how often organisations' own databases are looked into for facts that another process left: what this
	// one leaves is known.
	relaySweep = time.Minute
	// relayLock is the number of the advisory lock that makes one relay of all the processes' active, so that facts
	// leave in order.
	relayLock = 0x7061726c6579 // "parley"
)

// Relay moves facts from the outbox to the bus. A fact whose row could not be deleted after it was published goes out
// again under the same id, which the streams know for some minutes and consumers by themselves.
type Relay struct {
	db   *db.DB
	bus  *Bus
	log  *slog.Logger
	mu   sync.Mutex
	stop context.CancelFunc
	done chan struct{}

	swept  time.Time       // when all own databases were looked into
	behind map[string]bool // own databases with more facts than a batch, or that failed
}

// NewRelay makes a relay that does not run yet.
func NewRelay(d *db.DB, b *Bus) *Relay {
	return &Relay{db: d, bus: b, log: b.c.Log.With("part", "relay"), behind: map[string]bool{}}
}

// Start runs the relay until Stop. A second Start changes nothing.
func (r *Relay) Start(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stop != nil {
		return
	}
	ctx, r.stop = context.WithCancel(context.WithoutCancel(ctx))
	r.done = make(chan struct{})
	go r.run(ctx, r.done)
}

// Stop ends the relay after the batch it is at. It is safe before Start, and twice.
func (r *Relay) Stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stop == nil {
		return
	}
	r.stop()
	<-r.done
	r.stop = nil
}

func (r *Relay) run(ctx context.Context, done chan struct{}) {
	defer close(done)
	told := make(chan []string, noteQueue)
	err := r.bus.Listen(ctx, outboxNote, func(data []byte) {
		var orgs []string
		_ = json.Unmarshal(data, &orgs) // then it is about the master's database
		select {
		case told <- orgs:
		default:
		}
	})
	if err != nil {
		r.log.Warn("facts of other processes are looked for every second", "error", err)
	}
	tick := r.bus.c.Clock.NewTicker(relayPoll, "relay")
	defer tick.Stop()
	failed := false
	for {
		n, err := r.Flush(ctx)
		more, ownErr := r.flushOwn(ctx)
		err = errors.Join(err, ownErr)
		if err != nil && ctx.Err() == nil && !failed {
			r.log.Error("facts wait in the outbox", "error", err)
		} else if failed && err == nil {
			r.log.Info("facts go out again")
		}
		failed = err != nil
		if (n == relayBatch || more) && !failed && ctx.Err() == nil {
			continue
		}
		wake := r.db.OutboxSignal()
		if failed {
			wake = nil // not at the speed of the writers
		}
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case orgs := <-told:
			r.expect(orgs)
		case <-tick.C:
		}
	}
}

// expect has the databases of these organisations looked into.
func (r *Relay) expect(orgs []string) {
	for _, org := range orgs {
		r.behind[org] = true
	}
}

// Flush publishes one batch of the master's database and gives how many facts went out. It is short, and finishes though
// ctx ends: a batch that is published and not deleted would go out again.
func (r *Relay) Flush(ctx context.Context) (int, error) {
	return r.flush(context.WithoutCancel(ctx), r.db.Master())
}

// flushOwn publishes a batch of each organisation's own database in which facts may wait, and tells whether there are more.
func (r *Relay) flushOwn(ctx context.Context) (more bool, err error) {
	for _, org := range r.db.OutboxPending() {
		r.behind[org] = true
	}
	if now := r.bus.c.Clock.Now(); r.swept.IsZero() || now.Sub(r.swept) >= relaySweep {
		r.swept = now
		ps, err := r.db.Placements(ctx)
		if err != nil {
			return false, err
		}
		for _, p := range ps {
			if p.Placement == db.Own {
				r.behind[p.OrganisationID] = true
			}
		}
	}
	for org := range r.behind {
		if ctx.Err() != nil {
			return false, nil
		}
		n := 0
		e := r.db.Within(ctx, org, "relay: publish an organisation's outbox", func(ctx context.Context, in *db.DB) (err error) {
			n, err = r.flush(context.WithoutCancel(ctx), in)
			return err
		})
		err = errors.Join(err, e)
		if e == nil && n < relayBatch {
			delete(r.behind, org)
		}
	}
	return len(r.behind) > 0, err
}

func (r *Relay) flush(ctx context.Context, in *db.DB) (int, error) {
	if in.Dialect() == db.Postgres {
		return r.flushLocked(ctx, in)
	}
	var rows []db.OutboxRow
	err := in.ReadSystem(ctx, "relay: read the outbox", func(ctx context.Context, tx *db.Tx) (err error) {
		rows, err = batch(ctx, tx)
		return err
	})
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	// SQLite has one process and one relay, so no lock; and its one writer is not held while the bus is waited for.
	sent, pubErr := r.publish(ctx, rows)
	err = in.InSystem(ctx, "relay: delete what was published", func(ctx context.Context, tx *db.Tx) error {
		return remove(ctx, tx, sent)
	})
	return len(sent), errors.Join(pubErr, err)
}

// flushLocked does it in one transaction under a lock, because other processes have relays too. A database has locks of
// its own.
func (r *Relay) flushLocked(ctx context.Context, in *db.DB) (int, error) {
	n := 0
	var pubErr error
	err := in.InSystem(ctx, "relay: publish the outbox", func(ctx context.Context, tx *db.Tx) error {
		var mine bool
		if err := tx.NewRaw("SELECT pg_try_advisory_xact_lock(?)", int64(relayLock)).Scan(ctx, &mine); err != nil || !mine {
			return err
		}
		rows, err := batch(ctx, tx)
		if err != nil || len(rows) == 0 {
			return err
		}
		var sent []int64
		sent, pubErr = r.publish(ctx, rows)
		n = len(sent)
		return remove(ctx, tx, sent)
	})
	return n, errors.Join(pubErr, err)
}

func batch(ctx context.Context, tx *db.Tx) (rows []db.OutboxRow, err error) {
	if err := tx.NewSelect().Model(&rows).Order("seq").Limit(relayBatch).Scan(ctx); err != nil {
		return nil, fmt.Errorf("read the outbox: %w", err)
	}
	return rows, nil
}

// publish gives the rows that are safe on the bus, from the first on, and those that never can be.
func (r *Relay) publish(ctx context.Context, rows []db.OutboxRow) ([]int64, error) {
	msgs := make([]*nats.Msg, 0, len(rows))
	var seqs, bad []int64
	for _, row := range rows {
		m, err := envelope(row.OrganisationID, row.ID, row.Type, row.Key, time.UnixMilli(row.CreatedAt), []byte(row.Data))
		if err == nil && len(row.Data) > maxPayload/2 {
			err = fmt.Errorf("%d bytes are too many", len(row.Data))
		}
		if err != nil { // it would stop all that follow
			r.log.Error("fact dropped", "type", row.Type, "key", row.Key, "id", row.ID, "error", err)
			bad = append(bad, row.Seq)
			continue
		}
		msgs, seqs = append(msgs, m), append(seqs, row.Seq)
	}
	n, err := r.bus.publishAll(ctx, msgs)
	return append(seqs[:n], bad...), err
}

func remove(ctx context.Context, tx *db.Tx, seqs []int64) error {
	if len(seqs) == 0 {
		return nil
	}
	_, err := tx.NewDelete().Model((*db.OutboxRow)(nil)).Where("seq IN (?)", bun.List(seqs)).Exec(ctx)
	if err != nil {
		return fmt.Errorf("delete from the outbox: %w", err)
	}
	return nil
}
