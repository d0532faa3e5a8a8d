package simulate

import (
	"container/heap"
	"context"
	"maps"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/campaign/pace"
)

// What happens to a call.
type kind int

const (
	answered kind = iota
	gaveUp        // nobody was there within Within: the call is dropped
	over
	wrapped // an operator is free again
)

type happening struct {
	at   time.Time
	kind kind
	call string
	seq  int
}

type agenda []happening

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	if !a[i].at.Equal(a[j].at) {
		return a[i].at.Before(a[j].at)
	}
	return a[i].seq < a[j].seq
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }

// Push implements heap.Interface.
func (a *agenda) Push(x any) { *a = append(*a, x.(happening)) }

// Pop implements heap.Interface.
func (a *agenda) Pop() any {
	old := *a
	x := old[len(old)-1]
	*a = old[:len(old)-1]
	return x
}

// call is one that was placed.
type call struct {
	lead     int
	placed   time.Time
	answered time.Time
	reaction reaction
	operator bool
	waiting  bool
	place    *time.Location
}

// within is how soon somebody must be there for who answers.
const within = 2 * time.Second

// world is one run.
type world struct {
	c      *Campaign
	q      *memory
	d      *dial.Dialler
	r      *rand.Rand
	now    time.Time
	agenda agenda
	seq    int
	calls  map[string]*call
	index  map[string]int // of leads
	free   int            // operators
	line   []string       // who wait for one
	run    Run
	days   map[int64][2]int // taken and dropped
	zones  map[string]*time.Location
	idle   time.Duration // of operators
	last   time.Time
}

// Play runs a campaign once. The same seed gives the same run.
func Play(ctx context.Context, c *Campaign, seed uint64) (Run, error) {
	w := &world{c: c, q: newMemory(c.Leads), r: rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15)), now: c.Start, calls: map[string]*call{}, index: make(map[string]int, len(c.Leads)),
		free: c.People.Operators, days: map[int64][2]int{}, zones: map[string]*time.Location{}, last: c.Start}
	for i := range c.Leads {
		w.index[c.Leads[i].ID] = i
	}
	w.run = Run{Outcomes: map[dial.Outcome]int{}, Hours: map[time.Time]Hour{}}
	conf := dial.Config{Rules: c.Rules, Pace: c.Pace, Zone: c.Zone, Queue: w.q, Carrier: w}
	if c.Pace.Mode != pace.Agentless {
		conf.Desk = w
	}
	w.d = dial.NewDialler(conf, c.Start)
	return w.play(ctx)
}

func (w *world) play(ctx context.Context) (Run, error) {
	horizon := w.c.Horizon
	if horizon == 0 {
		horizon = usualHorizon
	}
	end := w.c.Start.Add(horizon)
	if e := w.c.Rules.Ends; !e.IsZero() && e.Before(end) {
		end = e
	}
	for steps := 0; ; steps++ {
		if steps%256 == 0 && ctx.Err() != nil {
			return w.run, ctx.Err()
		}
		next := end
		if w.now.Before(end) && !w.run.Spent {
			at, err := w.d.Step(ctx, w.now)
			if err != nil {
				return w.run, err
			}
			if at.Before(end) {
				next = at
			}
			w.run.MostLines = max(w.run.MostLines, w.d.Lines())
		}
		_, waits, _ := w.q.Due(ctx)
		if len(w.agenda) == 0 && (!waits || w.run.Spent || !w.now.Before(end)) {
			w.run.Done = !waits
			return w.finish(), nil
		}
		w.pass(next)
	}
}

// pass lets time go by until the next thing that happens, or the dialler wants to look again.
func (w *world) pass(next time.Time) {
	if len(w.agenda) > 0 && (w.agenda[0].at.Before(next) || !w.now.Before(next)) {
		next = w.agenda[0].at
	}
	if next.After(w.now) {
		w.idle += time.Duration(w.free) * next.Sub(w.now)
		w.now = next
	}
	for len(w.agenda) > 0 && !w.agenda[0].at.After(w.now) {
		w.happen(heap.Pop(&w.agenda).(happening))
	}
}

func (w *world) at(after time.Duration, k kind, id string) {
	w.seq++
	heap.Push(&w.agenda, happening{at: w.now.Add(after), kind: k, call: id, seq: w.seq})
}

