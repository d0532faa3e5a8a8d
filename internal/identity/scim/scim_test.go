package scim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/quartz"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/identity/scim"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// connections are the rules of connections, by organisation and id; the rows are there for the tables' sake.
type connections map[string]scim.Rules

// ProvisioningRules implements scim.Connections.
func (c connections) ProvisioningRules(_ context.Context, _ *db.Tx, orgID, id string) (scim.Rules, error) {
	r, ok := c[orgID+id]
	if !ok {
		return r, fault.New(fault.NotFound, "there is no such connection")
	}
	return r, nil
}

type rig struct {
	t     *testing.T
	db    *db.DB
	clock *quartz.Mock
	ident *identity.Service
	scim  *scim.Service
	rules connections
	web   *httptest.Server
	owner identity.Principal
	token string // of the connection c1
}

func each(t *testing.T, fn func(r *rig)) {
	dbtest.Each(t, []db.Migrations{identity.Migrations()}, func(t *testing.T, d *db.DB) {
		r := &rig{t: t, db: d, clock: quartz.NewMock(t), rules: connections{}}
		r.clock.Set(time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC))
		log := slog.New(slog.NewTextHandler(t.Output(), nil))
		var err error
		if r.ident, err = identity.New(identity.Config{DB: d, Passwords: identity.PasswordCost{Passes: 1, MemoryKiB: 64}, Clock: r.clock, Log: log}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.ident.Close)
		acc, err := r.ident.CreateOwner(t.Context(), identity.NewOwner{Email: "anna@corp.example", Name: "Anna", Password: "quiet green river stones", Organisation: "Clinic"})
		if err != nil {
			t.Fatal(err)
		}
		r.owner = identity.Principal{UserID: acc.User.ID, OrgID: acc.Organisation.ID, Role: acc.Role, Permissions: acc.Permissions}
		mux := http.NewServeMux()
		r.web = httptest.NewServer(mux)
		t.Cleanup(r.web.Close)
		r.scim = scim.New(scim.Config{DB: d, Directory: r.ident, Connections: r.rules, PublicURL: func() string { return r.web.URL }, Clock: r.clock, Log: log})
		r.scim.Mount(mux)
		r.token = r.connect(r.owner.OrgID, "c1", scim.Rules{
			Domains: []string{"corp.example", "second.example"}, DefaultRole: identity.RoleViewer,
			Roles: []identity.RoleRule{{Group: "Admins", Role: identity.RoleAdmin}, {Group: "Support", Role: identity.RoleAgent}},
		})
		fn(r)
	})
}

// connect makes a connection and a token of it.
func (r *rig) connect(orgID, id string, rules scim.Rules) string {
	r.t.Helper()
	err := r.db.InSystem(r.t.Context(), "test", func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO sso_connections (id, organisation_id, name, protocol, enabled, settings, version, created_at, updated_at) VALUES (?, ?, ?, 'oidc', ?, '{}', 1, 0, 0)",
			id, orgID, id, true)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.rules[orgID+id] = rules
	_, secret, err := r.scim.CreateToken(r.t.Context(), orgID, id)
	if err != nil {
		r.t.Fatal(err)
	}
	return secret
}

type answer map[string]any

func (a answer) text(path string) string {
	var v any = map[string]any(a)
	for p := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[p]
		case []any:
			i := int(p[0] - '0')
			if i >= len(x) {
				return ""
			}
			v = x[i]
		default:
			return ""
		}
	}
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

func (r *rig) do(token, method, path, body string) (int, answer) {
	r.t.Helper()
	req, err := http.NewRequest(method, r.web.URL+"/scim/v2"+path, bytes.NewReader([]byte(body)))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/scim+json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	var a answer
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &a); err != nil || res.Header.Get("Content-Type") != "application/scim+json" {
			r.t.Fatalf("%s %s: %s %q", method, path, res.Header.Get("Content-Type"), raw)
		}
	}
	return res.StatusCode, a
}

func (r *rig) want(status int, method, path, body string) answer {
	r.t.Helper()
	got, a := r.do(r.token, method, path, body)
	if got != status {
		r.t.Fatalf("%s %s: %d %v, want %d", method, path, got, a, status)
	}
	if status >= 400 && (a.text("schemas.0") != "urn:ietf:params:scim:api:messages:2.0:Error" || a.text("status") != fmt.Sprint(status)) {
		r.t.Fatalf("%s %s: %v is no SCIM error", method, path, a)
	}
	return a
}

