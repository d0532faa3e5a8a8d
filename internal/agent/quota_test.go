package agent_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/parley-voice/parley/internal/agent"
	"github.com/parley-voice/parley/internal/platform/fault"
)

func TestQuotaOfAgents(t *testing.T) {
	each(t, func(t *testing.T, w world) {
		most := int64(2)
		s := agent.New(agent.Config{DB: w.db, Clock: w.clock, Quota: func(_ context.Context, org string) (*int64, error) {
			if org == orgA {
				return &most, nil
			}
			return nil, nil
		}})
		var made, refused atomic.Int32
		var wait sync.WaitGroup
		for i := range 4 { // at once
			wait.Go(func() {
				switch _, err := s.Create(t.Context(), orgA, agent.NewAgent{Name: "A", Slug: fmt.Sprint("a", i), Definition: prompt()}); {
				case err == nil:
					made.Add(1)
				case fault.Is(err, fault.LimitReached):
					refused.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wait.Wait()
		if n, err := s.Count(t.Context(), orgA); err != nil || n != 2 || made.Load() != 2 || refused.Load() != 2 {
			t.Fatalf("%d agents (%v): %d made and %d refused, of two that the plan includes", n, err, made.Load(), refused.Load())
		}
		if _, err := s.Create(t.Context(), orgB, agent.NewAgent{Name: "B", Slug: "b", Definition: prompt()}); err != nil {
			t.Fatalf("another organisation's plan has no limit: %v", err)
		}
	})
}
