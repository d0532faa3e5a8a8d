package conversation

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
)

// source is a call's file, wherever it is.
type source struct {
	io.ReaderAt
	size  int64
	close func()
}

// openFile finds a call's file: in the spool while the call goes on and until it is moved, then in the blob
// store. A nil source says that there is none. The row is the call's, from memory while it is there.
func (s *Service) openFile(ctx context.Context, org, id, suffix string) (*callRow, *source, error) {
	// The file may be moved between the look into the database and the one into the spool: then look again.
	for try := 0; ; try++ {
		row, err := s.row(ctx, org, id)
		if err != nil {
			return nil, nil, err
		}
		file, err := os.Open(s.spoolPath(id, suffix))
		if err == nil {
			info, err := file.Stat()
			if err != nil {
				return nil, nil, wrapFile(errors.Join(err, file.Close()))
			}
			return &row, &source{ReaderAt: file, size: info.Size(), close: func() { _ = file.Close() }}, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, wrapFile(err)
		}
		if b := s.smallFile(org, id, suffix); b != nil {
			return &row, memorySource(b), nil
		}
		key := row.LogKey
		if suffix == recSuffix {
			key = row.RecKey
		}
		if key == "" && try == 0 {
			continue
		}
		if key == "" {
			return &row, nil, nil
		}
		if key == inDB {
			f, err := findFile(ctx, s.db, org, id, suffix)
			if err != nil {
				return nil, nil, err
			}
			return &row, memorySource(f.Data), nil
		}
		size, err := s.blobs.Size(ctx, key)
		if err != nil {
			return nil, nil, wrapFile(err)
		}
		b := &blobReader{ctx: ctx, blobs: s.blobs, key: key, size: size}
		return &row, &source{ReaderAt: b, size: size, close: func() {}}, nil
	}
}

func memorySource(b []byte) *source {
	return &source{ReaderAt: bytes.NewReader(b), size: int64(len(b)), close: func() {}}
}

// smallFile gives a file that is not saved yet.
func (s *Service) smallFile(org, id, suffix string) []byte {
	c := s.find(org, id)
	if c == nil {
		return nil
	}
	c.state.mu.Lock()
	defer c.state.mu.Unlock()
	return c.state.small.get(suffix)
}

// row gives a call's row: from memory while it is there.
func (s *Service) row(ctx context.Context, org, id string) (callRow, error) {
	c, in, err := s.visible(ctx, org, id)
	if err != nil {
		return callRow{}, err
	}
	if c != nil {
		return c.rowNow(), nil
	}
	return findCall(ctx, s.db, org, id, in)
}

// rowNow is the row as it would be saved now.
func (c *Call) rowNow() callRow {
	c.state.mu.Lock()
	defer c.state.mu.Unlock()
	row := c.state.row
	row.apply(&c.state.derived)
	row.Metadata = toJSON(c.state.metadata)
	if c.state.ending != nil {
		row.end(*c.state.ending)
	}
	return row
}

// blobWindow is how much of a blob is fetched at once: chunks are small, and requests are not.
const blobWindow = 512 << 10

// blobReader reads a blob through one window. It is used by one goroutine.
type blobReader struct {
	ctx    context.Context //nolint:containedctx // a ReaderAt has no other way; it lives as long as one request
	blobs  Blobs
	key    string
	size   int64
	window []byte
	off    int64
}

// ReadAt implements io.ReaderAt.
func (b *blobReader) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		at := off + int64(n)
		if at >= b.size {
			return n, io.EOF
		}
		if at < b.off || at >= b.off+int64(len(b.window)) {
			if err := b.fetch(at); err != nil {
				return n, err
			}
		}
		n += copy(p[n:], b.window[at-b.off:])
	}
	return n, nil
}

func (b *blobReader) fetch(at int64) error {
	want := min(blobWindow, b.size-at)
	r, err := b.blobs.GetRange(b.ctx, b.key, at, want)
	if err != nil {
		return err
	}
	if int64(cap(b.window)) < want {
		b.window = make([]byte, want)
	}
	b.window, b.off = b.window[:want], at
	n, err := io.ReadFull(r, b.window)
	b.window = b.window[:n]
	return errors.Join(err, r.Close())
}
