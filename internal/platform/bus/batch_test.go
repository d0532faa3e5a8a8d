package bus_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/bus"
)

// A batch subscription gives up nothing, whatever its handler does, and goes on where it was in a new process.
func TestSubscribeBatch(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	const n = 20
	for i := range n {
		publish(t, b, fmt.Sprint(i), event.CallError{CallID: fmt.Sprint(i)})
	}
	publish(t, b, "other", event.CallEnded{CallID: "other"})
	var mu sync.Mutex
	seen := map[string]int{}
	fails, largest := 0, 0
	done := make(chan struct{})
	s, err := b.SubscribeBatch(t.Context(), bus.BatchConfig{Durable: "b", Filter: []string{"call.error"}, Most: 8}, func(_ context.Context, ms []bus.Msg) error {
		mu.Lock()
		defer mu.Unlock()
		switch fails++; fails {
		case 1:
			return errors.New("not yet")
		case 2:
			panic("not yet either")
		}
		largest = max(largest, len(ms))
		for _, m := range ms {
			if seen[m.Key]++; len(seen) == n && seen[m.Key] == 1 {
				close(done)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	<-done
	s.Stop()
	s.Stop()
	for k, v := range seen {
		if v != 1 || k == "other" {
			t.Errorf("%s was handled %d times", k, v)
		}
	}
	if largest < 2 || largest > 8 {
		t.Errorf("the largest batch had %d messages", largest)
	}
	b.Close()

	b = open(t, dir)
	publish(t, b, "late", event.CallError{CallID: "late"})
	got := make(chan string, 10)
	s, err = b.SubscribeBatch(t.Context(), bus.BatchConfig{Durable: "b", Filter: []string{"call.error"}}, func(_ context.Context, ms []bus.Msg) error {
		for _, m := range ms {
			got <- m.Key
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	if k := <-got; k != "late" {
		t.Errorf("after the restart got %s", k)
	}
	if _, err := b.SubscribeBatch(t.Context(), bus.BatchConfig{}, nil); err == nil {
		t.Error("a subscription without a name was taken")
	}
}
