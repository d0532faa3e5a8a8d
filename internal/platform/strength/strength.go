// Package strength judges the keys that others bring, as in certificates of a web server or of an identity provider: at
// least 112 bits of security (NIST SP 800-57 part 1 revision 5, table 2), which is RSA of 2048 bits and curves of 224; or,
// where an installation wants it, 128 bits, which is RSA of 3072 bits and curves of 256.
package strength

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// Level is how strong keys must be.
type Level int

// The levels. What public authorities still issue most has 112 bits.
const (
	Bits112 Level = iota
	Bits128
)

const curveBits = 256 // no curve between 224 and 256 is used in certificates

// RSA is how many bits an RSA key of that strength has.
func (l Level) RSA() int {
	if l == Bits128 {
		return 3072
	}
	return 2048
}

// Key says why a public key is too weak, or of a kind that cannot be judged.
func (l Level) Key(key crypto.PublicKey) error {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < l.RSA() {
			return fmt.Errorf("its RSA key has %d bits, which is too weak; use RSA with %d bits or more, or the curve P-256", n, l.RSA())
		}
	case *ecdsa.PublicKey:
		if p := k.Params(); p.BitSize < curveBits {
			return fmt.Errorf("its key is on the curve %s, which is too weak; use P-256 or RSA with %d bits", p.Name, l.RSA())
		}
	case ed25519.PublicKey:
	default:
		return fmt.Errorf("its key is of a kind (%T) that is not used here; use RSA with %d bits or the curve P-256", key, l.RSA())
	}
	return nil
}

// Certificate says why a certificate is too weak: its key, or the hash it is signed with.
func (l Level) Certificate(c *x509.Certificate) error {
	switch c.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		// Its own signature on a certificate says nothing about it: trust is in the certificate itself.
		if c.Subject.String() != c.Issuer.String() {
			return fmt.Errorf("it is signed with %s, which is broken; get one that is signed with SHA-256", c.SignatureAlgorithm)
		}
	}
	return l.Key(c.PublicKey)
}

// Peer refuses a peer whose certificate is too weak, for tls.Config.VerifyConnection. One that shows none is not judged.
func (l Level) Peer(st tls.ConnectionState) error {
	if len(st.PeerCertificates) == 0 {
		return nil
	}
	if err := l.Certificate(st.PeerCertificates[0]); err != nil {
		return errors.Join(errors.New("the peer's certificate is not taken"), err)
	}
	return nil
}
