package scim

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/identity"
)

const maxName = 120 // of a team

func noGroup() error {
	return &problem{status: http.StatusNotFound, detail: "there is no such Group"}
}

func (j *job) groups() *bun.SelectQuery {
	return j.tx.NewSelect().Model((*groupRow)(nil)).Where("organisation_id = ? AND connection_id = ?", j.org(), j.token.ConnectionID)
}

func (j *job) group(ctx context.Context, id string) (*groupRow, error) {
	row := &groupRow{}
	found, err := one(ctx, j.groups().Model(row).Where("id = ?", id))
	if err == nil && !found {
		err = noGroup()
	}
	return row, err
}

// ours keeps of a team's people those whom the connection provisioned.
func (j *job) ours(ctx context.Context, teamID string) ([]personRow, error) {
	ids, err := j.cfg.Directory.TeamPeople(ctx, j.tx, j.org(), teamID)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	var rows []personRow
	return rows, j.people().Model(&rows).Where("user_id IN (?)", bun.List(ids)).Order("user_id").Scan(ctx)
}

func (j *job) showGroup(ctx context.Context, row *groupRow) (map[string]any, error) {
	people, err := j.ours(ctx, row.TeamID)
	if err != nil {
		return nil, err
	}
	members := make([]any, len(people))
	for i, p := range people {
		members[i] = map[string]any{"value": p.UserID, "$ref": j.base() + "/Users/" + p.UserID, "display": p.UserName}
	}
	g := map[string]any{
		"schemas": []any{urnGroup}, "id": row.ID, "displayName": row.DisplayName, "members": members,
		"meta": meta("Group", j.base()+"/Groups/"+row.ID, row.CreatedAt, row.UpdatedAt),
	}
	if row.ExternalID != nil {
		g["externalId"] = *row.ExternalID
	}
	return g, nil
}

// groupsOf lists a person's groups for their User.
func (j *job) groupsOf(ctx context.Context, userID string) ([]any, error) {
	rows, err := j.memberships(ctx, userID)
	out := make([]any, len(rows))
	for i, g := range rows {
		out[i] = map[string]any{"value": g.ID, "$ref": j.base() + "/Groups/" + g.ID, "display": g.DisplayName}
	}
	return out, err
}

func (j *job) memberships(ctx context.Context, userID string) ([]groupRow, error) {
	var rows []groupRow
	err := j.groups().Model(&rows).Where("team_id IN (SELECT team_id FROM team_members WHERE organisation_id = ? AND user_id = ?)", j.org(), userID).
		Order("display_name").Scan(ctx)
	return rows, err
}

func (s *Service) listGroups(r *http.Request, t *tokenRow) (int, any, error) {
	p, err := pageOf(r)
	if err != nil {
		return 0, nil, err
	}
	var out any
	err = s.read(r.Context(), t, func(ctx context.Context, j *job) error {
		var rows []groupRow
		q := j.groups().Model(&rows).Order("id")
		if p.filter != nil {
			if attr, value, ok := p.filter.equals(); ok && attr == "externalid." {
				q = q.Where("external_id = ?", value)
			} else if ok && attr == "displayname." {
				q = q.Where("lower(display_name) = ?", strings.ToLower(value))
			}
		}
		if err := q.Limit(maxScan).Scan(ctx); err != nil {
			return err
		}
		list := make([]map[string]any, len(rows))
		for i := range rows {
			var err error
			if list[i], err = j.showGroup(ctx, &rows[i]); err != nil {
				return err
			}
		}
		out = p.cut(list)
		return nil
	})
	return http.StatusOK, out, err
}

func (s *Service) getGroup(r *http.Request, t *tokenRow) (int, any, error) {
	p, err := pageOf(r)
	if err != nil {
		return 0, nil, err
	}
	var out map[string]any
	err = s.read(r.Context(), t, func(ctx context.Context, j *job) error {
		row, err := j.group(ctx, r.PathValue("id"))
		if err == nil {
			out, err = j.showGroup(ctx, row)
		}
		return err
	})
	return http.StatusOK, shown(out, p.want, p.exclude), err
}

// wanted is what a request says of a Group.
type wanted struct {
	name, externalID string
	members          []string
}

func (j *job) wanted(ctx context.Context, in map[string]any, id string) (wanted, error) {
	w := wanted{name: text(in, "displayName"), externalID: text(in, "externalId")}
	if w.name == "" || len(w.name) > maxName || len(w.externalID) > maxText || strings.ContainsAny(w.name, "\x00\r\n") {
		return w, badValue("displayName must be one line of 1 to %d bytes", maxName)
	}
	taken := j.tx.NewSelect().Model((*groupRow)(nil)).Where("organisation_id = ? AND id <> ?", j.org(), id).
		Where("display_name = ? OR (connection_id = ? AND external_id = ?)", w.name, j.token.ConnectionID, w.externalID)
	n, err := taken.Count(ctx)
	if err != nil {
		return w, err
	}
	if n > 0 {
		return w, &problem{status: http.StatusConflict, kind: "uniqueness", detail: "another Group has this displayName or externalId"}
	}
	for _, item := range each(get(in, "members")) {
		m, ok := item.(map[string]any)
		if !ok {
			return w, badValue("members must be objects with a value")
		}
		if id := text(m, "value"); !slices.Contains(w.members, id) {
			w.members = append(w.members, id)
		}
	}
	return w, j.checkMembers(ctx, w.members)
}

