package dial

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/parley-voice/parley/internal/campaign/pace"
)

// Queue is where leads wait.
type Queue interface {
	// Plan takes leads whose time has come, the most urgent first, until want of them may be called, or until most were looked
	// at, or until there are no more. decide says what happens to each. All of it is written down, or nothing: each decision,
	// the attempts of those who may be called, the next time of the others. A lead that may be called is nobody else's from
	// then on. more says that others may be due. A dialler whose turn is over gets an error.
	Plan(ctx context.Context, now time.Time, want, most int, decide func(*Lead) Decision) (calls []Call, more bool, err error)
	// Due gives when the next lead's time comes, and whether any waits.
	Due(ctx context.Context) (at time.Time, any bool, err error)
}

// Carrier places calls.
type Carrier interface {
	// Place begins a call and does not wait for it. What becomes of it is told to the Dialler by Ringing, Taken and Ended.
	Place(ctx context.Context, c Call)
}

// Desk is who takes calls that people answer, where operators do: agentless campaigns have none.
type Desk interface {
	// Operators gives how many are free, and how many are in a call of this campaign or wrapping up.
	Operators() (idle, busy int)
	// Asked gives how many calls operators asked for, in the mode preview.
	Asked() int
}

// Config is what NewDialler needs.
type Config struct {
	Rules   Rules
	Pace    pace.Config
	Zone    *time.Location // whose days the campaign's figures are counted by
	Queue   Queue
	Carrier Carrier
	Desk    Desk // nil: an AI agent takes every call
	// Answered and Dropped are what the campaign has had today.
	Answered, Dropped int
	Log               *slog.Logger
}

// batch is how many leads are looked at in one step at most.
const batch = 500

// idle is how long a dialler waits when nothing tells it to look again.
const idle = time.Minute

// Dialler places a campaign's calls. It is used by one goroutine.
type Dialler struct {
	c       Config
	pacer   *pace.Pacer
	breaker Breaker
	lines   map[string]*line
	ringing int
	waiting int
	talking int
	places  int
	asleep  time.Time // nobody is due before
	held    time.Time // no line was free; nobody is called before
}

// line is a call that was placed.
type line struct {
	placed time.Time
	state  lineState
}

type lineState int

const (
	ringing lineState = iota
	waiting           // answered, and no operator is there yet
	talking
)

// NewDialler makes a Dialler. Calls that an earlier one placed and that are not over are told with Adopt.
func NewDialler(c Config, now time.Time) *Dialler {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Dialler{c: c, pacer: pace.New(c.Pace, pace.Day(now, c.Zone), c.Answered, c.Dropped), breaker: NewBreaker(), lines: map[string]*line{}, places: c.Pace.Lines}
}

// Set changes rules and pace while it runs; what was learned stays.
func (d *Dialler) Set(r Rules, p pace.Config) {
	d.c.Rules, d.c.Pace = r, p
	d.pacer.Set(p)
	d.asleep = time.Time{}
}

// Share says how many calls at once the campaign may have now, of what all campaigns share.
func (d *Dialler) Share(places int) { d.places = places }

// Wants is how many calls at once it could use: what Share is divided by.
func (d *Dialler) Wants(now time.Time) int {
	if d.asleep.After(now) {
		return len(d.lines)
	}
	return d.c.Pace.Lines
}

// Wake has it look for leads again: some were added, or came back.
func (d *Dialler) Wake() { d.asleep = time.Time{} }

// Adopt takes over a call that is not over.
func (d *Dialler) Adopt(id string, placed time.Time, answered bool) {
	if d.lines[id] != nil {
		return
	}
	d.lines[id] = &line{placed: placed}
	d.ringing++
	if answered {
		d.move(d.lines[id], talking)
	}
}

// Taken tells that a call was answered by somebody or something.
func (d *Dialler) Taken(id string) {
	l := d.lines[id]
	if l == nil || l.state != ringing {
		return
	}
	if d.c.Desk != nil {
		d.move(l, waiting)
	} else {
		d.move(l, talking)
	}
}

// Joined tells that an operator took an answered call.
func (d *Dialler) Joined(id string) {
	if l := d.lines[id]; l != nil && l.state == waiting {
		d.move(l, talking)
	}
}

// Freed tells that an operator is free again.
func (d *Dialler) Freed() { d.pacer.Freed() }

// Left tells that a call is over, before it is known how: its line is free.
func (d *Dialler) Left(id string) {
	l := d.lines[id]
	if l == nil {
		return
	}
	d.move(l, -1)
	delete(d.lines, id)
}

