package strength_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"

	"github.com/parley-voice/parley/internal/platform/strength"
)

// modulus is an RSA key of n bits; only its length counts here.
func modulus(n uint) *rsa.PublicKey {
	return &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), n-1), E: 65537}
}

func TestKeys(t *testing.T) {
	curve := func(c elliptic.Curve) crypto.PublicKey {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return &k.PublicKey
	}
	pub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key    crypto.PublicKey
		ok     bool // with 112 bits
		strong bool // with 128
	}{
		"RSA 1024": {modulus(1024), false, false}, "RSA 2047": {modulus(2047), false, false}, "RSA 2048": {modulus(2048), true, false},
		"RSA 3071": {modulus(3071), true, false}, "RSA 3072": {modulus(3072), true, true}, "RSA 4096": {modulus(4096), true, true},
		"P-224": {curve(elliptic.P224()), false, false}, "P-256": {curve(elliptic.P256()), true, true}, "P-384": {curve(elliptic.P384()), true, true},
		"Ed25519": {pub, true, true}, "nothing": {nil, false, false},
	} {
		if err := strength.Bits112.Key(c.key); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err := strength.Bits128.Key(c.key); (err == nil) != c.strong {
			t.Errorf("%s, with 128 bits: %v", name, err)
		}
	}
	a, b := pkix.Name{CommonName: "a"}, pkix.Name{CommonName: "b"}
	for name, c := range map[string]struct {
		cert x509.Certificate
		ok   bool
	}{
		"SHA-256":           {x509.Certificate{Subject: a, Issuer: b, SignatureAlgorithm: x509.SHA256WithRSA, PublicKey: modulus(2048)}, true},
		"SHA-1 by another":  {x509.Certificate{Subject: a, Issuer: b, SignatureAlgorithm: x509.SHA1WithRSA, PublicKey: modulus(2048)}, false},
		"SHA-1 by itself":   {x509.Certificate{Subject: a, Issuer: a, SignatureAlgorithm: x509.SHA1WithRSA, PublicKey: modulus(2048)}, true},
		"weak, and SHA-256": {x509.Certificate{Subject: a, Issuer: b, SignatureAlgorithm: x509.SHA256WithRSA, PublicKey: modulus(1024)}, false},
	} {
		if err := strength.Bits112.Certificate(&c.cert); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err := strength.Bits112.Peer(tls.ConnectionState{PeerCertificates: []*x509.Certificate{&c.cert}}); (err == nil) != c.ok {
			t.Errorf("a peer with %s: %v", name, err)
		}
	}
}
