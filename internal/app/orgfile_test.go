package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/parley-voice/parley/internal/app"
	"github.com/parley-voice/parley/internal/compliance"
	"github.com/parley-voice/parley/internal/platform/db"
)

const filePass = "a passphrase for the file"

// An organisation goes through a file: beside the original with other ids, and to another installation with its own. Counts
// and hashes are equal, the call's words and sound too, and its agents answer. While the file is written somebody writes.
func TestOrganisationGoesElsewhere(t *testing.T) {
	engines(t, func(t *testing.T, newURL func(*testing.T) string, ports int) {
		// From one placement to the other, on each engine from another one.
		for _, placement := range [][]string{{db.Shared}, {db.Own}}[ports] {
			t.Run(placement, func(t *testing.T) {
				low := 44400 + ports*100
				elsewhere := map[string]string{db.Shared: db.Own, db.Own: db.Shared}[placement]
				c := settings(t.TempDir(), fmt.Sprintf("%d-%d", low, low+19))
				c.DatabaseURL = newURL(t)
				s, super := openWith(t, c)
				from, theirs := super.found(canary+" house", "victim@example.com", placement)
				furnish(t, theirs, s.SIPAddr())
				converse(t, theirs, s.SIPAddr())
				was := portrait(theirs)

				file := filepath.Join(t.TempDir(), "house.parley")
				stop := writeConsents(t, theirs)
				a := admin(t, c)
				defer a.Close()
				f, err := a.ExportOrganisation(t.Context(), canary+" house", file, filePass)
				stop()
				if err != nil {
					t.Fatal(err)
				}
				if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o600 {
					t.Errorf("%v %v, want a file for its owner only", st, err)
				}
				if seen, err := app.InspectOrganisation(t.Context(), file, filePass); err != nil || seen.Tables["calls"] != f.Tables["calls"] || seen.Files["recording"].Count != 2 ||
					seen.OrganisationID != from || seen.AuditSeq == 0 {
					t.Errorf("inspected %+v, %v", seen, err)
				}

				beside, err := a.ImportOrganisation(t.Context(), file, filePass, app.OrgImport{Name: "Beside", Placement: elsewhere})
				if err != nil {
					t.Fatal(err)
				}
				if !beside.OtherIDs || beside.OrganisationID == from || len(beside.NewPeople) != 0 || beside.Renamed[strings.ToLower(canary)] == "" {
					t.Errorf("beside the original: %+v", beside)
				}
				sameCounts(t, f, beside)
				copied := theirs.visitor()
				res, b := copied.ask("POST", "/api/v1/auth/sign-in", map[string]string{"email": "victim@example.com", "password": password})
				copied = copied.signedIn(res, b)
				res, b = copied.ask("POST", "/api/v1/me/organisation", map[string]string{"organisationId": beside.OrganisationID})
				copied = copied.signedIn(res, b)
				is := portrait(copied)
				was.compare(t, is)
				if is.id == was.id {
					t.Error("the call beside the original has its id")
				}
				answers(t, copied, s.SIPAddr())
				was.compare(t, portrait(theirs)) // the original is as it was
				archivedTrail(t, a, beside.OrganisationID, beside.ArchiveID, from)

				there := settings(t.TempDir(), fmt.Sprintf("%d-%d", low+40, low+59))
				there.DatabaseURL = newURL(t)
				b2 := admin(t, there)
				moved, err := b2.ImportOrganisation(t.Context(), file, filePass, app.OrgImport{Placement: elsewhere})
				b2.Close()
				if err != nil {
					t.Fatal(err)
				}
				if moved.OtherIDs || moved.OrganisationID != from || len(moved.NewPeople) != 1 || len(moved.Renamed) != 0 {
					t.Errorf("elsewhere: %+v", moved)
				}
				for name, total := range moved.Tables {
					if f.Tables[name].Count != total.Count || name != "models" && name != "phones" && name != "trunks" && f.Tables[name].SHA256 != total.SHA256 {
						t.Errorf("%s: %+v elsewhere, %+v in the file", name, total, f.Tables[name])
					}
				}
				s2 := start(t, there)
				arrived := newClient(t, "http://"+s2.HTTPAddr())
				token := invitationToken.FindStringSubmatch(moved.OwnerLinks["victim@example.com"])
				if token == nil {
					t.Fatalf("links %v", moved.OwnerLinks)
				}
				arrived.want(http.StatusNoContent, "POST", "/api/v1/auth/reset", map[string]string{"token": token[1], "password": password}, nil)
				res, b = arrived.ask("POST", "/api/v1/auth/sign-in", map[string]string{"email": "victim@example.com", "password": password})
				arrived = arrived.signedIn(res, b)
				now := portrait(arrived)
				was.compare(t, now)
				if now.id != was.id {
					t.Errorf("the call is %s elsewhere, was %s", now.id, was.id)
				}
				answers(t, arrived, s2.SIPAddr())
			})
		}
	})
}

