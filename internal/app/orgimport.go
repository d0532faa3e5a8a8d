package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/archive"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret"
)

// OrgImport says what is to become of a file.
type OrgImport struct {
	Name      string // of the organisation; "" is as in the file
	Into      string // an organisation that is there and empty, by name or id
	Placement string // of a new one; "" is shared
	Region    string
}

// OrgImported says what came of it.
type OrgImported struct {
	OrganisationID string                   `json:"organisationId"`
	Name           string                   `json:"name"`
	OtherIDs       bool                     `json:"otherIds"`   // those in the file were taken
	People         int                      `json:"people"`     // of the file
	NewPeople      []string                 `json:"newPeople"`  // e-mail addresses of accounts that were made, without a password
	OwnerLinks     map[string]string        `json:"ownerLinks"` // with which new owners choose a password
	Renamed        map[string]string        `json:"renamed"`    // phones whose user names were taken; they need a new password
	ArchiveID      string                   `json:"archiveId"`  // of the old audit trail
	Tables         map[string]archive.Total `json:"tables"`     // as they are here, read again after they were written
	Notes          []string                 `json:"notes"`
}

// ImportOrganisation makes an organisation of a file, or fills an empty one. When it fails, or is interrupted, nothing of it is left.
func (a *Admin) ImportOrganisation(ctx context.Context, file, passphrase string, o OrgImport) (OrgImported, error) {
	if err := a.app.openStores(ctx); err != nil {
		return OrgImported{}, err
	}
	return a.app.importOrganisation(ctx, file, passphrase, o)
}

func (a *App) importOrganisation(ctx context.Context, file, passphrase string, o OrgImport) (out OrgImported, err error) {
	ctx, cancel := context.WithTimeout(ctx, orgFileTimeout)
	defer cancel()
	if err := a.clearImports(ctx); err != nil {
		return out, err
	}
	f, r, err := openOrgFile(file, passphrase)
	if err != nil {
		return out, err
	}
	defer f.Close() //nolint:errcheck // only read
	tmp, err := os.MkdirTemp(a.cfg.DataDir, stagingPrefix+"*")
	if err != nil {
		return out, fmt.Errorf("make a staging folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	m := &orgImport{App: a, o: o, r: r, tmp: tmp, sealed: a.sealedColumns()}
	defer func() { err = errors.Join(err, m.close()) }()
	if err := m.stage(ctx); err != nil {
		return out, err
	}
	if err := m.decide(ctx); err != nil {
		return out, err
	}
	if err := m.place(ctx); err != nil {
		return out, err
	}
	return m.out, nil
}

// stagingPrefix begins the names of folders in the data folder that an import uses; what a killed one left is removed by the next.
const stagingPrefix = ".import-"

// orgImport is one import under way.
type orgImport struct {
	*App
	o       OrgImport
	r       *archive.Reader
	tmp     string
	sealed  map[string]sealed
	box     *secret.Key // seals secrets while they are staged
	staging *db.Staging
	head    OrgFileHead
	file    OrgFile
	ids     *ids
	people  []identity.PortablePerson // who has no account here, with the id they get
	target  string                    // the organisation's id here
	into    bool
	// archived is what the new audit trail says of the old one.
	archived map[string]any
	out      OrgImported
}

func (m *orgImport) close() error {
	if m.staging == nil {
		return nil
	}
	return m.staging.Close()
}

// stage reads the file to its end, which verifies it, and puts its rows into a database beside the others, which is brought to
// today's schema.
func (m *orgImport) stage(ctx context.Context) (err error) {
	if m.head, err = readHead(m.r); err != nil {
		return err
	}
	raw := make([]byte, secret.KeySize)
	_, _ = rand.Read(raw) // never fails
	if m.box, err = secret.ParseKey(hex.EncodeToString(raw)); err != nil {
		return err
	}
	if m.staging, err = m.db.NewStaging(ctx, m.tmp, m.head.Versions); err != nil {
		return err
	}
	m.ids = &ids{staging: m.staging}
	if err := m.ids.prepare(ctx); err != nil {
		return err
	}
	tables, err := m.staging.Now(ctx)
	if err != nil {
		return err
	}
	s := &stager{orgImport: m, tables: tables}
	for {
		it, err := m.r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = s.take(ctx, it)
		}
		if err != nil {
			return err
		}
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	if m.file, err = describe(m.head, m.r.Manifest()); err != nil {
		return err
	}
	return m.staging.Upgrade(ctx)
}

// stager takes the items of a file.
type stager struct {
	*orgImport
	tables map[string]db.Table
	t      *db.Table // the part of the table that the file has
	order  []int     // where the table's columns are in a row of the file
	rows   []db.Row
}

func (s *stager) take(ctx context.Context, it archive.Item) error {
	switch {
	case it.Table != nil:
		if err := s.flush(ctx); err != nil {
			return err
		}
		return s.begin(it.Table)
	case it.Row != nil:
		return s.row(ctx, it.Row)
	}
	return ctx.Err()
}

func (s *stager) begin(t *archive.Table) error {
	there, ok := s.tables[t.Name]
	if !ok || t.Name != "organisations" && t.Name != "users" && !masterTables[t.Name] && !there.Tenant || leftOut[t.Name] != "" {
		return fault.New(fault.Invalid, "the file has a table %q, which no organisation has", t.Name)
	}
	part := there.Only(t.Columns)
	if len(part.Columns) != len(t.Columns) {
		return fault.New(fault.Invalid, "the file's table %s has columns that it never had", t.Name)
	}
	s.t, s.order, s.rows = &part, nil, nil
	for _, c := range part.Columns {
		s.order = append(s.order, slices.Index(t.Columns, c))
	}
	return nil
}

func (s *stager) row(ctx context.Context, b []byte) error {
	in, err := db.DecodeRow(b)
	if err != nil || len(in) != len(s.order) {
		return fault.New(fault.Invalid, "the file has a row in the table %s that is none", s.t.Name)
	}
	r := make(db.Row, len(in))
	for i, from := range s.order {
		r[i] = in[from]
	}
	if err := s.t.Fit(r); err != nil {
		return fault.Wrap(fault.Invalid, err, "the file has a row in the table %s that does not fit", s.t.Name)
	}
	if at := s.t.At("organisation_id"); at >= 0 && r[at] != s.head.OrganisationID {
		return fault.New(fault.Invalid, "the file has a row in the table %s that is not the organisation's", s.t.Name)
	}
	if err := s.conceal(r); err != nil {
		return err
	}
	if s.rows = append(s.rows, r); len(s.rows) >= page(s.t) {
		return s.flush(ctx)
	}
	return nil
}

// conceal keeps a secret from lying open in the staging folder.
func (s *stager) conceal(r db.Row) (err error) {
	c, ok := s.sealed[s.t.Name]
	if !ok {
		return nil
	}
	at := s.t.At(c.column)
	if b, _ := r[at].([]byte); len(b) > 0 {
		r[at], err = s.box.Seal(b, []byte(s.t.Name))
	}
	return err
}

func (s *stager) flush(ctx context.Context) error {
	if len(s.rows) == 0 {
		return nil
	}
	rows := s.rows
	s.rows = nil
	return s.staging.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := s.t.Put(ctx, tx, rows); err != nil {
			return fault.Wrap(fault.Invalid, err, "the file's table %s cannot be stored", s.t.Name)
		}
		return s.ids.note(ctx, tx, s.t, rows)
	})
}

