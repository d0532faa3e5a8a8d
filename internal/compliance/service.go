package compliance

import (
	"context"
	"embed"
	"errors"
	"io/fs"
	"log/slog"
	"sync/atomic"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/bus"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
)

//go:embed migrations
var migrations embed.FS

// Migrations is the history of the tables.
func Migrations() db.Migrations {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return db.Migrations{Context: "compliance", FS: sub, Installation: []string{"platform_chains", "platform_log", "platform_heads", "platform_copies"}}
}

// Config is what New needs.
type Config struct {
	DB     *db.DB
	Signer Signer
	// Organisations gives up to limit ids of organisations after one, in order.
	Organisations func(ctx context.Context, after string, limit int) ([]string, error)
	// Purgers hold data that is kept for a time, Persons what belongs to one person.
	Purgers []Purger
	Persons []PersonData
	// Enqueue adds the job that carries out an erasure to the transaction that asks for it.
	Enqueue func(ctx context.Context, tx *db.Tx, erasureID string) error
	// Sink gets a copy of the platform log while the service runs; nil: nobody does.
	Sink Sink
	// TrailSink gets a copy of the organisations' trails; nil: nobody does.
	TrailSink TrailSink
	// Files makes files of whole organisations, EnqueueExport adds the job that does it, Sealer keeps the passphrase until
	// then, and Fresh refuses a session whose person did not prove lately who they are.
	Files         OrganisationFiles
	EnqueueExport func(ctx context.Context, tx *db.Tx, exportID string) error
	Sealer        envelope.Sealer
	Fresh         func(ctx context.Context, p identity.Principal) error
	Clock         quartz.Clock // nil is the real one
	Log           *slog.Logger // nil discards
}

// Service is the context's behaviour. It is safe for concurrent use.
type Service struct {
	cfg      Config
	clock    quartz.Clock
	log      *slog.Logger
	appended atomic.Uint64
	sub      *bus.Subscription
	trailSub *bus.Subscription

	copier               *copier
	copied, copyFailures atomic.Uint64
	copyWhy              atomic.Pointer[string] // why the last attempt failed
}

// New makes the service. It does nothing before Start.
func New(c Config) (*Service, error) {
	if c.DB == nil || c.Signer == nil || c.Organisations == nil {
		return nil, errors.New("compliance: Config needs DB, Signer and Organisations")
	}
	if c.Clock == nil {
		c.Clock = quartz.NewReal()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{cfg: c, clock: c.Clock, log: c.Log.With("part", "compliance")}, nil
}

// Start takes audit facts from the bus, and copies the platform log, until Close.
func (s *Service) Start(ctx context.Context, b *bus.Bus) (err error) {
	s.startCopy(ctx)
	if s.sub, err = b.SubscribeBatch(ctx, bus.BatchConfig{Durable: subscription, Filter: []string{"audit.entry"}}, s.take); err != nil {
		return err
	}
	return s.startTrailCopy(ctx, b)
}

// Close stops taking facts; those on their way come again after the next Start. It is safe before Start, and twice.
func (s *Service) Close() {
	for _, sub := range []*bus.Subscription{s.sub, s.trailSub} {
		if sub != nil {
			sub.Stop()
		}
	}
	if s.copier != nil {
		s.copier.stop()
		s.copier = nil
	}
}

// who gives the principal of a request. The gateway has checked the permission.
func who(ctx context.Context) (identity.Principal, error) {
	p, ok := identity.From(ctx)
	if !ok || p.OrgID == "" {
		return p, fault.New(fault.Unauthorized, "sign in, or send an API token")
	}
	return p, nil
}

// everyOrganisation calls fn for each organisation; one that fails does not keep the others from their turn.
func (s *Service) everyOrganisation(ctx context.Context, fn func(ctx context.Context, org string) error) error {
	var all error
	for after := ""; ; {
		orgs, err := s.cfg.Organisations(ctx, after, pageSize)
		if err != nil {
			return errors.Join(all, err)
		}
		for _, org := range orgs {
			after = org
			if err := fn(ctx, org); err != nil {
				all = errors.Join(all, err)
			}
			if ctx.Err() != nil {
				return errors.Join(all, ctx.Err())
			}
		}
		if len(orgs) < pageSize {
			return all
		}
	}
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }
