package blob_test

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/parley-voice/parley/internal/platform/blob"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// world says where the one organisation is.
type world struct {
	mu sync.Mutex
	at blob.At
}

func (w *world) set(at blob.At) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = at
}

func (w *world) where(context.Context, string) (blob.At, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at, nil
}

func openRegions(t *testing.T) (*blob.Regions, *world, map[string]*blob.Store) {
	t.Helper()
	w, dir := &world{}, t.TempDir()
	c := blob.RegionsConfig{Home: blob.Config{DataDir: dir}, Regions: map[string]blob.Config{}, Where: w.where, Kinds: []string{"calls"}}
	single := map[string]*blob.Store{}
	for _, name := range []string{"near", "far"} {
		c.Regions[name] = blob.Config{URL: "file://" + filepath.Join(dir, name)}
	}
	r, err := blob.OpenRegions(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	for name, sc := range c.Regions {
		s, err := blob.Open(t.Context(), sc)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		single[name] = s
	}
	return r, w, single
}

func keysIn(t *testing.T, s *blob.Store) int {
	t.Helper()
	n := 0
	if err := s.List(t.Context(), "", func(blob.Entry) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

func text(t *testing.T, r *blob.Regions, key string) string {
	t.Helper()
	c, err := r.Get(t.Context(), key)
	if err != nil {
		t.Errorf("%s: %v", key, err)
		return ""
	}
	defer c.Close() //nolint:errcheck // read
	b, err := io.ReadAll(c)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

// Blobs are stored, read and deleted while their organisation moves to another region: each ends up there and only there.
func TestBlobsFollowTheirOrganisation(t *testing.T) {
	r, w, single := openRegions(t)
	ctx := t.Context()
	w.set(blob.At{Region: "near"})
	key := func(i int) string { return fmt.Sprintf("calls/org/2026/%03d.rec", i) }
	for i := range 40 {
		if err := r.Put(ctx, key(i), strings.NewReader(fmt.Sprint("sound ", i))); err != nil {
			t.Fatal(err)
		}
	}
	if n := keysIn(t, single["near"]); n != 40 {
		t.Fatalf("%d blobs in the region, want 40", n)
	}
	next, gone := 40, map[int]bool{}
	busy := func() { // one is made, one is deleted, all are there
		if err := r.Put(ctx, key(next), strings.NewReader(fmt.Sprint("sound ", next))); err != nil {
			t.Error(err)
		}
		next++
		gone[next/3] = true
		if err := r.Delete(ctx, key(next/3)); err != nil {
			t.Error(err)
		}
		listed := map[string]bool{}
		if err := r.List(ctx, "calls/org/", func(e blob.Entry) error { listed[e.Key] = true; return nil }); err != nil {
			t.Error(err)
		}
		for i := range next {
			if listed[key(i)] == gone[i] {
				t.Errorf("%s is listed: %v", key(i), listed[key(i)])
			}
			if gone[i] {
				if _, err := r.Size(ctx, key(i)); !fault.Is(err, fault.NotFound) {
					t.Errorf("%s was deleted: %v", key(i), err)
				}
			} else if got := text(t, r, key(i)); got != fmt.Sprint("sound ", i) {
				t.Errorf("%s: %q", key(i), got)
			}
		}
	}
	busy()
	w.set(blob.At{Region: "near", Moving: true, From: "near", To: "far"})
	busy()
	for range 2 { // the second time is after a crash
		if err := r.Copy(ctx, "org", "near", "far"); err != nil {
			t.Fatal(err)
		}
		busy()
	}
	w.set(blob.At{Region: "far", Moving: true, From: "near", To: "far"})
	busy()
	for range 2 {
		if err := r.Settle(ctx, "org", "near", "far"); err != nil {
			t.Fatal(err)
		}
		busy()
	}
	w.set(blob.At{Region: "far"})
	busy()
	if n, m := keysIn(t, single["near"]), keysIn(t, single["far"]); n != 0 || m != next-len(gone) {
		t.Errorf("%d blobs in the old region and %d in the new one, want 0 and %d", n, m, next-len(gone))
	}
}

// Whoever stores a blob while the organisation changes its region takes it along.
func TestBlobStoredDuringTheSwitch(t *testing.T) {
	r, w, single := openRegions(t)
	w.set(blob.At{Region: "near"})
	late := &turning{Reader: strings.NewReader("late"), turn: func() { w.set(blob.At{Region: "far"}) }}
	if err := r.Put(t.Context(), "calls/org/late", late); err != nil {
		t.Fatal(err)
	}
	if n, m := keysIn(t, single["near"]), keysIn(t, single["far"]); n != 0 || m != 1 || text(t, r, "calls/org/late") != "late" {
		t.Errorf("%d in the old region, %d in the new one", n, m)
	}
}

// turning does something when it is read to its end.
type turning struct {
	io.Reader
	turn func()
}

func (t *turning) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	if err == io.EOF {
		t.turn()
	}
	return n, err
}

// A region without a store is refused, and nothing goes elsewhere.
func TestRegionWithoutStore(t *testing.T) {
	r, w, _ := openRegions(t)
	w.set(blob.At{Region: "moon"})
	if err := r.Check("moon"); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
	if err := errors3(r.Check(""), r.Check("near"), r.Check("far")); err != nil {
		t.Error(err)
	}
	_, err := r.Get(t.Context(), "calls/org/x")
	for what, err := range map[string]error{
		"put": r.Put(t.Context(), "calls/org/x", strings.NewReader("x")), "get": err, "delete": r.Delete(t.Context(), "calls/org/x"),
		"list": r.List(t.Context(), "calls/org/", nil),
	} {
		if !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := r.Put(t.Context(), "loose", strings.NewReader("x")); err == nil {
		t.Error("a key that names no organisation")
	}
}

func errors3(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// A copy that is not the original is found by its hash, and the original stays.
func TestCopyIsCompared(t *testing.T) {
	r, w, single := openRegions(t)
	ctx := t.Context()
	w.set(blob.At{Region: "near"})
	if err := r.Put(ctx, "calls/org/a", strings.NewReader("right")); err != nil {
		t.Fatal(err)
	}
	if err := single["far"].Put(ctx, "calls/org/a", strings.NewReader("wrong")); err != nil {
		t.Fatal(err)
	}
	if err := r.Copy(ctx, "org", "near", "far"); err != nil { // as long, so it is taken for the copy
		t.Fatal(err)
	}
	if err := r.Settle(ctx, "org", "near", "far"); err != nil {
		t.Fatal(err)
	}
	w.set(blob.At{Region: "far"})
	if got := text(t, r, "calls/org/a"); got != "right" || keysIn(t, single["near"]) != 0 {
		t.Errorf("%q", got)
	}
	w.set(blob.At{Region: "far", Moving: true, From: "far", To: "near"})
	if err := r.Copy(ctx, "org", "far", "near"); err != nil {
		t.Fatal(err)
	}
	if err := r.Undo(ctx, "org", "far", "near"); err != nil || keysIn(t, single["near"]) != 0 || keysIn(t, single["far"]) != 1 {
		t.Errorf("undone: %v", err)
	}
}
