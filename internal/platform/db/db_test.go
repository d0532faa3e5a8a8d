package db_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
)

const (
	orgA = "org-a"
	orgB = "org-b"
)

type thing struct {
	bun.BaseModel `bun:"table:things"`

	ID             string `bun:"id,pk"`
	OrganisationID string `bun:"organisation_id"`
	Name           string `bun:"name"`
	On             bool   `bun:"is_on"`
	Blob           []byte `bun:"payload"`
	At             int64  `bun:"at"`
}

const thingsSQLite = `-- +goose Up
CREATE TABLE things (id TEXT PRIMARY KEY, organisation_id TEXT NOT NULL, name TEXT NOT NULL,
  is_on BOOLEAN NOT NULL, payload BLOB, at BIGINT NOT NULL);
`

const thingsPostgres = `-- +goose Up
CREATE TABLE things (id TEXT PRIMARY KEY, organisation_id TEXT NOT NULL, name TEXT NOT NULL,
  is_on BOOLEAN NOT NULL, payload BYTEA, at BIGINT NOT NULL);
SELECT parley_tenant_table('things');
`

const globalsSQLite = `-- +goose Up
CREATE TABLE globals (id TEXT PRIMARY KEY);
`

const globalsPostgres = `-- +goose Up
CREATE TABLE globals (id TEXT PRIMARY KEY);
SELECT parley_system_table('globals');
CREATE TABLE forgotten (id TEXT PRIMARY KEY);
`

func migrations() []db.Migrations {
	return []db.Migrations{{Context: "things", FS: fstest.MapFS{
		"sqlite/00001_things.sql":   {Data: []byte(thingsSQLite)},
		"postgres/00001_things.sql": {Data: []byte(thingsPostgres)},
	}}, {Context: "globals", Scope: db.Master, FS: fstest.MapFS{
		"sqlite/00001_globals.sql":   {Data: []byte(globalsSQLite)},
		"postgres/00001_globals.sql": {Data: []byte(globalsPostgres)},
	}}}
}

func insert(id, org string) func(context.Context, *db.Tx) error {
	return func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.NewInsert().Model(&thing{ID: id, OrganisationID: org, Name: id}).Exec(ctx)
		return err
	}
}

// count counts things without any WHERE, on purpose.
func count(t *testing.T, d *db.DB, org string) int64 {
	t.Helper()
	n := int64(-1)
	read := func(ctx context.Context, tx *db.Tx) (err error) {
		n, err = tx.NewSelect().Model((*thing)(nil)).Count(ctx)
		return err
	}
	var err error
	if org == "" {
		err = d.Shared().ReadSystem(t.Context(), "count in a test", read)
	} else {
		err = d.ReadTenant(t.Context(), org, read)
	}
	if err != nil {
		t.Fatalf("count: %v", err)
	}
	return n
}

