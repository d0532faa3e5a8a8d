// Package keyholder wraps data keys for processes that do not have what wraps them: a holder, which has the master key or a
// login at a key service, answers questions of other roles on the bus ([Serve]). Who asks has an [envelope.Wrapper] like any
// other ([Find]).
//
//	asker                                                     holder (any of several)
//	  offer?                           -- parley.ask.keys.ROLE -->
//	  <-- its public key, signed with its role's signing key
//	  {op, wrapper, aad, key, token},  -- parley.ask.keys.ROLE.HOLDER -->
//	  sealed to that public key
//	  <-- {key} or {code, message}, sealed to who asked
//
// What is sealed is sealed by HPKE (RFC 9180, base mode, X25519, HKDF-SHA-256, AES-256-GCM), so a server that carries it reads no
// data key and cannot change one. The answer is under a secret that only the two have (RFC 9180 section 5.3, as RFC 9458
// section 4.4 does it).
//
// Who asks proves its role three times: to the server of the bus by its nkey, which may publish under its role only; by the role
// in the subject; and to the holder by a token that is signed with its process's own key, for that holder and that request. A
// holder proves itself the same way, so nobody who can write to the bus gets a data key to wrap.
//
//	keyholder.go  what is said
//	serve.go      who answers
//	ask.go        who asks
package keyholder

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"time"

	"github.com/parley-voice/parley/internal/platform/bus"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret/signing"
)

const (
	service    = "keys"
	tokenLife  = time.Minute
	maxMessage = 64 << 10 // a wrapped key of a key service has some kilobytes at most

	opWrap   = "wrap"
	opUnwrap = "unwrap"
)

// notOpened is the code of an answer for what does not open: secret.ErrOpen to who asked.
const notOpened fault.Code = "not_opened"

// Bus is what a bus.Bus has for this.
type Bus interface {
	Ask(ctx context.Context, q bus.Question) ([]byte, error)
	Answer(ctx context.Context, service, self string, h func(ctx context.Context, role string, data []byte) []byte) error
}

// Signing is what a signing.Keyring has for this.
type Signing interface {
	Token(ctx context.Context, role, audience, subject string, valid time.Duration, data map[string]string) (string, error)
	Verify(ctx context.Context, token, audience string, roles ...string) (signing.Claims, error)
}

// offer is what a holder says of itself. It is not secret; the token vouches for it.
type offer struct {
	Holder  string `json:"holder"`
	Wrapper string `json:"wrapper"` // wraps new data keys, by this holder's settings
	Public  []byte `json:"public"`
	Token   string `json:"token"`
}

// vouched are the claims of an offer's token.
func (o offer) vouched() map[string]string {
	return map[string]string{"public": base64.RawURLEncoding.EncodeToString(o.Public), "wrapper": o.Wrapper}
}

// request is what is asked of one holder, sealed to it.
type request struct {
	Op      string `json:"op"`
	Wrapper string `json:"wrapper"`
	AAD     string `json:"aad"`
	Data    []byte `json:"data"`
	Token   string `json:"token"`
}

// digest binds a token to what is asked and to the way that the answer takes back.
func (r *request) digest(encapsulated []byte) string {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(r.Op), []byte(r.Wrapper), []byte(r.AAD), r.Data, encapsulated} {
		_ = binary.Write(h, binary.BigEndian, uint64(len(part)))
		h.Write(part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// answer is what a holder says to it, sealed to who asked.
type answer struct {
	Data    []byte     `json:"data,omitempty"`
	Code    fault.Code `json:"code,omitempty"`
	Message string     `json:"message,omitempty"`
}

// passing is what passes over the bus after the offer. A problem in the clear is anybody's word: who asked tries again, and
// believes nothing of it.
type passing struct {
	Encapsulated []byte `json:"encapsulated,omitempty"`
	Sealed       []byte `json:"sealed,omitempty"`
	Problem      string `json:"problem,omitempty"`
}

func kem() hpke.KEM   { return hpke.DHKEM(ecdh.X25519()) }
func kdf() hpke.KDF   { return hpke.HKDFSHA256() }
func aead() hpke.AEAD { return hpke.AES256GCM() }

// info binds what is sealed to this use and to the role that asks.
func info(role string) []byte { return []byte("parley key holder 1\x00" + role) }

// exporter is what both contexts of HPKE give.
type exporter interface {
	Export(exporterContext string, length int) ([]byte, error)
}

// back gives the AEAD of an answer. Its key comes from the request's own context.
func back(e exporter) (cipher.AEAD, error) {
	key, err := e.Export("parley key holder answer", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	// The nonce is random: who carries a request may send it twice, and then two answers are under one key.
	return cipher.NewGCMWithRandomNonce(block)
}

// holderAudience is whom a request's token is for.
func holderAudience(holder string) string { return "key holder " + holder }

// askerAudience is whom an offer's token is for.
const askerAudience = "askers for keys"
