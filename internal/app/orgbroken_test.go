package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/agent"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/archive"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/telephony"
)

const orgPass = "four horses in a field"

// dataAdmin opens the data of an installation in a folder of its own.
func dataAdmin(t testing.TB, databaseURL string) *Admin {
	t.Helper()
	c := Config{HTTPAddr: "127.0.0.1:0", SIPAddr: off, SIPDomain: "parley", SIPTrust: "127.0.0.0/8", RTPPorts: "44440-44459", WebRTCAddr: off, DataDir: t.TempDir(),
		DatabaseURL: databaseURL, TwilioAgent: "front-desk", MaxCalls: 1, Drain: time.Second, SessionIdle: time.Hour, LogLevel: "warn", LogFormat: "text"}
	if databaseURL == "" {
		dbtest.Fill(t, c.DataDir, migrations()...)
	}
	a, err := OpenAdmin(t.Context(), c, "test", t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	if err := a.app.openStores(t.Context()); err != nil {
		t.Fatal(err)
	}
	return a
}

// practice makes an organisation with a phone, a key and some consents, and gives its file.
func practice(t *testing.T, consents int) (file string, made OrgFile) {
	t.Helper()
	a := dataAdmin(t, "")
	acc, err := a.CreateOwner(t.Context(), identity.NewOwner{Email: "anna@example.com", Name: "Anna", Password: "quiet green river stones", Organisation: "Practice"})
	if err != nil {
		t.Fatal(err)
	}
	org := acc.Organisation.ID
	if _, _, err := a.app.phones.Create(t.Context(), org, telephony.NewPhone{Username: "desk", Password: "telephone-1"}); err != nil {
		t.Fatal(err)
	}
	name, key := "box", "sk-one"
	urls := agent.URLs{LLM: "http://127.0.0.1:1/v1"}
	if _, err := a.app.agents.CreateModel(t.Context(), org, agent.ModelInput{Name: &name, BaseURLs: &urls, Keys: &agent.KeyChange{LLM: &key}}); err != nil {
		t.Fatal(err)
	}
	fillConsents(t, a, org, consents)
	file = filepath.Join(t.TempDir(), "practice.parley")
	made, err = a.ExportOrganisation(t.Context(), org, file, orgPass)
	if err != nil {
		t.Fatal(err)
	}
	return file, made
}

// fillConsents adds rows of about four kilobytes.
func fillConsents(t testing.TB, a *Admin, org string, n int) {
	t.Helper()
	proof := strings.Repeat("proof ", 650)
	for from := 0; from < n; from += 500 {
		err := a.app.db.InTenant(t.Context(), org, func(ctx context.Context, tx *db.Tx) error {
			for i := from; i < min(n, from+500); i++ {
				_, err := tx.ExecContext(ctx, `INSERT INTO consents (organisation_id, id, subject, scope, source, proof, given_at, created_by, created_at) VALUES (?, ?, ?, 'calls', 'form', ?, 1, '', 1)`,
					org, fmt.Sprintf("018f0000-0000-7000-8000-%012d", i), fmt.Sprintf("+4930%07d", i), proof)
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// onEach runs a test with an installation on each engine.
func onEach(t *testing.T, fn func(t *testing.T, a *Admin)) {
	t.Helper()
	t.Run(db.SQLite, func(t *testing.T) { fn(t, dataAdmin(t, "")) })
	t.Run(db.Postgres, func(t *testing.T) { fn(t, dataAdmin(t, dbtest.PostgresURL(t, migrations()...))) })
}

// die does an import as far as a process comes that is killed after some of its steps: nothing is closed or taken back.
func (a *Admin) die(ctx context.Context, file string, o OrgImport, after int) (target string, err error) {
	f, r, err := openOrgFile(file, orgPass)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // only read
	tmp, err := os.MkdirTemp(a.app.cfg.DataDir, stagingPrefix+"*")
	if err != nil {
		return "", err
	}
	m := &orgImport{App: a.app, o: o, r: r, tmp: tmp, sealed: a.app.sealedColumns()}
	if err := errors.Join(m.stage(ctx), m.decide(ctx)); err != nil {
		return "", err
	}
	if _, err := m.begin(ctx); err != nil {
		return "", err
	}
	for _, step := range m.steps()[:after] {
		if err := step(ctx); err != nil {
			return "", err
		}
	}
	return m.target, m.close() // the file handles go with a process too
}

// An import that was killed, wherever it was, is in nobody's way: five minutes later the next one removes what it left and
// brings the organisation in, under its own ids and names.
func TestImportAfterAKilledOne(t *testing.T) {
	file, made := practice(t, 3)
	onEach(t, func(t *testing.T, a *Admin) {
		for i, placement := range []string{db.Shared, db.Own, db.Shared, db.Own, db.Shared} {
			o := OrgImport{Placement: placement}
			org, err := a.die(t.Context(), file, o, i)
			if err != nil || org != made.OrganisationID {
				t.Fatalf("killed after %d steps: %q, %v", i, org, err)
			}
			if _, err := a.app.identity.SettingsOf(t.Context(), org); !fault.Is(err, fault.NotFound) {
				t.Fatalf("killed after %d steps, the organisation is there: %v", i, err)
			}
			// It may still be at work.
			if _, err := a.ImportOrganisation(t.Context(), file, orgPass, o); !fault.Is(err, fault.Conflict) {
				t.Fatalf("killed after %d steps, another one at once: %v", i, err)
			}
			age(t, a, org)
			if err := a.app.clearImports(t.Context()); err != nil {
				t.Fatal(err)
			}
			leftovers(t, a, org, i)
		}
		got, err := a.ImportOrganisation(t.Context(), file, orgPass, OrgImport{})
		if err != nil {
			t.Fatal(err)
		}
		if got.OtherIDs || len(got.Renamed) != 0 || got.OrganisationID != made.OrganisationID || got.Tables["consents"] != made.Tables["consents"] || got.Tables["phones"].Count != 1 {
			t.Errorf("afterwards: %+v", got)
		}
	})
}

// age makes what a killed import left as old as it must be to be removed.
func age(t *testing.T, a *Admin, org string) {
	t.Helper()
	err := a.app.db.Master().InSystem(t.Context(), "test", func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE org_tasks SET seen_at = seen_at - ? WHERE organisation_id = ?", (2 * orgTaskDead).Milliseconds(), org)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	dirs, err := filepath.Glob(filepath.Join(a.app.cfg.DataDir, stagingPrefix+"*"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no staging folder to age: %v", err)
	}
	for _, dir := range dirs {
		old := time.Now().Add(-2 * orgFileTimeout)
		if err := os.Chtimes(dir, old, old); err != nil {
			t.Fatal(err)
		}
	}
}

// leftovers looks for what is left of an organisation that never came in.
func leftovers(t *testing.T, a *Admin, org string, step int) {
	t.Helper()
	ctx := t.Context()
	for _, scope := range []db.Scope{db.Master, db.Tenant} {
		tables, err := a.app.db.Tables(ctx, scope)
		if err != nil {
			t.Fatal(err)
		}
		for i := range tables {
			if !slices.Contains(tables[i].Columns, "organisation_id") || tables[i].Name == "data_keys" { // the next try takes the same key
				continue
			}
			err := a.app.db.EachPlacement(ctx, "test", func(ctx context.Context, in *db.DB) error {
				return in.ReadSystem(ctx, "test", func(ctx context.Context, tx *db.Tx) error {
					n, err := tx.NewSelect().TableExpr("?", ident(tables[i].Name)).Where("organisation_id = ?", org).Count(ctx)
					if n > 0 {
						t.Errorf("killed after %d steps: %d rows are left in %s", step, n, tables[i].Name)
					}
					return err
				})
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if holders, err := a.app.db.Holders(ctx, "phone", "desk", 1); err != nil || len(holders) != 0 {
		t.Errorf("killed after %d steps: the phone's name is held by %v, %v", step, holders, err)
	}
	for _, pattern := range []string{stagingPrefix + "*", "blobs/*/" + org + "/*", "org/" + org + "*"} {
		if left, err := filepath.Glob(filepath.Join(a.app.cfg.DataDir, pattern)); err != nil || len(left) != 0 {
			t.Errorf("killed after %d steps: %v is left, %v", step, left, err)
		}
	}
}

// wholeTable stands for all columns of a table, which has to be empty.
const wholeTable = "*"

// rewrite copies a file with another head, without some columns.
func rewrite(t *testing.T, file string, change func(*OrgFileHead), without map[string][]string) string {
	t.Helper()
	from, r, err := openOrgFile(file, orgPass)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close() //nolint:errcheck // only read
	head, err := readHead(r)
	if err != nil {
		t.Fatal(err)
	}
	change(&head)
	out := filepath.Join(t.TempDir(), "rewritten.parley")
	to, err := os.Create(out)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close() //nolint:errcheck // closed with the test
	w, err := archive.Create(to, orgPass, head)
	if err != nil {
		t.Fatal(err)
	}
	var drop []int
	for {
		it, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			drop, err = copyItem(w, it, drop, without)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(r.Manifest().Extra); err != nil {
		t.Fatal(err)
	}
	return out
}

// copyItem writes one item; drop are the places of a table's columns that are left out.
func copyItem(w *archive.Writer, it archive.Item, drop []int, without map[string][]string) ([]int, error) {
	switch {
	case it.Table != nil:
		t := archive.Table{Name: it.Table.Name, Key: it.Table.Key}
		drop = nil
		if slices.Contains(without[t.Name], wholeTable) {
			return nil, nil
		}
		for i, c := range it.Table.Columns {
			if slices.Contains(without[t.Name], c) {
				drop = append(drop, i)
				continue
			}
			t.Columns, t.Types = append(t.Columns, c), append(t.Types, it.Table.Types[i])
		}
		return drop, w.Table(t)
	case it.Row != nil:
		row, err := db.DecodeRow(it.Row)
		if err != nil {
			return drop, err
		}
		for _, i := range slices.Backward(drop) {
			row = slices.Delete(row, i, i+1)
		}
		return drop, w.Row(row.Encode())
	case it.File != nil:
		return drop, w.Begin(*it.File)
	case it.End:
		return drop, w.End()
	}
	return drop, w.Data(it.Data)
}

// A file of an earlier Parley is brought to today's tables; one of a later Parley, or of another format, is refused with a
// sentence that says what to do.
func TestFilesOfOtherVersions(t *testing.T) {
	file, made := practice(t, 3)
	older := rewrite(t, file, func(h *OrgFileHead) {
		h.Parley = "older"
		h.Versions["telephony"], h.Versions["identity"], h.Versions["compliance"] = 4, 6, 2 // before it was kept who set a secret
	}, map[string][]string{
		"phones": {"secret_by", "secret_at", "secret_used_at"}, "sso_connections": {"secret_by", "secret_at"}, "scim_tokens": {"created_by"},
		"memberships": {"provider_only"}, "trunks": {wholeTable}, "caller_numbers": {wholeTable},
		"consents": {"channels", "purposes"}, "retention_settings": {"decision_days"},
	})
	newer := rewrite(t, file, func(h *OrgFileHead) { h.Versions["telephony"] += 1 }, nil)
	stranger := rewrite(t, file, func(h *OrgFileHead) { h.Versions["astrology"] = 1 }, nil)
	format := rewrite(t, file, func(h *OrgFileHead) { h.Format++ }, nil)
	onEach(t, func(t *testing.T, a *Admin) {
		for name, c := range map[string]struct {
			file, says string
			code       fault.Code
		}{
			"newer tables":     {newer, "newer Parley", fault.NotPossible},
			"unknown tables":   {stranger, "newer Parley", fault.NotPossible},
			"another format":   {format, "use the Parley that made it", fault.Invalid},
			"not a file of it": {os.Args[0], "", fault.Invalid},
		} {
			_, err := a.ImportOrganisation(t.Context(), c.file, orgPass, OrgImport{})
			if fault.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v", name, err)
			}
		}
		got, err := a.ImportOrganisation(t.Context(), older, orgPass, OrgImport{})
		if err != nil {
			t.Fatal(err)
		}
		if got.Tables["phones"].Count != 1 || got.Tables["consents"] != made.Tables["consents"] || got.Tables["agents"] != made.Tables["agents"] {
			t.Errorf("%+v of %+v", got, made.Tables)
		}
		held, err := a.app.phones.HeldSecrets(t.Context(), got.OrganisationID, "", 10)
		if err != nil || len(held) != 1 || held[0].SetAt != nil || held[0].Name != "desk" {
			t.Errorf("a phone of before: %+v, %v", held, err)
		}
		account, found, err := a.app.phones.Secrets(t.Context(), "desk")
		if err != nil || !found || account.MD5 == "" {
			t.Errorf("its password does not open: %v, %v", found, err)
		}
	})
}

// BenchmarkOrganisationFile shows that a large organisation takes no more memory than a small one, out or in: what lives while
// twenty megabytes of rows go through stands beside two. It is no test, because what else lives in the process is in it.
func BenchmarkOrganisationFile(b *testing.B) {
	for _, n := range []int{500, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				out, in, size := throughAFile(b, n)
				b.ReportMetric(float64(out)/1e6, "MB-out")
				b.ReportMetric(float64(in)/1e6, "MB-in")
				b.ReportMetric(float64(size)/1e6, "MB-file")
			}
		})
	}
}

// throughAFile takes an organisation of n consents out and in again, and gives what was alive at most, and the file's size.
func throughAFile(b *testing.B, n int) (out, in uint64, size int64) {
	a := dataAdmin(b, "")
	defer a.Close()
	acc, err := a.CreateOwner(b.Context(), identity.NewOwner{Email: "anna@example.com", Password: "quiet green river stones", Organisation: "Practice"})
	if err != nil {
		b.Fatal(err)
	}
	fillConsents(b, a, acc.Organisation.ID, n)
	file := filepath.Join(b.TempDir(), "file")
	out = peak(func() { _, err = a.ExportOrganisation(b.Context(), "Practice", file, orgPass) })
	if err != nil {
		b.Fatal(err)
	}
	var got OrgImported
	in = peak(func() { got, err = a.ImportOrganisation(b.Context(), file, orgPass, OrgImport{Name: "Again"}) })
	if err != nil || got.Tables["consents"].Count != int64(n) {
		b.Fatal(got, err)
	}
	st, err := os.Stat(file)
	if err != nil {
		b.Fatal(err)
	}
	return out, in, st.Size()
}

// peak gives the most bytes that are alive while fn runs.
func peak(fn func()) uint64 {
	done, over := make(chan struct{}), make(chan uint64)
	go func() {
		var most uint64
		var m runtime.MemStats
		look := time.NewTicker(20 * time.Millisecond) // a collection each time: only what lives is counted
		defer look.Stop()
		for {
			runtime.GC()
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
			select {
			case <-done:
				over <- most
				return
			case <-look.C:
			}
		}
	}()
	fn()
	close(done)
	return <-over
}
