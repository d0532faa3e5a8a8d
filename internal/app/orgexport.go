package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/parley-voice/parley/internal/conversation"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/archive"
	"github.com/parley-voice/parley/internal/platform/db"
)

const maxDamaged = 100 // things that are named

// ExportOrganisation writes one organisation into a file while the server runs or not. The file appears when it is whole.
func (a *Admin) ExportOrganisation(ctx context.Context, organisation, file, passphrase string) (OrgFile, error) {
	if err := archive.CheckPassphrase(passphrase); err != nil {
		return OrgFile{}, err
	}
	orgID, err := a.app.identity.FindOrganisation(ctx, organisation)
	if err != nil {
		return OrgFile{}, err
	}
	if err := a.app.openStores(ctx); err != nil {
		return OrgFile{}, err
	}
	return a.app.exportOrganisation(ctx, orgID, file, passphrase, "command line", func(string, int64) {})
}

// exportOrganisation writes an organisation's file; told hears how far it is.
func (a *App) exportOrganisation(ctx context.Context, orgID, file, passphrase, reason string, told func(stage string, bytes int64)) (out OrgFile, err error) {
	ctx, cancel := context.WithTimeout(ctx, orgFileTimeout)
	defer cancel()
	if err := a.keyring.Ready(ctx, orgID); err != nil { // secrets are read inside of transactions
		return out, err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(file), ".parley-export-*")
	if err != nil {
		return out, fmt.Errorf("make the file: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	// That it is handed out is on record before it is.
	err = a.db.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		return identity.Audit(ctx, tx, orgID, identity.Change{Action: "organisation.export", Kind: "organisation", ID: orgID, Reason: reason})
	})
	if err != nil {
		return out, err
	}
	part := filepath.Join(tmp, "part")
	f, err := os.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return out, err
	}
	defer f.Close() //nolint:errcheck // closed and checked below; this is for errors
	e := &orgExport{App: a, orgID: orgID, tmp: tmp, sealed: a.sealedColumns(), skip: map[string]bool{}, to: &toldWriter{w: f, told: told}}
	if out, err = e.write(ctx, passphrase); err != nil {
		return out, err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return out, err
	}
	return out, os.Rename(part, file)
}

// orgExport is one export under way.
type orgExport struct {
	*App
	orgID  string
	tmp    string
	to     *toldWriter
	w      *archive.Writer
	sealed map[string]sealed
	skip   map[string]bool // calls that are left out
	files  *bufio.Writer   // what calls have files, a line each: "kind id"
	notes  OrgFileNotes
}

// toldWriter tells how much was written.
type toldWriter struct {
	w     io.Writer
	stage string
	n     int64
	told  func(stage string, bytes int64)
}

// Write implements io.Writer.
func (t *toldWriter) Write(p []byte) (int, error) {
	n, err := t.w.Write(p)
	t.n += int64(n)
	t.told(t.stage, t.n)
	return n, err
}

// at tells what is written from now on.
func (t *toldWriter) at(stage string) {
	t.stage = stage
	t.told(stage, t.n)
}

func (e *orgExport) write(ctx context.Context, passphrase string) (OrgFile, error) {
	head, err := e.head(ctx)
	if err != nil {
		return OrgFile{}, err
	}
	if e.w, err = archive.Create(e.to, passphrase, head); err != nil {
		return OrgFile{}, err
	}
	list, err := os.OpenFile(filepath.Join(e.tmp, "files"), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return OrgFile{}, err
	}
	defer list.Close() //nolint:errcheck // a list of names that is removed
	e.files = bufio.NewWriter(list)
	e.to.at("rows")
	// Two snapshots: of the master, and of where the organisation is. Each is one instant.
	instant := db.OneInstant(ctx)
	if err := e.db.ReadSystem(instant, "export an organisation", e.master); err != nil {
		return OrgFile{}, err
	}
	if err := e.db.ReadTenant(instant, e.orgID, e.tenant); err != nil {
		return OrgFile{}, err
	}
	if err := e.files.Flush(); err != nil {
		return OrgFile{}, err
	}
	if _, err := list.Seek(0, io.SeekStart); err != nil {
		return OrgFile{}, err
	}
	e.to.at("recordings")
	if err := e.callFiles(ctx, list); err != nil {
		return OrgFile{}, err
	}
	e.to.at("audit trail")
	if err := e.audit(ctx); err != nil {
		return OrgFile{}, err
	}
	m, err := e.w.Close(e.notes)
	if err != nil {
		return OrgFile{}, err
	}
	return OrgFile{OrgFileHead: head, OrgFileNotes: e.notes, Tables: m.Tables, Files: m.Files}, nil
}

