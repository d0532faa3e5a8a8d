package identity_test

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/fault"
)

func TestSwitchOrganisation(t *testing.T) {
	eachWorld(t, func(w *world) {
		w.want(http.StatusNotFound, w.anna, "POST", "/api/v1/me/organisation", map[string]any{"organisationId": w.shop})
		_, token := w.invite(w.bert, w.anna.email, identity.RoleAgent)
		a := w.want(http.StatusOK, w.anna, "POST", "/api/v1/me/invitations", map[string]any{"token": token})
		w.want(http.StatusUnauthorized, w.anna, "GET", "/api/v1/me", nil) // the cookie before is over
		inShop := person{w.anna.id, w.anna.email, a.cookie}
		acc := w.me(inShop)
		if acc.Organisation.ID != w.shop || acc.Role != identity.RoleAgent || len(acc.Memberships) != 2 {
			t.Fatalf("account %+v", acc)
		}
		w.want(http.StatusForbidden, inShop, "GET", "/api/v1/members", nil) // an agent here, an owner there
		a = w.want(http.StatusOK, inShop, "POST", "/api/v1/me/organisation", map[string]any{"organisationId": w.clinic})
		home := person{w.anna.id, w.anna.email, a.cookie}
		if acc := w.me(home); acc.Organisation.ID != w.clinic || acc.Role != identity.RoleOwner || !acc.SuperAdmin {
			t.Fatalf("account %+v", acc)
		}
		if len(w.audited(w.shop, "auth.switch")) != 1 || len(w.audited(w.clinic, "auth.switch")) != 1 {
			t.Error("each switch is audited where it leads")
		}
	})
}

func TestInvitation(t *testing.T) {
	eachWorld(t, func(w *world) {
		team := w.make(w.anna, "/api/v1/teams", map[string]any{"name": "Front desk"})
		id, token := w.invite(w.anna, "Carl@Example.com", identity.RoleSupervisor, team)
		find := func(token string) answer {
			return w.do(person{}, "POST", "/api/v1/invitations/find", map[string]any{"token": token})
		}
		var open identity.OpenInvitation
		find(token).into(w, &open)
		if open.Organisation != "Clinic" || open.Email != "carl@example.com" || open.RoleName != "Supervisor" || open.HasAccount {
			t.Fatalf("the link shows %+v", open)
		}
		var again sent
		w.want(http.StatusOK, w.anna, "POST", "/api/v1/invitations/"+id+"/resend", nil).into(w, &again)
		if find(token).status != http.StatusNotFound {
			t.Error("a link that was sent again must end the one before")
		}
		token = again.token()
		accept := map[string]any{"token": token, "name": "Carl", "password": "short"}
		w.want(http.StatusUnprocessableEntity, person{}, "POST", "/api/v1/invitations/accept", accept)
		accept["password"] = password
		a := w.want(http.StatusCreated, person{}, "POST", "/api/v1/invitations/accept", accept)
		acc := w.me(person{cookie: a.cookie})
		if acc.Organisation.ID != w.clinic || acc.Role != identity.RoleSupervisor || !slices.Equal(acc.Teams, []string{team}) || acc.SuperAdmin {
			t.Fatalf("account %+v", acc)
		}
		w.want(http.StatusNotFound, person{}, "POST", "/api/v1/invitations/accept", accept) // once
		w.want(http.StatusConflict, w.anna, "POST", "/api/v1/invitations", map[string]any{"email": "carl@example.com", "role": "viewer"})

		// Somebody with an account accepts with it, and only the one who was invited.
		_, token = w.invite(w.anna, "bert@example.com", identity.RoleViewer)
		accept["token"] = token
		w.want(http.StatusConflict, person{}, "POST", "/api/v1/invitations/accept", accept)
		w.want(http.StatusForbidden, person{cookie: a.cookie}, "POST", "/api/v1/me/invitations", map[string]any{"token": token})
		w.want(http.StatusOK, w.bert, "POST", "/api/v1/me/invitations", map[string]any{"token": token})

		id, token = w.invite(w.anna, "dora@example.com", identity.RoleViewer)
		w.want(http.StatusNoContent, w.anna, "DELETE", "/api/v1/invitations/"+id, nil)
		if find(token).status != http.StatusNotFound {
			t.Error("a revoked link still works")
		}
		_, token = w.invite(w.anna, "dora@example.com", identity.RoleViewer)
		w.clock.Advance(7*24*time.Hour + time.Second)
		if find(token).status != http.StatusNotFound {
			t.Error("an old link still works")
		}
		if n := len(w.audited(w.clinic, "member.join")); n != 2 {
			t.Errorf("%d entries for two who joined", n)
		}
	})
}