// decide finds out which ids the organisation and its people have here.
func (m *orgImport) decide(ctx context.Context) (err error) {
	if err := m.findTarget(ctx); err != nil {
		return err
	}
	m.ids.few = map[string]string{}
	if m.target == "" {
		// Of an import that is interrupted the rows are there and the organisation is not: it is no other one with these ids.
		if tasks, err := m.db.Tasks(ctx, db.TaskImport, m.head.OrganisationID); err != nil || len(tasks) > 0 {
			return errors.Join(err, fault.New(fault.Conflict, "the organisation is just being imported; wait until that is over, or for five minutes when it was interrupted"))
		}
		m.target = m.head.OrganisationID
		taken, err := m.taken(ctx)
		if err != nil {
			return err
		}
		if m.ids.all = taken; taken {
			if m.target, err = newIDFor(m.target); err != nil {
				return err
			}
		}
	} else {
		m.ids.all = true
	}
	if m.target != m.head.OrganisationID {
		m.ids.few[m.head.OrganisationID] = m.target
	}
	return m.findPeople(ctx)
}

// findTarget finds the organisation that is to be filled.
func (m *orgImport) findTarget(ctx context.Context) error {
	if m.o.Into == "" {
		return nil
	}
	if m.o.Name != "" || m.o.Placement != "" || m.o.Region != "" {
		return fault.Field("into", "an organisation that is there keeps its name and its place; leave --name, --placement and --region out")
	}
	id, err := m.identity.FindOrganisation(ctx, m.o.Into)
	if err != nil {
		return err
	}
	m.target, m.into = id, true
	return m.mustBeUnused(ctx, id)
}

// unused are the tables that may have rows in an organisation into which nothing was put yet.
var unused = []string{"agents", "agent_versions", "audit_chains", "audit_entries", "audit_heads", "idempotency_keys"}

