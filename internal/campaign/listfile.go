package campaign

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/parley-voice/parley/internal/campaign/leadfile"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret"
)

// BlobKind is the first part of the keys of lists among the blobs.
const BlobKind = "leadlists"

const (
	mostCSV   = 1 << 30
	mostXLSX  = 100 << 20 // its packed bytes are read into memory
	listChunk = 1 << 20
)

// Blobs is where lists are until they are read.
type Blobs interface {
	Put(ctx context.Context, key string, content io.Reader) error
	GetRange(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error)
	Size(ctx context.Context, key string) (int64, error)
	Delete(ctx context.Context, key string) error
}

func listKey(orgID, id string) string { return BlobKind + "/" + orgID + "/" + id }

func listAAD(orgID, id string) []byte { return []byte("campaign import\x00" + orgID + "\x00" + id) }

func (s *Service) removeList(ctx context.Context, orgID, id string) error {
	if s.c.Blobs == nil {
		return nil
	}
	if err := s.c.Blobs.Delete(ctx, listKey(orgID, id)); err != nil {
		return fmt.Errorf("delete a list: %w", err)
	}
	return nil
}

// Upload keeps a list, encrypted, and looks at its beginning. It is read once StartImport says so.
func (s *Service) Upload(ctx context.Context, orgID, campaignID, name string, content io.Reader) (Import, leadfile.Sample, error) {
	var sample leadfile.Sample
	if s.c.Blobs == nil || s.c.Sealer == nil {
		return Import{}, sample, fault.New(fault.Unavailable, "this process keeps no files; ask one that does")
	}
	c, err := s.mayUpload(ctx, orgID, campaignID)
	if err != nil {
		return Import{}, sample, err
	}
	key := make([]byte, secret.KeySize)
	if _, err := rand.Read(key); err != nil {
		return Import{}, sample, fmt.Errorf("make a key: %w", err)
	}
	row := &importRow{ID: newID(), OrganisationID: orgID, CampaignID: campaignID, Name: name, State: ImportUploaded, Region: c.Settings.Country, Required: "[]",
		CreatedBy: identity.UserOf(ctx), CreatedAt: s.now().UnixMilli()}
	if row.FileKey, err = s.c.Sealer.Seal(ctx, orgID, key, listAAD(orgID, row.ID)); err != nil {
		return Import{}, sample, fmt.Errorf("seal the key of a list: %w", err)
	}
	kept := false
	defer func() {
		if !kept {
			if err := s.removeList(context.WithoutCancel(ctx), orgID, row.ID); err != nil {
				s.c.Log.WarnContext(ctx, "a list that was not kept is still there", "import", row.ID, "error", err)
			}
		}
	}()
	if row.Bytes, err = s.store(ctx, row, key, content); err != nil {
		return Import{}, sample, err
	}
	if sample, err = s.sniff(ctx, row, key); err != nil {
		return Import{}, sample, err
	}
	out, err := s.saveUpload(ctx, row, &sample)
	kept = err == nil
	return out, sample, err
}

// mayUpload refuses a list for which there is no room.
func (s *Service) mayUpload(ctx context.Context, orgID, campaignID string) (c Campaign, err error) {
	err = s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		row, err := campaignByID(ctx, tx, campaignID)
		if err != nil {
			return err
		}
		if c, err = row.campaign(); err != nil {
			return err
		}
		if err := row.State.may("append"); err != nil {
			return err
		}
		var n int
		if err := tx.NewRaw("SELECT count(*) FROM campaign_imports WHERE organisation_id = ? AND state = ?", orgID, ImportUploaded).Scan(ctx, &n); err != nil {
			return fmt.Errorf("count uploads: %w", err)
		}
		if n >= uploadsAtOnce {
			return fault.New(fault.LimitReached, "%d uploaded lists wait to be started; start or cancel one", n)
		}
		return nil
	})
	return c, err
}

// store writes a list among the blobs, encrypted, and gives its size.
func (s *Service) store(ctx context.Context, row *importRow, key []byte, content io.Reader) (int64, error) {
	k, err := secret.NewKey(key)
	if err != nil {
		return 0, err
	}
	in := &counted{r: content}
	pr, pw := io.Pipe()
	writing := make(chan struct{})
	go func() {
		defer close(writing)
		w, err := k.NewChunkWriter(pw, secret.ChunkConfig{Name: row.ID, ChunkSize: listChunk, Uniform: true})
		if err == nil {
			_, err = io.Copy(w, in)
		}
		if err == nil {
			err = w.Close()
		}
		_ = pw.CloseWithError(err)
	}()
	err = s.c.Blobs.Put(ctx, listKey(row.OrganisationID, row.ID), pr)
	_ = pr.CloseWithError(io.ErrClosedPipe) // whoever writes does not wait for a store that gave up
	<-writing
	if err == nil && in.err != nil {
		err = in.err
	}
	switch {
	case in.err != nil: // the sender's failure, not the store's
		return in.n, in.err
	case err != nil:
		return in.n, fmt.Errorf("keep a list: %w", err)
	}
	return in.n, nil
}

