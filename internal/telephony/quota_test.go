package telephony_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/telephony"
)

func TestQuotaOfPhones(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, _ *telephony.Service) {
		most, suspended := int64(2), false
		s := telephony.New(telephony.Config{DB: d, Sealer: mask{}, Realm: "parley",
			Quota: func(_ context.Context, org string) (*int64, error) {
				if org == orgA {
					return &most, nil
				}
				return nil, nil
			},
			Standing: func(context.Context, string) error {
				if suspended {
					return fault.New(fault.Forbidden, "suspended")
				}
				return nil
			}})
		var made, refused atomic.Int32
		var wait sync.WaitGroup
		for i := range 5 { // at once
			wait.Go(func() {
				switch _, _, err := s.Create(t.Context(), orgA, telephony.NewPhone{Username: fmt.Sprint("desk", i)}); {
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
		if made.Load() != 2 || refused.Load() != 3 {
			t.Fatalf("%d phones made and %d refused, of two that the plan includes", made.Load(), refused.Load())
		}
		for i := range 3 { // another organisation's plan has no limit
			if _, _, err := s.Create(t.Context(), orgB, telephony.NewPhone{Username: fmt.Sprint("till", i)}); err != nil {
				t.Fatal(err)
			}
		}
		a, errA := s.Count(t.Context(), orgA)
		b, errB := s.Count(t.Context(), orgB)
		if err := errors.Join(errA, errB); err != nil || a != 2 || b != 3 {
			t.Fatalf("%d and %d phones, %v", a, b, err)
		}
		if _, found, err := s.Secrets(t.Context(), "till0"); err != nil || !found {
			t.Fatalf("a phone's secret: %v, %v", found, err)
		}
		suspended = true
		if _, found, err := s.Secrets(t.Context(), "till0"); err != nil || found {
			t.Fatalf("a suspended organisation's phone may register: %v, %v", found, err)
		}
	})
}
