package identity

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	maxRoles    = 100 // of one organisation
	maxPatterns = 200 // of one role

	selfArea    = "self" // a person's own account: everybody has it
	superArea   = "super"
	publicWord  = "public"
	selfPattern = selfArea + ":*"
)

// The roles that every organisation has.
const (
	RoleOwner      = "owner"
	RoleAdmin      = "admin"
	RoleSupervisor = "supervisor"
	RoleAgent      = "agent"
	RoleViewer     = "viewer"
)

type builtInRole struct {
	id, name, description string
	permissions           []string
}

// builtInRoles lists the roles that every organisation has, the mightiest first.
func builtInRoles() []builtInRole {
	return []builtInRole{
		{RoleOwner, "Owner", "Everything. Only an owner makes or removes owners.", []string{"*"}},
		{RoleAdmin, "Administrator", "Everything but owners.", []string{"*"}},
		{RoleSupervisor, "Supervisor", "All calls, agents and campaigns; reads models, phones, trunks, people and teams.",
			[]string{"call:*", "agent:*", "campaign:*", "donotcall:*", "model:read", "phone:read", "trunk:read", "team:read", "project:read", "member:read"}},
		{RoleAgent, "Agent", "Takes calls; reads agents.", []string{"call:read", "call:update", "agent:read", "agent:update:own", "donotcall:create"}},
		{RoleViewer, "Viewer", "Reads calls, agents, campaigns, models, phones, trunks and teams.",
			[]string{"call:read", "agent:read", "campaign:read", "donotcall:read", "model:read", "phone:read", "trunk:read", "team:read", "project:read"}},
	}
}

// rolePermissions gives what a built-in role may do; nothing for another.
func rolePermissions(role string) []string {
	for _, b := range builtInRoles() {
		if b.id == role {
			return b.permissions
		}
	}
	return nil
}

// catalogue is every permission that an operation of the API asks for.
type catalogue struct {
	mu     sync.RWMutex
	list   []string // sorted
	narrow map[string]bool
}

// watch collects the permissions of operations as they are added to api.
func (c *catalogue) watch(api huma.API) {
	api.OpenAPI().OnAddOperation = append(api.OpenAPI().OnAddOperation, func(_ *huma.OpenAPI, op *huma.Operation) {
		if p, _ := op.Metadata["permission"].(string); p != "" {
			c.add(p, Narrows(op.Metadata))
		}
	})
}

func (c *catalogue) add(permission string, narrow bool) {
	area, _, _ := strings.Cut(permission, ":")
	if permission == publicWord || area == superArea || area == selfArea {
		return // no role gives them, or everybody has them
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if i, found := slices.BinarySearch(c.list, permission); !found {
		c.list = slices.Insert(c.list, i, permission)
	}
	if narrow {
		if c.narrow == nil {
			c.narrow = map[string]bool{}
		}
		c.narrow[permission] = true
	}
}

func (c *catalogue) all() []string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.Clone(c.list)
}

// narrows reports whether an operation honours ":own" and ":team" of a permission.
func (c *catalogue) narrows(permission string) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.narrow[permission]
}

// expand lists the permissions that patterns give, in the form "area:verb", or "area:verb:own" where they are narrower.
func (c *catalogue) expand(patterns []string) []string {
	p := Principal{Permissions: patterns}
	out := []string{}
	for _, permission := range c.all() {
		switch reach := p.Reach(permission); {
		case reach == ReachAll:
			out = append(out, permission)
		case !c.narrows(permission): // nothing of it belongs to anybody
		case reach == ReachTeam:
			out = append(out, permission+":team")
		case reach == ReachOwn:
			out = append(out, permission+":own")
		}
	}
	return out
}

// check refuses patterns that give nothing, because that is a slip of the pen.
func (c *catalogue) check(location string, patterns []string) ([]string, error) {
	if len(patterns) > maxPatterns {
		return nil, fault.Field(location, "a role has at most %d permissions; use wildcards such as call:*", maxPatterns)
	}
	out := []string{}
	for i, pattern := range patterns {
		at := fmt.Sprintf("%s[%d]", location, i)
		parts := strings.Split(pattern, ":")
		narrow := len(parts) == 3 && (parts[2] == "own" || parts[2] == "team")
		if pattern != "*" && (len(parts) < 2 || len(parts) > 3 || len(parts) == 3 && !narrow || len(c.expand([]string{pattern})) == 0) {
			return nil, fault.Field(at, "%q gives nothing; GET /api/v1/permissions lists permissions and which of them take :own or :team as a last part; area:* may be used", pattern)
		}
		if !slices.Contains(out, pattern) {
			out = append(out, pattern)
		}
	}
	slices.Sort(out)
	return out, nil
}

// mayGrant refuses to hand out more than p has.
func (s *Service) mayGrant(p Principal, patterns []string) error {
	if slices.Contains(patterns, "*") && !slices.Contains(p.Permissions, "*") {
		return fault.New(fault.Forbidden, "nobody may give more than they have: your role does not include every permission")
	}
	given := Principal{Permissions: patterns}
	for _, permission := range s.known.all() {
		if given.Reach(permission) > p.Reach(permission) {
			return fault.New(fault.Forbidden, "nobody may give more than they have: your role does not include %q", permission)
		}
	}
	return nil
}

