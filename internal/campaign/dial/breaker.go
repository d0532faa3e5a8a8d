package dial

import (
	"fmt"
	"time"
)

// Breaker slows a campaign down whose calls cannot be carried: when most of the last calls failed, it waits, then lets one
// call try, and goes on when that one is carried. Who does not answer is no failure.
type Breaker struct {
	recent [breakerWindow]bool // true: failed
	n, at  int
	failed int
	until  time.Time
	wait   time.Duration
	open   bool
	trying bool
}

const (
	breakerWindow = 20 // calls that are looked at
	breakerFrom   = 10 // at least so many
	breakerShare  = 0.5
	breakerFirst  = 30 * time.Second
	breakerMost   = 10 * time.Minute
	breakerTrial  = 2 * time.Minute // after which a trial that was not told of is tried again
)

// NewBreaker makes a closed Breaker.
func NewBreaker() Breaker { return Breaker{wait: breakerFirst} }

// Failed tells that a call could not be carried.
func (b *Breaker) Failed(now time.Time) {
	b.add(true)
	switch {
	case b.open && b.trying:
		b.wait = min(2*b.wait, breakerMost)
		b.until, b.trying = now.Add(b.wait), false
	case !b.open && b.n >= breakerFrom && float64(b.failed) >= breakerShare*float64(b.n):
		b.open, b.trying, b.until = true, false, now.Add(b.wait)
	}
}

// Worked tells that a call was carried, whether or not somebody answered.
func (b *Breaker) Worked(time.Time) {
	b.add(false)
	if b.open && b.trying {
		*b = NewBreaker()
	}
}

func (b *Breaker) add(failed bool) {
	if b.n == breakerWindow && b.recent[b.at] {
		b.failed--
	}
	b.n = min(b.n+1, breakerWindow)
	b.recent[b.at] = failed
	if failed {
		b.failed++
	}
	b.at = (b.at + 1) % breakerWindow
}

// May gives how many of n calls may be placed now. A call that it lets through is the trial.
func (b *Breaker) May(now time.Time, n int) int {
	if !b.open || n == 0 {
		return n
	}
	if now.Before(b.until) {
		return 0
	}
	b.trying, b.until = true, now.Add(breakerTrial)
	return 1
}

// Spared tells that the trial was not placed: there was nobody to call.
func (b *Breaker) Spared(now time.Time) {
	if b.open && b.trying {
		b.trying, b.until = false, now
	}
}

// Why says why calls wait; "" when they do not.
func (b *Breaker) Why(now time.Time) string {
	if !b.open {
		return ""
	}
	if b.trying {
		return "Most of the last calls could not be carried. One call tries whether the trunk works again."
	}
	return fmt.Sprintf("%d of the last %d calls could not be carried. The next one is tried in %s.", b.failed, b.n, max(0, b.until.Sub(now)).Round(time.Second))
}
