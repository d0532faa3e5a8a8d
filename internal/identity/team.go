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

const (
	maxTeams       = 500 // of one organisation
	maxTeamMembers = 1000
)

// Team is a group of people who work on the same calls.
type Team struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Members     []string  `json:"members" doc:"User ids"`
	CreatedAt   time.Time `json:"createdAt"`
	UpdatedAt   time.Time `json:"updatedAt"`
}

func (r *teamRow) team() Team {
	return Team{ID: r.ID, Name: r.Name, Description: r.Description, Members: []string{}, CreatedAt: timeOf(r.CreatedAt), UpdatedAt: timeOf(r.UpdatedAt)}
}

// NameChange is what a team or a project is made of or changed to; nil leaves a part as it is.
type NameChange struct{ Name, Description *string }

func (c *NameChange) check() error {
	if c.Name != nil {
		name, err := requiredName("body.name", *c.Name)
		if err != nil {
			return err
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
	return nil
}

func (c *NameChange) apply(name, description *string) {
	if c.Name != nil {
		*name = *c.Name
	}
	if c.Description != nil {
		*description = *c.Description
	}
}

// teamsWhere lists teams by id, with their members.
func teamsWhere(ctx context.Context, tx *db.Tx, orgID string, limit int, where string, args ...any) ([]Team, error) {
	var rows []teamRow
	err := tx.NewSelect().Model(&rows).Where("organisation_id = ?", orgID).Where(where, args...).Order("id").Limit(int64(limit)).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("list teams: %w", err)
	}
	out, ids := make([]Team, len(rows)), make([]string, len(rows))
	for i := range rows {
		out[i], ids[i] = rows[i].team(), rows[i].ID
	}
	if len(ids) == 0 {
		return out, nil
	}
	var links []teamMemberRow
	err = tx.NewSelect().Model(&links).Where("organisation_id = ? AND team_id IN (?)", orgID, bun.List(ids)).Order("user_id").Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("list teams' members: %w", err)
	}
	for _, l := range links {
		i := slices.Index(ids, l.TeamID)
		out[i].Members = append(out[i].Members, l.UserID)
	}
	return out, nil
}

func teamByID(ctx context.Context, tx *db.Tx, orgID, id string) (Team, error) {
	where, args := teamsInScope(ctx, orgID)
	list, err := teamsWhere(ctx, tx, orgID, 1, "id = ? AND "+where, append([]any{id}, args...)...)
	if err == nil && len(list) == 0 {
		err = fault.New(fault.NotFound, "there is no such team")
	}
	if err != nil {
		return Team{}, err
	}
	return list[0], nil
}

// Teams lists a page of the organisation's teams, and the cursor of the next.
func (s *Service) Teams(ctx context.Context, p Principal, cursor string, limit int) ([]Team, *string, error) {
	var list []Team
	err := s.cfg.DB.ReadTenant(ctx, p.OrgID, func(ctx context.Context, tx *db.Tx) (err error) {
		where, args := teamsInScope(ctx, p.OrgID)
		list, err = teamsWhere(ctx, tx, p.OrgID, limit+1, "id > ? AND "+where, append([]any{cursor}, args...)...)
		return err
	})
	list, next := pageCut(list, limit, func(t Team) string { return t.ID })
	return list, next, err
}

// Team gives one team.
func (s *Service) Team(ctx context.Context, p Principal, id string) (Team, error) {
	var out Team
	err := s.cfg.DB.ReadTenant(ctx, p.OrgID, func(ctx context.Context, tx *db.Tx) (err error) {
		out, err = teamByID(ctx, tx, p.OrgID, id)
		return err
	})
	return out, err
}

// CreateTeam adds a team.
func (s *Service) CreateTeam(ctx context.Context, p Principal, c NameChange) (Team, error) {
	if c.Name == nil {
		return Team{}, fault.Field("body.name", "give it a name")
	}
	if err := c.check(); err != nil {
		return Team{}, err
	}
	now := s.cfg.Clock.Now().UnixMilli()
	row := &teamRow{ID: newID(), OrganisationID: p.OrgID, CreatedAt: now, UpdatedAt: now}
	c.apply(&row.Name, &row.Description)
	err := s.cfg.DB.InTenant(ctx, p.OrgID, func(ctx context.Context, tx *db.Tx) error {
		n, err := tx.NewSelect().Model((*teamRow)(nil)).Where("organisation_id = ?", p.OrgID).Count(ctx)
		if err != nil {
			return err
		}
		if n >= maxTeams {
			return fault.New(fault.Conflict, "the organisation has %d teams, the most it may have; delete one first", n)
		}
		if err := insertNamed(ctx, tx, row, "team", row.Name); err != nil {
			return err
		}
		return Audit(ctx, tx, p.OrgID, Change{Action: "team.create", Kind: "team", ID: row.ID, After: row.team()})
	})
	return row.team(), err
}

