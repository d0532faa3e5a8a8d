package db

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/uptrace/bun"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// copyAll copies every table, a batch at a time, parents first.
func (m *mover) copyAll(ctx context.Context) error {
	if len(m.at.Done) == len(m.tables) {
		return nil
	}
	if err := m.d.capture(ctx, m.from, m.org(), m.tables); err != nil {
		return err
	}
	if len(m.at.Done) == 0 && m.at.After == "" && !m.report.To.own() {
		if err := m.d.empty(ctx, m.to, m.org(), m.tables); err != nil { // what a move away left behind
			return err
		}
	}
	if m.at.Total == 0 {
		if err := m.countAll(ctx); err != nil {
			return err
		}
	}
	for i := range m.tables {
		t := &m.tables[i]
		if slices.Contains(m.at.Done, t.Name) {
			continue
		}
		if err := m.copyTable(ctx, t); err != nil {
			return err
		}
		m.at.Done, m.at.Table, m.at.After = append(m.at.Done, t.Name), "", ""
		if err := m.save(ctx); err != nil {
			return err
		}
		if err := m.stage("copied " + t.Name); err != nil {
			return err
		}
		if err := m.mayStop(); err != nil {
			return err
		}
	}
	return nil
}

// countAll counts what there is to copy, for whoever watches.
func (m *mover) countAll(ctx context.Context) error {
	return m.d.run(ctx, m.from, scope{orgID: m.org(), readOnly: true}, func(ctx context.Context, tx *Tx) error {
		for i := range m.tables {
			n, err := m.tables[i].count(ctx, tx, m.org())
			if err != nil {
				return err
			}
			m.at.Total += n
		}
		return nil
	})
}

func (m *mover) copyTable(ctx context.Context, t *Table) error {
	var after row
	if m.at.Table == t.Name && m.at.After != "" {
		var err error
		if after, err = t.parseKey(m.at.After); err != nil {
			return err
		}
	}
	for n := 0; ; n++ {
		rows, err := m.copyPage(ctx, t, after)
		if err != nil {
			return err
		}
		m.report.Copied += int64(len(rows))
		m.at.Rows += int64(len(rows))
		if len(rows) < moveBatch {
			return nil
		}
		after = t.keyOf(rows[len(rows)-1])
		if n%20 == 19 { // so far a crash costs no more than these
			m.at.Table, m.at.After = t.Name, after.text()
			if err := errors.Join(m.save(ctx), m.mayStop()); err != nil {
				return err
			}
		}
	}
}

// copyPage copies one batch.
func (m *mover) copyPage(ctx context.Context, t *Table, after row) ([]row, error) {
	rows, err := m.page(ctx, t, after)
	if err != nil {
		return nil, err
	}
	return rows, m.putSome(ctx, t, rows)
}

// putSome writes rows, all but those whose parents are not there: a parent made after the parents were copied has been
// captured, and so have its children; they follow with the changes.
func (m *mover) putSome(ctx context.Context, t *Table, rows []row) error {
	err := m.d.run(ctx, m.to, scope{orgID: m.org()}, func(ctx context.Context, tx *Tx) error { return t.put(ctx, tx, rows) })
	if err == nil || !isOrphan(err) {
		return err
	}
	if len(rows) == 1 {
		return nil
	}
	half := len(rows) / 2
	if err := m.putSome(ctx, t, rows[:half]); err != nil {
		return err
	}
	return m.putSome(ctx, t, rows[half:])
}

// isOrphan reports a violated foreign key.
func isOrphan(err error) bool {
	var pg interface{ SQLState() string }
	if errors.As(err, &pg) {
		return pg.SQLState() == "23503"
	}
	var lite *sqlite.Error
	return errors.As(err, &lite) && lite.Code() == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY
}

func (m *mover) page(ctx context.Context, t *Table, after row) (rows []row, err error) {
	err = m.d.run(ctx, m.from, scope{orgID: m.org(), readOnly: true}, func(ctx context.Context, tx *Tx) (err error) {
		rows, err = t.page(ctx, tx, m.org(), after, moveBatch)
		return err
	})
	return rows, err
}

