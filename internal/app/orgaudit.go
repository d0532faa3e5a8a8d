package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/google/uuid"

	"github.com/parley-voice/parley/internal/compliance"
	"github.com/parley-voice/parley/internal/platform/blob"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret"
)

// writeAudit keeps the old audit trail as it is, once it is proved: it names other ids, which were signed.
func (m *orgImport) writeAudit(ctx context.Context) error {
	path := filepath.Join(m.tmp, "audit")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // removed with its folder
	for {
		b, err := m.piece()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			_, err = f.Write(b)
		}
		if err != nil {
			return err
		}
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	h := sha256.New()
	rep, err := compliance.Verify(io.TeeReader(f, h), compliance.VerifyOptions{})
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "the audit trail in the file does not hold: %v", err)
	}
	if rep.OrganisationID != m.head.OrganisationID {
		return fault.New(fault.Invalid, "the audit trail in the file is another organisation's")
	}
	m.out.ArchiveID = uuid.Must(uuid.NewV7()).String()
	m.archived = map[string]any{"archiveId": m.out.ArchiveID, "installation": m.head.Installation, "organisationId": rep.OrganisationID, "entries": rep.Entries,
		"firstSeq": rep.First, "lastSeq": rep.Last, "lastHash": rep.LastHash, "sha256": hex.EncodeToString(h.Sum(nil)), "exportedAt": m.head.MadeAt}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return m.putAuditArchive(ctx, m.target, m.out.ArchiveID, f)
}

func auditFolder(orgID string) string { return "audit/" + orgID + "/" }

func auditKey(orgID, id string) string { return auditFolder(orgID) + id + ".ndjson" }

// putAuditArchive stores an audit trail of before, encrypted.
func (a *App) putAuditArchive(ctx context.Context, orgID, id string, from io.Reader) error {
	seal, err := a.archiveKey(ctx)
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := seal.NewChunkWriter(w, secret.ChunkConfig{Name: auditKey(orgID, id), Uniform: true})
		if err == nil {
			_, err = io.Copy(c, from)
		}
		if err == nil {
			err = c.Close()
		}
		_ = w.CloseWithError(err) // never fails
	}()
	err = a.blobs.Put(ctx, auditKey(orgID, id), r)
	_ = r.CloseWithError(io.ErrClosedPipe) // never fails; the writer ends
	<-done
	return err
}

// AuditArchive writes an audit trail that came with an organisation, as parley audit verify proves it.
func (a *Admin) AuditArchive(ctx context.Context, organisation, id string, w io.Writer) error {
	if err := a.app.openStores(ctx); err != nil {
		return err
	}
	orgID, err := a.app.identity.FindOrganisation(ctx, organisation)
	if err != nil {
		return err
	}
	if !isID([]byte(id)) {
		return fault.Field("archive", "%q is no id of an archive; the first entry of the audit trail names it", id)
	}
	key := auditKey(orgID, id)
	size, err := a.app.blobs.Size(ctx, key)
	if err != nil {
		return err
	}
	seal, err := a.app.archiveKey(ctx)
	if err != nil {
		return err
	}
	r, err := seal.NewChunkReader(&blobAt{ctx, a.app.blobs, key}, size, key)
	if err != nil {
		return err
	}
	if r.Truncated() {
		return fault.New(fault.Invalid, "the archive is cut")
	}
	_, err = io.Copy(w, r.Reader())
	return err
}

// blobAt reads a blob from any place.
type blobAt struct {
	ctx   context.Context //nolint:containedctx // a ReaderAt has no other way; it lives as long as one read
	blobs *blob.Regions
	key   string
}

// ReadAt implements io.ReaderAt.
func (b *blobAt) ReadAt(p []byte, off int64) (int, error) {
	r, err := b.blobs.GetRange(b.ctx, b.key, off, int64(len(p)))
	if err != nil {
		return 0, err
	}
	n, err := io.ReadFull(r, p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, errors.Join(err, r.Close())
}
