package db

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/uptrace/bun"
)

// row is a table's row, its values as the engines agree on them: nil, string, int64, float64, bool, []byte.
type row []any

// normal brings a value that a driver gave to the column's type.
func normal(v any, typ string) any {
	switch x := v.(type) {
	case []byte:
		if strings.HasPrefix(typ, "BLOB") || strings.HasPrefix(typ, "BYTEA") {
			return append([]byte{}, x...)
		}
		return string(x)
	case string:
		if strings.HasPrefix(typ, "BLOB") || strings.HasPrefix(typ, "BYTEA") {
			return []byte(x)
		}
	case int64:
		if strings.HasPrefix(typ, "BOOL") {
			return x != 0
		}
		if strings.HasPrefix(typ, "DOUBLE") || strings.HasPrefix(typ, "REAL") {
			return float64(x)
		}
	case int32:
		return normal(int64(x), typ)
	case int16:
		return normal(int64(x), typ)
	case float32:
		return float64(x)
	}
	return v
}

// hash tells rows apart; equal rows have equal ones on both engines.
func (r row) hash() [sha256.Size]byte { return sha256.Sum256(r.Encode()) }

// at gives where the table has a column.
func (t *Table) at(column string) int {
	for i, c := range t.Columns {
		if c == column {
			return i
		}
	}
	return -1
}

func (t *Table) list() string {
	q := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		q[i] = quote(c)
	}
	return strings.Join(q, ", ")
}

func (t *Table) keyList() string {
	q := make([]string, len(t.Key))
	for i, c := range t.Key {
		q[i] = quote(c)
	}
	return strings.Join(q, ", ")
}

// keyOf gives a row's primary key.
func (t *Table) keyOf(r row) row {
	k := make(row, len(t.Key))
	for i, c := range t.Key {
		k[i] = r[t.at(c)]
	}
	return k
}

// text is a key as the capture writes it: a JSON array.
func (k row) text() string {
	b, _ := json.Marshal([]any(k)) // strings and numbers
	return string(b)
}

// parseKey reads what capture wrote.
func (t *Table) parseKey(s string) (row, error) {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var vs []any
	if err := d.Decode(&vs); err != nil || len(vs) != len(t.Key) {
		return nil, fmt.Errorf("db: %q is no key of %s", s, t.Name)
	}
	for i, v := range vs {
		if n, ok := v.(json.Number); ok {
			x, err := n.Int64()
			if err != nil {
				return nil, fmt.Errorf("db: %q is no key of %s", s, t.Name)
			}
			vs[i] = x
		}
		vs[i] = normal(vs[i], t.Types[t.at(t.Key[i])])
	}
	return vs, nil
}

func tuple(k row) string { return "(" + strings.TrimSuffix(strings.Repeat("?, ", len(k)), ", ") + ")" }

// page gives up to limit rows of an organisation after a key, in the key's order.
func (t *Table) page(ctx context.Context, tx *Tx, orgID string, after row, limit int) ([]row, error) {
	// The primary key's index is to be walked: one by organisation would have every page sorted.
	same := "organisation_id || ''"
	if tx.Dialect() == SQLite {
		same = "+organisation_id"
	}
	q, args := "SELECT "+t.list()+" FROM "+quote(t.Name)+" WHERE "+same+" = ?", []any{orgID}
	if after != nil {
		q += " AND (" + t.keyList() + ") > " + tuple(after)
		args = append(args, after...)
	}
	q += fmt.Sprintf(" ORDER BY %s LIMIT %d", t.keyList(), limit)
	if tx.Dialect() == Postgres {
		// It takes the conditions on the organisation, row level security's among them, for so rare that it would rather read
		// and sort the whole table, for each page again, or start other processes, which takes longer than the page.
		if _, err := tx.ExecContext(ctx, "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off; "+
			"SET LOCAL max_parallel_workers_per_gather = 0"); err != nil {
			return nil, fmt.Errorf("read %s: %w", t.Name, err)
		}
	}
	return t.query(ctx, tx, q, args)
}

// byKeys gives the rows of some keys, those that there are.
func (t *Table) byKeys(ctx context.Context, tx *Tx, orgID string, keys []row) ([]row, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	q, args := t.looked(tx.Dialect(), "t.*", orgID, keys)
	cols := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		cols[i] = "r." + quote(c)
	}
	return t.query(ctx, tx, "SELECT "+strings.Join(cols, ", ")+" FROM ("+q+") AS r", args)
}

