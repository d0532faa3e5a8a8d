package compliance

import (
	"context"
	"fmt"
	"slices"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/hashchain"
)

// Keys gives every public key that signed something of an organisation, and the one that signs now: the key set for
// [Verify].
func (s *Service) Keys(ctx context.Context, org string) ([]JWK, error) {
	now, err := s.cfg.Signer.Sign([]byte("parley-key-1\n"))
	if err != nil {
		return nil, fmt.Errorf("ask for the signing key: %w", err)
	}
	keys := []JWK{hashchain.NewJWK(now.KeyID, hashchain.Encode64(now.Public))}
	c := chain{s.cfg.DB, org}
	type key struct {
		KeyID     string `bun:"key_id"`
		PublicKey string `bun:"public_key"`
	}
	var used, more []key
	err = c.read(ctx, "list the keys of the platform log", func(ctx context.Context, tx *db.Tx) error {
		err := tx.NewSelect().Distinct().TableExpr("?", bun.Ident(c.table("audit_heads"))).Column("key_id", "public_key").
			Where("organisation_id = ?", org).OrderExpr("key_id").Scan(ctx, &used)
		if err != nil || c.platform() {
			return err
		}
		err = tx.NewSelect().Distinct().TableExpr("erasures").Column("key_id", "public_key").
			Where("organisation_id = ? AND state = ?", org, stateDone).OrderExpr("key_id").Scan(ctx, &more)
		used = append(used, more...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the signing keys: %w", err)
	}
	for _, u := range used {
		if k := hashchain.NewJWK(u.KeyID, u.PublicKey); !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys, nil
}
