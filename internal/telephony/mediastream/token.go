package mediastream

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	tokenPrefix = "pmt1."
	// maxTokenLen keeps name and value of the custom parameter under Twilio's 500 characters
	// (https://www.twilio.com/docs/voice/twiml/stream#custom-parameters).
	maxTokenLen = 480
	minTokenKey = 32
	// maxSingleTTL bounds how long a used token must be remembered.
	maxSingleTTL = 10 * time.Minute
	maxRemember  = 100_000
)

// Claims is what a media token says: which agent a stream may reach, and on whose behalf.
type Claims struct {
	Org     string `json:"o"`
	Agent   string `json:"a"`           // slug
	CallSid string `json:"c,omitempty"` // when set, only this call's stream may use the token
	From    string `json:"f,omitempty"` // as the carrier signed it
	To      string `json:"t,omitempty"`
	Expires int64  `json:"e"`           // Unix seconds
	Nonce   string `json:"n"`           //
	Single  bool   `json:"s,omitempty"` // may be used once
}

// TokensConfig is what Tokens needs.
type TokensConfig struct {
	Key   []byte       // at least 32 bytes, the same in every process
	Clock quartz.Clock // nil: the real clock
	Rand  io.Reader    // nil: crypto/rand
	// Claim records the use of a single-use token and reports whether it was the first. Nil keeps the
	// record in this process, which is enough for one.
	Claim func(ctx context.Context, nonce string, until time.Time) (first bool, err error)
}

// Tokens mints and verifies media tokens: claims and their HMAC-SHA256.
type Tokens struct {
	key   []byte
	clock quartz.Clock
	rand  io.Reader
	claim func(ctx context.Context, nonce string, until time.Time) (bool, error)

	mu   sync.Mutex
	used map[string]int64 // nonce → Unix seconds until which it must be remembered
}

// NewTokens makes a Tokens.
func NewTokens(c TokensConfig) (*Tokens, error) {
	if len(c.Key) < minTokenKey {
		return nil, fault.Field("key", "the media token key has %d bytes; give at least %d", len(c.Key), minTokenKey)
	}
	if c.Clock == nil {
		c.Clock = quartz.NewReal()
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	t := &Tokens{key: append([]byte(nil), c.Key...), clock: c.Clock, rand: c.Rand, claim: c.Claim, used: map[string]int64{}}
	if t.claim == nil {
		t.claim = t.remember
	}
	return t, nil
}

// Mint makes a token that is valid for ttl. Expires and Nonce of c are set by Mint.
func (t *Tokens) Mint(c Claims, ttl time.Duration) (string, error) {
	if c.Org == "" {
		return "", fault.Field("organisation", "a media token needs an organisation")
	}
	if c.Agent == "" {
		return "", fault.Field("agent", "a media token needs an agent's slug")
	}
	if ttl < time.Second {
		return "", fault.Field("ttl", "a media token must be valid for at least a second")
	}
	if c.Single && ttl > maxSingleTTL {
		return "", fault.Field("ttl", "a single-use media token is valid for at most %v", maxSingleTTL)
	}
	var nonce [9]byte
	if _, err := io.ReadFull(t.rand, nonce[:]); err != nil {
		return "", fault.Wrap(fault.Internal, err, "no randomness for a media token")
	}
	c.Nonce = base64.RawURLEncoding.EncodeToString(nonce[:])
	c.Expires = t.clock.Now().Add(ttl).Unix()
	body, err := json.Marshal(c)
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "the media token cannot be encoded")
	}
	token := tokenPrefix + base64.RawURLEncoding.EncodeToString(body)
	token += "." + base64.RawURLEncoding.EncodeToString(t.sum(token))
	if len(token) > maxTokenLen {
		return "", fault.Field("agent", "the media token would have %d characters, the carrier takes %d; use a shorter slug", len(token), maxTokenLen)
	}
	return token, nil
}

// Verify checks a token of the stream of callSid and, when it is for single use, uses it up.
func (t *Tokens) Verify(ctx context.Context, token, callSid string) (Claims, error) {
	c, err := t.open(token)
	if err != nil {
		return Claims{}, err
	}
	if t.clock.Now().Unix() >= c.Expires {
		return Claims{}, fault.New(fault.Unauthorized, "the media token has expired; ask for a new one")
	}
	if c.CallSid != "" && c.CallSid != callSid {
		return Claims{}, fault.New(fault.Forbidden, "the media token is for another call")
	}
	if !c.Single {
		return c, nil
	}
	first, err := t.claim(ctx, c.Nonce, time.Unix(c.Expires, 0))
	switch {
	case err != nil:
		return Claims{}, fault.Wrap(fault.Unavailable, err, "the media token cannot be checked now; try again")
	case !first:
		return Claims{}, fault.New(fault.Forbidden, "the media token was used already; ask for a new one")
	}
	return c, nil
}

func (t *Tokens) open(token string) (Claims, error) {
	var c Claims
	bad := fault.New(fault.Unauthorized, "the media token is not valid; ask for a new one")
	if len(token) > maxTokenLen || !strings.HasPrefix(token, tokenPrefix) {
		return c, bad
	}
	dot := strings.LastIndexByte(token, '.')
	if dot < len(tokenPrefix) {
		return c, bad
	}
	mac, err := base64.RawURLEncoding.Strict().DecodeString(token[dot+1:])
	if err != nil || !hmac.Equal(mac, t.sum(token[:dot])) {
		return c, bad
	}
	body, err := base64.RawURLEncoding.DecodeString(token[len(tokenPrefix):dot])
	if err != nil || json.Unmarshal(body, &c) != nil {
		return c, bad
	}
	return c, nil
}

func (t *Tokens) sum(s string) []byte {
	h := hmac.New(sha256.New, t.key)
	_, _ = io.WriteString(h, s)
	return h.Sum(nil)
}

// remember is the record of used tokens in this process. It holds each until it expires; when it is full,
// single-use tokens are refused rather than accepted twice.
func (t *Tokens) remember(_ context.Context, nonce string, until time.Time) (bool, error) {
	now := t.clock.Now().Unix()
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.used[nonce]; ok {
		return false, nil
	}
	if n := len(t.used); n >= maxRemember || n >= 1024 && n&(n-1) == 0 {
		for k, e := range t.used {
			if e <= now {
				delete(t.used, k)
			}
		}
	}
	if len(t.used) >= maxRemember {
		return false, fault.New(fault.Unavailable, "too many calls began in the last minutes")
	}
	t.used[nonce] = until.Unix()
	return true, nil
}
