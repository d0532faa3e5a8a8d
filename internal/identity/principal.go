package identity

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// membership is a person in an organisation, with what decides who they are and what they may do.
type membership struct {
	UserID         string  `bun:"user_id"`
	Email          string  `bun:"email"`
	Name           string  `bun:"name"`
	PasswordHash   string  `bun:"password_hash"`
	Super          bool    `bun:"super"`
	OrganisationID string  `bun:"organisation_id"`
	Organisation   string  `bun:"organisation"`
	Address        string  `bun:"address"`
	Oldest         bool    `bun:"oldest"` // organisation of the installation
	Role           string  `bun:"role"`
	RoleName       *string `bun:"role_name"`   // of a custom role
	Patterns       *string `bun:"permissions"` // of a custom role, JSON
	SuspendedAt    *int64  `bun:"suspended_at"`
	OrgSuspendedAt *int64  `bun:"organisation_suspended_at"`
	OrgReason      string  `bun:"organisation_suspended_reason"`
	IdleMinutes    *int64  `bun:"session_idle_minutes"`
	MFARequired    bool    `bun:"mfa_required"`

	teams []string
	mates []string // the other people of teams, where a permission reaches them
}

// membershipWhere finds the membership that fits: the oldest of those that are not suspended and that a password opens, else
// the oldest; nil when there is none. It needs the system door.
func membershipWhere(ctx context.Context, tx *db.Tx, where string, args ...any) (*membership, error) {
	var m membership
	err := tx.NewSelect().TableExpr("memberships AS m").
		ColumnExpr("u.id AS user_id, u.email, u.name, u.password_hash, u.super, m.role, m.suspended_at").
		ColumnExpr("o.id AS organisation_id, o.name AS organisation, o.session_idle_minutes, o.mfa_required").
		ColumnExpr("o.address, NOT EXISTS (SELECT 1 FROM organisations AS e WHERE e.id < o.id) AS oldest").
		ColumnExpr("o.suspended_at AS organisation_suspended_at, o.suspended_reason AS organisation_suspended_reason").
		ColumnExpr("r.name AS role_name, r.permissions").
		Join("JOIN users AS u ON u.id = m.user_id").
		Join("JOIN organisations AS o ON o.id = m.organisation_id").
		Join("LEFT JOIN roles AS r ON r.organisation_id = m.organisation_id AND r.id = m.role").
		Where(where, args...).
		OrderExpr("CASE WHEN m.suspended_at IS NULL AND o.suspended_at IS NULL THEN 0 ELSE 1 END").
		Order("m.provider_only", "m.created_at", "m.organisation_id").Limit(1).Scan(ctx, &m)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find a membership: %w", err)
	}
	err = tx.NewSelect().Model((*teamMemberRow)(nil)).Column("team_id").
		Where("organisation_id = ? AND user_id = ?", m.OrganisationID, m.UserID).Order("team_id").Scan(ctx, &m.teams)
	if err != nil {
		return nil, fmt.Errorf("find a person's teams: %w", err)
	}
	m.mates, err = matesOf(ctx, tx, &m, m.permissions())
	return &m, err
}

// standing says why a member may not come in, nil when they may.
func (m *membership) standing() error {
	switch {
	case m.OrgSuspendedAt != nil && m.OrgReason != "":
		return fault.New(fault.Forbidden, "the organisation %q is suspended: %s; ask whoever runs this installation", m.Organisation, m.OrgReason)
	case m.OrgSuspendedAt != nil:
		return fault.New(fault.Forbidden, "the organisation %q is suspended; ask whoever runs this installation", m.Organisation)
	case m.SuspendedAt != nil:
		return fault.New(fault.Forbidden, "your access to %q is suspended; ask an administrator of the organisation", m.Organisation)
	}
	return nil
}

// permissions gives what the member may do: their role's patterns, and what everybody may do with their own account.
func (m *membership) permissions() []string {
	patterns := rolePermissions(m.Role)
	if m.Patterns != nil {
		patterns = stringList(*m.Patterns)
	}
	if slices.Contains(patterns, "*") {
		return patterns
	}
	return append(slices.Clone(patterns), selfPattern)
}

// principalOf is the one place where a membership becomes a Principal. A session or token adds its id, a token
// takes Super away.
func principalOf(m *membership) Principal {
	return Principal{
		UserID: m.UserID, OrgID: m.OrganisationID, Role: m.Role, Permissions: m.permissions(), Teams: m.teams, mates: m.mates,
		Super: m.Super,
	}
}

