package app_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/agent"
	"github.com/parley-voice/parley/internal/app"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/identity/sso"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
	"github.com/parley-voice/parley/internal/platform/secret/signing"
	"github.com/parley-voice/parley/internal/platform/secret/vault"
	"github.com/parley-voice/parley/internal/telephony"
)

// unsealed opens every value that an installation keeps sealed, as who has the wrapping key can, and adds each to what is
// listened for: also what nobody planted, because the server made it.
func unsealed(t *testing.T, c app.Config, secrets map[string]string) {
	t.Helper()
	ctx := t.Context()
	d, err := db.Open(ctx, db.Config{DataDir: c.DataDir})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close() //nolint:errcheck // a test's
	w, err := vault.New(vault.Config{URL: c.KMS, Token: c.VaultToken})
	if err != nil {
		t.Fatal(err)
	}
	ring, err := envelope.New(envelope.Config{DB: d, Wrapper: w})
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Start(ctx, nil); err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, columns := range [][]envelope.Column{agent.Sealed(), telephony.Sealed(), identity.Sealed(), sso.Sealed(), signing.Sealed()} {
		for _, col := range columns {
			for i, v := range sealedValues(t, d, col) {
				var s envelope.Sealer = ring
				if col.Purpose != "" {
					s = ring.Box(col.Purpose)
				}
				plain, err := s.Open(ctx, v.org, v.sealed, col.AAD(v.org, v.key))
				if err != nil {
					t.Fatalf("%s does not open: %v", col.Table, err)
				}
				found[col.Table]++
				added(secrets, fmt.Sprintf("%s, sealed %d", col.Table, i), plain)
			}
		}
	}
	for _, table := range []string{"models", "phones", "trunks", "totp_factors", "sso_connections", "signing_keys"} {
		if found[table] == 0 {
			t.Errorf("nothing is sealed in %s", table)
		}
	}
}

// added has a value listened for, as it is and as it may be written. Of a PEM file it is what only the private half has.
func added(secrets map[string]string, what string, plain []byte) {
	if block, _ := pem.Decode(plain); block != nil {
		key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		if err != nil {
			secrets[what] = "" // is told as not planted
			return
		}
		lines := strings.Split(strings.TrimSpace(string(plain)), "\n")
		secrets[what+", a line of its file"] = lines[len(lines)-3]
		for i, n := range []*big.Int{key.D, key.Primes[0], key.Primes[1]} {
			secrets[fmt.Sprint(what, ", number ", i)] = string(n.Bytes())
			secrets[fmt.Sprint(what, ", number in hex ", i)] = hex.EncodeToString(n.Bytes())
		}
		return
	}
	secrets[what] = string(plain)
	secrets[what+" in hex"] = hex.EncodeToString(plain)
	secrets[what+" in base64"] = strings.TrimRight(base64.StdEncoding.EncodeToString(plain), "=")
	secrets[what+" in base64 of addresses"] = base64.RawURLEncoding.EncodeToString(plain)
}

type sealedValue struct {
	org    string
	key    []string
	sealed []byte
}

// sealedValues reads a column.
func sealedValues(t *testing.T, d *db.DB, c envelope.Column) (out []sealedValue) {
	t.Helper()
	err := d.ReadSystem(t.Context(), "a test listens for what is sealed", func(ctx context.Context, tx *db.Tx) error {
		q := tx.NewSelect().Table(c.Table).Column(c.Column).Where("? IS NOT NULL", bun.Ident(c.Column))
		names := c.Key
		if c.Org != "" {
			names = append([]string{c.Org}, names...)
		}
		for _, n := range names {
			q = q.Column(n)
		}
		rows, err := q.Rows(ctx)
		if err != nil {
			return err
		}
		defer rows.Close() //nolint:errcheck // a test's
		for rows.Next() {
			v := sealedValue{org: envelope.Installation, key: make([]string, len(names))}
			to := []any{&v.sealed}
			for i := range names {
				to = append(to, &v.key[i])
			}
			if err := rows.Scan(to...); err != nil {
				return err
			}
			if c.Org != "" {
				v.org, v.key = v.key[0], v.key[1:]
			}
			if len(v.sealed) > 0 {
				v.sealed = bytes.Clone(v.sealed)
				out = append(out, v)
			}
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatalf("%s: %v", c.Table, err)
	}
	return out
}

// samlMetadata describes an identity provider that nobody will ask.
func samlMetadata(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "campus"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return `<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="https://campus.example.com"><IDPSSODescriptor ` +
		`protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"><KeyDescriptor use="signing"><KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#">` +
		`<X509Data><X509Certificate>` + base64.StdEncoding.EncodeToString(der) + `</X509Certificate></X509Data></KeyInfo></KeyDescriptor>` +
		`<SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://campus.example.com/sso"/></IDPSSODescriptor></EntityDescriptor>`
}
