package identity

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Limits on guessing are kept in the database, so that neither a restart nor another process forgets them. An attempt
// counts when it begins, not when it failed: many at once cannot slip through before the first one is counted.
//
// Nobody can lock the owner of an account out: what counts for the account from everywhere is not asked of those who
// sign in from a place they have used before, who hold a second factor, who use a passkey, or who follow a reset
// link, which makes the place they open it from a known one.

// limit is one counter and how patient it is.
type limit struct {
	key     string
	free    int64         // attempts before waiting begins
	longest time.Duration // the wait doubles up to this
}

type attemptRow struct {
	bun.BaseModel `bun:"table:sign_in_attempts"`

	Key    string `bun:"key,pk"`
	Count  int64  `bun:"count"`
	LastAt int64  `bun:"last_at"`
}

func limitPair(account, ip string) limit {
	return limit{key: "account " + account + " " + ip, free: attemptsFree, longest: attemptsMax}
}

func limitAddress(ip string) limit {
	return limit{key: "address " + ip, free: 30, longest: attemptsMax}
}

func limitAccount(account string) limit {
	return limit{key: "account " + account, free: 50, longest: time.Minute}
}

// limitCode is for the second factor's six digits: whoever guesses them knows the password already.
func limitCode(userID string) limit {
	return limit{key: "code " + userID, free: 10, longest: attemptsMax}
}

// limitQuestions bounds how many sign-ins an address may begin without saying who it is.
func limitQuestions(ip string) limit {
	return limit{key: "questions " + ip, free: 60, longest: time.Minute}
}

// limitMail keeps somebody from being flooded with letters.
func limitMail(account string) limit {
	return limit{key: "mail " + account, free: 3, longest: 15 * time.Minute}
}

// attempt counts an attempt, or refuses it when too many were made lately.
func (s *Service) attempt(ctx context.Context, tx *db.Tx, limits ...limit) error {
	now := s.cfg.Clock.Now()
	for _, l := range limits {
		row := attemptRow{Key: hashSecret(l.key)}
		err := tx.NewSelect().Model(&row).WherePK().Scan(ctx)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return err
		}
		since := now.Sub(time.UnixMilli(row.LastAt))
		if row.Count < l.free || since > attemptsForget {
			continue
		}
		wait := min(time.Second<<min(row.Count-l.free, 12), l.longest)
		if left := wait - since; left > 0 {
			return fault.New(fault.RateLimited, "too many attempts; wait %d seconds and try again", int(left.Seconds())+1)
		}
	}
	for _, l := range limits {
		row := &attemptRow{Key: hashSecret(l.key), Count: 1, LastAt: now.UnixMilli()}
		_, err := tx.NewInsert().Model(row).On("CONFLICT (key) DO UPDATE").
			Set("count = CASE WHEN ?TableAlias.last_at < ? THEN 1 ELSE ?TableAlias.count + 1 END", now.Add(-attemptsForget).UnixMilli()).
			Set("last_at = EXCLUDED.last_at").Exec(ctx)
		if err != nil {
			return err
		}
	}
	return nil
}

// forgive forgets what was counted for the limits.
func forgive(ctx context.Context, tx *db.Tx, limits ...limit) error {
	for _, l := range limits {
		if _, err := tx.NewDelete().Model(&attemptRow{Key: hashSecret(l.key)}).WherePK().Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

// uncount takes one attempt back: it succeeded, but the counter is shared with others.
func uncount(ctx context.Context, tx *db.Tx, limits ...limit) error {
	for _, l := range limits {
		if _, err := tx.NewUpdate().Model(&attemptRow{Key: hashSecret(l.key)}).Set("count = count - 1").WherePK().Where("count > 0").Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}