// bensen is the full User of RFC 7643 section 8.2, as far as its domain is ours.
const bensen = `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"externalId":"701984","userName":"bjensen@corp.example",
"name":{"formatted":"Ms. Barbara J Jensen, III","familyName":"Jensen","givenName":"Barbara","middleName":"Jane","honorificPrefix":"Ms.","honorificSuffix":"III"},
"displayName":"Babs Jensen","nickName":"Babs","profileUrl":"https://login.example.com/bjensen",
"emails":[{"value":"bjensen@corp.example","type":"work","primary":true},{"value":"babs@jensen.example","type":"home"}],
"addresses":[{"type":"work","streetAddress":"100 Universal City Plaza"}],"phoneNumbers":[{"value":"555-555-5555","type":"work"}],
"userType":"Employee","title":"Tour Guide","preferredLanguage":"en-US","locale":"en-US","timezone":"America/Los_Angeles","active":true,"password":"t1meMa$heen"}`

func user(name string) string {
	return fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":%q,"active":true}`, name)
}

func filter(f string) string { return "/Users?filter=" + url.QueryEscape(f) }

func TestUsers(t *testing.T) {
	each(t, func(r *rig) {
		u := r.want(201, "POST", "/Users", bensen)
		id := u.text("id")
		if u.text("meta.location") != r.web.URL+"/scim/v2/Users/"+id || u.text("emails.1.value") != "babs@jensen.example" || u.text("active") != "true" || u["password"] != nil {
			t.Fatalf("made %v", u)
		}
		m, err := r.ident.Member(t.Context(), r.owner.OrgID, id)
		if err != nil || m.Email != "bjensen@corp.example" || m.Name != "Babs Jensen" || m.Role != identity.RoleViewer {
			t.Fatalf("member %+v, %v", m, err)
		}
		if a := r.want(409, "POST", "/Users", bensen); a.text("scimType") != "uniqueness" {
			t.Fatalf("made twice: %v", a)
		}
		for f, n := range map[string]string{
			`userName eq "BJensen@corp.example"`: "1", `userName eq "bjensen"`: "0", `externalId eq "701984"`: "1", `externalId eq "70198X"`: "0",
			`emails[type eq "work" and value co "corp"]`: "1", `emails.value ew "@jensen.example"`: "1", `name.familyName sw "jen" and active eq true`: "1",
			`not (title pr)`: "0", `title eq "x" or userType eq "employee"`: "1", `urn:ietf:params:scim:schemas:core:2.0:User:userName sw "b"`: "1",
			fmt.Sprintf("id eq %q", id): "1", `meta.lastModified gt "2025-01-01T00:00:00Z"`: "1", `userName ne "bjensen@corp.example"`: "0",
		} {
			if a := r.want(200, "GET", filter(f), ""); a.text("totalResults") != n {
				t.Errorf("%s: %v results, want %s", f, a.text("totalResults"), n)
			}
		}
		r.want(400, "GET", filter(`userName eq`), "")
		put := r.want(200, "PUT", "/Users/"+id, strings.Replace(bensen, `"title":"Tour Guide",`, "", 1))
		if put["title"] != nil || put.text("nickName") != "Babs" {
			t.Fatalf("replaced %v", put)
		}
		if a := r.want(200, "GET", "/Users/"+id+"?attributes=userName", ""); a["emails"] != nil || a.text("userName") == "" || a.text("id") == "" {
			t.Fatalf("attributes: %v", a)
		}
		r.want(204, "DELETE", "/Users/"+id, "")
		r.want(404, "GET", "/Users/"+id, "")
		_, err = r.ident.Member(t.Context(), r.owner.OrgID, id)
		if !fault.Is(err, fault.NotFound) {
			t.Fatalf("still a member: %v", err)
		}
	})
}

