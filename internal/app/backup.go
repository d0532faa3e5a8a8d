package app

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/parley-voice/parley/internal/platform/secret"
)

// A backup is a compressed tar: the databases' snapshots, the blobs, the spool and, if asked for, the key, with a manifest
// as its last entry, so that a file that was cut is known to be. The databases come first: a recording is stored before
// its row says so, so what the rows name is there.
const (
	backupVersion  = 1
	backupManifest = "manifest.json"
	maxManifest    = 256 << 20
	blobFolder     = "blobs" // in the data folder, and in a region's
)

// BackupManifest says what a backup holds.
type BackupManifest struct {
	Version int          `json:"version"`
	Parley  string       `json:"parley"`
	MadeAt  time.Time    `json:"madeAt"`
	Key     string       `json:"key"`   // tells whether a key is the one that sealed what is inside; not the key
	Blobs   bool         `json:"blobs"` // false: those of the data folder are in a store of their own
	Files   []BackupFile `json:"files"`
}

// BackupFile is one file of a backup.
type BackupFile struct {
	Name         string `json:"name"`
	Bytes        int64  `json:"bytes"`
	SHA256       string `json:"sha256"`
	Organisation string `json:"organisation,omitempty"` // whose own database it is
	Region       string `json:"region,omitempty"`       // whose folder it is in; "" is the data folder
}

func keyCheck(k *secret.Key) string {
	if k == nil { // a key service has the key
		return ""
	}
	sum := sha256.Sum256(k.Derive("backup check"))
	return hex.EncodeToString(sum[:8])
}

// Backup writes everything of the embedded mode into one file while the server runs.
func (a *Admin) Backup(ctx context.Context, file string, withKey bool) (m BackupManifest, err error) {
	c := &a.app.cfg
	tmp, err := os.MkdirTemp(filepath.Dir(file), ".parley-backup-*")
	if err != nil {
		return m, fmt.Errorf("make the backup: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	snaps, err := a.app.db.SnapshotTo(ctx, tmp)
	if err != nil {
		return m, err
	}
	part := filepath.Join(tmp, "part") // made with 0600: it holds password hashes and, maybe, the key
	f, err := os.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return m, err
	}
	defer func() { _ = f.Close() }() // closed and checked below; this is for errors
	zip, _ := gzip.NewWriterLevel(f, gzip.BestSpeed)
	w := &backupWriter{tar: tar.NewWriter(zip), ctx: ctx}
	w.m = BackupManifest{Version: backupVersion, Parley: a.app.version, MadeAt: a.app.clock.Now().UTC(), Key: keyCheck(a.app.key), Blobs: c.BlobURL == ""}
	for _, s := range snaps {
		name := "parley.db"
		if s.OrganisationID != "" {
			name = path.Join("org", s.Region, s.Database)
		}
		if err := w.add(s.Path, BackupFile{Name: name, Organisation: s.OrganisationID, Region: s.Region}); err != nil {
			return m, err
		}
	}
	if err := w.tree(c.DataDir, "spool", ""); err != nil {
		return m, err
	}
	places := c.places()
	for _, region := range slices.Sorted(maps.Keys(places)) { // "" is the data folder's
		if files := places[region].files; files.URL == "" { // else they are in a store of their own
			if err := w.tree(files.DataDir, blobFolder, region); err != nil {
				return m, err
			}
		}
	}
	if withKey && c.Key == "" {
		if err := w.add(filepath.Join(c.DataDir, "key"), BackupFile{Name: "key"}); err != nil {
			return m, err
		}
	}
	if err := errors.Join(w.finish(), zip.Close(), f.Sync(), f.Close()); err != nil {
		return m, fmt.Errorf("write the backup: %w", err)
	}
	return w.m, os.Rename(part, file)
}

type backupWriter struct {
	tar *tar.Writer
	ctx context.Context //nolint:containedctx // it lives as long as one Backup
	m   BackupManifest
}

// tree adds the files of a folder in a region's, or in the data folder. One that goes away meanwhile was moved to the blobs, which come later, or deleted.
func (w *backupWriter) tree(dir, folder, region string) error {
	err := filepath.WalkDir(filepath.Join(dir, folder), func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !e.Type().IsRegular() || strings.HasPrefix(e.Name(), ".") {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		if region != "" {
			name = path.Join("region", region, name)
		}
		err = w.add(p, BackupFile{Name: name, Region: region})
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return err
}

// add writes a file as long as it was when it was opened: files of running calls grow.
func (w *backupWriter) add(from string, e BackupFile) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	e.Bytes = info.Size()
	if err := w.tar.WriteHeader(&tar.Header{Name: e.Name, Mode: 0o600, Size: e.Bytes, ModTime: info.ModTime()}); err != nil {
		return err
	}
	h := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(w.tar, h), f, e.Bytes); err != nil {
		return fmt.Errorf("back up %s: %w", e.Name, err)
	}
	e.SHA256 = hex.EncodeToString(h.Sum(nil))
	w.m.Files = append(w.m.Files, e)
	return nil
}

func (w *backupWriter) finish() error {
	b, err := json.MarshalIndent(w.m, "", " ")
	if err != nil {
		return err
	}
	if err := w.tar.WriteHeader(&tar.Header{Name: backupManifest, Mode: 0o600, Size: int64(len(b))}); err != nil {
		return err
	}
	_, err = w.tar.Write(b)
	return errors.Join(err, w.tar.Close())
}
