// Package policy decides whether a person may be called, and if not now, when. It is pure: no clock, no database, no
// network. Who asks brings the facts; the same question is answered the same way years later.
//
// A newcomer's map:
//
//	policy.go   what is asked and answered
//	decide.go   Book.Decide: every rule that applies is checked, the strictest wins
//	pack.go     packs: the rules of one jurisdiction, as data with their sources; packs/*.yaml
//	place.go    where a number is: country, region and time zones; several where it cannot be known
//	hours.go    calling hours on the callee's wall clock, through changes of summer time; holiday.go days off
//
// # What is careful
//
// A number that may be in several places must be callable in all of them: a mobile of one state whose owner gave an
// address in another is bound by both, and one whose region cannot be told by every region of its country. An instant is
// inside calling hours when the wall clock of each zone shows a time inside them. So an hour that summer time skips
// holds no instant, and one that it repeats holds two.
//
// Packs are a careful reading of public rules with their sources beside them, not legal advice.
package policy

import "time"

// Purpose is why somebody is called. Rules on selling do not all apply to a reminder of an appointment.
type Purpose string

// The purposes.
const (
	Sales   Purpose = "sales"   // offers goods, services or donations to people who did not ask
	Service Purpose = "service" // about something that the person has with us: an appointment, a delivery, an account
	Survey  Purpose = "survey"  // asks for opinions and sells nothing
)

// Consent is what the callee said about being called.
type Consent string

// The states of consent.
const (
	NoConsent Consent = ""          // nothing is recorded
	Given     Consent = "given"     // proved, in force, and wide enough for this call
	Withdrawn Consent = "withdrawn" // the person asked not to be called
)

// Result is how an earlier attempt ended, as far as rules ask.
type Result string

// The results.
const (
	Unanswered Result = "unanswered" // nobody took it, or they hung up at once
	Answered   Result = "answered"   // somebody was spoken to
	Dropped    Result = "dropped"    // answered, and nobody of ours was there in time
	Refused    Result = "refused"    // the person said no to what was offered
)

// Attempt is an earlier call to the number, by any campaign of the organisation.
type Attempt struct {
	At     time.Time
	Result Result
}

// Request asks whether a number may be called at a time. Attempts are of the last MemoryOfAttempts at least.
type Request struct {
	Number    string // E.164: +14155550100
	Country   string // of the address, ISO 3166-1 alpha-2; "": not known
	Region    string // of the address, the second part of ISO 3166-2: FL; "": not known
	Zone      string // of the address, IANA: America/New_York; "": not known
	Purpose   Purpose
	Automated bool // the voice is a machine's: an AI agent or a recording
	Consent   Consent
	Listed    []string // do-not-call lists of the organisation or the campaign that hold the number: they forbid any call
	Registers []string // public registers that hold the number, as packs name them: us-national
	Attempts  []Attempt
	Hours     *Hours // the campaign's own, on the callee's clock; nil: whenever rules allow
	Caps      []Cap  // the campaign's own
}

// MemoryOfAttempts is how far back rules look.
const MemoryOfAttempts = 60 * 24 * time.Hour

// Check is one rule that was asked.
type Check struct {
	Rule      string    `json:"rule"`    // us-fl/hours
	Version   string    `json:"version"` // of its pack; "" for the campaign's own
	Passed    bool      `json:"passed"`
	Says      string    `json:"says"`                // why, in a sentence
	NotBefore time.Time `json:"notBefore,omitempty"` // when the rule will pass, if nothing else changes; zero: it does not
}

// Verdict is the answer. It is Allowed, or the number may be called at NotBefore if nothing else changes, or never
// (NotBefore is zero).
type Verdict struct {
	Allowed   bool      `json:"allowed"`
	NotBefore time.Time `json:"notBefore,omitempty"`
	Place     Place     `json:"place"`
	Local     []string  `json:"local"` // the time in each zone of Place, RFC 3339
	Checks    []Check   `json:"checks"`
}

// Blocking gives the first rule that did not pass.
func (v Verdict) Blocking() (Check, bool) {
	for _, c := range v.Checks {
		if !c.Passed {
			return c, true
		}
	}
	return Check{}, false
}