// Place implements dial.Carrier.
func (w *world) Place(_ context.Context, c dial.Call) {
	zone := w.zones[c.Clock]
	if zone == nil {
		var err error
		if zone, err = time.LoadLocation(c.Clock); err != nil {
			zone = time.UTC
		}
		w.zones[c.Clock] = zone
	}
	x := &call{lead: w.index[c.Lead.ID], placed: w.now, place: zone, reaction: w.c.People.react(w.r, w.now.In(zone), w.c.Ring)}
	w.calls[c.ID] = x
	w.run.Attempts++
	h := w.now.Truncate(time.Hour)
	hour := w.run.Hours[h]
	hour.Attempts++
	w.run.Hours[h] = hour
	if x.reaction.answered {
		w.at(x.reaction.after, answered, c.ID)
	} else {
		w.at(x.reaction.after, over, c.ID)
	}
}

// Operators implements dial.Desk.
func (w *world) Operators() (idle, busy int) { return w.free, w.c.People.Operators - w.free }

// Asked implements dial.Desk: in the mode preview every free operator asks for a call.
func (w *world) Asked() int { return w.free }

func (w *world) happen(h happening) {
	x := w.calls[h.call]
	switch h.kind {
	case answered:
		x.answered = w.now
		w.d.Taken(h.call)
		switch {
		case w.c.Pace.Mode == pace.Agentless || !x.reaction.outcome.Spoken():
			w.at(x.reaction.talk, over, h.call)
		case w.free > 0:
			w.join(h.call, x)
		default:
			x.waiting = true
			w.line = append(w.line, h.call)
			w.at(within, gaveUp, h.call)
		}
	case gaveUp:
		if x != nil && x.waiting {
			x.reaction.outcome, x.waiting = dial.Dropped, false
			w.end(h.call, x)
		}
	case over:
		w.end(h.call, x)
		if x.operator {
			w.at(time.Duration(w.c.People.WrapUpSeconds*float64(time.Second)), wrapped, "")
		}
	case wrapped:
		w.free++
		w.d.Freed()
		w.serve()
	}
}

// serve gives a free operator who waits longest.
func (w *world) serve() {
	for len(w.line) > 0 && w.free > 0 {
		id := w.line[0]
		w.line = w.line[1:]
		if x := w.calls[id]; x != nil && x.waiting {
			w.join(id, x)
		}
	}
}

func (w *world) join(id string, x *call) {
	w.free--
	x.waiting, x.operator = false, true
	w.d.Joined(id)
	w.at(x.reaction.talk, over, id)
}

// end settles a call as the campaign context does.
func (w *world) end(id string, x *call) {
	delete(w.calls, id)
	o := x.reaction.outcome
	l := &w.q.leads[x.lead]
	past := l.Past[:len(l.Past)-1]
	next := w.c.Rules.Retry.After(o, past, w.now.Add(x.reaction.callback), w.now, x.place, w.r.Float64())
	l.Past[len(l.Past)-1].Outcome = o
	l.Open = false
	delete(w.q.open, id)
	w.q.to(x.lead, next)
	w.d.Ended(id, x.placed, x.answered, w.now, o)
	if next.State == dial.Waiting {
		w.d.Wake()
	}
	w.count(x, o)
}

func (w *world) count(x *call, o dial.Outcome) {
	w.run.Outcomes[o]++
	day := pace.Day(w.now, w.c.Zone)
	n := w.days[day]
	if o.Taken() {
		w.run.Taken++
		n[0]++
	}
	if o == dial.Dropped {
		w.run.Dropped++
		n[1]++
	}
	w.days[day] = n
	if o.Spoken() {
		w.run.Spoken++
		h := x.placed.Truncate(time.Hour)
		hour := w.run.Hours[h]
		hour.Spoken++
		w.run.Hours[h] = hour
	}
	if !x.answered.IsZero() {
		talk := w.now.Sub(x.answered)
		w.run.Talk += talk
		w.run.Cost += w.c.Prices.PerCall + w.c.Prices.PerMinute*talk.Minutes()
		w.run.Spent = w.c.Prices.Most > 0 && w.run.Cost >= w.c.Prices.Most
	}
	w.last = w.now
}

func (w *world) finish() Run {
	w.run.Took = w.last.Sub(w.c.Start)
	w.run.Refused = maps.Clone(w.q.refused)
	for _, n := range w.days {
		if n[0] > 0 {
			w.run.WorstDay = max(w.run.WorstDay, float64(n[1])/float64(n[0]))
		}
	}
	if all := time.Duration(w.c.People.Operators) * w.run.Took; all > 0 {
		w.run.Idle = float64(w.idle) / float64(all)
	}
	return w.run
}

// Made makes up leads of a country: numbers that look like its own, one after the other.
func Made(count int, prefix string, digits int) []dial.Lead {
	out := make([]dial.Lead, count)
	for i := range out {
		n := strconv.Itoa(i)
		for len(n) < digits {
			n = "0" + n
		}
		out[i] = dial.Lead{ID: strconv.Itoa(i), Number: prefix + n, Rank: dial.RankNew}
	}
	return out
}
