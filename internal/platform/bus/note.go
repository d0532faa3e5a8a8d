package bus

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/parley-voice/parley/internal/platform/db"
)

// Notes are messages between processes that nobody keeps: who does not listen misses them, and finds out by itself later.
// The subject is parley.note.NAME.
const (
	noteSubject = "parley.note."
	// outboxNote tells relays that facts wait. Its data are the organisations in whose own databases they do.
	outboxNote = "outbox"
	notedOrgs  = 1000 // organisations in one note; the relay's sweep finds the others
	noteQueue  = 64   // notes that wait for the relay; more are dropped, because one is as good as many
)

// Tell sends a note to every process that listens. Data may be nil.
func (b *Bus) Tell(name string, data []byte) error {
	if err := token(name); err != nil {
		return fmt.Errorf("bus: note: %w", err)
	}
	if err := b.nc.Publish(noteSubject+name, data); err != nil {
		return fmt.Errorf("bus: note %s: %w", name, err)
	}
	return nil
}

// Listen runs h for each note of that name until ctx ends or Close. h must not wait.
func (b *Bus) Listen(ctx context.Context, name string, h func(data []byte)) error {
	if err := token(name); err != nil {
		return fmt.Errorf("bus: note: %w", err)
	}
	sub, err := b.nc.Subscribe(noteSubject+name, func(m *nats.Msg) { h(m.Data) })
	if err != nil {
		return fmt.Errorf("bus: note %s: %w", name, err)
	}
	context.AfterFunc(ctx, func() { _ = sub.Unsubscribe() }) // the connection may be closed already
	return nil
}

// Nudge tells the relays of other processes whenever this one leaves facts, until ctx ends or Close. It is for
// processes without a relay of their own.
func (b *Bus) Nudge(ctx context.Context, d *db.DB) {
	b.wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-b.ctx.Done():
				return
			case <-d.OutboxSignal():
			}
			orgs := d.OutboxPending()
			data, err := json.Marshal(orgs[:min(len(orgs), notedOrgs)])
			if err == nil {
				err = b.Tell(outboxNote, data)
			}
			if err != nil {
				b.c.Log.Warn("relays were not told; they look by themselves", "error", err)
			}
		}
	})
}
