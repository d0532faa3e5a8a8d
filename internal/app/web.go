package app

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/parley-voice/parley/internal/gateway"
	"github.com/parley-voice/parley/internal/gateway/fleet"
	"github.com/parley-voice/parley/internal/platform/secret/signing"
	"github.com/parley-voice/parley/internal/telephony/webrtc"
)

// startWeb begins to answer HTTP: everything with the gateway role; health, metrics and public keys with the others.
func (a *App) startWeb(ctx context.Context) (err error) {
	checks := []gateway.Check{{Name: "database", Run: a.db.Ping}, {Name: "bus", Run: a.bus.Ping}, {Name: "blobs", Run: a.blobs.Ping}}
	if a.fleet != nil && a.cfg.is(roleGateway) {
		for _, role := range []string{roleMedia, roleWorker} {
			checks = append(checks, gateway.Check{Name: role, Run: a.fleet.Check(role), Elsewhere: true})
		}
	}
	if a.cfg.PlatformLogURL != "" && a.cfg.is(roleWorker) {
		checks = append(checks, gateway.Check{Name: "platformLog", Run: a.trails.CheckCopy})
	}
	a.health = gateway.NewHealth(a.version, checks...)
	if a.cfg.is(roleGateway) {
		if err := a.startFeed(ctx); err != nil {
			return err
		}
		if a.http, err = a.buildEdge(ctx); err != nil {
			return err
		}
	} else if a.http, err = a.buildBack(); err != nil {
		return err
	}
	watch(a.reg, a.calls, a.pacer, a.hub, a.bus.Dropped)
	if err := a.listen(); err != nil {
		return err
	}
	a.onStop("web", func(ctx context.Context) error {
		if a.hub != nil {
			a.hub.Close()
		}
		a.campaigns.EndLive()
		return a.http.Close(ctx)
	})
	return nil
}

// spread is over how long a gateway that drains sends its realtime clients away.
const spread = 5 * time.Second

// drainSockets sends the realtime feed's clients to other gateways, and lets carriers' streams that cross this one finish.
func (a *App) drainSockets(ctx context.Context) {
	if a.hub == nil || a.toMedia == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Drain)
	defer cancel()
	ctx, stop := untilSignal(ctx)
	defer stop()
	a.hub.Drain(ctx, spread)
	if n := a.toMedia.Sockets(); n > 0 {
		fmt.Fprintf(a.out, "Stopping: %d calls that cross this gateway may finish, for at most %s. Press Ctrl-C again to end them now.\n", n, a.cfg.Drain)
	}
	if err := a.toMedia.Wait(ctx); err != nil {
		a.log.Warn("calls that cross this gateway are cut off", "calls", a.toMedia.Sockets())
	}
}

// startFeed makes the realtime feed.
func (a *App) startFeed(ctx context.Context) error {
	a.hub = gateway.NewHub(a.identity, a.agents.OwnedBy, a.clock, a.log)
	a.feed = &feed{hub: a.hub, bus: a.bus, calls: a.calls, clock: a.clock, log: a.log}
	if err := a.feed.start(ctx); err != nil {
		return err
	}
	if a.cfg.split() { // a worker tells how many calls there are
		return nil
	}
	live, cancel := context.WithCancel(ctx)
	go a.feed.run(live)
	a.onStop("feed", func(context.Context) error { cancel(); return nil })
	return nil
}

// buildBack makes the web server of a process that nobody but its operators asks anything.
func (a *App) buildBack() (*gateway.Server, error) {
	source, err := a.cfg.certificates(a)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	a.health.Mount(mux)
	mux.Handle("GET "+signing.JWKSPath, a.signing.JWKS())
	mux.Handle("GET /metrics", a.metricsGuard(promhttp.HandlerFor(a.reg, promhttp.HandlerOpts{})))
	return gateway.New(gateway.Config{Addr: a.cfg.HTTPAddr, Handler: mux, Certs: source, Secure: a.cfg.secure(), Clock: a.clock, Log: a.log, Observe: a.metrics.request}), nil
}

// routes adds every context's operations. It is also how the document is made without a server.
func (a *App) routes(api huma.API) {
	a.identity.Routes(api)
	a.sso.Routes(api)
	a.scim.Routes(api)
	a.agents.Routes(api)
	a.phones.Routes(api)
	a.campaigns.Routes(api)
	a.doNotCall.Routes(api)
	a.trails.Routes(api)
	a.cors.Routes(api)
	fleet.Routes(api, a.instances)
	(&orgOps{app: a}).Routes(api)
	(&secretOps{app: a}).Routes(api)
	a.callRoutes(api)
}

// callRoutes adds the operations on calls: those that a gateway sends to a media process, and those beside them.
func (a *App) callRoutes(api huma.API) {
	a.records.Routes(api)
	a.phones.CheckRoutes(api)
	(&talk{agents: a.agents, identity: a.identity, calls: a.calls, webrtc: func() *webrtc.Server { return a.webrtc }}).Routes(api)
}
