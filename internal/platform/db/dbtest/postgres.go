package dbtest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-voice/parley/internal/platform/db"
)

// EnvPostgres names the variable with the URL of a PostgreSQL server for tests.
const EnvPostgres = "PARLEY_TEST_POSTGRES"

// owner is the role that owns the test databases of a private cluster: what a hosted PostgreSQL gives its
// customers, not a superuser, so that the tests see what production sees.
const owner = "parley_owner"

const (
	initTimeout  = time.Minute
	readyTimeout = 30 * time.Second
	readyPoll    = 20 * time.Millisecond
)

// cluster is the one private server of this test binary. It is the process's, like the process's temporary
// folder: there is no test to own it.
var cluster = sync.OnceValues(startCluster) //nolint:gochecknoglobals // one server for each test binary

// PostgresURL makes a fresh database and gives its URL: an empty one, or one that is migrated to ms. On a server that is not
// this test binary's own it is empty either way. The database is dropped when the test ends.
func PostgresURL(t testing.TB, ms ...db.Migrations) string {
	t.Helper()
	admin, private := os.Getenv(EnvPostgres), false
	if admin == "" {
		var err error
		if admin, err = cluster(); err != nil {
			t.Fatalf("PostgreSQL for tests: %v", err)
		}
		private = true
	}
	name := randomName()
	create := "CREATE DATABASE " + name
	if private {
		create += " OWNER " + owner
		if len(ms) > 0 {
			template, err := templateOf(t, ms).postgres()
			if err != nil {
				t.Fatalf("the template of a test's database: %v", err)
			}
			create += " TEMPLATE " + template
		}
	}
	if err := execAdmin(admin, create); err != nil {
		t.Fatalf("create a test database: %v", err)
	}
	t.Cleanup(func() {
		for _, n := range append(ownDatabases(t, admin, name), name) {
			if err := execAdmin(admin, "DROP DATABASE IF EXISTS "+n+" WITH (FORCE)"); err != nil {
				t.Errorf("drop the test database: %v", err)
			}
		}
	})
	u, err := url.Parse(admin)
	if err != nil {
		t.Fatalf("%s: %v", EnvPostgres, err)
	}
	u.Path = "/" + name
	if private {
		u.User = url.User(owner)
	}
	return u.String()
}

// second is another server, started when the first test asks for it.
var second = sync.OnceValues(startCluster) //nolint:gochecknoglobals // one for each test binary

// RegionURL gives what the setting regions takes: a URL with {database}, of another server than that of PostgresURL. With
// PARLEY_TEST_POSTGRES it is the same server.
func RegionURL(t testing.TB) string {
	t.Helper()
	admin := os.Getenv(EnvPostgres)
	if admin == "" {
		var err error
		if admin, err = second(); err != nil {
			t.Fatalf("a second PostgreSQL for tests: %v", err)
		}
	}
	u, err := url.Parse(admin)
	if err != nil {
		t.Fatalf("%s: %v", EnvPostgres, err)
	}
	if os.Getenv(EnvPostgres) == "" {
		u.User = url.User(owner)
	}
	u.Path = ""
	return strings.Replace(u.String(), "?", "/{database}?", 1)
}

// ownDatabases lists the databases that organisations of a test's database got.
func ownDatabases(t testing.TB, admin, name string) (own []string) {
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	c, err := pgx.Connect(ctx, admin)
	if err != nil {
		t.Errorf("list the test's databases: %v", err)
		return nil
	}
	defer func() { _ = c.Close(ctx) }()
	rows, err := c.Query(ctx, "SELECT datname FROM pg_database WHERE starts_with(datname, $1)", name+"_org_")
	if err == nil {
		own, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		t.Errorf("list the test's databases: %v", err)
	}
	return own
}

