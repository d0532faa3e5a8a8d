package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

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
	}
	return nil
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
			if err := m.save(ctx); err != nil {
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

type changeRow struct {
	bun.BaseModel `bun:"table:org_changes"`

	Seq int64  `bun:"seq"`
	Tbl string `bun:"tbl"`
	PK  string `bun:"pk"`
}

// follow brings a batch of changes over and gives how many there were, with the keys.
func (m *mover) follow(ctx context.Context) (int, keys, error) {
	var changes []changeRow
	err := m.d.run(ctx, m.from, scope{orgID: m.org(), readOnly: true}, func(ctx context.Context, tx *Tx) error {
		return tx.NewSelect().Model(&changes).Where("organisation_id = ?", m.org()).OrderExpr("seq").Limit(followBatch).Scan(ctx)
	})
	if err != nil || len(changes) == 0 {
		return 0, nil, err
	}
	ks, seqs := keys{}, make([]int64, len(changes))
	for i, c := range changes {
		seqs[i] = c.Seq
		at := slices.IndexFunc(m.tables, func(t Table) bool { return t.Name == c.Tbl })
		if at < 0 {
			continue
		}
		if err := ks.add(&m.tables[at], c.PK); err != nil {
			return 0, nil, err
		}
	}
	if err := m.apply(ctx, ks); err != nil {
		return 0, nil, err
	}
	err = m.d.run(ctx, m.from, scope{orgID: m.org()}, func(ctx context.Context, tx *Tx) error {
		_, err := tx.NewDelete().Model((*changeRow)(nil)).Where("organisation_id = ? AND seq IN (?)", m.org(), bun.List(seqs)).Exec(ctx)
		return err
	})
	m.report.Caught += int64(len(changes))
	return len(changes), ks, err
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

// cross catches up, compares and switches.
func (m *mover) cross(ctx context.Context) error {
	if err := m.catchUp(ctx, moveFew); err != nil {
		return err
	}
	again, err := m.compareAll(ctx)
	if err != nil {
		return err
	}
	for try := 0; ; try++ {
		if err := m.catchUp(ctx, moveFew); err != nil {
			return err
		}
		err := m.switchOver(ctx, again)
		if err == nil || !errors.Is(err, errTooMuch) || try >= moveTries {
			return err
		}
	}
}

// errTooMuch says that the moment of the switch was too short.
var errTooMuch = errors.New("db: too much was written for the switch; try again when there is less to do")

// catchUp follows the changes until few are left. Writers may be faster: what is left after some rounds is left to the
// switch, while they wait.
func (m *mover) catchUp(ctx context.Context, few int) error {
	for range catchRounds {
		n, _, err := m.follow(ctx)
		if err != nil {
			return err
		}
		if n < few {
			return nil
		}
	}
	return nil
}

// compareAll compares every row's hash with its copy's. A row that differs may just have been changed: it is looked at
// again in the switch, when nobody writes.
func (m *mover) compareAll(ctx context.Context) (keys, error) {
	again, n := keys{}, 0
	for i := range m.tables {
		t := &m.tables[i]
		for after := row(nil); ; {
			rows, err := m.page(ctx, t, after)
			if err != nil {
				return nil, err
			}
			differ, err := m.compare(ctx, t, rows)
			if err != nil {
				return nil, err
			}
			for _, k := range differ {
				if err := again.add(t, k.text()); err != nil {
					return nil, err
				}
			}
			if n += len(differ); n > maxRecheck {
				return nil, fmt.Errorf("%w: more than %d rows", ErrMismatch, maxRecheck)
			}
			if len(rows) < moveBatch {
				break
			}
			after = t.keyOf(rows[len(rows)-1])
		}
	}
	return again, m.stage("compared")
}

// compare gives the keys of rows whose copies differ or are missing.
func (m *mover) compare(ctx context.Context, t *Table, rows []row) (differ []row, err error) {
	ks := make([]row, len(rows))
	for i, r := range rows {
		ks[i] = t.keyOf(r)
	}
	var copies []row
	err = m.d.run(ctx, m.to, scope{orgID: m.org(), readOnly: true}, func(ctx context.Context, tx *Tx) (err error) {
		copies, err = t.byKeys(ctx, tx, m.org(), ks)
		return err
	})
	if err != nil {
		return nil, err
	}
	hashes := map[string][32]byte{}
	for _, r := range copies {
		hashes[t.keyOf(r).text()] = r.hash()
	}
	for i, r := range rows {
		if h, ok := hashes[ks[i].text()]; !ok || h != r.hash() {
			differ = append(differ, ks[i])
		}
	}
	m.report.Compared += int64(len(rows))
	return differ, nil
}

// switchOver closes the source for writers, brings the last changes over, proves that both sides are equal and gives the
// source up. Writers that wait go on in the target.
func (m *mover) switchOver(ctx context.Context, again keys) (err error) {
	m.row.State = moveSwitching
	if err := m.save(ctx); err != nil {
		return err
	}
	began := m.d.clock.Now()
	until := began.Add(gateHeld)
	if err := m.d.setGate(ctx, m.from, m.org(), gateClosed, until, nil); err != nil {
		return errors.Join(errTooMuch, err)
	}
	defer func() {
		m.report.Held += m.d.clock.Since(began)
		if err != nil { // writers go on where they were
			m.row.State = moveCopying
			err = errors.Join(err, m.d.setGate(context.WithoutCancel(ctx), m.from, m.org(), "", time.Time{}, nil), m.save(context.WithoutCancel(ctx)))
		}
	}()
	seen := keys{}
	for name, ks := range again {
		seen[name] = ks
	}
	if err := m.apply(ctx, again); err != nil {
		return err
	}
	for {
		n, ks, err := m.follow(ctx)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		for name, more := range ks {
			if seen[name] == nil {
				seen[name] = map[string]row{}
			}
			for text, k := range more {
				seen[name][text] = k
			}
		}
		if m.d.clock.Now().After(until) {
			return errTooMuch
		}
	}
	if err := m.stage("closed"); err != nil {
		return err
	}
	if err := m.prove(ctx, seen); err != nil {
		return err
	}
	return m.d.setGate(ctx, m.from, m.org(), gateGone, time.Time{}, func(ctx context.Context, tx *sql.Tx) error {
		var more bool
		if err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM org_changes WHERE organisation_id = $1)", m.org()).Scan(&more); err != nil {
			return err
		}
		if more || m.d.clock.Now().After(until) {
			return errTooMuch
		}
		if m.from == m.d.master { // in one transaction: nobody ever finds neither
			return writePlacement(ctx, tx, m.report.To)
		}
		return nil
	})
}

