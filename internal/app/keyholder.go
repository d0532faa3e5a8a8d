package app

import (
	"context"

	"github.com/google/uuid"

	"github.com/parley-voice/parley/internal/platform/secret/keyholder"
)

// findKeyholder joins a process that has no master key to those that wrap data keys for it. It needs the bus, and its own
// signing key to be known by: both of which need no data key.
func (a *App) findKeyholder(ctx context.Context) (err error) {
	if err := a.startSigning(ctx); err != nil {
		return err
	}
	if err := a.startBus(ctx); err != nil {
		return err
	}
	a.holders, err = keyholder.Find(ctx, keyholder.AskerConfig{
		Bus: a.bus, Signing: a.signing, Role: a.cfg.Role, Holders: []string{roleWorker}, Clock: a.clock, Log: a.log,
	})
	return err
}

// holdKeys answers those processes. Workers do: nothing from outside the installation reaches them.
func (a *App) holdKeys(ctx context.Context) error {
	if !a.cfg.split() {
		return nil
	}
	if a.cfg.Role != roleWorker {
		if a.cfg.Role == roleGateway && a.key != nil {
			a.log.Warn("this gateway has the master key, which it does not need: take the setting key away, and it asks workers (docs/roles.md)")
		}
		return nil
	}
	current, _, err := a.wrappers(ctx)
	if err != nil {
		return err
	}
	return keyholder.Serve(ctx, keyholder.HolderConfig{
		Bus: a.bus, Signing: a.signing, Role: roleWorker, Self: uuid.NewString(), Askers: []string{roleGateway, roleMedia},
		Current: current.ID(), Wrapper: a.keyring.WrapperOf, Log: a.log,
	})
}
