package identity

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Member is a person in an organisation.
type Member struct {
	UserID      string     `json:"userId"`
	Email       string     `json:"email"`
	Name        string     `json:"name"`
	Role        string     `json:"role" doc:"Id of the role"`
	RoleName    string     `json:"roleName"`
	Teams       []string   `json:"teams" doc:"Ids of the person's teams"`
	SuspendedAt *time.Time `json:"suspendedAt" doc:"Since when the person may not come in; null: they may"`
	JoinedAt    time.Time  `json:"joinedAt"`
}

type memberRow struct {
	UserID      string  `bun:"user_id"`
	Email       string  `bun:"email"`
	Name        string  `bun:"name"`
	Role        string  `bun:"role"`
	RoleName    *string `bun:"role_name"`
	SuspendedAt *int64  `bun:"suspended_at"`
	CreatedAt   int64   `bun:"created_at"`
}

// membersWhere lists people of an organisation by id, with their teams. It needs the system door, for their names.
func membersWhere(ctx context.Context, tx *db.Tx, orgID string, limit int, where string, args ...any) ([]Member, error) {
	var rows []memberRow
	err := tx.NewSelect().TableExpr("memberships AS m").
		ColumnExpr("m.user_id, u.email, u.name, m.role, r.name AS role_name, m.suspended_at, m.created_at").
		Join("JOIN users AS u ON u.id = m.user_id").
		Join("LEFT JOIN roles AS r ON r.organisation_id = m.organisation_id AND r.id = m.role").
		Where("m.organisation_id = ?", orgID).Where(where, args...).Order("m.user_id").Limit(int64(limit)).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("list members: %w", err)
	}
	out := make([]Member, len(rows))
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.UserID
		out[i] = Member{UserID: r.UserID, Email: r.Email, Name: r.Name, Role: r.Role, RoleName: roleName(r.Role, r.RoleName), Teams: []string{},
			SuspendedAt: optionalTime(r.SuspendedAt), JoinedAt: timeOf(r.CreatedAt)}
	}
	if len(ids) == 0 {
		return out, nil
	}
	var links []teamMemberRow
	err = tx.NewSelect().Model(&links).Where("organisation_id = ? AND user_id IN (?)", orgID, bun.List(ids)).Order("team_id").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("list members' teams: %w", err)
	}
	for _, l := range links {
		i := slices.Index(ids, l.UserID)
		out[i].Teams = append(out[i].Teams, l.TeamID)
	}
	return out, nil
}

// roleName shows a role: a custom one by the name it was given.
func roleName(role string, custom *string) string {
	if custom != nil {
		return *custom
	}
	for _, b := range builtInRoles() {
		if b.id == role {
			return b.name
		}
	}
	return role
}

// Members lists a page of the organisation's people, and the cursor of the next.
func (s *Service) Members(ctx context.Context, p Principal, cursor string, limit int) ([]Member, *string, error) {
	var list []Member
	err := s.cfg.DB.ReadSystem(ctx, "list an organisation's people", func(ctx context.Context, tx *db.Tx) (err error) {
		where, args := ScopeOf(ctx).SQL("m.user_id")
		list, err = membersWhere(ctx, tx, p.OrgID, limit+1, "m.user_id > ? AND "+where, append([]any{cursor}, args...)...)
		return err
	})
	list, next := pageCut(list, limit, func(m Member) string { return m.UserID })
	return list, next, err
}

// Member gives one person of the organisation.
func (s *Service) Member(ctx context.Context, orgID, userID string) (Member, error) {
	var list []Member
	err := s.cfg.DB.ReadSystem(ctx, "show a person of an organisation", func(ctx context.Context, tx *db.Tx) (err error) {
		where, args := ScopeOf(ctx).SQL("m.user_id")
		list, err = membersWhere(ctx, tx, orgID, 1, "m.user_id = ? AND "+where, append([]any{userID}, args...)...)
		return err
	})
	if err == nil && len(list) == 0 {
		err = fault.New(fault.NotFound, "there is no such person in the organisation")
	}
	if err != nil {
		return Member{}, err
	}
	return list[0], nil
}

