package envelope

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Proof says which keys of an organisation were destroyed. The fingerprints belong to them alone: should a key come to
// light, in an old backup, it can be told to be one of these.
type Proof struct {
	OrganisationID string        `json:"organisationId"`
	ShreddedAt     time.Time     `json:"shreddedAt"`
	Keys           []ShreddedKey `json:"keys"` // every version there was; none when nothing was ever sealed
}

// ShreddedKey is one version that was destroyed.
type ShreddedKey struct {
	KeyID       string    `json:"keyId"`
	Version     int64     `json:"version"`
	Fingerprint string    `json:"fingerprint"`
	CreatedAt   time.Time `json:"createdAt"`
	WrappedBy   string    `json:"wrappedBy"`
}

// Shred destroys every version of an organisation's data key: nothing that was sealed for it can be read again, wherever
// copies are. A tombstone stays, which proves it and keeps a new key from being made. Shredding twice gives the first proof.
//
// The database's own backups still have the wrapped keys: who has one of those and the wrapping key can read what was
// sealed until then. See docs/keys.md.
func (k *Keyring) Shred(ctx context.Context, orgID string) (Proof, error) {
	if orgID == "" || orgID == Installation {
		return Proof{}, fault.New(fault.NotPossible, "only an organisation's data keys can be destroyed")
	}
	var p Proof
	err := k.write(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := lock(ctx, tx, orgID); err != nil {
			return err
		}
		t, err := tombstoneOf(ctx, tx, orgID)
		if err != nil {
			return err
		}
		if t != nil {
			p, err = t.proof()
			return err
		}
		if tx.Dialect() == db.SQLite { // overwrites what it deletes: https://www.sqlite.org/pragma.html#pragma_secure_delete
			if _, err := tx.ExecContext(ctx, "PRAGMA secure_delete = ON"); err != nil {
				return err
			}
		}
		rows, err := rowsOf(ctx, tx, orgID)
		if err != nil {
			return err
		}
		p = newProof(orgID, k.c.Clock.Now(), rows)
		return k.bury(ctx, tx, p)
	})
	if err != nil {
		return Proof{}, fmt.Errorf("destroy the data keys of organisation %s: %w", orgID, err)
	}
	k.cache.forget(orgID)
	return p, nil
}

func newProof(orgID string, now time.Time, rows []keyRow) Proof {
	p := Proof{OrganisationID: orgID, ShreddedAt: milli(now.UnixMilli()), Keys: []ShreddedKey{}}
	for _, r := range rows {
		p.Keys = append(p.Keys, ShreddedKey{KeyID: r.KeyID, Version: r.Version, Fingerprint: r.Fingerprint, CreatedAt: milli(r.CreatedAt), WrappedBy: r.WrapperID})
	}
	return p
}

func (k *Keyring) bury(ctx context.Context, tx *db.Tx, p Proof) error {
	keys, err := json.Marshal(p.Keys)
	if err != nil {
		return err
	}
	t := &tombstoneRow{OrganisationID: p.OrganisationID, ShreddedAt: p.ShreddedAt.UnixMilli(), Keys: string(keys)}
	if _, err := tx.NewInsert().Model(t).Exec(ctx); err != nil {
		return err
	}
	// Overwritten before it is deleted: PostgreSQL writes a new version of the row, which VACUUM clears of the old one.
	if _, err := tx.NewUpdate().Model((*keyRow)(nil)).Set("wrapped = ?", []byte{}).Where("organisation_id = ?", p.OrganisationID).Exec(ctx); err != nil {
		return err
	}
	if _, err := tx.NewDelete().Model((*keyRow)(nil)).Where("organisation_id = ?", p.OrganisationID).Exec(ctx); err != nil {
		return err
	}
	if err := k.audit(ctx, tx, p.OrganisationID, "key.shred", p); err != nil {
		return err
	}
	return changed(ctx, tx)
}

func (t *tombstoneRow) proof() (Proof, error) {
	p := Proof{OrganisationID: t.OrganisationID, ShreddedAt: milli(t.ShreddedAt)}
	return p, json.Unmarshal([]byte(t.Keys), &p.Keys)
}

// Shredded gives the proof that an organisation's keys were destroyed, after checking that none is there. nil says that
// they were not.
func (k *Keyring) Shredded(ctx context.Context, orgID string) (*Proof, error) {
	var out *Proof
	err := k.read(ctx, func(ctx context.Context, tx *db.Tx) error {
		t, err := tombstoneOf(ctx, tx, orgID)
		if err != nil || t == nil {
			return err
		}
		n, err := tx.NewSelect().Model((*keyRow)(nil)).Where("organisation_id = ?", orgID).Count(ctx)
		if err != nil {
			return err
		}
		if n > 0 {
			return errors.New("envelope: there is a tombstone, and there are keys all the same")
		}
		p, err := t.proof()
		out = &p
		return err
	})
	return out, err
}
