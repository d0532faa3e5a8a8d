package blob

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/parley-voice/parley/internal/platform/fault"
)

const maxMoves = 8 // of an organisation while one blob is stored or looked for

// At is where an organisation's blobs are.
type At struct {
	Region string // where new ones are put
	Moving bool   // between From and To just now: old ones may be in either
	From   string
	To     string
}

// RegionsConfig is what OpenRegions needs.
type RegionsConfig struct {
	Home    Config            // of the region ""
	Regions map[string]Config // by name
	// Where tells where an organisation's blobs are, as it is now: it is asked before and after each blob is stored.
	Where func(ctx context.Context, orgID string) (At, error)
	// Kinds are the first parts of keys, as in KIND/ORGANISATION/...
	Kinds []string
}

// Regions keeps each organisation's blobs in the store of its region. Keys are KIND/ORGANISATION/... It is safe for
// concurrent use, by several processes, and while organisations move:
//
//   - Copy brings the blobs of the old region to the new one. Then the organisation changes its region, and Settle brings
//     those that came meanwhile, compares each by its hash and deletes it from the old one.
//   - Who stores a blob looks afterwards whether the region is still the same, and else brings the blob along itself.
//   - Who deletes one deletes it from the old region first. Whoever copies looks afterwards whether the original is still
//     there, and else deletes the copy.
type Regions struct {
	c    RegionsConfig
	open map[string]*Store
}

// OpenRegions opens the stores of all regions and proves that each can be reached.
func OpenRegions(ctx context.Context, c RegionsConfig) (*Regions, error) {
	r := &Regions{c: c, open: map[string]*Store{}}
	var err error
	if r.open[""], err = Open(ctx, c.Home); err != nil {
		return nil, err
	}
	for name, rc := range c.Regions {
		if r.open[name], err = Open(ctx, rc); err != nil {
			delete(r.open, name)
			return nil, errors.Join(fmt.Errorf("region %s: %w", name, err), r.Close())
		}
	}
	return r, nil
}

// Check refuses a region without a store.
func (r *Regions) Check(region string) error {
	if r.open[region] == nil {
		return fault.Field("region", "the region %q has no place for recordings; add it to the setting region-blobs (PARLEY_REGION_BLOBS)", region)
	}
	return nil
}

// store gives a region's store. An organisation of a region that has none is refused: its recordings do not go elsewhere.
func (r *Regions) store(region string) (*Store, error) {
	if s := r.open[region]; s != nil {
		return s, nil
	}
	return nil, fault.New(fault.Unavailable, "the organisation is in region %q, for which the setting region-blobs (PARLEY_REGION_BLOBS) names no place", region)
}

func (r *Regions) where(ctx context.Context, key string) (At, error) {
	if err := check(ctx, strings.TrimSuffix(key, "/")); err != nil {
		return At{}, err
	}
	_, rest, _ := strings.Cut(key, "/")
	org, _, ok := strings.Cut(rest, "/")
	if !ok || org == "" {
		return At{}, fmt.Errorf("blob: key %q does not name its organisation", key)
	}
	at, err := r.c.Where(ctx, org)
	if err != nil {
		return At{}, fmt.Errorf("find the organisation's region: %w", err)
	}
	return at, nil
}

// Put is [Store.Put] in the organisation's region.
func (r *Regions) Put(ctx context.Context, key string, content io.Reader) error {
	at, err := r.where(ctx, key)
	if err != nil {
		return err
	}
	s, err := r.store(at.Region)
	if err != nil {
		return err
	}
	if err := s.Put(ctx, key, content); err != nil {
		return err
	}
	for range maxMoves {
		now, err := r.where(ctx, key)
		if err != nil || now.Region == at.Region {
			return err
		}
		if err := r.bring(ctx, key, at.Region, now.Region); err != nil {
			return err
		}
		at = now
	}
	return fault.New(fault.Unavailable, "the organisation is moved all the time; try again")
}

// anywhere calls fn with the store a blob is in, or with each it may be in, until one has it.
func (r *Regions) anywhere(ctx context.Context, key string, fn func(s *Store) error) error {
	var last error
	for try := range 2 { // it may have moved between the question and the answer
		at, err := r.where(ctx, key)
		if err != nil {
			return err
		}
		regions := []string{at.Region}
		if at.Moving {
			regions = append(regions, at.From, at.To)
		}
		for i, region := range regions {
			if i > 0 && region == at.Region {
				continue
			}
			s, err := r.store(region)
			if err != nil {
				return err
			}
			if last = fn(s); !fault.Is(last, fault.NotFound) {
				return last
			}
		}
		if try == 0 && len(r.open) == 1 {
			break
		}
	}
	return last
}

// Get is [Store.Get].
func (r *Regions) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	return r.GetRange(ctx, key, 0, -1)
}

// GetRange is [Store.GetRange].
func (r *Regions) GetRange(ctx context.Context, key string, offset, length int64) (rc io.ReadCloser, err error) {
	err = r.anywhere(ctx, key, func(s *Store) error {
		rc, err = s.GetRange(ctx, key, offset, length)
		return err
	})
	return rc, err
}

// Size is [Store.Size].
func (r *Regions) Size(ctx context.Context, key string) (n int64, err error) {
	err = r.anywhere(ctx, key, func(s *Store) error {
		n, err = s.Size(ctx, key)
		return err
	})
	return n, err
}

