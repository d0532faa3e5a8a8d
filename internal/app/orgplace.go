package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/conversation"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/archive"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

func ident(name string) bun.Ident { return bun.Ident(name) }

// place writes everything where it belongs. The organisation itself comes last: until then nobody finds it, and who is
// interrupted leaves a note by which the next one removes what was written.
func (m *orgImport) place(ctx context.Context) (err error) {
	m.out.OrganisationID = m.target
	if err := m.keyring.Ready(ctx, m.target); err != nil { // secrets are sealed inside of transactions
		return err
	}
	detail, err := json.Marshal(importDetail{Into: m.into})
	if err != nil {
		return err
	}
	task := db.Task{OrganisationID: m.target, Kind: db.TaskImport, State: db.TaskRunning, Detail: string(detail)}
	if err := m.db.BeginTask(ctx, task); err != nil {
		return err
	}
	alive, stop := context.WithCancel(ctx)
	beat := m.clock.TickerFunc(alive, orgTaskDead/10, func() error {
		_ = m.db.SaveTask(alive, task) // the next one tries again
		return nil
	}, "import")
	rest := sync.OnceFunc(func() {
		stop()
		_ = beat.Wait() // it ends with the context
	})
	defer func() {
		rest()
		if err != nil {
			err = errors.Join(err, m.undoImport(context.WithoutCancel(ctx), m.target, m.into))
		}
	}()
	if m.into {
		if err := m.clearSeeds(ctx); err != nil {
			return err
		}
	} else if err := m.db.CreatePlacement(ctx, m.target, m.placement(), m.o.Region); err != nil {
		return err
	}
	if err := m.writeTenant(ctx); err != nil {
		return err
	}
	if err := m.writeFiles(ctx); err != nil {
		return err
	}
	if err := m.records.Reindex(ctx, m.target); err != nil {
		return err
	}
	rest() // before the task is ended, or it would be written down again
	return m.writeMaster(ctx)
}

func (m *orgImport) placement() string {
	if m.o.Placement == "" {
		return db.Shared
	}
	return m.o.Placement
}

// importDetail is what the note of an import says.
type importDetail struct {
	Into bool `json:"into"`
}

// clearSeeds removes the agents that the empty organisation was made with.
func (m *orgImport) clearSeeds(ctx context.Context) error {
	tables, err := m.carried(ctx)
	if err != nil {
		return err
	}
	return m.db.Within(ctx, m.target, "import an organisation", func(ctx context.Context, in *db.DB) error { return in.Empty(ctx, m.target, tables) })
}

// carried are the tenant tables that a file may have.
func (a *App) carried(ctx context.Context) ([]db.Table, error) {
	tables, err := a.db.Tables(ctx, db.Tenant)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(tables), func(t db.Table) bool { return leftOut[t.Name] != "" && t.Name != "call_files" }), nil
}

// writeTenant writes the organisation's own rows, reads them again and compares.
func (m *orgImport) writeTenant(ctx context.Context) error {
	tables, err := m.db.Tables(ctx, db.Tenant)
	if err != nil {
		return err
	}
	m.out.Tables, m.out.Renamed = map[string]archive.Total{}, map[string]string{}
	for i := range tables {
		t := &tables[i]
		if leftOut[t.Name] != "" {
			continue
		}
		wrote, err := m.writeTable(ctx, t)
		if err != nil {
			return err
		}
		there, err := m.tableTotal(ctx, t, m.target)
		if err != nil {
			return err
		}
		if wrote != there {
			return fault.New(fault.Internal, "the table %s was not written as it was in the file: %d rows of %d; nothing was kept", t.Name, there.Count, wrote.Count)
		}
		m.out.Tables[t.Name] = there
	}
	return nil
}

