package identity

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"errors"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"
	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
)

// Time-based codes (RFC 6238) as authenticator apps make them: SHA-1, six digits, thirty seconds. One step of disagreement
// between the clocks is allowed (sections 5.2 and 6), unless Config.ExactCodes asks for none.
const (
	totpPeriod = 30
	totpSkew   = 1
	totpBytes  = 20
	totpIssuer = "Parley"
)

type totpRow struct {
	bun.BaseModel `bun:"table:totp_factors"`

	UserID     string `bun:"user_id,pk"`
	Secret     []byte `bun:"secret"`
	CreatedAt  int64  `bun:"created_at"`
	LastStep   int64  `bun:"last_step"`
	LastUsedAt *int64 `bun:"last_used_at"`
}

// MFA shows a person's second factors.
type MFA struct {
	TOTP          *TOTPFactor `json:"totp" doc:"The authenticator app; null: none"`
	Passkeys      []Passkey   `json:"passkeys"`
	RecoveryCodes int         `json:"recoveryCodes" doc:"How many are left"`
	Required      bool        `json:"required" doc:"An organisation of the person asks for a second factor, so the last one cannot be removed"`
	ConfirmBy     []string    `json:"confirmBy" doc:"What may be used to confirm that it is you: password, totp, passkey, recovery_code"`
}

// TOTPFactor is an authenticator app.
type TOTPFactor struct {
	CreatedAt  time.Time  `json:"createdAt"`
	LastUsedAt *time.Time `json:"lastUsedAt"`
}

// factorsOf lists the kinds of second factors a person has.
func factorsOf(ctx context.Context, tx *db.Tx, userID string) ([]string, error) {
	var out []string
	for _, f := range []struct {
		name  string
		model any
	}{{FactorTOTP, (*totpRow)(nil)}, {FactorPasskey, (*passkeyRow)(nil)}} {
		ok, err := tx.NewSelect().Model(f.model).Where("user_id = ?", userID).Exists(ctx)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, f.name)
		}
	}
	if len(out) == 0 {
		return nil, nil // recovery codes alone are no second factor
	}
	left, err := recoveryCodesLeft(ctx, tx, userID)
	if left > 0 {
		out = append(out, FactorRecovery)
	}
	return out, err
}

