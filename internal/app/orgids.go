package app

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/parley-voice/parley/internal/platform/db"
)

const (
	idSize    = 36      // of a UUID as text
	idsKnown  = 100_000 // looked up ids that are remembered
	idsInsert = 200
)

// isID reports whether b is a UUID as Parley writes one: small letters.
func isID(b []byte) bool {
	if len(b) != idSize {
		return false
	}
	for i, c := range b {
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return true
}

// eachID calls fn with each UUID in b. They may be written over in place.
func eachID(b []byte, fn func(id []byte) error) error {
	for at := 0; ; {
		dash := bytes.IndexByte(b[at:], '-')
		if dash < 0 {
			return nil
		}
		start := at + dash - 8
		if start < at || start+idSize > len(b) || !isID(b[start:start+idSize]) {
			at += dash + 1
			continue
		}
		if err := fn(b[start : start+idSize]); err != nil {
			return err
		}
		at = start + idSize
	}
}

// newIDFor makes an id in place of one: it keeps the time that begins a UUIDv7 (RFC 9562 section 5.7), by which lists are sorted.
func newIDFor(old string) (string, error) {
	u, err := uuid.Parse(old)
	if err != nil {
		return "", err
	}
	n, err := uuid.NewV7()
	if err != nil {
		return "", err
	}
	copy(n[:6], u[:6])
	// The random part of NewV7 counts up within a millisecond; many ids of one old millisecond need more.
	r := uuid.New()
	copy(n[9:], r[9:])
	n[6], n[7] = 0x70|r[6]&0x0f, r[7]
	return n.String(), nil
}

// ids gives the ids of a place for those of another. What is no id of what is carried stays as it is, though it be a UUID. They
// have all the same length, so that they can be replaced wherever they stand: in JSON, in paths, in the middle of a text.
type ids struct {
	staging *db.Staging
	all     bool              // all ids are others here; else only those in few
	few     map[string]string // of the organisation and its people
	known   map[string]string // looked up; "" is no id of ours
}

const idTable = "import_ids"

// prepare makes the table of the ids that are carried.
func (m *ids) prepare(ctx context.Context) error {
	return m.staging.Write(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, "CREATE TABLE "+idTable+" (old TEXT PRIMARY KEY, new TEXT NOT NULL) WITHOUT ROWID")
		return err
	})
}

// note remembers the ids of some rows.
func (m *ids) note(ctx context.Context, tx *db.Tx, t *db.Table, rows []db.Row) error {
	at := t.At("id")
	if at < 0 {
		return nil
	}
	for _, r := range rows {
		id, _ := r[at].(string)
		if !isID([]byte(id)) {
			continue
		}
		fresh, err := newIDFor(id)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO "+idTable+" (old, new) VALUES (?, ?)", id, fresh); err != nil {
			return fmt.Errorf("note an id: %w", err)
		}
	}
	return nil
}

// of gives the id here, "" for what is none of ours.
func (m *ids) of(ctx context.Context, old string) (string, error) {
	if id, ok := m.few[old]; ok {
		return id, nil
	}
	if !m.all {
		return "", nil
	}
	if id, ok := m.known[old]; ok {
		return id, nil
	}
	var found []string
	err := m.staging.Read(ctx, func(ctx context.Context, tx *db.Tx) error {
		return tx.NewRaw("SELECT new FROM "+idTable+" WHERE old = ?", old).Scan(ctx, &found)
	})
	if err != nil {
		return "", fmt.Errorf("look up an id: %w", err)
	}
	id := ""
	if len(found) > 0 {
		id = found[0]
	}
	if m.known == nil || len(m.known) >= idsKnown {
		m.known = map[string]string{}
	}
	m.known[old] = id
	return id, nil
}

// replace writes the ids of this place over those in b.
func (m *ids) replace(ctx context.Context, b []byte) error {
	if !m.all && len(m.few) == 0 {
		return nil
	}
	return eachID(b, func(id []byte) error {
		other, err := m.of(ctx, string(id))
		if err == nil && len(other) == idSize {
			copy(id, other)
		}
		return err
	})
}

// text is replace for a string.
func (m *ids) text(ctx context.Context, s string) (string, error) {
	if len(s) < idSize || !m.all && len(m.few) == 0 {
		return s, nil
	}
	b := []byte(s)
	if err := m.replace(ctx, b); err != nil {
		return s, err
	}
	return string(b), nil
}

// orgTaskDead is how long nobody has said that he works on an import before it is given up for him.
const orgTaskDead = 5 * time.Minute
