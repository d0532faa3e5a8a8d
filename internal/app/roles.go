package app

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/parley-voice/parley/internal/gateway/fleet"
	"github.com/parley-voice/parley/internal/platform/bus"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// roleAll is the role of a process that does everything, without a network hop between its parts.
const roleAll = fleet.AllRoles

// is reports whether this process does a role's work.
func (c *Config) is(role string) bool { return !c.split() || c.Role == role }

// split reports whether this process is one of several with different roles.
func (c *Config) split() bool { return c.Role != "" && c.Role != roleAll }

// step is a part of the start.
type step struct {
	name string
	role string // who has it; "" is every process
	run  func(context.Context) error
}

// steps is the architecture, in order. What started is stopped in reverse.
func (a *App) steps() []step {
	return []step{
		{"traces", "", a.startTracing},
		{"storage", "", a.startStorage},
		{"contexts", "", a.buildContexts},
		{"media", roleMedia, a.startMedia},
		{"records", "", a.startRecords},
		{"workers", roleWorker, a.startWorkers},
		{"signalling", roleMedia, a.startSignalling},
		{"carriers", "", a.startCarriers},
		{"internal", roleMedia, a.startInternal},
		{"fleet", "", a.joinFleet},
		{"campaigns", "", a.startCampaigns},
		{"web", "", a.startWeb},
	}
}

// start starts what this process's role has.
func (a *App) start(ctx context.Context) error {
	for _, s := range a.steps() {
		if s.role != "" && !a.cfg.is(s.role) {
			continue
		}
		if err := s.run(ctx); err != nil {
			return fmt.Errorf("start %s: %w", s.name, err)
		}
	}
	return nil
}

// checkRole judges the role, and what processes that share the work have to share.
func (c *Config) checkRole(bad complain) {
	if !slices.Contains([]string{"", roleAll, roleGateway, roleMedia, roleWorker}, c.Role) {
		bad("role", "use all, or gateway, media or worker for a process of several (docs/roles.md)", "%q is no role", c.Role)
		return
	}
	c.checkBusLogin(bad)
	if c.GoneAfter != 0 && (c.GoneAfter < time.Second || c.GoneAfter > time.Hour) {
		bad("gone-after", "give a time from 1s to 1h, such as 1m", "%s is out of range", c.GoneAfter)
	}
	c.checkPlace(bad)
	if !c.split() {
		return
	}
	shared := fmt.Sprintf("a process with the role %s shares it with the others", c.Role)
	if c.DatabaseURL == "" {
		bad("database-url", "use PostgreSQL, such as postgres://user:password@host:5432/parley, or the role all: SQLite belongs to one process", "%s", shared)
	}
	if c.NATSURL == "" {
		bad("nats-url", "run a NATS server with deploy/nats/parley.conf and name it, such as tls://nats:4222", "%s", shared)
	} else if c.NATSSeedFile == "" {
		bad("nats-nkey-seed-file", "make an nkey for each role with: nk -gen user, and name the file of this role's seed", "processes prove their role to NATS")
	}
	if u, err := url.Parse(c.NATSURL); err == nil && u.Scheme == "nats" && c.NATSCA == "" && !loopback(u.Hostname()) {
		bad("nats-url", "write tls:// and name who signed its certificate in nats-ca", "what processes say to each other would cross the network in the clear")
	}
	if c.BlobURL == "" {
		bad("blob-url", "use s3://bucket?region=... or file:///folder that all processes see", "%s", shared)
	}
	if c.Role == roleWorker && c.Key == "" && c.KMS == "" {
		bad("key", "make one with: openssl rand -hex 32, and give it to the workers; or name a key service in kms", "workers wrap data keys, for themselves and for processes of other roles")
	}
	if c.Role == roleMedia {
		c.checkInternal(bad)
	}
}

// checkPlace judges where a process says that it stands.
func (c *Config) checkPlace(bad complain) {
	if c.MediaRegion != "" {
		if c.Role != roleMedia {
			bad("media-region", "set it on processes with the role media only", "this process does not take calls of one region")
		} else if _, ok := c.regions()[c.MediaRegion]; !ok {
			bad("media-region", "name one of the setting regions, which all processes share, or leave it empty", "there is no region %q", c.MediaRegion)
		}
	}
	if c.Zone != "" && !zoneForm.MatchString(c.Zone) {
		bad("zone", "use letters, digits, '-', '_' and '.', at most 64, such as eu-1a", "%q names no zone", c.Zone)
	}
}

var zoneForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// checkInternal judges where gateways reach a media process.
func (c *Config) checkInternal(bad complain) {
	checkAddr(bad, "internal-addr", c.InternalAddr, "10.0.0.7:8443")
	if c.InternalURL != "" {
		if !isURL(c.InternalURL, "https") {
			bad("internal-url", "use an https URL without a path, such as https://media-1:8443", "%q is none", c.InternalURL)
		}
	} else if unspecified(c.InternalAddr) {
		bad("internal-url", "set it to where gateways reach this process, such as https://media-1:8443", "the internal server listens on all addresses")
	}
}

func (c *Config) checkBusLogin(bad complain) {
	if (c.NATSCert == "") != (c.NATSKey == "") {
		bad("nats-key", "set both nats-cert and nats-key, or neither", "a certificate and its key belong together")
		return
	}
	for setting, login := range map[string]bus.Login{"nats-nkey-seed-file": {SeedFile: c.NATSSeedFile}, "nats-ca": {CA: c.NATSCA}, "nats-cert": {Cert: c.NATSCert, Key: c.NATSKey}} {
		if err := login.Check(); err != nil {
			bad(setting, "name a file that the server's user may read", "%v", err)
		}
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// startBus connects to the bus. One role makes its streams and publishes what the outbox holds; the others tell it that
// something waits.
func (a *App) startBus(ctx context.Context) (err error) {
	c := bus.Config{URL: a.cfg.NATSURL, DataDir: a.cfg.DataDir, Clock: a.clock, Log: a.log, Follow: !a.cfg.is(roleWorker),
		Login: bus.Login{SeedFile: a.cfg.NATSSeedFile, CA: a.cfg.NATSCA, Cert: a.cfg.NATSCert, Key: a.cfg.NATSKey}}
	if a.cfg.split() {
		c.Inbox = "_INBOX_" + a.cfg.Role
	}
	if a.bus, err = bus.Open(ctx, c); err != nil {
		return err
	}
	a.onStop("bus", func(context.Context) error { a.bus.Close(); return nil })
	if !a.cfg.is(roleWorker) {
		a.bus.Nudge(ctx, a.db)
		return nil
	}
	a.relay = bus.NewRelay(a.db, a.bus)
	a.relay.Start(ctx)
	a.onStop("outbox", func(context.Context) error { a.relay.Stop(); return nil })
	return nil
}

// ownsStreams reports whether this process has the bus and may remove from its streams.
func (a *App) ownsStreams() bool { return a.bus != nil && a.cfg.is(roleWorker) }

// keepBuckets makes the buckets that other roles use, and makes them again when the bus lost its memory.
func (a *App) keepBuckets(ctx context.Context) error {
	limits, err := a.limitsConfig()
	if err != nil {
		return err
	}
	buckets := map[string]time.Duration{limitsBucket: limits.LongestWindow(), tokensBucket: tokensKept, fleet.Bucket: fleet.TTL,
		placesBucket: placesKept, carriersBucket: carrierTTL}
	make := func(ctx context.Context) error {
		for name, ttl := range buckets {
			if _, err := a.bus.KV(ctx, name, ttl); err != nil {
				return err
			}
		}
		return nil
	}
	if err := make(ctx); err != nil {
		return err
	}
	a.every(ctx, bucketsEvery, "buckets", func(ctx context.Context) {
		if err := make(ctx); err != nil && ctx.Err() == nil {
			a.log.Warn("the bus's buckets", "error", err)
		}
	})
	return nil
}

// every runs fn again and again until the process stops.
func (a *App) every(ctx context.Context, interval time.Duration, name string, fn func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		tick := a.clock.NewTicker(interval, "app", name)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				fn(ctx)
			}
		}
	}()
	a.onStop(name, func(context.Context) error { cancel(); <-over; return nil })
}

const (
	limitsBucket = "LIMITS"
	tokensBucket = "TOKENS"
	tokensKept   = 10 * time.Minute // no single-use media token lives longer
	bucketsEvery = 5 * time.Second
)

// claimToken notes in all processes that a single-use media token was used.
func (a *App) claimToken(ctx context.Context, nonce string, _ time.Time) (first bool, err error) {
	kv, err := a.usedTokens(ctx)
	if err != nil {
		return false, err
	}
	if _, err = kv.Create(ctx, nonce, nil, 0); fault.Is(err, fault.Conflict) {
		return false, nil
	}
	return err == nil, err
}

// usedTokens opens the bucket when it is first needed.
func (a *App) usedTokens(ctx context.Context) (*bus.KV, error) {
	a.opening.Lock()
	defer a.opening.Unlock()
	if a.used == nil {
		kv, err := a.bus.KV(ctx, tokensBucket, tokensKept)
		if err != nil {
			return nil, err
		}
		a.used = kv
	}
	return a.used, nil
}

// internalURL is where gateways reach this process.
func (a *App) internalURL() string {
	if a.cfg.InternalURL != "" {
		return strings.TrimRight(a.cfg.InternalURL, "/")
	}
	return "https://" + a.inner.Addr().String()
}
