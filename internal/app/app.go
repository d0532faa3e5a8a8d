package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/quartz"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/parley-voice/parley/internal/agent"
	"github.com/parley-voice/parley/internal/campaign"
	"github.com/parley-voice/parley/internal/campaign/donotcall"
	"github.com/parley-voice/parley/internal/compliance"
	"github.com/parley-voice/parley/internal/conversation"
	"github.com/parley-voice/parley/internal/gateway"
	"github.com/parley-voice/parley/internal/gateway/certs"
	"github.com/parley-voice/parley/internal/gateway/fleet"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/identity/scim"
	"github.com/parley-voice/parley/internal/identity/sso"
	"github.com/parley-voice/parley/internal/media"
	"github.com/parley-voice/parley/internal/media/rtp"
	"github.com/parley-voice/parley/internal/platform/blob"
	"github.com/parley-voice/parley/internal/platform/bus"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/jobs"
	"github.com/parley-voice/parley/internal/platform/obs"
	"github.com/parley-voice/parley/internal/platform/secret"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
	"github.com/parley-voice/parley/internal/platform/secret/keyholder"
	"github.com/parley-voice/parley/internal/platform/secret/signing"
	"github.com/parley-voice/parley/internal/telephony"
	"github.com/parley-voice/parley/internal/telephony/mediastream"
	"github.com/parley-voice/parley/internal/telephony/sip"
	"github.com/parley-voice/parley/internal/telephony/webrtc"
	"github.com/parley-voice/parley/internal/voice"
	"github.com/parley-voice/parley/internal/voice/provider/local"
	"github.com/parley-voice/parley/internal/voice/provider/openai"
)

const stopTimeout = 15 * time.Second

// App is the whole server. Run it once.
type App struct {
	cfg     Config
	version string
	out     io.Writer // what a person at the terminal reads
	log     *slog.Logger
	logCopy *logCopy // nil: the log goes to its writer only
	clock   quartz.Clock
	reg     *prometheus.Registry

	closers []closer // in the order things started

	key       *secret.Key
	keyring   *envelope.Keyring
	holders   *keyholder.Asker // who wraps data keys where this process has nothing to do it with; else nil
	signing   *signing.Keyring
	db        *db.DB
	bus       *bus.Bus
	relay     *bus.Relay
	blobs     *blob.Regions
	files     files
	search    *regionSearch
	jobs      *jobs.Jobs
	identity  *identity.Service
	sso       *sso.Service
	scim      *scim.Service
	agents    *agent.Service
	phones    *telephony.Service
	trunkNews *trunkNews
	records   *conversation.Service
	campaigns *campaign.Service
	dialling  *campaignCalls
	doNotCall *donotcall.Service
	trails    *compliance.Service
	calls     *calls
	pacer     *media.Pacer
	sip       *sip.Server
	certs     *certs.Source
	outbound  *outbound
	webrtc    *webrtc.Server
	twilio    *mediastream.Server
	tokens    *mediastream.Tokens
	hub       *gateway.Hub
	health    *gateway.Health
	http      *gateway.Server
	cors      *gateway.CORS
	keys      *gateway.Keys
	requests  atomic.Pointer[gateway.Limits] // nil where no API is served
	metrics   *callMetrics
	tracer    trace.Tracer
	feed      *feed
	local     *local.Engine

	stopMoves context.CancelFunc

	// Of a process of several: who is there, and how the others reach this one.
	node    string // this process's name among them
	fleet   *fleet.Fleet
	member  *fleet.Member
	inner   *inner
	toMedia *fleet.Proxy
	opening sync.Mutex
	used    *bus.KV // single-use media tokens

	started chan struct{}
	born    time.Time // when Run began
	once    sync.Once
}

type closer struct {
	name  string
	close func(ctx context.Context) error
}

// New checks the settings. Nothing is opened before Run.
func New(c Config, version string, out, logs io.Writer) (*App, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	clock := quartz.NewReal()
	copied, err := c.logCopy(clock)
	if err != nil {
		return nil, err
	}
	if copied != nil {
		logs = io.MultiWriter(logs, copied)
	}
	log, err := obs.NewLogger(obs.LogConfig{Writer: logs, Level: c.LogLevel, Format: c.LogFormat})
	if err != nil {
		return nil, err
	}
	reg := obs.NewRegistry(version)
	a := &App{cfg: c, version: version, out: out, log: log, clock: clock, logCopy: copied, reg: reg, metrics: newMetrics(reg), started: make(chan struct{})}
	a.files.a = a
	return a, nil
}

