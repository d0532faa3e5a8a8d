package donotcall

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/parley-voice/parley/internal/campaign/policy"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/blob"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// BlobKind is the first part of the keys of registers' files.
const BlobKind = "registers"

// Consents tell what people allowed.
type Consents interface {
	// ConsentsOf gives what is known of numbers for a call of a purpose; automated says that a machine speaks. Numbers of which
	// nothing is known are left out.
	ConsentsOf(ctx context.Context, tx *db.Tx, numbers []string, purpose policy.Purpose, automated bool, now time.Time) (map[string]Consent, error)
}

// Consent is what is known of a number's consent.
type Consent struct {
	State policy.Consent
	ID    string // of the record that says so
}

// Config is what New needs.
type Config struct {
	DB       *db.DB
	Blobs    *blob.Regions
	Folder   string   // where this process keeps copies of registers
	Consents Consents // nil: nothing is known
	Book     *policy.Book
	// Spread is told of numbers that no campaign calls any more, once they are listed. It may be nil.
	Spread func(ctx context.Context, orgID string, numbers ...string) error
	Random io.Reader // of registers' salts; nil: crypto/rand
	Clock  quartz.Clock
	Log    *slog.Logger
}

// Service keeps lists and registers. It is safe for concurrent use.
type Service struct {
	c     Config
	cache *cache
}

// New makes a Service.
func New(c Config) (*Service, error) {
	if c.DB == nil || c.Book == nil {
		return nil, errors.New("donotcall: Config needs DB and Book")
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.Clock == nil {
		c.Clock = quartz.NewReal()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{c: c, cache: newCache(c.Folder, c.Blobs)}, nil
}

// Close closes registers' files.
func (s *Service) Close() { s.cache.close() }

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func (s *Service) now() time.Time { return s.c.Clock.Now() }

// organisation is whose lists these are.
func organisation(ctx context.Context) (string, error) {
	p, ok := identity.From(ctx)
	if !ok || p.OrgID == "" {
		return "", fault.New(fault.Unauthorized, "sign in, or send an API token")
	}
	return p.OrgID, nil
}

func at(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
