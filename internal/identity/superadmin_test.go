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

// A super-admin makes others, and ends it again, with a fresh proof of who they are; the last one stays.
func TestSuperAdmins(t *testing.T) {
	eachWorld(t, func(w *world) {
		const admins = "/api/v1/super/admins"
		type list struct{ Items []identity.SuperAdmin }
		var l list
		w.want(http.StatusOK, w.anna, "GET", admins, nil).into(w, &l)
		if len(l.Items) != 1 || l.Items[0].UserID != w.anna.id {
			t.Fatalf("super-admins %+v", l.Items)
		}
		w.want(http.StatusForbidden, w.bert, "POST", admins, map[string]any{"email": w.bert.email})
		w.want(http.StatusConflict, w.anna, "DELETE", admins+"/"+w.anna.id, nil) // the last one
		w.want(http.StatusNotFound, w.anna, "POST", admins, map[string]any{"email": "nobody@example.com"})

		w.want(http.StatusOK, w.anna, "POST", admins, map[string]any{"email": strings.ToUpper(w.bert.email)})
		w.want(http.StatusOK, w.anna, "POST", admins, map[string]any{"email": w.bert.email}) // again is no change
		w.want(http.StatusOK, w.bert, "GET", admins, nil).into(w, &l)
		if len(l.Items) != 2 {
			t.Fatalf("super-admins %+v", l.Items)
		}
		w.want(http.StatusNoContent, w.bert, "DELETE", admins+"/"+w.anna.id, nil)
		w.want(http.StatusForbidden, w.anna, "GET", admins, nil)
		w.want(http.StatusNotFound, w.bert, "DELETE", admins+"/"+w.anna.id, nil)
		if g, r := w.audited(identity.Platform, "super.grant"), w.audited(identity.Platform, "super.revoke"); len(g) != 1 || len(r) != 1 ||
			g[0].ActorID != w.anna.id || g[0].ObjectID != w.bert.id || r[0].ActorID != w.bert.id || r[0].ObjectID != w.anna.id {
			t.Errorf("the platform log: %+v, %+v", g, r)
		}

		ctx := context.Background()
		if _, err := w.s.SetSuperFor(ctx, w.bert.email, false); !fault.Is(err, fault.NotPossible) {
			t.Errorf("the command line ended the last one: %v", err)
		}
		who, err := w.s.SetSuperFor(ctx, w.anna.email, true)
		if err != nil || who.UserID != w.anna.id {
			t.Errorf("the command line: %+v, %v", who, err)
		}
		w.want(http.StatusOK, w.anna, "GET", admins, nil)
		w.clock.Advance(16 * time.Minute) // the proof is no longer fresh
		a := w.do(w.anna, "DELETE", admins+"/"+w.bert.id, nil)
		if !strings.Contains(a.body, string(fault.Reauthenticate)) {
			t.Errorf("without a fresh proof: %d %s", a.status, a.body)
		}
	})
}

// An administrator ends a member's sessions in the organisation, and nothing else of theirs.
func TestEndMemberSessions(t *testing.T) {
	eachWorld(t, func(w *world) {
		cara := w.join(w.anna, "cara@example.com", identity.RoleViewer)
		path := "/api/v1/members/" + cara.id + "/sessions/revoke"
		w.want(http.StatusForbidden, cara, "POST", path, nil)
		w.want(http.StatusNotFound, w.bert, "POST", path, nil) // of another organisation
		var out struct{ Revoked int }
		w.want(http.StatusOK, w.anna, "POST", path, nil).into(w, &out)
		if out.Revoked != 1 || len(w.audited(w.clinic, "session.revoke_all")) != 1 {
			t.Errorf("%d sessions ended", out.Revoked)
		}
		w.want(http.StatusUnauthorized, cara, "GET", "/api/v1/me", nil)
		if _, _, err := w.s.SignIn(context.Background(), cara.email, password, "192.0.2.1"); err != nil {
			t.Errorf("she may sign in again: %v", err)
		}
	})
}

// Who tries an address that nobody has is told what everybody is told, and the platform log has it without the address.
func TestUnknownAddressIsNoted(t *testing.T) {
	eachWorld(t, func(w *world) {
		ctx := context.Background()
		_, _, wrong := w.s.SignIn(ctx, w.anna.email, "a wrong password", "192.0.2.1")
		_, _, err := w.s.SignIn(ctx, "ghost@example.com", "a wrong password", "192.0.2.2")
		if err == nil || wrong == nil || err.Error() != wrong.Error() {
			t.Errorf("the answers tell who has an account: %v, %v", err, wrong)
		}
		noted := w.audited(identity.Platform, "auth.sign_in")
		if len(noted) != 1 || noted[0].Outcome != identity.OutcomeDenied || strings.Contains(string(noted[0].After), "ghost") {
			t.Errorf("the platform log: %+v", noted)
		}
	})
}
