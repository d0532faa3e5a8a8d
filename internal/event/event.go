// Package event holds the facts that cross contexts: one file each, data only. A context publishes them
// in the transaction that made them true; others consume them and must be idempotent by ID.
package event

// Fact is a piece of news that one context tells the others.
type Fact interface {
	// Type is the stable name, in the form "call.started". It becomes the bus subject's tail.
	Type() string
	// Key is the id of the thing it is about, for ordering and for rooms.
	Key() string
}
