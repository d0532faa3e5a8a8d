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
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret"
)

// A backup is a compressed tar: the databases' snapshots, the blobs, the spool and, if asked for, the key, with a manifest
// as its last entry, so that a file that was cut is known to be. The databases come first: a recording is stored before
// its row says so, so what the rows name is there.
const (
	backupVersion  = 1
	backupManifest = "manifest.json"
	maxManifest    = 256 << 20
)

// BackupManifest says what a backup holds.
type BackupManifest struct {
	Version int          `json:"version"`
	Parley  string       `json:"parley"`
	MadeAt  time.Time    `json:"madeAt"`
	Key     string       `json:"key"`   // tells whether a key is the one that sealed what is inside; not the key
	Blobs   bool         `json:"blobs"` // false: they are in a store of their own
	Files   []BackupFile `json:"files"`
}

// BackupFile is one file of a backup.
type BackupFile struct {
	Name         string `json:"name"`
	Bytes        int64  `json:"bytes"`
	SHA256       string `json:"sha256"`
	Organisation string `json:"organisation,omitempty"` // whose own database it is
	Region       string `json:"region,omitempty"`
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
	folders := []string{"spool"}
	if w.m.Blobs {
		folders = append(folders, "blobs")
	}
	for _, folder := range folders {
		if err := w.tree(c.DataDir, folder); err != nil {
			return m, err
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

// tree adds a folder's files. One that goes away meanwhile was moved to the blobs, which come later, or deleted.
func (w *backupWriter) tree(dir, folder string) error {
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
		err = w.add(p, BackupFile{Name: filepath.ToSlash(rel)})
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

// Restore puts a backup into an empty data folder. Everything is unpacked beside it and verified first: hashes,
// the databases' integrity, and that the key is the one that sealed what is inside.
func Restore(ctx context.Context, c Config, file string) (m BackupManifest, err error) {
	if c.DatabaseURL != "" {
		return m, badSetting("database-url", "leave it empty; for PostgreSQL see docs/backup.md", "a backup restores the embedded mode")
	}
	for _, name := range []string{"parley.db", "org", "blobs", "spool"} {
		if left, err := os.ReadDir(filepath.Join(c.DataDir, name)); err == nil && len(left) == 0 {
			continue
		}
		if _, err := os.Lstat(filepath.Join(c.DataDir, name)); err == nil {
			return m, fault.New(fault.Conflict, "there is data in %s already (%s); restore into an empty folder", c.DataDir, name)
		}
	}
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return m, err
	}
	tmp, err := os.MkdirTemp(c.DataDir, ".restore-*")
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	if m, err = unpack(ctx, file, tmp); err != nil {
		return m, err
	}
	for _, f := range m.Files {
		if f.Name == "parley.db" || f.Organisation != "" {
			if err := db.CheckFile(ctx, filepath.Join(tmp, filepath.FromSlash(f.Name))); err != nil {
				return m, err
			}
		}
	}
	if err := checkKey(c, tmp, m); err != nil {
		return m, err
	}
	return m, install(c, tmp, m)
}

// unpack extracts and compares with the manifest.
func unpack(ctx context.Context, file, to string) (m BackupManifest, err error) {
	f, err := os.Open(file)
	if err != nil {
		return m, fmt.Errorf("open the backup: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	zip, err := gzip.NewReader(f)
	if err != nil {
		return m, fault.Wrap(fault.Invalid, err, "%s is no backup", file)
	}
	got := map[string]string{}
	for r := tar.NewReader(zip); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return m, fault.New(fault.Invalid, "the backup is cut: it has no manifest at its end")
		}
		if err != nil {
			return m, fault.Wrap(fault.Invalid, err, "the backup cannot be read: it was cut or changed")
		}
		if err := ctx.Err(); err != nil {
			return m, err
		}
		if h.Name == backupManifest {
			b, err := io.ReadAll(io.LimitReader(r, maxManifest))
			if err == nil {
				err = json.Unmarshal(b, &m)
			}
			if err != nil {
				return m, fault.Wrap(fault.Invalid, err, "the backup's manifest cannot be read")
			}
			return m, compareManifest(m, got)
		}
		if h.Typeflag != tar.TypeReg || !filepath.IsLocal(filepath.FromSlash(h.Name)) {
			return m, fault.New(fault.Invalid, "the backup has an entry %q, which none of ours has", h.Name)
		}
		if got[h.Name], err = extract(r, filepath.Join(to, filepath.FromSlash(h.Name))); err != nil {
			return m, err
		}
	}
}

func compareManifest(m BackupManifest, got map[string]string) error {
	if m.Version != backupVersion {
		return fault.New(fault.Invalid, "the backup is of version %d, this Parley reads %d; use the Parley that made it (%s)", m.Version, backupVersion, m.Parley)
	}
	for _, f := range m.Files {
		if got[f.Name] != f.SHA256 {
			return fault.New(fault.Invalid, "the backup was changed: %s is not what was written", f.Name)
		}
	}
	if len(got) != len(m.Files) {
		return fault.New(fault.Invalid, "the backup was changed: it has %d files, its manifest names %d", len(got), len(m.Files))
	}
	return nil
}

func extract(r io.Reader, to string) (string, error) {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return "", err
	}
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, h), r)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", fault.Wrap(fault.Invalid, err, "the backup cannot be read: it was cut or changed")
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// checkKey finds out before anything is put in place that nobody could read it.
func checkKey(c Config, tmp string, m BackupManifest) error {
	dir := c.DataDir
	if m.Key == "" {
		return nil // the key service says so at the start, when it is another one
	}
	if _, err := os.Stat(filepath.Join(tmp, "key")); err == nil {
		dir = tmp
	} else if _, err := os.Stat(filepath.Join(dir, "key")); c.Key == "" && err != nil {
		return fault.New(fault.Invalid, "the backup holds no key; set PARLEY_KEY, or put the key file into %s first", dir)
	}
	k, err := secret.LoadKey(c.Key, dir)
	if err != nil {
		return err
	}
	if keyCheck(k) != m.Key {
		return fault.New(fault.Invalid, "the key is not the one the backup was made with: recordings and secrets could not be read")
	}
	return nil
}

// install moves the files to their places, the master's database last: without it there is no installation.
func install(c Config, tmp string, m BackupManifest) error {
	regions := c.regions()
	var master BackupFile
	for _, f := range m.Files {
		to := filepath.Join(c.DataDir, filepath.FromSlash(f.Name))
		switch {
		case f.Name == "parley.db":
			master = f
			continue
		case f.Name == "key":
			if _, err := os.Stat(to); err == nil {
				continue // the same one, as was checked
			}
		case f.Region != "":
			dir, ok := regions[f.Region]
			if !ok {
				return fault.New(fault.Invalid, "the backup has a database of the region %q; add it to the setting regions (PARLEY_REGIONS)", f.Region)
			}
			to = filepath.Join(dir, path.Base(f.Name))
		}
		if err := place(filepath.Join(tmp, filepath.FromSlash(f.Name)), to); err != nil {
			return err
		}
	}
	return place(filepath.Join(tmp, master.Name), filepath.Join(c.DataDir, "parley.db"))
}

func place(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	if _, err := os.Lstat(to); err == nil {
		return fault.New(fault.Conflict, "%s is there already; restore into an empty folder", to)
	}
	return os.Rename(from, to)
}
