package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/parley-voice/parley/internal/agent"
	"github.com/parley-voice/parley/internal/campaign"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/identity/sso"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/jobs"
	"github.com/parley-voice/parley/internal/platform/secret"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
	"github.com/parley-voice/parley/internal/platform/secret/signing"
	"github.com/parley-voice/parley/internal/telephony"
)

// openKeyring reads the data keys, with what the settings name as wrapping them.
func (a *App) openKeyring(ctx context.Context) error {
	current, previous, err := a.wrappers(ctx)
	if err != nil {
		return err
	}
	a.keyring, err = a.newKeyring(ctx, current, previous)
	return err
}

func (a *App) newKeyring(ctx context.Context, current envelope.Wrapper, previous []envelope.Wrapper) (*envelope.Keyring, error) {
	k, err := envelope.New(envelope.Config{
		DB: a.db, Wrapper: current, Previous: previous, Find: a.findWrapper, Clock: a.clock, Log: a.log,
		Audit: func(ctx context.Context, tx *db.Tx, org, action string, after any) error {
			trail := org
			if org == envelope.Installation || action == "key.shred" { // that organisation's own trail is about to go
				trail = identity.Platform
			}
			return identity.Audit(ctx, tx, trail, identity.Change{Action: action, Kind: "dataKey", ID: org, After: after})
		},
	})
	if err != nil {
		return nil, err
	}
	if err := k.Start(ctx, a.sealedBefore); err != nil {
		return nil, fmt.Errorf("data keys: %w", err)
	}
	return k, nil
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
	if n > 0 && a.key == nil {
		return nil, fault.New(fault.Invalid, "this installation's secrets were sealed by its master key: give it as PARLEY_KEY, or put the key file into %s, for the first start with a key service", a.cfg.DataDir)
	}
	if n == 0 {
		return nil, nil
	}
	return a.key, nil
}

// keptSecret gives a secret that outlives the master key. An installation of before derived it from that.
func (a *App) keptSecret(ctx context.Context, name string) ([]byte, error) {
	var first []byte
	if old := a.keyring.Legacy(); old != nil {
		first = old.Derive(name)
	}
	return a.keyring.Kept(ctx, name, first)
}

// archiveKey encrypts the audit trails of before that an import brought along.
func (a *App) archiveKey(ctx context.Context) (*secret.Key, error) {
	b, err := a.keptSecret(ctx, "audit archives")
	if err != nil {
		return nil, err
	}
	return secret.NewKey(b)
}

// runKeyring keeps what is in memory of data keys true.
func (a *App) runKeyring(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	over := make(chan struct{})
	go func() { defer close(over); a.keyring.Run(ctx) }()
	a.onStop("data keys", func(context.Context) error { cancel(); <-over; return nil })
}

// sealedEverywhere lists everything that is stored sealed and stays.
func sealedEverywhere() (out []envelope.Column) {
	for _, c := range [][]envelope.Column{agent.Sealed(), telephony.Sealed(), campaign.Sealed(), identity.Sealed(), sso.Sealed(), signing.Sealed()} {
		out = append(out, c...)
	}
	return out
}

// tendKeys is the hourly job that seals anew what is under old versions of data keys, and retires those.
type tendKeys struct{}

// Kind implements jobs.Args.
func (tendKeys) Kind() string { return "keys.tend" }

func (a *App) tendKeys(ctx context.Context) error {
	if files, err := a.resealFiles(ctx, resealMost); err != nil && ctx.Err() == nil {
		a.log.Error("files of calls are not encrypted anew; it is tried again in an hour", "done", files, "error", err)
	} else if files > 0 {
		a.log.Info("files of calls were encrypted anew", "files", files)
	}
	done, err := a.keyring.Tend(ctx, envelope.Tending{Columns: sealedEverywhere(), Uses: a.records.UsesKey})
	if done != (envelope.Tended{}) {
		a.log.Info("data keys tended", "resealed", done.Resealed, "rewrapped", done.Rewrapped, "retired", done.Retired, "deleted", done.Deleted, "failed", done.Failed)
	}
	return err
}

// resealMost is how many files of calls are written anew in one run: about the load of so many calls that end.
const (
	resealMost          = 1000
	resealOrganisations = 100
)

