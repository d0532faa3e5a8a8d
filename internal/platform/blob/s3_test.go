package blob_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/parley-voice/parley/internal/platform/blob"
	"github.com/parley-voice/parley/internal/platform/blob/blobtest"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// fails wants an error with a code and a sentence that helps, and no secret in it.
func fails(t *testing.T, what string, err error, code fault.Code, words ...string) {
	t.Helper()
	if !fault.Is(err, code) {
		t.Errorf("%s: %v", what, err)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: %q does not say %q", what, err, w)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("%s: a secret in %q", what, err)
	}
}

// What an administrator gets wrong is said when the server starts.
func TestS3MistakesAreSaid(t *testing.T) {
	srv := blobtest.Start(t)
	url := srv.Bucket(t, "good")
	_, err := blob.Open(t.Context(), blob.Config{URL: srv.URL("missing")})
	fails(t, "no bucket", err, fault.Unavailable, "bucket", "does not exist")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
	_, err = blob.Open(t.Context(), blob.Config{URL: url})
	fails(t, "wrong secret", err, fault.Unavailable, "refused our credentials", "AWS_SECRET_ACCESS_KEY")
	t.Setenv("AWS_ACCESS_KEY_ID", "nobody")
	_, err = blob.Open(t.Context(), blob.Config{URL: url})
	fails(t, "unknown key", err, fault.Unavailable, "refused our credentials", "AWS_ACCESS_KEY_ID")
}

// Parts that were sent before a failure are taken back: they would cost for ever, and no list shows them.
func TestS3NoPartsAreLeft(t *testing.T) {
	srv := blobtest.Start(t)
	s := open(t, blob.Config{URL: srv.Bucket(t, "parts")})
	for what, end := range map[string]func(cancel func()) error{
		"reader fails": func(func()) error { return errors.New("boom") },
		"cancelled":    func(cancel func()) error { cancel(); return io.EOF },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		content := io.MultiReader(bytes.NewReader(make([]byte, 20<<20)), readerFunc(func([]byte) (int, error) { return 0, end(cancel) }))
		if err := s.Put(ctx, "k", content); err == nil {
			t.Errorf("%s: stored", what)
		}
		cancel()
		name := "parts"
		left, err := srv.Client().ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &name})
		if err != nil || len(left.Uploads) > 0 {
			t.Errorf("%s: left %d uploads, %v", what, len(left.Uploads), err)
		}
	}
}

// S3 lists a thousand at once.
func TestS3ListsPages(t *testing.T) {
	srv := blobtest.Start(t)
	s := open(t, blob.Config{URL: srv.Bucket(t, "pages")})
	folder := filepath.Join(srv.Folder("pages"), "org")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	const n = 2001
	for i := range n {
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%04d", i)), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := list(t, s, "org/"); len(got) != n {
		t.Errorf("listed %d of %d", len(got), n)
	}
}

func TestS3BucketIsDeleted(t *testing.T) {
	srv := blobtest.Start(t)
	s := open(t, blob.Config{URL: srv.Bucket(t, "short-lived")})
	name := "short-lived"
	if _, err := srv.Client().DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
	_, getErr := s.Get(t.Context(), "k")
	for what, err := range map[string]error{
		"ping": s.Ping(t.Context()), "put": s.Put(t.Context(), "k", strings.NewReader("x")), "get": getErr,
	} {
		fails(t, what, err, fault.Unavailable, "bucket", "does not exist")
	}
}

// A server that is gone is an error, and does not hold anybody up.
func TestS3ServerGone(t *testing.T) {
	srv := blobtest.Start(t)
	s := open(t, blob.Config{URL: srv.Bucket(t, "gone")})
	put(t, s, "k", "hello")
	srv.Stop()
	for what, err := range everything(t.Context(), s) {
		fails(t, what, err, fault.Unavailable, "cannot be reached")
	}
}

// everything does all that a store can at once, for each may try several times, and gives the errors.
func everything(ctx context.Context, s *blob.Store) map[string]error {
	errs := map[string]error{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for what, do := range map[string]func() error{
		"get":    func() error { _, err := s.Get(ctx, "k"); return err },
		"size":   func() error { _, err := s.Size(ctx, "k"); return err },
		"ping":   func() error { return s.Ping(ctx) },
		"put":    func() error { return s.Put(ctx, "k", strings.NewReader("x")) },
		"delete": func() error { return s.Delete(ctx, "k") },
		"list":   func() error { return s.List(ctx, "", func(blob.Entry) error { return nil }) },
	} {
		wg.Go(func() {
			err := do()
			mu.Lock()
			defer mu.Unlock()
			errs[what] = err
		})
	}
	wg.Wait()
	return errs
}

// A server that takes connections and says nothing is given up after the time-out.
func TestS3ServerHangs(t *testing.T) {
	srv := blobtest.Start(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	c := blob.Config{URL: blobtest.URL("hangs", "http://"+l.Addr().String()), Timeout: 300 * time.Millisecond}
	_, err = blob.Open(t.Context(), c)
	fails(t, "open", err, fault.Timeout)

	// One that answered once.
	_ = l.Close()
	silent := relay(t, strings.TrimPrefix(srv.Endpoint(), "http://"))
	srv.Bucket(t, "hangs")
	c.URL = blobtest.URL("hangs", "http://"+silent.addr)
	s := open(t, c)
	put(t, s, "k", "hello")
	silent.hush()
	ctx, cancel := context.WithTimeout(t.Context(), 4*c.Timeout) // the content of Put is bounded by the caller only
	defer cancel()
	for what, err := range everything(ctx, s) {
		fails(t, what, err, fault.Timeout)
	}
}