// Ended tells how a call ended. answered is when somebody took it, zero where nobody did.
func (d *Dialler) Ended(id string, placed, answered, now time.Time, o Outcome) {
	d.Left(id)
	day := pace.Day(now, d.c.Zone)
	switch {
	case o == Unplaced: // the next one would find no line either
		d.held = now.Add(hold)
		d.Wake()
		return
	case o == Failed:
		d.breaker.Failed(now)
	default:
		d.breaker.Worked(now)
	}
	if !o.Taken() {
		d.pacer.Unanswered()
		return
	}
	after := time.Duration(0)
	if answered.After(placed) {
		after = answered.Sub(placed)
	}
	d.pacer.Answered(day, after)
	if o == Dropped {
		d.pacer.Dropped(day)
	}
}

func (d *Dialler) move(l *line, to lineState) {
	for state, n := range map[lineState]*int{ringing: &d.ringing, waiting: &d.waiting, talking: &d.talking} {
		if l.state == state {
			*n--
		}
		if to == state {
			*n++
		}
	}
	l.state = to
}

// Now is what a dialler does at an instant.
type Now struct {
	Ringing int     `json:"ringing"`
	Waiting int     `json:"waiting" doc:"Answered, and no operator is there yet"`
	Talking int     `json:"talking"`
	Places  int     `json:"places" doc:"Calls at once that it may have now"`
	Dropped float64 `json:"dropped" doc:"Share of today's answered calls that found nobody"`
	Slowed  string  `json:"slowed" doc:"Why it calls less than it could, in a sentence; empty: it does not"`
}

// Now tells what it does.
func (d *Dialler) Now(now time.Time) Now {
	return Now{Ringing: d.ringing, Waiting: d.waiting, Talking: d.talking, Places: d.places, Dropped: d.pacer.Share(), Slowed: d.slowed(now)}
}

func (d *Dialler) slowed(now time.Time) string {
	switch {
	case d.breaker.Why(now) != "":
		return d.breaker.Why(now)
	case d.asleep.After(now):
		return "Nobody may be called before " + d.asleep.UTC().Format(time.RFC3339) + "."
	case d.held.After(now):
		return "No line was free for the last call: the trunk, the plan or the server has no more. It is tried again in a moment."
	case d.places == 0:
		return "All lines are in use: by calls that came in, by other campaigns, or as the plan limits them."
	case d.places < d.c.Pace.Lines:
		return fmt.Sprintf("Other calls and campaigns leave it %d of its %d lines.", d.places, d.c.Pace.Lines)
	}
	return ""
}

// Step places what may be placed now. It gives when to step again at the latest; news (a call that ended, a share that
// changed) is a reason to do so earlier.
func (d *Dialler) Step(ctx context.Context, now time.Time) (next time.Time, err error) {
	if d.asleep.After(now) {
		return d.asleep, nil
	}
	if d.held.After(now) {
		return d.held, nil
	}
	day := pace.Day(now, d.c.Zone)
	s := pace.State{Ringing: d.ringing, Waiting: d.waiting, Talking: d.talking, Places: d.places}
	if d.c.Desk != nil {
		s.Idle, s.Busy = d.c.Desk.Operators()
		s.Asked = d.c.Desk.Asked()
	}
	n := d.pacer.Dial(now, day, s)
	if may := d.breaker.May(now, n); may < n {
		d.pacer.Return(n - may)
		n = may
	}
	if n == 0 {
		return now.Add(time.Second), nil
	}
	calls, more, err := d.c.Queue.Plan(ctx, now, n, batch, func(l *Lead) Decision { return d.c.Rules.Decide(l, now) })
	if err != nil {
		d.pacer.Return(n)
		return time.Time{}, err
	}
	d.pacer.Return(n - len(calls))
	if len(calls) == 0 {
		d.breaker.Spared(now)
	}
	for _, c := range calls {
		d.lines[c.ID] = &line{placed: now}
		d.ringing++
		d.c.Carrier.Place(ctx, c)
	}
	if more || len(calls) == n {
		return now.Add(soon), nil
	}
	at, any, err := d.c.Queue.Due(ctx)
	if err != nil {
		return time.Time{}, err
	}
	if !any {
		at = now.Add(idle)
	}
	d.asleep = at
	return at, nil
}

// hold is how long no call is begun after one for which no line was free.
const hold = 3 * time.Second

// soon is how long it takes to look again while there is something to do.
const soon = 50 * time.Millisecond

// Lines is how many calls are not over.
func (d *Dialler) Lines() int { return len(d.lines) }

// Keep forgets calls that are not among those that are open: news of their end were missed.
func (d *Dialler) Keep(open []string) {
	is := make(map[string]bool, len(open))
	for _, id := range open {
		is[id] = true
	}
	for id := range d.lines {
		if !is[id] {
			d.Left(id)
		}
	}
	d.Wake()
}
