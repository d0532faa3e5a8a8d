package signing

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// issuerPrefix stands before a role in a token's issuer.
const issuerPrefix = "parley:"

// leeway is how far the clocks of two processes may differ.
const leeway = 30 * time.Second

// Claims are what a token says. Its issuer is the role that signed it.
type Claims struct {
	jwt.RegisteredClaims
	// Data is what else is said, by name.
	Data map[string]string `json:"data,omitempty"`
}

// Token signs a token of a role for one audience, valid from now on for so long.
func (k *Keyring) Token(ctx context.Context, role, audience, subject string, valid time.Duration, data map[string]string) (string, error) {
	if audience == "" || valid <= 0 || valid > k.c.Overlap {
		return "", fmt.Errorf("signing: a token needs an audience and lives for at most %s", k.c.Overlap)
	}
	e, err := k.current(ctx, role)
	if err != nil {
		return "", err
	}
	now := k.c.Clock.Now()
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, Claims{Data: data, RegisteredClaims: jwt.RegisteredClaims{
		Issuer: issuerPrefix + role, Audience: jwt.ClaimStrings{audience}, Subject: subject,
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(valid)),
	}})
	t.Header["kid"] = e.kid
	return t.SignedString(e.private)
}

// Verify checks a token for an audience, signed by one of roles.
func (k *Keyring) Verify(ctx context.Context, token, audience string, roles ...string) (Claims, error) {
	var c Claims
	if audience == "" || len(roles) == 0 {
		return c, errors.New("signing: Verify needs an audience and the roles that may have signed")
	}
	// The algorithm is ours to say, not the token's (RFC 8725 section 3.1).
	parser := jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithAudience(audience), jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(), jwt.WithLeeway(leeway), jwt.WithTimeFunc(func() time.Time { return k.c.Clock.Now() }), jwt.WithStrictDecoding())
	_, err := parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		e, ok := k.find(ctx, kid)
		if !ok {
			return nil, fmt.Errorf("unknown key %q", kid)
		}
		if !slices.Contains(roles, e.role) || c.Issuer != issuerPrefix+e.role {
			return nil, fmt.Errorf("signed by %q for %q", e.role, c.Issuer)
		}
		return e.public, nil
	})
	if err != nil {
		return Claims{}, fault.Wrap(fault.Unauthorized, err, "the token is not valid, or no longer; get a new one")
	}
	return c, nil
}

// Signer signs bytes for one purpose: its keys are no other purpose's.
type Signer struct {
	ring *Keyring
	role string
}

// Signer gives the signer of a role.
func (k *Keyring) Signer(role string) *Signer { return &Signer{k, role} }

// Sign gives the Ed25519 signature over payload and the key's id.
func (s *Signer) Sign(ctx context.Context, payload []byte) (kid string, sig []byte, err error) {
	e, err := s.ring.current(ctx, s.role)
	if err != nil {
		return "", nil, err
	}
	return e.kid, ed25519.Sign(e.private, payload), nil
}

// PublicKeys gives every key that the role ever signed with, by its id: to verify what is old.
func (s *Signer) PublicKeys(ctx context.Context) (map[string]ed25519.PublicKey, error) {
	var rows []keyRow
	err := s.ring.c.DB.ReadSystem(ctx, "the public keys of a role", func(ctx context.Context, tx *db.Tx) (err error) {
		rows, err = allOf(ctx, tx, s.role)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the signing keys: %w", err)
	}
	out := make(map[string]ed25519.PublicKey, len(rows))
	for _, r := range rows {
		if len(r.PublicKey) != ed25519.PublicKeySize || thumbprint(r.PublicKey) != r.KID {
			return nil, fmt.Errorf("the signing key %s was altered", r.KID)
		}
		out[r.KID] = ed25519.PublicKey(r.PublicKey)
	}
	return out, nil
}
