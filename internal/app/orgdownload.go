package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/parley-voice/parley/internal/compliance"
	"github.com/parley-voice/parley/internal/platform/archive"
	"github.com/parley-voice/parley/internal/platform/jobs"
)

// exportPrefix begins the names of folders in the data folder in which a file is written before it is stored; what a killed
// process left is removed by the next import or export.
const exportPrefix = ".export-"

// blobExports is the first part of the keys of files of whole organisations.
const blobExports = "exports"

// orgFiles makes the files that owners ask for: as parley org export, and kept with the organisation's recordings, in its
// region, where every process finds them.
type orgFiles struct{ a *App }

func orgFileKey(orgID, id string) string { return blobExports + "/" + orgID + "/" + id }

// Make implements compliance.OrganisationFiles.
func (o orgFiles) Make(ctx context.Context, orgID, id, passphrase string, told func(stage string, bytes int64)) (out compliance.OrganisationFile, err error) {
	if err := o.a.clearStaging(); err != nil {
		return out, err
	}
	dir, err := os.MkdirTemp(o.a.cfg.DataDir, exportPrefix+"*")
	if err != nil {
		return out, fmt.Errorf("make a folder for the file: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "file")
	made, err := o.a.exportOrganisation(ctx, orgID, path, passphrase, "asked for by an owner", told)
	if err != nil {
		return out, err
	}
	f, err := os.Open(path)
	if err != nil {
		return out, err
	}
	defer f.Close() //nolint:errcheck // only read
	st, err := f.Stat()
	if err != nil {
		return out, err
	}
	told("storing", st.Size())
	if err := o.a.blobs.Put(ctx, orgFileKey(orgID, id), f); err != nil {
		return out, err
	}
	out = compliance.OrganisationFile{Bytes: st.Size(), Rows: counts(made.Tables), Files: counts(made.Files), CallsLeftOut: made.CallsLeftOut,
		FilesGone: made.FilesGone, Damaged: len(made.Damaged)}
	return out, nil
}

func counts(totals map[string]archive.Total) map[string]int64 {
	out := map[string]int64{}
	for name, t := range totals {
		out[name] = t.Count
	}
	return out
}

// CheckPassphrase implements compliance.OrganisationFiles.
func (orgFiles) CheckPassphrase(passphrase string) error { return archive.CheckPassphrase(passphrase) }

// Open implements compliance.OrganisationFiles.
func (o orgFiles) Open(ctx context.Context, orgID, id string) (io.ReadCloser, error) {
	return o.a.blobs.Get(ctx, orgFileKey(orgID, id))
}

// Remove implements compliance.OrganisationFiles.
func (o orgFiles) Remove(ctx context.Context, orgID, id string) error {
	return o.a.blobs.Delete(ctx, orgFileKey(orgID, id))
}

// exportOrg is the job that makes a file of an organisation.
type exportOrg struct {
	ID string `json:"id"`
}

// Kind implements jobs.Args.
func (exportOrg) Kind() string { return "organisation.export" }

// expireExports is the hourly job that removes files that were kept long enough.
type expireExports struct{}

// Kind implements jobs.Args.
func (expireExports) Kind() string { return "organisation.export.expire" }

// registerExports registers the jobs.
func (a *App) registerExports() error {
	err := jobs.Register(a.jobs, jobs.KindConfig{Timeout: orgFileTimeout}, func(ctx context.Context, org string, e exportOrg) error {
		return a.trails.CarryExport(ctx, org, e.ID)
	})
	if err != nil {
		return err
	}
	err = jobs.Register(a.jobs, jobs.KindConfig{}, func(ctx context.Context, _ string, _ expireExports) error { return a.trails.ExpireExports(ctx) })
	if err != nil {
		return err
	}
	return jobs.Every(a.jobs, time.Hour, expireExports{})
}
