package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/conversation"
	"github.com/parley-voice/parley/internal/platform/archive"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

func ident(name string) bun.Ident { return bun.Ident(name) }

// place writes everything where it belongs. The organisation itself comes last: until then nobody finds it, and who is
// interrupted leaves a note by which the next one removes what was written.
func (m *orgImport) place(ctx context.Context) (err error) {
	task, err := m.begin(ctx)
	if err != nil {
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
	for _, step := range m.steps() {
		if err := step(ctx); err != nil {
			return err
		}
	}
	rest() // before the task is ended, or it would be written down again
	return m.writeMaster(ctx)
}

// begin leaves the note of the import.
func (m *orgImport) begin(ctx context.Context) (task db.Task, err error) {
	m.out.OrganisationID = m.target
	if err := m.keyring.Ready(ctx, m.target); err != nil { // secrets are sealed inside of transactions
		return task, err
	}
	detail, err := json.Marshal(importDetail{Into: m.into})
	if err != nil {
		return task, err
	}
	task = db.Task{OrganisationID: m.target, Kind: db.TaskImport, State: db.TaskRunning, Detail: string(detail)}
	return task, m.db.BeginTask(ctx, task)
}

// steps are what place does before the organisation is made. Who is killed after any of them leaves what clearImports removes.
func (m *orgImport) steps() []func(context.Context) error {
	return []func(context.Context) error{
		m.makeRoom, m.writeTenant, m.writeFiles,
		func(ctx context.Context) error { return m.records.Reindex(ctx, m.target) },
	}
}

// makeRoom makes the place, or empties that of the organisation that is filled.
func (m *orgImport) makeRoom(ctx context.Context) error {
	if m.into {
		return m.clearSeeds(ctx)
	}
	return m.db.CreatePlacement(ctx, m.target, m.placement(), m.o.Region)
}

func (m *orgImport) placement() string {
	if m.o.Placement == "" {
		return db.Shared
	}
	return m.o.Placement
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
