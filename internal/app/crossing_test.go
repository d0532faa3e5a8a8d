package app_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/parley-voice/parley/internal/platform/db"
)

// canary is in every name that the other organisation gives: whoever reads it has crossed.
const canary = "Zugvogel"

// Nothing crosses from one organisation to another: its ids are asked for in every path, query and body field of every
// operation, and neither its words come back nor does anything of it change. With both databases, and with a database
// that is shared as with one of its own.
func TestNothingCrosses(t *testing.T) {
	engines(t, func(t *testing.T, newURL func(*testing.T) string, ports int) {
		for i, placement := range []string{db.Shared, db.Own} {
			t.Run(placement, func(t *testing.T) {
				s, super := openHouse(t, newURL(t), fmt.Sprintf("44%d-44%d", 100+ports*100+i*50, 120+ports*100+i*50))
				other, theirs := super.found(canary+" house", "victim@example.com", placement)
				furnish(t, theirs, s.SIPAddr())
				ours := super.invite("plain@example.com", "owner") // an owner who does not administer the installation
				w := &crossing{T: t, d: readDocument(t, super), ours: ours, other: other, known: map[string]bool{other: true}, ids: []string{other}}
				w.harvest(ours, theirs)
				before := w.state(theirs)
				w.paths()
				w.fields()
				if after := w.state(theirs); after != before {
					t.Errorf("the other organisation changed:\n%s\nbefore:\n%s", after, before)
				}
			})
		}
	})
}

// crossing walks the API as one organisation with the ids of another.
type crossing struct {
	*testing.T
	d     *document
	ours  *client
	other string
	ids   []string
	known map[string]bool
}

// furnish gives an organisation one of each thing.
func furnish(t *testing.T, c *client, sipAddr string) {
	t.Helper()
	make := func(path string, body any) string {
		var out struct{ ID string }
		c.want(http.StatusCreated, "POST", path, body, &out)
		return out.ID
	}
	team := make("/api/v1/teams", map[string]any{"name": canary + " team"})
	make("/api/v1/projects", map[string]any{"name": canary + " project"})
	make("/api/v1/roles", map[string]any{"name": canary + " role", "permissions": []string{"call:read"}})
	make("/api/v1/invitations", map[string]any{"email": strings.ToLower(canary) + "@example.com", "role": "viewer", "teams": []string{team}})
	make("/api/v1/tokens", map[string]any{"name": canary + " token"})
	make("/api/v1/phones", map[string]any{"username": strings.ToLower(canary), "displayName": canary + " phone"})
	trunk := make("/api/v1/trunks", map[string]any{"name": canary + " trunk", "address": "sip.example.com", "username": strings.ToLower(canary), "password": canary + "-1"})
	make("/api/v1/caller-numbers", map[string]any{"number": "+4930765432", "displayName": canary, "trunkId": trunk})
	make("/api/v1/models", map[string]any{"name": canary + " model", "baseUrls": map[string]string{"llm": "http://127.0.0.1:1/v1"}})
	make("/api/v1/legal-holds", map[string]any{"scope": "organisation", "reason": canary + " hold"})
	make("/api/v1/consents", map[string]any{"subject": "+4930123456", "scope": "calls", "source": canary + " form"})
	var address struct{ Address string }
	c.want(http.StatusOK, "GET", "/api/v1/organisation", nil, &address)
	p := ring(t, sipAddr, "sim."+address.Address, "")
	p.answered(t)
	id := c.newest().ID
	c.want(http.StatusAccepted, "POST", "/api/v1/calls/"+id+"/hangup", nil, nil)
	p.over(t)
	c.kept(id)
}

// idLike are the fields that hold ids and names which are looked up.
var idLike = regexp.MustCompile(`(?i)(^|[a-z])(id|ids|slug|number|team|teams|role|agent|call|user|username|model|phone|connection|project|plan)$`)

// harvest keeps the ids that only the other organisation's lists have: who administers the installation stands in both.
func (w *crossing) harvest(ours, theirs *client) {
	common := w.lists(ours)
	for id := range w.lists(theirs) {
		if !common[id] && (len(id) == 36 || strings.Contains(strings.ToLower(id), strings.ToLower(canary))) {
			w.ids = append(w.ids, id)
			w.known[id] = true
		}
	}
	slices.Sort(w.ids)
	if len(w.ids) < 12 {
		w.Fatalf("only %d ids of the other organisation found: %v", len(w.ids), w.ids)
	}
}

// lists gives the ids in every list that somebody may read.
func (w *crossing) lists(c *client) map[string]bool {
	seen := map[string]bool{}
	for _, op := range w.d.operations {
		if op.method != "GET" || pathParam.MatchString(op.path) || strings.HasPrefix(op.path, "/api/v1/super") || op.public || op.id == "export-audit" || op.id == "explain-decision" { // a file; of one number
			continue
		}
		res, b := c.ask("GET", op.path, nil)
		if res.StatusCode != http.StatusOK {
			w.Fatalf("%s: %d %s", op.id, res.StatusCode, b)
		}
		var v any
		if err := json.Unmarshal(b, &v); err != nil {
			w.Fatalf("%s: %v", op.id, err)
		}
		collect(v, "", seen)
	}
	return seen
}

