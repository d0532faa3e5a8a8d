package signing

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// JWKSPath is where the public keys are published.
const JWKSPath = "/.well-known/jwks.json"

// publishFor is how old what is published may be: far less than a key is known before it signs.
const publishFor = 10 * time.Minute

// jwk is a public key (RFC 7517, RFC 8037 section 2).
type jwk struct {
	KeyType   string `json:"kty"`
	Curve     string `json:"crv"`
	X         string `json:"x"`
	KeyID     string `json:"kid"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
}

// JWKS answers with the keys that tokens may be signed with now, soon, or were lately.
func (k *Keyring) JWKS() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := k.c.Clock.Now()
		most := publishFor
		if k.c.Alone { // others' keys sign as soon as they are made
			most = refreshMost
		}
		k.mu.RLock()
		old := now.Sub(k.asked) >= most
		k.mu.RUnlock()
		if old { // another process may have made the next key
			if err := k.refresh(r.Context()); err != nil {
				k.c.Log.Warn("signing keys", "error", err)
			}
		}
		set := struct {
			Keys []jwk `json:"keys"`
		}{Keys: []jwk{}}
		k.mu.RLock()
		for _, e := range k.keys {
			if now.Before(e.verifiedTill) {
				set.Keys = append(set.Keys, jwk{"OKP", "Ed25519", base64.RawURLEncoding.EncodeToString(e.public), e.kid, "sig", "EdDSA"})
			}
		}
		k.mu.RUnlock()
		slices.SortFunc(set.Keys, func(a, b jwk) int { return strings.Compare(a.KeyID, b.KeyID) })
		w.Header().Set("Content-Type", "application/jwk-set+json")
		w.Header().Set("Cache-Control", "public, max-age=600")
		_ = json.NewEncoder(w).Encode(set)
	})
}
