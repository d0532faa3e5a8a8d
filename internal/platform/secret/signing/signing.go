// Package signing makes and checks signatures that other processes, and other programs, can verify without a shared
// secret: Ed25519 (RFC 8032), as JSON Web Tokens (RFC 7519, EdDSA of RFC 8037) and over bytes.
//
//	signing.go   Keyring: keys and their rotation
//	token.go     tokens, and signatures over bytes
//	jwks.go      /.well-known/jwks.json
//	store.go     the table
//
// Each role, a kind of process or a purpose, signs with keys of its own, so that what one role signed never passes for
// another's. A key lives through three times: it is published before it signs, so that everybody knows it by then; it
// signs; and it is published until the last token it signed is over. After that its private half is erased. The times
// are fixed when a key is made, so that processes agree without talking:
//
//	previous  |------- signs -------|-- still verified --|
//	current                 |known--|------- signs -------|-- ...
//	next                                          |known--|------- ...
//
// Processes of a role share its keys, sealed in the database; or, with Config.Alone, each has keys that never leave its memory:
// then nobody who reads the database and the master key can sign for it. Such a key signs as soon as it is made. Whoever
// does not know it yet asks the database.
package signing

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
)

// atOnce bounds how many processes of a role may begin in the same millisecond.
const atOnce = 100

const (
	defaultPeriod  = 30 * 24 * time.Hour
	defaultOverlap = 2 * 24 * time.Hour
	refreshMost    = 5 * time.Second        // how often an unknown key makes us ask the database
	refreshAlone   = 200 * time.Millisecond // the same where keys sign as soon as they are made
)

// Config is what New needs.
type Config struct {
	DB     *db.DB
	Sealer envelope.Sealer // of the installation's keys
	// Roles are those that this process signs for. It verifies all.
	Roles   []string
	Alone   bool          // the keys are this process's own: nobody else, and no later run of it, signs with them
	Period  time.Duration // how long a key signs; 30 days
	Overlap time.Duration // how long it is known before and after; 2 days. No token may live longer.
	Rand    io.Reader     // default crypto/rand
	Clock   quartz.Clock
	Log     *slog.Logger
}

// Keyring keeps the keys that are in use. It is safe for concurrent use.
type Keyring struct {
	c Config

	mu    sync.RWMutex
	keys  map[string]key // by kid
	own   map[string]ed25519.PrivateKey
	asked time.Time
}

// key is one key, with its private half where this process signs with it.
type key struct {
	kid, role                           string
	public                              ed25519.PublicKey
	private                             ed25519.PrivateKey
	signsFrom, signsUntil, verifiedTill time.Time
}