// mustBeUnused refuses an organisation in which there is more than what it was made with.
func (m *orgImport) mustBeUnused(ctx context.Context, orgID string) error {
	tables, err := m.db.Tables(ctx, db.Tenant)
	if err != nil {
		return err
	}
	return m.db.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		for i := range tables {
			n, err := tables[i].Count(ctx, tx, orgID)
			if err != nil {
				return err
			}
			if n > 0 && !slices.Contains(unused, tables[i].Name) {
				return fault.New(fault.Conflict, "the organisation is not empty: it has rows in %s; import without --into, which makes a new one", tables[i].Name)
			}
		}
		n, err := tx.NewSelect().TableExpr("agent_versions").Where("organisation_id = ? AND number > 1", orgID).Count(ctx)
		if err == nil && n > 0 {
			err = fault.New(fault.Conflict, "the organisation is not empty: somebody has changed its agents; import without --into, which makes a new one")
		}
		return err
	})
}

// taken reports whether an id of the file is one of this installation already.
func (m *orgImport) taken(ctx context.Context) (bool, error) {
	erased, err := m.db.IsErased(ctx, m.head.OrganisationID)
	if err != nil || erased {
		return erased, err
	}
	for _, sc := range []db.Scope{db.Master, db.Tenant} {
		tables, err := m.db.Tables(ctx, sc)
		if err != nil {
			return false, err
		}
		for i := range tables {
			if t := &tables[i]; slices.Equal(t.Key, []string{"id"}) && t.Name != "users" {
				if found, err := m.takenIn(ctx, sc, t); err != nil || found {
					return found, err
				}
			}
		}
	}
	return false, nil
}

func (m *orgImport) takenIn(ctx context.Context, sc db.Scope, t *db.Table) (found bool, err error) {
	for after := ""; ; {
		var some []string
		err := m.staging.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
			return tx.NewSelect().TableExpr("?", ident(t.Name)).Column("id").Where("id > ?", after).OrderExpr("id").Limit(pageRows).Scan(ctx, &some)
		})
		if err != nil || len(some) == 0 {
			return false, err
		}
		after = some[len(some)-1]
		exists := func(ctx context.Context, in *db.DB) error {
			return in.ReadSystem(ctx, "import an organisation", func(ctx context.Context, tx *db.Tx) error {
				found, err = tx.NewSelect().TableExpr("?", ident(t.Name)).Where("id IN (?)", bun.List(some)).Exists(ctx)
				return err
			})
		}
		if sc == db.Tenant { // the organisation is nowhere yet, so this is the shared database
			err = m.db.Within(ctx, m.head.OrganisationID, "import an organisation", exists)
		} else {
			err = exists(ctx, m.db)
		}
		if err != nil || found {
			return found, err
		}
	}
}

// findPeople finds who has an account here already, and gives the others an id.
func (m *orgImport) findPeople(ctx context.Context) error {
	var people []identity.PortablePerson
	err := m.staging.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		var rows []struct {
			ID        string `bun:"id"`
			Email     string `bun:"email"`
			Name      string `bun:"name"`
			CreatedAt int64  `bun:"created_at"`
		}
		if err := tx.NewSelect().TableExpr("users").Column("id", "email", "name", "created_at").OrderExpr("id").Scan(ctx, &rows); err != nil {
			return err
		}
		for _, r := range rows {
			people = append(people, identity.PortablePerson{ID: r.ID, Email: r.Email, Name: r.Name, CreatedAt: r.CreatedAt})
		}
		return nil
	})
	if err != nil {
		return err
	}
	m.out.People = len(people)
	emails := make([]string, len(people))
	for i, p := range people {
		emails[i] = p.Email
	}
	return m.db.ReadSystem(ctx, "import an organisation", func(ctx context.Context, tx *db.Tx) error {
		known, err := m.identity.KnownPeople(ctx, tx, emails)
		if err != nil {
			return err
		}
		for _, p := range people {
			id, here := known[p.Email]
			if !here {
				if id, err = m.freePersonID(ctx, tx, p.ID); err != nil {
					return err
				}
				m.people = append(m.people, identity.PortablePerson{ID: id, Email: p.Email, Name: p.Name, CreatedAt: p.CreatedAt})
				m.out.NewPeople = append(m.out.NewPeople, p.Email)
			}
			m.ids.few[p.ID] = id
		}
		return nil
	})
}

func (m *orgImport) freePersonID(ctx context.Context, tx *db.Tx, id string) (string, error) {
	taken, err := tx.NewSelect().TableExpr("users").Where("id = ?", id).Exists(ctx)
	if err != nil || !taken && !m.ids.all {
		return id, err
	}
	return newIDFor(id)
}
