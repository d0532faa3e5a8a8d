package identity_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/parley-voice/parley/internal/identity"
)

func TestCustomRole(t *testing.T) {
	eachWorld(t, func(w *world) {
		for _, bad := range []string{"call", "member:fly", "nothing:read", "*:read", "member:read:all", "super:*", "super:read", "self:*", "", "member:*:own:own"} {
			a := w.want(http.StatusUnprocessableEntity, w.anna, "POST", "/api/v1/roles", map[string]any{"name": "R", "permissions": []string{"team:read", bad}})
			if !strings.Contains(a.body, "permissions[1]") {
				t.Errorf("the error for %q does not name it: %s", bad, a.body)
			}
		}
		w.want(http.StatusConflict, w.anna, "POST", "/api/v1/roles", map[string]any{"name": "owner", "permissions": []string{}})
		var role identity.Role
		w.want(http.StatusCreated, w.anna, "POST", "/api/v1/roles", map[string]any{"name": "People", "permissions": []string{"member:*", "role:read", "invitation:create", "team:read:own"}}).into(w, &role)
		if !slices.Equal(role.Expanded, []string{"invitation:create", "member:delete", "member:read", "member:update", "role:read", "team:read:own"}) {
			t.Fatalf("expanded to %v", role.Expanded)
		}
		carl := w.join(w.anna, "carl@example.com", role.ID)
		w.want(http.StatusOK, carl, "GET", "/api/v1/members", nil)
		w.want(http.StatusForbidden, carl, "GET", "/api/v1/projects", nil)
		if me := w.me(carl); me.RoleName != "People" || !slices.Contains(me.Permissions, "self:*") {
			t.Fatalf("account %+v", me)
		}

		// Nobody gives more than they have, nor has power over those who have more.
		w.want(http.StatusForbidden, carl, "POST", "/api/v1/invitations", map[string]any{"email": "x@example.com", "role": "admin"})
		w.want(http.StatusForbidden, carl, "POST", "/api/v1/invitations", map[string]any{"email": "x@example.com", "role": "supervisor"})
		w.want(http.StatusForbidden, carl, "PATCH", "/api/v1/members/"+carl.id, map[string]any{"role": "admin"})
		dora := w.join(w.anna, "dora@example.com", identity.RoleAdmin)
		w.want(http.StatusForbidden, carl, "DELETE", "/api/v1/members/"+dora.id, nil)
		w.want(http.StatusForbidden, carl, "PATCH", "/api/v1/members/"+dora.id, map[string]any{"suspended": true})
		w.invite(carl, "x@example.com", role.ID)

		// A change counts at once for everybody who has the role.
		w.want(http.StatusConflict, w.anna, "DELETE", "/api/v1/roles/"+role.ID, nil)
		w.want(http.StatusOK, w.anna, "PATCH", "/api/v1/roles/"+role.ID, map[string]any{"permissions": []string{"project:read"}})
		w.want(http.StatusForbidden, carl, "GET", "/api/v1/members", nil)
		w.want(http.StatusOK, carl, "GET", "/api/v1/projects", nil)
		w.want(http.StatusConflict, w.anna, "PATCH", "/api/v1/roles/viewer", map[string]any{"name": "V"})
		w.want(http.StatusConflict, w.anna, "DELETE", "/api/v1/roles/viewer", nil)
		spare := w.make(w.anna, "/api/v1/roles", map[string]any{"name": "Spare", "permissions": []string{}})
		w.want(http.StatusNoContent, w.anna, "DELETE", "/api/v1/roles/"+spare, nil)
		w.want(http.StatusNotFound, w.anna, "GET", "/api/v1/roles/"+spare, nil)
	})
}

func TestBuiltInRoles(t *testing.T) {
	eachWorld(t, func(w *world) {
		var roles struct {
			Items []identity.Role `json:"items"`
		}
		w.want(http.StatusOK, w.anna, "GET", "/api/v1/roles", nil).into(w, &roles)
		var ids []string
		for _, r := range roles.Items {
			ids = append(ids, r.ID)
			if !r.BuiltIn || slices.ContainsFunc(r.Expanded, func(p string) bool { return strings.HasPrefix(p, "super:") }) {
				t.Errorf("role %+v", r)
			}
		}
		if !slices.Equal(ids, []string{"owner", "admin", "supervisor", "agent", "viewer"}) || roles.Items[0].Members != 1 {
			t.Fatalf("roles %v, %d owners", ids, roles.Items[0].Members)
		}
		var permissions struct {
			Items []string `json:"items"`
		}
		w.want(http.StatusOK, w.anna, "GET", "/api/v1/permissions", nil).into(w, &permissions)
		if !slices.IsSorted(permissions.Items) || !slices.Contains(permissions.Items, "member:update") || slices.Contains(permissions.Items, "public") {
			t.Fatalf("permissions %v", permissions.Items)
		}
	})
}

func TestSuperIsNoPermissionOfARole(t *testing.T) {
	all := identity.Principal{Permissions: []string{"*", "super:*"}, SessionID: "s"}
	if all.May("super:read") {
		t.Error("a role gives no power over the installation")
	}
	super := identity.Principal{Super: true, SessionID: "s"}
	if !super.May("super:read") || super.May("call:read") {
		t.Error("a super-admin has the installation, and of an organisation what their role gives")
	}
	for name, p := range map[string]identity.Principal{
		"token": {Super: true, TokenID: "t"}, "impersonated": {Super: true, SessionID: "s", Impersonator: "x"}, "nothing": {Super: true},
	} {
		if p.May("super:read") {
			t.Errorf("%s: super:read must need a session of one's own", name)
		}
	}
}
