package identity

import (
	"context"
	"strings"
	"time"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// tokenPrefix lets scanners for leaked secrets, and people, recognise an API token.
const tokenPrefix = "pk_"

const maxTokens = 500 // of one organisation

// Token is an API token without its secret.
type Token struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	UserID     string     `json:"userId"`
	CreatedAt  time.Time  `json:"createdAt"`
	LastUsedAt *time.Time `json:"lastUsedAt"`
	ExpiresAt  *time.Time `json:"expiresAt"`
}

func (r *tokenRow) token() Token {
	return Token{ID: r.ID, Name: r.Name, UserID: r.UserID, CreatedAt: time.UnixMilli(r.CreatedAt).UTC(),
		LastUsedAt: optionalTime(r.LastUsedAt), ExpiresAt: optionalTime(r.ExpiresAt)}
}

func optionalTime(ms *int64) *time.Time {
	if ms == nil {
		return nil
	}
	t := time.UnixMilli(*ms).UTC()
	return &t
}

// CreateToken makes an API token that acts as p's person. The secret is given once.
func (s *Service) CreateToken(ctx context.Context, p Principal, name string, expires *time.Time) (Token, string, error) {
	name, err := checkName("body.name", name, "")
	if err != nil {
		return Token{}, "", err
	}
	if name == "" {
		return Token{}, "", fault.Field("body.name", "give the token a name that says what uses it")
	}
	now := s.cfg.Clock.Now()
	if expires != nil && !expires.After(now) {
		return Token{}, "", fault.Field("body.expiresAt", "the time is past; choose a later one or leave it out")
	}
	secret, err := s.random()
	if err != nil {
		return Token{}, "", err
	}
	secret = tokenPrefix + secret
	row := &tokenRow{ID: newID(), OrganisationID: p.OrgID, UserID: p.UserID, Name: name, Hash: hashSecret(secret), CreatedAt: now.UnixMilli()}
	if expires != nil {
		ms := expires.UnixMilli()
		row.ExpiresAt = &ms
	}
	err = s.cfg.DB.InTenant(ctx, p.OrgID, func(ctx context.Context, tx *db.Tx) error {
		n, err := tx.NewSelect().Model((*tokenRow)(nil)).Where("organisation_id = ?", p.OrgID).Count(ctx)
		if err != nil {
			return err
		}
		if n >= maxTokens {
			return fault.New(fault.Conflict, "the organisation has %d API tokens, the most it may have; revoke some first", n)
		}
		_, err = tx.NewInsert().Model(row).Exec(ctx)
		return err
	})
	return row.token(), secret, err
}

// CreateTokenFor makes an API token for the person with that address: for the command line.
func (s *Service) CreateTokenFor(ctx context.Context, email, name string) (string, error) {
	email, err := normalEmail(email)
	if err != nil {
		return "", err
	}
	var m *membership
	err = s.cfg.DB.ReadSystem(ctx, "find a person by address", func(ctx context.Context, tx *db.Tx) (err error) {
		m, err = membershipWhere(ctx, tx, "u.email = ?", email)
		return err
	})
	if err != nil {
		return "", err
	}
	if m == nil {
		return "", fault.New(fault.NotFound, "nobody has the address %q; create the owner first: parley user create --owner --email %s --password-stdin", email, email)
	}
	_, secret, err := s.CreateToken(ctx, Principal{UserID: m.UserID, OrgID: m.OrganisationID}, name, nil)
	return secret, err
}

// Tokens lists the organisation's tokens, newest first. There are at most maxTokens.
func (s *Service) Tokens(ctx context.Context, p Principal) ([]Token, error) {
	var rows []tokenRow
	err := s.cfg.DB.ReadTenant(ctx, p.OrgID, func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model(&rows).Where("organisation_id = ?", p.OrgID).Order("created_at DESC", "id DESC").Scan(ctx)
	})
	out := make([]Token, len(rows))
	for i := range rows {
		out[i] = rows[i].token()
	}
	return out, err
}

// RevokeToken ends a token at once.
func (s *Service) RevokeToken(ctx context.Context, p Principal, id string) error {
	var row tokenRow
	err := s.cfg.DB.InTenant(ctx, p.OrgID, func(ctx context.Context, tx *db.Tx) error {
		res, err := tx.NewDelete().Model(&row).Where("organisation_id = ? AND id = ?", p.OrgID, id).Returning("hash").Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return fault.New(fault.NotFound, "there is no such token")
		}
		return nil
	})
	if err == nil {
		s.cache.Invalidate(row.Hash)
	}
	return err
}

// Bearer tells who an API token belongs to, and notes that it was used.
func (s *Service) Bearer(ctx context.Context, secret, ip string) (Principal, error) {
	unknown := fault.New(fault.Unauthorized, "the API token is unknown, revoked or expired; make a new one under Settings")
	if !strings.HasPrefix(secret, tokenPrefix) || len(secret) > 100 {
		return Principal{}, unknown
	}
	hash := hashSecret(secret)
	if p, ok := s.cache.GetIfPresent(hash); ok {
		return p, s.touch(ctx, (*tokenRow)(nil), p.TokenID)
	}
	if err := s.attempts.check("token " + ip); err != nil {
		return Principal{}, err
	}
	epoch := s.epoch.Load()
	var m *membership
	var rows []tokenRow
	err := s.cfg.DB.ReadSystem(ctx, "whose token is it", func(ctx context.Context, tx *db.Tx) (err error) {
		err = tx.NewSelect().Model(&rows).Where("hash = ? AND (expires_at IS NULL OR expires_at > ?)", hash, s.cfg.Clock.Now().UnixMilli()).Scan(ctx)
		if err != nil || len(rows) == 0 {
			return err
		}
		m, err = membershipWhere(ctx, tx, "m.user_id = ? AND m.organisation_id = ?", rows[0].UserID, rows[0].OrganisationID)
		return err
	})
	if err != nil {
		return Principal{}, err
	}
	if m == nil {
		s.attempts.failed("token " + ip)
		return Principal{}, unknown
	}
	if err := m.standing(); err != nil {
		return Principal{}, err
	}
	p := principalOf(m)
	p.TokenID, p.Super = rows[0].ID, false
	// A token about to expire is asked for each time, so that the cache does not lengthen its life.
	if e := rows[0].ExpiresAt; e == nil || time.UnixMilli(*e).Sub(s.cfg.Clock.Now()) > cacheFor {
		s.remember(hash, p, epoch)
	}
	return p, s.touch(ctx, (*tokenRow)(nil), p.TokenID)
}
