package sso

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/egress"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
	"github.com/parley-voice/parley/internal/platform/strength"
)

// Directory is what the package needs of identity. Where it takes a transaction, that is one of the system door.
type Directory interface {
	PersonByEmail(ctx context.Context, tx *db.Tx, orgID, email string) (*identity.Provisioned, error)
	PersonByID(ctx context.Context, tx *db.Tx, orgID, userID string) (*identity.Provisioned, error)
	Enrol(ctx context.Context, tx *db.Tx, orgID string, e identity.Enrolment) (*identity.Provisioned, error)
	ProvisionRole(ctx context.Context, tx *db.Tx, orgID, userID, role string) error
	CheckRole(ctx context.Context, tx *db.Tx, orgID, role string) error
	ProvisionChanged(orgID, userID string)
	// BeginSSO begins a session and gives the Set-Cookie header.
	BeginSSO(ctx context.Context, how identity.SignOn) (setCookie string, err error)
	// EndLocalSessions ends the sessions of an organisation that no provider answered for, but its owner's.
	EndLocalSessions(ctx context.Context, tx *db.Tx, orgID string) error
	// FreshOwn refuses a session that a provider answered for, or whose person did not prove lately who they are.
	FreshOwn(ctx context.Context, tx *db.Tx, p identity.Principal) error
	// HasOwnWayIn reports whether a person can sign in with a password or a passkey.
	HasOwnWayIn(ctx context.Context, tx *db.Tx, userID string) (bool, error)
}

// Resolver looks up DNS records; *net.Resolver does.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// Config is what New needs.
type Config struct {
	DB        *db.DB
	Directory Directory
	Sealer    envelope.Sealer
	Resolver  Resolver // nil is the system's
	// PublicURL is under which browsers and providers reach us.
	PublicURL func() string
	Secure    bool // cookies only over https
	// PrivateNetworks lets providers be in private networks and on this machine.
	PrivateNetworks bool
	Outbound        egress.Rules // what the settings say of where anything may be
	// Strength is what a provider's keys must have. They are judged by themselves, whoever signed their certificates.
	Strength strength.Level
	Random   io.Reader // nil is crypto/rand
	Clock    quartz.Clock
	Log      *slog.Logger
}

// Service is the context's behaviour. It is safe for concurrent use.
type Service struct {
	cfg       Config
	client    *http.Client
	providers *providers
}

// New makes the service.
func New(c Config) *Service {
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.Resolver == nil {
		c.Resolver = net.DefaultResolver
	}
	if c.DB != nil {
		c.DB = c.DB.Master() // who signs in how is the master's, as people are
	}
	s := &Service{cfg: c, providers: newProviders(c.Clock)}
	s.client = newClient(s.dialer(), c.PrivateNetworks)
	return s
}

// Close lets go of idle connections to providers.
func (s *Service) Close() { s.client.CloseIdleConnections() }

// public gives a URL of ours.
func (s *Service) public(path string) string { return strings.TrimRight(s.cfg.PublicURL(), "/") + path }

// random makes a secret of 256 bits.
func (s *Service) random() (string, error) {
	b := make([]byte, 32)
	if _, err := io.ReadFull(s.cfg.Random, b); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

// hashOf needs no salt: what it hashes is random.
func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// domainOf gives the part of an address after its last @, in lower case.
func domainOf(email string) string {
	i := strings.LastIndexByte(email, '@')
	if i < 0 {
		return ""
	}
	return strings.ToLower(email[i+1:])
}

// principal gives who asks.
func principal(ctx context.Context) (identity.Principal, error) {
	p, ok := identity.From(ctx)
	if !ok {
		return p, fault.New(fault.Unauthorized, "sign in, or send an API token")
	}
	return p, nil
}

// Sweep forgets flows, tests and assertions that are over.
func (s *Service) Sweep(ctx context.Context) error {
	now := s.cfg.Clock.Now().UnixMilli()
	return s.cfg.DB.InSystem(ctx, "forget sign-ins that are over", func(ctx context.Context, tx *db.Tx) error {
		for _, model := range []any{(*flowRow)(nil), (*testRow)(nil), (*replayRow)(nil)} {
			if _, err := tx.NewDelete().Model(model).Where("expires_at < ?", now).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

func timeOf(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func optionalTime(ms *int64) *time.Time {
	if ms == nil {
		return nil
	}
	t := timeOf(*ms)
	return &t
}
