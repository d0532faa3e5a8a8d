package envelope

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret"
)

// errShredded says that an organisation's keys were destroyed on purpose.
func errShredded(org string) error {
	return fault.New(fault.NotPossible, "the data keys of organisation %s were destroyed; nothing is sealed for it any more", org)
}

func isShredded(err error) bool { return fault.Is(err, fault.NotPossible) }

// fingerprint tells keys apart without telling anything of them.
func fingerprint(k *secret.Key) string {
	sum := sha256.Sum256(k.Derive("data key fingerprint"))
	return hex.EncodeToString(sum[:16])
}

// wrapper gives what has an id.
func (k *Keyring) wrapper(id string) (Wrapper, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if w := k.wrappers[id]; w != nil {
		return w, nil
	}
	if k.c.Find != nil {
		w, err := k.c.Find(id)
		if err != nil {
			return nil, err
		}
		if w != nil && w.ID() == id {
			k.wrappers[id] = w
			return w, nil
		}
	}
	return nil, fault.New(fault.Unavailable, "data keys are wrapped by %s, which is not what the settings name (%s): give that master key or key service too, as the previous one, or restore the key file",
		id, k.c.Wrapper.ID())
}

// WrapperOf gives what has an id, of those that this process has: to answer for processes that have none.
func (k *Keyring) WrapperOf(id string) (Wrapper, error) { return k.wrapper(id) }

// final reports whether trying again will not help.
func final(err error) bool {
	return fault.Is(err, fault.Forbidden) || fault.Is(err, fault.NotFound) || errors.Is(err, secret.ErrOpen)
}

// active gives the key that an organisation's values are sealed under, and makes the first one.
func (k *Keyring) active(ctx context.Context, org string) (*dataKey, error) {
	if d := k.cache.activeOf(org, k.c.Clock.Now()); d != nil {
		return d, nil
	}
	if org == "" {
		return nil, errors.New("envelope: a value of no organisation")
	}
	d, err := k.load(ctx, "active "+org, "organisation_id = ? AND state = ?", org, stateActive)
	if err != nil || d != nil {
		return d, err
	}
	r, err := k.add(ctx, org, false)
	if err != nil {
		return nil, err
	}
	return k.unwrap(ctx, r)
}

// byID gives one version of an organisation's key.
func (k *Keyring) byID(ctx context.Context, org string, id KeyID) (*dataKey, error) {
	if d := k.cache.get(org, id, k.c.Clock.Now()); d != nil {
		return d, nil
	}
	d, err := k.load(ctx, id.String()+" "+org, "organisation_id = ? AND key_id = ?", org, id.String())
	if err == nil && d == nil {
		err = ErrNoKey
	}
	return d, err
}

// load reads and unwraps a key, once for all who ask at the same time; nil when there is none.
func (k *Keyring) load(ctx context.Context, name, where string, args ...any) (*dataKey, error) {
	ch := k.flight.DoChan(name, func() (any, error) {
		// Whoever asked first may be gone before the others have their answer.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), wrapTimeout)
		defer cancel()
		var r keyRow
		var found *keyRow
		err := k.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
			found, err = noRow(&r, tx.NewSelect().Model(&r).Where(where, args...).Scan(ctx))
			return err
		})
		if err != nil || found == nil {
			return (*dataKey)(nil), err
		}
		return k.unwrap(ctx, found)
	})
	select {
	case res := <-ch:
		if res.Err != nil {
			return nil, fmt.Errorf("data key: %w", res.Err)
		}
		return res.Val.(*dataKey), nil
	case <-ctx.Done():
		return nil, fault.Wrap(fault.Timeout, ctx.Err(), "the organisation's data key could not be had in time")
	}
}

// unwrap opens a row's key and keeps it in memory.
func (k *Keyring) unwrap(ctx context.Context, r *keyRow) (*dataKey, error) {
	d, err := k.open(ctx, r)
	if err != nil {
		return nil, err
	}
	k.cache.put(d, r.State == stateActive, k.c.Clock.Now())
	return d, nil
}

func (k *Keyring) open(ctx context.Context, r *keyRow) (*dataKey, error) {
	id, err := ParseKeyID(r.KeyID)
	if err != nil {
		return nil, err
	}
	w, err := k.wrapper(r.WrapperID)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, wrapTimeout)
	defer cancel()
	raw, err := w.Unwrap(ctx, r.Wrapped, r.aad())
	if err != nil {
		return nil, fmt.Errorf("unwrap with %s: %w", r.WrapperID, err)
	}
	key, err := secret.NewKey(raw)
	clear(raw)
	if err != nil || fingerprint(key) != r.Fingerprint {
		return nil, fmt.Errorf("%s gave another key than was wrapped: %w", r.WrapperID, secret.ErrOpen)
	}
	return &dataKey{org: r.OrganisationID, id: id, version: r.Version, key: key, unwrapped: k.c.Clock.Now()}, nil
}

// unwrapAgain proves that the wrapping key still opens a key in memory.
func (k *Keyring) unwrapAgain(ctx context.Context, d *dataKey) error {
	var r keyRow
	var found *keyRow
	err := k.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		found, err = noRow(&r, tx.NewSelect().Model(&r).Where("organisation_id = ? AND key_id = ?", d.org, d.id.String()).Scan(ctx))
		return err
	})
	if err != nil {
		return err
	}
	if found == nil {
		k.cache.drop(d)
		return nil
	}
	after, err := k.open(ctx, found)
	if err == nil {
		k.cache.replace(d, after)
	}
	return err
}

