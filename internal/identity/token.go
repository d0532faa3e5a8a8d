package identity

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// tokenPrefix lets scanners for leaked secrets, and people, recognise an API token.
const tokenPrefix = "pk_"

const (
	maxTokens   = 500 // of one organisation
	maxNetworks = 50  // of one token
)

// Token is an API token without its secret.
type Token struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	UserID     string     `json:"userId"`
	Scopes     []string   `json:"scopes" doc:"Permissions it is narrowed to; none: all that its person may do"`
	AllowedIPs []string   `json:"allowedIps" doc:"Networks it may be used from; none: everywhere"`
	CreatedAt  time.Time  `json:"createdAt"`
	LastUsedAt *time.Time `json:"lastUsedAt"`
	LastUsedIP string     `json:"lastUsedIp" doc:"Empty: not used yet"`
	ExpiresAt  *time.Time `json:"expiresAt"`
}

func (r *tokenRow) token() Token {
	return Token{ID: r.ID, Name: r.Name, UserID: r.UserID, Scopes: stringList(r.Scopes), AllowedIPs: stringList(r.AllowedIPs),
		CreatedAt: timeOf(r.CreatedAt), LastUsedAt: optionalTime(r.LastUsedAt), LastUsedIP: r.LastUsedIP, ExpiresAt: optionalTime(r.ExpiresAt)}
}

func optionalTime(ms *int64) *time.Time {
	if ms == nil {
		return nil
	}
	t := time.UnixMilli(*ms).UTC()
	return &t
}

// NewToken describes an API token.
type NewToken struct {
	Name       string
	Expires    *time.Time
	Scopes     []string // none: all that its person may do
	AllowedIPs []string // networks; none: everywhere
}

// CreateToken makes an API token that acts as p's person. The secret is given once.
func (s *Service) CreateToken(ctx context.Context, p Principal, name string, expires *time.Time) (Token, string, error) {
	return s.NewToken(ctx, p, NewToken{Name: name, Expires: expires})
}

// NewToken makes an API token that acts as p's person. Made with a token, it may do no more, from nowhere else and no
// longer than that one. The secret is given once.
func (s *Service) NewToken(ctx context.Context, p Principal, n NewToken) (Token, string, error) {
	if p.Impersonator != "" {
		return Token{}, "", fault.New(fault.Forbidden, "whoever acts for another person cannot make tokens of theirs: they would outlast it")
	}
	if err := s.checkNewToken(p, &n); err != nil {
		return Token{}, "", err
	}
	secret, err := s.random()
	if err != nil {
		return Token{}, "", err
	}
	secret = tokenPrefix + secret
	row := &tokenRow{ID: newID(), OrganisationID: p.OrgID, UserID: p.UserID, Name: n.Name, Hash: hashSecret(secret)}
	err = s.cfg.DB.InTenant(ctx, p.OrgID, func(ctx context.Context, tx *db.Tx) error {
		row.CreatedAt = s.cfg.Clock.Now().UnixMilli()
		count, err := tx.NewSelect().Model((*tokenRow)(nil)).Where("organisation_id = ?", p.OrgID).Count(ctx)
		if err != nil {
			return err
		}
		if count >= maxTokens {
			return fault.New(fault.Conflict, "the organisation has %d API tokens, the most it may have; revoke some first", count)
		}
		if p.TokenID != "" {
			if err := within(ctx, tx, p, &n); err != nil {
				return err
			}
		}
		if err := n.fill(row); err != nil {
			return err
		}
		if _, err := tx.NewInsert().Model(row).Exec(ctx); err != nil {
			return err
		}
		return Audit(ctx, tx, p.OrgID, Change{Action: "token.create", Kind: "token", ID: row.ID, After: row.token()})
	})
	return row.token(), secret, err
}

// checkNewToken brings what was asked for into its stored form.
func (s *Service) checkNewToken(p Principal, n *NewToken) (err error) {
	if n.Name, err = checkName("body.name", n.Name, ""); err != nil {
		return err
	}
	if n.Name == "" {
		return fault.Field("body.name", "give the token a name that says what uses it")
	}
	if n.Expires != nil && !n.Expires.After(s.cfg.Clock.Now()) {
		return fault.Field("body.expiresAt", "the time is past; choose a later one or leave it out")
	}
	if len(n.Scopes) > 0 {
		if n.Scopes, err = s.known.check("body.scopes", n.Scopes); err != nil {
			return err
		}
		for i, scope := range n.Scopes {
			if !covers(p.Permissions, scope) {
				return fault.Field(fmt.Sprintf("body.scopes[%d]", i), "%q is more than you may do; a token cannot do more than whoever makes it", scope)
			}
		}
	}
	if len(n.AllowedIPs) > maxNetworks {
		return fault.Field("body.allowedIps", "give at most %d networks", maxNetworks)
	}
	for i, text := range n.AllowedIPs {
		network, err := parseNetwork(text)
		if err != nil {
			return fault.Field(fmt.Sprintf("body.allowedIps[%d]", i), "%q is no network; use 203.0.113.7 or 10.1.0.0/16", text)
		}
		n.AllowedIPs[i] = network.String()
	}
	return nil
}

