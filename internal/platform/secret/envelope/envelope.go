// Package envelope seals under data keys: each organisation has keys of its own, 256 bits, which are stored wrapped by a
// [Wrapper]: the master key, or one in a key management service. Whoever has the database without the wrapping key has
// nothing, an organisation's keys can be destroyed ([Keyring.Shred]) without touching anybody else's, and the wrapping key can
// be replaced without touching what is sealed ([Keyring.Rewrap]).
//
//	wrapping key (PARLEY_KEY, key file, AWS KMS, Vault)
//	  wraps  data key of an organisation, version 1, 2, ...
//	    HKDF  key of one secret, or of one call's recording
//
//	envelope.go   Keyring: configuration, start, what runs in the background
//	seal.go       Seal, Open, Box: what is sealed
//	cache.go      unwrapped keys in memory
//	load.go       reading, making and unwrapping keys
//	rotate.go     new versions, new wrapping keys, status
//	reseal.go     sealing old values anew, and retiring versions that nothing uses
//	held.go       what is told of secrets and of the keys that they are under
//	shred.go      destroying an organisation's keys
//	kept.go       the installation's own secrets, and the master key of before
//	store.go      the tables
//
// A version of a data key goes through these states:
//
//	active --Rotate--> old --nothing uses it--> retired --30 days--> deleted
//	                     <--something does-----
//
// # In memory
//
// A process keeps keys unwrapped: at most [Config.Most], each for [Config.Life], after which it is unwrapped again, so that a
// wrapping key that was disabled stops working. While the wrapping service cannot be reached a key is kept for up to
// [Config.Grace], so that calls go on. What another process changed (a rotation, a destroyed organisation) is noticed
// within [Config.Poll].
//
// # In a transaction
//
// Open and Seal read the database, and may ask the wrapping service, when the key is not in memory: call them outside of
// transactions. The key of [Installation] is in memory from the start, and stays. The first Seal of an organisation writes
// its key, so it fails inside of a write transaction ([db.ErrNested]).
package envelope

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/coder/quartz"
	"golang.org/x/sync/singleflight"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/secret"
)

// Installation is the organisation of what belongs to none: people's second factors, signing keys.
const Installation = "installation"

const (
	defaultMost  = 4096
	defaultLife  = time.Hour
	defaultGrace = 12 * time.Hour
	defaultPoll  = 5 * time.Second
	wrapTimeout  = 20 * time.Second // a wrapping service's answer, with its retries
)

// Config is what New needs.
type Config struct {
	DB *db.DB
	// Wrapper is what the settings name; it wraps the first keys of an installation, and everything after Rewrap.
	Wrapper Wrapper
	// Previous are wrappers that keys may still be wrapped by.
	Previous []Wrapper
	// Find looks for a wrapper that is not among these, such as a key file that another process made a moment ago. It gives
	// nil where there is none. It may be nil.
	Find func(id string) (Wrapper, error)
	// Audit notes a change in the transaction that makes it. It may be nil.
	Audit func(ctx context.Context, tx *db.Tx, orgID, action string, after any) error

	Most  int           // unwrapped keys in memory; 4096
	Life  time.Duration // how long one is kept before it is unwrapped again; an hour
	Grace time.Duration // how long one is kept while that fails; 12 hours
	Poll  time.Duration // how often other processes' changes are looked for; 5 seconds
	Rand  io.Reader     // default crypto/rand
	Clock quartz.Clock
	Log   *slog.Logger
}

// Keyring has the data keys. It is safe for concurrent use.
type Keyring struct {
	c      Config
	cache  *cache
	flight singleflight.Group

	mu       sync.Mutex
	wrappers map[string]Wrapper
	changes  int64       // of the table, when the cache was last compared with it
	legacy   *secret.Key // sealed everything once; nil: never
}

// New makes a Keyring. Start it before use.
func New(c Config) (*Keyring, error) {
	if c.DB == nil || c.Wrapper == nil {
		return nil, errors.New("envelope: Config needs DB and Wrapper")
	}
	if c.Most == 0 {
		c.Most = defaultMost
	}
	if c.Life == 0 {
		c.Life = defaultLife
	}
	if c.Grace == 0 {
		c.Grace = defaultGrace
	}
	if c.Poll == 0 {
		c.Poll = defaultPoll
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Clock == nil {
		c.Clock = quartz.NewReal()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	k := &Keyring{c: c, cache: newCache(c.Most), wrappers: map[string]Wrapper{c.Wrapper.ID(): c.Wrapper}}
	for _, w := range c.Previous {
		k.wrappers[w.ID()] = w
	}
	return k, nil
}

// Start proves that the wrapping key is the right one and reads, or makes, the installation's own key. At an installation's
// first start with data keys old is asked for the master key that sealed everything directly before, which is kept from then
// on; nil, or a nil key, says that none did.
func (k *Keyring) Start(ctx context.Context, old func(context.Context) (*secret.Key, error)) error {
	current, err := k.currentWrapper(ctx)
	if err != nil {
		return err
	}
	if _, err := k.wrapper(current); err != nil {
		return err
	}
	if err := k.Ready(ctx, Installation); err != nil {
		return fmt.Errorf("the installation's data key: %w", err)
	}
	return k.startKept(ctx, old)
}

// Run keeps what is in memory true until ctx ends.
func (k *Keyring) Run(ctx context.Context) {
	poll := k.c.Clock.NewTicker(k.c.Poll, "envelope", "poll")
	defer poll.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
		}
		err := k.Check(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			k.c.Log.Warn("data keys cannot be read anew; those in memory are used", "error", err)
		}
		failing = err != nil
	}
}

// Check does once what Run does all the time.
func (k *Keyring) Check(ctx context.Context) error { return errors.Join(k.Refresh(ctx), k.renew(ctx)) }

// Refresh notices what other processes changed: keys that were destroyed are forgotten, and new versions found.
func (k *Keyring) Refresh(ctx context.Context) error {
	s, err := k.readState(ctx)
	if err != nil {
		return err
	}
	k.mu.Lock()
	same := s.Changes == k.changes
	k.mu.Unlock()
	if same {
		return nil
	}
	if err := k.compare(ctx); err != nil {
		return err
	}
	if err := k.Ready(ctx, Installation); err != nil { // it is used inside of transactions
		return err
	}
	k.mu.Lock()
	k.changes = s.Changes
	k.mu.Unlock()
	return nil
}

// renew unwraps keys that are older than Life again, and forgets those that were not used meanwhile.
func (k *Keyring) renew(ctx context.Context) error {
	now := k.c.Clock.Now()
	var failed error
	for _, d := range k.cache.olderThan(now.Add(-k.c.Life)) {
		if d.org != Installation && d.used().Before(now.Add(-k.c.Life)) {
			k.cache.drop(d)
			continue
		}
		if err := k.unwrapAgain(ctx, d); err != nil {
			failed = err
			if final(err) || now.Sub(d.unwrapped) > k.c.Grace {
				k.c.Log.Error("a data key is no longer to be had", "organisation", d.org, "key", d.id.String(), "error", err)
				k.cache.drop(d)
			}
		}
	}
	return failed
}