// MemberChange is what can be changed of a member; nil leaves a part as it is.
type MemberChange struct {
	Role      *string
	Suspended *bool
}

// UpdateMember gives a member another role, or suspends them or lets them in again.
func (s *Service) UpdateMember(ctx context.Context, p Principal, userID string, c MemberChange) (Member, error) {
	m, err := s.Member(ctx, p.OrgID, userID)
	if err != nil {
		return Member{}, err
	}
	if c.Suspended != nil && *c.Suspended && userID == p.UserID {
		return Member{}, fault.New(fault.NotPossible, "you cannot suspend yourself; let another administrator do it")
	}
	err = s.cfg.DB.InTenant(ctx, p.OrgID, func(ctx context.Context, tx *db.Tx) error {
		row, err := s.memberToChange(ctx, tx, p, userID)
		if err != nil {
			return err
		}
		if row.Role != m.Role || (row.SuspendedAt != nil) != (m.SuspendedAt != nil) {
			return fault.New(fault.Conflict, "somebody else changed this person at the same time; look again")
		}
		after := m
		if c.Role != nil && *c.Role != row.Role {
			role, err := s.grantable(ctx, tx, p, *c.Role)
			if err != nil {
				return err
			}
			if role.ID == RoleOwner && row.ProviderOnly {
				return fault.New(fault.NotPossible, "%s had an account before your identity provider brought them in, and has not shown that it is theirs; remove them and invite them, then they can be an owner", m.Email)
			}
			row.Role, after.Role, after.RoleName = role.ID, role.ID, role.Name
		}
		if c.Suspended != nil && *c.Suspended != (row.SuspendedAt != nil) {
			row.SuspendedAt = nil
			if *c.Suspended {
				now := s.cfg.Clock.Now().UnixMilli()
				row.SuspendedAt = &now
			}
			after.SuspendedAt = optionalTime(row.SuspendedAt)
		}
		if m.Role == RoleOwner && m.SuspendedAt == nil && (row.Role != RoleOwner || row.SuspendedAt != nil) {
			if err := otherOwner(ctx, tx, p.OrgID, userID); err != nil {
				return err
			}
		}
		return s.saveMember(ctx, tx, row, m, after)
	})
	s.forgetMember(p.OrgID, userID)
	if err != nil {
		return Member{}, err
	}
	return s.Member(ctx, p.OrgID, userID)
}

func (s *Service) saveMember(ctx context.Context, tx *db.Tx, row *membershipRow, before, after Member) error {
	_, err := tx.NewUpdate().Model(row).Column("role", "suspended_at").WherePK().Exec(ctx)
	if err != nil {
		return fmt.Errorf("change a member: %w", err)
	}
	action := "member.update"
	if after.SuspendedAt != nil && before.SuspendedAt == nil {
		action = "member.suspend"
		if err := endMemberSessions(ctx, tx, row.OrganisationID, row.UserID); err != nil {
			return err
		}
	}
	return s.changed(ctx, tx, row.OrganisationID, row.UserID, Change{Action: action, Kind: "member", ID: row.UserID, Before: before, After: after})
}

func endMemberSessions(ctx context.Context, tx *db.Tx, orgID, userID string) error {
	_, err := tx.NewDelete().Model((*sessionRow)(nil)).Where("organisation_id = ? AND user_id = ?", orgID, userID).Exec(ctx)
	if err != nil {
		return fmt.Errorf("end a member's sessions: %w", err)
	}
	return nil
}

// memberToChange finds a member whom p may change: nobody has power over those who may do more.
func (s *Service) memberToChange(ctx context.Context, tx *db.Tx, p Principal, userID string) (*membershipRow, error) {
	if err := lockOrganisation(ctx, tx, p.OrgID); err != nil {
		return nil, err
	}
	var row membershipRow
	if err := one(ctx, tx, &row, "person in the organisation", "organisation_id = ? AND user_id = ?", p.OrgID, userID); err != nil {
		return nil, err
	}
	if _, err := s.grantable(ctx, tx, p, row.Role); err != nil && !fault.Is(err, fault.Invalid) {
		return nil, err
	}
	return &row, nil
}

