package app

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// writeMaster makes the organisation: in one transaction with everything else that the master's database has of it.
func (m *orgImport) writeMaster(ctx context.Context) error {
	tables, err := m.db.Tables(ctx, db.Master)
	if err != nil {
		return err
	}
	rows := map[string][]db.Row{}
	for i := range tables {
		if t := &tables[i]; masterTables[t.Name] || t.Name == "organisations" {
			if rows[t.Name], err = m.masterRows(ctx, t); err != nil {
				return err
			}
		}
	}
	err = m.db.InSystem(ctx, "import an organisation", func(ctx context.Context, tx *db.Tx) error {
		if err := m.identity.AddPeople(ctx, tx, m.people); err != nil {
			return err
		}
		for i := range tables {
			t := &tables[i]
			if t.Name == "organisations" {
				if err := m.makeOrganisation(ctx, tx, t, rows[t.Name]); err != nil {
					return err
				}
				continue
			}
			if err := m.putMaster(ctx, tx, t, rows[t.Name]); err != nil {
				return err
			}
		}
		if err := tx.EndTask(ctx, m.target); err != nil {
			return err
		}
		return identity.Audit(ctx, tx, m.target, identity.Change{Action: "organisation.import", Kind: "organisation", ID: m.target, After: m.archived})
	})
	if err != nil {
		return err
	}
	m.identity.Forget(m.target, "")
	return m.describe(ctx, rows["memberships"], tables)
}

// masterRows gives the staged rows of a table of the master's, translated.
func (m *orgImport) masterRows(ctx context.Context, t *db.Table) (rows []db.Row, err error) {
	where := "organisation_id = ?"
	if t.Name == "organisations" {
		where = "id = ?"
	}
	err = m.staging.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		rows, err = t.Select(ctx, tx, where, m.head.OrganisationID)
		return err
	})
	for _, r := range rows {
		if err == nil {
			err = m.translate(ctx, t, r)
		}
		switch t.Name {
		case "sso_domains": // who has a domain is proved in each installation anew
			r[t.At("verified_at")] = nil
		case "sso_policies": // nobody could sign in before the identity provider knows this place
			r[t.At("sso_only")] = false
		}
	}
	return rows, err
}

func (m *orgImport) makeOrganisation(ctx context.Context, tx *db.Tx, t *db.Table, rows []db.Row) error {
	if len(rows) != 1 {
		return fault.New(fault.Invalid, "the file has %d organisations", len(rows))
	}
	if m.into {
		return nil
	}
	r := rows[0]
	text := func(column string) string { s, _ := r[t.At(column)].(string); return s }
	o := identity.PortableOrganisation{ID: m.target, Name: text("name"), Address: text("address"), TimeZone: text("time_zone"), Limits: text("limits"), Plan: m.head.Plan}
	if m.o.Name != "" {
		o.Name = m.o.Name
	}
	if n, ok := r[t.At("session_idle_minutes")].(int64); ok {
		o.IdleMinutes = &n
	}
	o.MFARequired, _ = r[t.At("mfa_required")].(bool)
	o.CreatedAt, _ = r[t.At("created_at")].(int64)
	m.out.Name = o.Name
	return m.identity.AddOrganisation(ctx, tx, o)
}

// putMaster adds rows, but not those of people who belong to the organisation already.
func (m *orgImport) putMaster(ctx context.Context, tx *db.Tx, t *db.Table, rows []db.Row) error {
	if m.into && t.Name == "memberships" {
		var members []string
		if err := tx.NewSelect().TableExpr("memberships").Column("user_id").Where("organisation_id = ?", m.target).Scan(ctx, &members); err != nil {
			return err
		}
		at := t.At("user_id")
		rows = slices.DeleteFunc(slices.Clone(rows), func(r db.Row) bool { id, _ := r[at].(string); return slices.Contains(members, id) })
	}
	for some := range slices.Chunk(rows, pageRows) {
		if err := t.Put(ctx, tx, some); err != nil {
			return err
		}
	}
	return nil
}

// describe says what an administrator has to do now.
func (m *orgImport) describe(ctx context.Context, members []db.Row, tables []db.Table) error {
	m.out.OtherIDs = m.ids.all
	m.out.OwnerLinks = map[string]string{}
	fresh := map[string]string{}
	for _, p := range m.people {
		fresh[p.ID] = p.Email
	}
	at := slices.IndexFunc(tables, func(t db.Table) bool { return t.Name == "memberships" })
	for _, r := range members {
		id, _ := r[tables[at].At("user_id")].(string)
		if email := fresh[id]; email != "" && r[tables[at].At("role")] == identity.RoleOwner {
			link, err := m.identity.ResetLinkFor(ctx, email)
			if err != nil {
				return err
			}
			m.out.OwnerLinks[email] = link
		}
	}
	m.out.Notes = []string{"API tokens, sessions, invitations, passwords and second factors are not in the file: people who are new here choose a password by a link, and programs need new tokens."}
	if len(m.out.Renamed) > 0 {
		m.out.Notes = append(m.out.Notes, fmt.Sprintf("The user names of %d phones were taken; they have other ones, and need new passwords.", len(m.out.Renamed)))
	}
	for _, r := range slices.Sorted(maps.Keys(m.file.Tables)) {
		if r == "sso_connections" && m.file.Tables[r].Count > 0 {
			m.out.Notes = append(m.out.Notes, "Single sign-on: tell the identity provider the new addresses, prove the domains again, and only then require it.")
		}
	}
	return nil
}