func (e *orgExport) head(ctx context.Context) (OrgFileHead, error) {
	h := OrgFileHead{Format: orgFileFormat, Parley: e.version, OrganisationID: e.orgID, Engine: e.db.Dialect(), MadeAt: e.clock.Now().UTC()}
	var err error
	if h.Installation, err = e.installation(ctx); err != nil {
		return h, err
	}
	if h.Versions, err = e.db.Versions(); err != nil {
		return h, err
	}
	at, err := e.db.Placement(ctx, e.orgID)
	if err != nil {
		return h, err
	}
	h.Placement, h.Region = at.Placement, at.Region
	err = e.db.ReadSystem(ctx, "export an organisation", func(ctx context.Context, tx *db.Tx) error {
		h.Name, h.Plan, err = e.identity.NameAndPlan(ctx, tx, e.orgID)
		return err
	})
	return h, err
}

// installation names this installation: the id of the key that signs its audit trails.
func (a *App) installation(ctx context.Context) (string, error) {
	s, err := a.auditSigner(ctx)
	if err != nil {
		return "", err
	}
	sig, err := s.Sign([]byte("parley-installation-1\n"))
	return sig.KeyID, err
}

// master writes the organisation, its people, and what else the master's database has of it.
func (e *orgExport) master(ctx context.Context, tx *db.Tx) error {
	tables, err := e.db.Tables(ctx, db.Master)
	if err != nil {
		return err
	}
	for i := range tables {
		t := &tables[i]
		switch {
		case t.Name == "organisations":
			carried := t.Only(slices.DeleteFunc(slices.Clone(t.Columns), func(c string) bool { return slices.Contains(organisationColumns, c) }))
			rows, err := carried.Select(ctx, tx, "id = ?", e.orgID)
			if err == nil {
				err = e.rows(ctx, &carried, rows, true)
			}
			if err != nil {
				return err
			}
		case t.Name == "users":
			if err := e.people(ctx, tx, t); err != nil {
				return err
			}
		case t.Tenant && !listed(t.Name):
			return fmt.Errorf("nobody has said whether the table %s goes with an organisation: see masterTables", t.Name)
		case masterTables[t.Name]:
			if err := e.table(ctx, tx, t); err != nil {
				return err
			}
		}
	}
	return nil
}

func listed(table string) bool {
	_, ok := masterTables[table]
	return ok || leftOut[table] != ""
}

// people writes who belongs to the organisation: no password, nothing that signs in.
func (e *orgExport) people(ctx context.Context, tx *db.Tx, users *db.Table) error {
	people, err := e.identity.People(ctx, tx, e.orgID)
	if err != nil {
		return err
	}
	t := users.Only([]string{"id", "email", "name", "password_hash", "created_at"})
	rows := make([]db.Row, len(people))
	for i, p := range people {
		rows[i] = make(db.Row, len(t.Columns))
		for c, v := range map[string]any{"id": p.ID, "email": p.Email, "name": p.Name, "password_hash": "", "created_at": p.CreatedAt} {
			rows[i][t.At(c)] = v
		}
	}
	return e.rows(ctx, &t, rows, true)
}

// tenant writes the organisation's own data.
func (e *orgExport) tenant(ctx context.Context, tx *db.Tx) error {
	unsettled, err := e.records.Unsettled(ctx, tx, e.orgID)
	if err != nil {
		return fmt.Errorf("find calls that go on: %w", err)
	}
	for _, id := range unsettled {
		e.skip[id] = true
	}
	e.notes.CallsLeftOut = len(unsettled)
	tables, err := e.db.Tables(ctx, db.Tenant)
	if err != nil {
		return err
	}
	for i := range tables {
		if leftOut[tables[i].Name] != "" {
			continue
		}
		if err := e.table(ctx, tx, &tables[i]); err != nil {
			return err
		}
	}
	return nil
}

// page is how many rows of a table are in memory at once.
func page(t *db.Table) int {
	if slices.ContainsFunc(t.Types, func(typ string) bool { return strings.HasPrefix(typ, "BLOB") }) {
		return pageBlobs
	}
	return pageRows
}

func (e *orgExport) table(ctx context.Context, tx *db.Tx, t *db.Table) error {
	var after db.Row
	for first := true; ; first = false {
		rows, err := t.Page(ctx, tx, e.orgID, after, page(t))
		if err != nil {
			return err
		}
		if err := e.rows(ctx, t, rows, first); err != nil {
			return err
		}
		if len(rows) < page(t) {
			return nil
		}
		after = rows[len(rows)-1]
	}
}