// grantable finds a role that p may give and take: only an owner makes owners, and nobody gives more than they have.
func (s *Service) grantable(ctx context.Context, tx *db.Tx, p Principal, role string) (Role, error) {
	r, err := s.findRole(ctx, tx, p.OrgID, role)
	if fault.Is(err, fault.NotFound) {
		return Role{}, fault.Field("body.role", "there is no role %q; GET /api/v1/roles lists them", role)
	}
	if err != nil {
		return Role{}, err
	}
	if r.ID == RoleOwner && p.Role != RoleOwner {
		return Role{}, fault.New(fault.Forbidden, "only an owner may make, change or remove owners")
	}
	if r.ID == RoleOwner && p.Impersonator != "" {
		return Role{}, fault.New(fault.Forbidden, "whoever acts for an owner makes, changes and removes no owners: that would outlast it")
	}
	return r, s.mayGrant(p, r.Permissions)
}

// otherOwner refuses what would leave the organisation without an owner who can come in.
func otherOwner(ctx context.Context, tx *db.Tx, orgID, userID string) error {
	n, err := tx.NewSelect().Model((*membershipRow)(nil)).
		Where("organisation_id = ? AND role = ? AND suspended_at IS NULL AND user_id <> ?", orgID, RoleOwner, userID).Count(ctx)
	if err != nil {
		return fmt.Errorf("count owners: %w", err)
	}
	if n == 0 {
		return fault.New(fault.NotPossible, "this is the organisation's last owner; make somebody else an owner first")
	}
	return nil
}

// RemoveMember takes a person out of the organisation, with their sessions and API tokens in it. An account that
// belongs nowhere else is forgotten.
func (s *Service) RemoveMember(ctx context.Context, p Principal, userID string) error {
	m, err := s.Member(ctx, p.OrgID, userID)
	if err != nil {
		return err
	}
	err = s.cfg.DB.InTenant(ctx, p.OrgID, func(ctx context.Context, tx *db.Tx) error {
		row, err := s.memberToChange(ctx, tx, p, userID)
		if err != nil {
			return err
		}
		if row.Role == RoleOwner {
			if err := otherOwner(ctx, tx, p.OrgID, userID); err != nil {
				return err
			}
		}
		return s.detach(ctx, tx, row, m)
	})
	s.forgetMember(p.OrgID, userID)
	if err != nil {
		return err
	}
	return s.cfg.DB.InSystem(ctx, "forget a person who belongs nowhere", func(ctx context.Context, tx *db.Tx) error {
		return forgetUnattached(ctx, tx, "id = ?", userID)
	})
}

// detach deletes a membership and what hangs on it.
func (s *Service) detach(ctx context.Context, tx *db.Tx, row *membershipRow, before Member) error {
	if err := endMemberSessions(ctx, tx, row.OrganisationID, row.UserID); err != nil {
		return err
	}
	for _, model := range []any{(*tokenRow)(nil), (*membershipRow)(nil)} {
		if _, err := tx.NewDelete().Model(model).Where("organisation_id = ? AND user_id = ?", row.OrganisationID, row.UserID).Exec(ctx); err != nil {
			return fmt.Errorf("remove a member: %w", err)
		}
	}
	return s.changed(ctx, tx, row.OrganisationID, row.UserID, Change{Action: "member.remove", Kind: "member", ID: row.UserID, Before: before})
}

// forgetUnattached deletes accounts that belong to no organisation and administer nothing. It needs the system door.
func forgetUnattached(ctx context.Context, tx *db.Tx, where string, args ...any) error {
	_, err := tx.NewDelete().Model((*userRow)(nil)).Where(where, args...).Where("super = ?", false).
		Where("NOT EXISTS (SELECT 1 FROM memberships AS m WHERE m.user_id = ?TableAlias.id)").Exec(ctx)
	if err != nil {
		return fmt.Errorf("forget an account: %w", err)
	}
	return nil
}