// writeConsents writes while something else is done.
func writeConsents(t *testing.T, c *client) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done, wrote := make(chan struct{}), make(chan struct{}, 1)
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			res, b, err := c.try("POST", "/api/v1/consents", map[string]any{"subject": fmt.Sprintf("+49301%06d", i), "scope": "calls", "source": "writer"})
			if err != nil || res.StatusCode != http.StatusCreated {
				t.Errorf("a writer beside an export: %v %s", err, b)
				return
			}
			select {
			case wrote <- struct{}{}:
			default:
			}
		}
	}()
	<-wrote
	return func() { cancel(); <-done }
}

// look is what can be seen of an organisation that was furnished.
type look struct {
	id                                    string
	transcript                            []item
	sound                                 []byte
	events                                int
	agents, teams, people, phones, trunks []string
}

func portrait(c *client) (p look) {
	c.t.Helper()
	names := func(path, field string) (out []string) {
		var page struct{ Items []map[string]any }
		c.want(http.StatusOK, "GET", path, nil, &page)
		for _, it := range page.Items {
			out = append(out, fmt.Sprint(it[field]))
		}
		slices.Sort(out) // lists are in the order of ids
		return out
	}
	for _, k := range c.calls("") {
		if k.Turns > 0 {
			p.id = k.ID
		}
	}
	p.transcript, p.events = c.transcript(p.id), len(c.events(p.id))
	res, b := c.ask("GET", "/api/v1/calls/"+p.id+"/recording", nil)
	if res.StatusCode != http.StatusOK {
		c.t.Fatalf("the recording: %d %s", res.StatusCode, b)
	}
	p.sound = b
	p.trunks = append(names("/api/v1/trunks", "passwordSet"), names("/api/v1/caller-numbers", "number")...)
	p.agents, p.teams, p.people, p.phones = names("/api/v1/agents", "slug"), names("/api/v1/teams", "name"), names("/api/v1/members", "email"), names("/api/v1/phones", "displayName")
	return p
}

func (p look) compare(t *testing.T, o look) {
	t.Helper()
	for what, pair := range map[string][2]any{
		"transcript": {p.transcript, o.transcript}, "events": {p.events, o.events}, "agents": {p.agents, o.agents}, "teams": {p.teams, o.teams},
		"people": {p.people, o.people}, "phones": {p.phones, o.phones}, "trunks": {p.trunks, o.trunks},
	} {
		a, _ := json.Marshal(pair[0])
		b, _ := json.Marshal(pair[1])
		if !bytes.Equal(a, b) {
			t.Errorf("%s: %s, were %s", what, b, a)
		}
	}
	if len(p.transcript) == 0 || p.events == 0 || len(p.agents) == 0 {
		t.Errorf("nothing to compare: %+v", p)
	}
	if !bytes.Equal(p.sound, o.sound) {
		t.Errorf("the recording differs: %d bytes, were %d", len(o.sound), len(p.sound))
	}
}

// sameCounts compares what was imported with what the file says.
func sameCounts(t *testing.T, f app.OrgFile, r app.OrgImported) {
	t.Helper()
	if f.Tables["calls"].Count != 2 || f.Tables["consents"].Count < 2 || f.Tables["call_transcript"].Count == 0 {
		t.Errorf("the file has %+v", f.Tables)
	}
	for name, total := range r.Tables {
		if total.Count != f.Tables[name].Count {
			t.Errorf("%s has %d rows, in the file are %d", name, total.Count, f.Tables[name].Count)
		}
	}
}

// converse has somebody talk with an agent of an organisation until it has answered.
func converse(t *testing.T, c *client, sipAddr string) {
	t.Helper()
	hold(t, c, sipAddr, question(t), func(id string) {
		eventually(t, "the agent's answer", func() bool { return said(c.transcript(id), "agent", 1) })
	})
}

// hold calls an organisation's agent, and hangs up after something was done.
func hold(t *testing.T, c *client, sipAddr, wav string, do func(id string)) {
	t.Helper()
	var o struct{ Address string }
	c.want(http.StatusOK, "GET", "/api/v1/organisation", nil, &o)
	before := c.calls("")
	known := make([]string, len(before))
	for i, k := range before {
		known[i] = k.ID
	}
	p := ring(t, sipAddr, "sim."+o.Address, wav)
	p.answered(t)
	id := c.newest(known...).ID
	do(id)
	c.want(http.StatusAccepted, "POST", "/api/v1/calls/"+id+"/hangup", nil, nil)
	p.over(t)
	c.kept(id)
}

// answers proves that an organisation's agents take calls.
func answers(t *testing.T, c *client, sipAddr string) {
	t.Helper()
	hold(t, c, sipAddr, "", func(string) {})
}

// archivedTrail proves the audit trail of before, which came with the organisation.
func archivedTrail(t *testing.T, a *app.Admin, org, id, before string) {
	t.Helper()
	var b bytes.Buffer
	if err := a.AuditArchive(t.Context(), org, id, &b); err != nil {
		t.Fatal(err)
	}
	rep, err := compliance.Verify(&b, compliance.VerifyOptions{})
	if err != nil || rep.OrganisationID != before || rep.Entries == 0 {
		t.Errorf("the archived audit trail: %+v, %v", rep, err)
	}
}
