package identity

import "errors"

// Sealer encrypts what must be read again, such as the key of an authenticator app.
type Sealer interface {
	Seal(plain []byte) ([]byte, error)
	Open(sealed []byte) ([]byte, error)
}

var errNoSealer = errors.New("identity: no key to seal secrets with")

type noSealer struct{}

func (noSealer) Seal([]byte) ([]byte, error) { return nil, errNoSealer }
func (noSealer) Open([]byte) ([]byte, error) { return nil, errNoSealer }
