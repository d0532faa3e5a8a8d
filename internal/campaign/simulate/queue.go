package simulate

import (
	"container/heap"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/parley-voice/parley/internal/campaign/dial"
)

// memory is the leads' queue in memory: the same order and the same rules as the database's.
type memory struct {
	leads   []dial.Lead
	waiting [3]due // by rank
	open    map[string]*dial.Lead
	state   map[dial.State]int
	refused map[string]int
	next    int // of the attempts' ids
}

type item struct {
	at    time.Time
	index int // of the lead: who came first goes first
}

type due []item

func (d due) Len() int { return len(d) }
func (d due) Less(i, j int) bool {
	if !d[i].at.Equal(d[j].at) {
		return d[i].at.Before(d[j].at)
	}
	return d[i].index < d[j].index
}
func (d due) Swap(i, j int) { d[i], d[j] = d[j], d[i] }

// Push implements heap.Interface.
func (d *due) Push(x any) { *d = append(*d, x.(item)) }

// Pop implements heap.Interface.
func (d *due) Pop() any {
	old := *d
	x := old[len(old)-1]
	*d = old[:len(old)-1]
	return x
}

func newMemory(leads []dial.Lead) *memory {
	m := &memory{leads: make([]dial.Lead, len(leads)), open: map[string]*dial.Lead{}, state: map[dial.State]int{}, refused: map[string]int{}}
	copy(m.leads, leads)
	for i := range m.leads {
		l := &m.leads[i]
		l.Past = slices.Clip(l.Past) // other runs have the same: what is added here is not theirs
		m.waiting[l.Rank] = append(m.waiting[l.Rank], item{l.DueAt, i})
	}
	for r := range m.waiting {
		heap.Init(&m.waiting[r])
	}
	m.state[dial.Waiting] = len(leads)
	return m
}

// Plan implements dial.Queue.
func (m *memory) Plan(_ context.Context, now time.Time, want, most int, decide func(*dial.Lead) dial.Decision) (calls []dial.Call, more bool, err error) {
	looked := 0
	for _, rank := range dial.Ranks() {
		w := &m.waiting[rank]
		for len(*w) > 0 && !(*w)[0].at.After(now) {
			if looked == most || len(calls) == want {
				return calls, true, nil
			}
			looked++
			x := heap.Pop(w).(item)
			l := &m.leads[x.index]
			d := decide(l)
			if !d.Allowed {
				c, _ := d.Verdict.Blocking()
				m.refused[c.Rule]++
				m.to(x.index, d.Next)
				continue
			}
			m.next++
			id := strconv.Itoa(m.next)
			l.Past = append(l.Past, dial.Past{At: now, Own: true})
			l.Open = true
			m.open[id] = l
			calls = append(calls, dial.Call{ID: id, Lead: *l, Number: len(l.Past), Clock: d.Verdict.Place.Clock().String(), At: now})
		}
	}
	return calls, false, nil
}

// Due implements dial.Queue.
func (m *memory) Due(context.Context) (first time.Time, any bool, err error) {
	for _, w := range m.waiting {
		if len(w) > 0 && (!any || w[0].at.Before(first)) {
			first, any = w[0].at, true
		}
	}
	return first, any, nil
}

// to brings a lead that waits, or was called, where n says.
func (m *memory) to(index int, n dial.Next) {
	l := &m.leads[index]
	if n.State == dial.Waiting {
		l.Rank, l.DueAt = n.Rank, n.At
		heap.Push(&m.waiting[n.Rank], item{n.At, index})
		return
	}
	m.state[dial.Waiting]--
	m.state[n.State]++
	if n.State == dial.DoNotCall {
		l.Listed = []string{"opt-outs"}
	}
}
