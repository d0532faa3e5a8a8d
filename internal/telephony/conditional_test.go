package telephony_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/humatest"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/etag"
	"github.com/parley-voice/parley/internal/telephony"
	"github.com/parley-voice/parley/internal/telephony/sip"
)

// A phone that was changed since it was read is not changed again by If-Match. Where it is registered is no change.
func TestPhoneChangedMeanwhile(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, s *telephony.Service) {
		_, api := humatest.New(t, huma.DefaultConfig("phones", "1"))
		s.Routes(api)
		ctx := identity.With(t.Context(), identity.Principal{OrgID: orgA})
		p, _, err := s.Create(ctx, orgA, telephony.NewPhone{Username: "desk.1"})
		if err != nil {
			t.Fatal(err)
		}
		path := "/api/v1/phones/" + p.ID
		read := func() string { return api.GetCtx(ctx, path).Header().Get("ETag") }
		// matching is what the gateway makes of If-Match: the tag of the phone and of the whole answer.
		matching := func(tag string) context.Context {
			return etag.With(ctx, &etag.Expected{Kind: "phone settings", Tags: []string{etag.WithPart(tag, `"whole"`)}})
		}
		first := read()
		if first == "" {
			t.Fatal("a phone has no ETag")
		}
		err = s.SaveContacts(ctx, "desk.1", "", []sip.Contact{{URI: "sip:desk.1@192.0.2.1", Transport: "udp", ExpiresAt: time.Now().Add(time.Hour)}})
		if err != nil {
			t.Fatal(err)
		}
		if res := api.PatchCtx(matching(first), path, map[string]any{"displayName": "Desk"}); res.Code != http.StatusOK {
			t.Fatalf("what was read is changed with %d %s", res.Code, res.Body)
		}
		if res := api.PatchCtx(matching(first), path, map[string]any{"displayName": "Till"}); res.Code != http.StatusPreconditionFailed {
			t.Errorf("what was changed since: %d %s", res.Code, res.Body)
		}
		if res := api.DeleteCtx(matching(first), path); res.Code != http.StatusPreconditionFailed {
			t.Errorf("deleting what was changed since: %d %s", res.Code, res.Body)
		}
		// That only TLS counts from now on ends the registrations, and is a change.
		second := read()
		if res := api.PatchCtx(matching(second), path, map[string]any{"encryptedOnly": true}); res.Code != http.StatusOK {
			t.Fatalf("%d %s", res.Code, res.Body)
		}
		got, err := s.Get(ctx, orgA, p.ID)
		if err != nil || !got.Encrypted || got.Registered || got.DisplayName != "Desk" {
			t.Errorf("%+v, %v", got, err)
		}
		if account, found, err := s.Secrets(ctx, "desk.1"); err != nil || !found || !account.Encrypted {
			t.Errorf("the registrar sees %+v, %v, %v", account, found, err)
		}
		if res := api.DeleteCtx(matching(read()), path); res.Code != http.StatusNoContent {
			t.Errorf("deleting what was read: %d %s", res.Code, res.Body)
		}
	})
}
