// Package envelopetest gives tests of a context something that seals without a database.
package envelopetest

import (
	"bytes"
	"context"

	"github.com/parley-voice/parley/internal/platform/secret"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
)

// Sealer is an envelope.Sealer that derives an organisation's key from one key in memory.
type Sealer struct{ master *secret.Key }

// New makes a Sealer whose key is filled with b.
func New(b byte) Sealer {
	k, err := secret.NewKey(bytes.Repeat([]byte{b}, secret.KeySize))
	if err != nil {
		panic(err) // it has the right size
	}
	return Sealer{k}
}

func (s Sealer) key(orgID string) *secret.Key {
	k, err := secret.NewKey(s.master.Derive("test " + orgID))
	if err != nil {
		panic(err) // Derive gives 32 bytes
	}
	return k
}

// Ready implements envelope.Sealer.
func (Sealer) Ready(context.Context, string) error { return nil }

// Seal implements envelope.Sealer.
func (s Sealer) Seal(_ context.Context, orgID string, plain, aad []byte) ([]byte, error) {
	return s.key(orgID).Seal(plain, aad)
}

// Open implements envelope.Sealer.
func (s Sealer) Open(_ context.Context, orgID string, sealed, aad []byte) ([]byte, error) {
	return s.key(orgID).Open(sealed, aad)
}

// CachedFileKey gives the key of an organisation's files.
func (s Sealer) CachedFileKey(orgID, purpose string) (envelope.FileKey, bool) {
	return envelope.FileKey{ID: envelope.KeyID{1}, Key: s.key(orgID).Derive(purpose)}, true
}

// FileKey is CachedFileKey.
func (s Sealer) FileKey(_ context.Context, orgID, purpose string) (envelope.FileKey, error) {
	f, _ := s.CachedFileKey(orgID, purpose)
	return f, nil
}

// FileKeyByID knows one version.
func (s Sealer) FileKeyByID(_ context.Context, orgID string, id envelope.KeyID, purpose string) ([]byte, error) {
	if id != (envelope.KeyID{1}) {
		return nil, envelope.ErrNoKey
	}
	f, _ := s.CachedFileKey(orgID, purpose)
	return f.Key, nil
}

// LegacyFileKey is what the master key itself gives.
func (s Sealer) LegacyFileKey(purpose string) []byte { return s.master.Derive(purpose) }
