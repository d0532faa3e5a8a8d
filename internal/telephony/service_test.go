package telephony_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/danielgtaylor/huma/v2/humatest"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/telephony"
	"github.com/parley-voice/parley/internal/telephony/sip"
)

// mask is a Sealer that a reader of the database can be told from: it only has to turn round.
type mask struct{}

func (mask) Ready(context.Context, string) error { return nil }

func (mask) Seal(_ context.Context, _ string, p, _ []byte) ([]byte, error) {
	return append([]byte("sealed:"), bytes.Map(func(r rune) rune { return r ^ 1 }, p)...), nil
}

func (mask) Open(_ context.Context, _ string, p, _ []byte) ([]byte, error) {
	return bytes.Map(func(r rune) rune { return r ^ 1 }, bytes.TrimPrefix(p, []byte("sealed:"))), nil
}

const (
	orgA = "018f0000-0000-7000-8000-00000000000a"
	orgB = "018f0000-0000-7000-8000-00000000000b"
)

func each(t *testing.T, fn func(t *testing.T, d *db.DB, s *telephony.Service)) {
	dbtest.Each(t, []db.Migrations{telephony.Migrations()}, func(t *testing.T, d *db.DB) {
		fn(t, d, telephony.New(telephony.Config{DB: d, Sealer: mask{}, Realm: "parley"}))
	})
}

func TestPhoneLives(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, s *telephony.Service) {
		ctx := t.Context()
		p, made, err := s.Create(ctx, orgA, telephony.NewPhone{Username: "desk.1", DisplayName: "Desk"})
		if err != nil || len(made) < 12 {
			t.Fatalf("Create: %+v, password %q, %v", p, made, err)
		}
		ha1, found, err := s.Secrets(ctx, "desk.1")
		if err != nil || !found || ha1.HA1 != sip.NewHA1("desk.1", "parley", made) {
			t.Fatalf("Secrets: %+v %v %v", ha1, found, err)
		}
		_, made2, err := s.Update(ctx, orgA, p.ID, telephony.Change{Password: new(string)})
		if err != nil || made2 == "" || made2 == made {
			t.Fatalf("a new password was not made: %q %v", made2, err)
		}
		if ha1, _, _ := s.Secrets(ctx, "desk.1"); ha1.HA1 != sip.NewHA1("desk.1", "parley", made2) {
			t.Error("the new password is not what counts")
		}
		name := "Reception"
		if q, _, err := s.Update(ctx, orgA, p.ID, telephony.Change{DisplayName: &name}); err != nil || q.DisplayName != name {
			t.Errorf("Update: %+v %v", q, err)
		}
		if err := s.Delete(ctx, orgA, p.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(ctx, orgA, p.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("a deleted phone gives %v", err)
		}
		if _, found, _ := s.Secrets(ctx, "desk.1"); found {
			t.Error("a deleted phone still has a password")
		}
	})
}

func TestPhonesOfAnotherOrganisation(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, s *telephony.Service) {
		ctx := t.Context()
		p, _, err := s.Create(ctx, orgA, telephony.NewPhone{Username: "alice", Password: "correct horse"})
		if err != nil {
			t.Fatal(err)
		}
		if org, found, err := s.Owner(ctx, "alice"); org != orgA || !found || err != nil {
			t.Errorf("alice's phone belongs to %q, %v, %v", org, found, err)
		}
		for _, name := range []string{"bob", "no phone"} {
			if org, found, err := s.Owner(ctx, name); org != "" || found || err != nil {
				t.Errorf("phone %q belongs to %q, %v, %v", name, org, found, err)
			}
		}
		if _, err := s.Get(ctx, orgB, p.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("another organisation reads it: %v", err)
		}
		if err := s.Delete(ctx, orgB, p.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("another organisation deletes it: %v", err)
		}
		if list, _, _ := s.List(ctx, orgB, "", "", 50); len(list) != 0 {
			t.Errorf("another organisation lists it: %v", list)
		}
		if _, _, err := s.Create(ctx, orgB, telephony.NewPhone{Username: "alice"}); !fault.Is(err, fault.Conflict) {
			t.Errorf("the same name twice gives %v", err)
		}
	})
}

func TestPhonesAreListedInPages(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, s *telephony.Service) {
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			if _, _, err := s.Create(t.Context(), orgA, telephony.NewPhone{Username: name}); err != nil {
				t.Fatal(err)
			}
		}
		var names []string
		cursor, pages := "", 0
		for {
			list, next, err := s.List(t.Context(), orgA, "", cursor, 2)
			if err != nil {
				t.Fatal(err)
			}
			pages++
			for _, p := range list {
				names = append(names, p.Username)
			}
			if next == "" {
				break
			}
			cursor = next
		}
		if got := strings.Join(names, ""); got != "abcde" || pages != 3 {
			t.Errorf("%d pages hold %q", pages, got)
		}
	})
}

