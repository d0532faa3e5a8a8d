package fleet

import (
	"cmp"
	"hash/fnv"
	"slices"
	"time"

	"github.com/parley-voice/parley/internal/platform/fault"
)

// AllRoles is the role of a process that does everything.
const AllRoles = "all"

// Want is what a request asks of the instance that it is sent to.
type Want struct {
	Role   string
	Region string   // of the organisation: an instance of another region never gets it, one of this region is preferred; "" is any
	Zone   string   // an instance here is preferred; "" is any
	Holder string   // the id of the one instance that can answer, such as the one that holds the call; "" is any
	Key    string   // requests with one key go to one instance for as long as it is there and takes work; "" is any
	Takes  bool     // it takes one of the places for calls
	Probe  bool     // it does no harm when it fails: it may be what finds out whether a broken instance works again
	Not    []string // ids that it was sent to before
}

// Lack is why nobody can take a request.
type Lack string

// The lacks, from the outermost to the last.
const (
	LackNone     Lack = "none"     // no process of the role is there
	LackHolder   Lack = "holder"   // the one that has to answer is gone
	LackRegion   Lack = "region"   // none serves the region
	LackDraining Lack = "draining" // all stop
	LackCapacity Lack = "capacity" // all that are left have as many calls as they take
	LackBroken   Lack = "broken"   // all that are left fail
	LackTried    Lack = "tried"    // it was sent to all that are left
)

// NobodyError says that no instance can take a request now, and which limit it was. It is a fault of code Unavailable.
type NobodyError struct {
	Role  string
	Lack  Lack
	After time.Duration // when it is worth trying again
	fault error
}

// Error implements error.
func (e *NobodyError) Error() string { return e.fault.Error() }

// Unwrap gives the fault.
func (e *NobodyError) Unwrap() error { return e.fault }

// nobody words a lack: it tells what an administrator has to do, and nothing of the machines.
func nobody(w Want, l Lack, after time.Duration) error {
	why := map[Lack]string{
		LackNone:     "no %s process is running; start one",
		LackHolder:   "the %s process that holds it is gone",
		LackRegion:   "no %s process serves the organisation's region; start one there",
		LackDraining: "every %s process is stopping; start another or wait until they are back",
		LackCapacity: "every %s process has as many calls as it takes (max-calls); try again when a call has ended, or start another",
		LackBroken:   "no %s process answers as it should; try again soon",
		LackTried:    "no other %s process is left to try; try again soon",
	}[l]
	after = max(time.Second, after.Truncate(time.Second))
	return &NobodyError{Role: w.Role, Lack: l, After: after, fault: fault.New(fault.Unavailable, why, w.Role)}
}

// Lease is an instance that a request is sent to. Judge tells how it did; Done ends it.
type Lease struct {
	Instance
	f     *Fleet
	p     *peer
	gen   uint64
	takes bool
	// What follows is guarded by the fleet's lock.
	judged bool
	done   bool
}

// Pick finds the instance for a request. It is a NobodyError when there is none. Each lease must be judged and done.
func (f *Fleet) Pick(w Want) (*Lease, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.c.Clock.Now()
	left, err := f.candidates(w, now)
	if err != nil {
		f.metrics.refused(w.Role, err)
		return nil, err
	}
	p := f.choose(left, w)
	gen, _ := p.breaker.Allow(now)
	p.inflight++
	p.sent++
	if w.Takes {
		p.pending++
		p.placed++
	}
	return &Lease{Instance: p.Instance, f: f, p: p, gen: gen, takes: w.Takes}, nil
}

// candidates gives those who can take a request. Each step leaves some out; the first that leaves nobody is the reason.
func (f *Fleet) candidates(w Want, now time.Time) ([]*peer, error) {
	left := make([]*peer, 0, len(f.peers))
	for _, p := range f.peers {
		if p.Has(w.Role) && p.URL != "" {
			left = append(left, p)
		}
	}
	var soonest time.Duration
	for _, step := range []struct {
		lack  Lack
		after time.Duration
		keep  func(*peer) bool
	}{
		{LackNone, f.c.TTL, func(*peer) bool { return true }},
		{LackHolder, time.Second, func(p *peer) bool { return w.Holder == "" || p.ID == w.Holder }},
		{LackRegion, f.c.TTL, func(p *peer) bool { return w.Region == "" || p.Region == "" || p.Region == w.Region }},
		// A call that an instance holds is dealt with there until it ends.
		{LackDraining, f.c.TTL, func(p *peer) bool { return !p.Draining || w.Holder != "" }},
		{LackCapacity, f.c.TTL / 2, func(p *peer) bool { return !w.Takes || p.Calls+p.placed < p.Capacity }},
		{LackTried, time.Second, func(p *peer) bool { return !slices.Contains(w.Not, p.ID) }},
		{LackBroken, 0, func(p *peer) bool {
			if wait := p.breaker.Until().Sub(now); soonest == 0 || wait < soonest {
				soonest = wait
			}
			return p.breaker.Ready(now)
		}},
	} {
		if left = slices.DeleteFunc(left, func(p *peer) bool { return !step.keep(p) }); len(left) == 0 {
			return nil, nobody(w, step.lack, max(step.after, soonest))
		}
	}
	// A request that must not fail goes to one that is known to work, where there is one.
	if well := slices.DeleteFunc(slices.Clone(left), func(p *peer) bool { return p.breaker.State() != Closed }); len(well) > 0 && !w.Probe {
		left = well
	}
	// Who serves this region alone goes before who serves everybody; a request of no region leaves the regions' own to them.
	if here := slices.DeleteFunc(slices.Clone(left), func(p *peer) bool { return p.Region != w.Region }); len(here) > 0 {
		left = here
	}
	if near := slices.DeleteFunc(slices.Clone(left), func(p *peer) bool { return p.Zone != w.Zone }); len(near) > 0 && w.Zone != "" {
		left = near
	}
	return left, nil
}