func collect(v any, name string, out map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			collect(inner, k, out)
		}
	case []any:
		for _, inner := range v {
			collect(inner, name, out)
		}
	case string:
		if idLike.MatchString(name) && v != "" {
			out[v] = true
		}
	}
}

// harmless are operations that answer the same whether or not there is such a thing.
var harmless = []string{"revoke-session"}

// paths asks every operation that has an id in its path for each of the other's.
func (w *crossing) paths() {
	for _, op := range w.d.operations {
		if !pathParam.MatchString(op.path) || op.public {
			continue
		}
		for _, id := range w.ids {
			var body any
			if op.body != nil {
				body = w.d.example(op.body, 0)
			}
			res, b := w.ours.ask(op.method, op.at(id), body)
			w.uncrossed(op, id, res.StatusCode, b)
			if res.StatusCode < 300 && !slices.Contains(harmless, op.id) {
				w.Errorf("%s with the other organisation's %s: %d %s", op.id, id, res.StatusCode, b)
			}
		}
	}
}

// fields puts each of the other's ids into each query parameter and body field that may hold one.
func (w *crossing) fields() {
	for _, op := range w.d.operations {
		if op.public || slices.Contains(walkedApart, op.id) {
			continue
		}
		for _, id := range w.ids {
			for _, q := range op.query {
				if kind(q.of) == "string" && q.name != "cursor" {
					res, b := w.ours.ask(op.method, op.at("018f0000-0000-7000-8000-000000000000")+"?"+url.Values{q.name: {id}}.Encode(), nil)
					w.uncrossed(op, id, res.StatusCode, b)
				}
			}
			if op.body == nil {
				continue
			}
			whole := w.d.example(op.body, 0)
			for _, body := range planted(whole, id) {
				res, b := w.ours.ask(op.method, op.at("018f0000-0000-7000-8000-000000000000"), body)
				w.uncrossed(op, id, res.StatusCode, b)
			}
		}
	}
}

// walkedApart would end the session of the one who walks, or change who they are.
var walkedApart = []string{"sign-out", "change-password"}

// planted gives copies of v, each with one of its fields for ids replaced.
func planted(v any, id string) []any {
	var out []any
	m, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		with := func(inner any) {
			c := maps.Clone(m)
			c[name] = inner
			out = append(out, c)
		}
		switch inner := m[name].(type) {
		case string:
			if idLike.MatchString(name) || name == "to" || name == "from" || name == "subject" {
				with(id)
			}
		case map[string]any:
			for _, p := range planted(inner, id) {
				with(p)
			}
		case []any:
			if len(inner) == 1 {
				if _, ok := inner[0].(string); ok && idLike.MatchString(name) {
					with([]any{id})
				}
				for _, p := range planted(inner[0], id) {
					with([]any{p})
				}
			}
		}
	}
	return out
}

// uncrossed fails when an answer holds a word or an id of the other organisation that was not in the question.
func (w *crossing) uncrossed(op operation, asked string, status int, body []byte) {
	stackless(w.T, op.id, status, body)
	answer := strings.ReplaceAll(string(body), asked, "")
	if strings.Contains(strings.ToLower(answer), strings.ToLower(canary)) {
		w.Errorf("%s with %s: the other organisation's words came back: %d %s", op.id, asked, status, body)
	}
	for id := range w.known {
		if id != asked && strings.Contains(answer, id) {
			w.Errorf("%s with %s: the other organisation's id %s came back: %d %s", op.id, asked, id, status, body)
		}
	}
}

// restless are operations whose answers change by themselves.
var restless = []string{"get-me", "list-sessions", "get-audit-keys", "get-overview", "get-limits", "list-audit-entries", "verify-audit", "get-sign-in", "list-tokens", "get-setup"}

// state is a digest of everything the other organisation can read of itself.
func (w *crossing) state(theirs *client) string {
	var out strings.Builder
	for _, op := range w.d.operations {
		if op.method != "GET" || op.public || strings.HasPrefix(op.path, "/api/v1/super") || slices.Contains(restless, op.id) || op.id == "export-audit" {
			continue
		}
		paths := []string{op.path}
		if pathParam.MatchString(op.path) {
			paths = nil
			for _, id := range w.ids {
				paths = append(paths, op.at(id))
			}
		}
		for _, path := range paths {
			res, b := theirs.ask("GET", path, nil)
			if res.StatusCode == http.StatusOK {
				sum := sha256.Sum256(b)
				fmt.Fprintf(&out, "%s %s\n", path, hex.EncodeToString(sum[:6]))
			}
		}
	}
	return out.String()
}
