package telephony

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
)

// HeldSecrets lists the passwords of an organisation's phones after the one with id after.
func (s *Service) HeldSecrets(ctx context.Context, orgID, after string, limit int) (out []envelope.Held, err error) {
	var rows []phoneRow
	err = s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) (err error) {
		rows, err = listPhones(ctx, tx, "", after, limit)
		return err
	})
	for _, r := range rows {
		out = append(out, envelope.Held{ID: r.ID, Kind: "phonePassword", Name: r.Username, ObjectKind: "phone", ObjectID: r.ID,
			SetBy: r.SecretBy, SetAt: known(r.SecretAt), LastUsedAt: known(r.SecretUsedAt), Sealed: r.Secret,
			UsedBy: []envelope.Use{{Kind: "phone", ID: r.ID, Name: r.Username}}})
	}
	return out, err
}

// known gives a time of the store; nil for the 0 of what is not known.
func known(ms int64) *time.Time {
	if ms == 0 {
		return nil
	}
	t := time.UnixMilli(ms).UTC()
	return &t
}

// passwordUsed notes that a phone has just registered with its password.
func passwordUsed(ctx context.Context, tx *db.Tx, id string, now int64) error {
	_, err := tx.NewUpdate().Model((*phoneRow)(nil)).Set("secret_used_at = ?", now).Where("organisation_id = ? AND id = ?", tx.OrgID(), id).Exec(ctx)
	if err != nil {
		return fmt.Errorf("note that a password was used: %w", err)
	}
	return nil
}

// TrunkSecrets lists the passwords of an organisation's trunks.
type TrunkSecrets struct{ *Service }

// HeldSecrets lists them after the one of the trunk with id after.
func (s TrunkSecrets) HeldSecrets(ctx context.Context, orgID, after string, limit int) (out []envelope.Held, err error) {
	var rows []trunkRow
	err = s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) (err error) {
		rows, err = trunksWithSecret(ctx, tx, after, limit)
		return err
	})
	for _, r := range rows {
		out = append(out, envelope.Held{ID: r.ID, Kind: "trunkPassword", Name: r.Name, ObjectKind: "trunk", ObjectID: r.ID,
			SetBy: r.SecretBy, SetAt: known(r.SecretAt), LastUsedAt: known(r.SecretUsedAt), Sealed: r.Secret,
			UsedBy: []envelope.Use{{Kind: "trunk", ID: r.ID, Name: r.Name}}})
	}
	return out, err
}
