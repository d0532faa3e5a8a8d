package signing_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/golang-jwt/jwt/v5"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
	"github.com/parley-voice/parley/internal/platform/secret/envelope/envelopetest"
	"github.com/parley-voice/parley/internal/platform/secret/signing"
)

const day = 24 * time.Hour

func each(t *testing.T, fn func(t *testing.T, d *db.DB, clock *quartz.Mock, sealer envelopetest.Sealer)) {
	dbtest.Each(t, []db.Migrations{signing.Migrations()}, func(t *testing.T, d *db.DB) {
		fn(t, d, quartz.NewMock(t), envelopetest.New(7))
	})
}

func ring(t *testing.T, d *db.DB, clock quartz.Clock, sealer envelope.Sealer, roles ...string) *signing.Keyring {
	t.Helper()
	k, err := signing.New(signing.Config{DB: d, Sealer: sealer, Roles: roles, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return k
}

// published gives the ids of the keys that are published.
func published(t *testing.T, k *signing.Keyring) map[string]ed25519.PublicKey {
	t.Helper()
	w := httptest.NewRecorder()
	k.JWKS().ServeHTTP(w, httptest.NewRequest(http.MethodGet, signing.JWKSPath, nil))
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &set); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%v: %d %s", err, w.Code, w.Body)
	}
	out := map[string]ed25519.PublicKey{}
	for _, j := range set.Keys {
		x, err := base64.RawURLEncoding.DecodeString(j["x"])
		if err != nil || j["kty"] != "OKP" || j["crv"] != "Ed25519" || j["alg"] != "EdDSA" || j["use"] != "sig" || len(j) != 6 {
			t.Errorf("published %v", j)
		}
		out[j["kid"]] = x
	}
	return out
}

func kidOf(t *testing.T, token string) string {
	t.Helper()
	tok, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
	if err != nil {
		t.Fatal(err)
	}
	return tok.Header["kid"].(string)
}

// A year of rotations: two processes of a role and one that only verifies, each with the keys it happens to have.
func TestRotationWithoutDowntime(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, clock *quartz.Mock, sealer envelopetest.Sealer) {
		a, b := ring(t, d, clock, sealer, "media"), ring(t, d, clock, sealer, "media")
		reader := ring(t, d, clock, sealer)
		ctx := t.Context()
		kids, held := map[string]bool{}, ""
		for hour := 0; hour < 365*24; hour += 12 {
			// What was published twelve hours ago must suffice for what is signed now.
			before := published(t, a)
			clock.Advance(12 * time.Hour)
			if hour%24 == 0 { // one of them rotates, the others only read
				if err := a.Rotate(ctx); err != nil {
					t.Fatal(err)
				}
			}
			if held != "" {
				if _, err := reader.Verify(ctx, held, "gateway", "media"); err != nil {
					t.Fatalf("hour %d: a token of before: %v", hour, err)
				}
			}
			for _, k := range []*signing.Keyring{a, b} {
				token, err := k.Token(ctx, "media", "gateway", "node-1", day, nil)
				if err != nil {
					t.Fatalf("hour %d: %v", hour, err)
				}
				kid := kidOf(t, token)
				if before[kid] == nil {
					t.Fatalf("hour %d: signed with %s, which was not published before", hour, kid)
				}
				kids[kid] = true
				if _, err := reader.Verify(ctx, token, "gateway", "media"); err != nil {
					t.Fatalf("hour %d: %v", hour, err)
				}
				held = token
			}
		}
		if len(kids) < 12 || len(kids) > 14 {
			t.Errorf("%d keys in a year", len(kids))
		}
		if n := len(published(t, a)); n > 3 {
			t.Errorf("%d keys are published", n)
		}
		left := 0
		if err := d.ReadSystem(ctx, "test", func(ctx context.Context, tx *db.Tx) error {
			return tx.NewSelect().Table("signing_keys").ColumnExpr("count(private_key)").Scan(ctx, &left)
		}); err != nil || left > 3 {
			t.Errorf("%d private keys are left (%v)", left, err)
		}
	})
}