// resealFiles encrypts files of calls anew that are under older versions of data keys, up to most of them. Organisations that are
// moving come later.
func (a *App) resealFiles(ctx context.Context, most int) (files int, all error) {
	for after := ""; files < most; {
		orgs, err := a.identity.OrganisationIDs(ctx, after, resealOrganisations)
		if err != nil || len(orgs) == 0 {
			return files, errors.Join(all, err)
		}
		for _, org := range orgs {
			after = org
			if at, err := a.db.Residence(ctx, org); err != nil || at.Moving {
				all = errors.Join(all, err)
				continue
			}
			n, err := a.records.ResealFiles(ctx, org, most-files)
			files += n
			if err != nil && !db.IsGone(err) { // one that is away does not keep the others from their turn
				all = errors.Join(all, fmt.Errorf("files of %s: %w", org, err))
			}
			if ctx.Err() != nil || files >= most {
				return files, errors.Join(all, ctx.Err())
			}
		}
	}
	return files, all
}

func (a *App) startTending() error {
	long := jobs.KindConfig{Timeout: complianceTimeout}
	if err := jobs.Register(a.jobs, long, func(ctx context.Context, _ string, _ tendKeys) error { return a.tendKeys(ctx) }); err != nil {
		return err
	}
	return jobs.Every(a.jobs, time.Hour, tendKeys{})
}

// KeyStatus tells what there is of data keys.
func (a *Admin) KeyStatus(ctx context.Context) (envelope.Status, error) {
	return a.app.keyring.Status(ctx)
}

// RotateOrganisationKey makes a new version of an organisation's data key and seals its values anew. It gives the version
// and how many values were sealed; the hourly job does the rest, should this be interrupted.
func (a *Admin) RotateOrganisationKey(ctx context.Context, orgID string) (version int64, resealed int, err error) {
	if orgID != envelope.Installation {
		known := false
		err := a.app.db.ReadSystem(ctx, "is there such an organisation", func(ctx context.Context, tx *db.Tx) (err error) {
			known, err = tx.NewSelect().Table("organisations").Where("id = ?", orgID).Exists(ctx)
			return err
		})
		if err != nil {
			return 0, 0, err
		}
		if !known {
			return 0, 0, fault.New(fault.NotFound, "there is no organisation %q; give its id, or %s", orgID, envelope.Installation)
		}
	}
	if version, err = a.app.keyring.Rotate(ctx, orgID); err != nil {
		return 0, 0, err
	}
	done, err := a.app.keyring.Reseal(ctx, orgID, sealedEverywhere())
	if err == nil && done.Failed > 0 {
		err = fault.New(fault.NotPossible, "%d values do not open, so they stay under the version they are under; the log says which", done.Failed)
	}
	return version, done.Resealed, err
}

// RotateKey wraps all data keys with what the settings name, where another key wraps them now. Where it is the key file
// already, a new one is made:
//
//	key.next is made; it wraps; key becomes key.previous and key.next becomes key
//
// Wherever that is interrupted every key is in one of the files, which all processes look for, and the next call goes on.
func (a *Admin) RotateKey(ctx context.Context, told func(done int)) (wrapper string, n int, err error) {
	app := a.app
	dir := app.cfg.DataDir
	status, err := app.keyring.Status(ctx)
	if err != nil {
		return "", 0, err
	}
	if app.cfg.asksForKeys() {
		return "", 0, fault.New(fault.NotPossible, "this process has no master key: run this with a worker's settings")
	}
	if !app.cfg.keyIsFile() {
		if status.Wrapper == status.Settings && len(status.Wrappers) <= 1 {
			return "", 0, fault.New(fault.NotPossible,
				"%s wraps all data keys already: give the new master key as PARLEY_KEY and this one as PARLEY_KEY_PREVIOUS, or another key service, to all processes, then run this again", status.Wrapper)
		}
		n, err := app.keyring.Rewrap(ctx, told)
		return status.Settings, n, err
	}
	next, err := secret.LoadKeyFile(filepath.Join(dir, keyFileNext)) // of an interrupted call, or a new one
	if err != nil {
		return "", 0, err
	}
	current, previous, err := app.wrappers(ctx)
	if err != nil {
		return "", 0, err
	}
	ring, err := app.newKeyring(ctx, envelope.NewLocal(next), append(previous, current))
	if err != nil {
		return "", 0, err
	}
	if n, err = ring.Rewrap(ctx, told); err != nil {
		return "", n, err
	}
	return envelope.NewLocal(next).ID(), n, replaceKeyFile(dir)
}

// replaceKeyFile puts key.next into the place of key, and keeps that as key.previous. There is a key at every moment.
func replaceKeyFile(dir string) error {
	key, previous := filepath.Join(dir, keyFile), filepath.Join(dir, keyFilePrevious)
	if err := os.Remove(previous); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("replace the key file: %w", err)
	}
	if err := os.Link(key, previous); err != nil {
		return fmt.Errorf("keep the previous key file: %w", err)
	}
	if err := os.Rename(filepath.Join(dir, keyFileNext), key); err != nil {
		return fmt.Errorf("replace the key file: %w", err)
	}
	return nil
}