// Started is closed once calls are taken.
func (a *App) Started() <-chan struct{} { return a.started }

// HTTPAddr is the address of the web server, once started.
func (a *App) HTTPAddr() string { return a.http.Addr() }

// SIPAddr is the address of SIP, once started; "" when it is off.
func (a *App) SIPAddr() string {
	if a.sip == nil {
		return ""
	}
	return a.sip.Addr().String()
}

// Run starts everything, serves until ctx ends, drains and stops in reverse order.
func (a *App) Run(ctx context.Context) error {
	a.born = a.clock.Now()
	// What runs is stopped by us, in order, not by ctx.
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	if a.logCopy != nil {
		a.reg.MustRegister(a.logCopy)
		a.logCopy.Start(life)
		a.onStop("the log's copy", a.logCopy.Close) // the last: what stops says so
	}
	defer a.stop()
	if err := a.start(life); err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- a.http.Serve() }()
	a.once.Do(func() { close(a.started) })
	a.announce(life)
	select {
	case <-ctx.Done():
		a.drain(life)
		return nil
	case err := <-failed:
		return err
	case <-a.lost():
		return errors.New("another process has this one's data folder or its copy; each needs a data-dir of its own")
	}
}

func (a *App) onStop(name string, fn func(ctx context.Context) error) {
	a.closers = append(a.closers, closer{name, fn})
}

// migrations lists every context's history.
func migrations() []db.Migrations {
	return []db.Migrations{identity.Migrations(), agent.Migrations(), telephony.Migrations(), conversation.Migrations(), campaign.Migrations(), compliance.Migrations(), gateway.Migrations(), signing.Migrations(), envelope.Migrations()}
}

// buildContexts makes the contexts that the command line needs too.
func (a *App) buildContexts(ctx context.Context) (err error) {
	a.local, err = local.New(local.Config{Clock: a.clock, Log: a.log})
	if err != nil {
		return err
	}
	a.agents = agent.New(agent.Config{
		DB: a.db, Sealer: a.keyring, Clock: a.clock, Log: a.log,
		Prober:      prober{config: openai.Config{Clock: a.clock, Log: a.log}, to: func() *outbound { return a.outbound }},
		LocalStatus: func() (bool, string) { s := a.local.Check(); return s.OK(), s.String() },
		Quota:       a.agentQuota, Assignable: a.assignable, NoSimulation: a.cfg.Strict,
	})
	outbox, err := a.startMail()
	if err != nil {
		return err
	}
	a.identity, err = identity.New(identity.Config{
		DB: a.db, Clock: a.clock, Log: a.log, SessionIdle: a.cfg.SessionIdle, MFARequired: a.cfg.SecondFactor, ExactCodes: a.cfg.Strict,
		Secure: a.cfg.secure(), NewOrganisation: a.agents.Seed,
		Sealer: a.keyring.Box(identity.SealPurpose), Outbox: outbox, PublicURL: a.publicURL, LeakedPasswords: a.cfg.LeakedPasswordsURL,
		Use: a.use, EnqueueMove: a.enqueueMove, Regions: a.regionList, Residency: a.residency,
	})
	if err != nil {
		return err
	}
	a.onStop("identity", func(context.Context) error { a.identity.Close(); return nil })
	if a.outbound, err = a.newOutbound(); err != nil {
		return err
	}
	a.buildSSO()
	a.phones = a.newPhones()
	key, err := a.keptSecret(ctx, "media tokens")
	if err != nil {
		return err
	}
	tokens := mediastream.TokensConfig{Key: key, Clock: a.clock}
	if a.cfg.split() {
		tokens.Claim = a.claimToken
	}
	a.tokens, err = mediastream.NewTokens(tokens)
	return err
}

