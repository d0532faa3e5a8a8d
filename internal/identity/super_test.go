package identity_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/fault"
)

func TestSuperAdministersOrganisations(t *testing.T) {
	eachWorld(t, func(w *world) {
		const orgs = "/api/v1/super/organisations"
		w.want(http.StatusForbidden, w.bert, "GET", orgs, nil) // an owner is not a super-admin
		secret, err := w.s.CreateTokenFor(context.Background(), w.anna.email, "ci")
		w.must(err)
		w.want(http.StatusForbidden, person{cookie: "token " + secret}, "GET", orgs, nil) // and a token is never one

		plan := w.make(w.anna, "/api/v1/super/plans", map[string]any{"name": "Small", "limits": map[string]any{"seats": 2, "agents": 1}})
		w.want(http.StatusConflict, w.anna, "POST", "/api/v1/super/plans", map[string]any{"name": "Small", "limits": map[string]any{}})
		var made struct {
			Organisation identity.SuperOrganisation `json:"organisation"`
			Invitation   sent                       `json:"invitation"`
		}
		w.want(http.StatusCreated, w.anna, "POST", orgs, map[string]any{"name": "Bakery", "ownerEmail": "zoe@example.com", "planId": plan}).into(w, &made)
		id := made.Organisation.ID
		if *made.Organisation.Limits.Seats != 2 || made.Organisation.Plan.Name != "Small" || made.Organisation.Use.Seats != 1 {
			t.Fatalf("organisation %+v", made.Organisation)
		}
		a := w.want(http.StatusCreated, person{}, "POST", "/api/v1/invitations/accept", map[string]any{"token": made.Invitation.token(), "password": password})
		zoe := person{cookie: a.cookie}
		if acc := w.me(zoe); acc.Role != identity.RoleOwner || acc.Organisation.ID != id || acc.SuperAdmin {
			t.Fatalf("the invited owner: %+v", acc)
		}
		w.want(http.StatusConflict, w.anna, "DELETE", "/api/v1/super/plans/"+plan, nil) // in use
		w.want(http.StatusUnprocessableEntity, w.anna, "PATCH", orgs+"/"+id, map[string]any{"planId": "none"})
		w.want(http.StatusUnprocessableEntity, w.anna, "PATCH", orgs+"/"+id, map[string]any{"limits": map[string]any{"seats": -1}})
		var v identity.SuperOrganisation
		w.want(http.StatusOK, w.anna, "PATCH", orgs+"/"+id, map[string]any{"limits": map[string]any{"seats": 5}}).into(w, &v)
		if *v.Limits.Seats != 5 || *v.Limits.Agents != 1 { // its own limit goes before the plan's
			t.Fatalf("limits %+v", v.Limits)
		}
		var list struct {
			Items []identity.SuperOrganisation `json:"items"`
		}
		w.want(http.StatusOK, w.anna, "GET", orgs+"?search=BAK", nil).into(w, &list)
		if len(list.Items) != 1 || list.Items[0].Name != "Bakery" {
			t.Fatalf("found %+v", list.Items)
		}
		w.want(http.StatusOK, w.anna, "PATCH", orgs+"/"+id, map[string]any{"planId": ""})
		w.want(http.StatusNoContent, w.anna, "DELETE", "/api/v1/super/plans/"+plan, nil)
		if len(w.audited(id, "organisation.create")) != 1 || len(w.audited(id, "organisation.update")) != 2 || len(w.audited(identity.Platform, "plan.delete")) != 1 {
			t.Error("what a super-admin does is in the audit trail")
		}
	})
}

func TestSuspendedOrganisation(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := context.Background()
		secret, err := w.s.CreateTokenFor(ctx, w.bert.email, "ci")
		w.must(err)
		token := person{cookie: "token " + secret}
		w.want(http.StatusOK, token, "GET", "/api/v1/me", nil)
		_, invitation := w.invite(w.bert, "new@example.com", identity.RoleViewer)
		path := "/api/v1/super/organisations/" + w.shop
		w.want(http.StatusConflict, w.anna, "POST", "/api/v1/super/organisations/"+w.clinic+"/suspend", map[string]any{"reason": "x"}) // one's own
		w.want(http.StatusUnprocessableEntity, w.anna, "POST", path+"/suspend", map[string]any{"reason": " "})
		w.want(http.StatusOK, w.anna, "POST", path+"/suspend", map[string]any{"reason": "the bill of May is open"})
		w.want(http.StatusConflict, w.anna, "POST", path+"/suspend", map[string]any{"reason": "again"})

		w.want(http.StatusUnauthorized, w.bert, "GET", "/api/v1/me", nil)
		if a := w.want(http.StatusForbidden, token, "GET", "/api/v1/me", nil); !strings.Contains(a.body, "the bill of May") {
			t.Errorf("the reason is not shown: %s", a.body)
		}
		_, _, err = w.s.SignIn(ctx, w.bert.email, password, "10.0.0.7")
		wantCode(t, err, fault.Forbidden)
		w.want(http.StatusForbidden, person{}, "POST", "/api/v1/invitations/accept", map[string]any{"token": invitation, "password": password})
		settings, err := w.s.SettingsOf(ctx, w.shop)
		w.must(err)
		wantCode(t, settings.Standing(), fault.Forbidden)

		w.want(http.StatusOK, w.anna, "POST", path+"/resume", nil)
		w.want(http.StatusConflict, w.anna, "POST", path+"/resume", nil)
		w.want(http.StatusOK, token, "GET", "/api/v1/me", nil)
		if _, _, err = w.s.SignIn(ctx, w.bert.email, password, "10.0.0.7"); err != nil {
			t.Fatal(err)
		}
		e := w.audited(w.shop, "organisation.suspend")
		if len(e) != 1 || e[0].Reason != "the bill of May is open" || e[0].ActorID != w.anna.id {
			t.Fatalf("audit entries %+v", e)
		}
	})
}