// choose takes the less loaded of two: with all of them compared, every gateway would send to the same one until the next
// announcement (Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, IEEE TPDS 12(10), 2001).
func (f *Fleet) choose(left []*peer, w Want) *peer {
	if len(left) == 1 {
		return left[0]
	}
	if w.Key != "" {
		return slices.MaxFunc(left, func(a, b *peer) int { return cmp.Compare(weight(w.Key, a.ID), weight(w.Key, b.ID)) })
	}
	slices.SortFunc(left, func(a, b *peer) int { return cmp.Compare(a.ID, b.ID) }) // so that chance alone decides
	i := f.draw(left, w.Takes)
	one := left[i]
	two := left[1-min(i, 1)]
	if len(left) > 2 {
		rest := slices.Delete(left, i, i+1)
		two = rest[f.draw(rest, w.Takes)]
	}
	if two.load(w.Takes) < one.load(w.Takes) {
		return two
	}
	return one
}

// draw chooses one by chance. Who has more room is drawn more often: else a small one would fill up because it is drawn as
// often as a large one.
func (f *Fleet) draw(from []*peer, takes bool) int {
	total := 0
	for _, p := range from {
		total += p.room(takes)
	}
	at := f.c.Rand() * float64(total)
	for i, p := range from {
		if at -= float64(p.room(takes)); at < 0 {
			return i
		}
	}
	return len(from) - 1
}

// room is how many places a call finds, or how large an instance is for any other request.
func (p *peer) room(takes bool) int {
	if takes {
		return max(1, p.Capacity-p.Calls-p.placed)
	}
	return max(1, p.Capacity)
}

// weight orders instances for a key, such that one that goes moves only its own keys (rendezvous hashing).
func weight(key, id string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key + "\x00" + id))
	x := h.Sum64() // FNV's high bits hardly change with the last letters
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return x
}

// load is the share of the capacity that is used: announced, and sent from here since.
func (p *peer) load(takes bool) float64 {
	sent := p.sent
	if takes {
		sent = p.placed
	}
	return float64(p.Calls+sent) / float64(max(p.Capacity, 1))
}

// Has reports whether an instance does a role's work.
func (i Instance) Has(role string) bool { return i.Role == role || i.Role == AllRoles }

// Judge tells how the instance did. Only the first counts.
func (l *Lease) Judge(o Outcome) {
	l.f.mu.Lock()
	defer l.f.mu.Unlock()
	l.judge(o)
}

func (l *Lease) judge(o Outcome) {
	if l.judged {
		return
	}
	l.judged = true
	now := l.f.c.Clock.Now()
	before := l.p.breaker.State()
	l.p.breaker.Done(l.gen, o, now, l.f.c.Rand())
	if after := l.p.breaker.State(); after != before {
		l.f.metrics.breaker(l.Role, after)
		l.f.c.Log.Warn("circuit breaker", "id", l.ID, "role", l.Role, "was", before, "is", after)
	}
	if l.takes && (o == Bad || o == Refused) { // it took no place
		l.p.placed = max(0, l.p.placed-1)
	}
}

// spoil counts a failure that came after the judgement: an answer that began well and broke off.
func (l *Lease) spoil() {
	l.f.mu.Lock()
	defer l.f.mu.Unlock()
	l.judged = false
	l.judge(Bad)
}

// Done ends the request. One that was not judged says nothing of the instance. It is safe twice.
func (l *Lease) Done() {
	l.f.mu.Lock()
	defer l.f.mu.Unlock()
	if l.done {
		return
	}
	l.done = true
	l.judge(Unjudged)
	l.p.inflight--
	if l.takes {
		l.p.pending--
	}
}