// New makes a keyring without keys: Rotate reads and makes them.
func New(c Config) (*Keyring, error) {
	if c.Period == 0 {
		c.Period = defaultPeriod
	}
	if c.Overlap == 0 {
		c.Overlap = defaultOverlap
	}
	if c.Overlap*2 > c.Period {
		return nil, errors.New("signing: a key must sign for longer than it is known before and after")
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
	return &Keyring{c: c, keys: map[string]key{}, own: map[string]ed25519.PrivateKey{}}, nil
}

// Rotate makes the keys that are due for this process's roles, erases the private halves that are over, and reads what
// there is. It is called at the start and every hour, by any number of processes.
func (k *Keyring) Rotate(ctx context.Context) error {
	now := k.c.Clock.Now()
	if len(k.c.Roles) > 0 {
		err := k.c.DB.InSystem(ctx, "rotate the signing keys", func(ctx context.Context, tx *db.Tx) error {
			if err := erase(ctx, tx, now.Add(-k.c.Overlap)); err != nil {
				return err
			}
			for _, role := range k.c.Roles {
				if err := k.rotateRole(ctx, tx, role, now); err != nil {
					return fmt.Errorf("role %s: %w", role, err)
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("rotate the signing keys: %w", err)
		}
	}
	return k.refresh(ctx)
}

// rotateRole makes the key that follows the last, until the one that signs at the end of the overlap is there.
func (k *Keyring) rotateRole(ctx context.Context, tx *db.Tx, role string, now time.Time) error {
	last, err := k.last(ctx, tx, role)
	if err != nil {
		return err
	}
	from := now
	if last != nil && time.UnixMilli(last.SignsUntil).After(now) {
		from = time.UnixMilli(last.SignsUntil)
		if from.After(now.Add(k.c.Overlap)) {
			return nil
		}
	}
	// Also when the last one is over, because nothing ran meanwhile: its successor signs from now on.
	public, private, err := ed25519.GenerateKey(k.c.Rand)
	if err != nil {
		return err
	}
	kid := thumbprint(public)
	row := &keyRow{KID: kid, Role: role, PublicKey: public, SignsFrom: from.UnixMilli(),
		SignsUntil: from.Add(k.c.Period).UnixMilli(), VerifyUntil: from.Add(k.c.Period + k.c.Overlap).UnixMilli()}
	if !k.c.Alone {
		if row.PrivateKey, err = k.c.Sealer.Seal(ctx, envelope.Installation, private.Seed(), sealedAs(role, kid)); err != nil {
			return err
		}
	}
	made, err := insert(ctx, tx, row)
	for try := 0; k.c.Alone && err == nil && !made && try < atOnce; try++ { // others of the role began in the same millisecond
		row.SignsFrom++
		made, err = insert(ctx, tx, row)
	}
	if made && k.c.Alone {
		k.mu.Lock()
		k.own[kid] = private
		k.mu.Unlock()
	}
	if made {
		k.c.Log.Info("signing key made", "role", role, "kid", kid, "signs from", from.UTC())
	}
	return err
}

// last is the newest key of a role that this process may sign with.
func (k *Keyring) last(ctx context.Context, tx *db.Tx, role string) (*keyRow, error) {
	if !k.c.Alone {
		return lastOf(ctx, tx, role)
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	var last *keyRow
	for _, e := range k.keys {
		if e.role == role && e.private != nil && (last == nil || e.signsUntil.UnixMilli() > last.SignsUntil) {
			last = &keyRow{SignsUntil: e.signsUntil.UnixMilli()}
		}
	}
	return last, nil
}

// refresh reads the keys that are published now.
func (k *Keyring) refresh(ctx context.Context) error {
	now := k.c.Clock.Now()
	var rows []keyRow
	err := k.c.DB.ReadSystem(ctx, "read the signing keys", func(ctx context.Context, tx *db.Tx) (err error) {
		rows, err = published(ctx, tx, now)
		return err
	})
	if err != nil {
		return fmt.Errorf("read the signing keys: %w", err)
	}
	k.mu.RLock()
	own := maps.Clone(k.own)
	k.mu.RUnlock()
	keys := make(map[string]key, len(rows))
	for i := range rows {
		r := &rows[i]
		if len(r.PublicKey) != ed25519.PublicKeySize || thumbprint(r.PublicKey) != r.KID {
			return fmt.Errorf("the signing key %s was altered", r.KID)
		}
		e := key{kid: r.KID, role: r.Role, public: ed25519.PublicKey(r.PublicKey), signsFrom: time.UnixMilli(r.SignsFrom),
			signsUntil: time.UnixMilli(r.SignsUntil), verifiedTill: time.UnixMilli(r.VerifyUntil)}
		if k.c.Alone {
			e.private = own[r.KID]
		} else if k.signs(r.Role) && r.PrivateKey != nil {
			seed, err := k.c.Sealer.Open(ctx, envelope.Installation, r.PrivateKey, sealedAs(r.Role, r.KID))
			if err != nil {
				return fmt.Errorf("the signing key %s: %w", r.KID, err)
			}
			e.private = ed25519.NewKeyFromSeed(seed)
			if !e.public.Equal(e.private.Public()) {
				return fmt.Errorf("the signing key %s was altered", r.KID)
			}
		}
		keys[e.kid] = e
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys, k.asked = keys, now
	maps.DeleteFunc(k.own, func(kid string, _ ed25519.PrivateKey) bool { return own[kid] != nil && keys[kid].kid == "" })
	return nil
}

func (k *Keyring) signs(role string) bool {
	for _, r := range k.c.Roles {
		if r == role {
			return true
		}
	}
	return false
}

// current gives the key that a role signs with now.
func (k *Keyring) current(ctx context.Context, role string) (key, error) {
	if !k.signs(role) {
		return key{}, fmt.Errorf("signing: this process does not sign for %q", role)
	}
	if e, ok := k.signing(role); ok {
		return e, nil
	}
	// Nothing rotated in time: the hourly job is late, or the clock jumped.
	if err := k.Rotate(ctx); err != nil {
		return key{}, err
	}
	if e, ok := k.signing(role); ok {
		return e, nil
	}
	return key{}, fmt.Errorf("signing: there is no key for %q", role)
}

// signing finds the newest key that signs now; of two that were made at once, the same one in every process.
func (k *Keyring) signing(role string) (best key, ok bool) {
	now := k.c.Clock.Now()
	k.mu.RLock()
	defer k.mu.RUnlock()
	for _, e := range k.keys {
		if e.role != role || e.private == nil || now.Before(e.signsFrom) || !now.Before(e.signsUntil) {
			continue
		}
		if !ok || e.signsFrom.After(best.signsFrom) || (e.signsFrom.Equal(best.signsFrom) && e.kid < best.kid) {
			best, ok = e, true
		}
	}
	return best, ok
}

// find gives the key of that id. One that is not known may have been made by another process a moment ago.
func (k *Keyring) find(ctx context.Context, kid string) (key, bool) {
	now := k.c.Clock.Now()
	often := refreshMost
	if k.c.Alone {
		often = refreshAlone
	}
	get := func() (key, bool, bool) {
		k.mu.RLock()
		defer k.mu.RUnlock()
		e, ok := k.keys[kid]
		return e, ok && now.Before(e.verifiedTill), now.Sub(k.asked) >= often
	}
	e, ok, ask := get()
	if !ok && !ask && k.c.Alone { // a key that was made since; who asks for many waits for each
		ask = k.pause(ctx)
	}
	if !ok && ask {
		if err := k.refresh(ctx); err != nil {
			k.c.Log.Warn("signing keys", "error", err)
			return key{}, false
		}
		e, ok, _ = get()
	}
	return e, ok
}

// pause waits until the database may be asked again.
func (k *Keyring) pause(ctx context.Context) bool {
	t := k.c.Clock.NewTimer(refreshAlone, "signing", "ask")
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// thumbprint names a public key by RFC 7638, with the members of RFC 8037 section 2.
func thumbprint(public ed25519.PublicKey) string {
	x := base64.RawURLEncoding.EncodeToString(public)
	sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + x + `"}`))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
