package app_test

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
)

type shownMove struct {
	State, Problem string
	Rows, Total    int64
	From, To       struct{ Placement, Region string }
}

// moves gives an organisation's moves, latest first.
func (c *client) moves(org string) []shownMove {
	c.t.Helper()
	var page struct{ Items []shownMove }
	c.want(http.StatusOK, "GET", "/api/v1/super/organisations/"+org+"/moves", nil, &page)
	return page.Items
}

// filesOf counts an organisation's recordings and event logs in a store.
func filesOf(t *testing.T, folder, org string) (n int) {
	t.Helper()
	_ = filepath.WalkDir(filepath.Join(folder, "calls", org), func(_ string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			n++
		}
		return nil // a folder that is not there has none
	})
	return n
}

// A super-admin moves an organisation from one region to another through the API: its records, its recordings and the index
// of what was said are there afterwards, and nowhere else.
func TestMoveThroughTheAPI(t *testing.T) {
	engines(t, func(t *testing.T, newURL func(*testing.T) string, ports int) {
		dir := t.TempDir()
		c := settings(filepath.Join(dir, "data"), fmt.Sprintf("44%d-44%d", 360+ports*20, 379+ports*20))
		blobs := map[string]string{"": filepath.Join(c.DataDir, "blobs"), "near": filepath.Join(dir, "near", "blobs"), "far": filepath.Join(dir, "far", "blobs")}
		if c.DatabaseURL = newURL(t); c.DatabaseURL == "" {
			c.Regions = "near=" + filepath.Join(dir, "near") + " far=" + filepath.Join(dir, "far")
		} else {
			base, query, _ := strings.Cut(c.DatabaseURL, "?")
			c.Regions = "near=" + base[:strings.LastIndexByte(base, '/')] + "/{database}?" + query + " far=" + dbtest.RegionURL(t)
			c.RegionBlobs = "near=file://" + blobs["near"] + " far=file://" + blobs["far"]
		}
		s, super := openWith(t, c)
		org, owner := super.found("Moving house", "mover@example.com", db.Shared)
		call := func() string {
			var address struct{ Address string }
			owner.want(http.StatusOK, "GET", "/api/v1/organisation", nil, &address)
			known := []string{}
			for _, k := range owner.calls("") {
				known = append(known, k.ID)
			}
			p := ring(t, s.SIPAddr(), "sim."+address.Address, "")
			p.answered(t)
			id := owner.newest(known...).ID
			eventually(t, "the greeting, and a file of the recording", func() bool {
				_, err := os.Stat(filepath.Join(c.DataDir, "spool", id+".rec"))
				return err == nil && len(owner.transcript(id)) > 0
			})
			owner.want(http.StatusAccepted, "POST", "/api/v1/calls/"+id+"/hangup", nil, nil)
			p.over(t)
			owner.kept(id)
			return id
		}
		ids := []string{call()}
		path := "/api/v1/super/organisations/" + org + "/move"
		for n, to := range []struct{ placement, region string }{{db.Own, "near"}, {db.Own, "far"}, {db.Shared, ""}} {
			super.want(http.StatusAccepted, "POST", path, map[string]string{"placement": to.placement, "region": to.region}, nil)
			eventually(t, "the end of the move", func() bool {
				m := super.moves(org)
				if m[0].Problem != "" {
					t.Fatalf("the move failed: %s", m[0].Problem)
				}
				return len(m) == n+1 && m[0].State == "moved" && m[0].To.Region == to.region && m[0].Rows > 0
			})
			ids = append(ids, call())
			for _, id := range ids {
				if res, b := owner.ask("GET", "/api/v1/calls/"+id+"/recording", nil); res.StatusCode != http.StatusOK || len(b) < 44 {
					t.Errorf("recording of %s: %d", id, res.StatusCode)
				}
			}
			for region, folder := range blobs {
				if got := filesOf(t, folder, org); (got != 0) != (region == to.region) {
					t.Errorf("%d files in region %q, and the organisation is in %q", got, region, to.region)
				}
			}
			var shown struct {
				Region, Placement string
				Residency         struct{ Name, Database, Files string }
			}
			owner.want(http.StatusOK, "GET", "/api/v1/organisation", nil, &shown)
			if shown.Region != to.region || shown.Residency.Name != to.region || shown.Residency.Files != blobs[to.region] || shown.Residency.Database == "" {
				t.Errorf("shown %+v", shown)
			}
			if c.DatabaseURL == "" || to.region == "" { // on PostgreSQL the regions have no index
				words := strings.Fields(owner.transcript(ids[0])[0].Text)
				eventually(t, "the index of what was said", func() bool { return len(owner.calls("?q="+words[len(words)-1])) == len(ids) })
			}
		}
		for want, b := range map[int]map[string]string{http.StatusConflict: {"placement": "shared"}, http.StatusUnprocessableEntity: {"placement": "own", "region": "moon"}} {
			super.want(want, "POST", path, b, nil)
		}
		super.want(http.StatusNotFound, "POST", path+"/cancel", nil, nil)
		super.want(http.StatusNotFound, "POST", "/api/v1/super/organisations/nobody/move", map[string]string{"placement": "own"}, nil)
		eventually(t, "the audit trail", func() bool {
			var page struct{ Items []struct{ Action string } }
			owner.want(http.StatusOK, "GET", "/api/v1/audit?limit=100", nil, &page)
			n := map[string]int{}
			for _, e := range page.Items {
				n[e.Action]++
			}
			return n["organisation.move"] == 3 && n["organisation.moved"] == 3
		})
	})
}