// Role is a set of permissions with a name.
type Role struct {
	ID          string     `json:"id" doc:"Of a built-in role its name: owner, admin, supervisor, agent, viewer"`
	Name        string     `json:"name"`
	Description string     `json:"description"`
	BuiltIn     bool       `json:"builtIn" doc:"Every organisation has it, and nobody can change it"`
	Permissions []string   `json:"permissions" doc:"Patterns: area:verb, area:*, *, with :own or :team as a last part"`
	Expanded    []string   `json:"expanded" doc:"What the patterns give today"`
	Members     int64      `json:"members" doc:"How many people have it"`
	CreatedAt   *time.Time `json:"createdAt" doc:"null for a built-in role"`
	UpdatedAt   *time.Time `json:"updatedAt"`
}

func (s *Service) builtInView(b builtInRole) Role {
	return Role{ID: b.id, Name: b.name, Description: b.description, BuiltIn: true, Permissions: b.permissions, Expanded: s.known.expand(b.permissions)}
}

func (s *Service) roleView(r *roleRow) Role {
	patterns := stringList(r.Permissions)
	return Role{ID: r.ID, Name: r.Name, Description: r.Description, Permissions: patterns, Expanded: s.known.expand(patterns),
		CreatedAt: optionalTime(&r.CreatedAt), UpdatedAt: optionalTime(&r.UpdatedAt)}
}

// findRole gives a built-in role or one of the organisation.
func (s *Service) findRole(ctx context.Context, tx *db.Tx, orgID, id string) (Role, error) {
	for _, b := range builtInRoles() {
		if b.id == id {
			return s.builtInView(b), nil
		}
	}
	var row roleRow
	if err := one(ctx, tx, &row, "role", "organisation_id = ? AND id = ?", orgID, id); err != nil {
		return Role{}, err
	}
	return s.roleView(&row), nil
}

// Roles lists the built-in roles and the organisation's own.
func (s *Service) Roles(ctx context.Context, p Principal) ([]Role, error) {
	out := []Role{}
	err := s.cfg.DB.ReadTenant(ctx, p.OrgID, func(ctx context.Context, tx *db.Tx) error {
		var rows []roleRow
		if err := tx.NewSelect().Model(&rows).Where("organisation_id = ?", p.OrgID).Order("name").Scan(ctx); err != nil {
			return err
		}
		var counts []struct {
			Role string `bun:"role"`
			N    int64  `bun:"n"`
		}
		err := tx.NewSelect().Model((*membershipRow)(nil)).Column("role").ColumnExpr("count(*) AS n").
			Where("organisation_id = ?", p.OrgID).Group("role").Scan(ctx, &counts)
		if err != nil {
			return err
		}
		for _, b := range builtInRoles() {
			out = append(out, s.builtInView(b))
		}
		for i := range rows {
			out = append(out, s.roleView(&rows[i]))
		}
		for i := range out {
			for _, c := range counts {
				if c.Role == out[i].ID {
					out[i].Members = c.N
				}
			}
		}
		return nil
	})
	return out, err
}

// Role gives one role.
func (s *Service) Role(ctx context.Context, p Principal, id string) (Role, error) {
	var out Role
	err := s.cfg.DB.ReadTenant(ctx, p.OrgID, func(ctx context.Context, tx *db.Tx) (err error) {
		if out, err = s.findRole(ctx, tx, p.OrgID, id); err != nil {
			return err
		}
		out.Members, err = tx.NewSelect().Model((*membershipRow)(nil)).Where("organisation_id = ? AND role = ?", p.OrgID, id).Count(ctx)
		return err
	})
	return out, err
}

// countedRole shows a role with the number of people who have it.
func (s *Service) countedRole(ctx context.Context, tx *db.Tx, row *roleRow) (Role, error) {
	out := s.roleView(row)
	n, err := tx.NewSelect().Model((*membershipRow)(nil)).Where("organisation_id = ? AND role = ?", row.OrganisationID, row.ID).Count(ctx)
	out.Members = n
	return out, err
}

// RoleChange is what a role is made of or changed to; nil leaves a part as it is.
type RoleChange struct {
	Name, Description *string
	Permissions       *[]string
}

func (s *Service) checkRole(p Principal, c *RoleChange) error {
	if c.Name != nil {
		name, err := requiredName("body.name", *c.Name)
		if err != nil {
			return err
		}
		for _, b := range builtInRoles() {
			if strings.EqualFold(b.name, name) || strings.EqualFold(b.id, name) {
				return nameTaken("role", name)
			}
		}
		c.Name = &name
	}
	if c.Description != nil {
		text, err := checkDescription("body.description", *c.Description)
		if err != nil {
			return err
		}
		c.Description = &text
	}
	if c.Permissions != nil {
		list, err := s.known.check("body.permissions", *c.Permissions)
		if err != nil {
			return err
		}
		c.Permissions = &list
		return s.mayGrant(p, list)
	}
	return nil
}

