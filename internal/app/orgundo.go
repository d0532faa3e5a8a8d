package app

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/parley-voice/parley/internal/campaign"
	"github.com/parley-voice/parley/internal/campaign/donotcall"
	"github.com/parley-voice/parley/internal/platform/db"
)

// importDetail is what the note of an import says.
type importDetail struct {
	Into bool `json:"into"`
}

// clearImports removes what imports left that nobody works on any more.
func (a *App) clearImports(ctx context.Context) error {
	tasks, err := a.db.Tasks(ctx, db.TaskImport, "")
	if err != nil {
		return err
	}
	var all error
	for _, t := range tasks {
		if a.clock.Now().Sub(time.UnixMilli(t.SeenAt)) < orgTaskDead {
			continue
		}
		var d importDetail
		err := json.Unmarshal([]byte(t.Detail), &d)
		if err == nil {
			err = a.undoImport(ctx, t.OrganisationID, d.Into)
		}
		all = errors.Join(all, err)
	}
	return errors.Join(all, a.clearStaging())
}

// clearStaging removes folders of imports and exports that ended long ago.
func (a *App) clearStaging() error {
	var all error
	for _, prefix := range []string{stagingPrefix, exportPrefix} {
		old, err := filepath.Glob(filepath.Join(a.cfg.DataDir, prefix+"*"))
		all = errors.Join(all, err)
		for _, dir := range old {
			if st, err := os.Stat(dir); err == nil && a.clock.Now().Sub(st.ModTime()) > orgFileTimeout {
				all = errors.Join(all, os.RemoveAll(dir))
			}
		}
	}
	return all
}

// undoImport removes everything that an import has written.
func (a *App) undoImport(ctx context.Context, orgID string, into bool) error {
	ctx, cancel := context.WithTimeout(ctx, orgFileTimeout)
	defer cancel()
	var err error
	if into {
		tables, e := a.carried(ctx)
		if e == nil {
			e = a.db.Within(ctx, orgID, "take an import back", func(ctx context.Context, in *db.DB) error { return in.Empty(ctx, orgID, tables) })
		}
		if e == nil {
			e = a.db.ReleaseAll(ctx, orgID)
		}
		if e == nil {
			e = a.agents.Seed(ctx, orgID)
		}
		err = e
	} else {
		err = a.db.Unplace(ctx, orgID)
	}
	_, e := a.eraseBlobs(ctx, orgID)
	err = errors.Join(err, e, a.search.Drop(ctx, orgID))
	if err != nil {
		return err // the note stays, and the next import tries again
	}
	return a.db.InSystem(ctx, "take an import back", func(ctx context.Context, tx *db.Tx) error { return tx.EndTask(ctx, orgID) })
}

// blobFolders are where an organisation's blobs are.
func blobFolders(orgID string) []string {
	return []string{"calls/" + orgID + "/", auditFolder(orgID), orgFileKey(orgID, ""), donotcall.Folder(orgID), campaign.BlobKind + "/" + orgID + "/"}
}
