package app

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-voice/parley/internal/gateway"
	"github.com/parley-voice/parley/internal/gateway/fleet"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// callPath begins the paths of operations on one call.
const callPath = "/api/v1/calls/{id}"

// starting are the operations that begin a call, or ask a carrier whether one could: any media process does.
var starting = map[string]bool{"place-call": true, "talk-to-agent": true, "check-trunk": true}

// holderKey is the context's name of the instance that has to answer.
type holderKey struct{}

// buildForwarding makes what a gateway sends to media processes with. One process has nobody to send to.
func (a *App) buildForwarding() (err error) {
	if !a.cfg.split() {
		return nil
	}
	a.toMedia, err = a.fleet.Proxy(fleet.ProxyConfig{
		Role: roleMedia, Authorize: a.vouch, TLS: pinned(func() []fleet.State { return a.fleet.Instances(roleMedia) }),
		Fail: func(w http.ResponseWriter, err error) {
			w.Header().Set(gateway.Unanswered, "1")
			gateway.WriteProblem(w, err)
		},
		Want: func(r *http.Request, w *fleet.Want) error {
			w.Holder, _ = r.Context().Value(holderKey{}).(string)
			return wanted(r.Context(), a.identity, a.cfg.Zone, w)
		},
	})
	if err != nil {
		return err
	}
	a.onStop("requests to media processes", func(context.Context) error { a.toMedia.Close(); return nil })
	return nil
}

// wanted says what a request asks of a media process. A call that begins, or a carrier's stream, takes a place, in the
// organisation's region; what is asked of one that goes on does not. Whose stream it is, is said in it: it has no region yet.
func wanted(ctx context.Context, of settingsSource, zone string, w *fleet.Want) error {
	if w.Holder != "" {
		return nil
	}
	w.Takes, w.Zone = true, zone
	p, known := identity.From(ctx)
	if !known {
		return nil
	}
	s, err := of.SettingsOf(ctx, p.OrgID)
	w.Region = s.Placement.Region
	return err
}

// elsewhere sends operations on calls to the media process that has what they are about. What is in the database and the blob
// store is read here.
func (a *App) elsewhere(ctx huma.Context) (http.Handler, error) {
	op := ctx.Operation()
	if starting[op.OperationID] {
		return a.toMedia, nil
	}
	p, ok := identity.From(ctx.Context())
	if !ok || !strings.HasPrefix(op.Path, callPath) {
		return nil, nil
	}
	node, err := a.records.Holder(ctx.Context(), p.OrgID, ctx.Param("id"))
	if err != nil {
		return nil, err
	}
	reads := op.Method == http.MethodGet // what the process had saved is better than nothing when it is gone
	switch {
	case node == "":
		return nil, nil
	case a.there(instance(node)):
	case reads:
		return nil, nil
	default:
		return nil, fault.New(fault.Unavailable, "the process that carries this call is gone; the call is ended as interrupted within moments")
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.toMedia.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), holderKey{}, instance(node))))
	})
	if reads {
		return gateway.Optional{Handler: h}, nil
	}
	return h, nil
}

// there reports whether a media process announces itself.
func (a *App) there(id string) bool {
	for _, i := range a.fleet.Instances(roleMedia) {
		if i.ID == id {
			return true
		}
	}
	return false
}
