// Package dial is the dialler of one campaign: whom to call now, and what becomes of a lead after a call. It knows no
// database, no network and no clock: the campaign context drives it with a database and real calls, the simulator with
// memory and a virtual clock. Both run the same code, so that what is predicted is what will happen.
//
//	dial.go     leads, attempts, outcomes
//	retry.go    Retry: when a lead is tried again, and when it is done
//	plan.go     Plan: whether a lead is called now, by the rules on calling and the campaign's own
//	dialler.go  Dialler: one step after the other: results in, calls out
//	breaker.go  a campaign whose calls fail slows down and says why
//
// # A lead's life
//
//	new ──► dialling ──► in call ──► done
//	 ▲         │            │
//	 │         ▼            ▼
//	 └──── waiting ◄────────┘        any ──► do not call
//
// new has not been called; waiting is called again at its time. Of both, the queue gives those whose time has come:
// callbacks first, then those who are tried again, then new ones in the order of their list.
package dial

import (
	"slices"
	"time"

	"github.com/parley-voice/parley/internal/campaign/policy"
)

// Outcome is how an attempt ended.
type Outcome string

// The outcomes.
const (
	Answered Outcome = "answered"  // somebody was spoken to
	Refused  Outcome = "refused"   // somebody was spoken to and said no
	OptOut   Outcome = "opt_out"   // somebody asked not to be called again
	Callback Outcome = "callback"  // somebody asked to be called at another time
	Machine  Outcome = "machine"   // an answering machine, and nothing was said to it
	Message  Outcome = "message"   // an answering machine took a message
	Busy     Outcome = "busy"      //
	NoAnswer Outcome = "no_answer" // it rang long enough
	Rejected Outcome = "rejected"  // the callee's telephone or network declined
	Invalid  Outcome = "invalid"   // there is no such number
	Fax      Outcome = "fax"       //
	Failed   Outcome = "failed"    // the call could not be carried: a trunk's or our own failure
	Dropped  Outcome = "dropped"   // answered, and nobody of ours was there in time
	Lost     Outcome = "lost"      // it is not known what became of it: a process was killed meanwhile
	Unplaced Outcome = "unplaced"  // nothing was sent: no line was free, or the campaign was stopped first
)

// Outcomes are all of them, as reports list them.
var Outcomes = []Outcome{Answered, Refused, OptOut, Callback, Machine, Message, Busy, NoAnswer, Rejected, Invalid, Fax, Failed, Dropped, Lost, Unplaced}

// Known reports whether o is an outcome.
func (o Outcome) Known() bool { return slices.Contains(Outcomes, o) }

// Rang reports whether the attempt reached the callee's network, so that it counts as an attempt to reach a person.
func (o Outcome) Rang() bool { return o != Failed && o != Unplaced && o != Invalid }

// Spoken reports whether a person was spoken to.
func (o Outcome) Spoken() bool {
	return o == Answered || o == Refused || o == OptOut || o == Callback
}

// Taken reports whether a person took the call: the answered calls of which only few may be dropped.
func (o Outcome) Taken() bool { return o.Spoken() || o == Dropped }

// Result is what rules on calling see of an outcome. An attempt that is not known to have ended counts like one that rang:
// caution never calls more often.
func (o Outcome) Result() policy.Result {
	switch o {
	case Answered, Callback:
		return policy.Answered
	case Refused, OptOut:
		return policy.Refused
	case Dropped:
		return policy.Dropped
	}
	return policy.Unanswered
}

// State is where a lead is in its life.
type State string

// The states.
const (
	New       State = "new"
	Dialling  State = "dialling"
	InCall    State = "in_call"
	Waiting   State = "waiting" // for its next attempt
	Done      State = "done"
	DoNotCall State = "do_not_call"
)

// States are all of them, in the order of a lead's life.
var States = []State{New, Waiting, Dialling, InCall, Done, DoNotCall}

// Rank is which of the leads whose time has come is called first.
type Rank int64

// The ranks.
const (
	RankCallback Rank = 0
	RankRetry    Rank = 1
	RankNew      Rank = 2
	ranks             = 3
)

// Ranks are all of them, the most urgent first.
func Ranks() [ranks]Rank { return [ranks]Rank{RankCallback, RankRetry, RankNew} }

// Past is an earlier attempt.
type Past struct {
	At      time.Time
	Outcome Outcome // "" while it is not known: it counts as one that rang
	Own     bool    // of this campaign; the others are of the organisation's other campaigns, to the same number
}

// Lead is a person to call, and what is known when it comes to that.
type Lead struct {
	ID        string
	Number    string // E.164
	Name      string
	Country   string // of the address; see policy.Request
	Region    string
	Zone      string
	Variables map[string]string
	Rank      Rank
	DueAt     time.Time
	Past      []Past // to this number, of the last policy.MemoryOfAttempts, oldest first; of this campaign all
	Listed    []string
	Registers []string
	Consent   policy.Consent
	ConsentID string // of the record that says so
	Snapshot  string // hash of the lists and registers as they were asked
	Open      bool   // another campaign calls the number at this moment
}

// Attempts counts the lead's attempts by this campaign. What was never placed does not count.
func (l *Lead) Attempts() int {
	n := 0
	for _, p := range l.Past {
		if p.Own && p.Outcome != Unplaced {
			n++
		}
	}
	return n
}

// Call is an attempt that may be placed now. It was written down before anybody was called.
type Call struct {
	ID       string // of the attempt, and of the call
	Lead     Lead
	Number   int // of the lead's attempts, from 1
	Decision string
	Clock    string    // IANA zone that the callee may look at
	At       time.Time // when it was decided; nobody dials later than At plus Fresh
}

// Fresh is how long a decision to call may be carried out. Whoever was held up longer must ask again: meanwhile a window may
// have closed, or another process may have taken the campaign over.
const Fresh = 5 * time.Second