// MFA lists a person's second factors.
func (s *Service) MFA(ctx context.Context, p Principal) (MFA, error) {
	out := MFA{Passkeys: []Passkey{}, ConfirmBy: []string{}}
	err := s.cfg.DB.ReadSystem(ctx, "list somebody's second factors", func(ctx context.Context, tx *db.Tx) (err error) {
		var row totpRow
		switch err := tx.NewSelect().Model(&row).Where("user_id = ?", p.UserID).Scan(ctx); {
		case err == nil:
			out.TOTP = &TOTPFactor{CreatedAt: timeOf(row.CreatedAt), LastUsedAt: optionalTime(row.LastUsedAt)}
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
		if out.Passkeys, err = passkeysOf(ctx, tx, p.UserID); err != nil {
			return err
		}
		if out.RecoveryCodes, err = recoveryCodesLeft(ctx, tx, p.UserID); err != nil {
			return err
		}
		var user userRow
		if err := one(ctx, tx, &user, "person", "id = ?", p.UserID); err != nil {
			return err
		}
		if user.PasswordHash != "" {
			out.ConfirmBy = append(out.ConfirmBy, "password")
		}
		factors, err := factorsOf(ctx, tx, p.UserID)
		if err != nil {
			return err
		}
		out.ConfirmBy = append(out.ConfirmBy, factors...)
		out.Required, err = s.factorRequired(ctx, tx, p.UserID)
		return err
	})
	return out, err
}

// factorRequired reports whether the installation, or an organisation of the person, asks for a second factor.
func (s *Service) factorRequired(ctx context.Context, tx *db.Tx, userID string) (bool, error) {
	if s.cfg.MFARequired {
		return true, nil
	}
	return tx.NewSelect().TableExpr("memberships AS m").ColumnExpr("1").Join("JOIN organisations AS o ON o.id = m.organisation_id").
		Where("m.user_id = ? AND o.mfa_required = ?", userID, true).Exists(ctx)
}

// keepOne refuses to remove the last second factor where one is required.
func (s *Service) keepOne(ctx context.Context, tx *db.Tx, userID string) error {
	var n int64
	for _, model := range []any{(*totpRow)(nil), (*passkeyRow)(nil)} {
		c, err := tx.NewSelect().Model(model).Where("user_id = ?", userID).Count(ctx)
		if err != nil {
			return err
		}
		n += c
	}
	required, err := s.factorRequired(ctx, tx, userID)
	if err == nil && required && n <= 1 {
		return fault.New(fault.NotPossible, "your organisation asks for a second factor and this is the last one; add another first")
	}
	return err
}

// NewTOTP is an authenticator app that is being set up.
type NewTOTP struct {
	Secret    string    `json:"secret" doc:"For typing in where no camera is at hand; base32"`
	URL       string    `json:"url" doc:"otpauth:// for a QR code"`
	Challenge string    `json:"challenge" doc:"Goes with the first code"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// pendingTOTP waits for the app's first code.
type pendingTOTP struct {
	Secret string `json:"secret"`
}

// BeginTOTP makes the secret of an authenticator app. It counts when a code of it was given.
func (s *Service) BeginTOTP(ctx context.Context, p Principal) (NewTOTP, error) {
	var out NewTOTP
	err := s.cfg.DB.InSystem(ctx, "set up an authenticator app", func(ctx context.Context, tx *db.Tx) error {
		if err := s.freshOwn(ctx, tx, p); err != nil {
			return err
		}
		var user userRow
		if err := one(ctx, tx, &user, "person", "id = ?", p.UserID); err != nil {
			return err
		}
		key, err := totp.Generate(totp.GenerateOpts{Issuer: totpIssuer, AccountName: user.Email, Period: totpPeriod, SecretSize: totpBytes, Rand: s.cfg.Random})
		if err != nil {
			return err
		}
		out = NewTOTP{Secret: key.Secret(), URL: key.URL(), ExpiresAt: s.cfg.Clock.Now().Add(challengeValid).UTC()}
		out.Challenge, err = s.newChallenge(ctx, tx, kindTOTP, p.UserID, pendingTOTP{Secret: key.Secret()})
		return err
	})
	return out, err
}

// FinishTOTP adds the authenticator app, in place of an earlier one. It gives recovery codes where there are none, and
// the session's new cookie.
func (s *Service) FinishTOTP(ctx context.Context, p Principal, challenge, code string) (Enrolled, error) {
	return s.enrol(ctx, p, "auth.mfa.totp_add", func(ctx context.Context, tx *db.Tx) (any, error) {
		var pending pendingTOTP
		row, err := s.findChallenge(ctx, tx, kindTOTP, challenge, &pending)
		if err != nil {
			return nil, err
		}
		if row.UserID == nil || *row.UserID != p.UserID {
			return nil, errChallenge()
		}
		now := s.cfg.Clock.Now()
		step, ok := s.matchTOTP(pending.Secret, code, 0)
		if !ok {
			return nil, errRefused{fault.Field("body.code", "the code is wrong; check that the app's clock is right and try the next one")}
		}
		sealed, err := s.cfg.Sealer.Seal(ctx, envelope.Installation, []byte(pending.Secret), totpAAD(p.UserID))
		if err != nil {
			return nil, err
		}
		factor := &totpRow{UserID: p.UserID, Secret: sealed, CreatedAt: now.UnixMilli(), LastStep: step}
		_, err = tx.NewInsert().Model(factor).On("CONFLICT (user_id) DO UPDATE").Set("secret = EXCLUDED.secret").
			Set("created_at = EXCLUDED.created_at").Set("last_step = EXCLUDED.last_step").Set("last_used_at = NULL").Exec(ctx)
		if err != nil {
			return nil, err
		}
		return nil, endChallenge(ctx, tx, row)
	})
}

// RemoveTOTP removes the authenticator app.
func (s *Service) RemoveTOTP(ctx context.Context, p Principal) error {
	return s.unenrol(ctx, p, Change{Action: "auth.mfa.totp_remove", Kind: "user", ID: p.UserID}, func(ctx context.Context, tx *db.Tx) error {
		ok, err := affected(tx.NewDelete().Model((*totpRow)(nil)).Where("user_id = ?", p.UserID).Exec(ctx))
		if err == nil && !ok {
			return fault.New(fault.NotFound, "there is no authenticator app")
		}
		return err
	})
}

// matchTOTP gives the step that a code belongs to, later than last.
func (s *Service) matchTOTP(secret, code string, last int64) (int64, bool) {
	at, skew, found := s.cfg.Clock.Now().Unix()/totpPeriod, int64(totpSkew), int64(0)
	if s.cfg.ExactCodes {
		skew = 0
	}
	for step := at - skew; step <= at+skew; step++ {
		want, err := hotp.GenerateCodeCustom(secret, uint64(step), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}) //nolint:gosec // the year is past 1970
		if err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 && step > last {
			found = step
		}
	}
	return found, found > 0
}

// useTOTP checks a code. None counts twice, and none that is older than the last (RFC 6238 section 5.2).
func (s *Service) useTOTP(ctx context.Context, tx *db.Tx, userID, code string) (bool, error) {
	var row totpRow
	err := tx.NewSelect().Model(&row).Where("user_id = ?", userID).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	secret, err := s.cfg.Sealer.Open(ctx, envelope.Installation, row.Secret, totpAAD(userID))
	if err != nil {
		return false, err
	}
	step, ok := s.matchTOTP(string(secret), code, row.LastStep)
	if !ok {
		return false, nil
	}
	return affected(tx.NewUpdate().Model(&row).Set("last_step = ?", step).Set("last_used_at = ?", s.cfg.Clock.Now().UnixMilli()).
		Where("user_id = ? AND last_step < ?", userID, step).Exec(ctx))
}