// compare drops keys from memory whose rows are gone, and notes which versions are active.
func (k *Keyring) compare(ctx context.Context) error {
	const page = 500
	held := k.cache.all()
	orgs := make([]string, 0, len(held))
	for org := range held {
		orgs = append(orgs, org)
	}
	for len(orgs) > 0 {
		some := orgs[:min(page, len(orgs))]
		orgs = orgs[len(some):]
		var rows []keyRow
		err := k.read(ctx, func(ctx context.Context, tx *db.Tx) error {
			return tx.NewSelect().Model(&rows).ExcludeColumn("wrapped").Where("organisation_id IN (?)", bun.List(some)).Scan(ctx)
		})
		if err != nil {
			return fmt.Errorf("compare the data keys: %w", err)
		}
		there, active := map[keyName]bool{}, map[string]KeyID{}
		for i := range rows {
			if id, err := ParseKeyID(rows[i].KeyID); err == nil {
				there[keyName{rows[i].OrganisationID, id}] = true
				if rows[i].State == stateActive {
					active[rows[i].OrganisationID] = id
				}
			}
		}
		for _, org := range some {
			for _, d := range held[org] {
				if !there[keyName{org, d.id}] {
					k.cache.drop(d)
				}
			}
			k.cache.setActive(org, active[org])
		}
	}
	return nil
}

// add makes a new version and makes it the active one. Without rotate a version that another process made meanwhile does.
func (k *Keyring) add(ctx context.Context, org string, rotate bool) (*keyRow, error) {
	for {
		s, err := k.readState(ctx)
		if err != nil {
			return nil, err
		}
		r, err := k.newRow(ctx, org, s.WrapperID)
		if err != nil {
			return nil, err
		}
		var moved bool // what wraps new keys is another one now
		var there *keyRow
		err = k.write(ctx, func(ctx context.Context, tx *db.Tx) error {
			moved, there, err = k.insert(ctx, tx, r, rotate)
			return err
		})
		switch {
		case err != nil:
			return nil, fmt.Errorf("make a data key: %w", err)
		case there != nil:
			return there, nil
		case !moved:
			return r, nil
		}
	}
}

func (k *Keyring) newRow(ctx context.Context, org, wrapperID string) (*keyRow, error) {
	w, err := k.wrapper(wrapperID)
	if err != nil {
		return nil, err
	}
	var id KeyID
	raw := make([]byte, secret.KeySize)
	defer clear(raw)
	for _, b := range [][]byte{id[:], raw} {
		if _, err := io.ReadFull(k.c.Rand, b); err != nil {
			return nil, fmt.Errorf("no randomness for a data key: %w", err)
		}
	}
	key, err := secret.NewKey(raw)
	if err != nil {
		return nil, err
	}
	now := k.c.Clock.Now().UnixMilli()
	r := &keyRow{OrganisationID: org, KeyID: id.String(), State: stateActive, WrapperID: wrapperID, Fingerprint: fingerprint(key), CreatedAt: now, ChangedAt: now}
	ctx, cancel := context.WithTimeout(ctx, wrapTimeout)
	defer cancel()
	if r.Wrapped, err = w.Wrap(ctx, raw, r.aad()); err != nil {
		return nil, fmt.Errorf("wrap a data key with %s: %w", wrapperID, err)
	}
	return r, nil
}

// insert adds r as the active version. moved: it is wrapped by what no longer wraps. there: another one is active already.
func (k *Keyring) insert(ctx context.Context, tx *db.Tx, r *keyRow, rotate bool) (moved bool, there *keyRow, err error) {
	org := r.OrganisationID
	if err := lock(ctx, tx, org); err != nil {
		return false, nil, err
	}
	if s, err := stateOf(ctx, tx); err != nil || s == nil || s.WrapperID != r.WrapperID {
		return true, nil, err
	}
	if t, err := tombstoneOf(ctx, tx, org); err != nil {
		return false, nil, err
	} else if t != nil {
		return false, nil, errShredded(org)
	}
	rows, err := rowsOf(ctx, tx, org)
	if err != nil {
		return false, nil, err
	}
	for i := range rows {
		r.Version = rows[i].Version
		if rows[i].State == stateActive && !rotate {
			return false, &rows[i], nil
		}
	}
	r.Version++
	_, err = tx.NewUpdate().Model((*keyRow)(nil)).Set("state = ?", stateOld).Set("changed_at = ?", r.CreatedAt).
		Where("organisation_id = ? AND state = ?", org, stateActive).Exec(ctx)
	if err != nil {
		return false, nil, err
	}
	if _, err := tx.NewInsert().Model(r).Exec(ctx); err != nil {
		return false, nil, err
	}
	if rotate {
		if err := k.audit(ctx, tx, org, "key.rotate", map[string]any{"version": r.Version}); err != nil {
			return false, nil, err
		}
	}
	return false, nil, changed(ctx, tx)
}

func (k *Keyring) audit(ctx context.Context, tx *db.Tx, org, action string, after any) error {
	if k.c.Audit == nil {
		return nil
	}
	return k.c.Audit(ctx, tx, org, action, after)
}

func milli(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
