package db

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/pressly/goose/v3"

	"github.com/parley-voice/parley/internal/platform/fault"
)

const versionTables = "goose_" // and the context's name

// history is how far a context's migrations go: in this program, or in a database.
type history struct {
	version int64 // of the last one
	count   int64
}

// history reads the files of an engine.
func (m *Migrations) history(engine string) (h history, err error) {
	files, err := fs.Glob(m.FS, engine+"/*.sql")
	if err != nil {
		return h, err
	}
	for _, f := range files {
		v, err := goose.NumericComponent(f)
		if err != nil {
			return h, fmt.Errorf("migrations of %s: %s: %w", m.Context, f, err)
		}
		h.version = max(h.version, v)
		h.count++
	}
	return h, nil
}

// upToDate reports whether a database has just the migrations of this program. It asks the database itself, so that one
// that was restored or brought here from elsewhere is seen as it is, and needs two statements, so that a database can be opened
// for a single request. One that a newer program was at is refused: this one does not know what its tables mean.
// The names are all contexts of this program; some of them may have tables elsewhere only.
func (s *store) upToDate(ctx context.Context, ms []Migrations, names []string) (bool, error) {
	have, err := s.histories(ctx, ms)
	if err != nil {
		return false, err
	}
	same := true
	var ahead []string
	for name, h := range have {
		if !slices.Contains(names, name) {
			ahead = append(ahead, fmt.Sprintf("%s %d (not known here)", name, h.version))
		}
	}
	for _, m := range ms {
		want, err := m.history(s.dialect)
		if err != nil {
			return false, err
		}
		h := have[m.Context]
		if h.version > want.version {
			ahead = append(ahead, fmt.Sprintf("%s %d (here %d)", m.Context, h.version, want.version))
		}
		same = same && h == want
	}
	if len(ahead) == 0 {
		return same, nil
	}
	slices.Sort(ahead)
	return false, fault.New(fault.Unavailable, "%s was brought up to date by a newer Parley: its tables are %s; run that version or a newer one",
		s.called(), strings.Join(ahead, ", "))
}

// called is what the database is to people.
func (s *store) called() string {
	if s.name == "" {
		return "the database"
	}
	return "the database of organisation " + s.name
}

// histories reads how far a database is, by context. A context that is not one of ms is listed without its count.
func (s *store) histories(ctx context.Context, ms []Migrations) (map[string]history, error) {
	list := `SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'goose\_%' ESCAPE '\'`
	if s.dialect == Postgres {
		list = `SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND relname LIKE 'goose\_%' ESCAPE '\'`
	}
	out := map[string]history{}
	var parts []string
	err := each(ctx, s.read.DB, list, func(scan func(...any) error) error {
		var table string
		if err := scan(&table); err != nil {
			return err
		}
		name := strings.TrimPrefix(table, versionTables)
		out[name] = history{}
		// goose notes the version 0 when it makes the table.
		parts = append(parts, fmt.Sprintf("SELECT %s, coalesce(max(version_id), 0), count(*) - 1 FROM %s", quoteText(name), quote(table)))
		return nil
	})
	if err != nil || len(parts) == 0 {
		return out, errUnread(err)
	}
	err = each(ctx, s.read.DB, strings.Join(parts, " UNION ALL "), func(scan func(...any) error) error {
		var name string
		var h history
		err := scan(&name, &h.version, &h.count)
		out[name] = h
		return err
	})
	return out, errUnread(err)
}

func errUnread(err error) error {
	if err == nil {
		return nil
	}
	return errors.Join(errors.New("read which migrations the database has"), err)
}
