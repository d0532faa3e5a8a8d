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
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret"
)

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
	places, err := destinations(c, m)
	if err != nil {
		return err
	}
	master := filepath.Join(c.DataDir, "parley.db")
	for name, to := range places {
		if to == master {
			continue
		}
		if err := place(filepath.Join(tmp, filepath.FromSlash(name)), to); err != nil {
			return err
		}
	}
	return place(filepath.Join(tmp, "parley.db"), master)
}

// destinations tells where each file goes, before one is moved: a place that is taken, or that the settings do not name,
// is found out while nothing has been done yet.
func destinations(c Config, m BackupManifest) (map[string]string, error) {
	regions, out := c.regions(), map[string]string{}
	for _, f := range m.Files {
		to := filepath.Join(c.DataDir, filepath.FromSlash(f.Name))
		if f.Region != "" {
			dir, ok := regions[f.Region]
			if !ok {
				return nil, fault.New(fault.Invalid, "the backup has files of the region %q; add it to the setting regions (PARLEY_REGIONS)", f.Region)
			}
			name := path.Base(f.Name)
			if f.Organisation == "" {
				name = strings.TrimPrefix(f.Name, path.Join("region", f.Region)+"/")
			}
			to = filepath.Join(dir, filepath.FromSlash(name))
		}
		_, err := os.Lstat(to)
		if err == nil && f.Name == "key" {
			continue // the same one, as was checked
		}
		if err == nil {
			return nil, fault.New(fault.Conflict, "%s is there already; restore into an empty folder", to)
		}
		out[f.Name] = to
	}
	return out, nil
}

// place moves a file, to another file system if need be.
func place(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	err := os.Rename(from, to)
	if !errors.Is(err, syscall.EXDEV) {
		return err
	}
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	part := to + ".part"
	if _, err := extract(f, part); err != nil {
		return errors.Join(err, os.Remove(part))
	}
	return os.Rename(part, to)
}
