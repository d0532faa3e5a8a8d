package donotcall

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/parley-voice/parley/internal/campaign"
	"github.com/parley-voice/parley/internal/campaign/register"
	"github.com/parley-voice/parley/internal/platform/blob"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// mostOpen is how many registers a process keeps open. What is asked again is opened again.
const mostOpen = 256

// cache keeps copies of registers on this machine, open to be asked. A lookup is a few reads of a file that the system keeps
// in memory as it can.
type cache struct {
	folder string
	blobs  *blob.Regions

	fetching sync.Mutex // one is brought at a time

	mu    sync.Mutex
	files map[string]*file // by the version's id
	turn  uint64
}

// file is an open register.
type file struct {
	mu   sync.RWMutex
	f    *os.File // nil: it was closed
	g    *register.Register
	used uint64 // turn in which it was asked last; under the cache's lock
}

func newCache(folder string, blobs *blob.Regions) *cache {
	return &cache{folder: folder, blobs: blobs, files: map[string]*file{}}
}

// Folder is where an organisation's registers are among the blobs.
func Folder(orgID string) string { return BlobKind + "/" + orgID + "/" }

// key is where a version of a register is among the blobs.
func key(orgID, id string) string { return Folder(orgID) + id }

func (c *cache) path(r *registerRow) string {
	return filepath.Join(c.folder, r.OrganisationID+"_"+r.ID)
}

// has asks an open register.
func (f *file) has(number string) (bool, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.f == nil {
		return false, campaign.ErrFetch
	}
	has, err := f.g.Has(number)
	if fault.Is(err, fault.Invalid) { // what is no number stands in no register
		return false, nil
	}
	return has, err
}

func (f *file) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.f != nil {
		_ = f.f.Close() // it was only read
		f.f = nil
	}
}

// opened gives open registers; campaign.ErrFetch where one is not here.
func (c *cache) opened(rows []registerRow) ([]*file, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	out := make([]*file, len(rows))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn++
	for i := range rows {
		f := c.files[rows[i].ID]
		if f == nil {
			return nil, campaign.ErrFetch
		}
		f.used, out[i] = c.turn, f
	}
	return out, nil
}

// fetch brings registers of an organisation here and opens them. Copies of versions that are not asked any more are deleted.
func (c *cache) fetch(ctx context.Context, rows []registerRow) error {
	c.fetching.Lock()
	defer c.fetching.Unlock()
	for i := range rows {
		r := &rows[i]
		c.mu.Lock()
		known := c.files[r.ID] != nil
		c.mu.Unlock()
		if known {
			continue
		}
		f, err := c.open(c.path(r), r.Digest)
		if err != nil { // it is not here, or it is damaged
			if f, err = c.bring(ctx, r); err != nil {
				return fault.Wrap(fault.Unavailable, err, "the register %s could not be fetched; import it again, or have it be asked no more", r.Name)
			}
		}
		c.keep(r.ID, f)
	}
	c.tidy(rows)
	return nil
}

// bring copies a register from the blobs.
func (c *cache) bring(ctx context.Context, r *registerRow) (*file, error) {
	in, err := c.blobs.Get(ctx, key(r.OrganisationID, r.ID))
	if err != nil {
		return nil, err
	}
	defer in.Close() //nolint:errcheck // only read
	temp, err := c.temp()
	if err != nil {
		return nil, err
	}
	defer os.Remove(temp.Name()) //nolint:errcheck // it has its own name by then, or is of no use
	_, err = io.Copy(temp, in)
	if err := errors.Join(err, temp.Close()); err != nil {
		return nil, err
	}
	return c.adopt(temp.Name(), r)
}

// temp makes a file beside the copies, so that it can be renamed to one.
func (c *cache) temp() (*os.File, error) {
	if err := os.MkdirAll(c.folder, 0o700); err != nil {
		return nil, fmt.Errorf("folder of registers: %w", err)
	}
	return os.CreateTemp(c.folder, "new-*")
}

// adopt makes a finished file the copy of a version.
func (c *cache) adopt(path string, r *registerRow) (*file, error) {
	if err := os.Rename(path, c.path(r)); err != nil {
		return nil, err
	}
	return c.open(c.path(r), r.Digest)
}

// open opens a copy and proves that it is whole and the one that is wanted.
func (c *cache) open(path, digest string) (*file, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	g, err := check(f, digest)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &file{f: f, g: g}, nil
}

func check(f *os.File, digest string) (*register.Register, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	g, err := register.Open(f, st.Size())
	if err != nil {
		return nil, err
	}
	if digest != "" && g.Summary().Digest != digest {
		return nil, fault.New(fault.Invalid, "this is another version of the register")
	}
	return g, g.Verify()
}

// keep makes an open register known, and closes those that were not asked for the longest time.
func (c *cache) keep(id string, f *file) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn++
	f.used = c.turn
	if was := c.files[id]; was != nil {
		was.close()
	}
	c.files[id] = f
	for len(c.files) > mostOpen {
		oldest := ""
		for id, f := range c.files {
			if oldest == "" || f.used < c.files[oldest].used {
				oldest = id
			}
		}
		c.files[oldest].close()
		delete(c.files, oldest)
	}
}

// tidy deletes copies of an organisation's versions that are not among those that are asked.
func (c *cache) tidy(rows []registerRow) {
	if len(rows) == 0 {
		return
	}
	asked := map[string]bool{}
	for i := range rows {
		asked[rows[i].ID] = true
	}
	prefix := rows[0].OrganisationID + "_"
	names, err := filepath.Glob(filepath.Join(c.folder, prefix+"*"))
	if err != nil {
		return
	}
	for _, name := range names {
		id := strings.TrimPrefix(filepath.Base(name), prefix)
		if asked[id] {
			continue
		}
		c.mu.Lock()
		if f := c.files[id]; f != nil {
			f.close()
			delete(c.files, id)
		}
		c.mu.Unlock()
		_ = os.Remove(name) // what stays is deleted the next time
	}
}

func (c *cache) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, f := range c.files {
		f.close()
		delete(c.files, id)
	}
}
