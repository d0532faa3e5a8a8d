package envelope

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret"
)

const (
	transferVersion = 1
	maxTransferred  = 1000 // versions in one file
)

// transfer is what ExportKeys gives, in JSON.
type transfer struct {
	Version        int           `json:"version"`
	OrganisationID string        `json:"organisationId"`
	Keys           []transferKey `json:"keys"`
}

type transferKey struct {
	KeyID       string `json:"keyId"`
	Version     int64  `json:"version"`
	Active      bool   `json:"active"`
	Fingerprint string `json:"fingerprint"`
	CreatedAt   int64  `json:"createdAt"`
	Sealed      []byte `json:"sealed"`
}

func (t *transferKey) aad(org string) []byte {
	return []byte("data key transfer\x00" + org + "\x00" + t.KeyID)
}

// ExportKeys gives every version of an organisation's data key, sealed under a key that the caller derived, from a
// passphrase say. Without that key the answer tells nothing.
func (k *Keyring) ExportKeys(ctx context.Context, orgID string, under *secret.Key) ([]byte, error) {
	if orgID == Installation {
		return nil, fault.New(fault.NotPossible, "the installation's own data key does not leave it")
	}
	var rows []keyRow
	err := k.read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		rows, err = rowsOf(ctx, tx, orgID)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("export data keys: %w", err)
	}
	t := transfer{Version: transferVersion, OrganisationID: orgID, Keys: []transferKey{}}
	for i := range rows {
		d, err := k.open(ctx, &rows[i])
		if err != nil {
			return nil, fmt.Errorf("export data key %s: %w", rows[i].KeyID, err)
		}
		e := transferKey{KeyID: rows[i].KeyID, Version: rows[i].Version, Active: rows[i].State == stateActive, Fingerprint: rows[i].Fingerprint, CreatedAt: rows[i].CreatedAt}
		raw := d.key.Bytes()
		e.Sealed, err = under.Seal(raw, e.aad(orgID))
		clear(raw)
		if err != nil {
			return nil, err
		}
		t.Keys = append(t.Keys, e)
	}
	return json.Marshal(t)
}

// ImportKeys adds the keys of another installation, or of another organisation of this one, to an organisation, whose
// values may then be opened that were sealed for the other. What is sealed from now on is sealed under the organisation's
// own active key, where it has one. Importing twice changes nothing.
func (k *Keyring) ImportKeys(ctx context.Context, orgID string, exported []byte, under *secret.Key) error {
	if orgID == "" || orgID == Installation {
		return errors.New("envelope: ImportKeys without an organisation")
	}
	var t transfer
	if err := json.Unmarshal(exported, &t); err != nil || t.Version != transferVersion || len(t.Keys) > maxTransferred {
		return fault.New(fault.Invalid, "the file's data keys are none that this version can read")
	}
	s, err := k.readState(ctx)
	if err != nil {
		return err
	}
	rows := make([]keyRow, 0, len(t.Keys))
	for i := range t.Keys {
		r, err := k.received(ctx, orgID, s.WrapperID, t.OrganisationID, &t.Keys[i], under)
		if err != nil {
			return err
		}
		rows = append(rows, *r)
	}
	return k.write(ctx, func(ctx context.Context, tx *db.Tx) error { return k.insertReceived(ctx, tx, orgID, rows) })
}

// received opens one key of a file and wraps it with our own wrapper.
func (k *Keyring) received(ctx context.Context, org, wrapperID, from string, e *transferKey, under *secret.Key) (*keyRow, error) {
	if _, err := ParseKeyID(e.KeyID); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the file's data keys are none that this version can read")
	}
	raw, err := under.Open(e.Sealed, e.aad(from))
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the file's data keys do not open: the passphrase is another one, or the file was altered")
	}
	defer clear(raw)
	key, err := secret.NewKey(raw)
	if err != nil || fingerprint(key) != e.Fingerprint {
		return nil, fault.New(fault.Invalid, "the file's data keys were altered")
	}
	r := &keyRow{OrganisationID: org, KeyID: e.KeyID, State: stateOld, WrapperID: wrapperID, Fingerprint: e.Fingerprint, CreatedAt: e.CreatedAt, ChangedAt: k.c.Clock.Now().UnixMilli()}
	if e.Active {
		r.State = stateActive
	}
	w, err := k.wrapper(wrapperID)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, wrapTimeout)
	defer cancel()
	if r.Wrapped, err = w.Wrap(ctx, raw, r.aad()); err != nil {
		return nil, fmt.Errorf("wrap a data key with %s: %w", wrapperID, err)
	}
	return r, nil
}

func (k *Keyring) insertReceived(ctx context.Context, tx *db.Tx, org string, rows []keyRow) error {
	if err := lock(ctx, tx, org); err != nil {
		return err
	}
	if t, err := tombstoneOf(ctx, tx, org); err != nil {
		return err
	} else if t != nil {
		return fault.New(fault.NotPossible, "the data keys of organisation %s were destroyed here; import it as a new organisation", org)
	}
	there, err := rowsOf(ctx, tx, org)
	if err != nil {
		return err
	}
	have, version, active := map[string]bool{}, int64(0), false
	for i := range there {
		have[there[i].KeyID] = true
		version = max(version, there[i].Version)
		active = active || there[i].State == stateActive
	}
	for i := range rows {
		r := &rows[i]
		if have[r.KeyID] {
			continue
		}
		version++
		r.Version = version
		if active {
			r.State = stateOld
		}
		if _, err := tx.NewInsert().Model(r).Exec(ctx); err != nil {
			return fmt.Errorf("add a data key: %w", err)
		}
	}
	return changed(ctx, tx)
}