// looked selects from the rows of some keys, found by one look into the primary key's index for each. That is forced: a
// planner whose statistics are old, as they are of a table that is written to all the time, reads all rows that have the first
// column in common, again for each key.
func (t *Table) looked(dialect, what, orgID string, keys []row) (string, []any) {
	names, on := make([]string, len(t.Key)), make([]string, len(t.Key))
	for i, c := range t.Key {
		names[i] = fmt.Sprintf("k%d", i)
		on[i] = "t." + quote(c) + " = k." + names[i]
	}
	var args []any
	parts := make([]string, len(keys))
	for i, k := range keys {
		parts[i] = tuple(k)
		args = append(args, k...)
	}
	args = append(args, orgID)
	values, match := strings.Join(parts, ", "), strings.Join(on, " AND ")+" AND t.organisation_id = ?"
	if dialect == Postgres {
		return "SELECT l.* FROM (VALUES " + values + ") AS k (" + strings.Join(names, ", ") + ") CROSS JOIN LATERAL (SELECT " + what + " FROM " +
			quote(t.Name) + " AS t WHERE " + match + " LIMIT 1) AS l", args
	}
	// SQLite's CROSS JOIN keeps the order: https://www.sqlite.org/optoverview.html#crossjoin
	return "WITH k (" + strings.Join(names, ", ") + ") AS (VALUES " + values + ") SELECT " + what + " FROM k CROSS JOIN " + quote(t.Name) + " AS t WHERE " + match, args
}

func (t *Table) query(ctx context.Context, tx *Tx, q string, args []any) (out []row, err error) {
	rows, err := tx.QueryContext(ctx, q, args...)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", t.Name, err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err tells
	to := make([]any, len(t.Columns))
	for rows.Next() {
		r := make(row, len(t.Columns))
		for i := range r {
			to[i] = &r[i]
		}
		if err := rows.Scan(to...); err != nil {
			return nil, fmt.Errorf("read %s: %w", t.Name, err)
		}
		for i := range r {
			r[i] = normal(r[i], t.Types[i])
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// put inserts rows, or replaces those that are there.
func (t *Table) put(ctx context.Context, tx *Tx, rows []row) error {
	if len(rows) == 0 {
		return nil
	}
	one := "(" + strings.TrimSuffix(strings.Repeat("?, ", len(t.Columns)), ", ") + ")"
	args := make([]any, 0, len(rows)*len(t.Columns))
	for _, r := range rows {
		args = append(args, r...)
	}
	var set []string
	key := map[string]bool{}
	for _, k := range t.Key {
		key[k] = true
	}
	for _, c := range t.Columns {
		if !key[c] {
			set = append(set, quote(c)+" = excluded."+quote(c))
		}
	}
	do := "DO NOTHING"
	if len(set) > 0 {
		do = "DO UPDATE SET " + strings.Join(set, ", ")
	}
	q := "INSERT INTO " + quote(t.Name) + " (" + t.list() + ") VALUES " + strings.TrimSuffix(strings.Repeat(one+", ", len(rows)), ", ") +
		" ON CONFLICT (" + t.keyList() + ") " + do
	if _, err := tx.ExecContext(ctx, q, args...); err != nil {
		return fmt.Errorf("write %s: %w", t.Name, err)
	}
	return nil
}

// remove deletes rows by key.
func (t *Table) remove(ctx context.Context, tx *Tx, orgID string, keys []row) error {
	if len(keys) == 0 {
		return nil
	}
	var q string
	var args []any
	if tx.Dialect() == Postgres {
		q, args = t.looked(Postgres, "t.ctid", orgID, keys)
		q = " WHERE ctid = ANY (ARRAY(" + q + "))"
	} else {
		parts := make([]string, len(keys))
		for i, k := range keys {
			parts[i] = tuple(k)
			args = append(args, k...)
		}
		q, args = " WHERE ("+t.keyList()+") IN (VALUES "+strings.Join(parts, ", ")+") AND organisation_id = ?", append(args, orgID)
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM "+quote(t.Name)+q, args...); err != nil {
		return fmt.Errorf("delete from %s: %w", t.Name, err)
	}
	return nil
}

// count counts an organisation's rows.
func (t *Table) count(ctx context.Context, tx *Tx, orgID string) (n int64, err error) {
	err = tx.NewSelect().TableExpr("?", bun.Ident(t.Name)).ColumnExpr("count(*)").Where("organisation_id = ?", orgID).Scan(ctx, &n)
	return n, err
}

// emptyBatch is how many rows of an organisation are deleted in one transaction.
const emptyBatch = 2000

// empty deletes an organisation's rows, some at a time so that others can write between.
func (d *DB) empty(ctx context.Context, st *store, orgID string, tables []Table) error {
	for i := len(tables) - 1; i >= 0; i-- {
		t := &tables[i]
		some := fmt.Sprintf("%%s FROM %s WHERE organisation_id = ? LIMIT %d", quote(t.Name), emptyBatch)
		q := "DELETE FROM " + quote(t.Name) + " WHERE organisation_id = ? AND (" + t.keyList() + ") IN (SELECT " + fmt.Sprintf(some, t.keyList()) + ")"
		if st.dialect == Postgres { // which would read the whole table to find the keys
			q = "DELETE FROM " + quote(t.Name) + " WHERE organisation_id = ? AND ctid = ANY (ARRAY(SELECT " + fmt.Sprintf(some, "ctid") + "))"
		}
		for {
			var n int64
			err := d.run(ctx, st, scope{orgID: orgID}, func(ctx context.Context, tx *Tx) error {
				res, err := tx.ExecContext(ctx, q, orgID, orgID)
				if err == nil {
					n, err = res.RowsAffected()
				}
				return err
			})
			if err != nil {
				return fmt.Errorf("delete from %s: %w", t.Name, err)
			}
			if n < emptyBatch {
				break
			}
		}
	}
	return nil
}
