package sso_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/humatest"

	"github.com/parley-voice/parley/internal/platform/etag"
)

// A connection that somebody else changed since it was read is neither changed nor deleted by If-Match.
func TestConnectionChangedMeanwhile(t *testing.T) {
	each(t, func(r *rig) {
		config := huma.DefaultConfig("sso", "1")
		config.CreateHooks = nil // answers hold what the gateway's hold
		_, api := humatest.New(t, config)
		r.sso.Routes(api)
		ctx := r.as(r.owner)
		path := "/api/v1/sso/connections/" + r.connect(r.owner, newProvider(t).connection()).ID
		read := func() context.Context {
			tag := etag.OfJSON(api.GetCtx(ctx, path).Body.Bytes())
			return etag.With(ctx, &etag.Expected{Kind: "ssoConnection", Tags: []string{tag}})
		}
		first := read()
		if res := api.PatchCtx(first, path, map[string]any{"longestSessionHours": 8}); res.Code != http.StatusOK {
			r.t.Fatalf("what was read is changed with %d %s", res.Code, res.Body)
		}
		if res := api.PatchCtx(first, path, map[string]any{"secondFactor": true}); res.Code != http.StatusPreconditionFailed {
			r.t.Errorf("what was changed since: %d %s", res.Code, res.Body)
		}
		if res := api.DeleteCtx(first, path); res.Code != http.StatusPreconditionFailed {
			r.t.Errorf("deleting what was changed since: %d %s", res.Code, res.Body)
		}
		c, err := r.sso.Connections(ctx, r.owner.OrgID)
		if err != nil || len(c) != 1 || c[0].SecondFactor || c[0].LongestSessionHours != 8 {
			r.t.Errorf("%+v, %v", c, err)
		}
		if res := api.DeleteCtx(read(), path); res.Code != http.StatusNoContent {
			r.t.Errorf("deleting what was read: %d %s", res.Code, res.Body)
		}
	})
}
