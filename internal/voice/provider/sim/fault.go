package sim

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/voice/provider"
)

// Faults are the shares (0 to 1) of requests that go wrong, one way each.
type Faults struct {
	Error   float64       // refused at once
	Fatal   float64       // refused for good
	Hang    float64       // no answer until the context's end
	Rubbish float64       // an answer that makes no sense
	Slow    float64       // SlowBy later
	SlowBy  time.Duration //
}

// fate is what becomes of a request.
type fate uint8

const (
	fine fate = iota
	refused
	refusedForGood
	hanging
	rubbish
)

type outcome struct {
	fate  fate
	delay time.Duration
}

func (f Faults) draw(r *rand.Rand) outcome {
	u := r.Float64()
	for _, c := range []struct {
		share float64
		o     outcome
	}{
		{f.Error, outcome{fate: refused}},
		{f.Fatal, outcome{fate: refusedForGood}},
		{f.Hang, outcome{fate: hanging}},
		{f.Rubbish, outcome{fate: rubbish}},
		{f.Slow, outcome{delay: f.SlowBy}},
	} {
		if u < c.share {
			return c.o
		}
		u -= c.share
	}
	return outcome{}
}

// fail is the error of a request that is refused.
func (o outcome) fail(s provider.Service) *provider.Error {
	switch o.fate {
	case refused:
		return &provider.Error{Service: s, Vendor: Name, Code: "failed", Message: "a simulated failure"}
	case refusedForGood:
		return &provider.Error{Service: s, Vendor: Name, Code: "refused", Message: "a simulated failure for good", Fatal: true}
	default:
		return nil
	}
}

// wait lets d pass, or for ever when the request hangs. It returns early with an error when ctx ends.
func (o outcome) wait(ctx context.Context, clock quartz.Clock, s provider.Service) error {
	if err := ctx.Err(); err != nil {
		return ended(err, s)
	}
	if o.fate == hanging {
		<-ctx.Done()
		return ended(ctx.Err(), s)
	}
	return pause(ctx, clock, o.delay, s)
}

func pause(ctx context.Context, clock quartz.Clock, d time.Duration, s provider.Service) error {
	if err := ctx.Err(); err != nil {
		return ended(err, s)
	}
	if d <= 0 {
		return nil
	}
	t := clock.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ended(ctx.Err(), s)
	}
}

func ended(err error, s provider.Service) error {
	return &provider.Error{Service: s, Vendor: Name, Code: "timeout", Message: "the request was given up", Cause: err}
}
