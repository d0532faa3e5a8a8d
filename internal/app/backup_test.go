package app_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/app"
	"github.com/parley-voice/parley/internal/identity"
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

// A backup that is made while somebody writes holds all that was there before it, in a database of its own too, and the
// restored installation goes on.
func TestBackupAndRestore(t *testing.T) {
	dir := t.TempDir()
	c := settings(filepath.Join(dir, "data"), "24000-24100")
	from := admin(t, c)
	defer from.Close()
	const email = "anna@example.com"
	if _, err := from.CreateOrganisation(t.Context(), identity.NewOrganisation{Name: "Own", OwnerEmail: email, Password: "a long pass phrase of hers", Placement: "own"}); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(c.DataDir, "blobs", "calls"), 0o700); err != nil {
		t.Fatal(err)
	}
	sound := bytes.Repeat([]byte("sound"), 10_000)
	if err := os.WriteFile(filepath.Join(c.DataDir, "blobs", "calls", "x.rec"), sound, 0o600); err != nil {
		t.Fatal(err)
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
	if len(m.Files) < 3 {
		t.Errorf("manifest %+v", m)
	}

	to := settings(filepath.Join(dir, "restored"), "24000-24100")
	if _, err := app.Restore(t.Context(), to, file); err == nil || !strings.Contains(err.Error(), "PARLEY_KEY") {
		t.Errorf("without the key: %v", err)
	}
	to.Key = strings.Repeat("ab", 32)
	if _, err := app.Restore(t.Context(), to, file); err == nil || !strings.Contains(err.Error(), "not the one") {
		t.Errorf("with another key: %v", err)
	}
	key, err := os.ReadFile(filepath.Join(c.DataDir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	to.Key = strings.TrimSpace(string(key))
	if _, err := app.Restore(t.Context(), to, file); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(to.DataDir, "blobs", "calls", "x.rec")); err != nil || !bytes.Equal(got, sound) {
		t.Errorf("the recording: %d bytes, %v", len(got), err)
	}
	restored := admin(t, to)
	defer restored.Close()
	if _, err := restored.CreateToken(t.Context(), "", email, "after"); err != nil {
		t.Error(err)
	}
	if _, err := restored.MediaToken(t.Context(), "front-desk", time.Hour); err != nil {
		t.Errorf("an agent in the organisation's own database: %v", err)
	}
	if _, err := app.Restore(t.Context(), to, file); !fault.Is(err, fault.Conflict) {
		t.Errorf("over data that is there: %v", err)
	}
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
