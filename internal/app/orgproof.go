package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/parley-voice/parley/internal/platform/blob"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// leftOver are the tables that name an organisation after it was erased: that there was one, and its certificate.
var leftOver = []string{"placements", "org_tasks", "data_key_tombstones"}

// lookFor searches every store for what is left of the organisation.
func (e *orgErase) lookFor(ctx context.Context) (looked []Looked, err error) {
	left, err := e.db.Left(ctx, e.orgID, leftOver...)
	if err != nil {
		return nil, err
	}
	rows := int64(0)
	for _, n := range left {
		rows += n
	}
	looked = append(looked, Looked{"the tables of the database", "rows of the organisation", rows})
	n, err := e.inFiles(ctx)
	if err != nil {
		return nil, err
	}
	if e.db.Dialect() == db.SQLite {
		looked = append(looked, Looked{"the files of the databases, byte by byte", fmt.Sprintf("%d ids of what was erased", len(e.ids)), n})
	}
	blobs := int64(0)
	for _, folder := range blobFolders(e.orgID) {
		if err := e.blobs.List(ctx, folder, func(blob.Entry) error { blobs++; return nil }); err != nil {
			return nil, err
		}
	}
	looked = append(looked, Looked{"the blobs", "files below the organisation's folders", blobs})
	if n, err = e.search.Count(ctx, e.orgID); err != nil {
		return nil, err
	}
	looked = append(looked, Looked{"the search index", "documents of the organisation", n})
	if n, err = e.inSpool(); err != nil {
		return nil, err
	}
	looked = append(looked, Looked{"the spool", "files of its calls", n})
	if e.ownsStreams() {
		if n, err = e.bus.Remembered(ctx, e.orgID); err != nil {
			return nil, err
		}
		looked = append(looked, Looked{"the bus", "facts of the organisation", n})
	}
	return looked, nil
}

// rewriteUpTo is how large a database is written anew after an erasure, whatever is found in it: meanwhile nobody else writes.
const rewriteUpTo = 1 << 30

// inFiles searches the databases' files for ids of what was erased. What deleting overwrote leaves nothing, but older versions of
// rows may lie in places that nothing uses: a file that is not very large, or in which something is found, is written anew.
func (e *orgErase) inFiles(ctx context.Context) (int64, error) {
	if e.db.Dialect() != db.SQLite {
		return 0, e.scrub(ctx, false)
	}
	files, err := e.db.Files(ctx)
	if err != nil {
		return 0, err
	}
	st, err := os.Stat(files[0])
	if err != nil {
		return 0, err
	}
	small := st.Size() <= rewriteUpTo
	if err := e.scrub(ctx, small); err != nil {
		return 0, err
	}
	n, err := e.searchFiles(ctx)
	if err != nil || n == 0 || small {
		return n, err
	}
	if err := e.scrub(ctx, true); err != nil {
		return 0, err
	}
	return e.searchFiles(ctx)
}

// scrub waits for readers, for a while.
func (e *orgErase) scrub(ctx context.Context, rewrite bool) error {
	until := e.clock.Now().Add(endCallsWithin)
	for {
		err := e.db.Scrub(ctx, rewrite)
		if !fault.Is(err, fault.Unavailable) || e.clock.Now().After(until) {
			return err
		}
		if err := e.pause(ctx); err != nil {
			return err
		}
	}
}

func (e *orgErase) searchFiles(ctx context.Context) (int64, error) {
	files, err := e.db.Files(ctx)
	if err != nil {
		return 0, err
	}
	found := int64(0)
	for _, path := range files {
		n, err := idsInFile(ctx, path, e.ids)
		if err != nil {
			return found, err
		}
		found += n
	}
	return found, nil
}

const searchWindow = 1 << 20

// idsInFile counts the places in a file where one of the ids stands.
func idsInFile(ctx context.Context, path string, ids map[string]bool) (n int64, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // only read
	buf := make([]byte, 0, searchWindow)
	for {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		kept := len(buf)
		got, err := io.ReadFull(f, buf[kept:cap(buf)])
		buf = buf[:kept+got]
		n += idsIn(buf, ids)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		// An id may lie across the end; what is kept is too short to hold one that was counted.
		buf = buf[:copy(buf, buf[len(buf)-(idSize-1):])]
	}
}

func idsIn(b []byte, ids map[string]bool) (n int64) {
	for at := 0; ; {
		dash := bytes.IndexByte(b[at:], '-')
		if dash < 0 {
			return n
		}
		start := at + dash - 8
		if start >= 0 && start+idSize <= len(b) && isID(b[start:start+idSize]) && ids[string(b[start:start+idSize])] {
			n++
		}
		at += dash + 1
	}
}

func (e *orgErase) inSpool() (n int64, err error) {
	for id := range e.ids {
		for _, suffix := range []string{".rec", ".log"} {
			_, err := os.Stat(filepath.Join(e.cfg.DataDir, "spool", id+suffix))
			if err == nil {
				n++
			} else if !errors.Is(err, fs.ErrNotExist) {
				return n, err
			}
		}
	}
	return n, nil
}
