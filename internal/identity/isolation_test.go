package identity_test

import (
	"net/http"
	"testing"

	"github.com/parley-voice/parley/internal/identity"
)

// The owner of the clinic, who holds every permission there, uses ids of the shop in every operation that takes one.
func TestNothingCrossesBetweenOrganisations(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.join(w.bert, "carl@example.com", identity.RoleAgent)
		team := w.make(w.bert, "/api/v1/teams", map[string]any{"name": "Till"})
		project := w.make(w.bert, "/api/v1/projects", map[string]any{"name": "Summer"})
		role := w.make(w.bert, "/api/v1/roles", map[string]any{"name": "Cashier", "permissions": []string{"team:read"}})
		invitation, _ := w.invite(w.bert, "dora@example.com", role, team)
		w.want(http.StatusOK, w.bert, "PUT", "/api/v1/teams/"+team+"/members/"+w.bert.id, nil)
		own := w.make(w.anna, "/api/v1/teams", map[string]any{"name": "Own"})
		before := w.dump()
		name := map[string]any{"name": "Taken over"}
		for _, try := range []struct {
			method, path string
			body         any
			status       int
		}{
			{"GET", "/api/v1/members/" + w.bert.id, nil, 404},
			{"PATCH", "/api/v1/members/" + w.bert.id, map[string]any{"role": "viewer"}, 404},
			{"PATCH", "/api/v1/members/" + w.bert.id, map[string]any{"suspended": true}, 404},
			{"DELETE", "/api/v1/members/" + w.bert.id, nil, 404},
			{"PATCH", "/api/v1/members/" + w.anna.id, map[string]any{"role": role}, 422},
			{"POST", "/api/v1/invitations", map[string]any{"email": "x@example.com", "role": role}, 422},
			{"POST", "/api/v1/invitations", map[string]any{"email": "x@example.com", "role": "viewer", "teams": []string{team}}, 422},
			{"POST", "/api/v1/invitations/" + invitation + "/resend", nil, 404},
			{"DELETE", "/api/v1/invitations/" + invitation, nil, 404},
			{"GET", "/api/v1/teams/" + team, nil, 404},
			{"PATCH", "/api/v1/teams/" + team, name, 404},
			{"DELETE", "/api/v1/teams/" + team, nil, 404},
			{"PUT", "/api/v1/teams/" + team + "/members/" + w.anna.id, nil, 404},
			{"PUT", "/api/v1/teams/" + own + "/members/" + w.bert.id, nil, 404},
			{"DELETE", "/api/v1/teams/" + team + "/members/" + w.bert.id, nil, 404},
			{"GET", "/api/v1/projects/" + project, nil, 404},
			{"PATCH", "/api/v1/projects/" + project, name, 404},
			{"DELETE", "/api/v1/projects/" + project, nil, 404},
			{"GET", "/api/v1/roles/" + role, nil, 404},
			{"PATCH", "/api/v1/roles/" + role, name, 404},
			{"DELETE", "/api/v1/roles/" + role, nil, 404},
			{"POST", "/api/v1/me/organisation", map[string]any{"organisationId": w.shop}, 404},
		} {
			w.want(try.status, w.anna, try.method, try.path, try.body)
		}
		if after := w.dump(); after != before {
			t.Errorf("something changed\nbefore:\n%s\nafter:\n%s", before, after)
		}
		for _, list := range []string{"members", "invitations", "teams", "projects", "roles"} {
			var page struct {
				Items []struct {
					ID      string `json:"id"`
					UserID  string `json:"userId"`
					BuiltIn bool   `json:"builtIn"`
				} `json:"items"`
			}
			w.want(http.StatusOK, w.anna, "GET", "/api/v1/"+list, nil).into(w, &page)
			for _, i := range page.Items {
				if !i.BuiltIn && i.ID != own && i.UserID != w.anna.id {
					t.Errorf("the list of %s holds another organisation's %s%s", list, i.ID, i.UserID)
				}
			}
		}
	})
}

// What belongs to the installation is refused to every owner but the one who runs it.
func TestSuperOperationsAreRefused(t *testing.T) {
	eachWorld(t, func(w *world) {
		before := w.dump()
		org := "/api/v1/super/organisations/" + w.clinic
		for _, try := range [][2]string{
			{"GET", "/api/v1/super/organisations"}, {"POST", "/api/v1/super/organisations"}, {"GET", org}, {"PATCH", org}, {"POST", org + "/suspend"},
			{"POST", org + "/resume"}, {"GET", org + "/members"}, {"POST", org + "/impersonate"}, {"GET", "/api/v1/super/plans"},
			{"POST", "/api/v1/super/plans"}, {"PATCH", "/api/v1/super/plans/x"}, {"DELETE", "/api/v1/super/plans/x"},
		} {
			w.want(http.StatusForbidden, w.bert, try[0], try[1], map[string]any{})
		}
		if w.dump() != before {
			t.Error("something changed")
		}
	})
}