func (c *RoleChange) apply(row *roleRow) error {
	if c.Name != nil {
		row.Name = *c.Name
	}
	if c.Description != nil {
		row.Description = *c.Description
	}
	if c.Permissions != nil {
		b, err := json.Marshal(*c.Permissions)
		if err != nil {
			return err
		}
		row.Permissions = string(b)
	}
	return nil
}

// CreateRole adds a role to the organisation.
func (s *Service) CreateRole(ctx context.Context, p Principal, c RoleChange) (Role, error) {
	if c.Name == nil {
		return Role{}, fault.Field("body.name", "give it a name")
	}
	if err := s.checkRole(p, &c); err != nil {
		return Role{}, err
	}
	now := s.cfg.Clock.Now().UnixMilli()
	row := &roleRow{ID: newID(), OrganisationID: p.OrgID, Permissions: "[]", CreatedAt: now, UpdatedAt: now}
	if err := c.apply(row); err != nil {
		return Role{}, err
	}
	view := s.roleView(row)
	err := s.cfg.DB.InTenant(ctx, p.OrgID, func(ctx context.Context, tx *db.Tx) error {
		n, err := tx.NewSelect().Model((*roleRow)(nil)).Where("organisation_id = ?", p.OrgID).Count(ctx)
		if err != nil {
			return err
		}
		if n >= maxRoles {
			return fault.New(fault.Conflict, "the organisation has %d roles, the most it may have; delete one first", n)
		}
		if err := insertNamed(ctx, tx, row, "role", row.Name); err != nil {
			return err
		}
		return Audit(ctx, tx, p.OrgID, Change{Action: "role.create", Kind: "role", ID: row.ID, After: view})
	})
	return view, err
}

// UpdateRole changes a role of the organisation. It counts at once for everybody who has it.
func (s *Service) UpdateRole(ctx context.Context, p Principal, id string, c RoleChange) (Role, error) {
	if rolePermissions(id) != nil {
		return Role{}, fault.New(fault.NotPossible, "a built-in role cannot be changed; make a role of your own")
	}
	if err := s.checkRole(p, &c); err != nil {
		return Role{}, err
	}
	var after Role
	err := s.cfg.DB.InTenant(ctx, p.OrgID, func(ctx context.Context, tx *db.Tx) error {
		var row roleRow
		if err := one(ctx, tx, &row, "role", "organisation_id = ? AND id = ?", p.OrgID, id); err != nil {
			return err
		}
		before, err := s.countedRole(ctx, tx, &row)
		if err != nil {
			return err
		}
		// Whoever changes a role has power over those who have it, so it must not be above them.
		if err := s.mayGrant(p, before.Permissions); err != nil {
			return err
		}
		if err := c.apply(&row); err != nil {
			return err
		}
		if err := freeName(ctx, tx, (*roleRow)(nil), "role", p.OrgID, id, row.Name); err != nil {
			return err
		}
		row.UpdatedAt = s.cfg.Clock.Now().UnixMilli()
		if _, err := tx.NewUpdate().Model(&row).WherePK().Where("organisation_id = ?", p.OrgID).Exec(ctx); err != nil {
			return err
		}
		after = s.roleView(&row)
		after.Members = before.Members
		return s.changed(ctx, tx, p.OrgID, "", Change{Action: "role.update", Kind: "role", ID: id, Before: before, After: after})
	})
	s.forgetMember(p.OrgID, "")
	return after, err
}

// DeleteRole removes a role that nobody has and nobody is invited to.
func (s *Service) DeleteRole(ctx context.Context, p Principal, id string) error {
	if rolePermissions(id) != nil {
		return fault.New(fault.NotPossible, "a built-in role cannot be deleted")
	}
	return s.cfg.DB.InTenant(ctx, p.OrgID, func(ctx context.Context, tx *db.Tx) error {
		if err := lockOrganisation(ctx, tx, p.OrgID); err != nil {
			return err
		}
		var row roleRow
		if err := one(ctx, tx, &row, "role", "organisation_id = ? AND id = ?", p.OrgID, id); err != nil {
			return err
		}
		for _, model := range []any{(*membershipRow)(nil), (*invitationRow)(nil)} {
			n, err := tx.NewSelect().Model(model).Where("organisation_id = ? AND role = ?", p.OrgID, id).Count(ctx)
			if err != nil {
				return err
			}
			if n > 0 {
				return fault.New(fault.Conflict, "%d people have the role %q or are invited to it; give them another first", n, row.Name)
			}
		}
		if _, err := tx.NewDelete().Model(&row).WherePK().Where("organisation_id = ?", p.OrgID).Exec(ctx); err != nil {
			return err
		}
		return Audit(ctx, tx, p.OrgID, Change{Action: "role.delete", Kind: "role", ID: id, Before: s.roleView(&row)})
	})
}