// Admin runs SQL on the server as the user that makes the databases (a superuser on a private cluster).
func Admin(t testing.TB, sql string) {
	t.Helper()
	admin := os.Getenv(EnvPostgres)
	if admin == "" {
		var err error
		if admin, err = cluster(); err != nil {
			t.Fatalf("PostgreSQL for tests: %v", err)
		}
	}
	if err := execAdmin(admin, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// AdminIn is Admin in one database.
func AdminIn(t testing.TB, database, sql string) {
	t.Helper()
	admin := os.Getenv(EnvPostgres)
	if admin == "" {
		var err error
		if admin, err = cluster(); err != nil {
			t.Fatalf("PostgreSQL for tests: %v", err)
		}
	}
	u, err := url.Parse(admin)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + database
	if err := execAdmin(u.String(), sql); err != nil {
		t.Fatalf("in %s: %v", database, err)
	}
}

func execAdmin(admin, sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	c, err := pgx.Connect(ctx, admin)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(ctx) }()
	_, err = c.Exec(ctx, sql)
	return err
}

// guardian runs the server until its standard input ends, which is when the test binary ends, then removes all.
const guardian = `dir=$1; bin=$2
"$bin/postgres" -D "$dir/data" -k "$dir" -c listen_addresses= -c fsync=off -c synchronous_commit=off \
  -c full_page_writes=off -c max_connections=200 -c shared_buffers=32MB -c autovacuum=off -c jit=off \
  >"$dir/log" 2>&1 </dev/null &
pid=$!
read -r _
kill -INT "$pid"; wait "$pid"; rm -rf "$dir"`

// startCluster makes and starts a private server and gives the URL of its superuser.
func startCluster() (string, error) {
	bin, err := findPostgres()
	if err != nil {
		return "", err
	}
	// A socket's path has at most 107 bytes, so the folder is not under the test's own.
	dir, err := os.MkdirTemp("/tmp", "parley-pg-")
	if err != nil {
		return "", err
	}
	var as []string
	if os.Geteuid() == 0 { // the server refuses to run as root
		as = []string{"runuser", "-u", "postgres", "--"}
		if err := runIn(initTimeout, "chown", "postgres", dir); err != nil {
			return "", err
		}
	}
	initdb := append(append([]string{}, as...), filepath.Join(bin, "initdb"), "-D", filepath.Join(dir, "data"),
		"--no-sync", "--auth=trust", "--username=postgres", "--locale=C", "--encoding=UTF8")
	if err := runIn(initTimeout, initdb...); err != nil {
		return "", err
	}
	args := append(append([]string{}, as...), "sh", "-c", guardian, "guardian", dir, bin)
	cmd := exec.Command(args[0], args[1:]...) //nolint:noctx // it ends when the pipe does
	cmd.Dir = "/"
	// A session of its own: an interrupt meant for the tests must not kill the guardian before it has cleaned up.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	r, w, err := os.Pipe()
	if err != nil {
		return "", err
	}
	cmd.Stdin = r
	if err := cmd.Start(); err != nil {
		return "", err
	}
	_ = r.Close()
	keepOpen(w)
	admin := "postgres://postgres@/postgres?host=" + url.QueryEscape(dir)
	if err := waitReady(admin); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		return "", fmt.Errorf("%w; the server's log: %s", err, log)
	}
	if err := execAdmin(admin, "CREATE ROLE "+owner+" LOGIN CREATEROLE CREATEDB"); err != nil {
		return "", err
	}
	return admin, nil
}

// held keeps the guardian's pipe open for the life of the process: a collected file would be closed.
var held []*os.File //nolint:gochecknoglobals // see above

func keepOpen(f *os.File) { held = append(held, f) }

func waitReady(admin string) error {
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		c, err := pgx.Connect(ctx, admin)
		if err == nil {
			return c.Close(ctx)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the server did not start: %w", err)
		case <-tick.C:
		}
	}
}

// findPostgres gives the folder of the server's programs: Debian keeps them out of PATH.
func findPostgres() (string, error) {
	if p, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(p), nil
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return "", fmt.Errorf("initdb not found: install postgresql, or set %s to a server's URL", EnvPostgres)
	}
	sort.Strings(found)
	return filepath.Dir(found[len(found)-1]), nil
}

func runIn(d time.Duration, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = "/"
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}
