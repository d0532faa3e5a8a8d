package app_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/app"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/blob"
	"github.com/parley-voice/parley/internal/platform/fault"
)

func admin(t *testing.T, c app.Config) *app.Admin {
	t.Helper()
	a, err := app.OpenAdmin(t.Context(), c, "test", &terminal{})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A backup that is made while somebody writes holds all that was there before it, in a database of its own and in a
// region's folder too, and the restored installation goes on.
func TestBackupAndRestore(t *testing.T) {
	dir := t.TempDir()
	c := settings(filepath.Join(dir, "data"), "24000-24100")
	c.Regions = "eu=" + filepath.Join(dir, "eu")
	from := admin(t, c)
	defer from.Close()
	const email = "anna@example.com"
	for _, n := range []identity.NewOrganisation{{Name: "Own", Placement: "own"}, {Name: "Europe", Placement: "own", Region: "eu"}} {
		n.OwnerEmail, n.Password = email, "a long pass phrase of hers"
		if _, err := from.CreateOrganisation(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	home, europe := openBlobs(t, c.DataDir), openBlobs(t, filepath.Join(dir, "eu"))
	sound := bytes.Repeat([]byte("sound"), 10_000)
	for key, s := range map[string]*blob.Store{"calls/x.rec": home, "calls/europe.rec": europe} {
		if err := s.Put(t.Context(), key, bytes.NewReader(sound)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	wrote := make(chan struct{}, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			if _, err := from.CreateToken(t.Context(), "", email, fmt.Sprint("token ", i)); err != nil && !fault.Is(err, fault.Conflict) {
				t.Error(err)
				return
			}
			if err := europe.Put(t.Context(), fmt.Sprintf("calls/later-%d.rec", i), bytes.NewReader(sound)); err != nil {
				t.Error(err)
				return
			}
			select {
			case wrote <- struct{}{}:
			default:
			}
		}
	})
	<-wrote
	file := filepath.Join(dir, "backup")
	m, err := from.Backup(t.Context(), file, false)
	stop()
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v %v, want a file for its owner only", st, err)
	}
	if len(m.Files) < 6 {
		t.Errorf("manifest %+v", m)
	}

	to := settings(filepath.Join(dir, "restored"), "24000-24100")
	restore := func(what string) {
		t.Helper()
		if _, err := app.Restore(t.Context(), to, file); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v, want it to say %q", err, what)
		}
		if left, err := filepath.Glob(filepath.Join(to.DataDir, "*")); err != nil || len(left) > 0 {
			t.Errorf("%v %v was put in place", left, err)
		}
	}
	restore("PARLEY_KEY")
	to.Key = strings.Repeat("ab", 32)
	restore("not the one")
	key, err := os.ReadFile(filepath.Join(c.DataDir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	to.Key = strings.TrimSpace(string(key))
	restore("PARLEY_REGIONS")
	to.Regions = "eu=" + filepath.Join(dir, "eu")
	restore("is there already")
	to.Regions = "eu=" + filepath.Join(dir, "eu-again")
	if _, err := app.Restore(t.Context(), to, file); err != nil {
		t.Fatal(err)
	}
	back := openBlobs(t, filepath.Join(dir, "eu-again"))
	for key, s := range map[string]*blob.Store{"calls/x.rec": openBlobs(t, to.DataDir), "calls/europe.rec": back, "calls/later-0.rec": back} {
		if got, err := readBlob(t.Context(), s, key); err != nil || !bytes.Equal(got, sound) {
			t.Errorf("%s: %d bytes, %v", key, len(got), err)
		}
	}
	restored := admin(t, to)
	defer restored.Close()
	if _, err := restored.CreateToken(t.Context(), "", email, "after"); err != nil {
		t.Error(err)
	}
	if _, err := restored.MediaToken(t.Context(), "front-desk", time.Hour); err != nil {
		t.Errorf("an agent in the organisation's own database: %v", err)
	}
	var trail bytes.Buffer
	if err := restored.ExportAudit(t.Context(), "Europe", &trail); err != nil || trail.Len() == 0 {
		t.Errorf("what the region's database has: %d bytes, %v", trail.Len(), err)
	}
	if _, err := app.Restore(t.Context(), to, file); !fault.Is(err, fault.Conflict) {
		t.Errorf("over data that is there: %v", err)
	}
}

func readBlob(ctx context.Context, s *blob.Store, key string) ([]byte, error) {
	r, err := s.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}

func openBlobs(t *testing.T, folder string) *blob.Store {
	t.Helper()
	s, err := blob.Open(t.Context(), blob.Config{DataDir: folder})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestRestoreNoticesDamage(t *testing.T) {
	dir := t.TempDir()
	c := settings(filepath.Join(dir, "data"), "24000-24100")
	from := admin(t, c)
	file := filepath.Join(dir, "backup")
	_, err := from.Backup(t.Context(), file, true)
	from.Close()
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"empty": nil, "cut": whole[:len(whole)/2], "cut at its end": whole[:len(whole)-40]} {
		bad := filepath.Join(dir, "bad")
		if err := os.WriteFile(bad, b, 0o600); err != nil {
			t.Fatal(err)
		}
		to := settings(filepath.Join(dir, name), "24000-24100")
		if _, err := app.Restore(t.Context(), to, bad); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := os.Stat(filepath.Join(to.DataDir, "parley.db")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: something was put in place", name)
		}
	}
	to := settings(filepath.Join(dir, "good"), "24000-24100")
	if _, err := app.Restore(t.Context(), to, file); err != nil { // the key is in it
		t.Error(err)
	}
}
