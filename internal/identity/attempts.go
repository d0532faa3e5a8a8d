package identity

import (
	"net"
	"sync"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	attemptsFree   = 5                // wrong passwords before waiting begins
	attemptsMax    = 5 * time.Minute  // the longest wait
	attemptsForget = 30 * time.Minute // after which wrong passwords are forgotten
	attemptsKept   = 10_000           // pairs of account and address
)

// attempts slows guessing down. Failures count for an account from one address, so that a stranger who
// guesses cannot lock its owner out elsewhere, and for an address over all accounts.
type attempts struct {
	clock quartz.Clock
	mu    sync.Mutex
	seen  map[string]*failures
}

type failures struct {
	n    int
	last time.Time
}

func newAttempts(clock quartz.Clock) *attempts {
	return &attempts{clock: clock, seen: map[string]*failures{}}
}

// check refuses when key failed too often lately; wait doubles with each failure.
func (a *attempts) check(keys ...string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock.Now()
	for _, key := range keys {
		f := a.seen[key]
		if f == nil || f.n < attemptsFree || now.Sub(f.last) > attemptsForget {
			continue
		}
		wait := min(time.Second<<min(f.n-attemptsFree, 12), attemptsMax)
		if left := wait - now.Sub(f.last); left > 0 {
			return fault.New(fault.RateLimited, "too many wrong passwords; wait %d seconds and try again", int(left.Seconds())+1)
		}
	}
	return nil
}

func (a *attempts) failed(keys ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock.Now()
	if len(a.seen) >= attemptsKept {
		for k, f := range a.seen {
			if now.Sub(f.last) > attemptsForget || len(a.seen) >= attemptsKept {
				delete(a.seen, k)
			}
		}
	}
	for _, key := range keys {
		f := a.seen[key]
		if f == nil || now.Sub(f.last) > attemptsForget {
			f = &failures{}
			a.seen[key] = f
		}
		f.n++
		f.last = now
	}
}

func (a *attempts) succeeded(keys ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, key := range keys {
		delete(a.seen, key)
	}
}

// hostOf gives the address without its port.
func hostOf(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	return host
}
