package db

import (
	"context"
	"database/sql"
	"errors"
)

type serializableKey struct{}

// Serializable makes the write transactions that are begun with ctx behave as if one came after the other. On PostgreSQL
// one that would not fails, see [IsConflict]; on SQLite they always do.
func Serializable(ctx context.Context) context.Context {
	return context.WithValue(ctx, serializableKey{}, true)
}

type snapshotKey struct{}

// OneInstant makes each read-only transaction that is begun with ctx see one instant from its first query to its last, however
// long it goes on: on PostgreSQL by REPEATABLE READ; on SQLite all of them do.
func OneInstant(ctx context.Context) context.Context {
	return context.WithValue(ctx, snapshotKey{}, true)
}

func (s *store) options(ctx context.Context, readOnly bool) *sql.TxOptions {
	o := &sql.TxOptions{ReadOnly: readOnly}
	if s.dialect == Postgres && !readOnly && ctx.Value(serializableKey{}) != nil {
		o.Isolation = sql.LevelSerializable
	}
	if s.dialect == Postgres && readOnly && ctx.Value(snapshotKey{}) != nil {
		o.Isolation = sql.LevelRepeatableRead
	}
	return o
}

// IsConflict reports whether a serializable transaction failed because of another one: it may be done again.
// https://www.postgresql.org/docs/current/errcodes-appendix.html: class 40.
func IsConflict(err error) bool {
	var state interface{ SQLState() string }
	return errors.As(err, &state) && (state.SQLState() == "40001" || state.SQLState() == "40P01")
}
