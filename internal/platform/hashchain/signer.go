package hashchain

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
)

// Signature is a signature with what is needed to check it.
type Signature struct {
	KeyID  string // the key's JWK thumbprint (RFC 7638)
	Public ed25519.PublicKey
	Bytes  []byte
}

// Signer signs the heads of chains and certificates. Its public keys must stay known for as long as what they signed.
type Signer interface {
	Sign(payload []byte) (Signature, error)
}

// KeySigner signs with one Ed25519 key.
type KeySigner struct {
	private ed25519.PrivateKey
	kid     string
}

// NewKeySigner makes a signer of a secret seed of 32 bytes. The key's id is its JWK thumbprint.
func NewKeySigner(seed []byte) (*KeySigner, error) {
	if len(seed) != ed25519.SeedSize {
		return nil, errors.New("hashchain: a signing seed has 32 bytes")
	}
	k := ed25519.NewKeyFromSeed(seed)
	return &KeySigner{private: k, kid: Thumbprint(k.Public().(ed25519.PublicKey))}, nil
}

// Public is the key that proves what it signs.
func (k *KeySigner) Public() ed25519.PublicKey { return k.private.Public().(ed25519.PublicKey) }

// Sign implements Signer.
func (k *KeySigner) Sign(payload []byte) (Signature, error) {
	return Signature{KeyID: k.kid, Public: k.Public(), Bytes: ed25519.Sign(k.private, payload)}, nil
}

// Thumbprint is the key's id: RFC 7638 section 3 for an OKP key (RFC 8037 section 2).
func Thumbprint(public ed25519.PublicKey) string {
	sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":"Ed25519","kty":"OKP","x":"%s"}`, Encode64(public)))
	return Encode64(sum[:])
}

// Encode64 is base64url without padding (RFC 4648 section 5).
func Encode64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// JWK is a public key (RFC 7517, RFC 8037).
type JWK struct {
	KeyType   string `json:"kty" enum:"OKP"`
	Curve     string `json:"crv" enum:"Ed25519"`
	X         string `json:"x"`
	KeyID     string `json:"kid"`
	Use       string `json:"use,omitempty"`
	Algorithm string `json:"alg,omitempty"`
}

// NewJWK makes the public side of a key that signs.
func NewJWK(kid, public string) JWK {
	return JWK{KeyType: "OKP", Curve: "Ed25519", X: public, KeyID: kid, Use: "sig", Algorithm: "EdDSA"}
}

// CheckSignature says why a signature does not prove the payload; "" when it does. The key's id is its thumbprint, and
// each value has one spelling only, so that a file cannot be changed anywhere and still be proved.
func CheckSignature(payload []byte, kid, public, signature string) string {
	key, err := base64.RawURLEncoding.Strict().DecodeString(public)
	if err != nil || len(key) != ed25519.PublicKeySize || Encode64(key) != public {
		return "the public key is none"
	}
	if kid != Thumbprint(key) {
		return "the key's id is not that of its public key"
	}
	sig, err := base64.RawURLEncoding.Strict().DecodeString(signature)
	if err != nil || len(sig) != ed25519.SignatureSize || Encode64(sig) != signature || !ed25519.Verify(key, payload, sig) {
		return "the signature does not fit"
	}
	return ""
}
