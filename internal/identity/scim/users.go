package scim

import (
	"context"
	"encoding/json"
	"net/http"
	"net/mail"
	"strings"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/identity"
)

func noUser() error {
	return &problem{status: http.StatusNotFound, detail: "there is no such User"}
}

// query selects the people of the token's connection.
func (j *job) people() *bun.SelectQuery {
	return j.tx.NewSelect().Model((*personRow)(nil)).Where("organisation_id = ? AND connection_id = ?", j.org(), j.token.ConnectionID)
}

func (j *job) person(ctx context.Context, id string) (*personRow, error) {
	row := &personRow{}
	found, err := one(ctx, j.people().Model(row).Where("user_id = ?", id))
	if err == nil && !found {
		err = noUser()
	}
	return row, err
}

// show gives a person as a resource.
func (j *job) show(ctx context.Context, row *personRow) (map[string]any, error) {
	p, err := j.cfg.Directory.PersonByID(ctx, j.tx, j.org(), row.UserID)
	if err != nil {
		return nil, err
	}
	if p == nil || !p.Member {
		return nil, noUser()
	}
	u := row.resource(j.base(), !p.Suspended)
	u["groups"], err = j.groupsOf(ctx, row.UserID)
	return u, err
}

func (s *Service) listUsers(r *http.Request, t *tokenRow) (int, any, error) {
	p, err := pageOf(r)
	if err != nil {
		return 0, nil, err
	}
	var out any
	err = s.read(r.Context(), t, func(ctx context.Context, j *job) error {
		var rows []personRow
		q := j.people().Model(&rows).Order("user_id")
		if p.filter == nil {
			total, err := j.people().Count(ctx)
			if err != nil {
				return err
			}
			if err := q.Offset(int64(p.start - 1)).Limit(int64(p.count)).Scan(ctx); err != nil || p.count == 0 {
				out = listOf(nil, int(total), p.start)
				return err
			}
			list, err := j.showAll(ctx, rows)
			for i := range list {
				list[i] = shown(list[i], p.want, p.exclude)
			}
			out = listOf(list, int(total), p.start)
			return err
		}
		if attr, value, ok := p.filter.equals(); ok {
			switch attr {
			case "username.":
				q = q.Where("user_name = ?", strings.ToLower(value))
			case "externalid.":
				q = q.Where("external_id = ?", value)
			case "id.":
				q = q.Where("user_id = ?", value)
			}
		}
		if err := q.Limit(maxScan + 1).Scan(ctx); err != nil {
			return err
		}
		if len(rows) > maxScan {
			return &problem{status: http.StatusBadRequest, kind: "tooMany", detail: "the filter looks at too many people; use userName eq, externalId eq or id eq"}
		}
		list, err := j.showAll(ctx, rows)
		out = p.cut(list)
		return err
	})
	return http.StatusOK, out, err
}

func (j *job) showAll(ctx context.Context, rows []personRow) ([]map[string]any, error) {
	out := make([]map[string]any, 0, len(rows))
	for i := range rows {
		u, err := j.show(ctx, &rows[i])
		if err != nil {
			return nil, err
		}
		out = append(out, u)
	}
	return out, nil
}

func (s *Service) getUser(r *http.Request, t *tokenRow) (int, any, error) {
	p, err := pageOf(r)
	if err != nil {
		return 0, nil, err
	}
	var out map[string]any
	err = s.read(r.Context(), t, func(ctx context.Context, j *job) error {
		row, err := j.person(ctx, r.PathValue("id"))
		if err == nil {
			out, err = j.show(ctx, row)
		}
		return err
	})
	return http.StatusOK, shown(out, p.want, p.exclude), err
}

func (s *Service) createUser(r *http.Request, t *tokenRow) (int, any, error) {
	in, _, err := bodyOf(r)
	if err != nil {
		return 0, nil, err
	}
	var out map[string]any
	err = s.write(r.Context(), t, func(ctx context.Context, j *job) error {
		u, err := j.checked(ctx, in, "")
		if err != nil {
			return err
		}
		p, err := j.admit(ctx, u)
		if err != nil {
			return err
		}
		now := j.cfg.Clock.Now().UnixMilli()
		row := &personRow{OrganisationID: j.org(), ConnectionID: j.token.ConnectionID, UserID: p.UserID, CreatedAt: now}
		if err := j.fill(row, u); err != nil {
			return err
		}
		if _, err := j.tx.NewInsert().Model(row).Exec(ctx); err != nil {
			return err
		}
		if err := j.follow(ctx, p, u); err != nil {
			return err
		}
		out, err = j.show(ctx, row)
		return err
	})
	return http.StatusCreated, out, err
}