// counted counts what is read, and refuses what is too much.
type counted struct {
	r    io.Reader
	head []byte
	n    int64
	err  error
}

// Read implements io.Reader.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if len(c.head) < 4 {
		c.head = append(c.head, p[:min(n, 4-len(c.head))]...)
	}
	c.n += int64(n)
	if most, what := c.most(); err == nil && c.n > most {
		err = fault.New(fault.TooLarge, "%s may have %d MB; send the list in parts", what, most>>20)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}

func (c *counted) most() (int64, string) {
	if bytes.HasPrefix(c.head, []byte("PK\x03\x04")) {
		return mostXLSX, "an Excel file"
	}
	return mostCSV, "a file"
}

// openList gives the plain bytes of a list.
func (s *Service) openList(ctx context.Context, row *importRow, key []byte) (io.Reader, error) {
	k, err := secret.NewKey(key)
	if err != nil {
		return nil, err
	}
	name := listKey(row.OrganisationID, row.ID)
	size, err := s.c.Blobs.Size(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("find a list: %w", err)
	}
	r, err := k.NewChunkReader(&ranged{ctx, s.c.Blobs, name, size}, size, row.ID)
	if err != nil {
		return nil, fmt.Errorf("open a list: %w", err)
	}
	if r.Truncated() {
		return nil, fmt.Errorf("open a list: %w", io.ErrUnexpectedEOF)
	}
	return r.Reader(), nil
}

// ranged reads a blob from any place.
type ranged struct {
	ctx  context.Context //nolint:containedctx // io.ReaderAt has none; it lives as long as one reading
	of   Blobs
	key  string
	size int64
}

// ReadAt implements io.ReaderAt.
func (r *ranged) ReadAt(p []byte, off int64) (int, error) {
	if off >= r.size {
		return 0, io.EOF
	}
	short := int64(len(p)) > r.size-off
	if short {
		p = p[:r.size-off]
	}
	in, err := r.of.GetRange(r.ctx, r.key, off, int64(len(p)))
	if err != nil {
		return 0, err
	}
	n, err := io.ReadFull(in, p)
	if e := in.Close(); err == nil {
		err = e
	}
	if err == nil && short {
		err = io.EOF
	}
	return n, err
}

func (s *Service) sniff(ctx context.Context, row *importRow, key []byte) (leadfile.Sample, error) {
	in, err := s.openList(ctx, row, key)
	if err != nil {
		return leadfile.Sample{}, err
	}
	return leadfile.Sniff(in)
}

// found takes what was found in a list, with the mapping that the same header had before, and columns for what the agent needs.
func (r *importRow) found(ctx context.Context, tx *db.Tx, sample *leadfile.Sample, required []string) error {
	for into, v := range map[*string]any{&r.Format: sample.Format, &r.Header: append([]string{}, sample.Columns...), &r.Mapping: sample.Mapping} {
		text, err := json.Marshal(v)
		if err != nil {
			return err
		}
		*into = string(text)
	}
	before, err := rememberedMapping(ctx, tx, r.Header)
	if err != nil {
		return err
	}
	if before != "" {
		r.Mapping = before
	}
	return r.fit(sample.Columns, required)
}

// saveUpload writes down a list and what was found in it.
func (s *Service) saveUpload(ctx context.Context, row *importRow, sample *leadfile.Sample) (out Import, err error) {
	required, err := s.requiredOf(ctx, row.OrganisationID, row.CampaignID)
	if err != nil {
		return out, err
	}
	err = s.c.DB.InTenant(ctx, row.OrganisationID, func(ctx context.Context, tx *db.Tx) error {
		c, err := campaignByID(ctx, tx, row.CampaignID) // it may have gone meanwhile
		if err != nil {
			return err
		}
		if err := c.State.may("append"); err != nil {
			return err
		}
		if err := row.found(ctx, tx, sample, required); err != nil {
			return err
		}
		if _, err := tx.NewInsert().Model(row).Exec(ctx); err != nil {
			return fmt.Errorf("insert import: %w", err)
		}
		if out, err = row.view(); err != nil {
			return err
		}
		return identity.Audit(ctx, tx, row.OrganisationID, identity.Change{Action: "campaign.import.upload", Kind: "campaignImport", ID: row.ID,
			After: map[string]any{"campaignId": row.CampaignID, "name": row.Name, "bytes": row.Bytes}})
	})
	return out, err
}
