// Package pace decides how many calls a campaign places now. It is pure: it has no clock, no goroutine and no randomness;
// who drives it tells what happened and when.
//
//	pace.go     Pacer: modes, the rate, what is known of the world
//	predict.go  how many lines may ring at once, so that few who answer find nobody
//	budget.go   what may still be dropped today
//	share.go    places and starts divided between campaigns
//
// # Why the budget is counted by days
//
// The rule is a share over 30 days, and any 30 days: a window that begins today holds today and what comes after. If the
// campaign stops tonight, today alone must keep the share. So each day keeps it by itself, and then every window of whole
// days does. A day begins with nothing to give away: until 34 people have answered, one line rings for each operator who is free.
package pace

import (
	"math"
	"time"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// Mode is how a dialler chooses when to dial.
type Mode string

// The modes.
const (
	Agentless   Mode = "agentless"   // an AI agent answers: as many calls as there are places
	Preview     Mode = "preview"     // an operator looks at a lead and asks for the call
	Progressive Mode = "progressive" // one line for each operator who is free
	Ratio       Mode = "ratio"       // a set number of lines for each operator who is free, as far as the budget goes
	Predictive  Mode = "predictive"  // as many lines as the model finds safe
)

// Config is how a campaign is paced.
type Config struct {
	Mode      Mode
	Lines     int     // calls at once, whatever the mode
	PerSecond float64 // calls begun in a second; 0: as many as Lines allow
	Ratio     float64 // lines for each free operator in the mode ratio: 1 to 5
	// MostDropped is the share of answered calls that may find nobody: 0.03. 0 is none at all.
	MostDropped float64
}

// Check says what is wrong with a Config; field is put before the names of its fields.
func (c Config) Check(field string) error {
	switch c.Mode {
	case Agentless, Preview, Progressive, Predictive:
	case Ratio:
		if c.Ratio < 1 || c.Ratio > 5 {
			return fault.Field(field+"ratio", "a ratio is from 1 to 5 lines for each free operator")
		}
	default:
		return fault.Field(field+"mode", "%q is no mode; use agentless, preview, progressive, ratio or predictive", string(c.Mode))
	}
	if c.Lines < 1 || c.Lines > 10_000 {
		return fault.Field(field+"lines", "from 1 to 10000 calls at once")
	}
	if c.PerSecond < 0 || c.PerSecond > 1000 {
		return fault.Field(field+"perSecond", "from 0 (no limit of its own) to 1000 calls a second")
	}
	if c.MostDropped < 0 || c.MostDropped > 0.1 {
		return fault.Field(field+"mostDropped", "from 0 to 0.1: a tenth of the answered calls")
	}
	return nil
}

// State is a campaign at an instant.
type State struct {
	Idle    int // operators who are free
	Busy    int // operators in a call of the campaign, or wrapping up after it
	Ringing int // calls placed and not answered yet
	Waiting int // calls answered whose operator is not there yet
	Talking int // calls with an operator or an AI agent
	Asked   int // calls that operators asked for and that were not placed yet (preview)
	Places  int // calls at once that the campaign may have now, by its share; below Lines or not
}

// Pacer paces one campaign. It is used by one goroutine.
type Pacer struct {
	c       Config
	budget  budget
	answer  rate // of attempts
	delay   mean // seconds from dialling to the answer
	freeing freeing
	tokens  float64
	last    time.Time
}

// New makes a Pacer. day is the number of the campaign's day, see Day; dropped and answered are what it has had already.
func New(c Config, day int64, answered, dropped int) *Pacer {
	return &Pacer{c: c, budget: budget{share: c.MostDropped, day: day, answered: answered, dropped: dropped},
		answer: rate{keep: 1 - 1.0/400}, delay: mean{keep: 1 - 1.0/200, value: 8}}
}

// Set changes how it is paced from now on; what was learned stays.
func (p *Pacer) Set(c Config) { p.c, p.budget.share = c, c.MostDropped }

// Day is the number of the day that the clock of a zone shows at an instant.
func Day(at time.Time, zone *time.Location) int64 {
	y, m, d := at.In(zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86400
}

// Answered tells that somebody took a call, so long after it was placed, on a day.
func (p *Pacer) Answered(day int64, after time.Duration) {
	p.answer.add(1)
	p.delay.add(after.Seconds())
	p.budget.on(day)
	p.budget.answered++
}

// Unanswered tells that a call ended before anybody took it.
func (p *Pacer) Unanswered() { p.answer.add(0) }

// Dropped tells that an answered call found nobody.
func (p *Pacer) Dropped(day int64) {
	p.budget.on(day)
	p.budget.dropped++
}

// Freed tells that an operator is free again after a call.
func (p *Pacer) Freed() { p.freeing.ended++ }

// Share gives what was dropped of what was answered today.
func (p *Pacer) Share() float64 { return p.budget.now() }

// Dial tells how many calls to place at an instant. They are placed: the rate has counted them.
func (p *Pacer) Dial(now time.Time, day int64, s State) int {
	p.budget.on(day)
	p.freeing.pass(now, s.Busy)
	n := min(p.c.Lines, s.Places) - s.Ringing - s.Waiting - s.Talking
	switch p.c.Mode {
	case Preview:
		n = min(n, s.Asked)
	case Progressive:
		n = min(n, p.free(s)-s.Ringing)
	case Ratio:
		n = min(n, p.ratio(s)-s.Ringing)
	case Predictive:
		n = min(n, p.predict(s)-s.Ringing)
	}
	return p.take(now, n)
}

// free are the operators who are not spoken for by a caller who waits.
func (p *Pacer) free(s State) int { return max(0, s.Idle-s.Waiting) }

// ratio gives how many lines may ring in the mode ratio. In the worst case everybody answers at once: what is rung beyond
// the free operators must be in the budget.
func (p *Pacer) ratio(s State) int {
	free := p.free(s)
	return min(int(math.Ceil(p.c.Ratio*float64(free))), free+p.budget.left())
}

// take counts n starts against the rate, and gives how many of them it allows. At most one second's worth is saved up.
func (p *Pacer) take(now time.Time, n int) int {
	if n <= 0 {
		n = 0
	}
	if p.c.PerSecond <= 0 {
		return n
	}
	if p.last.IsZero() {
		p.tokens = 1
	} else if gone := now.Sub(p.last).Seconds(); gone > 0 {
		p.tokens += gone * p.c.PerSecond
	}
	p.last = now
	p.tokens = min(p.tokens, max(1, p.c.PerSecond))
	n = min(n, int(p.tokens))
	p.tokens -= float64(n)
	return n
}

// Return gives back starts that Dial allowed and nobody made: there was nobody to call.
func (p *Pacer) Return(n int) {
	if p.c.PerSecond > 0 && n > 0 {
		p.tokens = min(p.tokens+float64(n), max(1, p.c.PerSecond))
	}
}

// freeing is how often busy operators become free: what ended in the time that all of them together were busy. The mean of
// the calls that ended would not do: while a shift is young only the short ones have.
type freeing struct {
	ended   float64
	seconds float64 // operators' seconds
	last    time.Time
}

// halfTime is how many operators' seconds it takes until what was seen weighs half.
const halfTime = 20_000

func (f *freeing) pass(now time.Time, busy int) {
	if gone := now.Sub(f.last).Seconds(); !f.last.IsZero() && gone > 0 && busy > 0 {
		seen := float64(busy) * min(gone, 60)
		keep := math.Exp2(-seen / halfTime)
		f.ended, f.seconds = f.ended*keep, f.seconds*keep+seen
	}
	f.last = now
}

// lower is how likely a busy operator is free within some seconds, on the careful side of what was seen.
func (f *freeing) lower(seconds float64) float64 {
	ended := f.ended - certainty*math.Sqrt(f.ended)
	if ended <= 0 || f.seconds <= 0 {
		return 0
	}
	return 1 - math.Exp(-seconds*ended/f.seconds)
}

// rate is a share that forgets: old events weigh less and less.
type rate struct{ keep, sum, weight float64 }

func (r *rate) add(x float64) {
	r.sum = r.sum*r.keep + x
	r.weight = r.weight*r.keep + 1
}

// upper is a share that the true one exceeds hardly ever: the upper end of Wilson's interval at z. Nothing known is 1.
func (r *rate) upper(z float64) float64 {
	if r.weight < 1 {
		return 1
	}
	n, p := r.weight, r.sum/r.weight
	z2 := z * z
	return min(1, (p+z2/(2*n)+z*math.Sqrt(p*(1-p)/n+z2/(4*n*n)))/(1+z2/n))
}

// mean is a mean that forgets; value is a guess until something was seen.
type mean struct {
	keep, sum, weight float64
	value             float64
}

func (m *mean) add(x float64) {
	m.sum = m.sum*m.keep + x
	m.weight = m.weight*m.keep + 1
	m.value = m.sum / m.weight
}
