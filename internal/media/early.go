package media

// keptEvents is how many events a leg remembers for an endpoint that has not come yet.
const keptEvents = 64

// EarlyEvents are what happened to a leg before Start gave it an endpoint: the last 64. Its owner guards it.
type EarlyEvents []LegEvent

// Add keeps one more; the oldest makes room.
func (k *EarlyEvents) Add(ev LegEvent) {
	if s := *k; len(s) == keptEvents {
		copy(s, s[1:])
		*k = s[:keptEvents-1]
	}
	*k = append(*k, ev)
}

// Tell gives them to e in order and forgets them.
func (k *EarlyEvents) Tell(e Endpoint) {
	for _, ev := range *k {
		e.Event(ev)
	}
	*k = nil
}
