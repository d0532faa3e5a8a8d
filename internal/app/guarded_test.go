package app_test

import (
	"bufio"
	"bytes"
	_ "embed"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/knadh/koanf/parsers/yaml"

	"github.com/parley-voice/parley/internal/app"
)

// unconditional says which updates take no If-Match and which POSTs no Idempotency-Key, and why.
//
//go:embed testdata/unconditional.txt
var unconditional []byte

// elsewhere names the GET whose tag an update compares, where it is not that of its own path.
var elsewhere = map[string]string{"add-team-member": "/api/v1/teams/{id}"}

// Every PUT and PATCH compares If-Match with the tag that a GET answers, and every POST takes an Idempotency-Key, but for
// those on the reviewed list.
func TestUpdatesAndPostsAreGuarded(t *testing.T) {
	t.Parallel()
	reasons := map[string]string{}
	for s := bufio.NewScanner(bytes.NewReader(unconditional)); s.Scan(); {
		line := s.Text()
		if id, why, ok := strings.Cut(line, ": "); ok && !strings.HasPrefix(line, "#") {
			reasons[id] = why
		}
	}
	raw, err := app.OpenAPI("test")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := yaml.Parser().Unmarshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	paths := object(doc["paths"])
	posts, updates := 0, 0
	for path, methods := range paths {
		for method, o := range object(methods) {
			op := object(o)
			id, _ := op["operationId"].(string)
			want := map[string]string{"put": "If-Match", "patch": "If-Match", "post": "Idempotency-Key"}[method]
			if want == "" {
				continue
			}
			takes := slices.ContainsFunc(list(op["parameters"]), func(p any) bool { return object(p)["name"] == want && object(p)["in"] == "header" })
			if _, excepted := reasons[id]; excepted == takes {
				t.Errorf("%s (%s %s) takes %s: %v, stands in testdata/unconditional.txt: %v", id, method, path, want, takes, excepted)
			}
			delete(reasons, id)
			if want != "If-Match" {
				posts++
				continue
			}
			if !takes {
				continue
			}
			updates++
			if at := elsewhere[id]; at != "" {
				path = at
			}
			get := object(object(paths[path])["get"])
			if object(object(object(get["responses"])["200"])["headers"])["ETag"] == nil {
				t.Errorf("%s compares If-Match, and GET %s answers no ETag", id, path)
			}
		}
	}
	for id := range reasons {
		t.Errorf("%s is on the list and is no operation that needs to be", id)
	}
	if posts < 50 || updates < 15 {
		t.Errorf("only %d POSTs and %d updates were looked at", posts, updates)
	}
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

// compared is one operation that compares If-Match: what it is asked with, and the GET whose tag it compares.
type compared struct {
	id, get string
	body    any
	rest    string // of the path, after what the GET has
}

// Every operation that declares If-Match refuses the tag of another state and does what it is asked with the tag that its GET
// answers, whatever else of the answer has changed meanwhile.
func TestUpdatesCompare(t *testing.T) {
	engines(t, func(t *testing.T, newURL func(*testing.T) string, ports int) {
		s, super := openHouse(t, newURL(t), []string{"44380-44389", "44390-44399"}[ports])
		d := readDocument(t, super)
		operations := map[string]operation{}
		for _, op := range d.operations {
			operations[op.id] = op
		}
		left := matching(t)
		for _, c := range furniture(t, super) {
			op, declared := operations[c.id], left[c.id]
			if !declared {
				t.Errorf("%s does not declare If-Match", c.id)
			}
			delete(left, c.id)
			res, b := super.ask("GET", c.get, nil)
			tag := res.Header.Get("ETag")
			if res.StatusCode != http.StatusOK || tag == "" {
				t.Errorf("GET %s: %d with the tag %q: %s", c.get, res.StatusCode, tag, b)
			}
			path := c.get + c.rest
			if res, b := super.with("If-Match", `"AAAAAAAAAAAAAAAAAAAAAAAA"`).ask(op.method, path, c.body); res.StatusCode != http.StatusPreconditionFailed {
				t.Errorf("%s with another tag: %d %s", c.id, res.StatusCode, b)
			}
			if res, b := super.with("If-Match", tag).ask(op.method, path, c.body); res.StatusCode >= 300 {
				t.Errorf("%s with the tag of GET %s: %d %s", c.id, c.get, res.StatusCode, b)
			}
		}
		for id := range left {
			t.Errorf("%s declares If-Match and was not tried", id)
		}
		if strings.Contains(s.logs.String(), "compared nothing") {
			t.Error("an operation declares If-Match and compares nothing: the log says which")
		}
	})
}

// matching gives the operations that declare If-Match.
func matching(t *testing.T) map[string]bool {
	t.Helper()
	raw, err := app.OpenAPI("test")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := yaml.Parser().Unmarshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, methods := range object(doc["paths"]) {
		for _, o := range object(methods) {
			if slices.ContainsFunc(list(object(o)["parameters"]), func(p any) bool { return object(p)["name"] == "If-Match" }) {
				out[object(o)["operationId"].(string)] = true
			}
		}
	}
	return out
}

// furniture makes one of each thing and says how it is changed and, last, deleted.
func furniture(t *testing.T, c *client) []compared {
	t.Helper()
	make := func(path string, body any) string {
		var out struct{ ID string }
		c.want(http.StatusCreated, "POST", path, body, &out)
		return path + "/" + out.ID
	}
	name := func(n string) any { return map[string]string{"name": n} }
	c.invite("paul@example.com", "viewer")
	var members struct {
		Items []struct{ Email, UserID string }
	}
	c.want(http.StatusOK, "GET", "/api/v1/members", nil, &members)
	paul := "/api/v1/members/"
	for _, m := range members.Items {
		if m.Email == "paul@example.com" {
			paul += m.UserID
		}
	}
	var version struct{ Definition any }
	c.want(http.StatusOK, "GET", "/api/v1/agents/sim/versions/1", nil, &version)
	inTeam := strings.Replace(paul, "/api/v1", "", 1)
	agent := make("/api/v1/agents", map[string]any{"name": "Tagged", "slug": "tagged", "definition": version.Definition})
	model := make("/api/v1/models", map[string]any{"name": "box", "baseUrls": map[string]string{"llm": "http://127.0.0.1:1/v1"}, "keys": map[string]string{"llm": "one"}})
	phone := make("/api/v1/phones", map[string]string{"username": "tagged"})
	project, role := make("/api/v1/projects", name("P")), make("/api/v1/roles", map[string]any{"name": "R", "permissions": []string{"call:read"}})
	team := make("/api/v1/teams", name("T"))
	sso := make("/api/v1/sso/connections", map[string]any{"name": "Work", "protocol": "oidc", "clientSecret": "one",
		"oidc": map[string]any{"issuer": "https://id.example.com", "clientId": "parley", "emailClaim": "", "scopes": []string{"openid"}}})
	plan := make("/api/v1/super/plans", map[string]any{"name": "Small", "limits": map[string]any{"seats": 20}})
	trunk := make("/api/v1/trunks", map[string]any{"name": "Carrier", "address": "127.0.0.1:9"})
	number := make("/api/v1/caller-numbers", map[string]any{"number": "+4930123456"})
	campaign := make("/api/v1/campaigns", map[string]any{"name": "Tagged", "settings": map[string]any{"agent": "sim", // it is scheduled, and calls nobody
		"schedule": map[string]any{"starts": time.Now().AddDate(0, 0, 20).UTC().Format(time.RFC3339)}}})
	c.want(http.StatusOK, "POST", campaign+"/leads", map[string]any{"leads": []map[string]string{{"number": "+493012345678"}}}, nil)
	other, _ := c.found("Practice", "practice@example.com", "shared")
	return []compared{
		{id: "update-me", get: "/api/v1/me", body: name("Olga Olsen")},
		{id: "update-organisation", get: "/api/v1/organisation", body: name("Klinik")},
		{id: "set-allowed-origins", get: "/api/v1/organisation/origins", body: map[string]any{"items": []string{"https://one.example"}}},
		{id: "update-sign-on-policy", get: "/api/v1/organisation/sign-on-policy", body: map[string]bool{"mfaRequired": false}},
		{id: "set-retention", get: "/api/v1/retention", body: map[string]any{"recordingDays": 30, "transcriptDays": nil, "eventLogDays": nil, "callDays": nil, "auditDays": nil}},
		{id: "set-sso-policy", get: "/api/v1/sso/policy", body: map[string]bool{"ssoOnly": false}},
		{id: "update-member", get: paul, body: map[string]string{"role": "agent"}},
		{id: "update-agent", get: agent, body: name("Tagged twice")},
		{id: "create-agent-version", get: agent, body: map[string]any{"definition": version.Definition, "note": "again"}, rest: "/versions"},
		{id: "publish-agent-version", get: agent, rest: "/versions/1/publish"},
		{id: "update-model", get: model, body: map[string]any{"keys": map[string]string{"llm": "two"}}},
		{id: "update-phone", get: phone, body: map[string]string{"displayName": "Desk"}},
		{id: "update-project", get: project, body: name("P2")}, {id: "update-role", get: role, body: name("R2")}, {id: "update-team", get: team, body: name("T2")},
		{id: "add-team-member", get: team, rest: inTeam}, {id: "remove-team-member", get: team, rest: inTeam},
		{id: "update-sso-connection", get: sso, body: map[string]string{"clientSecret": "two"}},
		{id: "super-update-organisation", get: "/api/v1/super/organisations/" + other, body: name("Praxis")},
		{id: "super-update-plan", get: plan, body: name("Smaller")},
		{id: "update-trunk", get: trunk, body: name("Carrier 2")}, {id: "update-caller-number", get: number, body: map[string]string{"displayName": "Clinic"}},
		{id: "update-campaign", get: campaign, body: name("Tagged twice")}, {id: "mark-campaign-checked", get: campaign, rest: "/check"}, {id: "start-campaign", get: campaign, rest: "/start"},
		{id: "pause-campaign", get: campaign, body: map[string]string{"why": "lunch"}, rest: "/pause"}, {id: "resume-campaign", get: campaign, rest: "/resume"},
		{id: "stop-campaign", get: campaign, rest: "/stop"}, {id: "archive-campaign", get: campaign, body: map[string]bool{"archived": true}, rest: "/archive"},
		{id: "delete-campaign", get: campaign}, {id: "delete-caller-number", get: number}, {id: "delete-trunk", get: trunk},
		{id: "super-delete-plan", get: plan}, {id: "delete-sso-connection", get: sso}, {id: "delete-team", get: team}, {id: "delete-role", get: role}, {id: "delete-project", get: project},
		{id: "delete-phone", get: phone}, {id: "delete-model", get: model}, {id: "delete-agent", get: agent}, {id: "remove-member", get: paul},
	}
}
