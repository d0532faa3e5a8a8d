package blob_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/parley-voice/parley/internal/platform/blob"
	"github.com/parley-voice/parley/internal/platform/blob/blobtest"
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

func put(t *testing.T, s *blob.Store, key, content string) {
	t.Helper()
	if err := s.Put(t.Context(), key, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
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

func list(t *testing.T, s *blob.Store, folder string) map[string]int64 {
	t.Helper()
	got := map[string]int64{}
	var keys []string
	err := s.List(t.Context(), folder, func(e blob.Entry) error {
		got[e.Key] = e.Size
		keys = append(keys, e.Key)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(keys) != len(got) || !slices.IsSorted(keys) {
		t.Errorf("listed %v", keys)
	}
	return got
}

// Every place for blobs behaves the same. S3 is versitygw, in another process.
func TestEveryPlace(t *testing.T) {
	srv := blobtest.Start(t)
	for name, place := range map[string]func(t *testing.T) blob.Config{
		"folder": func(t *testing.T) blob.Config { return blob.Config{DataDir: t.TempDir()} },
		"file":   func(t *testing.T) blob.Config { return blob.Config{URL: "file://" + t.TempDir() + "/else where"} },
		"prefix": func(t *testing.T) blob.Config { return blob.Config{DataDir: t.TempDir(), Prefix: "one/"} },
		"s3": func(t *testing.T) blob.Config {
			return blob.Config{URL: srv.Bucket(t, strings.ToLower("b-"+filepath.Base(t.Name())))}
		},
		"s3 prefix": func(t *testing.T) blob.Config {
			return blob.Config{URL: srv.Bucket(t, "p-"+strings.ToLower(filepath.Base(t.Name()))), Prefix: "one/"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			for name, test := range map[string]func(*testing.T, *blob.Store){
				"content": testContent, "ranges": testRanges, "list": testList, "large": testLarge, "whole": testAllOrNothing, "cancelled": testCancelled,
				"keys": testBadKeys,
			} {
				t.Run(name, func(t *testing.T) { test(t, open(t, place(t))) })
			}
		})
	}
}

func testContent(t *testing.T, s *blob.Store) {
	ctx := t.Context()
	const key = "org/recordings/a b+ü&.rec"
	if err := s.Ping(ctx); err != nil {
		t.Error(err)
	}
	if _, err := s.Size(ctx, key); !fault.Is(err, fault.NotFound) {
		t.Errorf("size of nothing: %v", err)
	}
	if _, err := s.Get(ctx, key); !fault.Is(err, fault.NotFound) {
		t.Errorf("nothing: %v", err)
	}
	for _, content := range []string{"", "hello", "hello again"} {
		put(t, s, key, content)
		if n, err := s.Size(ctx, key); err != nil || n != int64(len(content)) {
			t.Errorf("size %d, %v", n, err)
		}
		if got := read(t, s, key, 0, -1); got != content {
			t.Errorf("got %q, want %q", got, content)
		}
	}
	for range 2 {
		if err := s.Delete(ctx, key); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Size(ctx, key); !fault.Is(err, fault.NotFound) {
		t.Errorf("deleted: %v", err)
	}
}

func testRanges(t *testing.T, s *blob.Store) {
	put(t, s, "k", "hello again")
	for _, c := range []struct {
		off, n int64
		want   string
	}{{6, 3, "aga"}, {6, 300, "again"}, {6, -1, "again"}, {0, 0, ""}, {10, 1, "n"}} {
		if got := read(t, s, "k", c.off, c.n); got != c.want {
			t.Errorf("%d from %d: %q, want %q", c.n, c.off, got, c.want)
		}
	}
	if _, err := s.GetRange(t.Context(), "k", -1, 2); err == nil {
		t.Error("negative offset")
	}
}

// A folder's list has what is in it, and not what is in one whose name begins alike.
func testList(t *testing.T, s *blob.Store) {
	if got := list(t, s, ""); len(got) != 0 {
		t.Errorf("nothing: %v", got)
	}
	for key, content := range map[string]string{"org1/a": "1", "org1/b/c": "22", "org10/a": "333", "top": "4444"} {
		put(t, s, key, content)
	}
	for folder, want := range map[string]map[string]int64{
		"":        {"org1/a": 1, "org1/b/c": 2, "org10/a": 3, "top": 4},
		"org1/":   {"org1/a": 1, "org1/b/c": 2},
		"org1/b/": {"org1/b/c": 2}, "org2/": {},
	} {
		if got := list(t, s, folder); !maps.Equal(got, want) {
			t.Errorf("%q: got %v, want %v", folder, got, want)
		}
	}
	boom := errors.New("boom")
	if err := s.List(t.Context(), "", func(blob.Entry) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("error %v", err)
	}
	for _, folder := range []string{"org1", "/", "../", "a//"} {
		if err := s.List(t.Context(), folder, func(blob.Entry) error { return nil }); err == nil {
			t.Errorf("the folder %q was taken", folder)
		}
	}
}

// More than S3 takes in one request is stored in parts, from a reader that has no length.
func testLarge(t *testing.T, s *blob.Store) {
	const size = 21<<20 + 12345
	content := func() io.Reader {
		return io.LimitReader(rand.NewChaCha8([32]byte{7}), size)
	}
	if err := s.Put(t.Context(), "large", content()); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Size(t.Context(), "large"); err != nil || n != size {
		t.Errorf("size %d, %v", n, err)
	}
	want, got := sha256.New(), sha256.New()
	_, err1 := io.Copy(want, content())
	r, err2 := s.Get(t.Context(), "large")
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	_, err := io.Copy(got, r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want.Sum(nil), got.Sum(nil)) {
		t.Error("what came back is not what was stored")
	}
}

// What was there stays when the new content cannot be had whole, though parts of it were sent, and nothing lies about.
func testAllOrNothing(t *testing.T, s *blob.Store) {
	put(t, s, "k", "old")
	boom := errors.New("boom")
	for _, n := range []int{0, 1 << 20, 20 << 20} {
		err := s.Put(t.Context(), "k", io.MultiReader(bytes.NewReader(make([]byte, n)), iotest.ErrReader(boom)))
		if !errors.Is(err, boom) {
			t.Errorf("error %v", err)
		}
	}
	if got := read(t, s, "k", 0, -1); got != "old" {
		t.Errorf("got %d bytes, want the old ones", len(got))
	}
	if got := list(t, s, ""); !maps.Equal(got, map[string]int64{"k": 3}) {
		t.Errorf("left: %v", got)
	}
}

func testCancelled(t *testing.T, s *blob.Store) {
	put(t, s, "k", "old")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, sizeErr := s.Size(gone, "k")
	_, getErr := s.Get(gone, "k")
	listErr := s.List(gone, "", func(blob.Entry) error { return nil })
	for what, err := range map[string]error{"put": s.Put(gone, "k", strings.NewReader("new")), "size": sizeErr, "get": getErr, "list": listErr} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// In the middle of the content, too.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	half := io.MultiReader(bytes.NewReader(make([]byte, 12<<20)), readerFunc(func([]byte) (int, error) {
		cancel()
		return 0, io.EOF
	}))
	if err := s.Put(ctx, "k", half); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if got := read(t, s, "k", 0, -1); got != "old" {
		t.Errorf("got %d bytes, want the old ones", len(got))
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func testBadKeys(t *testing.T, s *blob.Store) {
	for _, key := range []string{"", "/a", "a/", "../a", "a/../b", "a//b", "a/./b", "a\x00b", "a\\b", strings.Repeat("x", 600)} {
		_, sizeErr := s.Size(t.Context(), key)
		_, getErr := s.Get(t.Context(), key)
		for _, err := range []error{s.Put(t.Context(), key, strings.NewReader("")), s.Delete(t.Context(), key), sizeErr, getErr} {
			if err == nil {
				t.Errorf("key %q was taken", key)
			}
		}
	}
}

// Two installations in one place do not see each other.
func TestPrefixesAreApart(t *testing.T) {
	for name, c := range map[string]blob.Config{"folder": {DataDir: t.TempDir()}, "s3": {URL: blobtest.Start(t).Bucket(t, "shared")}} {
		t.Run(name, func(t *testing.T) {
			one, two := c, c
			one.Prefix, two.Prefix = "one/", "two/"
			a, b := open(t, one), open(t, two)
			put(t, a, "k", "secret")
			if _, err := b.Get(t.Context(), "k"); !fault.Is(err, fault.NotFound) {
				t.Errorf("two reads: %v", err)
			}
			if err := b.Delete(t.Context(), "k"); err != nil {
				t.Error(err)
			}
			if got := list(t, b, ""); len(got) != 0 {
				t.Errorf("two lists %v", got)
			}
			if got := list(t, a, ""); got["k"] != 6 {
				t.Errorf("one lists %v", got)
			}
			if got := list(t, open(t, c), ""); got["one/k"] != 6 {
				t.Errorf("the whole is %v", got)
			}
		})
	}
}

// A file that is being written has another name, which is not listed.
func TestListHidesWhatIsBeingWritten(t *testing.T) {
	s := open(t, blob.Config{DataDir: t.TempDir()})
	var during map[string]int64
	content := io.MultiReader(strings.NewReader("hello"), readerFunc(func([]byte) (int, error) {
		during = list(t, s, "")
		return 0, io.EOF
	}))
	if err := s.Put(t.Context(), "a/k", content); err != nil {
		t.Fatal(err)
	}
	if len(during) != 0 {
		t.Errorf("listed %v", during)
	}
	if got := list(t, s, "a/"); got["a/k"] != 5 {
		t.Errorf("listed %v", got)
	}
}

func TestFolderIsLeftClean(t *testing.T) {
	dir := t.TempDir()
	s := open(t, blob.Config{DataDir: dir})
	put(t, s, "k", "old")
	if err := s.Put(t.Context(), "k", iotest.ErrReader(errors.New("boom"))); err == nil {
		t.Error("stored")
	}
	if left, err := os.ReadDir(filepath.Join(dir, "blobs")); err != nil || len(left) != 1 {
		t.Errorf("left: %v %v", left, err)
	}
}

func TestOpenErrors(t *testing.T) {
	for _, u := range []string{"gopher://x", "file://host/x", "file://", "%zz", "file:///dev/null/x", "s3://bucket?region=x&colour=red"} {
		if s, err := blob.Open(t.Context(), blob.Config{URL: u}); err == nil {
			_ = s.Close()
			t.Errorf("%s opened", u)
		}
	}
}
