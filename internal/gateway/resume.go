package gateway

import (
	"context"
	"maps"
	"slices"
	"time"
)

// How a client of the realtime feed goes from one instance to another.

const (
	catchUp = 2 * time.Second // how long a client that knows more than we do waits for us to know it too
	closing = 7 * time.Second // for the last WebSockets to say goodbye, of which each may take five seconds
)

// Close ends every WebSocket with the code 1012, service restart; their clients come back, here or elsewhere.
func (h *Hub) Close() {
	for _, c := range h.close() {
		h.end(c)
	}
}

// Drain is Close, one after the other over a time, so that not all come back at once; it takes no new ones meanwhile. It
// returns when all have gone, and some seconds later at most.
func (h *Hub) Drain(ctx context.Context, over time.Duration) {
	open := h.close()
	for i, c := range open {
		h.end(c)
		if i < len(open)-1 && !h.wait(ctx, over/time.Duration(len(open)), nil) {
			h.Close()
			return
		}
	}
	if len(open) > 0 {
		h.wait(ctx, closing, h.empty)
	}
}

// close takes no new clients, and gives those that are there.
func (h *Hub) close() []*client {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	return slices.Collect(maps.Keys(h.clients))
}

func (h *Hub) end(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c.end()
}

// wait waits so long, or until something is closed; false says that ctx ended before.
func (h *Hub) wait(ctx context.Context, d time.Duration, until <-chan struct{}) bool {
	t := h.clock.NewTimer(d, "realtime", "wait")
	defer t.Stop()
	select {
	case <-t.C:
	case <-until:
	case <-ctx.Done():
		return false
	}
	return true
}

// await waits a little until the event id is here: a client that was connected to another instance may have it already.
func (h *Hub) await(ctx context.Context, id uint64) {
	h.mu.Lock()
	if id <= h.last {
		h.mu.Unlock()
		return
	}
	here := make(chan struct{})
	h.waiting[here] = id
	h.mu.Unlock()
	h.wait(ctx, catchUp, here)
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.waiting, here)
}
