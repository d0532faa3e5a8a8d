package db

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"

	"github.com/coder/quartz"
)

func (b *budget) queued() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waiting.Len()
}

func waitQueued(b *budget, n int) {
	for b.queued() != n {
		runtime.Gosched()
	}
}

func TestBudget(t *testing.T) {
	var mu sync.Mutex
	idle := 0 // connections that could be closed
	b := newBudget(2, quartz.NewMock(t), nil)
	b.shed = func() bool {
		mu.Lock()
		defer mu.Unlock()
		if idle == 0 {
			return false
		}
		idle--
		b.give()
		return true
	}
	ctx := t.Context()
	for range 2 {
		if err := b.take(ctx); err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	idle = 1
	mu.Unlock()
	if err := b.take(ctx); err != nil || b.wanted() { // in place of the idle one
		t.Fatal(err)
	}

	// Who waits is served first come, first served; who leaves leaves nothing behind.
	turns := make(chan int, 3)
	var wg sync.WaitGroup
	gone, leave := context.WithCancel(ctx)
	for i, ctx := range []context.Context{ctx, gone, ctx} {
		wg.Go(func() {
			err := b.take(ctx)
			if (err != nil) != (i == 1) || err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("%d: %v", i, err)
			}
			if err == nil {
				turns <- i
			}
		})
		waitQueued(b, i+1)
	}
	if !b.wanted() {
		t.Error("nobody waits")
	}
	leave()
	waitQueued(b, 2)
	b.give()
	if i := <-turns; i != 0 {
		t.Errorf("%d came first", i)
	}
	b.give()
	if i := <-turns; i != 2 {
		t.Errorf("%d came second", i)
	}
	wg.Wait()
	b.give()
	b.give()
	if b.used != 0 || b.wanted() {
		t.Errorf("%d in use at the end", b.used)
	}
}

// One that leaves in the moment in which its turn comes gives it on.
func TestBudgetLeftInTime(t *testing.T) {
	b := newBudget(1, quartz.NewMock(t), func() bool { return false })
	if err := b.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	at := b.waiting.PushBack(make(chan struct{}))
	b.give()
	b.leave(at)
	if b.used != 0 {
		t.Errorf("%d in use", b.used)
	}
}