func TestCommitAndRollback(t *testing.T) {
	dbtest.Each(t, migrations(), func(t *testing.T, d *db.DB) {
		ctx := t.Context()
		if err := d.InTenant(ctx, orgA, insert("1", orgA)); err != nil {
			t.Fatal(err)
		}
		boom := errors.New("boom")
		err := d.InTenant(ctx, orgA, func(ctx context.Context, tx *db.Tx) error {
			if err := insert("2", orgA)(ctx, tx); err != nil {
				return err
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Fatalf("error = %v, want boom", err)
		}
		func() {
			defer func() {
				if p := recover(); p != "oops" {
					t.Errorf("recovered %v, want the panic to go on", p)
				}
			}()
			_ = d.InTenant(ctx, orgA, func(ctx context.Context, tx *db.Tx) error {
				if err := insert("3", orgA)(ctx, tx); err != nil {
					t.Error(err)
				}
				panic("oops")
			})
		}()
		if n := count(t, d, orgA); n != 1 {
			t.Errorf("%d rows, want the committed one", n)
		}
		// The writer is free again.
		if err := d.InTenant(ctx, orgA, insert("4", orgA)); err != nil {
			t.Fatal(err)
		}
	})
}

func TestRoundTrip(t *testing.T) {
	dbtest.Each(t, migrations(), func(t *testing.T, d *db.DB) {
		in := thing{ID: "x", OrganisationID: orgA, Name: `O'Brien \ "x" ? $1 héé 漢`, On: true, Blob: []byte{0, 1, 0xff, '\''}, At: 1 << 50}
		err := d.InTenant(t.Context(), orgA, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.NewInsert().Model(&in).Exec(ctx)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		var out thing
		err = d.ReadTenant(t.Context(), orgA, func(ctx context.Context, tx *db.Tx) error {
			return tx.NewSelect().Model(&out).Where("organisation_id = ? AND id = ?", orgA, "x").Scan(ctx)
		})
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprintf("%+v", in) != fmt.Sprintf("%+v", out) {
			t.Errorf("got %+v, want %+v", out, in)
		}
	})
}

func TestReadOnly(t *testing.T) {
	dbtest.Each(t, migrations(), func(t *testing.T, d *db.DB) {
		if err := d.ReadTenant(t.Context(), orgA, insert("1", orgA)); err == nil {
			t.Error("ReadTenant let a write through")
		}
		if err := d.ReadSystem(t.Context(), "test", insert("1", orgA)); err == nil {
			t.Error("ReadSystem let a write through")
		}
		if n := count(t, d, ""); n != 0 {
			t.Errorf("%d rows, want none", n)
		}
	})
}

func TestNestedWriteIsRefused(t *testing.T) {
	dbtest.Each(t, migrations(), func(t *testing.T, d *db.DB) {
		err := d.InTenant(t.Context(), orgA, func(ctx context.Context, _ *db.Tx) error {
			if n := count(t, d, orgA); n != 0 { // reading beside it is fine
				t.Errorf("%d rows", n)
			}
			return d.InSystem(ctx, "test", insert("1", orgA))
		})
		if !errors.Is(err, db.ErrNested) {
			t.Errorf("error = %v, want ErrNested", err)
		}
	})
}

func TestDoorsNeedTheirKeys(t *testing.T) {
	dbtest.Each(t, nil, func(t *testing.T, d *db.DB) {
		nop := func(context.Context, *db.Tx) error { return nil }
		for name, err := range map[string]error{
			"InTenant":   d.InTenant(t.Context(), "", nop),
			"ReadTenant": d.ReadTenant(t.Context(), "", nop),
			"InSystem":   d.InSystem(t.Context(), "", nop),
			"ReadSystem": d.ReadSystem(t.Context(), "", nop),
		} {
			if err == nil {
				t.Errorf("%s opened without an organisation or a reason", name)
			}
		}
	})
}

func TestSystemDoorIsAudited(t *testing.T) {
	var got []string
	d := dbtest.Open(t, db.Config{DataDir: t.TempDir(), Audit: func(_ context.Context, r string) { got = append(got, r) }}, migrations()...)
	if err := d.InSystem(t.Context(), "why not", func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.NewRaw("INSERT INTO globals (id) VALUES ('1')").Exec(ctx)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if n := count(t, d, ""); n != 0 {
		t.Errorf("%d rows", n)
	}
	if want := "why not,count in a test"; strings.Join(got, ",") != want {
		t.Errorf("audited %q, want %q", got, want)
	}
}

func TestRowLevelSecurity(t *testing.T) {
	d := dbtest.Postgres(t, migrations()...)
	ctx := t.Context()
	for _, o := range []string{orgA, orgB} {
		if err := d.InTenant(ctx, o, insert("thing of "+o, o)); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(t, d, orgA); n != 1 {
		t.Errorf("organisation A sees %d rows without a WHERE, want its own", n)
	}
	if n := count(t, d, ""); n != 2 {
		t.Errorf("the system door sees %d rows, want 2", n)
	}
	if err := d.InTenant(ctx, orgA, insert("intruder", orgB)); err == nil {
		t.Error("organisation A wrote a row of B")
	}
	err := d.InTenant(ctx, orgA, func(ctx context.Context, tx *db.Tx) error {
		res, err := tx.NewRaw("UPDATE things SET name = 'mine'").Exec(ctx)
		if err != nil {
			return err
		}
		if n, _ := res.RowsAffected(); n != 1 {
			t.Errorf("UPDATE without WHERE changed %d rows, want 1", n)
		}
		_, err = tx.NewRaw("UPDATE things SET organisation_id = ?", orgB).Exec(ctx)
		return err
	})
	if err == nil {
		t.Error("organisation A gave a row away to B")
	}
	for _, table := range []string{"globals", "forgotten", "goose_things"} {
		err := d.InTenant(ctx, orgA, func(ctx context.Context, tx *db.Tx) error {
			var n int
			if err := tx.NewRaw("SELECT count(*) FROM "+table).Scan(ctx, &n); err != nil {
				return err
			}
			_, err := tx.NewRaw("INSERT INTO " + table + " (id) VALUES ('1')").Exec(ctx)
			return err
		})
		if err == nil {
			t.Errorf("an organisation could write to %s", table)
		}
	}
	err = d.InSystem(ctx, "test", func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.NewRaw("INSERT INTO globals (id) VALUES ('1')").Exec(ctx)
		return err
	})
	if err != nil {
		t.Errorf("the system door could not write to a system table: %v", err)
	}
}

// The scope must not stay behind on a pooled connection.
func TestScopeEndsWithTheTransaction(t *testing.T) {
	d := dbtest.Postgres(t, migrations()...)
	if err := d.Past(t.Context(), "", insert("1", orgA)); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if n := count(t, d, orgB); n != 0 {
			t.Errorf("organisation B sees %d rows of A after the system door was used", n)
		}
	}
}

func TestMigrateTwiceAndTogether(t *testing.T) {
	dbtest.Each(t, migrations(), func(t *testing.T, d *db.DB) {
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if err := d.Migrate(t.Context(), migrations()...); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
}

func TestUnmigratedSaysSo(t *testing.T) {
	d, err := db.Open(t.Context(), db.Config{URL: dbtest.PostgresURL(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	// A role of an earlier test may exist on the server, but not its table.
	if err := d.InTenant(t.Context(), orgA, insert("1", orgA)); err == nil {
		t.Error("an unmigrated database worked")
	}
}

func TestOpenErrors(t *testing.T) {
	for _, url := range []string{"mysql://x/y", "postgres://127.0.0.1:1/x?connect_timeout=1", "postgres://%zz"} {
		if d, err := db.Open(t.Context(), db.Config{URL: url, DataDir: t.TempDir()}); err == nil {
			_ = d.Close()
			t.Errorf("%s opened", url)
		}
	}
}

func TestOutboxCommitsWithTheChange(t *testing.T) {
	dbtest.Each(t, migrations(), func(t *testing.T, d *db.DB) {
		ctx := t.Context()
		fact := event.CallEnded{CallID: "c1", OrgID: orgA}
		boom := errors.New("boom")
		if err := d.InTenant(ctx, orgA, func(ctx context.Context, tx *db.Tx) error {
			if err := tx.Publish(ctx, fact); err != nil {
				return err
			}
			return boom
		}); !errors.Is(err, boom) {
			t.Fatal(err)
		}
		select {
		case <-d.OutboxSignal():
			t.Error("signalled without a commit")
		default:
		}
		if err := d.InTenant(ctx, orgA, func(ctx context.Context, tx *db.Tx) error {
			return errors.Join(insert("1", orgA)(ctx, tx), tx.Publish(ctx, fact, event.CallError{CallID: "c1", Code: "x"}))
		}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-d.OutboxSignal():
		default:
			t.Error("no signal after a commit")
		}
		if err := d.InSystem(ctx, "test", func(ctx context.Context, tx *db.Tx) error {
			if err := tx.Publish(ctx, fact); err == nil {
				t.Error("Publish without an organisation")
			}
			return tx.PublishFor(ctx, orgB, fact)
		}); err != nil {
			t.Fatal(err)
		}
		var rows []db.OutboxRow
		if err := d.ReadSystem(ctx, "test", func(ctx context.Context, tx *db.Tx) error {
			return tx.NewSelect().Model(&rows).Order("seq").Scan(ctx)
		}); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range rows {
			got = append(got, r.OrganisationID+" "+r.Type+" "+r.Key)
			if r.ID == "" || !strings.Contains(r.Data, `"callId":"c1"`) {
				t.Errorf("row %+v", r)
			}
		}
		if want := "org-a call.ended c1,org-a call.error c1,org-b call.ended c1"; strings.Join(got, ",") != want {
			t.Errorf("outbox %q, want %q", got, want)
		}
	})
}

func TestWriterQueueHonoursTheContext(t *testing.T) {
	d := dbtest.SQLite(t, migrations()...)
	err := d.InTenant(t.Context(), orgA, func(context.Context, *db.Tx) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := d.InTenant(ctx, orgA, insert("1", orgA)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error = %v, want deadline exceeded", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
