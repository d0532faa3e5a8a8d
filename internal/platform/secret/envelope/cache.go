package envelope

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-voice/parley/internal/platform/secret"
)

// dataKey is one version, unwrapped.
type dataKey struct {
	org       string
	id        KeyID
	version   int64
	key       *secret.Key
	unwrapped time.Time
	lastUse   atomic.Int64 // Unix nanoseconds
}

func (d *dataKey) used() time.Time { return time.Unix(0, d.lastUse.Load()) }

type keyName struct {
	org string
	id  KeyID
}

// cache has unwrapped keys. When it is full the one that was not used for longest goes; never the installation's.
type cache struct {
	mu     sync.RWMutex
	most   int
	keys   map[keyName]*dataKey
	active map[string]KeyID
	ready  map[string]bool // all keys of the organisation are here that values may be under
}

func newCache(most int) *cache {
	return &cache{most: most, keys: map[keyName]*dataKey{}, active: map[string]KeyID{}, ready: map[string]bool{}}
}

func (c *cache) activeOf(org string, now time.Time) *dataKey {
	c.mu.RLock()
	defer c.mu.RUnlock()
	id, ok := c.active[org]
	if !ok {
		return nil
	}
	return c.touch(keyName{org, id}, now)
}

func (c *cache) get(org string, id KeyID, now time.Time) *dataKey {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.touch(keyName{org, id}, now)
}

func (c *cache) touch(n keyName, now time.Time) *dataKey {
	d := c.keys[n]
	if d != nil {
		d.lastUse.Store(now.UnixNano())
	}
	return d
}

// put adds a key, as the active one of its organisation or not.
func (c *cache) put(d *dataKey, active bool, now time.Time) {
	d.lastUse.Store(now.UnixNano())
	c.mu.Lock()
	defer c.mu.Unlock()
	n := keyName{d.org, d.id}
	if _, there := c.keys[n]; !there && len(c.keys) >= c.most {
		c.evict()
	}
	c.keys[n] = d
	if active {
		c.active[d.org] = d.id
	}
}

func (c *cache) evict() {
	var oldest *dataKey
	for _, d := range c.keys {
		if d.org != Installation && (oldest == nil || d.lastUse.Load() < oldest.lastUse.Load()) {
			oldest = d
		}
	}
	if oldest != nil {
		c.dropLocked(oldest)
	}
}

func (c *cache) drop(d *dataKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropLocked(d)
}

func (c *cache) dropLocked(d *dataKey) {
	delete(c.keys, keyName{d.org, d.id})
	delete(c.ready, d.org)
	if c.active[d.org] == d.id {
		delete(c.active, d.org)
	}
}

// forget drops all keys of an organisation.
func (c *cache) forget(org string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.keys {
		if d.org == org {
			c.dropLocked(d)
		}
	}
}

// all gives the keys, by organisation.
func (c *cache) all() map[string][]*dataKey {
	c.mu.RLock()
	defer c.mu.RUnlock()
	out := map[string][]*dataKey{}
	for _, d := range c.keys {
		out[d.org] = append(out[d.org], d)
	}
	return out
}

// setActive notes which version seals; a zero id that it is not known.
func (c *cache) setActive(org string, id KeyID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, there := c.keys[keyName{org, id}]; !there {
		delete(c.active, org) // the next use reads it
		delete(c.ready, org)
		return
	}
	c.active[org] = id
}

func (c *cache) isReady(org string) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.ready[org]
}

func (c *cache) setReady(org string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, there := c.active[org]; there {
		c.ready[org] = true
	}
}

// olderThan gives the keys that were unwrapped before then.
func (c *cache) olderThan(then time.Time) (old []*dataKey) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, d := range c.keys {
		if d.unwrapped.Before(then) {
			old = append(old, d)
		}
	}
	return old
}

// replace puts a key that was unwrapped again in the place of the earlier one, unless that is gone meanwhile.
func (c *cache) replace(before, after *dataKey) {
	after.lastUse.Store(before.lastUse.Load())
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := (keyName{before.org, before.id}); c.keys[n] == before {
		c.keys[n] = after
	}
}
