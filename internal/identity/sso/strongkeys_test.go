package sso_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/parley-voice/parley/internal/identity/sso"
	"github.com/parley-voice/parley/internal/platform/secret/envelope/envelopetest"
	"github.com/parley-voice/parley/internal/platform/strength"
)

// Where 128 bits are wanted a provider that signs with RSA 2048 is told so, at the trial and at a sign-in.
func TestWeakKeysOfAProvider(t *testing.T) {
	each(t, func(r *rig) {
		p := newProvider(t) // it has RSA 2048
		c := r.connect(r.owner, p.connection(), "corp.example")
		if trial, err := r.sso.Test(r.as(r.owner), r.owner.OrgID, c.ID); err != nil || !trial.OK {
			t.Fatalf("with 112 bits: %+v, %v", trial, err)
		}
		strong := sso.New(sso.Config{DB: r.db, Directory: r.ident, Sealer: envelopetest.New(7), Resolver: r.dns, PublicURL: func() string { return r.web.URL },
			PrivateNetworks: true, Clock: r.clock, Log: slog.New(slog.DiscardHandler), Strength: strength.Bits128})
		t.Cleanup(strong.Close)
		trial, err := strong.Test(r.as(r.owner), r.owner.OrgID, c.ID)
		if err != nil || trial.OK || !strings.Contains(trial.Checks[0].Message, "2048 bits") {
			t.Errorf("with 128 bits: %+v, %v", trial, err)
		}
		if _, _, err := strong.Start(t.Context(), "ben@corp.example", "/", ""); err == nil || !strings.Contains(err.Error(), "2048 bits") {
			t.Errorf("a sign-in: %v", err)
		}
	})
}
