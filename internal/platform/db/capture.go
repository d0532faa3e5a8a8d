package db

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// While an organisation is being moved, triggers on each tenant table write down the keys of its rows that change, in the
// transaction of the change. They outlive a crash: a move that is resumed has missed nothing.

const (
	captureTries = 20
	captureWait  = 500 * time.Millisecond // for a table's running writers, before others are let pass
)

func captureName(orgID string) string {
	sum := sha256.Sum256([]byte(orgID))
	return "move_" + hex.EncodeToString(sum[:4])
}

// capture makes the triggers; what is there already stays.
func (s *state) capture(ctx context.Context, st *store, orgID string, tables []Table) error {
	for i := range tables {
		var statements []string
		if st.dialect == SQLite {
			statements = captureSQLite(orgID, &tables[i])
		} else {
			statements = capturePostgres(orgID, &tables[i])
		}
		if err := s.ddl(ctx, st, statements); err != nil {
			return fmt.Errorf("watch %s: %w", tables[i].Name, err)
		}
	}
	return nil
}

// uncapture removes the triggers and what they wrote.
func (s *state) uncapture(ctx context.Context, st *store, orgID string, tables []Table) error {
	name := captureName(orgID)
	for _, t := range tables {
		statements := []string{"DROP TRIGGER IF EXISTS " + quote(name) + " ON " + quote(t.Name), "DROP FUNCTION IF EXISTS " + quote(name+"_"+t.Name) + "()"}
		if st.dialect == SQLite {
			statements = nil
			for _, on := range []string{"i", "u", "d"} {
				statements = append(statements, "DROP TRIGGER IF EXISTS "+quote(name+"_"+t.Name+"_"+on))
			}
		}
		if err := s.ddl(ctx, st, statements); err != nil {
			return fmt.Errorf("stop watching %s: %w", t.Name, err)
		}
	}
	return s.ddl(ctx, st, []string{"DELETE FROM org_changes WHERE organisation_id = " + quoteText(orgID)})
}

func captureSQLite(orgID string, t *Table) (out []string) {
	insert := func(side string) string {
		cols := make([]string, len(t.Key))
		for i, k := range t.Key {
			cols[i] = side + "." + quote(k)
		}
		return fmt.Sprintf("INSERT INTO org_changes (organisation_id, tbl, pk) SELECT %s, %s, json_array(%s) WHERE %s.organisation_id = %s;",
			quoteText(orgID), quoteText(t.Name), strings.Join(cols, ", "), side, quoteText(orgID))
	}
	for on, event := range map[string]string{"i": "INSERT", "u": "UPDATE", "d": "DELETE"} {
		body := ""
		if on != "i" {
			body += insert("OLD")
		}
		if on != "d" {
			body += insert("NEW")
		}
		out = append(out, fmt.Sprintf("CREATE TRIGGER IF NOT EXISTS %s AFTER %s ON %s BEGIN %s END",
			quote(captureName(orgID)+"_"+t.Name+"_"+on), event, quote(t.Name), body))
	}
	return out
}

func capturePostgres(orgID string, t *Table) []string {
	name := captureName(orgID)
	insert := func(side string) string {
		cols := make([]string, len(t.Key))
		for i, k := range t.Key {
			cols[i] = side + "." + quote(k)
		}
		return fmt.Sprintf("IF %s.organisation_id = %s THEN INSERT INTO org_changes (organisation_id, tbl, pk) VALUES (%s, %s, jsonb_build_array(%s)::text); END IF;",
			side, quoteText(orgID), quoteText(orgID), quoteText(t.Name), strings.Join(cols, ", "))
	}
	return []string{
		fmt.Sprintf(`CREATE OR REPLACE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $capture$
BEGIN
	IF TG_OP <> 'INSERT' THEN %s END IF;
	IF TG_OP <> 'DELETE' THEN %s END IF;
	RETURN NULL;
END $capture$`, quote(name+"_"+t.Name), insert("OLD"), insert("NEW")),
		fmt.Sprintf("CREATE OR REPLACE TRIGGER %s AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION %s()",
			quote(name), quote(t.Name), quote(name+"_"+t.Name)),
	}
}

// ddl changes the schema beside running transactions. On PostgreSQL it needs a table for itself for an instant; while it
// waits for that, others wait behind it, so it waits shortly and often.
func (s *state) ddl(ctx context.Context, st *store, statements []string) error {
	for try := 0; ; try++ {
		err := st.inOwner(ctx, func(tx *sql.Tx) error {
			if st.dialect == Postgres {
				if _, err := tx.ExecContext(ctx, fmt.Sprintf("SET LOCAL lock_timeout = %d", captureWait.Milliseconds())); err != nil {
					return err
				}
			}
			for _, q := range statements {
				if _, err := tx.ExecContext(ctx, q); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil || try >= captureTries || !isBusy(err) {
			return err
		}
		if err := s.pause(ctx, gateRetry, "ddl"); err != nil {
			return err
		}
	}
}

// isBusy reports a lock that was not had in time: lock_not_available, https://www.postgresql.org/docs/current/errcodes-appendix.html.
func isBusy(err error) bool {
	var state interface{ SQLState() string }
	return errors.As(err, &state) && state.SQLState() == "55P03"
}

// inOwner runs fn in a transaction as the tables' owner, outside of every door.
func (s *store) inOwner(ctx context.Context, fn func(tx *sql.Tx) error) error {
	conn, done, err := s.migrationDB(ctx)
	if err != nil {
		return err
	}
	defer done()
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}