func (m *orgImport) writeTable(ctx context.Context, t *db.Table) (archive.Total, error) {
	var sum archive.Sum
	var after db.Row
	for {
		var rows []db.Row
		err := m.staging.Read(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
			rows, err = t.Page(ctx, tx, m.head.OrganisationID, after, page(t))
			return err
		})
		if err != nil || len(rows) == 0 {
			return sum.Total(), err
		}
		after = slices.Clone(rows[len(rows)-1])
		for _, r := range rows {
			if err := m.translate(ctx, t, r); err != nil {
				return archive.Total{}, err
			}
			if err := m.claim(ctx, t, r); err != nil {
				return archive.Total{}, err
			}
			m.addTo(&sum, t, r)
		}
		err = m.db.InTenant(ctx, m.target, func(ctx context.Context, tx *db.Tx) error { return t.Put(ctx, tx, rows) })
		if err != nil {
			return archive.Total{}, err
		}
	}
}

// addTo counts a row without its secret, which is sealed anew each time.
func (a *App) addTo(sum *archive.Sum, t *db.Table, r db.Row) {
	if c, ok := a.sealedColumns()[t.Name]; ok {
		r = slices.Clone(r)
		r[t.At(c.column)] = nil
	}
	sum.Add(r.Encode())
}

// tableTotal reads an organisation's rows of a table where they are.
func (a *App) tableTotal(ctx context.Context, t *db.Table, orgID string) (archive.Total, error) {
	var sum archive.Sum
	var after db.Row
	for {
		var rows []db.Row
		err := a.db.Within(ctx, orgID, "count what an organisation has", func(ctx context.Context, in *db.DB) error {
			return in.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) (err error) {
				rows, err = t.Page(ctx, tx, orgID, after, page(t))
				return err
			})
		})
		if err != nil || len(rows) == 0 {
			return sum.Total(), err
		}
		for _, r := range rows {
			a.addTo(&sum, t, r)
		}
		after = rows[len(rows)-1]
	}
}

// translate makes a staged row one of this place: its ids, and its secret.
func (m *orgImport) translate(ctx context.Context, t *db.Table, r db.Row) (err error) {
	for i, v := range r {
		if s, ok := v.(string); ok && !slices.Contains(unmapped[t.Name], t.Columns[i]) {
			if r[i], err = m.ids.text(ctx, s); err != nil {
				return err
			}
		}
	}
	c, ok := m.sealed[t.Name]
	if !ok {
		return nil
	}
	at := t.At(c.column)
	b, _ := r[at].([]byte)
	if len(b) == 0 {
		return nil
	}
	plain, err := m.box.Open(b, []byte(t.Name))
	if err != nil {
		return err
	}
	id, _ := r[t.At("id")].(string)
	r[at], err = c.seal(ctx, m.target, id, plain)
	return err
}

// claim takes the names that outsiders use. One that is taken and must be the only one gets another end.
func (m *orgImport) claim(ctx context.Context, t *db.Table, r db.Row) error {
	for _, n := range m.db.Names() {
		if n.Table != t.Name {
			continue
		}
		at := t.At(n.Column)
		was, _ := r[at].(string)
		name := was
		err := m.db.Claim(ctx, n.Kind, name, m.target)
		for i := 2; fault.Is(err, fault.Conflict) && i < 100; i++ {
			name = fmt.Sprintf("%s-%d", was, i)
			err = m.db.Claim(ctx, n.Kind, name, m.target)
		}
		if err != nil {
			return err
		}
		if name != was {
			m.out.Renamed[was] = name
			r[at] = name
		}
	}
	return nil
}

// writeFiles goes through the file once more, for what is not in tables.
func (m *orgImport) writeFiles(ctx context.Context) error {
	if err := m.r.Restart(); err != nil {
		return err
	}
	for {
		it, err := m.r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if it.File == nil {
			continue
		}
		if it.File.Kind == fileAudit {
			err = m.writeAudit(ctx)
		} else {
			err = m.writeCallFile(ctx, *it.File)
		}
		if err != nil {
			return err
		}
	}
}

// piece gives the next piece of the file that is read, io.EOF at its end.
func (m *orgImport) piece() ([]byte, error) {
	it, err := m.r.Next()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err == nil && it.End {
		err = io.EOF
	}
	return it.Data, err
}

