// Package blob keeps files that are too large for the database, such as recordings: in a folder (file://, the
// default is <data>/blobs) or in an S3 bucket (s3://bucket?region=...&endpoint=..., credentials as in AWS's own tools).
// It does not encrypt: who stores something secret does, with platform/secret.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	_ "gocloud.dev/blob/s3blob" // s3://
	"gocloud.dev/gcerrors"

	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	smallTimeout = 20 * time.Second // of what carries no content
	closeTimeout = 10 * time.Second
	maxKey       = 512
)

// Config is what Open needs.
type Config struct {
	URL     string // "" is a folder in DataDir; file:///folder; s3://bucket?...
	DataDir string
	Prefix  string // put before every key, with its slash: one bucket may serve several installations
}

// Store is an open place for blobs. It is safe for concurrent use.
type Store struct{ bucket *blob.Bucket }

// Open opens the store and proves that it can be reached.
func Open(ctx context.Context, c Config) (*Store, error) {
	ctx, cancel := context.WithTimeout(ctx, smallTimeout)
	defer cancel()
	b, err := openBucket(ctx, c)
	if err != nil {
		return nil, err
	}
	if c.Prefix != "" {
		b = blob.PrefixedBucket(b, c.Prefix)
	}
	s := &Store{bucket: b}
	if err := s.Ping(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("blob url: cannot be reached: %w", err), b.Close())
	}
	return s, nil
}

func openBucket(ctx context.Context, c Config) (*blob.Bucket, error) {
	path := filepath.Join(c.DataDir, "blobs")
	if c.URL != "" {
		u, err := url.Parse(c.URL)
		if err != nil {
			return nil, fault.Field("blob url", "it is not a URL; use s3://bucket?region=..., file:///folder, or leave it empty")
		}
		if u.Scheme == "s3" {
			b, err := blob.OpenBucket(ctx, c.URL)
			if err != nil {
				return nil, fmt.Errorf("blob url: %w", err)
			}
			return b, nil
		}
		if u.Scheme != "file" || u.Host != "" || u.Path == "" {
			return nil, fault.Field("blob url", "%q is no place for blobs; use s3://bucket?region=..., file:///folder, or leave it empty", u.Scheme+"://"+u.Host)
		}
		path = filepath.FromSlash(u.Path)
	}
	// A file appears under its name when it is whole. Its temporary one must be on the same disk, where a rename is
	// possible; and attributes are not needed.
	b, err := fileblob.OpenBucket(path, &fileblob.Options{
		CreateDir: true, DirFileMode: 0o700, NoTempDir: true, Metadata: fileblob.MetadataDontWrite,
	})
	if err != nil {
		return nil, fmt.Errorf("blob folder: %w", err)
	}
	return b, nil
}

// Ping proves that the store can be reached.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, smallTimeout)
	defer cancel()
	_, err := s.bucket.Exists(ctx, ".parley-ping")
	return err
}

// Put stores what r gives, in place of what was there. It appears when it is whole: after an error there is what there
// was before. The caller's context bounds it.
func (s *Store) Put(ctx context.Context, key string, r io.Reader) error {
	if err := checkKey(key); err != nil {
		return err
	}
	// The writer stores nothing when its context ends before Close.
	wctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := s.bucket.NewWriter(wctx, key, &blob.WriterOptions{ContentType: "application/octet-stream"})
	if err != nil {
		return s.fail("store", key, err)
	}
	if _, err := io.Copy(w, r); err != nil {
		cancel()
		_ = w.Close() // it says that it was cancelled
		return s.fail("store", key, err)
	}
	if err := w.Close(); err != nil {
		return s.fail("store", key, err)
	}
	return nil
}

// Get gives a whole blob. The caller closes it; its context bounds the reading.
func (s *Store) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	return s.GetRange(ctx, key, 0, -1)
}

// GetRange gives length bytes from offset on, fewer when the blob ends before; -1 is the rest.
func (s *Store) GetRange(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	if offset < 0 || length < -1 {
		return nil, fault.New(fault.Invalid, "a range from %d with %d bytes does not exist", offset, length)
	}
	r, err := s.bucket.NewRangeReader(ctx, key, offset, length, nil)
	if err != nil {
		return nil, s.fail("read", key, err)
	}
	return r, nil
}

// Size gives a blob's length in bytes.
func (s *Store) Size(ctx context.Context, key string) (int64, error) {
	if err := checkKey(key); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, smallTimeout)
	defer cancel()
	a, err := s.bucket.Attributes(ctx, key)
	if err != nil {
		return 0, s.fail("look at", key, err)
	}
	return a.Size, nil
}

// Delete removes a blob. One that is not there is no error: it is gone.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, smallTimeout)
	defer cancel()
	if err := s.bucket.Delete(ctx, key); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return s.fail("delete", key, err)
	}
	return nil
}

// Close closes the store.
func (s *Store) Close() error {
	done := make(chan error, 1)
	go func() { done <- s.bucket.Close() }()
	t := time.NewTimer(closeTimeout)
	defer t.Stop()
	select {
	case err := <-done:
		return err
	case <-t.C:
		return errors.New("blob: a reader or writer is still open")
	}
}

func (s *Store) fail(what, key string, err error) error {
	switch {
	case gcerrors.Code(err) == gcerrors.NotFound || errors.Is(err, os.ErrNotExist):
		return fault.Wrap(fault.NotFound, err, "there is no file %s", key)
	case errors.Is(err, context.DeadlineExceeded):
		return fault.Wrap(fault.Timeout, err, "the blob store took too long to %s %s", what, key)
	}
	return fmt.Errorf("blob: %s %s: %w", what, key, err)
}

// checkKey keeps keys inside the store on every backend.
func checkKey(key string) error {
	switch {
	case key == "" || len(key) > maxKey:
		return fmt.Errorf("blob: a key has 1 to %d bytes, not %d", maxKey, len(key))
	case strings.HasPrefix(key, "/") || strings.HasSuffix(key, "/"):
		return fmt.Errorf("blob: key %q begins or ends with a slash", key)
	}
	for part := range strings.SplitSeq(key, "/") {
		if part == "" || part == "." || part == ".." {
			return fmt.Errorf("blob: key %q has an empty or dotted part", key)
		}
	}
	for _, c := range key {
		if c < ' ' || c == 0x7f || c == '\\' {
			return fmt.Errorf("blob: key %q has a character that is not allowed", key)
		}
	}
	return nil
}