func TestLastOwnerStays(t *testing.T) {
	eachWorld(t, func(w *world) {
		admin := w.join(w.anna, "carl@example.com", identity.RoleAdmin)
		me := "/api/v1/members/" + w.anna.id
		w.want(http.StatusConflict, w.anna, "PATCH", me, map[string]any{"role": "admin"})
		w.want(http.StatusConflict, w.anna, "PATCH", me, map[string]any{"suspended": true})
		w.want(http.StatusConflict, w.anna, "DELETE", me, nil)
		// An administrator has no power over owners, and makes none.
		w.want(http.StatusForbidden, admin, "DELETE", me, nil)
		w.want(http.StatusForbidden, admin, "PATCH", me, map[string]any{"suspended": true})
		w.want(http.StatusForbidden, admin, "PATCH", "/api/v1/members/"+admin.id, map[string]any{"role": "owner"})
		w.want(http.StatusForbidden, admin, "POST", "/api/v1/invitations", map[string]any{"email": "x@example.com", "role": "owner"})
		// With a second owner the first may go. A suspended one does not count.
		w.want(http.StatusOK, w.anna, "PATCH", "/api/v1/members/"+admin.id, map[string]any{"role": "owner"})
		w.want(http.StatusOK, w.anna, "PATCH", "/api/v1/members/"+admin.id, map[string]any{"suspended": true})
		w.want(http.StatusConflict, w.anna, "PATCH", me, map[string]any{"role": "admin"})
		w.want(http.StatusOK, w.anna, "PATCH", "/api/v1/members/"+admin.id, map[string]any{"suspended": false})
		w.want(http.StatusOK, w.anna, "PATCH", me, map[string]any{"role": "admin"})
	})
}

func TestMemberLosesAccessAtOnce(t *testing.T) {
	eachWorld(t, func(w *world) {
		carl := w.join(w.anna, "carl@example.com", identity.RoleAdmin)
		p, err := w.s.Session(context.Background(), carl.cookie)
		w.must(err)
		secret, err := w.s.CreateTokenFor(context.Background(), carl.email, "ci")
		w.must(err)
		w.want(http.StatusOK, person{cookie: "token " + secret}, "GET", "/api/v1/members", nil)
		path := "/api/v1/members/" + p.UserID

		w.want(http.StatusOK, w.anna, "PATCH", path, map[string]any{"role": "viewer"})
		w.want(http.StatusForbidden, carl, "GET", "/api/v1/members", nil)
		w.want(http.StatusForbidden, person{cookie: "token " + secret}, "GET", "/api/v1/members", nil)

		w.want(http.StatusOK, w.anna, "PATCH", path, map[string]any{"suspended": true})
		w.want(http.StatusUnauthorized, carl, "GET", "/api/v1/me", nil)
		w.want(http.StatusForbidden, person{cookie: "token " + secret}, "GET", "/api/v1/me", nil)
		_, _, err = w.s.SignIn(context.Background(), carl.email, password, "10.0.0.9")
		wantCode(t, err, fault.Forbidden)

		w.want(http.StatusOK, w.anna, "PATCH", path, map[string]any{"suspended": false})
		w.want(http.StatusOK, person{cookie: "token " + secret}, "GET", "/api/v1/me", nil)
		w.want(http.StatusNoContent, w.anna, "DELETE", path, nil)
		w.want(http.StatusUnauthorized, person{cookie: "token " + secret}, "GET", "/api/v1/me", nil)
		w.want(http.StatusNotFound, w.anna, "GET", path, nil)
		_, _, err = w.s.SignIn(context.Background(), carl.email, password, "10.0.0.9")
		wantCode(t, err, fault.Unauthorized)
		w.join(w.anna, carl.email, identity.RoleViewer) // a new account: the one before belonged nowhere and is forgotten
		for _, action := range []string{"member.update", "member.suspend", "member.remove"} {
			if len(w.audited(w.clinic, action)) == 0 {
				t.Errorf("no entry %q in the audit trail", action)
			}
		}
	})
}

