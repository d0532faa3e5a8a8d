package app

import (
	"context"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/jobs"
)

// openDatabase is what the command line shares with the server.
func (a *App) openDatabase(ctx context.Context) (err error) {
	if a.key, err = a.cfg.masterKey(); err != nil {
		return err
	}
	a.db, err = db.Open(ctx, db.Config{URL: a.cfg.DatabaseURL, DataDir: a.cfg.DataDir, Clock: a.clock, Log: a.log, Audit: a.metrics.systemDoor,
		Regions: a.cfg.regions(), MaxOpen: a.cfg.OpenDatabases, OwnConns: a.cfg.OwnConnections, Followers: []db.Follower{&a.files}, Moved: a.moved})
	if err != nil {
		return err
	}
	a.onStop("database", func(context.Context) error { return a.db.Close() })
	if err := a.db.Migrate(ctx, migrations()...); err != nil {
		return err
	}
	if a.cfg.asksForKeys() {
		if err := a.findKeyholder(ctx); err != nil {
			return err
		}
	}
	return a.openKeyring(ctx)
}

func (a *App) startStorage(ctx context.Context) (err error) {
	if err := a.openDatabase(ctx); err != nil {
		return err
	}
	a.runKeyring(ctx)
	if a.signing == nil {
		if err := a.startSigning(ctx); err != nil {
			return err
		}
	}
	if a.cfg.is(roleWorker) {
		if err := a.db.ResumeMoves(ctx); err != nil { // the others need not wait for that organisation
			a.log.Error("an organisation that was being moved is out of reach; run parley org move again", "error", err)
		}
	}
	if a.jobs, err = jobs.Open(ctx, jobs.Config{DB: a.db, Log: a.log}); err != nil {
		return err
	}
	a.onStop("jobs", func(context.Context) error { return a.jobs.Close() })
	if a.cfg.is(roleWorker) { // whose database user owns the tables; the others wait for its streams on the bus
		if err := a.jobs.Migrate(ctx); err != nil {
			return err
		}
	}
	if err := a.cfg.checkAWS(ctx); err != nil {
		return err
	}
	if _, err = a.files.open(ctx); err != nil {
		return err
	}
	if a.search, err = a.openSearch(ctx); err != nil {
		return err
	}
	a.onStop("search", func(context.Context) error { return a.search.Close() })
	if a.bus != nil {
		return nil
	}
	if err := a.startBus(ctx); err != nil {
		return err
	}
	return a.holdKeys(ctx)
}
