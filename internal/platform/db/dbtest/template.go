package dbtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/parley-voice/parley/internal/platform/db"
)

// A schema is made once for each test binary, and every test's database is a copy of it. Nothing else is shared: a template
// has no row that a test wrote. Migrating a copy finds that there is nothing to do.

// template is the schema of one list of migrations.
type template struct {
	sqlite   func() ([]byte, error) // the file
	postgres func() (string, error) // the name of a database that nobody is connected to
}

var templates = struct { //nolint:gochecknoglobals // one for each test binary, like the cluster
	sync.Mutex
	of map[string]*template
}{of: map[string]*template{}}

// templateOf gives the template of a list of migrations. The same files in the same order are the same template.
func templateOf(t testing.TB, ms []db.Migrations) *template {
	t.Helper()
	key, err := fingerprint(ms)
	if err != nil {
		t.Fatalf("read the migrations: %v", err)
	}
	templates.Lock()
	defer templates.Unlock()
	if templates.of[key] == nil {
		templates.of[key] = &template{
			sqlite:   sync.OnceValues(func() ([]byte, error) { return makeSQLite(ms) }),
			postgres: sync.OnceValues(func() (string, error) { return makePostgres(ms) }),
		}
	}
	return templates.of[key]
}

// fingerprint is a hash of the names and contents of all files.
func fingerprint(ms []db.Migrations) (string, error) {
	h := sha256.New()
	for _, m := range ms {
		fmt.Fprintf(h, "%q %d\n", m.Context, m.Scope)
		err := fs.WalkDir(m.FS, ".", func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			b, err := fs.ReadFile(m.FS, path)
			fmt.Fprintf(h, "%q %d %s\n", path, len(b), b)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// migrated opens a database, brings it to ms and closes it.
func migrated(c db.Config, ms []db.Migrations) error {
	c.Log = slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithTimeout(context.Background(), setupTimeout)
	defer cancel()
	d, err := db.Open(ctx, c)
	if err != nil {
		return fmt.Errorf("open the template: %w", err)
	}
	if err := d.Migrate(ctx, ms...); err != nil {
		_ = d.Close()
		return fmt.Errorf("migrate the template: %w", err)
	}
	return d.Close()
}

// sqliteFile is the name of the database in a data folder.
const sqliteFile = "parley.db"

func makeSQLite(ms []db.Migrations) ([]byte, error) {
	dir, err := os.MkdirTemp("", "parley-template-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	if err := migrated(db.Config{DataDir: dir}, ms); err != nil {
		return nil, err
	}
	if left, err := os.Stat(filepath.Join(dir, sqliteFile+"-wal")); err == nil && left.Size() > 0 {
		return nil, fmt.Errorf("the template's log was not written back: %d bytes", left.Size())
	}
	return os.ReadFile(filepath.Join(dir, sqliteFile))
}

// makePostgres needs the private cluster, which ends with the test binary and the template with it.
func makePostgres(ms []db.Migrations) (string, error) {
	admin, err := cluster()
	if err != nil {
		return "", err
	}
	name := randomName()
	if err := execAdmin(admin, "CREATE DATABASE "+name+" OWNER "+owner); err != nil {
		return "", err
	}
	u, err := url.Parse(admin)
	if err != nil {
		return "", err
	}
	u.Path, u.User = "/"+name, url.User(owner)
	return name, migrated(db.Config{URL: u.String()}, ms)
}

// Fill puts a database that is migrated to ms into a data folder.
func Fill(t testing.TB, dir string, ms ...db.Migrations) {
	t.Helper()
	b, err := templateOf(t, ms).sqlite()
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, sqliteFile), b, 0o600)
	}
	if err != nil {
		t.Fatalf("the database of a test: %v", err)
	}
}
