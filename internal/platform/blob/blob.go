// Package blob keeps files that are too large for the database, such as recordings: in a folder (file://, the
// default is <data>/blobs) or in an S3 bucket (s3://bucket?region=...&endpoint=..., credentials as in AWS's own tools:
// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or the role of the machine).
// It does not encrypt: who stores something secret does, with platform/secret.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	_ "gocloud.dev/blob/s3blob" // s3://
	"gocloud.dev/gcerrors"

	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	smallTimeout = 20 * time.Second // of what carries no content, and of the answer before the content
	closeTimeout = 10 * time.Second
	maxKey       = 512
	contentType  = "application/octet-stream"
	pingKey      = ".parley-ping"
	listPage     = 1000 // S3 gives no more at once
)

// Config is what Open needs.
type Config struct {
	URL     string // "" is a folder in DataDir; file:///folder; s3://bucket?...
	DataDir string
	Prefix  string        // put before every key, with its slash: one bucket may serve several installations
	Timeout time.Duration // of what carries no content; 20 s
}

// Store is an open place for blobs. It is safe for concurrent use.
type Store struct {
	bucket  *blob.Bucket
	client  *s3.Client // nil in a folder
	timeout time.Duration
}

// Entry is a blob in a list.
type Entry struct {
	Key  string
	Size int64
}

// Open opens the store and proves that it can be reached.
func Open(ctx context.Context, c Config) (*Store, error) {
	if c.Timeout <= 0 {
		c.Timeout = smallTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	b, err := openBucket(ctx, c)
	if err != nil {
		return nil, err
	}
	s := &Store{timeout: c.Timeout}
	b.As(&s.client)
	if c.Prefix != "" {
		b = blob.PrefixedBucket(b, c.Prefix)
	}
	s.bucket = b
	if err := s.Ping(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("blob url: %w", err), b.Close())
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

// Ping proves that the store can be reached and that the credentials are good for it. On S3 it lists one key: asking
// for a blob (HEAD) cannot tell a bucket that does not exist from a blob that does not.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	var err error
	if s.client != nil {
		_, _, err = s.bucket.ListPage(ctx, blob.FirstPageToken, 1, nil)
	} else {
		_, err = s.bucket.Exists(ctx, pingKey)
	}
	if err != nil {
		return s.fail("reach", "it", err)
	}
	return nil
}

// Put stores what r gives, in place of what was there. It appears when it is whole: after an error there is what there
// was before. The caller's context bounds it; S3 has a time-out more to take back what was sent.
func (s *Store) Put(ctx context.Context, key string, r io.Reader) error {
	if err := check(ctx, key); err != nil {
		return err
	}
	write := s.write
	if s.client != nil {
		write = s.upload
	}
	if err := write(ctx, key, r); err != nil {
		return s.fail("store", key, err)
	}
	return nil
}

func (s *Store) write(ctx context.Context, key string, r io.Reader) error {
	// The writer stores nothing when its context ends before Close.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := s.bucket.NewWriter(ctx, key, &blob.WriterOptions{ContentType: contentType})
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, r); err != nil {
		cancel()
		_ = w.Close() // it says that it was cancelled
		return err
	}
	return w.Close()
}

// upload ends the content with an error when ctx ends, rather than the upload: a request to begin an upload in parts that
// is cut off may have begun one that nobody can name any more, and its parts would cost for ever, and no list shows them.
// A server that says nothing is given up a time-out later.
func (s *Store) upload(ctx context.Context, key string, r io.Reader) error {
	request, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		late := time.NewTimer(s.timeout)
		defer late.Stop()
		select {
		case <-late.C:
			cancel()
		case <-request.Done():
		}
	})()
	content := &boundReader{ctx: ctx, r: r}
	err := s.bucket.Upload(request, key, content, &blob.WriterOptions{ContentType: contentType, BeforeWrite: s.cleanUp})
	if err != nil {
		return errors.Join(ctx.Err(), content.err, err)
	}
	return nil
}

// boundReader fails when its context has ended, at the end of the content, too, and keeps the error.
type boundReader struct {
	ctx context.Context //nolint:containedctx // one Put's
	r   io.Reader
	err error
}

// Read implements io.Reader.
func (b *boundReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if ended := b.ctx.Err(); ended != nil {
		n, err = 0, ended
	}
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

// cleanUp has the parts of a failed upload taken back though its context may have ended.
func (s *Store) cleanUp(as func(any) bool) error {
	var m *transfermanager.Client
	if as(&m) {
		*m = *transfermanager.New(s.client, func(o *transfermanager.Options) {
			o.FailTimeout = s.timeout
			o.RequestChecksumCalculation = s.client.Options().RequestChecksumCalculation
		})
	}
	return nil
}

// Get gives a whole blob. The caller closes it; its context bounds the reading, and a time-out the answer before.
func (s *Store) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	return s.GetRange(ctx, key, 0, -1)
}