func TestPatchSuspendsAndRenames(t *testing.T) {
	each(t, func(r *rig) {
		id := r.want(201, "POST", "/Users", user("ben@corp.example")).text("id")
		cookie, err := r.ident.BeginSSO(t.Context(), identity.SignOn{UserID: id, OrgID: r.owner.OrgID, Method: identity.MethodOIDC})
		if err != nil {
			t.Fatal(err)
		}
		c, err := http.ParseSetCookie(cookie)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.ident.Session(t.Context(), c.Value); err != nil {
			t.Fatal(err)
		}
		// As Okta sends it, then as Entra ID does (RFC 7644 section 3.5.2; Microsoft's notes on SCIM).
		a := r.want(200, "PATCH", "/Users/"+id, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","value":{"active":false}}]}`)
		if a.text("active") != "false" {
			t.Fatalf("suspended: %v", a)
		}
		if _, err := r.ident.Session(t.Context(), c.Value); err == nil {
			t.Fatal("the session of somebody suspended goes on")
		}
		r.want(200, "PATCH", "/Users/"+id, `{"Operations":[{"op":"Replace","path":"active","value":"True"}]}`)
		if m, err := r.ident.Member(t.Context(), r.owner.OrgID, id); err != nil || m.SuspendedAt != nil {
			t.Fatalf("let in again: %+v, %v", m, err)
		}
		a = r.want(200, "PATCH", "/Users/"+id, `{"Operations":[
			{"op":"Add","path":"emails[type eq \"work\"].value","value":"benjamin@second.example"},
			{"op":"Add","value":{"name.givenName":"Ben","displayName":"Ben Bell"}},
			{"op":"add","path":"phoneNumbers","value":[{"type":"mobile","value":"1"}]},
			{"op":"replace","path":"urn:ietf:params:scim:schemas:core:2.0:User:title","value":"Guide"}]}`)
		if a.text("emails.0.value") != "benjamin@second.example" || a.text("name.givenName") != "Ben" || a.text("title") != "Guide" {
			t.Fatalf("changed: %v", a)
		}
		if m, err := r.ident.Member(t.Context(), r.owner.OrgID, id); err != nil || m.Email != "benjamin@second.example" || m.Name != "Ben Bell" {
			t.Fatalf("member %+v, %v", m, err)
		}
		a = r.want(200, "PATCH", "/Users/"+id, `{"Operations":[{"op":"remove","path":"phoneNumbers[type eq \"mobile\"]"},{"op":"remove","path":"title"}]}`)
		if a["phoneNumbers"] != nil || a["title"] != nil {
			t.Fatalf("removed: %v", a)
		}
		for body, kind := range map[string]string{
			`{"Operations":[{"op":"remove"}]}`: "noTarget", `{"Operations":[{"op":"move","path":"title"}]}`: "invalidSyntax", `{"Operations":[]}`: "invalidSyntax",
			`{"Operations":[{"op":"replace","path":"a b","value":1}]}`: "invalidPath", `{"Operations":[{"op":"replace","path":"emails[type","value":1}]}`: "invalidPath",
			`{"Operations":[{"op":"replace","path":"emails[type xx 1]","value":1}]}`: "invalidFilter", `{"Operations":[{"op":"remove","path":"userName"}]}`: "invalidValue",
			`{"Operations":[{"op":"replace","path":"active","value":"perhaps"}]}`: "invalidValue", `{"Operations":[{"op":"replace","path":"emails[value sw \"x\"]","value":{}}]}`: "noTarget",
			`[]`: "invalidSyntax", `{"Operations":[{"op":"replace","path":"emails","value":[{"value":"ben@elsewhere.example"}]}]}`: "invalidValue",
		} {
			if a := r.want(400, "PATCH", "/Users/"+id, body); a.text("scimType") != kind {
				t.Errorf("%s: %v, want %s", body, a, kind)
			}
		}
	})
}

func TestGroupsAreTeamsAndGiveRoles(t *testing.T) {
	each(t, func(r *rig) {
		ben := r.want(201, "POST", "/Users", user("ben@corp.example")).text("id")
		eve := r.want(201, "POST", "/Users", user("eve@corp.example")).text("id")
		role := func(id string) string {
			t.Helper()
			m, err := r.ident.Member(t.Context(), r.owner.OrgID, id)
			if err != nil {
				t.Fatal(err)
			}
			return m.Role
		}
		g := r.want(201, "POST", "/Groups", fmt.Sprintf(`{"displayName":"Support","externalId":"g1","members":[{"value":%q}]}`, ben))
		id := g.text("id")
		if role(ben) != identity.RoleAgent || role(eve) != identity.RoleViewer || g.text("members.0.value") != ben {
			t.Fatalf("roles %s %s, %v", role(ben), role(eve), g)
		}
		teams, _, err := r.ident.Teams(t.Context(), r.owner, "", 10)
		if err != nil || len(teams) != 1 || teams[0].Name != "Support" || len(teams[0].Members) != 1 {
			t.Fatalf("teams %+v, %v", teams, err)
		}
		r.want(409, "POST", "/Groups", `{"displayName":"Support"}`)
		admins := r.want(201, "POST", "/Groups", fmt.Sprintf(`{"displayName":"Admins","members":[{"value":%q},{"value":%q}]}`, ben, eve)).text("id")
		if role(ben) != identity.RoleAdmin || role(eve) != identity.RoleAdmin {
			t.Fatal("the first rule that fits decides")
		}
		r.want(200, "PATCH", "/Groups/"+admins, fmt.Sprintf(`{"Operations":[{"op":"remove","path":"members[value eq \"%s\"]"}]}`, ben))
		r.want(200, "PATCH", "/Groups/"+admins, fmt.Sprintf(`{"Operations":[{"op":"Remove","path":"members","value":[{"value":%q}]}]}`, eve))
		if role(ben) != identity.RoleAgent || role(eve) != identity.RoleViewer {
			t.Fatalf("roles after leaving: %s %s", role(ben), role(eve))
		}
		r.want(200, "PATCH", "/Groups/"+id, fmt.Sprintf(`{"Operations":[{"op":"add","path":"members","value":[{"value":%q}]}]}`, eve))
		if role(eve) != identity.RoleAgent {
			t.Fatal("joined")
		}
		if a := r.want(200, "GET", "/Groups?filter="+url.QueryEscape(`displayName eq "support"`)+"&excludedAttributes=members", ""); a.text("totalResults") != "1" || a.text("Resources.0.members") != "" {
			t.Fatalf("listed %v", a)
		}
		if a := r.want(200, "GET", "/Users/"+eve, ""); a.text("groups.0.display") != "Support" {
			t.Fatalf("groups of a User: %v", a)
		}
		r.want(400, "PATCH", "/Groups/"+id, fmt.Sprintf(`{"Operations":[{"op":"add","path":"members","value":[{"value":%q}]}]}`, r.owner.UserID))
		r.want(200, "PUT", "/Groups/"+id, fmt.Sprintf(`{"displayName":"Second line","members":[{"value":%q}]}`, eve))
		if role(ben) != identity.RoleViewer || role(eve) != identity.RoleViewer {
			t.Fatalf("a group of another name gives no role: %s %s", role(ben), role(eve))
		}
		r.want(204, "DELETE", "/Groups/"+id, "")
		r.want(404, "GET", "/Groups/"+id, "")
	})
}

func TestWhatAProviderMayNot(t *testing.T) {
	each(t, func(r *rig) {
		r.want(400, "POST", "/Users", user("eve@elsewhere.example"))
		r.want(400, "POST", "/Users", user("eve"))
		// An owner may be known to the provider, and stays what they are.
		id := r.want(201, "POST", "/Users", user("anna@corp.example")).text("id")
		if id != r.owner.UserID {
			t.Fatalf("anna is %s", id)
		}
		r.want(403, "PATCH", "/Users/"+id, `{"Operations":[{"op":"replace","value":{"active":false}}]}`)
		r.want(403, "DELETE", "/Users/"+id, "")
		r.want(201, "POST", "/Groups", fmt.Sprintf(`{"displayName":"Support","members":[{"value":%q}]}`, id))
		if m, err := r.ident.Member(t.Context(), r.owner.OrgID, id); err != nil || m.Role != identity.RoleOwner || m.SuspendedAt != nil {
			t.Fatalf("%+v, %v", m, err)
		}
		ben := r.want(201, "POST", "/Users", user("ben@corp.example")).text("id")
		acc, err := r.ident.CreateOrganisation(t.Context(), identity.NewOrganisation{Name: "Other", OwnerEmail: "otto@other.example", Password: "slow yellow mountain road"})
		if err != nil {
			t.Fatal(err)
		}
		other := r.connect(acc.Organisation.ID, "c2", scim.Rules{Domains: []string{"other.example"}, DefaultRole: identity.RoleViewer})
		second := r.connect(r.owner.OrgID, "c3", scim.Rules{Domains: []string{"third.example"}, DefaultRole: identity.RoleViewer})
		for _, token := range []string{other, second} {
			for _, method := range []string{"GET", "PUT", "PATCH", "DELETE"} {
				if status, a := r.do(token, method, "/Users/"+ben, `{"userName":"x@other.example","Operations":[{"op":"replace","value":{"active":false}}]}`); status != 404 {
					t.Errorf("%s of another connection: %d %v", method, status, a)
				}
			}
			if _, a := r.do(token, "GET", "/Users", ""); a.text("totalResults") != "0" {
				t.Errorf("listed of another connection: %v", a)
			}
		}
		for _, token := range []string{"", "x", "scim_x", r.token + "x", "pk_" + r.token} {
			if status, _ := r.do(token, "GET", "/Users", ""); status != 401 {
				t.Errorf("token %q: %d", token, status)
			}
		}
		list, err := r.scim.Tokens(t.Context(), r.owner.OrgID, "c1")
		if err != nil || len(list) != 1 || list[0].LastUsedAt == nil {
			t.Fatalf("tokens %+v, %v", list, err)
		}
		if err := r.scim.RevokeToken(t.Context(), acc.Organisation.ID, "c1", list[0].ID); !fault.Is(err, fault.NotFound) {
			t.Fatalf("revoked by another organisation: %v", err)
		}
		if err := r.scim.RevokeToken(t.Context(), r.owner.OrgID, "c1", list[0].ID); err != nil {
			t.Fatal(err)
		}
		r.want(401, "GET", "/Users", "")
	})
}

func TestPagesAndDiscovery(t *testing.T) {
	each(t, func(r *rig) {
		ids := map[string]bool{}
		for i := range 5 {
			r.want(201, "POST", "/Users", user(fmt.Sprintf("u%d@corp.example", i)))
		}
		for start := 1; start <= 5; start += 2 {
			a := r.want(200, "GET", fmt.Sprintf("/Users?startIndex=%d&count=2", start), "")
			if a.text("totalResults") != "5" || a.text("startIndex") != fmt.Sprint(start) {
				t.Fatalf("page %v", a)
			}
			for _, u := range a["Resources"].([]any) {
				ids[answer(u.(map[string]any)).text("id")] = true
			}
		}
		if len(ids) != 5 {
			t.Fatalf("pages have %d people", len(ids))
		}
		if a := r.want(200, "GET", "/Users?count=0", ""); a.text("totalResults") != "5" || a.text("itemsPerPage") != "0" {
			t.Fatalf("count=0: %v", a)
		}
		a := r.want(200, "GET", filter(`userName sw "u"`)+"&startIndex=5&count=3", "")
		if a.text("totalResults") != "5" || a.text("itemsPerPage") != "1" {
			t.Fatalf("filtered page: %v", a)
		}
		if a := r.want(200, "GET", "/ServiceProviderConfig", ""); a.text("patch.supported") != "true" || a.text("bulk.supported") != "false" {
			t.Fatal(a)
		}
		if a := r.want(200, "GET", "/Schemas", ""); a.text("totalResults") != "2" {
			t.Fatal(a)
		}
		r.want(200, "GET", "/Schemas/urn:ietf:params:scim:schemas:core:2.0:Group", "")
		r.want(200, "GET", "/ResourceTypes/User", "")
		r.want(404, "GET", "/ResourceTypes/Device", "")
		r.want(404, "GET", "/Bulk", "")
	})
}

// Who is provisioned takes a seat.
func TestSeats(t *testing.T) {
	each(t, func(r *rig) {
		err := r.db.InSystem(t.Context(), "test", func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.ExecContext(ctx, "UPDATE organisations SET limits = ? WHERE id = ?", `{"seats":2}`, r.owner.OrgID)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		r.want(201, "POST", "/Users", user("ben@corp.example"))
		if status, a := r.do(r.token, "POST", "/Users", user("eve@corp.example")); status < 400 || !strings.Contains(a.text("detail"), "plan") {
			t.Fatalf("%d %v", status, a)
		}
	})
}