// keys are rows to look at again, by table.
type keys map[string]map[string]row

func (k keys) add(t *Table, text string) error {
	r, err := t.parseKey(text)
	if err != nil {
		return err
	}
	if k[t.Name] == nil {
		k[t.Name] = map[string]row{}
	}
	k[t.Name][r.text()] = r
	return nil
}

func (k keys) count() (n int) {
	for _, ks := range k {
		n += len(ks)
	}
	return n
}

func (k keys) addAll(more keys) {
	for name, ks := range more {
		if k[name] == nil {
			k[name] = map[string]row{}
		}
		maps.Copy(k[name], ks)
	}
}

type changeRow struct {
	bun.BaseModel `bun:"table:org_changes"`

	Seq int64  `bun:"seq"`
	Tbl string `bun:"tbl"`
	PK  string `bun:"pk"`
}

// follow brings a batch of changes over and gives how many there were. Once rows are compared, those that change are in doubt
// again.
func (m *mover) follow(ctx context.Context) (int, error) {
	var changes []changeRow
	err := m.d.run(ctx, m.from, scope{orgID: m.org(), readOnly: true}, func(ctx context.Context, tx *Tx) error {
		return tx.NewSelect().Model(&changes).Where("organisation_id = ?", m.org()).OrderExpr("seq").Limit(followBatch).Scan(ctx)
	})
	if err != nil || len(changes) == 0 {
		return 0, err
	}
	ks, seqs := keys{}, make([]int64, len(changes))
	for i, c := range changes {
		seqs[i] = c.Seq
		at := slices.IndexFunc(m.tables, func(t Table) bool { return t.Name == c.Tbl })
		if at < 0 {
			continue
		}
		if err := ks.add(&m.tables[at], c.PK); err != nil {
			return 0, err
		}
	}
	if err := m.apply(ctx, ks); err != nil {
		return 0, err
	}
	err = m.d.run(ctx, m.from, scope{orgID: m.org()}, func(ctx context.Context, tx *Tx) error {
		_, err := tx.NewDelete().Model((*changeRow)(nil)).Where("organisation_id = ? AND seq IN (?)", m.org(), bun.List(seqs)).Exec(ctx)
		return err
	})
	m.report.Caught += int64(len(changes))
	if m.doubt != nil {
		m.doubt.addAll(ks)
	}
	return len(changes), err
}

// apply makes the target's rows of some keys what the source's are now.
func (m *mover) apply(ctx context.Context, ks keys) error {
	there := map[string][]row{}
	missing := map[string][]row{}
	err := m.d.run(ctx, m.from, scope{orgID: m.org(), readOnly: true}, func(ctx context.Context, tx *Tx) error {
		for i := range m.tables {
			t := &m.tables[i]
			for some := range slices.Chunk(values(ks[t.Name]), moveBatch) {
				rows, err := t.byKeys(ctx, tx, m.org(), some)
				if err != nil {
					return err
				}
				found := map[string]bool{}
				for _, r := range rows {
					found[t.keyOf(r).text()] = true
				}
				there[t.Name] = append(there[t.Name], rows...)
				for _, k := range some {
					if !found[k.text()] {
						missing[t.Name] = append(missing[t.Name], k)
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return m.d.run(ctx, m.to, scope{orgID: m.org()}, func(ctx context.Context, tx *Tx) error {
		for i := len(m.tables) - 1; i >= 0; i-- {
			for some := range slices.Chunk(missing[m.tables[i].Name], moveBatch) {
				if err := m.tables[i].remove(ctx, tx, m.org(), some); err != nil {
					return err
				}
			}
		}
		for i := range m.tables {
			for some := range slices.Chunk(there[m.tables[i].Name], moveBatch) {
				if err := m.tables[i].put(ctx, tx, some); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func values(m map[string]row) []row {
	out := make([]row, 0, len(m))
	for _, r := range m {
		out = append(out, r)
	}
	return out
}
