package identity

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
)

const (
	challengeValid = 5 * time.Minute
	challengeTries = 5
	challengesKept = 20 // of one person, at once
)

// Kinds of challenges.
const (
	kindSecondFactor    = "second_factor"
	kindTOTP            = "totp"
	kindPasskeyNew      = "passkey_new"
	kindPasskeySignIn   = "passkey_sign_in"
	kindPasskeyIdentify = "passkey_identify"
)

// challengeRow is something begun that waits for its second step. The one who began it holds a secret; its data stays
// here, sealed.
type challengeRow struct {
	bun.BaseModel `bun:"table:auth_challenges"`

	Hash      string  `bun:"hash,pk"`
	Kind      string  `bun:"kind"`
	UserID    *string `bun:"user_id"`
	Data      []byte  `bun:"data"`
	Tries     int64   `bun:"tries"`
	CreatedAt int64   `bun:"created_at"`
	ExpiresAt int64   `bun:"expires_at"`
}

func errChallenge() error {
	return fault.New(fault.Unauthorized, "this step was used, took longer than %d minutes or failed too often; begin again", int(challengeValid.Minutes()))
}

// newChallenge stores data for the second step and gives the secret that finds it. userID is "" while nobody is known.
func (s *Service) newChallenge(ctx context.Context, tx *db.Tx, kind, userID string, data any) (string, error) {
	secret, err := s.random()
	if err != nil {
		return "", err
	}
	row := &challengeRow{Hash: hashSecret(secret), Kind: kind, CreatedAt: s.cfg.Clock.Now().UnixMilli(), ExpiresAt: s.cfg.Clock.Now().Add(challengeValid).UnixMilli()}
	if row.Data, err = s.sealed(ctx, row.Hash, data); err != nil {
		return "", err
	}
	if userID != "" {
		row.UserID = &userID
		keep := tx.NewSelect().Model((*challengeRow)(nil)).Column("hash").Where("user_id = ?", userID).Order("created_at DESC", "hash").Limit(challengesKept - 1)
		if _, err := tx.NewDelete().Model((*challengeRow)(nil)).Where("user_id = ? AND hash NOT IN (?)", userID, keep).Exec(ctx); err != nil {
			return "", err
		}
	}
	_, err = tx.NewInsert().Model(row).Exec(ctx)
	return secret, err
}

// findChallenge reads a challenge that is still valid into data, and counts a try.
func (s *Service) findChallenge(ctx context.Context, tx *db.Tx, kind, secret string, data any) (*challengeRow, error) {
	var row challengeRow
	res, err := tx.NewUpdate().Model(&row).Set("tries = tries + 1").
		Where("hash = ? AND kind = ? AND expires_at > ? AND tries < ?", hashSecret(secret), kind, s.cfg.Clock.Now().UnixMilli(), challengeTries).
		Returning("*").Exec(ctx)
	if err != nil {
		return nil, fmt.Errorf("find a challenge: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return nil, errChallenge()
	}
	return &row, s.unsealed(ctx, &row, data)
}

// changeChallenge replaces a challenge's data.
func (s *Service) changeChallenge(ctx context.Context, tx *db.Tx, row *challengeRow, data any) error {
	b, err := s.sealed(ctx, row.Hash, data)
	if err != nil {
		return err
	}
	_, err = tx.NewUpdate().Model((*challengeRow)(nil)).Set("data = ?", b).Where("hash = ?", row.Hash).Exec(ctx)
	return err
}

// uncountTry takes the try back that finding a challenge counted: nothing was answered.
func uncountTry(ctx context.Context, tx *db.Tx, row *challengeRow) error {
	_, err := tx.NewUpdate().Model((*challengeRow)(nil)).Set("tries = tries - 1").Where("hash = ?", row.Hash).Exec(ctx)
	return err
}

// endChallenge uses a challenge up.
func endChallenge(ctx context.Context, tx *db.Tx, row *challengeRow) error {
	_, err := tx.NewDelete().Model((*challengeRow)(nil)).Where("hash = ?", row.Hash).Exec(ctx)
	return err
}

func (s *Service) sealed(ctx context.Context, hash string, v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return s.cfg.Sealer.Seal(ctx, envelope.Installation, b, challengeAAD(hash))
}

func (s *Service) unsealed(ctx context.Context, row *challengeRow, v any) error {
	b, err := s.cfg.Sealer.Open(ctx, envelope.Installation, row.Data, challengeAAD(row.Hash))
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}