// rows writes rows, without those of calls that are left out and with their secrets opened.
func (e *orgExport) rows(ctx context.Context, t *db.Table, rows []db.Row, first bool) error {
	if first {
		if err := e.w.Table(archive.Table{Name: t.Name, Columns: t.Columns, Types: t.Types, Key: t.Key}); err != nil {
			return err
		}
	}
	call := t.At("call_id")
	if t.Name == "calls" {
		call = t.At("id")
	}
	secret, hasSecret := e.sealed[t.Name]
	for _, r := range rows {
		if call >= 0 && t.Name != "appointments" {
			if id, _ := r[call].(string); e.skip[id] {
				continue
			}
		}
		if t.Name == "calls" {
			if err := e.noteFiles(t, r); err != nil {
				return err
			}
		}
		if hasSecret {
			r = slices.Clone(r)
			e.unseal(ctx, t, r, secret)
		}
		if err := e.w.Row(r.Encode()); err != nil {
			return err
		}
	}
	return nil
}

func (e *orgExport) unseal(ctx context.Context, t *db.Table, r db.Row, s sealed) {
	at := t.At(s.column)
	b, _ := r[at].([]byte)
	if len(b) == 0 {
		return
	}
	id, _ := r[t.At("id")].(string)
	plain, err := s.open(ctx, e.orgID, id, b)
	if err != nil {
		e.damaged(fmt.Sprintf("the secret of %s %s", t.Name, id))
		plain = []byte{}
	}
	r[at] = plain
}

func (e *orgExport) damaged(what string) {
	if len(e.notes.Damaged) < maxDamaged {
		e.notes.Damaged = append(e.notes.Damaged, what)
	}
}

// noteFiles notes which files a call has: they are written later, when no transaction waits.
func (e *orgExport) noteFiles(t *db.Table, r db.Row) error {
	for kind, column := range conversation.FileKinds() {
		if key, _ := r[t.At(column)].(string); key != "" {
			if _, err := fmt.Fprintln(e.files, kind, r[t.At("id")]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *orgExport) callFiles(ctx context.Context, list io.Reader) error {
	lines := bufio.NewScanner(list)
	for lines.Scan() {
		kind, id, _ := strings.Cut(lines.Text(), " ")
		if err := e.callFile(ctx, conversation.FileKind(kind), id); err != nil {
			return err
		}
	}
	return lines.Err()
}

// callFile writes a call's file. One that retention has deleted meanwhile is named as gone.
func (e *orgExport) callFile(ctx context.Context, kind conversation.FileKind, id string) error {
	begun := false
	found, err := e.records.ReadFile(ctx, e.orgID, id, kind, func(piece []byte) error {
		if !begun {
			begun = true
			if err := e.w.Begin(archive.File{Kind: string(kind), Name: id}); err != nil {
				return err
			}
		}
		return e.w.Data(piece)
	})
	if errors.Is(err, conversation.ErrFileDamaged) {
		e.damaged(fmt.Sprintf("%s of call %s", kind, id))
		err = nil
	}
	if err != nil {
		return err
	}
	if !begun || !found {
		e.notes.FilesGone++
		if err := e.w.Begin(archive.File{Kind: string(kind), Name: id, Gone: true}); err != nil {
			return err
		}
	}
	return e.w.End()
}

// audit writes the audit trail as parley audit export does, with its signed end.
func (e *orgExport) audit(ctx context.Context) error {
	if err := e.w.Begin(archive.File{Kind: fileAudit, Name: e.orgID}); err != nil {
		return err
	}
	last := &lastLine{w: e.w}
	if err := e.trails.Export(ctx, e.orgID, last); err != nil {
		return err
	}
	var end struct {
		Seq  int64  `json:"seq"`
		Hash string `json:"hash"`
	}
	if err := json.Unmarshal(last.line, &end); err != nil {
		return fmt.Errorf("the end of the audit trail: %w", err)
	}
	e.notes.AuditSeq, e.notes.AuditHash = end.Seq, end.Hash
	return e.w.End()
}

// lastLine hands on what is written and remembers the last line.
type lastLine struct {
	w    io.Writer
	line []byte
}

// Write implements io.Writer.
func (l *lastLine) Write(p []byte) (int, error) {
	l.line = append(l.line, p...)
	if body := bytes.TrimRight(l.line, "\n"); len(body) > 0 {
		if at := bytes.LastIndexByte(body, '\n'); at >= 0 {
			l.line = append(l.line[:0], l.line[at+1:]...)
		}
	}
	return l.w.Write(p)
}
