package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-voice/parley/internal/app"
	"github.com/parley-voice/parley/internal/compliance"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// An organisation is erased while the server runs, with a call that goes on: by the API on a shared database, by the command line
// with one of its own. Nothing of it is found anywhere, the certificate proves it, and the neighbour is as it was.
func TestOrganisationIsErased(t *testing.T) {
	engines(t, func(t *testing.T, newURL func(*testing.T) string, ports int) {
		c := settings(t.TempDir(), fmt.Sprintf("%d-%d", 44800+ports*50, 44819+ports*50))
		c.DatabaseURL = newURL(t)
		s, super := openWith(t, c)
		_, neighbours := super.found("Neighbour", "next@example.com", db.Shared)
		furnishHold(t, neighbours)
		converse(t, neighbours, s.SIPAddr())
		was := portrait(neighbours)
		for _, placement := range []string{db.Shared, db.Own} {
			t.Run(placement, func(t *testing.T) {
				id, theirs := super.found(canary+" house", "victim@example.com", placement)
				furnish(t, theirs, s.SIPAddr())
				converse(t, theirs, s.SIPAddr())
				mayBeErased(t, super, theirs, id)
				var o struct{ Address string }
				theirs.want(http.StatusOK, "GET", "/api/v1/organisation", nil, &o)
				running := ring(t, s.SIPAddr(), "sim."+o.Address, "")
				running.answered(t)

				a := admin(t, c)
				defer a.Close()
				var cert compliance.Certificate
				if placement == db.Shared {
					cert = erasedByAPI(t, super, id)
				} else {
					var err error
					if cert, err = a.EraseOrganisation(t.Context(), id, app.EraseRequest{Confirm: canary + " house", Reason: "test", RequestedBy: "test"}); err != nil {
						t.Fatal(err)
					}
				}
				running.over(t)
				checkErased(t, cert, id)
				if _, err := a.EraseOrganisation(t.Context(), id, app.EraseRequest{Confirm: canary + " house"}); !fault.Is(err, fault.NotPossible) {
					t.Errorf("erased twice: %v", err)
				}
				theirs.want(http.StatusUnauthorized, "GET", "/api/v1/me", nil, nil)
				super.want(http.StatusNotFound, "GET", "/api/v1/super/organisations/"+id, nil, nil)
				if r := ring(t, s.SIPAddr(), "sim."+o.Address, "").over(t); r.err == nil {
					t.Errorf("somebody answers for the organisation: %+v", r)
				}
				var found []string
				defer func() {
					if len(found) > 0 {
						t.Errorf("traces of the organisation: %v", found)
					}
				}()
				// The server's own part of it, such as the bus, may come a moment after the certificate.
				eventually(t, "the end of what the server remembers", func() bool {
					found = tracesIn(t, c.DataDir, id)
					return len(found) == 0
				})
			})
		}
		was.compare(t, portrait(neighbours))
		answers(t, neighbours, s.SIPAddr())
	})
}

// mayBeErased asks for the erasure as it is not done, and then removes what keeps it from being done.
func mayBeErased(t *testing.T, super, theirs *client, id string) {
	t.Helper()
	erase := "/api/v1/super/organisations/" + id + "/erase"
	super.want(http.StatusUnprocessableEntity, "POST", erase, map[string]string{"confirm": "another name", "reason": "test"}, nil)
	super.want(http.StatusConflict, "POST", erase, map[string]string{"confirm": canary + " house", "reason": "test"}, nil) // a legal hold
	var holds struct{ Items []struct{ ID string } }
	theirs.want(http.StatusOK, "GET", "/api/v1/legal-holds", nil, &holds)
	for _, h := range holds.Items {
		theirs.want(http.StatusOK, "POST", "/api/v1/legal-holds/"+h.ID+"/release", map[string]string{"reason": "the contract ended"}, nil)
	}
}

// furnishHold gives an organisation one of some things, without the canary.
func furnishHold(t *testing.T, c *client) {
	t.Helper()
	c.want(http.StatusCreated, "POST", "/api/v1/teams", map[string]any{"name": "next door"}, nil)
	c.want(http.StatusCreated, "POST", "/api/v1/legal-holds", map[string]any{"scope": "organisation", "reason": "a case"}, nil)
}

func erasedByAPI(t *testing.T, super *client, id string) (cert compliance.Certificate) {
	t.Helper()
	base := "/api/v1/super/organisations/" + id
	super.want(http.StatusAccepted, "POST", base+"/erase", map[string]string{"confirm": canary + " house", "reason": "test"}, nil)
	var at struct {
		State, Stage string
		Certificate  *compliance.Certificate
	}
	eventually(t, "the end of the erasure", func() bool {
		super.want(http.StatusOK, "GET", base+"/erasure", nil, &at)
		return at.State == "done"
	})
	return *at.Certificate
}

// checkErased proves the certificate and reads what it says.
func checkErased(t *testing.T, cert compliance.Certificate, id string) {
	t.Helper()
	b, err := json.MarshalIndent(cert, "", "  ") // as a person keeps it
	if err != nil {
		t.Fatal(err)
	}
	proved, err := compliance.CheckCertificate(b, app.OrgErasure, nil)
	if err != nil {
		t.Fatal(err)
	}
	var d app.ErasedOrganisation
	if err := json.Unmarshal(proved.Document, &d); err != nil {
		t.Fatal(err)
	}
	if d.OrganisationID != id || d.Tables["calls"].Count < 2 || d.Tables["memberships"].Count != 1 || d.Tables["call_transcript"].SHA256 == "" || d.Blobs == 0 ||
		d.People != 1 || len(d.Proof) < 4 {
		t.Errorf("the certificate says %s", proved.Document)
	}
	for _, l := range d.Proof {
		if l.Found != 0 {
			t.Errorf("%s: %d found", l.Where, l.Found)
		}
	}
	if _, err := compliance.CheckCertificate(bytes.Replace(b, []byte(`"calls"`), []byte(`"colls"`), 1), app.OrgErasure, nil); err == nil {
		t.Error("a certificate that was changed holds")
	}
}

// tracesIn searches the files of a folder for the words of the erased organisation, and their names for its id.
func tracesIn(t *testing.T, dir, id string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil //nolint:nilerr // it went away meanwhile
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil //nolint:nilerr // it went away meanwhile
		}
		switch {
		case bytes.Contains(bytes.ToLower(b), []byte(strings.ToLower(canary))), bytes.Contains(b, []byte("victim@example.com")):
			found = append(found, path)
		case strings.Contains(path, id):
			found = append(found, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
