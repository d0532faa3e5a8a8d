package identity

import (
	"context"
	"encoding/base32"
	"io"
	"strings"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	recoveryCount = 10
	recoveryBytes = 15 // 120 bits: too many to try, so a plain hash keeps them
	recoveryGroup = 4
)

type recoveryRow struct {
	bun.BaseModel `bun:"table:recovery_codes"`

	UserID    string `bun:"user_id,pk"`
	Hash      string `bun:"hash,pk"`
	CreatedAt int64  `bun:"created_at"`
	UsedAt    *int64 `bun:"used_at"`
}

func recoveryHash(userID, code string) string {
	code = strings.ToLower(strings.NewReplacer("-", "", " ", "").Replace(code))
	return hashSecret(userID + "\n" + code)
}

// newRecoveryCodes replaces a person's recovery codes.
func (s *Service) newRecoveryCodes(ctx context.Context, tx *db.Tx, userID string) ([]string, error) {
	if _, err := tx.NewDelete().Model((*recoveryRow)(nil)).Where("user_id = ?", userID).Exec(ctx); err != nil {
		return nil, err
	}
	codes := make([]string, recoveryCount)
	rows := make([]recoveryRow, recoveryCount)
	for i := range codes {
		b := make([]byte, recoveryBytes)
		if _, err := io.ReadFull(s.cfg.Random, b); err != nil {
			return nil, err
		}
		text := strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b))
		var groups []string
		for ; len(text) > 0; text = text[recoveryGroup:] {
			groups = append(groups, text[:recoveryGroup])
		}
		codes[i] = strings.Join(groups, "-")
		rows[i] = recoveryRow{UserID: userID, Hash: recoveryHash(userID, codes[i]), CreatedAt: s.cfg.Clock.Now().UnixMilli()}
	}
	_, err := tx.NewInsert().Model(&rows).Exec(ctx)
	return codes, err
}

func recoveryCodesLeft(ctx context.Context, tx *db.Tx, userID string) (int, error) {
	n, err := tx.NewSelect().Model((*recoveryRow)(nil)).Where("user_id = ? AND used_at IS NULL", userID).Count(ctx)
	return int(n), err
}

// useRecoveryCode uses a code up.
func (s *Service) useRecoveryCode(ctx context.Context, tx *db.Tx, userID, code string) (bool, error) {
	return affected(tx.NewUpdate().Model((*recoveryRow)(nil)).Set("used_at = ?", s.cfg.Clock.Now().UnixMilli()).
		Where("user_id = ? AND hash = ? AND used_at IS NULL", userID, recoveryHash(userID, code)).Exec(ctx))
}

// NewRecoveryCodes replaces a person's recovery codes. They are given once.
func (s *Service) NewRecoveryCodes(ctx context.Context, p Principal) ([]string, error) {
	var codes []string
	err := s.cfg.DB.InSystem(ctx, "make recovery codes", func(ctx context.Context, tx *db.Tx) error {
		if err := s.freshOwn(ctx, tx, p); err != nil {
			return err
		}
		factors, err := factorsOf(ctx, tx, p.UserID)
		if err != nil {
			return err
		}
		if len(factors) == 0 {
			return fault.New(fault.NotPossible, "recovery codes stand in for a second factor; add one first")
		}
		if codes, err = s.newRecoveryCodes(ctx, tx, p.UserID); err != nil {
			return err
		}
		return s.auditOwn(ctx, tx, p.UserID, Change{Action: "auth.mfa.recovery_codes", Kind: "user", ID: p.UserID})
	})
	if err == nil {
		s.tellFactors(ctx, p.UserID, "new recovery codes were made")
	}
	return codes, err
}
