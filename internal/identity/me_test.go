package identity_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/parley-voice/parley/internal/identity"
)

// Everybody changes their own name, and it is on record in each of their organisations; nobody changes it for them.
func TestOwnName(t *testing.T) {
	eachWorld(t, func(w *world) {
		cara := w.join(w.anna, "cara@example.com", "viewer")
		_, token := w.invite(w.bert, "cara@example.com", "agent")
		cara.cookie = w.want(http.StatusOK, cara, "POST", "/api/v1/me/invitations", map[string]any{"token": token}).cookie
		var acc identity.Account
		w.want(http.StatusOK, cara, "PATCH", "/api/v1/me", map[string]any{"name": " Cara Kröger "}).into(w, &acc)
		if acc.User.Name != "Cara Kröger" || w.me(cara).User.Name != "Cara Kröger" {
			t.Errorf("she is %+v", acc.User)
		}
		for _, org := range []string{w.clinic, w.shop} {
			e := w.audited(org, "user.update")
			if len(e) != 1 || e[0].ObjectID != cara.id || !strings.Contains(string(e[0].Before), "New") || !strings.Contains(string(e[0].After), "Kröger") {
				t.Errorf("%s has on record %+v", org, e)
			}
		}
		w.want(http.StatusOK, cara, "PATCH", "/api/v1/me", map[string]any{}) // nothing changes
		for _, name := range []string{"", "  ", "two\nlines", strings.Repeat("x", 121)} {
			w.want(http.StatusUnprocessableEntity, cara, "PATCH", "/api/v1/me", map[string]any{"name": name})
		}
		var key struct{ Secret string }
		w.want(http.StatusCreated, w.anna, "POST", "/api/v1/tokens", map[string]any{"name": "robot"}).into(w, &key)
		w.want(http.StatusForbidden, person{cookie: "token " + key.Secret}, "PATCH", "/api/v1/me", map[string]any{"name": "Robot"})
		if w.me(cara).User.Name != "Cara Kröger" || w.me(w.anna).User.Name == "Robot" {
			t.Error("a name was changed all the same")
		}
	})
}