// A server that was off for a year starts with a new key.
func TestAfterALongPause(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, clock *quartz.Mock, sealer envelopetest.Sealer) {
		a := ring(t, d, clock, sealer, "media")
		old, err := a.Token(t.Context(), "media", "gateway", "x", day, nil)
		if err != nil {
			t.Fatal(err)
		}
		clock.Advance(365 * day)
		token, err := a.Token(t.Context(), "media", "gateway", "x", day, nil)
		if err != nil || kidOf(t, old) == kidOf(t, token) {
			t.Fatalf("%v", err)
		}
		if _, err := a.Verify(t.Context(), token, "gateway", "media"); err != nil {
			t.Error(err)
		}
		if _, err := a.Verify(t.Context(), old, "gateway", "media"); !fault.Is(err, fault.Unauthorized) {
			t.Errorf("the old token: %v", err)
		}
	})
}

func TestWhatIsRefused(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, clock *quartz.Mock, sealer envelopetest.Sealer) {
		ctx := t.Context()
		k := ring(t, d, clock, sealer, "media", "worker")
		good, err := k.Token(ctx, "media", "gateway", "node-1", time.Hour, map[string]string{"org": "a"})
		if err != nil {
			t.Fatal(err)
		}
		c, err := k.Verify(ctx, good, "gateway", "worker", "media")
		if err != nil || c.Subject != "node-1" || c.Data["org"] != "a" || c.Issuer != "parley:media" {
			t.Fatalf("%+v: %v", c, err)
		}
		kid := kidOf(t, good)
		public := published(t, k)[kid]
		_, stranger, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		claims := func() jwt.MapClaims {
			now := clock.Now()
			return jwt.MapClaims{"iss": "parley:media", "aud": "gateway", "sub": "x", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
		}
		sign := func(m jwt.SigningMethod, kid string, with any, c jwt.MapClaims) string {
			tok := jwt.NewWithClaims(m, c)
			if kid != "" {
				tok.Header["kid"] = kid
			}
			s, err := tok.SignedString(with)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(good, ".")
		forged := base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"parley:media","aud":"gateway","exp":99999999999}`))
		for name, token := range map[string]string{
			"empty":                          "",
			"no token":                       "a.b.c",
			"without a signature":            sign(jwt.SigningMethodNone, kid, jwt.UnsafeAllowNoneSignatureType, claims()),
			"HMAC with the public key":       sign(jwt.SigningMethodHS256, kid, []byte(public), claims()),
			"HMAC with the public key's PEM": sign(jwt.SigningMethodHS256, kid, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), claims()),
			"signed by a stranger":           sign(jwt.SigningMethodEdDSA, kid, stranger, claims()),
			"an unknown key":                 sign(jwt.SigningMethodEdDSA, "nobody", stranger, claims()),
			"no key named":                   sign(jwt.SigningMethodEdDSA, "", stranger, claims()),
			"other claims":                   parts[0] + "." + forged + "." + parts[2],
			"cut":                            good[:len(good)-4],
		} {
			if _, err := k.Verify(ctx, token, "gateway", "media"); !fault.Is(err, fault.Unauthorized) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := k.Verify(ctx, good, "worker", "media"); !fault.Is(err, fault.Unauthorized) {
			t.Errorf("for another audience: %v", err)
		}
		if _, err := k.Verify(ctx, good, "gateway", "worker"); !fault.Is(err, fault.Unauthorized) {
			t.Errorf("by another role: %v", err)
		}
		clock.Advance(2 * time.Hour)
		if _, err := k.Verify(ctx, good, "gateway", "media"); !fault.Is(err, fault.Unauthorized) {
			t.Errorf("after its time: %v", err)
		}
		if _, err := k.Token(ctx, "gateway", "media", "x", time.Hour, nil); err == nil {
			t.Error("a process signed for a role that is not its own")
		}
		if _, err := k.Token(ctx, "media", "gateway", "x", 30*day, nil); err == nil {
			t.Error("a token outlives its key")
		}
	})
}

func TestBytes(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, clock *quartz.Mock, sealer envelopetest.Sealer) {
		ctx := t.Context()
		s := ring(t, d, clock, sealer, "audit").Signer("audit")
		payload := []byte("2026-11-21 abcdef")
		kid, sig, err := s.Sign(ctx, payload)
		if err != nil {
			t.Fatal(err)
		}
		clock.Advance(200 * day)
		kid2, _, err := s.Sign(ctx, payload)
		if err != nil || kid2 == kid {
			t.Fatalf("%s: %v", kid2, err)
		}
		keys, err := s.PublicKeys(ctx)
		if err != nil || !ed25519.Verify(keys[kid], payload, sig) || keys[kid2] == nil {
			t.Errorf("an old signature cannot be verified (%d keys, %v)", len(keys), err)
		}
		if published(t, ring(t, d, clock, sealer))[kid] != nil {
			t.Error("an old key is still published for tokens")
		}
	})
}

// Keys in the database are of no use without the master key, and cannot be exchanged.
func TestKeysAreSealed(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, clock *quartz.Mock, sealer envelopetest.Sealer) {
		ctx := t.Context()
		ring(t, d, clock, sealer, "media", "worker")
		k, err := signing.New(signing.Config{DB: d, Sealer: envelopetest.New(8), Roles: []string{"media"}, Clock: clock})
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Rotate(ctx); err == nil {
			t.Error("another master key opened the keys")
		}
		err = d.InSystem(ctx, "test", func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.ExecContext(ctx, "UPDATE signing_keys SET role = 'worker', signs_from = signs_from + 1 WHERE role = 'media'")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		k, err = signing.New(signing.Config{DB: d, Sealer: sealer, Roles: []string{"worker"}, Clock: clock})
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Rotate(ctx); err == nil {
			t.Error("a key of one role became another's")
		}
	})
}

// Keys that a process has for itself: two of a role sign with different ones, nobody can read them from the database, and the
// next run of a process has new ones. Everybody knows them at once.
func TestKeysOfOneProcess(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, clock *quartz.Mock, sealer envelopetest.Sealer) {
		alone := func(role string) *signing.Keyring {
			k, err := signing.New(signing.Config{DB: d, Sealer: sealer, Roles: []string{role}, Alone: true, Clock: clock})
			if err != nil {
				t.Fatal(err)
			}
			if err := k.Rotate(t.Context()); err != nil {
				t.Fatal(err)
			}
			return k
		}
		media := alone("media")
		clock.Advance(time.Second)
		gateways := []*signing.Keyring{alone("gateway"), alone("gateway")} // in the same millisecond
		kids := map[string]bool{}
		for _, g := range gateways {
			token, err := g.Token(t.Context(), "gateway", "media.1", "ann", time.Minute, nil)
			if err != nil {
				t.Fatal(err)
			}
			kids[kidOf(t, token)] = true
			if c, err := media.Verify(t.Context(), token, "media.1", "gateway"); err != nil || c.Subject != "ann" {
				t.Errorf("%+v %v", c, err)
			}
			for _, bad := range []struct{ audience, role string }{{"media.2", "gateway"}, {"media.1", "media"}, {"media.1", "worker"}} {
				if _, err := media.Verify(t.Context(), token, bad.audience, bad.role); !fault.Is(err, fault.Unauthorized) {
					t.Errorf("it passes for %+v: %v", bad, err)
				}
			}
			if _, err := g.Token(t.Context(), "media", "gateway", "ann", time.Minute, nil); err == nil {
				t.Error("a gateway signs for the media role")
			}
			clock.Advance(time.Second) // the second key was not asked for with the first
		}
		if len(kids) != 2 {
			t.Errorf("keys: %v", kids)
		}
		var kept int
		if err := d.ReadSystem(t.Context(), "test", func(ctx context.Context, tx *db.Tx) error {
			return tx.NewRaw(`SELECT count(*) FROM signing_keys WHERE private_key IS NOT NULL`).Scan(ctx, &kept)
		}); err != nil || kept != 0 {
			t.Errorf("%d private halves are in the database: %v", kept, err)
		}
		// It goes on through its rotations.
		g := gateways[0]
		for range 45 {
			clock.Advance(day)
			if err := g.Rotate(t.Context()); err != nil {
				t.Fatal(err)
			}
			token, err := g.Token(t.Context(), "gateway", "media.1", "ann", time.Minute, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := media.Verify(t.Context(), token, "media.1", "gateway"); err != nil {
				t.Fatal(err)
			}
			kids[kidOf(t, token)] = true
		}
		if len(kids) != 3 {
			t.Errorf("keys after 45 days: %v", kids)
		}
	})
}
