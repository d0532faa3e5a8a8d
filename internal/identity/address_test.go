package identity_test

import (
	"context"
	"testing"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// An organisation is called by its address, which is its own.
func TestAddress(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := context.Background()
		at := func(address string) string {
			org, err := w.s.AtAddress(ctx, address)
			if err != nil && !fault.Is(err, fault.NotFound) {
				w.Fatal(err)
			}
			return org
		}
		if at("shop") != w.shop || at("nobody") != "" || at("Shop") != "" || at("") != "" {
			w.Fatalf("shop %q, nobody %q", at("shop"), at("nobody"))
		}
		second, err := w.s.CreateOrganisation(ctx, identity.NewOrganisation{Name: "Shop!", OwnerEmail: "bert@example.com"})
		w.must(err)
		if w.me(w.anna).AgentSuffix != "" || w.me(w.bert).AgentSuffix != ".shop" {
			w.Fatalf("suffixes %q, %q", w.me(w.anna).AgentSuffix, w.me(w.bert).AgentSuffix)
		}
		if at("shop-2") != second.Organisation.ID {
			w.Fatal("the second shop has no address of its own")
		}

		mine, err := w.s.Session(ctx, w.bert.cookie)
		w.must(err)
		change := func(address string) error {
			_, err := w.s.UpdateOrganisation(ctx, mine, identity.OrganisationChange{Address: &address})
			return err
		}
		for _, bad := range []string{"shop-2", "", "a.b", "-a", "Ä", "a b"} {
			if err := change(bad); !fault.Is(err, fault.Invalid) {
				w.Errorf("address %q: %v", bad, err)
			}
		}
		w.must(change("shop"))
		w.must(change("corner-shop"))
		if at("corner-shop") != w.shop || at("shop") != "" {
			w.Fatal("the organisation is not where it moved")
		}
	})
}
