package fleet

import "time"

// BreakerState is what a circuit breaker lets through.
type BreakerState string

// The states of a breaker.
const (
	Closed   BreakerState = "closed"    // everything
	Open     BreakerState = "open"      // nothing, for a while
	HalfOpen BreakerState = "half-open" // one request at a time, to see
)

// Outcome is what a request says of the instance that it was sent to.
type Outcome int

// The outcomes.
const (
	Unjudged Outcome = iota // nothing: the caller went away, or the instance was draining
	Good
	Bad     // it failed, or took too long
	Refused // it could not be connected to at all
)

const (
	window        = 10          // slices that are counted
	slice         = time.Second // the length of one
	enough        = 20          // requests of which half must have failed
	refusalsOpen  = 3           // in a row
	probesToClose = 2           // in a row
	openFirst     = 5 * time.Second
	openMost      = time.Minute
)

// breaker keeps requests away from an instance that fails. It is a pure state machine: time and chance come with each call.
//
//	closed ── half of at least 20 requests in 10 s failed, or three in a row were refused ──► open
//	open ── 5 s over, twice as long after each failed probe, at most a minute; less up to a quarter by chance ──► half-open
//	half-open ── two probes in a row succeed ──► closed;  one fails ──► open
//
// What was sent before the last change of state says nothing any more, so each permission bears the number of its
// state (gen). A probe that says nothing gives its place back.
type breaker struct {
	state    BreakerState
	gen      uint64
	good     [window]int
	bad      [window]int
	at       int64 // the slice that is counted in now
	refusals int   // in a row
	until    time.Time
	opened   int // times in a row
	probing  bool
	probed   int // probes in a row that succeeded
}

func newBreaker() breaker { return breaker{state: Closed} }

// stateAt gives the state at a time: an open breaker whose time is over is half open.
func (b *breaker) stateAt(now time.Time) BreakerState {
	if b.state == Open && !now.Before(b.until) {
		return HalfOpen
	}
	return b.state
}

// ready reports whether a request would be let through.
func (b *breaker) ready(now time.Time) bool {
	switch b.stateAt(now) {
	case Closed:
		return true
	case HalfOpen:
		return b.state == Open || !b.probing
	}
	return false
}

// allow lets a request through, and gives the number that its outcome bears.
func (b *breaker) allow(now time.Time) (gen uint64, ok bool) {
	if !b.ready(now) {
		return 0, false
	}
	if b.state == Open {
		b.become(HalfOpen)
	}
	if b.state == HalfOpen {
		b.probing = true
	}
	return b.gen, true
}

// done takes the outcome of a request. chance is from 0 to below 1.
func (b *breaker) done(gen uint64, o Outcome, now time.Time, chance float64) {
	if gen != b.gen {
		return
	}
	switch b.state {
	case HalfOpen:
		b.probing = false
		switch o {
		case Good:
			if b.probed++; b.probed >= probesToClose {
				b.become(Closed)
				b.opened = 0
			}
		case Bad, Refused:
			b.open(now, chance)
		}
	case Closed:
		b.count(o, now)
		if b.refusals >= refusalsOpen || b.failing() {
			b.open(now, chance)
		}
	}
}

// count notes an outcome in the slice of now, and forgets those that are too old.
func (b *breaker) count(o Outcome, now time.Time) {
	at := now.UnixNano() / int64(slice)
	if at-b.at >= window || at < b.at {
		b.good, b.bad = [window]int{}, [window]int{}
	} else {
		for i := b.at + 1; i <= at; i++ {
			b.good[i%window], b.bad[i%window] = 0, 0
		}
	}
	b.at = at
	switch o {
	case Good:
		b.good[at%window]++
		b.refusals = 0
	case Bad:
		b.bad[at%window]++
		b.refusals = 0
	case Refused:
		b.bad[at%window]++
		b.refusals++
	}
}

func (b *breaker) failing() bool {
	good, bad := 0, 0
	for i := range window {
		good, bad = good+b.good[i], bad+b.bad[i]
	}
	return good+bad >= enough && bad*2 >= good+bad
}

func (b *breaker) open(now time.Time, chance float64) {
	wait := min(openMost, openFirst<<min(b.opened, 10))
	wait -= time.Duration(chance * float64(wait) / 4)
	b.opened++
	b.become(Open)
	b.until = now.Add(wait)
}

func (b *breaker) become(s BreakerState) {
	b.state, b.gen = s, b.gen+1
	b.good, b.bad = [window]int{}, [window]int{}
	b.refusals, b.probed, b.probing = 0, 0, false
}