// checkMembers refuses people whom the connection did not provision.
func (j *job) checkMembers(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	n, err := j.people().Where("user_id IN (?)", bun.List(ids)).Count(ctx)
	if err == nil && int(n) != len(ids) {
		err = badValue("a member is no User of this connection")
	}
	return err
}

func (s *Service) createGroup(r *http.Request, t *tokenRow) (int, any, error) {
	in, _, err := bodyOf(r)
	if err != nil {
		return 0, nil, err
	}
	var out map[string]any
	err = s.write(r.Context(), t, func(ctx context.Context, j *job) error {
		w, err := j.wanted(ctx, in, "")
		if err != nil {
			return err
		}
		now := j.cfg.Clock.Now().UnixMilli()
		row := &groupRow{ID: newID(), OrganisationID: j.org(), ConnectionID: j.token.ConnectionID, CreatedAt: now}
		if row.TeamID, err = j.cfg.Directory.ProvisionTeam(ctx, j.tx, j.org(), "", w.name); err != nil {
			return err
		}
		row.fill(w, now)
		if _, err := j.tx.NewInsert().Model(row).Exec(ctx); err != nil {
			return err
		}
		if err := j.staff(ctx, row, w.members, false); err != nil {
			return err
		}
		out, err = j.showGroup(ctx, row)
		return err
	})
	return http.StatusCreated, out, err
}

func (r *groupRow) fill(w wanted, now int64) {
	r.DisplayName, r.UpdatedAt, r.ExternalID = w.name, now, nil
	if w.externalID != "" {
		r.ExternalID = &w.externalID
	}
}

// staff gives a group exactly these people of the connection. Others in the team stay as they are. renamed is set when
// the group's name, and with it what role it gives, is another one.
func (j *job) staff(ctx context.Context, row *groupRow, members []string, renamed bool) error {
	now, err := j.ours(ctx, row.TeamID)
	if err != nil {
		return err
	}
	var leave, stay []string
	for _, p := range now {
		if slices.Contains(members, p.UserID) {
			stay = append(stay, p.UserID)
		} else {
			leave = append(leave, p.UserID)
		}
	}
	join := slices.DeleteFunc(slices.Clone(members), func(id string) bool { return slices.Contains(stay, id) })
	if len(join)+len(leave) > 0 {
		if err := j.cfg.Directory.ProvisionTeamPeople(ctx, j.tx, j.org(), row.TeamID, join, leave); err != nil {
			return err
		}
	}
	j.note(join...)
	j.note(leave...)
	moved := slices.Concat(join, leave)
	if renamed {
		moved = append(moved, stay...)
	}
	return j.reassign(ctx, moved)
}

// reassign gives people the role that their groups give by the connection's rules, where it has rules.
func (j *job) reassign(ctx context.Context, userIDs []string) error {
	if len(j.rules.Roles) == 0 {
		return nil
	}
	for _, id := range userIDs {
		p, err := j.cfg.Directory.PersonByID(ctx, j.tx, j.org(), id)
		if err != nil {
			return err
		}
		if p == nil || !p.Member || p.Role == identity.RoleOwner {
			continue
		}
		rows, err := j.memberships(ctx, id)
		if err != nil {
			return err
		}
		names := make([]string, len(rows))
		for i, g := range rows {
			names[i] = g.DisplayName
		}
		role, ok := identity.PickRole(j.rules.Roles, names, j.rules.DefaultRole)
		if !ok {
			return badValue("no group gives %s a role, and the connection has no default role; set one under single sign-on first", p.Email)
		}
		if err := j.cfg.Directory.ProvisionRole(ctx, j.tx, j.org(), id, role); err != nil {
			return err
		}
		j.note(id)
	}
	return nil
}

func (s *Service) changeGroup(r *http.Request, t *tokenRow, change change) (int, any, error) {
	var out map[string]any
	err := s.write(r.Context(), t, func(ctx context.Context, j *job) error {
		row, err := j.group(ctx, r.PathValue("id"))
		if err != nil {
			return err
		}
		before, err := j.showGroup(ctx, row)
		if err != nil {
			return err
		}
		changed, err := change(before)
		if err != nil {
			return err
		}
		w, err := j.wanted(ctx, changed, row.ID)
		if err != nil {
			return err
		}
		renamed := w.name != row.DisplayName
		if renamed {
			if _, err := j.cfg.Directory.ProvisionTeam(ctx, j.tx, j.org(), row.TeamID, w.name); err != nil {
				return err
			}
		}
		row.fill(w, j.cfg.Clock.Now().UnixMilli())
		if _, err := j.tx.NewUpdate().Model(row).WherePK().Exec(ctx); err != nil {
			return err
		}
		if err := j.staff(ctx, row, w.members, renamed); err != nil {
			return err
		}
		out, err = j.showGroup(ctx, row)
		return err
	})
	return http.StatusOK, out, err
}

func (s *Service) deleteGroup(r *http.Request, t *tokenRow) (int, any, error) {
	err := s.write(r.Context(), t, func(ctx context.Context, j *job) error {
		row, err := j.group(ctx, r.PathValue("id"))
		if err != nil {
			return err
		}
		people, err := j.ours(ctx, row.TeamID)
		if err != nil {
			return err
		}
		if err := j.cfg.Directory.WithdrawTeam(ctx, j.tx, j.org(), row.TeamID); err != nil {
			return err
		}
		ids := make([]string, len(people))
		for i, p := range people {
			ids[i] = p.UserID
		}
		j.note(ids...)
		return j.reassign(ctx, ids)
	})
	return http.StatusNoContent, nil, err
}
