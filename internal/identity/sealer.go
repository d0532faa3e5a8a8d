package identity

import (
	"context"
	"errors"

	"github.com/parley-voice/parley/internal/platform/secret/envelope"
)

// SealPurpose is that of the Box in Config.Sealer. What it seals is people's, who may belong to no organisation: it is the
// installation's.
const SealPurpose = "sign-on"

func totpAAD(userID string) []byte    { return []byte("totp\x00" + userID) }
func challengeAAD(hash string) []byte { return []byte("challenge\x00" + hash) }

// Sealed lists what is stored sealed and stays.
func Sealed() []envelope.Column {
	return []envelope.Column{{Table: "totp_factors", Column: "secret", Key: []string{"user_id"}, Master: true, Purpose: SealPurpose,
		AAD: func(_ string, key []string) []byte { return totpAAD(key[0]) }}}
}

var errNoSealer = errors.New("identity: no key to seal secrets with")

type noSealer struct{}

func (noSealer) Ready(context.Context, string) error { return errNoSealer }
func (noSealer) Seal(context.Context, string, []byte, []byte) ([]byte, error) {
	return nil, errNoSealer
}
func (noSealer) Open(context.Context, string, []byte, []byte) ([]byte, error) {
	return nil, errNoSealer
}
