package identity_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/quartz"
	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// world is two organisations behind the API: the clinic, whose owner anna made the installation, and the shop with its
// owner bert.
type world struct {
	*testing.T
	s     *identity.Service
	d     *db.DB
	clock *quartz.Mock
	mux   *http.ServeMux

	anna, bert   person
	clinic, shop string
}

// person is somebody with a session.
type person struct{ id, email, cookie string }

const password = "quiet green river"

func eachWorld(t *testing.T, fn func(w *world)) {
	each(t, func(t *testing.T, s *identity.Service, d *db.DB, clock *quartz.Mock) {
		w := &world{T: t, s: s, d: d, clock: clock}
		ctx := context.Background()
		a, err := s.CreateOwner(ctx, owner)
		w.must(err)
		b, err := s.CreateOrganisation(ctx, identity.NewOrganisation{Name: "Shop", OwnerEmail: "bert@example.com", Password: password})
		w.must(err)
		w.clinic, w.shop = a.Organisation.ID, b.Organisation.ID
		w.serve()
		w.anna, w.bert = w.session(a.User, w.clinic), w.session(b.User, w.shop)
		fn(w)
	})
}

// serve mounts the API as the gateway does: permission first.
func (w *world) serve() {
	w.mux = http.NewServeMux()
	api := humago.New(w.mux, huma.DefaultConfig("test", "1"))
	api.UseMiddleware(func(ctx huma.Context, next func(huma.Context)) {
		permission, _ := ctx.Operation().Metadata["permission"].(string)
		if permission == "public" {
			next(ctx)
			return
		}
		p, err := w.s.Session(ctx.Context(), ctx.Header("As"))
		if secret, ok := strings.CutPrefix(ctx.Header("As"), "token "); ok {
			p, err = w.s.Bearer(ctx.Context(), secret, "10.0.0.1")
		}
		scope, may := p.Scope(permission)
		if err == nil && (!may || !scope.All() && !identity.Narrows(ctx.Operation().Metadata)) {
			err = fault.New(fault.Forbidden, "your role does not include %q", permission)
		}
		if err != nil {
			var f *fault.Error
			if !errors.As(err, &f) {
				w.Errorf("authorize: %v", err)
				f = fault.New(fault.Internal, "%v", err)
			}
			_ = huma.WriteErr(api, ctx, f.Status, f.Message, f)
			return
		}
		next(huma.WithContext(ctx, identity.WithScope(identity.With(ctx.Context(), p), scope)))
	})
	w.s.Routes(api)
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) session(u identity.User, orgID string) person {
	w.Helper()
	_, cookie, err := w.s.Begin(context.Background(), identity.SignOn{UserID: u.ID, OrgID: orgID, Method: identity.MethodPassword})
	w.must(err)
	return person{u.ID, u.Email, cookie}
}

// answer is what the API said.
type answer struct {
	status int
	body   string
	cookie string
}

func (a answer) into(w *world, v any) {
	w.Helper()
	if err := json.Unmarshal([]byte(a.body), v); err != nil {
		w.Fatalf("%v: %s", err, a.body)
	}
}

// do asks the API as somebody.
func (w *world) do(as person, method, path string, body any) answer {
	w.Helper()
	var content []byte
	if body != nil {
		var err error
		content, err = json.Marshal(body)
		w.must(err)
	}
	r := httptest.NewRequest(method, path, bytes.NewReader(content))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("As", as.cookie)
	r.AddCookie(&http.Cookie{Name: identity.SessionCookie, Value: as.cookie})
	out := httptest.NewRecorder()
	w.mux.ServeHTTP(out, r)
	a := answer{status: out.Code, body: out.Body.String()}
	for _, c := range out.Result().Cookies() {
		a.cookie = c.Value
	}
	return a
}

// want is do with the status that must come back.
func (w *world) want(status int, as person, method, path string, body any) answer {
	w.Helper()
	a := w.do(as, method, path, body)
	if a.status != status {
		w.Fatalf("%s %s answers %d, want %d: %s", method, path, a.status, status, a.body)
	}
	return a
}

// make creates a thing and gives its id.
func (w *world) make(as person, path string, body any) string {
	w.Helper()
	var out struct {
		ID string `json:"id"`
	}
	w.want(http.StatusCreated, as, http.MethodPost, path, body).into(w, &out)
	return out.ID
}

type sent struct {
	ID        string  `json:"id"`
	ShownLink *string `json:"shownLink"`
}

func (s sent) token() string {
	_, token, _ := strings.Cut(*s.ShownLink, "#token=")
	return token
}

// invite makes an invitation and gives its id and token.
func (w *world) invite(as person, email, role string, teams ...string) (string, string) {
	w.Helper()
	body := map[string]any{"email": email, "role": role}
	if len(teams) > 0 {
		body["teams"] = teams
	}
	var out sent
	w.want(http.StatusCreated, as, http.MethodPost, "/api/v1/invitations", body).into(w, &out)
	return out.ID, out.token()
}

// join brings a new person into somebody's organisation.
func (w *world) join(as person, email, role string) person {
	w.Helper()
	_, token := w.invite(as, email, role)
	a := w.want(http.StatusCreated, person{}, http.MethodPost, "/api/v1/invitations/accept", map[string]any{"token": token, "name": "New", "password": password})
	var acc identity.Account
	a.into(w, &acc)
	return person{acc.User.ID, email, a.cookie}
}

func (w *world) me(as person) identity.Account {
	w.Helper()
	var acc identity.Account
	w.want(http.StatusOK, as, http.MethodGet, "/api/v1/me", nil).into(w, &acc)
	return acc
}

// audited gives the organisation's audit entries with an action, oldest first.
func (w *world) audited(orgID, action string) []event.Audited {
	w.Helper()
	var rows []db.OutboxRow
	err := w.d.ReadSystem(context.Background(), "test", func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model(&rows).Where("organisation_id = ? AND type = 'audit.entry'", orgID).Order("seq").Scan(ctx)
	})
	w.must(err)
	var out []event.Audited
	for _, r := range rows {
		var e event.Audited
		w.must(json.Unmarshal([]byte(r.Data), &e))
		if e.Action == action {
			out = append(out, e)
		}
	}
	return out
}

// dump gives every row of the tables of people, to see that nothing changed. Sessions are left out: their use is noted.
func (w *world) dump() string {
	w.Helper()
	var b strings.Builder
	for _, table := range []string{"organisations", "users", "memberships", "roles", "teams", "team_members", "projects", "invitations", "plans", "api_tokens"} {
		var rows []map[string]any
		err := w.d.ReadSystem(context.Background(), "test", func(ctx context.Context, tx *db.Tx) error {
			return tx.NewSelect().TableExpr(table).Scan(ctx, &rows)
		})
		w.must(err)
		lines := make([]string, len(rows))
		for i, r := range rows {
			delete(r, "last_used_at")
			line, err := json.Marshal(r)
			w.must(err)
			lines[i] = string(line)
		}
		fmt.Fprintf(&b, "%s %q\n", table, lines)
	}
	return b.String()
}
