package app_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/parley-voice/parley/internal/app"
)

// An owner asks for a file of the organisation, follows how far it is, downloads it and removes it. It is the file that
// parley org export writes.
func TestOwnerTakesTheOrganisationOut(t *testing.T) {
	engines(t, func(t *testing.T, newURL func(*testing.T) string, ports int) {
		c := settings(t.TempDir(), []string{"44420-44429", "44430-44439"}[ports])
		c.DatabaseURL = newURL(t)
		_, super := openWith(t, c)
		org, owner := super.found("Practice", "practice@example.com", []string{"own", "shared"}[ports])
		owner.want(http.StatusCreated, "POST", "/api/v1/models", map[string]any{"name": "box", "baseUrls": map[string]string{"llm": "http://127.0.0.1:1/v1"},
			"keys": map[string]string{"llm": "sk-one"}}, nil)
		const path, pass = "/api/v1/organisation/exports", "four horses in a field"
		owner.invite("praxis-admin@example.com", "admin").want(http.StatusForbidden, "POST", path, map[string]string{"passphrase": pass}, nil)
		owner.want(http.StatusUnprocessableEntity, "POST", path, map[string]string{"passphrase": "short"}, nil)
		var made struct {
			ID, State, Error string
			Bytes            int64
			File             *struct{ Rows map[string]int64 }
		}
		owner.want(http.StatusAccepted, "POST", path, map[string]string{"passphrase": pass}, &made)
		eventually(t, "the file", func() bool {
			owner.want(http.StatusOK, "GET", path+"/"+made.ID, nil, &made)
			return made.State == "ready" || made.State == "failed"
		})
		if made.State != "ready" || made.File == nil || made.File.Rows["models"] != 1 || made.File.Rows["organisation_exports"] != 0 {
			t.Fatalf("%+v", made)
		}
		res, b := owner.ask("GET", path+"/"+made.ID+"/file", nil)
		if res.StatusCode != http.StatusOK || int64(len(b)) != made.Bytes || res.Header.Get("Content-Disposition") == "" {
			t.Fatalf("%d with %d bytes of %d", res.StatusCode, len(b), made.Bytes)
		}
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		seen, err := app.InspectOrganisation(t.Context(), file, pass)
		if err != nil || seen.OrganisationID != org || seen.Name != "Practice" || seen.Tables["models"].Count != 1 || seen.AuditSeq == 0 {
			t.Errorf("%+v, %v", seen, err)
		}
		if left, err := filepath.Glob(filepath.Join(c.DataDir, ".export-*")); err != nil || len(left) != 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
		owner.want(http.StatusNoContent, "DELETE", path+"/"+made.ID, nil, nil)
		owner.want(http.StatusNotFound, "GET", path+"/"+made.ID+"/file", nil, nil)
		if _, err := os.Stat(filepath.Join(c.DataDir, "blobs", "exports", org, made.ID)); !os.IsNotExist(err) {
			t.Errorf("the file is kept: %v", err)
		}
		// A person's erasure takes the same way to its job.
		var erasure struct{ ID, State string }
		owner.want(http.StatusAccepted, "POST", "/api/v1/persons/erasures", map[string]string{"subject": "+4930123456", "reason": "asked"}, &erasure)
		eventually(t, "the erasure", func() bool {
			owner.want(http.StatusOK, "GET", "/api/v1/persons/erasures/"+erasure.ID, nil, &erasure)
			return erasure.State == "done"
		})
		for _, action := range []string{"request", "ready", "download", "remove"} {
			owner.audited("organisation.export."+action, made.ID)
		}
	})
}
