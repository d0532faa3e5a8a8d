package blob_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/parley-voice/parley/internal/platform/blob"
	"github.com/parley-voice/parley/internal/platform/fault"
)

func open(t *testing.T, c blob.Config) *blob.Store {
	t.Helper()
	s, err := blob.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func read(t *testing.T, s *blob.Store, key string, off, n int64) string {
	t.Helper()
	r, err := s.GetRange(t.Context(), key, off, n)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestStore(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]blob.Config{
		"default": {DataDir: dir}, "url": {URL: "file://" + dir + "/else where"}, "prefix": {DataDir: dir, Prefix: "one/"},
	} {
		t.Run(name, func(t *testing.T) {
			s, ctx := open(t, c), t.Context()
			const key = "org/recordings/a b.rec"
			if _, err := s.Size(ctx, key); !fault.Is(err, fault.NotFound) {
				t.Errorf("size of nothing: %v", err)
			}
			if _, err := s.Get(ctx, key); !fault.Is(err, fault.NotFound) {
				t.Errorf("nothing: %v", err)
			}
			for _, content := range []string{"", "hello", "hello again"} {
				if err := s.Put(ctx, key, strings.NewReader(content)); err != nil {
					t.Fatal(err)
				}
				if n, err := s.Size(ctx, key); err != nil || n != int64(len(content)) {
					t.Errorf("size %d, %v", n, err)
				}
				if got := read(t, s, key, 0, -1); got != content {
					t.Errorf("got %q, want %q", got, content)
				}
			}
			if got := read(t, s, key, 6, 3); got != "aga" {
				t.Errorf("range: %q", got)
			}
			if got := read(t, s, key, 6, 300); got != "again" {
				t.Errorf("range past the end: %q", got)
			}
			for range 2 {
				if err := s.Delete(ctx, key); err != nil {
					t.Error(err)
				}
			}
			if _, err := s.Size(ctx, key); !fault.Is(err, fault.NotFound) {
				t.Errorf("deleted: %v", err)
			}
		})
	}
}

// What was there stays when the new content cannot be had whole, and nothing lies about.
func TestPutIsAllOrNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, blob.Config{DataDir: dir})
	if err := s.Put(t.Context(), "k", strings.NewReader("old")); err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	err := s.Put(t.Context(), "k", io.MultiReader(bytes.NewReader(make([]byte, 1<<20)), iotest.ErrReader(boom)))
	if !errors.Is(err, boom) {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Put(ctx, "k", strings.NewReader("new")); err == nil {
		t.Error("stored though cancelled")
	}
	if got := read(t, s, "k", 0, -1); got != "old" {
		t.Errorf("got %d bytes, want the old ones", len(got))
	}
	if left, err := os.ReadDir(filepath.Join(dir, "blobs")); err != nil || len(left) != 1 {
		t.Errorf("left: %v %v", left, err)
	}
}

func TestBadKeys(t *testing.T) {
	s := open(t, blob.Config{DataDir: t.TempDir()})
	for _, key := range []string{"", "/a", "a/", "../a", "a/../b", "a//b", "a/./b", "a\x00b", "a\\b", strings.Repeat("x", 600)} {
		_, sizeErr := s.Size(t.Context(), key)
		_, getErr := s.Get(t.Context(), key)
		for _, err := range []error{s.Put(t.Context(), key, strings.NewReader("")), s.Delete(t.Context(), key), sizeErr, getErr} {
			if err == nil {
				t.Errorf("key %q was taken", key)
			}
		}
	}
	if _, err := s.GetRange(t.Context(), "a", -1, 2); err == nil {
		t.Error("negative offset")
	}
}

func TestOpenErrors(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "x")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "x")
	for _, u := range []string{
		"gopher://x", "file://host/x", "file://", "%zz", "file:///dev/null/x",
		"s3://bucket?region=us-east-1&endpoint=http://127.0.0.1:1&use_path_style=true",
	} {
		ctx, cancel := context.WithCancel(t.Context())
		if strings.HasPrefix(u, "s3") {
			cancel() // nobody is there: do not wait for the retries
		}
		if s, err := blob.Open(ctx, blob.Config{URL: u}); err == nil {
			_ = s.Close()
			t.Errorf("%s opened", u)
		}
		cancel()
	}
}
