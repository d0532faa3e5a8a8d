package app

import (
	"context"
	"fmt"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/secret"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
)

// openKeyring reads the data keys, with what the settings name as wrapping them.
func (a *App) openKeyring(ctx context.Context) (err error) {
	a.keyring, err = envelope.New(envelope.Config{
		DB: a.db, Wrapper: envelope.NewLocal(a.key), Clock: a.clock, Log: a.log,
		Audit: func(ctx context.Context, tx *db.Tx, org, action string, after any) error {
			trail := org
			if org == envelope.Installation || action == "key.shred" { // that organisation's own trail is about to go
				trail = identity.Platform
			}
			return identity.Audit(ctx, tx, trail, identity.Change{Action: action, Kind: "dataKey", ID: org, After: after})
		},
	})
	if err != nil {
		return err
	}
	old, err := a.sealedBefore(ctx)
	if err != nil {
		return err
	}
	return a.keyring.Start(ctx, old)
}

// sealedBefore gives the master key where it may have sealed something before there were data keys.
func (a *App) sealedBefore(ctx context.Context) (*secret.Key, error) {
	var n int64
	err := a.db.ReadSystem(ctx, "was anything sealed before", func(ctx context.Context, tx *db.Tx) error {
		for _, table := range []string{"organisations", "signing_keys"} {
			rows, err := tx.NewSelect().Table(table).Count(ctx)
			if err != nil {
				return err
			}
			n += rows
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("was anything sealed before: %w", err)
	}
	if n == 0 {
		return nil, nil
	}
	return a.key, nil
}

// runKeyring keeps what is in memory of data keys true.
func (a *App) runKeyring(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	over := make(chan struct{})
	go func() { defer close(over); a.keyring.Run(ctx) }()
	a.onStop("data keys", func(context.Context) error { cancel(); <-over; return nil })
}
