package fleet

import (
	"time"

	"github.com/parley-voice/parley/internal/platform/breaker"
)

// BreakerState is what an instance's circuit breaker lets through.
type BreakerState = breaker.State

// The states of a breaker.
const (
	Closed   = breaker.Closed
	Open     = breaker.Open
	HalfOpen = breaker.HalfOpen
)

// Outcome is what a request says of the instance that it was sent to.
type Outcome = breaker.Outcome

// The outcomes.
const (
	Unjudged = breaker.Unjudged // nothing: the caller went away, or the instance was draining
	Good     = breaker.Good
	Bad      = breaker.Bad     // it failed, or took too long
	Refused  = breaker.Refused // it could not be connected to at all
)

// judged is when requests are kept away from an instance: half of at least 20 requests in 10 s failed, or three in a row could not
// be connected.
var judged = breaker.Settings{Window: 10 * time.Second, Enough: 20, Share: 0.5, Refusals: 3, Probes: 2, First: 5 * time.Second, Most: time.Minute}
