package envelope

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/parley-voice/parley/internal/platform/secret"
)

// Wrapper encrypts data keys with a key that it keeps to itself: a master key in memory, or one in a key management
// service, or what another process has (package keyholder). aad names the data key: what was wrapped with other aad does not unwrap.
//
// An error of the code Forbidden says that the service refuses for good, of NotFound that its key is gone, and of
// Unavailable or Timeout that it may work later.
type Wrapper interface {
	// ID names the wrapping key. It is stored beside each data key and shown to administrators.
	ID() string
	Wrap(ctx context.Context, key []byte, aad string) ([]byte, error)
	Unwrap(ctx context.Context, wrapped []byte, aad string) ([]byte, error)
}

// Local wraps with a master key that this process knows: PARLEY_KEY or the key file.
type Local struct {
	key *secret.Key
	id  string
}

// NewLocal makes a Wrapper of a master key. Its ID tells master keys apart and nothing about them.
func NewLocal(k *secret.Key) *Local {
	sum := sha256.Sum256(k.Derive("wrapper id"))
	return &Local{key: k, id: "local:" + hex.EncodeToString(sum[:8])}
}

// ID implements Wrapper.
func (l *Local) ID() string { return l.id }

// Wrap implements Wrapper.
func (l *Local) Wrap(_ context.Context, key []byte, aad string) ([]byte, error) {
	return l.key.Seal(key, []byte("data key\x00"+aad))
}

// Unwrap implements Wrapper.
func (l *Local) Unwrap(_ context.Context, wrapped []byte, aad string) ([]byte, error) {
	return l.key.Open(wrapped, []byte("data key\x00"+aad))
}