func (a *App) startMedia(context.Context) error {
	a.pacer = media.NewPacer(media.PacerConfig{Clock: a.clock, Log: a.log})
	a.onStop("pacer", func(context.Context) error { a.pacer.Close(); return nil })
	rehearsal, err := a.cfg.rehearsal(a.clock)
	if err != nil {
		return err
	}
	v := newVendors(a.agents, a.local, rehearsal, a.outbound, a.log)
	if a.cfg.Strict {
		v.sim = nil
	}
	a.onStop("vendors", func(context.Context) error { v.close(); return nil })
	a.calls = &calls{
		agents: a.agents, phones: a.phones, organisations: a.identity, vendors: v, prompts: voice.NewPromptCache(promptCache), metrics: a.metrics, tracer: a.tracer, clock: a.clock, log: a.log,
		max: a.cfg.MaxCalls, shared: a.cfg.split(), live: map[string]*liveCall{},
		plan: &plan{settings: a.identity, clock: a.clock},
	}
	return nil
}

func (a *App) startRecords(ctx context.Context) (err error) {
	c := conversation.Config{
		DB: a.db, Blobs: a.blobs, Keys: a.keyring, DataDir: a.cfg.DataDir, Live: a.bus, Search: a.search, Agents: a.agents,
		Clock: a.clock, Log: a.log, Registry: a.reg, Reader: !a.cfg.is(roleMedia),
	}
	if a.calls != nil {
		c.Calls, c.Dialer = a.calls, a.calls
	}
	if a.records, err = conversation.New(c); err != nil {
		return err
	}
	a.name()
	if a.calls != nil {
		a.calls.records, a.calls.plan.usage = a.records, a.records
	}
	if err := a.records.Start(ctx); err != nil {
		return err
	}
	a.onStop("records", a.records.Close)
	if err := a.startTrunks(ctx); err != nil {
		return err
	}
	if a.cfg.is(roleMedia) && a.cfg.NATSURL != "" { // there may be other media processes
		if err := a.sharePlaces(ctx); err != nil {
			return err
		}
	}
	a.keys = gateway.NewKeys(gateway.KeysConfig{DB: a.db, Sealer: a.keyring, Clock: a.clock, Log: a.log})
	if err := a.followIdentity(ctx); err != nil {
		return err
	}
	if err := a.buildCampaigns(ctx); err != nil {
		return err
	}
	a.watchErasures(ctx)
	return a.buildTrails(ctx)
}

// startWorkers does the jobs and consumes the facts of all processes.
func (a *App) startWorkers(ctx context.Context) error {
	if a.cfg.split() {
		if err := a.keepBuckets(ctx); err != nil {
			return err
		}
	}
	if err := jobs.Register(a.jobs, jobs.KindConfig{}, func(ctx context.Context, _ string, _ sweepSessions) error {
		return errors.Join(a.identity.Sweep(ctx), a.sso.Sweep(ctx))
	}); err != nil {
		return err
	}
	if err := jobs.Every(a.jobs, time.Hour, sweepSessions{}); err != nil {
		return err
	}
	if err := a.startKeys(); err != nil {
		return err
	}
	if err := errors.Join(a.followProjects(ctx), a.followWanted(ctx)); err != nil {
		return err
	}
	if err := a.startTrails(ctx); err != nil {
		return err
	}
	if err := a.startMoves(ctx); err != nil {
		return err
	}
	if err := a.followMoves(ctx); err != nil {
		return err
	}
	if err := errors.Join(a.registerErasures(), a.registerExports(), a.registerLists(ctx)); err != nil {
		return err
	}
	if err := a.jobs.Start(ctx); err != nil {
		return err
	}
	a.onStop("workers", func(context.Context) error { a.stopMoves(); return a.jobs.Stop() })
	return nil
}

// sweepSessions is the hourly job that forgets sessions, set-up links and tokens that are over.
type sweepSessions struct{}

// Kind implements jobs.Args.
func (sweepSessions) Kind() string { return "identity.sweep" }

func (a *App) startSignalling(ctx context.Context) (err error) {
	count := func(channel string) func(string, string) {
		return func(event, detail string) { a.metrics.signal.WithLabelValues(channel, event, detail).Inc() }
	}
	if a.cfg.SIPAddr != off {
		if err := a.startSIP(ctx, count("sip")); err != nil {
			return err
		}
	}
	if a.cfg.WebRTCAddr != off {
		c := webrtc.Config{UDPAddr: a.cfg.WebRTCAddr, Pacer: a.pacer, Clock: a.clock, Log: a.log, MaxPeers: a.cfg.MaxCalls,
			Count: func(event string) { count("webrtc")(event, "") }}
		if a.cfg.MediaIP != "" {
			c.PublicIPs = []string{a.cfg.MediaIP}
		}
		if a.webrtc, err = webrtc.New(c); err != nil {
			return settingProblem("webrtc-addr", a.cfg.WebRTCAddr, err)
		}
		a.onStop("webrtc", a.webrtc.Close)
	}
	return nil
}

