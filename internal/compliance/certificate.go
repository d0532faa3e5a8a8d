package compliance

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/hashchain"
)

// Certificate is a document with the installation's signature: Ed25519 over the purpose, a line feed, and the document's JSON
// without spaces.
type Certificate struct {
	Purpose   string          `json:"purpose"`
	Document  json.RawMessage `json:"document"`
	KeyID     string          `json:"keyId"`
	PublicKey string          `json:"publicKey"`
	Signature string          `json:"signature"`
}

// Certify signs a document.
func (s *Service) Certify(purpose string, document any) (Certificate, error) {
	text, err := json.Marshal(document)
	if err != nil {
		return Certificate{}, err
	}
	sig, err := s.cfg.Signer.Sign(append([]byte(purpose+"\n"), text...))
	if err != nil {
		return Certificate{}, fmt.Errorf("sign the certificate: %w", err)
	}
	return Certificate{Purpose: purpose, Document: text, KeyID: sig.KeyID, PublicKey: hashchain.Encode64(sig.Public), Signature: hashchain.Encode64(sig.Bytes)}, nil
}

// CheckCertificate proves a certificate of a purpose, offline. keys are those that are trusted; with none it is proved to be by
// the key that it names.
func CheckCertificate(b []byte, purpose string, keys []JWK) (Certificate, error) {
	var c Certificate
	if err := json.Unmarshal(b, &c); err != nil || c.Purpose != purpose {
		return c, fault.New(fault.Invalid, "this is no certificate of the kind %s", purpose)
	}
	if c.Document = compact(c.Document); len(c.Document) == 0 { // a file may have been laid out for people
		return c, fault.New(fault.Invalid, "the certificate has no document")
	}
	if why := hashchain.CheckSignature(append([]byte(purpose+"\n"), c.Document...), c.KeyID, c.PublicKey, c.Signature); why != "" {
		return c, fault.New(fault.Invalid, "the certificate does not hold: %s", why)
	}
	for _, k := range keys {
		if k.KeyID == c.KeyID && k.X == c.PublicKey && k.Curve == "Ed25519" {
			return c, nil
		}
	}
	if len(keys) > 0 {
		return c, fault.New(fault.Invalid, "the certificate is by key %s, which is not in the key set", c.KeyID)
	}
	return c, nil
}

// HoldsInForce counts the legal holds of an organisation that keep data from being deleted.
func (s *Service) HoldsInForce(ctx context.Context, org string) (n int64, err error) {
	err = s.cfg.DB.ReadTenant(ctx, org, func(ctx context.Context, tx *db.Tx) error {
		n, err = tx.NewSelect().Model((*holdRow)(nil)).Where("h.organisation_id = ? AND h.released_at IS NULL", org).Count(ctx)
		return err
	})
	return n, err
}
