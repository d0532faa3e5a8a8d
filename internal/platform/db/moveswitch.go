package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"
)

// cross catches up, compares and switches.
func (m *mover) cross(ctx context.Context) error {
	if err := m.catchUp(ctx); err != nil {
		return err
	}
	if err := m.compareAll(ctx); err != nil {
		return err
	}
	for try := 0; ; try++ {
		if err := m.catchUp(ctx); err != nil {
			return err
		}
		if err := m.ease(ctx); err != nil {
			return err
		}
		err := m.switchOver(ctx)
		if err == nil || !errors.Is(err, errTooMuch) || try >= moveTries {
			return err
		}
	}
}

// errTooMuch says that the moment of the switch was too short.
var errTooMuch = errors.New("db: too much was written for the switch; try again when there is less to do")

// catchUp follows the changes until few are left. Writers may be faster than that: after some rounds they are braked, which
// means that they wait for a moment, in which the changes are followed, before they go on.
func (m *mover) catchUp(ctx context.Context) error {
	for round := 0; ; round++ {
		if err := m.mayStop(); err != nil {
			return err
		}
		if round < m.rounds {
			n, err := m.follow(ctx)
			if err != nil || n < moveFew {
				return err
			}
			continue
		}
		n, err := m.brake(ctx)
		if err != nil || n < moveFew {
			return err
		}
		// Who waited looks now and then: without this, the gate would be closed again whenever they look.
		if err := m.d.pause(ctx, brakeFree, "brake"); err != nil {
			return err
		}
	}
}

// brake follows the changes while writers wait, for brakeHeld at most, and gives how many the last batch had.
func (m *mover) brake(ctx context.Context) (n int, err error) {
	began := m.d.clock.Now()
	until := began.Add(brakeHeld)
	if err := m.d.setGate(ctx, m.from, m.org(), gateClosed, until.Add(brakeHeld), nil); err != nil {
		return moveFew, ignoreBusy(err) // somebody writes for long: the next round tries again
	}
	m.report.Brakes++
	defer func() {
		m.report.Held = max(m.report.Held, m.d.clock.Since(began))
		err = errors.Join(err, m.d.setGate(context.WithoutCancel(ctx), m.from, m.org(), "", time.Time{}, nil))
	}()
	for n = moveFew; n >= moveFew && m.d.clock.Now().Before(until); {
		if n, err = m.follow(ctx); err != nil {
			return n, err
		}
	}
	return n, nil
}

// ignoreBusy is nil for a lock that was not had in time.
func ignoreBusy(err error) error {
	if isBusy(err) {
		return nil
	}
	return err
}

// compareAll compares every row's hash with its copy's. A row that differs, or changes from now on, is in doubt until the
// switch, when nobody writes.
func (m *mover) compareAll(ctx context.Context) error {
	m.doubt = keys{}
	for i := range m.tables {
		t := &m.tables[i]
		for after := row(nil); ; {
			rows, err := m.page(ctx, t, after)
			if err != nil {
				return err
			}
			differ, err := m.compare(ctx, t, rows)
			if err != nil {
				return err
			}
			for _, k := range differ {
				if err := m.doubt.add(t, k.text()); err != nil {
					return err
				}
			}
			if err := m.shrink(ctx); err != nil {
				return err
			}
			if len(rows) < moveBatch {
				break
			}
			after = t.keyOf(rows[len(rows)-1])
		}
	}
	return m.stage("compared")
}

// shrink keeps the rows in doubt few while much is written: those whose changes only had to be followed are equal then.
func (m *mover) shrink(ctx context.Context) error {
	if m.doubt.count() <= maxRecheck {
		return nil
	}
	if err := m.catchUp(ctx); err != nil {
		return err
	}
	if err := m.ease(ctx); err != nil {
		return err
	}
	if n := m.doubt.count(); n > maxRecheck/2 {
		return fmt.Errorf("%w: %d rows", ErrMismatch, n)
	}
	return nil
}

// ease takes out of doubt what is equal by now, so that little is left to the switch.
func (m *mover) ease(ctx context.Context) error {
	left := keys{}
	for i := range m.tables {
		t := &m.tables[i]
		for some := range slices.Chunk(values(m.doubt[t.Name]), moveBatch) {
			differ, err := m.compareKeys(ctx, t, some)
			if err != nil {
				return err
			}
			for _, k := range differ {
				if err := left.add(t, k.text()); err != nil {
					return err
				}
			}
		}
	}
	m.doubt = left
	return nil
}

// compareKeys gives those of some rows that differ from their copies; one that is gone does not, its copy is counted.
func (m *mover) compareKeys(ctx context.Context, t *Table, ks []row) ([]row, error) {
	var rows []row
	err := m.d.run(ctx, m.from, scope{orgID: m.org(), readOnly: true}, func(ctx context.Context, tx *Tx) (err error) {
		rows, err = t.byKeys(ctx, tx, m.org(), ks)
		return err
	})
	if err != nil {
		return nil, err
	}
	return m.compare(ctx, t, rows)
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
func (m *mover) switchOver(ctx context.Context) (err error) {
	m.row.State = moveSwitching
	if err := m.save(ctx); err != nil {
		return err
	}
	if m.cancelled {
		m.row.State = moveCopying
		return errors.Join(errCancelled, m.save(ctx))
	}
	began := m.d.clock.Now()
	until := began.Add(gateHeld)
	if err := m.d.setGate(ctx, m.from, m.org(), gateClosed, until, nil); err != nil {
		m.row.State = moveCopying
		if isBusy(err) {
			err = errTooMuch
		}
		return errors.Join(err, m.save(ctx))
	}
	defer func() {
		m.report.Held = max(m.report.Held, m.d.clock.Since(began))
		if err != nil { // writers go on where they were
			m.row.State = moveCopying
			err = errors.Join(err, m.d.setGate(context.WithoutCancel(ctx), m.from, m.org(), "", time.Time{}, nil), m.save(context.WithoutCancel(ctx)))
		}
	}()
	if err := m.apply(ctx, m.doubt); err != nil {
		return err
	}
	for n := 1; n > 0; {
		if n, err = m.follow(ctx); err != nil {
			return err
		}
		if m.d.clock.Now().After(until) {
			return errTooMuch
		}
	}
	if err := m.stage("closed"); err != nil {
		return err
	}
	if err := m.prove(ctx); err != nil {
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

// prove compares the counts of all tables, and the rows that are in doubt.
func (m *mover) prove(ctx context.Context) error {
	m.report.Tables = map[string]int64{}
	for i := range m.tables {
		t := &m.tables[i]
		for some := range slices.Chunk(values(m.doubt[t.Name]), moveBatch) {
			differ, err := m.compareKeys(ctx, t, some)
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
