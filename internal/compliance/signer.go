package compliance

import "github.com/parley-voice/parley/internal/platform/hashchain"

// What chains are made of is the platform's: campaigns have chains too.
type (
	// Signature is a signature with what is needed to check it.
	Signature = hashchain.Signature
	// Signer signs the heads of chains and certificates.
	Signer = hashchain.Signer
	// KeySigner signs with one Ed25519 key.
	KeySigner = hashchain.KeySigner
	// JWK is a public key (RFC 7517, RFC 8037).
	JWK = hashchain.JWK
	// Broken is the first link of a chain that does not hold.
	Broken = hashchain.Broken
)

// NewKeySigner makes a signer of a secret seed of 32 bytes. The key's id is its JWK thumbprint.
func NewKeySigner(seed []byte) (*KeySigner, error) { return hashchain.NewKeySigner(seed) }
