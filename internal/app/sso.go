package app

import (
	"context"

	"github.com/parley-voice/parley/internal/identity/scim"
	"github.com/parley-voice/parley/internal/identity/sso"
)

// buildSSO makes sign-on through identity providers, and their provisioning.
func (a *App) buildSSO() {
	a.sso = sso.New(sso.Config{
		DB: a.db, Directory: a.identity, Sealer: a.keyring, PublicURL: a.publicURL, Secure: a.cfg.secure(), PrivateNetworks: a.cfg.SSOPrivateNetworks, Outbound: a.outbound.rules, Strength: a.cfg.strength(),
		Clock: a.clock, Log: a.log,
	})
	a.onStop("single sign-on", func(context.Context) error { a.sso.Close(); return nil })
	a.scim = scim.New(scim.Config{DB: a.db, Directory: a.identity, Connections: a.sso, PublicURL: a.publicURL, Clock: a.clock, Log: a.log})
}