func TestRegistrationsSurviveARestart(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, s *telephony.Service) {
		ctx := t.Context()
		if _, _, err := s.Create(ctx, orgA, telephony.NewPhone{Username: "bob"}); err != nil {
			t.Fatal(err)
		}
		soon := time.Now().Add(time.Hour).Truncate(time.Millisecond).UTC()
		contacts := []sip.Contact{{URI: "sip:bob@192.0.2.1:5060", Transport: "udp", UserAgent: "baresip", Source: "192.0.2.1:5060", ExpiresAt: soon}}
		if err := s.SaveContacts(ctx, "bob", "", contacts); err != nil {
			t.Fatal(err)
		}
		if err := s.SaveContacts(ctx, "nobody", "", contacts); err != nil {
			t.Errorf("a phone deleted meanwhile: %v", err)
		}
		again := telephony.New(telephony.Config{DB: d, Sealer: mask{}})
		all, err := again.Contacts(ctx)
		if err != nil || len(all) != 1 || len(all["bob"]) != 1 || !all["bob"][0].ExpiresAt.Equal(soon) || all["bob"][0].URI != contacts[0].URI {
			t.Fatalf("after a restart: %+v %v", all, err)
		}
		list, _, err := again.List(ctx, orgA, "", "", 10)
		if err != nil || !list[0].Registered || list[0].Contacts[0].UserAgent != "baresip" {
			t.Errorf("List: %+v %v", list, err)
		}
		clock := quartz.NewMock(t)
		clock.Set(soon.Add(time.Second))
		late := telephony.New(telephony.Config{DB: d, Sealer: mask{}, Clock: clock})
		if all, err := late.Contacts(ctx); err != nil || len(all) != 0 {
			t.Errorf("a registration outlives itself: %+v %v", all, err)
		}
	})
}

func TestWrongInput(t *testing.T) {
	d := dbtest.SQLite(t, telephony.Migrations())
	s := telephony.New(telephony.Config{DB: d, Sealer: mask{}})
	for _, n := range []telephony.NewPhone{
		{Username: ""}, {Username: "has space"}, {Username: "-dash"}, {Username: strings.Repeat("x", 64)}, {Username: "a@b"},
		{Username: "ok", DisplayName: "line\nend"}, {Username: "ok", Password: "short"}, {Username: "ok", Password: strings.Repeat("x", 129)},
	} {
		if _, _, err := s.Create(t.Context(), orgA, n); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v gives %v", n, err)
		}
	}
}

func TestHTTP(t *testing.T) {
	d := dbtest.SQLite(t, telephony.Migrations())
	s := telephony.New(telephony.Config{DB: d, Sealer: mask{}})
	_, api := humatest.New(t)
	s.Routes(api)
	ctx := identity.With(context.Background(), identity.Principal{OrgID: orgA, UserID: "u", Permissions: []string{"*"}})

	var created struct{ ID, Username, Password string }
	res := api.PostCtx(ctx, "/api/v1/phones", map[string]any{"username": "desk", "displayName": "Desk"})
	if err := json.Unmarshal(res.Body.Bytes(), &created); err != nil || res.Code != http.StatusCreated || created.Password == "" {
		t.Fatalf("create: %d %s %v", res.Code, res.Body, err)
	}
	if res := api.GetCtx(ctx, "/api/v1/phones/"+created.ID); res.Code != 200 || strings.Contains(res.Body.String(), "password") {
		t.Errorf("get: %d %s", res.Code, res.Body)
	}
	if res := api.GetCtx(ctx, "/api/v1/phones"); res.Code != 200 || !strings.Contains(res.Body.String(), `"next":null`) {
		t.Errorf("list: %d %s", res.Code, res.Body)
	}
	if res := api.PostCtx(ctx, "/api/v1/phones", map[string]any{"username": "desk"}); res.Code != http.StatusConflict {
		t.Errorf("the same name twice: %d %s", res.Code, res.Body)
	}
	if res := api.PostCtx(ctx, "/api/v1/phones", map[string]any{"username": "no good"}); res.Code != http.StatusUnprocessableEntity || !strings.Contains(res.Body.String(), "body.username") {
		t.Errorf("a bad name: %d %s", res.Code, res.Body)
	}
	if res := api.PatchCtx(ctx, "/api/v1/phones/"+created.ID, map[string]any{"displayName": "Front"}); res.Code != 200 {
		t.Errorf("patch: %d %s", res.Code, res.Body)
	}
	if res := api.DeleteCtx(ctx, "/api/v1/phones/"+created.ID); res.Code != http.StatusNoContent {
		t.Errorf("delete: %d %s", res.Code, res.Body)
	}
	if res := api.Get("/api/v1/phones"); res.Code != http.StatusUnauthorized {
		t.Errorf("a stranger: %d", res.Code)
	}
}
