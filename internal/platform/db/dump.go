package db

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// This file is for those who carry an organisation's rows elsewhere, or to a file: see platform/archive.

// Row is a table's row, its values in the order of [Table.Columns] and as both engines agree on them: nil, string, int64,
// float64, bool, []byte.
type Row = row

// The tags of [Row.Encode]. Equal rows have equal bytes on both engines.
const (
	tagNil = iota
	tagText
	tagBytes
	tagInt
	tagFloat
	tagTrue
	tagFalse
	tagOther // no column has such a value; it differs from every other
)

// Encode writes a row as bytes: a tag for each value; texts and bytes with their length, numbers in 8 bytes, big-endian.
func (r row) Encode() []byte {
	b := make([]byte, 0, 256)
	add := func(tag byte, data []byte) {
		b = append(b, tag)
		b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
		b = append(b, data...)
	}
	for _, v := range r {
		switch x := v.(type) {
		case nil:
			b = append(b, tagNil)
		case string:
			add(tagText, []byte(x))
		case []byte:
			add(tagBytes, x)
		case int64:
			b = binary.BigEndian.AppendUint64(append(b, tagInt), uint64(x))
		case float64:
			b = binary.BigEndian.AppendUint64(append(b, tagFloat), math.Float64bits(x))
		case bool:
			if x {
				b = append(b, tagTrue)
			} else {
				b = append(b, tagFalse)
			}
		default:
			add(tagOther, fmt.Appendf(nil, "%T %v", v, v))
		}
	}
	return b
}

var errNoRow = errors.New("db: the bytes are no row")

// DecodeRow reads what Encode wrote. The row does not share memory with the bytes.
func DecodeRow(b []byte) (Row, error) {
	var r row
	for len(b) > 0 {
		tag := b[0]
		b = b[1:]
		switch tag {
		case tagNil:
			r = append(r, nil)
		case tagTrue, tagFalse:
			r = append(r, tag == tagTrue)
		case tagInt, tagFloat:
			if len(b) < 8 {
				return nil, errNoRow
			}
			n := binary.BigEndian.Uint64(b)
			b = b[8:]
			if tag == tagInt {
				r = append(r, int64(n))
			} else {
				r = append(r, math.Float64frombits(n))
			}
		case tagText, tagBytes:
			if len(b) < 4 {
				return nil, errNoRow
			}
			n := int(binary.BigEndian.Uint32(b))
			if n > len(b)-4 {
				return nil, errNoRow
			}
			data := b[4 : 4+n]
			b = b[4+n:]
			if tag == tagText {
				r = append(r, string(data))
			} else {
				r = append(r, append([]byte{}, data...))
			}
		default:
			return nil, errNoRow
		}
	}
	return r, nil
}

// At gives where the table has a column, -1 when it has none.
func (t *Table) At(column string) int { return t.at(column) }

// Page gives up to limit rows of an organisation after a row, in the order of the primary key; nil is from the first.
func (t *Table) Page(ctx context.Context, tx *Tx, orgID string, after Row, limit int) ([]Row, error) {
	if after != nil {
		after = t.keyOf(after)
	}
	return t.page(ctx, tx, orgID, after, limit)
}

// Select gives the rows for which a condition holds.
func (t *Table) Select(ctx context.Context, tx *Tx, where string, args ...any) ([]Row, error) {
	return t.query(ctx, tx, "SELECT "+t.list()+" FROM "+quote(t.Name)+" WHERE "+where, args)
}

// Put inserts rows, or replaces those that are there.
func (t *Table) Put(ctx context.Context, tx *Tx, rows []Row) error { return t.put(ctx, tx, rows) }

// Count counts an organisation's rows.
func (t *Table) Count(ctx context.Context, tx *Tx, orgID string) (int64, error) {
	return t.count(ctx, tx, orgID)
}

// Only gives the table with some of its columns: those that both it and the list have, in the table's order.
func (t *Table) Only(columns []string) Table {
	out := Table{Name: t.Name, Key: t.Key, Parents: t.Parents, Tenant: t.Tenant}
	for i, c := range t.Columns {
		if slices.Contains(columns, c) {
			out.Columns, out.Types = append(out.Columns, c), append(out.Types, t.Types[i])
		}
	}
	return out
}

// Fit brings values of another database, or of a file, to the types of the table's columns; what does not fit is an error.
func (t *Table) Fit(r Row) error {
	if len(r) != len(t.Columns) {
		return fmt.Errorf("a row of %s has %d values for %d columns", t.Name, len(r), len(t.Columns))
	}
	for i, v := range r {
		r[i] = normal(v, t.Types[i])
		var ok bool
		switch typ := t.Types[i]; {
		case r[i] == nil:
			ok = true
		case strings.HasPrefix(typ, "BLOB"):
			_, ok = r[i].([]byte)
		case strings.HasPrefix(typ, "BOOL"):
			_, ok = r[i].(bool)
		case strings.HasPrefix(typ, "DOUBLE") || strings.HasPrefix(typ, "REAL"):
			_, ok = r[i].(float64)
		case strings.Contains(typ, "INT"):
			_, ok = r[i].(int64)
		default:
			_, ok = r[i].(string)
		}
		if !ok {
			return fmt.Errorf("the column %s of %s has a value that is no %s", t.Columns[i], t.Name, t.Types[i])
		}
	}
	return nil
}

// Names lists the columns whose values outsiders use without naming an organisation: see [DB.Claim].
func (d *DB) Names() []Name {
	d.schema.Lock()
	defer d.schema.Unlock()
	var out []Name
	for _, m := range d.schema.ms {
		out = append(out, m.Names...)
	}
	return out
}

// Empty deletes an organisation's rows of some tables, some at a time, in the database that the doors lead to.
func (d *DB) Empty(ctx context.Context, orgID string, tables []Table) error {
	return d.empty(ctx, d.at(), orgID, tables)
}