// UpdateTeam renames a team.
func (s *Service) UpdateTeam(ctx context.Context, p Principal, id string, c NameChange) (Team, error) {
	if err := c.check(); err != nil {
		return Team{}, err
	}
	return s.changeTeam(ctx, p, id, "team.update", func(ctx context.Context, tx *db.Tx, t Team) error {
		c.apply(&t.Name, &t.Description)
		if err := freeName(ctx, tx, (*teamRow)(nil), "team", p.OrgID, id, t.Name); err != nil {
			return err
		}
		_, err := tx.NewUpdate().Model((*teamRow)(nil)).Set("name = ?", t.Name).Set("description = ?", t.Description).
			Set("updated_at = ?", s.cfg.Clock.Now().UnixMilli()).Where("organisation_id = ? AND id = ?", p.OrgID, id).Exec(ctx)
		return err
	})
}

// changeTeam lets fn change a team, and audits what came of it.
func (s *Service) changeTeam(ctx context.Context, p Principal, id, action string, fn func(context.Context, *db.Tx, Team) error) (Team, error) {
	var after Team
	err := s.cfg.DB.InTenant(ctx, p.OrgID, func(ctx context.Context, tx *db.Tx) error {
		before, err := teamByID(ctx, tx, p.OrgID, id)
		if err != nil {
			return err
		}
		if err := fn(ctx, tx, before); err != nil {
			return err
		}
		if after, err = teamByID(ctx, tx, p.OrgID, id); err != nil {
			return err
		}
		return s.changed(ctx, tx, p.OrgID, "", Change{Action: action, Kind: "team", ID: id, Before: before, After: after})
	})
	s.forgetMember(p.OrgID, "")
	return after, err
}

// AddToTeam puts a member of the organisation into a team. Doing it twice is no error.
func (s *Service) AddToTeam(ctx context.Context, p Principal, id, userID string) (Team, error) {
	return s.changeTeam(ctx, p, id, "team.member.add", func(ctx context.Context, tx *db.Tx, t Team) error {
		var m membershipRow
		if err := one(ctx, tx, &m, "person in the organisation", "organisation_id = ? AND user_id = ?", p.OrgID, userID); err != nil {
			return err
		}
		if len(t.Members) >= maxTeamMembers && !slices.Contains(t.Members, userID) {
			return fault.New(fault.Conflict, "the team has %d members, the most it may have", len(t.Members))
		}
		return s.joinTeam(ctx, tx, p.OrgID, id, userID)
	})
}

func (s *Service) joinTeam(ctx context.Context, tx *db.Tx, orgID, id, userID string) error {
	row := &teamMemberRow{OrganisationID: orgID, TeamID: id, UserID: userID, CreatedAt: s.cfg.Clock.Now().UnixMilli()}
	if _, err := tx.NewInsert().Model(row).On("CONFLICT DO NOTHING").Exec(ctx); err != nil {
		return fmt.Errorf("add to a team: %w", err)
	}
	return nil
}

// RemoveFromTeam takes a person out of a team.
func (s *Service) RemoveFromTeam(ctx context.Context, p Principal, id, userID string) (Team, error) {
	return s.changeTeam(ctx, p, id, "team.member.remove", func(ctx context.Context, tx *db.Tx, _ Team) error {
		ok, err := affected(tx.NewDelete().Model((*teamMemberRow)(nil)).
			Where("organisation_id = ? AND team_id = ? AND user_id = ?", p.OrgID, id, userID).Exec(ctx))
		if err == nil && !ok {
			err = fault.New(fault.NotFound, "there is no such person in the team")
		}
		return err
	})
}

// DeleteTeam removes a team; its people stay.
func (s *Service) DeleteTeam(ctx context.Context, p Principal, id string) error {
	err := s.cfg.DB.InTenant(ctx, p.OrgID, func(ctx context.Context, tx *db.Tx) error {
		before, err := teamByID(ctx, tx, p.OrgID, id)
		if err != nil {
			return err
		}
		if _, err := tx.NewDelete().Model((*teamRow)(nil)).Where("organisation_id = ? AND id = ?", p.OrgID, id).Exec(ctx); err != nil {
			return err
		}
		return s.changed(ctx, tx, p.OrgID, "", Change{Action: "team.delete", Kind: "team", ID: id, Before: before})
	})
	s.forgetMember(p.OrgID, "")
	return err
}
