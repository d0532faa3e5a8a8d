package bus

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

// Change is a value that was put, or that went.
type Change struct {
	Key   string
	Entry      // Value is empty when it went
	Gone  bool // deleted, or expired
}

// ErrWatchEnded says that a watch broke: the connection to the bus was closed.
var ErrWatchEnded = errors.New("bus: the watch ended")

// Watch hands every value of the bucket to changed, calls known once, and then hands on each change as it happens, until
// ctx ends or the watch breaks. It calls both from one goroutine and waits for them: they must not block. Whoever needs
// to know that the bus is still there looks whether changes come: a connection that is being made again is no error.
func (k *KV) Watch(ctx context.Context, changed func(Change), known func()) error {
	w, err := k.kv.WatchAll(ctx)
	if err != nil {
		return kvFail("watch", "the bucket "+k.kv.Bucket(), err)
	}
	defer func() {
		_ = w.Stop()
		// The subscription's goroutine may be waiting for us to take what it has; it closes the channel when it is over.
		go func(left <-chan jetstream.KeyValueEntry) {
			for range left { //nolint:revive // emptied
			}
		}(w.Updates())
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e, ok := <-w.Updates():
			switch {
			case !ok:
				return ErrWatchEnded
			case e == nil:
				known()
			default:
				c := Change{Key: e.Key(), Entry: Entry{Revision: e.Revision()}, Gone: e.Operation() != jetstream.KeyValuePut}
				if !c.Gone {
					c.Value = e.Value()
				}
				changed(c)
			}
		}
	}
}