// startCarriers makes what answers carriers' webhooks, with the gateway role, and takes their streams, with the media role.
func (a *App) startCarriers(context.Context) (err error) {
	t := twilioAccount{cfg: &a.cfg, agents: a.agents}
	mc := mediastream.Config{
		PublicURL: a.cfg.publicURL(a.cfg.HTTPAddr), Tokens: a.tokens, Numbers: t, Clock: a.clock, Log: a.log,
		MaxStreams: a.cfg.MaxCalls, Count: func(event string) { a.metrics.signal.WithLabelValues("twilio", event, "").Inc() },
	}
	if a.cfg.is(roleMedia) {
		mc.Accept, mc.Pacer = a.calls.accept, a.pacer
	}
	if a.cfg.TwilioAccountSID != "" {
		mc.Accounts = t
		mc.Control = mediastream.NewREST(mediastream.RESTConfig{Accounts: t})
	}
	if a.twilio, err = mediastream.New(mc); err != nil {
		return err
	}
	a.onStop("media streams", a.twilio.Close)
	return nil
}

func (a *App) startSIP(ctx context.Context, count func(string, string)) error {
	low, high, err := a.cfg.rtpPorts()
	if err != nil {
		return err
	}
	ports, err := rtp.NewPorts(rtp.PortsConfig{Low: low, High: high, Clock: a.clock})
	if err != nil {
		return err
	}
	trusted, err := a.cfg.trusted()
	if err != nil {
		return err
	}
	c := sip.Config{
		Addr: a.cfg.SIPAddr, Host: a.cfg.MediaIP, Realm: a.cfg.SIPDomain, Agent: "Parley", Ports: ports, Open: trusted, MaxCalls: a.cfg.MaxCalls,
		Accept: a.calls.accept, Pacer: a.pacer, Phones: a.phones, Clock: a.clock, Log: a.log, Count: count,
	}
	var others *peers
	if a.cfg.NATSURL != "" { // other media processes have phones too
		others = &peers{node: a.node, bus: a.bus, registered: a.phones.Elsewhere, log: a.log}
		c.Node, c.Peers = a.node, others
	}
	if err := a.secureSIP(&c); err != nil {
		return err
	}
	if a.sip, err = sip.New(c); err != nil {
		setting, value := "sip-addr", a.cfg.SIPAddr
		if c.TLSAddr != "" {
			setting, value = "sip-addr or sip-tls-addr", value+" or "+c.TLSAddr
		}
		return settingProblem(setting, value, err)
	}
	a.calls.sip = a.sip
	a.onStop("sip", func(ctx context.Context) error { a.sip.Stop(ctx); return nil })
	if err := a.sip.Start(ctx); err != nil || others == nil {
		return err
	}
	return others.answer(ctx, a.sip)
}

func settingProblem(setting, value string, err error) error {
	return badSetting(setting, "stop what uses it, or give another address", "%s cannot be used: %v", value, err)
}

// drain lets running calls finish: SIGTERM, or Ctrl-C. A second signal ends the process at once.
func (a *App) drain(ctx context.Context) {
	a.health.Drain()
	a.twilio.Drain()
	if a.calls == nil {
		a.leaving(ctx)
		a.drainSockets(ctx)
		return
	}
	// New calls are refused before anybody hears of it: who was told sends none, who was not is told when they try.
	a.calls.refuseNew()
	if a.sip != nil {
		a.sip.Drain()
	}
	if a.webrtc != nil {
		a.webrtc.Drain()
	}
	a.leaving(ctx)
	if n, _ := a.calls.counts(); n > 0 {
		fmt.Fprintf(a.out, "Stopping: %d calls may finish, for at most %s. Press Ctrl-C again to end them now.\n", n, a.cfg.Drain)
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Drain)
	defer cancel()
	ctx, stop := untilSignal(ctx)
	defer stop()
	a.calls.drain(ctx)
}

// stop ends what started, in reverse.
func (a *App) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	for i := len(a.closers) - 1; i >= 0; i-- {
		c := a.closers[i]
		if err := c.close(ctx); err != nil && !errors.Is(err, context.Canceled) {
			a.log.Warn("stop", "part", c.name, "error", err)
		}
	}
	a.closers = nil
}
