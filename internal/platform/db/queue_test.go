package db

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
)

func waitLength(q *queue, n int) {
	for q.length() != n {
		runtime.Gosched()
	}
}

func TestQueueServesInOrder(t *testing.T) {
	var q queue
	if err := q.acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	var order, want []int
	var wg sync.WaitGroup
	for i := range 20 {
		want = append(want, i)
		wg.Go(func() {
			if err := q.acquire(t.Context()); err != nil {
				t.Error(err)
				return
			}
			order = append(order, i) // guarded by the queue itself; the race detector watches
			q.release()
		})
		waitLength(&q, i+1)
	}
	q.release()
	wg.Wait()
	if !slices.Equal(order, want) {
		t.Errorf("served %v", order)
	}
}

func TestQueueGivesUpWithTheContext(t *testing.T) {
	var q queue
	if err := q.acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- q.acquire(ctx) }()
	waitLength(&q, 1)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want canceled", err)
	}
	if q.length() != 0 {
		t.Error("it still waits")
	}
	q.release()
	if err := q.acquire(t.Context()); err != nil {
		t.Error(err)
	}
}

// Turns are never lost when a waiter gives up at the moment it is let in.
func TestQueueNeverLosesATurn(t *testing.T) {
	var q queue
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 500 {
				ctx, cancel := context.WithCancel(t.Context())
				if i%2 == 0 {
					go cancel()
				}
				if q.acquire(ctx) == nil {
					q.release()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if err := q.acquire(t.Context()); err != nil || q.length() != 0 {
		t.Errorf("err %v, %d wait", err, q.length())
	}
}
