package scim

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Directory is what the package needs of identity; each is called in a transaction of the system door.
type Directory interface {
	Standing(ctx context.Context, orgID string) error
	PersonByEmail(ctx context.Context, tx *db.Tx, orgID, email string) (*identity.Provisioned, error)
	PersonByID(ctx context.Context, tx *db.Tx, orgID, userID string) (*identity.Provisioned, error)
	Enrol(ctx context.Context, tx *db.Tx, orgID string, e identity.Enrolment) (*identity.Provisioned, error)
	ProvisionRole(ctx context.Context, tx *db.Tx, orgID, userID, role string) error
	ProvisionActive(ctx context.Context, tx *db.Tx, orgID, userID string, active bool) error
	ProvisionName(ctx context.Context, tx *db.Tx, orgID, userID, name string) error
	ProvisionEmail(ctx context.Context, tx *db.Tx, orgID, userID, email string) error
	Withdraw(ctx context.Context, tx *db.Tx, orgID, userID string) error
	ProvisionTeam(ctx context.Context, tx *db.Tx, orgID, id, name string) (string, error)
	WithdrawTeam(ctx context.Context, tx *db.Tx, orgID, id string) error
	TeamPeople(ctx context.Context, tx *db.Tx, orgID, id string) ([]string, error)
	ProvisionTeamPeople(ctx context.Context, tx *db.Tx, orgID, id string, join, leave []string) error
	ProvisionChanged(orgID, userID string)
}

// Rules are what a connection says of the people whom it provisions.
type Rules struct {
	Domains     []string // verified
	Roles       []identity.RoleRule
	DefaultRole string
}

// Connections gives the rules of a connection; a fault of code NotFound when there is none.
type Connections interface {
	ProvisioningRules(ctx context.Context, tx *db.Tx, orgID, connectionID string) (Rules, error)
}

// Config is what New needs.
type Config struct {
	DB          *db.DB
	Directory   Directory
	Connections Connections
	PublicURL   func() string
	Random      io.Reader // nil is crypto/rand
	Clock       quartz.Clock
	Log         *slog.Logger
}

// Service is the context's behaviour. It is safe for concurrent use.
type Service struct {
	cfg Config
}

// New makes the service.
func New(c Config) *Service {
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.DB != nil {
		c.DB = c.DB.Master() // people are the master's
	}
	return &Service{cfg: c}
}

const (
	tokenPrefix = "scim_" // lets scanners for leaked secrets recognise a token
	touchEvery  = time.Minute
)

func (s *Service) random() (string, error) {
	b := make([]byte, 32)
	if _, err := io.ReadFull(s.cfg.Random, b); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// bearer tells whose token it is, and notes that it was used.
func (s *Service) bearer(ctx context.Context, header string) (*tokenRow, error) {
	unknown := fault.New(fault.Unauthorized, "the SCIM token is missing, unknown or revoked; make a new one in the connection's settings")
	scheme, secret, ok := strings.Cut(header, " ")
	secret = strings.TrimSpace(secret)
	if !ok || !strings.EqualFold(scheme, "Bearer") || !strings.HasPrefix(secret, tokenPrefix) || len(secret) > 100 {
		return nil, unknown
	}
	var row tokenRow
	var found bool
	err := s.cfg.DB.ReadSystem(ctx, "whose SCIM token is it", func(ctx context.Context, tx *db.Tx) (err error) {
		found, err = one(ctx, tx.NewSelect().Model(&row).Where("hash = ?", hashOf(secret)))
		return err
	})
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, unknown
	}
	if err := s.cfg.Directory.Standing(ctx, row.OrganisationID); err != nil {
		return nil, err
	}
	now := s.cfg.Clock.Now()
	if row.LastUsedAt != nil && now.Sub(time.UnixMilli(*row.LastUsedAt)) < touchEvery {
		return &row, nil
	}
	return &row, s.cfg.DB.InTenant(ctx, row.OrganisationID, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.NewUpdate().Model((*tokenRow)(nil)).Set("last_used_at = ?", now.UnixMilli()).
			Where("organisation_id = ? AND id = ?", row.OrganisationID, row.ID).Exec(ctx)
		return err
	})
}

// job is one request of a provider, in its transaction.
type job struct {
	*Service
	tx    *db.Tx
	token *tokenRow
	rules Rules
	// changed are the people whose rights may be others afterwards.
	changed []string
}

func (j *job) org() string { return j.token.OrganisationID }

func (j *job) note(userIDs ...string) {
	for _, id := range userIDs {
		if !slices.Contains(j.changed, id) {
			j.changed = append(j.changed, id)
		}
	}
}

// write runs a change. In the audit trail it is the token's.
func (s *Service) write(ctx context.Context, token *tokenRow, fn func(ctx context.Context, j *job) error) error {
	ctx = identity.With(ctx, identity.Principal{OrgID: token.OrganisationID, TokenID: token.ID})
	j := &job{Service: s, token: token}
	err := s.cfg.DB.InSystem(ctx, "provision people", func(ctx context.Context, tx *db.Tx) (err error) {
		j.tx = tx
		if j.rules, err = s.cfg.Connections.ProvisioningRules(ctx, tx, token.OrganisationID, token.ConnectionID); err != nil {
			return err
		}
		return fn(ctx, j)
	})
	if err == nil && len(j.changed) == 1 {
		s.cfg.Directory.ProvisionChanged(token.OrganisationID, j.changed[0])
	} else if err == nil && len(j.changed) > 1 {
		s.cfg.Directory.ProvisionChanged(token.OrganisationID, "")
	}
	return err
}

// read runs a query.
func (s *Service) read(ctx context.Context, token *tokenRow, fn func(ctx context.Context, j *job) error) error {
	return s.cfg.DB.ReadSystem(ctx, "show provisioned people", func(ctx context.Context, tx *db.Tx) error {
		return fn(ctx, &job{Service: s, tx: tx, token: token})
	})
}

func (r Rules) captures(email string) bool {
	i := strings.LastIndexByte(email, '@')
	return i >= 0 && slices.Contains(r.Domains, strings.ToLower(email[i+1:]))
}
