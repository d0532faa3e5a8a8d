package identity_test

import (
	"context"
	"strings"
	"testing"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
)

// Whoever does not say otherwise keeps passwords at the usual cost, and passwords kept at another one go on to work.
func TestUsualCostOfAPassword(t *testing.T) {
	each(t, func(t *testing.T, s *identity.Service, d *db.DB, clock *quartz.Mock) {
		ctx := t.Context()
		acc, err := s.CreateOwner(ctx, owner)
		if err != nil {
			t.Fatal(err)
		}
		usual, err := identity.New(identity.Config{DB: d, Clock: clock})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(usual.Close)
		if _, _, err := usual.SignIn(ctx, owner.Email, owner.Password, "192.0.2.7"); err != nil {
			t.Errorf("a password of another cost: %v", err)
		}
		made, err := usual.CreateOrganisation(ctx, identity.NewOrganisation{Name: "Shop", OwnerEmail: "bert@example.com", Password: password})
		if err != nil {
			t.Fatal(err)
		}
		for id, want := range map[string]string{made.User.ID: "$argon2id$v=19$m=65536,t=3,p=1$", acc.User.ID: "$argon2id$v=19$m=64,t=1,p=1$"} {
			var hash string
			err := d.ReadSystem(ctx, "test", func(ctx context.Context, tx *db.Tx) error {
				return tx.NewSelect().TableExpr("users").Column("password_hash").Where("id = ?", id).Scan(ctx, &hash)
			})
			if err != nil || !strings.HasPrefix(hash, want) {
				t.Errorf("kept as %q, want %q...: %v", hash, want, err)
			}
		}
	})
}