// GetRange gives length bytes from offset on, fewer when the blob ends before; -1 is the rest.
func (s *Store) GetRange(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if err := check(ctx, key); err != nil {
		return nil, err
	}
	if offset < 0 || length < -1 {
		return nil, fault.New(fault.Invalid, "a range from %d with %d bytes does not exist", offset, length)
	}
	// The reader lives on this context, so the time-out can only be one of waiting for it.
	ctx, cancel := context.WithCancelCause(ctx)
	late := time.AfterFunc(s.timeout, func() { cancel(context.DeadlineExceeded) })
	r, err := s.bucket.NewRangeReader(ctx, key, offset, length, &blob.ReaderOptions{BeforeRead: quiet})
	if !late.Stop() && err == nil {
		err = errors.Join(context.DeadlineExceeded, r.Close())
	}
	if err != nil {
		if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			err = errors.Join(context.DeadlineExceeded, err)
		}
		cancel(nil)
		return nil, s.fail("read", key, err)
	}
	return &reader{r, func() { cancel(nil) }}, nil
}

// quiet keeps the SDK from printing a line for each blob that was stored in parts: S3 keeps no checksum of the whole.
func quiet(as func(any) bool) error {
	var opts *[]func(*s3.Options)
	if as(&opts) {
		*opts = append(*opts, func(o *s3.Options) { o.DisableLogOutputChecksumValidationSkipped = true })
	}
	return nil
}

// reader ends its context when it is closed.
type reader struct {
	*blob.Reader
	done func()
}

// Close implements io.Closer.
func (r *reader) Close() error {
	err := r.Reader.Close()
	r.done()
	return err
}

// List calls fn for every blob below a folder ("org/", or "" for all), in order of the keys, until fn gives an error.
func (s *Store) List(ctx context.Context, folder string, fn func(Entry) error) error {
	if folder != "" {
		if err := check(ctx, strings.TrimSuffix(folder, "/")); err != nil {
			return err
		}
		// Without the slash "org1" would list "org10/..." too.
		if !strings.HasSuffix(folder, "/") {
			return fmt.Errorf("blob: the folder %q does not end with a slash", folder)
		}
	}
	// Pages, because each has a time-out of its own while the whole may take as long as it needs.
	for token := blob.FirstPageToken; len(token) > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		page, next, err := s.page(ctx, token, folder)
		if err != nil {
			return s.fail("list", folder, err)
		}
		for _, o := range page {
			// A file that is being written has a name of its own beside its place (fileblob's NoTempDir).
			if o.IsDir || s.client == nil && tempFile.MatchString(o.Key) {
				continue
			}
			if err := fn(Entry{Key: o.Key, Size: o.Size}); err != nil {
				return err
			}
		}
		token = next
	}
	return nil
}

// tempFile is how fileblob names a file until it is whole: the time in hexadecimal nanoseconds before the end.
var tempFile = regexp.MustCompile(`\.[0-9a-f]{16}\.tmp$`)

func (s *Store) page(ctx context.Context, token []byte, folder string) ([]*blob.ListObject, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return s.bucket.ListPage(ctx, token, listPage, &blob.ListOptions{Prefix: folder})
}

// Size gives a blob's length in bytes.
func (s *Store) Size(ctx context.Context, key string) (int64, error) {
	if err := check(ctx, key); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	a, err := s.bucket.Attributes(ctx, key)
	if err != nil {
		return 0, s.fail("look at", key, err)
	}
	return a.Size, nil
}

// Delete removes a blob. One that is not there is no error: it is gone.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := check(ctx, key); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
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
	switch code := s3Code(err); {
	case code == "NoSuchBucket":
		return fault.Wrap(fault.Unavailable, err, "the S3 bucket for blobs does not exist; make it, or correct the blob url")
	case slices.Contains(refused, code):
		return fault.Wrap(fault.Unavailable, err, "the blob store refused our credentials (%s); check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the region, and that they may list, read, write and delete in the bucket", code)
	case gcerrors.Code(err) == gcerrors.NotFound || errors.Is(err, os.ErrNotExist):
		return fault.Wrap(fault.NotFound, err, "there is no file %s", key)
	case errors.Is(err, context.DeadlineExceeded):
		return fault.Wrap(fault.Timeout, err, "the blob store took too long to %s %s", what, key)
	case errors.Is(err, context.Canceled):
	case s.client != nil && connectionLost(err):
		return fault.Wrap(fault.Unavailable, err, "the blob store cannot be reached; check that the S3 server of the blob url is up")
	}
	return fmt.Errorf("blob: %s %s: %w", what, key, err)
}

// refused are the codes for credentials that are wrong or not enough; the last one is versitygw's.
var refused = []string{"InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "Forbidden", "ExpiredToken", "InvalidToken", "XAdminUserNotFound"}

// s3Code gives the code of S3's answer (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html), "" when
// there is none.
func s3Code(err error) string {
	var api interface{ ErrorCode() string }
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func connectionLost(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// check is what every operation begins with: files do not care about contexts by themselves.
func check(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	return ctx.Err()
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