func TestImpersonation(t *testing.T) {
	eachWorld(t, func(w *world) {
		path := "/api/v1/super/organisations/" + w.shop + "/impersonate"
		clerk := w.join(w.bert, "clerk@example.com", identity.RoleAgent)
		w.want(http.StatusUnprocessableEntity, w.anna, "POST", path, map[string]any{"userId": w.bert.id, "reason": ""})
		w.want(http.StatusNotFound, w.anna, "POST", path, map[string]any{"userId": "nobody", "reason": "a call for help"})
		begin := func() person {
			a := w.want(http.StatusOK, w.anna, "POST", path, map[string]any{"userId": w.bert.id, "reason": "a call for help"})
			return person{w.bert.id, w.bert.email, a.cookie}
		}
		as := begin()
		acc := w.me(as)
		if acc.User.ID != w.bert.id || acc.SuperAdmin || acc.ImpersonatedBy == nil || acc.ImpersonatedBy.User.ID != w.anna.id ||
			acc.ImpersonatedBy.Reason != "a call for help" || !acc.ImpersonatedBy.EndsAt.Equal(w.clock.Now().Add(time.Hour).Truncate(time.Millisecond)) {
			t.Fatalf("account %+v, by %+v", acc, acc.ImpersonatedBy)
		}
		w.make(as, "/api/v1/teams", map[string]any{"name": "Made for bert"})
		if e := w.audited(w.shop, "team.create"); len(e) != 1 || e[0].ActorID != w.bert.id || e[0].Impersonator != w.anna.id {
			t.Fatalf("audit entries %+v", e)
		}
		// It is not the person: it makes no key that outlives it, changes nothing of how they sign in, and is not super.
		w.want(http.StatusForbidden, as, "GET", "/api/v1/super/organisations", nil)
		w.want(http.StatusForbidden, as, "POST", "/api/v1/tokens", map[string]any{"name": "back door"})
		w.want(http.StatusForbidden, as, "POST", "/api/v1/invitations", map[string]any{"email": "door@back.example", "role": "owner"})
		w.want(http.StatusForbidden, as, "POST", "/api/v1/members/"+clerk.id+"/password-reset", nil)
		w.want(http.StatusForbidden, as, "DELETE", "/api/v1/members/"+clerk.id+"/second-factors", nil)
		w.want(http.StatusConflict, as, "POST", "/api/v1/me/organisation", map[string]any{"organisationId": w.shop})
		w.want(http.StatusConflict, w.anna, "POST", "/api/v1/me/impersonation/end", nil)

		a := w.want(http.StatusOK, as, "POST", "/api/v1/me/impersonation/end", nil)
		w.want(http.StatusUnauthorized, as, "GET", "/api/v1/me", nil)
		w.anna.cookie = a.cookie
		if acc := w.me(w.anna); acc.User.ID != w.anna.id || !acc.SuperAdmin || acc.ImpersonatedBy != nil {
			t.Fatalf("back as %+v", acc)
		}
		as = begin()
		for range 7 { // in use, also of the session it hangs on
			w.clock.Advance(8 * time.Minute)
			w.want(http.StatusOK, as, "GET", "/api/v1/me", nil)
		}
		w.clock.Advance(5 * time.Minute)
		w.want(http.StatusUnauthorized, as, "GET", "/api/v1/me", nil) // over after an hour
		as = begin()
		w.must(w.s.SignOut(context.Background(), w.anna.cookie))
		w.want(http.StatusUnauthorized, as, "GET", "/api/v1/me", nil) // ends with the session it hangs on
		if n := len(w.audited(w.shop, "auth.impersonate")); n != 3 {
			t.Errorf("%d entries for three times", n)
		}
	})
}

func TestNobodyActsAsAnotherSuperAdmin(t *testing.T) {
	eachWorld(t, func(w *world) {
		carl := w.join(w.anna, "carl@example.com", identity.RoleAdmin)
		p, err := w.s.Session(context.Background(), carl.cookie)
		w.must(err)
		_, _, err = w.s.Impersonate(context.Background(), p, w.clinic, w.anna.id, "because")
		wantCode(t, err, fault.Forbidden)
	})
}
