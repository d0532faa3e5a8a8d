package db

import (
	"container/list"
	"context"
	"sync"
)

// queue is SQLite's one writer's door: first come, first served. database/sql hands a free connection to a random
// waiter, which starves some of them when many write at once.
type queue struct {
	mu      sync.Mutex
	taken   bool
	waiting list.List // of chan struct{}, closed when it is one's turn
}

// acquire waits for one's turn or the context's end.
func (q *queue) acquire(ctx context.Context) error {
	q.mu.Lock()
	if !q.taken {
		q.taken = true
		q.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	e := q.waiting.PushBack(turn)
	q.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case <-turn: // it came at the same moment: hand it on
		q.next()
	default:
		q.waiting.Remove(e)
	}
	return context.Cause(ctx)
}

// release lets the next one in.
func (q *queue) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.next()
}

// next passes the turn on. The caller holds mu.
func (q *queue) next() {
	e := q.waiting.Front()
	if e == nil {
		q.taken = false
		return
	}
	close(q.waiting.Remove(e).(chan struct{}))
}

// length is how many wait.
func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting.Len()
}
