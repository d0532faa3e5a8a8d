package voice

import (
	"container/list"
	"sync"
)

// PromptCache keeps the audio of the fixed texts (fillers, apology, reprompts, goodbye) for all calls, so
// that they sound at once even when the vendor that should speak them is slow or gone. A nil cache keeps
// nothing.
type PromptCache struct {
	mu    sync.Mutex
	room  int // samples
	used  int
	items map[promptKey]*list.Element
	order *list.List // of *prompt, the latest used first
	busy  map[promptKey]bool
}

// promptKey is what the sound of a text depends on.
type promptKey struct {
	vendor, voice, language string
	speed                   float64
	rate                    int
	text                    string
}

type prompt struct {
	key promptKey
	pcm []int16
}

// NewPromptCache makes a cache of at most maxBytes of audio; what was not used for longest goes first.
func NewPromptCache(maxBytes int) *PromptCache {
	return &PromptCache{
		room: maxBytes / 2, items: map[promptKey]*list.Element{}, order: list.New(), busy: map[promptKey]bool{},
	}
}

// get gives the audio of k, which must not be written to.
func (c *PromptCache) get(k promptKey) ([]int16, bool) {
	if c == nil {
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.items[k]
	if !ok {
		return nil, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*prompt).pcm, true
}

// claim is true for the one call that should make k: it is neither there nor being made.
func (c *PromptCache) claim(k promptKey) bool {
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.items[k]; ok || c.busy[k] {
		return false
	}
	c.busy[k] = true
	return true
}

// settle ends a claim; pcm nil means that it failed and another call may try.
func (c *PromptCache) settle(k promptKey, pcm []int16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.busy, k)
	if pcm == nil || len(pcm) > c.room {
		return
	}
	c.items[k] = c.order.PushFront(&prompt{key: k, pcm: pcm})
	for c.used += len(pcm); c.used > c.room; {
		old := c.order.Remove(c.order.Back()).(*prompt)
		delete(c.items, old.key)
		c.used -= len(old.pcm)
	}
}