// account shows the member to themselves.
func (m *membership) account() Account {
	name := m.Role
	if m.RoleName != nil {
		name = *m.RoleName
	}
	return Account{
		User:         User{ID: m.UserID, Email: m.Email, Name: m.Name},
		Organisation: Organisation{ID: m.OrganisationID, Name: m.Organisation},
		Role:         m.Role, RoleName: name, Permissions: m.permissions(), Teams: nonNil(m.teams), SuperAdmin: m.Super,
		Memberships: []AccountMembership{}, AgentSuffix: m.agentSuffix(),
	}
}

// agentSuffix is what follows an agent's name in an address: agents of the oldest organisation need none.
func (m *membership) agentSuffix() string {
	if m.Oldest {
		return ""
	}
	return "." + m.Address
}

// stringList reads a list that this package wrote.
func stringList(raw string) []string {
	list := []string{}
	_ = json.Unmarshal([]byte(raw), &list)
	return list
}

func nonNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// forgetMember drops what is remembered of a person in an organisation, so that a change counts at once in this
// process. An empty user is all of the organisation.
func (s *Service) forgetMember(orgID, userID string) {
	s.epoch.Add(1)
	for key, p := range s.cache.All() {
		if p.OrgID == orgID && (userID == "" || p.UserID == userID) {
			s.cache.Invalidate(key)
		}
	}
}

// forgetUser drops what is remembered of a person in every organisation.
func (s *Service) forgetUser(userID string) {
	s.epoch.Add(1)
	for key, p := range s.cache.All() {
		if p.UserID == userID || p.Impersonator == userID {
			s.cache.Invalidate(key)
		}
	}
}

// remember keeps a principal that was read since epoch, unless somebody changed meanwhile.
func (s *Service) remember(key string, p Principal, epoch uint64) {
	s.cache.Set(key, p)
	if s.epoch.Load() != epoch {
		s.cache.Invalidate(key)
	}
}

// changed publishes the audit entry of a change, and tells other processes to forget what they remember of the
// person; of everybody in the organisation where userID is empty.
func (s *Service) changed(ctx context.Context, tx *db.Tx, orgID, userID string, c Change) error {
	if err := Audit(ctx, tx, orgID, c); err != nil {
		return err
	}
	return tx.PublishFor(ctx, orgID, event.IdentityChanged{OrgID: orgID, UserID: userID})
}

// Forget drops what this process remembers of a person, or with an empty userID of an organisation, because another
// process changed it.
func (s *Service) Forget(orgID, userID string) {
	s.forgetMember(orgID, userID)
	s.settings.Invalidate(orgID)
}

// membershipsOf lists every organisation a person belongs to, by name.
func membershipsOf(ctx context.Context, tx *db.Tx, userID string) ([]AccountMembership, error) {
	var rows []struct {
		ID        string `bun:"id"`
		Name      string `bun:"name"`
		Role      string `bun:"role"`
		Suspended bool   `bun:"suspended"`
	}
	err := tx.NewSelect().TableExpr("memberships AS m").ColumnExpr("o.id, o.name, m.role").
		ColumnExpr("(m.suspended_at IS NOT NULL OR o.suspended_at IS NOT NULL) AS suspended").
		Join("JOIN organisations AS o ON o.id = m.organisation_id").
		Where("m.user_id = ?", userID).Order("o.name", "o.id").Limit(maxMemberships).Scan(ctx, &rows)
	out := make([]AccountMembership, len(rows))
	for i, r := range rows {
		out[i] = AccountMembership{Organisation: Organisation{ID: r.ID, Name: r.Name}, Role: r.Role, Suspended: r.Suspended}
	}
	return out, err
}

// impersonationOf tells who acts as p's person; nil when they do themselves.
func impersonationOf(ctx context.Context, tx *db.Tx, p Principal) (*Impersonation, error) {
	if p.Impersonator == "" {
		return nil, nil
	}
	var row sessionRow
	if err := one(ctx, tx, &row, "session", "id = ?", p.SessionID); err != nil {
		return nil, err
	}
	var user userRow
	if err := one(ctx, tx, &user, "person", "id = ?", p.Impersonator); err != nil {
		return nil, err
	}
	out := &Impersonation{User: user.user(), Reason: row.Reason}
	if row.EndsAt != nil {
		out.EndsAt = timeOf(*row.EndsAt)
	}
	return out, nil
}

func (r *userRow) user() User { return User{ID: r.ID, Email: r.Email, Name: r.Name} }
