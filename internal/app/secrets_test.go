package app_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// listedSecret is a secret as the list shows it.
type listedSecret struct {
	ID, Kind, Name, Part, ObjectKind, ObjectID, Stored string
	SetBy                                              *struct{ UserID, Name string }
	SetAt, LastUsedAt                                  *time.Time
	Key                                                *struct {
		Version          int64
		State, MasterKey string
	}
	UsedBy []struct{ Kind, ID, Name string }
}

// secrets reads the whole list, in pages of a size.
func (c *client) secrets(size int) []listedSecret {
	c.t.Helper()
	var out []listedSecret
	for cursor := ""; ; {
		var page struct {
			Items []listedSecret
			Next  *string
		}
		c.want(http.StatusOK, "GET", fmt.Sprintf("/api/v1/secrets?limit=%d&cursor=%s", size, cursor), nil, &page)
		if len(page.Items) > size || len(page.Items) == 0 && page.Next != nil {
			c.t.Fatalf("a page of %d has %d secrets", size, len(page.Items))
		}
		out = append(out, page.Items...)
		if page.Next == nil {
			return out
		}
		cursor = *page.Next
	}
}

// Everything that an organisation has placed with us stands in one list, with who set it and what it is sealed under; what
// another one placed does not. Setting, replacing and removing is on record.
func TestSecretsAreListed(t *testing.T) {
	engines(t, func(t *testing.T, newURL func(*testing.T) string, ports int) {
		_, super := openHouse(t, newURL(t), []string{"44360-44369", "44370-44379"}[ports])
		_, owner := super.found("Practice", "practice@example.com", []string{"shared", "own"}[ports])
		super.want(http.StatusCreated, "POST", "/api/v1/phones", map[string]string{"username": "elsewhere"}, nil)
		if list := owner.secrets(10); len(list) != 0 {
			t.Fatalf("a new organisation has secrets: %+v", list)
		}
		var me struct{ User struct{ ID string } }
		owner.want(http.StatusOK, "GET", "/api/v1/me", nil, &me)
		var model, phone, trunk, sso, scim, token struct{ ID string }
		owner.want(http.StatusCreated, "POST", "/api/v1/models", map[string]any{"name": "box", "baseUrls": map[string]string{"llm": "http://127.0.0.1:1/v1", "stt": "http://127.0.0.1:1/v1"},
			"keys": map[string]string{"llm": "sk-Kanarienvogel", "stt": "st-Kanarienvogel"}}, &model)
		owner.want(http.StatusCreated, "POST", "/api/v1/models", map[string]any{"name": "keyless", "baseUrls": map[string]string{"llm": "http://127.0.0.1:1/v1"}}, nil)
		owner.want(http.StatusCreated, "POST", "/api/v1/phones", map[string]string{"username": "desk", "password": "Kanarienvogel-1"}, &phone)
		owner.want(http.StatusCreated, "POST", "/api/v1/trunks", map[string]string{"name": "carrier", "address": "sip.example.com", "username": "us", "password": "Kanarienvogel-3"}, &trunk)
		owner.want(http.StatusCreated, "POST", "/api/v1/trunks", map[string]string{"name": "without", "address": "sip.example.net"}, nil)
		owner.want(http.StatusCreated, "POST", "/api/v1/sso/connections", map[string]any{"name": "Work", "protocol": "oidc", "clientSecret": "Kanarienvogel-2",
			"oidc": map[string]any{"issuer": "https://id.example.com", "clientId": "parley", "emailClaim": "", "scopes": []string{"openid"}}}, &sso)
		owner.want(http.StatusCreated, "POST", "/api/v1/sso/connections/"+sso.ID+"/scim-tokens", nil, &scim)
		owner.want(http.StatusCreated, "POST", "/api/v1/tokens", map[string]string{"name": "robot"}, &token)

		all := owner.secrets(100)
		want := []string{"modelKey box llm " + model.ID, "modelKey box stt " + model.ID, "phonePassword desk  " + phone.ID,
			"trunkPassword carrier  " + trunk.ID, "ssoClientSecret Work  " + sso.ID, "scimToken Work  " + sso.ID, "apiToken robot  " + token.ID}
		var got []string
		for _, s := range all {
			got = append(got, strings.Join([]string{s.Kind, s.Name, s.Part, s.ObjectID}, " "))
			if s.SetBy == nil || s.SetBy.UserID != me.User.ID || s.SetBy.Name != "Practice owner" || s.SetAt == nil || time.Since(*s.SetAt).Abs() > time.Hour {
				t.Errorf("%s was set by %+v at %v", s.ID, s.SetBy, s.SetAt)
			}
			sealed := s.Stored == "sealed"
			if sealed != (s.Key != nil) || sealed == strings.HasSuffix(s.Kind, "Token") {
				t.Errorf("%s is %s under %+v", s.ID, s.Stored, s.Key)
			}
			if sealed && (s.Key.Version != 1 || s.Key.State != "active" || !strings.HasPrefix(s.Key.MasterKey, "local:")) {
				t.Errorf("%s is sealed under %+v", s.ID, s.Key)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("the list is %q\nwant %q", got, want)
		}
		for _, size := range []int{1, 2, 4} {
			var ids, paged []string
			for _, s := range all {
				ids = append(ids, s.ID)
			}
			for _, s := range owner.secrets(size) {
				paged = append(paged, s.ID)
			}
			if !slices.Equal(ids, paged) {
				t.Errorf("in pages of %d: %q\nwant %q", size, paged, ids)
			}
		}
		owner.want(http.StatusUnprocessableEntity, "GET", "/api/v1/secrets?cursor=nonsense", nil, nil)
		if _, raw := owner.ask("GET", "/api/v1/secrets", nil); strings.Contains(string(raw), "Kanarienvogel") {
			t.Error("the list tells a secret")
		}

		// Replaced by somebody else, one key removed, a token revoked.
		admin := owner.invite("praxis-admin@example.com", "admin")
		admin.want(http.StatusOK, "PATCH", "/api/v1/models/"+model.ID, map[string]any{"keys": map[string]string{"llm": "sk-other", "stt": ""}}, nil)
		admin.want(http.StatusOK, "PATCH", "/api/v1/sso/connections/"+sso.ID, map[string]any{"clientSecret": "another-one"}, nil)
		admin.want(http.StatusNoContent, "DELETE", "/api/v1/sso/connections/"+sso.ID+"/scim-tokens/"+scim.ID, nil, nil)
		by := map[string]string{}
		for _, s := range admin.secrets(100) {
			by[s.Kind+s.Part] = s.SetBy.Name
		}
		if len(by) != 5 || by["modelKeyllm"] != "Somebody admin" || by["ssoClientSecret"] != "Somebody admin" || by["phonePassword"] != "Practice owner" {
			t.Errorf("afterwards: %v", by)
		}
		owner.audited("model.update", `"newKeys":["llm"]`, `"removedKeys":["stt"]`)
		owner.audited("sso.connection.update", `"newSecret":true`)
		owner.audited("scim.token.revoke", scim.ID)
	})
}

// audited waits for an entry of the audit trail that holds all parts.
func (c *client) audited(action string, parts ...string) {
	c.t.Helper()
	eventually(c.t, "an audit entry of "+action, func() bool {
		res, b := c.ask("GET", "/api/v1/audit?limit=20&action="+action, nil)
		return res.StatusCode == http.StatusOK && !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(string(b), p) })
	})
}
