package gateway

import (
	"fmt"
	"hash/maphash"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Limit allows so many requests in any window of that length. The zero value allows all.
type Limit struct {
	Requests int
	Window   time.Duration
}

// ParseLimit reads REQUESTS/WINDOW, such as 600/1m; "off" is no limit.
func ParseLimit(s string) (Limit, error) {
	if s == "off" {
		return Limit{}, nil
	}
	n, w, ok := strings.Cut(s, "/")
	requests, err1 := strconv.Atoi(strings.TrimSpace(n))
	window, err2 := time.ParseDuration(strings.TrimSpace(w))
	if !ok || err1 != nil || err2 != nil || requests < 1 || window < time.Second || window > 24*time.Hour {
		return Limit{}, fmt.Errorf("%q is no limit", s)
	}
	return Limit{Requests: requests, Window: window}, nil
}

// each is the time one request uses up.
func (l Limit) each() time.Duration { return l.Window / time.Duration(l.Requests) }

// verdict says whether one request was within a limit.
type verdict struct {
	ok        bool
	remaining int           // requests that are left now
	reset     time.Duration // until all of them are there again
	retry     time.Duration // until the next one is, when it was not ok
}

const (
	meterShards = 16
	meterMost   = 8192 // keys of a shard; with all shards some 15 MB at most
)

// meter counts by the generic cell rate algorithm (ITU-T I.371, annex A): for each key only the time at which all it used
// will be given back. What lies in the past is the same as nothing and may be forgotten, so that memory is bounded.
type meter struct {
	seed   maphash.Seed
	shards [meterShards]struct {
		mu   sync.Mutex
		full map[string]*cell
	}
}

// cell is one key's theoretical arrival time, and how much of it other instances have not been told of.
type cell struct {
	tat   time.Time
	spent time.Duration
}

func newMeter() *meter {
	m := &meter{seed: maphash.MakeSeed()}
	for i := range m.shards {
		m.shards[i].full = map[string]*cell{}
	}
	return m
}

// take uses up one request of key.
func (m *meter) take(key string, l Limit, now time.Time) verdict {
	sh := &m.shards[maphash.String(m.seed, key)%meterShards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	c := sh.full[key]
	if c == nil {
		if len(sh.full) >= meterMost {
			m.forget(sh.full, now)
		}
		c = &cell{tat: now}
		sh.full[key] = c
	}
	if c.tat.Before(now) {
		c.tat = now
	}
	each := l.each()
	next := c.tat.Add(each)
	over := next.Sub(now) - l.Window
	v := verdict{ok: over <= 0}
	if v.ok {
		c.tat = next
		c.spent += each
	} else {
		v.retry = over
	}
	v.reset = c.tat.Sub(now)
	v.remaining = int((l.Window - v.reset) / each)
	return v
}

// used gives how many requests of key are not given back yet.
func (m *meter) used(key string, l Limit, now time.Time) int64 {
	sh := &m.shards[maphash.String(m.seed, key)%meterShards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	c := sh.full[key]
	if c == nil || !c.tat.After(now) {
		return 0
	}
	return int64((c.tat.Sub(now) + l.each() - 1) / l.each())
}

// forget drops what is given back already, or, when all are in use, some at random: who has so many addresses is not
// held by a limit for each of them.
func (m *meter) forget(full map[string]*cell, now time.Time) {
	for k, c := range full {
		if !c.tat.After(now) {
			delete(full, k)
		}
	}
	for k := range full {
		if len(full) < meterMost*15/16 {
			return
		}
		delete(full, k)
	}
}

// spending gives what each key used since it was last asked, at most max keys, and forgets it.
func (m *meter) spending(now time.Time, max int) map[string]time.Duration {
	out := map[string]time.Duration{}
	for i := range m.shards {
		sh := &m.shards[i]
		sh.mu.Lock()
		for k, c := range sh.full {
			if len(out) >= max {
				break
			}
			if c.spent > 0 && c.tat.After(now) {
				out[k] = c.spent
			}
			c.spent = 0
		}
		sh.mu.Unlock()
	}
	return out
}

// learn takes over what all instances together used of key.
func (m *meter) learn(key string, tat time.Time) {
	sh := &m.shards[maphash.String(m.seed, key)%meterShards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if c := sh.full[key]; c != nil && tat.Add(c.spent).After(c.tat) {
		c.tat = tat.Add(c.spent)
	}
}