// within keeps a token that is made with another token inside that one's bounds.
func within(ctx context.Context, tx *db.Tx, p Principal, n *NewToken) error {
	var parent tokenRow
	if err := one(ctx, tx, &parent, "token", "organisation_id = ? AND id = ?", p.OrgID, p.TokenID); err != nil {
		return err
	}
	if scopes := stringList(parent.Scopes); len(n.Scopes) == 0 {
		n.Scopes = scopes
	}
	if networks := parseNetworks(stringList(parent.AllowedIPs)); len(networks) > 0 {
		if len(n.AllowedIPs) == 0 {
			n.AllowedIPs = stringList(parent.AllowedIPs)
		}
		for i, text := range n.AllowedIPs {
			inner, err := netip.ParsePrefix(text)
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(networks, func(outer netip.Prefix) bool { return outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr()) }) {
				return fault.Field(fmt.Sprintf("body.allowedIps[%d]", i), "%q is outside the networks of the token that you use", text)
			}
		}
	}
	if parent.ExpiresAt != nil && (n.Expires == nil || n.Expires.UnixMilli() > *parent.ExpiresAt) {
		end := timeOf(*parent.ExpiresAt)
		n.Expires = &end
	}
	return nil
}

func (n *NewToken) fill(row *tokenRow) error {
	for _, f := range []struct {
		list []string
		to   *string
	}{{n.Scopes, &row.Scopes}, {n.AllowedIPs, &row.AllowedIPs}} {
		b, err := json.Marshal(nonNil(f.list))
		if err != nil {
			return err
		}
		*f.to = string(b)
	}
	if n.Expires != nil {
		ms := n.Expires.UnixMilli()
		row.ExpiresAt = &ms
	}
	return nil
}

// parseNetwork reads a network, or an address as the network of it alone.
func parseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, err
	}
	if p.Addr().Is4In6() {
		return p, errors.New("an IPv4 address in IPv6 form")
	}
	return p.Masked(), nil
}

func parseNetworks(list []string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		if p, err := netip.ParsePrefix(s); err == nil {
			out = append(out, p)
		}
	}
	return out
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
		q := tx.NewSelect().Model(&rows).Where("organisation_id = ?", p.OrgID)
		return ScopeOf(ctx).Where(q, "user_id").Order("created_at DESC", "id DESC").Scan(ctx)
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
		if err := inScope(ctx, tx, &row, "token", "user_id", p.OrgID, id); err != nil {
			return err
		}
		if _, err := tx.NewDelete().Model(&row).WherePK().Where("organisation_id = ?", p.OrgID).Exec(ctx); err != nil {
			return err
		}
		return s.changed(ctx, tx, p.OrgID, row.UserID, Change{Action: "token.revoke", Kind: "token", ID: id, Before: row.token()})
	})
	if err == nil {
		s.forgetMember(p.OrgID, row.UserID)
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
		return s.useToken(ctx, p, ip)
	}
	if err := s.attempts.check("token " + ip); err != nil {
		return Principal{}, err
	}
	epoch := s.epoch.Load()
	var m *membership
	var row *tokenRow
	err := s.cfg.DB.ReadSystem(ctx, "whose token is it", func(ctx context.Context, tx *db.Tx) (err error) {
		row, m, err = s.tokenWhere(ctx, tx, "hash = ?", hash)
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
	p := row.principal(m)
	// A token about to expire is asked for each time, so that the cache does not lengthen its life.
	if e := row.ExpiresAt; e == nil || time.UnixMilli(*e).Sub(s.cfg.Clock.Now()) > cacheFor {
		s.remember(hash, p, epoch)
	}
	return s.useToken(ctx, p, ip)
}

// tokenWhere finds a token that has not expired, and whose it is; nil when there is none.
func (s *Service) tokenWhere(ctx context.Context, tx *db.Tx, where string, args ...any) (*tokenRow, *membership, error) {
	var row tokenRow
	err := tx.NewSelect().Model(&row).Where(where, args...).Where("expires_at IS NULL OR expires_at > ?", s.cfg.Clock.Now().UnixMilli()).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("find a token: %w", err)
	}
	m, err := membershipWhere(ctx, tx, "m.user_id = ? AND m.organisation_id = ?", row.UserID, row.OrganisationID)
	if err == nil && m != nil && m.mates == nil {
		m.mates, err = matesOf(ctx, tx, m, stringList(row.Scopes))
	}
	return &row, m, err
}

func (r *tokenRow) principal(m *membership) Principal {
	p := principalOf(m)
	p.TokenID, p.Super = r.ID, false
	if scopes := stringList(r.Scopes); len(scopes) > 0 {
		p.Permissions = narrowed(p.Permissions, scopes)
	}
	p.networks = parseNetworks(stringList(r.AllowedIPs))
	return p
}

// useToken lets a token in from where it may be used, and notes when and from where that was.
func (s *Service) useToken(ctx context.Context, p Principal, ip string) (Principal, error) {
	if !p.allowedFrom(ip) {
		if s.due("refused " + p.TokenID + " " + ip) {
			err := s.cfg.DB.InTenant(ctx, p.OrgID, func(ctx context.Context, tx *db.Tx) error {
				return Audit(With(ctx, p), tx, p.OrgID, Change{Action: "token.use", Kind: "token", ID: p.TokenID, Outcome: OutcomeDenied, Reason: "not from " + ip})
			})
			if err != nil {
				return Principal{}, err
			}
		}
		return Principal{}, fault.New(fault.Forbidden, "the API token may not be used from %s; add the network to its list, or make another token", ip)
	}
	if !s.due(p.TokenID) {
		return p, nil
	}
	return p, s.cfg.DB.InTenant(ctx, p.OrgID, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.NewUpdate().Model((*tokenRow)(nil)).Set("last_used_at = ?", s.cfg.Clock.Now().UnixMilli()).Set("last_used_ip = ?", ip).
			Where("organisation_id = ? AND id = ?", p.OrgID, p.TokenID).Exec(ctx)
		return err
	})
}

func (p Principal) allowedFrom(ip string) bool {
	if len(p.networks) == 0 {
		return true
	}
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return false
	}
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(p.networks, func(n netip.Prefix) bool { return n.Contains(a) })
}
