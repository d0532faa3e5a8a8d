package envelope

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/secret"
)

// What Seal gives is
//
//	version, 1 byte: 2 | key id, 16 bytes | what secret.Key.Seal makes under that data key
//
// The additional data of the inner value begins with the outer head. Version 1 is a value that the master key sealed.
const (
	sealedVersion = 2
	legacyVersion = 1
	headBytes     = 1 + idBytes
	idBytes       = 16
)

// KeyID names one version of a data key.
type KeyID [idBytes]byte

// String gives the id in hex.
func (id KeyID) String() string { return hex.EncodeToString(id[:]) }

// ParseKeyID reads what String gives.
func ParseKeyID(s string) (id KeyID, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != idBytes {
		return id, fmt.Errorf("envelope: %q is no key id", s)
	}
	return KeyID(b), nil
}

// SealedUnder gives the key that a value is sealed under; ok is false when that is the master key of before.
func SealedUnder(sealed []byte) (id KeyID, ok bool) {
	if len(sealed) < headBytes || sealed[0] != sealedVersion {
		return id, false
	}
	return KeyID(sealed[1:headBytes]), true
}

// Sealer encrypts small secrets of organisations; a [Keyring] and a [Box] are.
type Sealer interface {
	// Ready has the organisation's keys in memory, so that Seal and Open may follow inside of a transaction.
	Ready(ctx context.Context, orgID string) error
	// Seal encrypts a secret for one place: what was sealed with other aad does not open.
	Seal(ctx context.Context, orgID string, plain, aad []byte) ([]byte, error)
	Open(ctx context.Context, orgID string, sealed, aad []byte) ([]byte, error)
}

// Ready implements Sealer: the active version, and those that values may not have left yet.
func (k *Keyring) Ready(ctx context.Context, orgID string) error {
	if k.cache.isReady(orgID) {
		return nil
	}
	if _, err := k.active(ctx, orgID); err != nil {
		return err
	}
	var rows []keyRow
	err := k.read(ctx, func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model(&rows).ExcludeColumn("wrapped").Where("organisation_id = ? AND state = ?", orgID, stateOld).Scan(ctx)
	})
	if err != nil {
		return fmt.Errorf("read the data keys: %w", err)
	}
	for i := range rows {
		id, err := ParseKeyID(rows[i].KeyID)
		if err != nil {
			return err
		}
		if _, err := k.byID(ctx, orgID, id); err != nil {
			return err
		}
	}
	k.cache.setReady(orgID)
	return nil
}

// Seal encrypts a small secret of an organisation under its active key. Open needs the same aad: what the secret belongs
// to, such as its row's id, so that it cannot be moved to another place.
func (k *Keyring) Seal(ctx context.Context, orgID string, plain, aad []byte) ([]byte, error) {
	d, err := k.active(ctx, orgID)
	if err != nil {
		return nil, err
	}
	head := append(make([]byte, 0, headBytes), sealedVersion)
	head = append(head, d.id[:]...)
	inner, err := d.key.Seal(plain, append(head[:headBytes:headBytes], aad...))
	if err != nil {
		return nil, err
	}
	return append(head, inner...), nil
}

// Open decrypts what Seal made, and what the master key sealed before there were data keys.
func (k *Keyring) Open(ctx context.Context, orgID string, sealed, aad []byte) ([]byte, error) {
	if len(sealed) > 0 && sealed[0] == legacyVersion {
		return k.openLegacy(sealed, aad)
	}
	id, ok := SealedUnder(sealed)
	if !ok {
		return nil, secret.ErrOpen
	}
	d, err := k.byID(ctx, orgID, id)
	if err != nil {
		return nil, err
	}
	return d.key.Open(sealed[headBytes:], append(sealed[:headBytes:headBytes], aad...))
}

func (k *Keyring) openLegacy(sealed, aad []byte) ([]byte, error) {
	old := k.Legacy()
	if old == nil {
		return nil, fmt.Errorf("%w: it was sealed by a master key that this installation does not have", secret.ErrOpen)
	}
	return old.Open(sealed, aad)
}

// Box seals secrets of one purpose.
type Box struct {
	keys    *Keyring
	purpose string
}

// Box gives a Box for a purpose: what another purpose's Box sealed does not open. It opens what [secret.Key.Box] sealed
// for the same purpose.
func (k *Keyring) Box(purpose string) *Box { return &Box{keys: k, purpose: purpose} }

func (b *Box) aad(aad []byte) []byte { return append([]byte("box\x00"+b.purpose+"\x00"), aad...) }

// Ready implements Sealer.
func (b *Box) Ready(ctx context.Context, orgID string) error { return b.keys.Ready(ctx, orgID) }

// Seal encrypts a small secret of an organisation.
func (b *Box) Seal(ctx context.Context, orgID string, plain, aad []byte) ([]byte, error) {
	return b.keys.Seal(ctx, orgID, plain, b.aad(aad))
}

// Open decrypts what Seal made.
func (b *Box) Open(ctx context.Context, orgID string, sealed, aad []byte) ([]byte, error) {
	if len(sealed) > 0 && sealed[0] == legacyVersion {
		old := b.keys.Legacy()
		if old == nil {
			return b.keys.openLegacy(sealed, nil)
		}
		return old.Box(b.purpose).Open(sealed)
	}
	return b.keys.Open(ctx, orgID, sealed, b.aad(aad))
}

// FileKey is what files of one purpose are encrypted with, each under a key derived from it.
type FileKey struct {
	ID  KeyID
	Key []byte // 32 bytes
}

// FileKey gives the key for new files of an organisation.
func (k *Keyring) FileKey(ctx context.Context, orgID, purpose string) (FileKey, error) {
	d, err := k.active(ctx, orgID)
	if err != nil {
		return FileKey{}, err
	}
	return FileKey{ID: d.id, Key: d.key.Derive("files\x00" + purpose)}, nil
}

// CachedFileKey is FileKey from memory: it waits for nothing. ok is false when the key is not there.
func (k *Keyring) CachedFileKey(orgID, purpose string) (f FileKey, ok bool) {
	d := k.cache.activeOf(orgID, k.c.Clock.Now())
	if d == nil {
		return f, false
	}
	return FileKey{ID: d.id, Key: d.key.Derive("files\x00" + purpose)}, true
}

// FileKeyByID gives the key that a file of an organisation was written with.
func (k *Keyring) FileKeyByID(ctx context.Context, orgID string, id KeyID, purpose string) ([]byte, error) {
	d, err := k.byID(ctx, orgID, id)
	if err != nil {
		return nil, err
	}
	return d.key.Derive("files\x00" + purpose), nil
}

// LegacyFileKey gives the key that files were written with before there were data keys; nil where there was none.
func (k *Keyring) LegacyFileKey(purpose string) []byte {
	old := k.Legacy()
	if old == nil {
		return nil
	}
	return old.Derive(purpose)
}

// ErrNoKey says that an organisation has no key of that id: it was destroyed, or is another organisation's.
var ErrNoKey = errors.New("envelope: the organisation has no such data key: it was destroyed, or the value is another organisation's")