// checked judges a User that is to be stored. id is "" for a new one.
func (j *job) checked(ctx context.Context, in map[string]any, id string) (map[string]any, error) {
	u, err := clean(in)
	if err != nil {
		return nil, err
	}
	name := text(u, "userName")
	if name == "" {
		return nil, badValue("userName is missing")
	}
	email := emailIn(u)
	if a, err := mail.ParseAddress(email); err != nil || a.Address != email || len(email) > 254 {
		return nil, badValue("neither emails nor userName has an e-mail address")
	}
	taken := j.tx.NewSelect().Model((*personRow)(nil)).Where("organisation_id = ? AND user_id <> ?", j.org(), id)
	if ext := text(u, "externalId"); ext != "" {
		taken = taken.Where("user_name = ? OR (connection_id = ? AND external_id = ?)", strings.ToLower(name), j.token.ConnectionID, ext)
	} else {
		taken = taken.Where("user_name = ?", strings.ToLower(name))
	}
	n, err := taken.Count(ctx)
	if err == nil && n > 0 {
		err = &problem{status: http.StatusConflict, kind: "uniqueness", detail: "another User has this userName or externalId"}
	}
	return u, err
}

// admit finds the member whom a new User is, or makes them one.
func (j *job) admit(ctx context.Context, u map[string]any) (*identity.Provisioned, error) {
	email := emailIn(u)
	if !j.rules.captures(email) {
		return nil, badValue("the domain of %s is not verified for this connection; verify it under single sign-on first", email)
	}
	p, err := j.cfg.Directory.PersonByEmail(ctx, j.tx, j.org(), email)
	if err != nil {
		return nil, err
	}
	if p == nil || !p.Member {
		role, ok := identity.PickRole(nil, nil, j.rules.DefaultRole)
		if !ok {
			return nil, badValue("the connection has no default role; set one under single sign-on first")
		}
		p, err = j.cfg.Directory.Enrol(ctx, j.tx, j.org(), identity.Enrolment{Email: email, Name: nameIn(u), Role: role})
		if err == nil {
			j.note(p.UserID)
		}
		return p, err
	}
	known, err := j.tx.NewSelect().Model((*personRow)(nil)).Where("organisation_id = ? AND user_id = ?", j.org(), p.UserID).Count(ctx)
	if err == nil && known > 0 {
		err = &problem{status: http.StatusConflict, kind: "uniqueness", detail: "another User has this e-mail address"}
	}
	return p, err
}

// fill puts a User into its row.
func (j *job) fill(row *personRow, u map[string]any) error {
	b, err := json.Marshal(u)
	if err != nil {
		return err
	}
	row.UserName, row.Resource, row.UpdatedAt, row.ExternalID = strings.ToLower(text(u, "userName")), string(b), j.cfg.Clock.Now().UnixMilli(), nil
	if ext := text(u, "externalId"); ext != "" {
		row.ExternalID = &ext
	}
	return nil
}

// follow makes the member what the User says: name, address, and whether they may come in.
func (j *job) follow(ctx context.Context, p *identity.Provisioned, u map[string]any) error {
	d := j.cfg.Directory
	if active := activeIn(u); active == p.Suspended {
		if err := d.ProvisionActive(ctx, j.tx, j.org(), p.UserID, active); err != nil {
			return err
		}
		j.note(p.UserID)
	}
	if email := emailIn(u); email != p.Email {
		if !j.rules.captures(email) || !j.rules.captures(p.Email) {
			return badValue("the domain of %s or of %s is not verified for this connection", email, p.Email)
		}
		if err := d.ProvisionEmail(ctx, j.tx, j.org(), p.UserID, email); err != nil {
			return err
		}
	}
	if name := nameIn(u); name != "" && name != p.Name {
		return d.ProvisionName(ctx, j.tx, j.org(), p.UserID, name)
	}
	return nil
}

// changeUser stores what change makes of a User.
func (s *Service) changeUser(r *http.Request, t *tokenRow, change change) (int, any, error) {
	var out map[string]any
	err := s.write(r.Context(), t, func(ctx context.Context, j *job) error {
		row, err := j.person(ctx, r.PathValue("id"))
		if err != nil {
			return err
		}
		before, err := j.show(ctx, row)
		if err != nil {
			return err
		}
		changed, err := change(before)
		if err != nil {
			return err
		}
		u, err := j.checked(ctx, changed, row.UserID)
		if err != nil {
			return err
		}
		p, err := j.cfg.Directory.PersonByID(ctx, j.tx, j.org(), row.UserID)
		if err != nil {
			return err
		}
		if err := j.follow(ctx, p, u); err != nil {
			return err
		}
		if err := j.fill(row, u); err != nil {
			return err
		}
		if _, err := j.tx.NewUpdate().Model(row).WherePK().Exec(ctx); err != nil {
			return err
		}
		out, err = j.show(ctx, row)
		return err
	})
	return http.StatusOK, out, err
}

// deleteUser removes a member, as their provider no longer knows them.
func (s *Service) deleteUser(r *http.Request, t *tokenRow) (int, any, error) {
	err := s.write(r.Context(), t, func(ctx context.Context, j *job) error {
		row, err := j.person(ctx, r.PathValue("id"))
		if err != nil {
			return err
		}
		j.note(row.UserID)
		return j.cfg.Directory.Withdraw(ctx, j.tx, j.org(), row.UserID)
	})
	return http.StatusNoContent, nil, err
}
