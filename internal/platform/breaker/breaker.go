// Package breaker keeps requests away from what fails: a circuit breaker as a pure state machine. Time and chance come with each
// call, and whoever uses it guards it.
package breaker

import "time"

// State is what a breaker lets through.
type State string

// The states.
const (
	Closed   State = "closed"    // everything
	Open     State = "open"      // nothing, for a while
	HalfOpen State = "half-open" // one request at a time, to see
)

// Outcome is what a request says of whom it was sent to.
type Outcome int

// The outcomes.
const (
	Unjudged Outcome = iota // nothing: the caller went away, or the other side said that it takes none
	Good
	Bad     // it failed, or took too long
	Refused // it could not be reached at all
)

const slices = 10 // that a window is counted in

// Settings say when a breaker opens, and for how long. All of them are needed.
type Settings struct {
	Window   time.Duration // in which outcomes are counted
	Enough   int           // requests in it, of which Share must have failed
	Share    float64       // from 0 to 1
	Refusals int           // in a row that open it too
	Probes   int           // in a row that close it
	First    time.Duration // that it is open at first; twice as long after each failed probe
	Most     time.Duration // that it is open at most
}

// Breaker keeps requests away from what fails.
//
//	closed ── Share of at least Enough requests in Window failed, or Refusals in a row were refused ──► open
//	open ── First over, twice as long after each failed probe, at most Most; less up to a quarter by chance ──► half-open
//	half-open ── Probes in a row succeed ──► closed;  one fails ──► open
//
// What was sent before the last change of state says nothing any more, so each permission bears the number of its
// state (gen). A probe that says nothing gives its place back.
type Breaker struct {
	set      Settings
	state    State
	gen      uint64
	good     [slices]int
	bad      [slices]int
	at       int64 // the slice that is counted in now
	refusals int   // in a row
	until    time.Time
	opened   int // times in a row
	probing  bool
	probed   int // probes in a row that succeeded
}

// New makes a closed breaker.
func New(s Settings) Breaker { return Breaker{set: s, state: Closed} }

// State is the state since the last change; an open breaker whose time is over is half open only by StateAt.
func (b *Breaker) State() State { return b.state }

// Until is when an open breaker lets a probe through.
func (b *Breaker) Until() time.Time { return b.until }

// Counts are the outcomes in the window.
func (b *Breaker) Counts() (good, bad int) {
	for i := range slices {
		good, bad = good+b.good[i], bad+b.bad[i]
	}
	return good, bad
}

// StateAt gives the state at a time: an open breaker whose time is over is half open.
func (b *Breaker) StateAt(now time.Time) State {
	if b.state == Open && !now.Before(b.until) {
		return HalfOpen
	}
	return b.state
}

// Ready reports whether a request would be let through.
func (b *Breaker) Ready(now time.Time) bool {
	switch b.StateAt(now) {
	case Closed:
		return true
	case HalfOpen:
		return b.state == Open || !b.probing
	}
	return false
}

// Allow lets a request through, and gives the number that its outcome bears.
func (b *Breaker) Allow(now time.Time) (gen uint64, ok bool) {
	if !b.Ready(now) {
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

// Done takes the outcome of a request. chance is from 0 to below 1.
func (b *Breaker) Done(gen uint64, o Outcome, now time.Time, chance float64) {
	if gen != b.gen {
		return
	}
	switch b.state {
	case HalfOpen:
		b.probing = false
		switch o {
		case Good:
			if b.probed++; b.probed >= b.set.Probes {
				b.become(Closed)
				b.opened = 0
			}
		case Bad, Refused:
			b.open(now, chance)
		}
	case Closed:
		b.count(o, now)
		if b.refusals >= b.set.Refusals || b.failing() {
			b.open(now, chance)
		}
	}
}

// count notes an outcome in the slice of now, and forgets those that are too old.
func (b *Breaker) count(o Outcome, now time.Time) {
	at := now.UnixNano() / b.slice()
	if at-b.at >= slices || at < b.at {
		b.good, b.bad = [slices]int{}, [slices]int{}
	} else {
		for i := b.at + 1; i <= at; i++ {
			b.good[i%slices], b.bad[i%slices] = 0, 0
		}
	}
	b.at = at
	switch o {
	case Good:
		b.good[at%slices]++
		b.refusals = 0
	case Bad:
		b.bad[at%slices]++
		b.refusals = 0
	case Refused:
		b.bad[at%slices]++
		b.refusals++
	}
}

func (b *Breaker) failing() bool {
	good, bad := b.Counts()
	return good+bad >= b.set.Enough && float64(bad) >= b.set.Share*float64(good+bad)
}

func (b *Breaker) slice() int64 { return int64(b.set.Window / slices) }

func (b *Breaker) open(now time.Time, chance float64) {
	wait := min(b.set.Most, b.set.First<<min(b.opened, 10))
	wait -= time.Duration(chance * float64(wait) / 4)
	b.opened++
	b.become(Open)
	b.until = now.Add(wait)
}

func (b *Breaker) become(s State) {
	b.state, b.gen = s, b.gen+1
	b.good, b.bad = [slices]int{}, [slices]int{}
	b.refusals, b.probed, b.probing = 0, 0, false
}
