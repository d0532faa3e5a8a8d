package identity

import (
	"net"
	"sync"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	attemptsFree   = 5                // failures before waiting begins
	attemptsMax    = 5 * time.Minute  // the longest wait
	attemptsForget = 30 * time.Minute // after which failures are forgotten
	attemptsKept   = 10_000           // addresses
)

// attempts slows down whoever tries API tokens from one address. Tokens cannot be guessed, so it is kept in memory only;
// lockout.go keeps what counts for passwords and codes.
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
			return fault.New(fault.RateLimited, "too many wrong API tokens; wait %d seconds and try again", int(left.Seconds())+1)
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

// hostOf gives the address without its port.
func hostOf(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	return host
}