func (m *orgImport) writeCallFile(ctx context.Context, f archive.File) error {
	kind := conversation.FileKind(f.Kind)
	column, ok := conversation.FileKinds()[kind]
	if !ok {
		return fault.New(fault.Invalid, "the file has a file of the kind %q, which no organisation has", f.Kind)
	}
	call, err := m.ids.text(ctx, f.Name)
	if err != nil {
		return err
	}
	var keys []string
	err = m.db.ReadTenant(ctx, m.target, func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().TableExpr("calls").ColumnExpr("?", ident(column)).Where("organisation_id = ? AND id = ?", m.target, call).Scan(ctx, &keys)
	})
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		return fault.New(fault.Invalid, "the file has %s of a call that it does not have", f.Kind)
	}
	if f.Gone {
		return m.forgetFile(ctx, kind, call)
	}
	pieces := 0
	return m.records.WriteFile(ctx, m.target, call, kind, keys[0], func() ([]byte, error) {
		b, err := m.piece()
		if pieces++; err == nil && (pieces == 1 || kind == conversation.FileEvents) {
			err = m.ids.replace(ctx, b)
		}
		return b, err
	})
}

// forgetFile says of a call that its file was deleted while the export was made.
func (m *orgImport) forgetFile(ctx context.Context, kind conversation.FileKind, call string) error {
	if _, err := m.piece(); !errors.Is(err, io.EOF) {
		return errors.Join(err, fault.New(fault.Invalid, "the file has something of what it says is gone"))
	}
	return m.records.FileGone(ctx, m.target, call, kind)
}

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

// clearImports removes what imports left that nobody works on any more.
func (a *App) clearImports(ctx context.Context) error {
	tasks, err := a.db.Tasks(ctx, db.TaskImport, "")
	if err != nil {
		return err
	}
	var all error
	for _, t := range tasks {
		if a.clock.Now().Sub(time.UnixMilli(t.SeenAt)) < orgTaskDead {
			continue
		}
		var d importDetail
		err := json.Unmarshal([]byte(t.Detail), &d)
		if err == nil {
			err = a.undoImport(ctx, t.OrganisationID, d.Into)
		}
		all = errors.Join(all, err)
	}
	return errors.Join(all, a.clearStaging())
}

// clearStaging removes folders of imports that ended long ago.
func (a *App) clearStaging() error {
	old, err := filepath.Glob(filepath.Join(a.cfg.DataDir, stagingPrefix+"*"))
	for _, dir := range old {
		if st, e := os.Stat(dir); e == nil && a.clock.Now().Sub(st.ModTime()) > orgFileTimeout {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}
	return err
}

// undoImport removes everything that an import has written.
func (a *App) undoImport(ctx context.Context, orgID string, into bool) error {
	ctx, cancel := context.WithTimeout(ctx, orgFileTimeout)
	defer cancel()
	var err error
	if into {
		tables, e := a.carried(ctx)
		if e == nil {
			e = a.db.Within(ctx, orgID, "take an import back", func(ctx context.Context, in *db.DB) error { return in.Empty(ctx, orgID, tables) })
		}
		if e == nil {
			e = a.db.ReleaseAll(ctx, orgID)
		}
		if e == nil {
			e = a.agents.Seed(ctx, orgID)
		}
		err = e
	} else {
		err = a.db.Unplace(ctx, orgID)
	}
	_, e := a.eraseBlobs(ctx, orgID)
	err = errors.Join(err, e, a.search.Drop(ctx, orgID))
	if err != nil {
		return err // the note stays, and the next import tries again
	}
	return a.db.InSystem(ctx, "take an import back", func(ctx context.Context, tx *db.Tx) error { return tx.EndTask(ctx, orgID) })
}

// blobFolders are where an organisation's blobs are.
func blobFolders(orgID string) []string { return []string{"calls/" + orgID + "/", auditFolder(orgID)} }