func TestTeamsAndProjects(t *testing.T) {
	eachWorld(t, func(w *world) {
		carl := w.join(w.anna, "carl@example.com", identity.RoleAgent)
		for _, kind := range []string{"teams", "projects"} {
			id := w.make(w.anna, "/api/v1/"+kind, map[string]any{"name": " North "})
			w.make(w.anna, "/api/v1/"+kind, map[string]any{"name": "South", "description": "the other one"})
			w.want(http.StatusConflict, w.anna, "POST", "/api/v1/"+kind, map[string]any{"name": "North"})
			w.want(http.StatusConflict, w.anna, "PATCH", "/api/v1/"+kind+"/"+id, map[string]any{"name": "South"})
			w.want(http.StatusOK, w.anna, "PATCH", "/api/v1/"+kind+"/"+id, map[string]any{"name": "East"})
			var page struct {
				Items []struct{ ID, Name string } `json:"items"`
				Next  *string                     `json:"next"`
			}
			w.want(http.StatusOK, w.anna, "GET", "/api/v1/"+kind+"?limit=1", nil).into(w, &page)
			if len(page.Items) != 1 || page.Items[0].Name != "East" || page.Next == nil {
				t.Fatalf("first page of %s: %+v", kind, page)
			}
			w.want(http.StatusOK, w.anna, "GET", "/api/v1/"+kind+"?limit=1&cursor="+*page.Next, nil).into(w, &page)
			if len(page.Items) != 1 || page.Items[0].Name != "South" || page.Next != nil {
				t.Fatalf("last page of %s: %+v", kind, page)
			}
			w.want(http.StatusForbidden, carl, "POST", "/api/v1/"+kind, map[string]any{"name": "Mine"})
			w.want(http.StatusNoContent, w.anna, "DELETE", "/api/v1/"+kind+"/"+id, nil)
			w.want(http.StatusNotFound, w.anna, "GET", "/api/v1/"+kind+"/"+id, nil)
		}
		team := w.make(w.anna, "/api/v1/teams", map[string]any{"name": "Night"})
		member := "/api/v1/teams/" + team + "/members/" + carl.id
		w.want(http.StatusOK, w.anna, "PUT", member, nil)
		w.want(http.StatusOK, w.anna, "PUT", member, nil)
		if p, err := w.s.Session(context.Background(), carl.cookie); err != nil || !slices.Equal(p.Teams, []string{team}) {
			t.Fatalf("teams of a member: %v, %v", p.Teams, err)
		}
		w.want(http.StatusOK, w.anna, "DELETE", member, nil)
		w.want(http.StatusNotFound, w.anna, "DELETE", member, nil)
		if p, err := w.s.Session(context.Background(), carl.cookie); err != nil || len(p.Teams) != 0 {
			t.Fatalf("teams of who left: %v, %v", p.Teams, err)
		}
		w.want(http.StatusNotFound, w.anna, "PUT", "/api/v1/teams/"+team+"/members/"+w.bert.id, nil)
	})
}

func TestOrganisationSettings(t *testing.T) {
	eachWorld(t, func(w *world) {
		for _, bad := range []map[string]any{
			{"name": " "}, {"timeZone": "Berlin"}, {"timeZone": "Local"}, {"sessionIdleMinutes": 3}, {"sessionIdleMinutes": 10_000},
		} {
			w.want(http.StatusUnprocessableEntity, w.anna, "PATCH", "/api/v1/organisation", bad)
		}
		var v identity.OrganisationView
		w.want(http.StatusOK, w.anna, "PATCH", "/api/v1/organisation", map[string]any{"name": "Clinic North", "timeZone": "Europe/Berlin", "sessionIdleMinutes": 5}).into(w, &v)
		if v.Name != "Clinic North" || v.TimeZone != "Europe/Berlin" || *v.SessionIdleMinutes != 5 || v.Placement != "shared" {
			t.Fatalf("organisation %+v", v)
		}
		w.clock.Advance(6 * time.Minute)
		w.want(http.StatusUnauthorized, w.anna, "GET", "/api/v1/me", nil)
		w.want(http.StatusOK, w.bert, "GET", "/api/v1/me", nil) // the other organisation's sessions last as before
		e := w.audited(w.clinic, "organisation.update")
		if len(e) != 1 || e[0].ActorID != w.anna.id {
			t.Fatalf("audit entries %+v", e)
		}
	})
}