// Delete is [Store.Delete], in every region the blob may be in.
func (r *Regions) Delete(ctx context.Context, key string) error {
	done := ""
	for range maxMoves {
		at, err := r.where(ctx, key)
		if err != nil {
			return err
		}
		regions := []string{at.Region}
		if at.Moving { // the old one first: see Regions
			regions = []string{at.From, at.To}
		}
		if asked := fmt.Sprintf("%q", regions); asked == done {
			return nil
		} else {
			done = asked
		}
		for _, region := range regions {
			s, err := r.store(region)
			if err != nil {
				return err
			}
			if err := s.Delete(ctx, key); err != nil {
				return err
			}
		}
	}
	return fault.New(fault.Unavailable, "the organisation is moved all the time; try again")
}

// List is [Store.List] of one organisation's folder, KIND/ORGANISATION/ or below it. While it moves, each blob is listed once.
func (r *Regions) List(ctx context.Context, folder string, fn func(Entry) error) error {
	at, err := r.where(ctx, folder)
	if err != nil {
		return err
	}
	s, err := r.store(at.Region)
	if err != nil {
		return err
	}
	if !at.Moving {
		return s.List(ctx, folder, fn)
	}
	seen := map[string]bool{}
	for _, region := range []string{at.From, at.To} {
		s, err := r.store(region)
		if err != nil {
			return err
		}
		err = s.List(ctx, folder, func(e Entry) error {
			if seen[e.Key] {
				return nil
			}
			seen[e.Key] = true
			return fn(e)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Ping proves that every store can be reached.
func (r *Regions) Ping(ctx context.Context) error {
	var errs []error
	for name, s := range r.open {
		if err := s.Ping(ctx); err != nil {
			errs = append(errs, fmt.Errorf("region %q: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// Close closes the stores.
func (r *Regions) Close() error {
	var err error
	for _, s := range r.open {
		err = errors.Join(err, s.Close())
	}
	return err
}

// each calls fn with every blob of an organisation in a region.
func (r *Regions) each(ctx context.Context, orgID, region string, fn func(s *Store, e Entry) error) error {
	s, err := r.store(region)
	if err != nil {
		return err
	}
	for _, kind := range r.c.Kinds {
		var list []Entry // whole, because fn deletes
		err := s.List(ctx, kind+"/"+orgID+"/", func(e Entry) error { list = append(list, e); return nil })
		if err != nil {
			return err
		}
		for _, e := range list {
			if err := fn(s, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// Copy brings an organisation's blobs to another region, those that are not there.
func (r *Regions) Copy(ctx context.Context, orgID, from, to string) error {
	target, err := r.store(to)
	if err != nil {
		return err
	}
	return r.each(ctx, orgID, from, func(s *Store, e Entry) error {
		if n, err := target.Size(ctx, e.Key); err == nil && n == e.Size {
			return nil // an interrupted call brought it; Settle compares it
		}
		return copyBlob(ctx, s, target, e.Key)
	})
}

// Settle brings what came to the old region meanwhile, and deletes what is there once its copy is proved.
func (r *Regions) Settle(ctx context.Context, orgID, from, to string) error {
	return r.each(ctx, orgID, from, func(_ *Store, e Entry) error { return r.bring(ctx, e.Key, from, to) })
}

// Undo deletes what Copy brought.
func (r *Regions) Undo(ctx context.Context, orgID, _, to string) error {
	return r.each(ctx, orgID, to, func(s *Store, e Entry) error { return s.Delete(ctx, e.Key) })
}

// bring moves one blob. Where it is gone, somebody else moved or deleted it.
func (r *Regions) bring(ctx context.Context, key, from, to string) error {
	source, err := r.store(from)
	if err != nil {
		return err
	}
	target, err := r.store(to)
	if err != nil {
		return err
	}
	want, err := hash(ctx, source, key)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	for try := 0; ; try++ {
		got, err := hash(ctx, target, key)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		if err == nil && got == want {
			return source.Delete(ctx, key)
		}
		if try > 0 && err == nil {
			return fmt.Errorf("blob: the copy of %s in region %q differs from the original", key, to)
		}
		if err := copyBlob(ctx, source, target, key); err != nil {
			return err
		}
		if _, err := source.Size(ctx, key); fault.Is(err, fault.NotFound) {
			return nil // deleted meanwhile, and so is the copy
		}
	}
}

// copyBlob copies one blob, unless it is deleted meanwhile.
func copyBlob(ctx context.Context, from, to *Store, key string) error {
	content, err := from.Get(ctx, key)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	err = to.Put(ctx, key, content)
	if err = errors.Join(err, content.Close()); err != nil {
		return err
	}
	if _, err := from.Size(ctx, key); fault.Is(err, fault.NotFound) {
		return to.Delete(ctx, key)
	}
	return nil
}

func hash(ctx context.Context, s *Store, key string) (sum [sha256.Size]byte, err error) {
	content, err := s.Get(ctx, key)
	if err != nil {
		return sum, err
	}
	h := sha256.New()
	_, err = io.Copy(h, content)
	copy(sum[:], h.Sum(nil))
	return sum, errors.Join(err, content.Close())
}