// prove compares the counts of all tables, and the rows that changed since all were compared.
func (m *mover) prove(ctx context.Context, seen keys) error {
	m.report.Tables = map[string]int64{}
	for i := range m.tables {
		t := &m.tables[i]
		for some := range slices.Chunk(values(seen[t.Name]), moveBatch) {
			var rows []row
			err := m.d.run(ctx, m.from, scope{orgID: m.org(), readOnly: true}, func(ctx context.Context, tx *Tx) (err error) {
				rows, err = t.byKeys(ctx, tx, m.org(), some)
				return err
			})
			if err != nil {
				return err
			}
			differ, err := m.compare(ctx, t, rows)
			if err != nil {
				return err
			}
			if len(differ) > 0 {
				return fmt.Errorf("%w: %d rows of %s, such as %s", ErrMismatch, len(differ), t.Name, differ[0].text())
			}
		}
		var n [2]int64
		for side, st := range []*store{m.from, m.to} {
			err := m.d.run(ctx, st, scope{orgID: m.org(), readOnly: true}, func(ctx context.Context, tx *Tx) (err error) {
				n[side], err = t.count(ctx, tx, m.org())
				return err
			})
			if err != nil {
				return err
			}
		}
		if n[0] != n[1] {
			return fmt.Errorf("%w: %s has %d rows, its copy %d", ErrMismatch, t.Name, n[0], n[1])
		}
		m.report.Tables[t.Name] = n[0]
	}
	return nil
}
