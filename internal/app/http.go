package app

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/parley-voice/parley/internal/agent"
	"github.com/parley-voice/parley/internal/gateway"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret/signing"
	"github.com/parley-voice/parley/internal/telephony/mediastream"
	"github.com/parley-voice/parley/web"
)

// mount puts everything that answers HTTP in its place.
func (a *App) mount(mux *http.ServeMux, api huma.API) {
	a.routes(api)
	a.sso.Mount(mux)
	a.scim.Mount(mux)
	a.health.Mount(mux)
	gateway.MountDocs(mux)
	mux.Handle("GET /api/v1/realtime", a.hub)
	mux.Handle("GET "+signing.JWKSPath, a.signing.JWKS())
	mux.Handle("GET /metrics", a.metricsGuard(promhttp.HandlerFor(a.reg, promhttp.HandlerOpts{})))
	mux.Handle("POST "+mediastream.VoicePath, a.twilio.Voice())
	mux.Handle("POST "+mediastream.StatusPath, a.twilio.StatusCallback())
	if a.toMedia != nil {
		mux.Handle("GET "+mediastream.MediaPath, a.toMedia)
	} else {
		mux.Handle("GET "+mediastream.MediaPath, a.twilio.Media())
	}
	files, built := web.Assets()
	gateway.MountUI(mux, files, built)
}

// metricsGuard lets this machine read the metrics, and others with the token.
func (a *App) metricsGuard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		secret, err := secretOf(a.cfg.MetricsToken)
		got, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(secret))
		switch {
		case err != nil:
			a.log.ErrorContext(r.Context(), "metrics-token", "error", err)
			gateway.WriteProblem(w, fault.New(fault.Unavailable, "the metrics token cannot be read at this moment"))
			return
		case secret != "" && subtle.ConstantTimeCompare(got[:], want[:]) == 1:
		case secret == "" && gateway.OnThisMachine(r):
		default:
			gateway.WriteProblem(w, fault.New(fault.Unauthorized, "send the metrics token (metrics-token) as a bearer token, or ask from this machine"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// twilioAccount is the one account of the settings, and the agent that answers its numbers.
type twilioAccount struct {
	cfg    *Config
	agents *agent.Service
}

// AuthToken implements mediastream.Accounts.
func (t twilioAccount) AuthToken(_ context.Context, sid string) (string, error) {
	if subtle.ConstantTimeCompare([]byte(sid), []byte(t.cfg.TwilioAccountSID)) != 1 {
		return "", fault.New(fault.NotFound, "this Twilio account is not set up here (twilio-account-sid)")
	}
	return secretOf(t.cfg.TwilioAuthToken)
}

// Route implements mediastream.Numbers.
func (t twilioAccount) Route(ctx context.Context, _, _ string) (mediastream.Route, error) {
	snap, err := t.agents.ResolveSlug(ctx, t.cfg.TwilioAgent)
	if err != nil {
		return mediastream.Route{}, err
	}
	return mediastream.Route{Org: snap.OrgID, Agent: snap.Slug}, nil
}

// untilSignal ends ctx at the next signal.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
}
