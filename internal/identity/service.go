package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	netmail "net/mail"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"
	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/semaphore"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/mail"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
)

const (
	setupValid   = 24 * time.Hour
	cacheFor     = time.Minute // how long another process may not notice a revocation
	cacheSize    = 10_000
	touchEvery   = time.Minute // how exact "last used" is
	hashingLimit = 2           // passwords hashed at once: each takes 64 MiB
	maxName      = 120
)

// Config is what New needs.
type Config struct {
	DB          *db.DB
	Clock       quartz.Clock
	Log         *slog.Logger
	Random      io.Reader       // nil is crypto/rand
	MFARequired bool            // every organisation asks for a second factor
	Passwords   PasswordCost    // of new passwords; zero is the usual one. Tests that make many people take less
	ExactCodes  bool            // an authenticator's code counts in its own thirty seconds only, whatever its clock
	SessionIdle time.Duration   // a session ends after this long without use
	Secure      bool            // cookies only over https
	Sealer      envelope.Sealer // for secrets that must be read again; nil: no authenticator apps and passkeys
	Outbox      *mail.Outbox    // nil: no letters
	// LeakedPasswords is the URL of a range API that new passwords are looked up in; "": only the list of the program.
	LeakedPasswords string
	HTTP            *http.Client // nil is http.DefaultClient
	// NewOrganisation is called when an organisation was made, to give it its first agents.
	NewOrganisation func(ctx context.Context, orgID string) error
	// Use counts what an organisation has of what plans limit, but for seats; minutes since monthStart. nil is nothing.
	Use func(ctx context.Context, orgID string, monthStart time.Time) (Use, error)
	// EnqueueMove adds, in the transaction that writes a move down or cancels it, what has it carried on; nil: it is found.
	EnqueueMove func(ctx context.Context, tx *db.Tx, orgID string) error
	// Regions lists where organisations may have databases of their own, and Residency tells what of an organisation is where.
	Regions   func() []RegionView
	Residency func(at db.Placement) RegionView
	// PublicURL is under which people reach the installation, for links in invitations.
	PublicURL func() string
}

// Service is the context's behaviour. It is safe for concurrent use.
type Service struct {
	cfg      Config
	attempts *attempts
	hashing  *semaphore.Weighted
	cache    *otter.Cache[string, Principal]
	settings *otter.Cache[string, Settings]

	epoch atomic.Uint64 // raised by every change of who may do what
	known catalogue

	mu      sync.Mutex
	touched map[string]time.Time // sessions and tokens, when their use was last written
	dummy   func() string
	ranges  ranges
}

// New makes the service.
func New(c Config) (*Service, error) {
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.SessionIdle <= 0 {
		c.SessionIdle = 30 * time.Minute
	}
	if c.Passwords == (PasswordCost{}) {
		c.Passwords = usualCost()
	}
	if c.DB != nil {
		c.DB = c.DB.Master() // people are the master's, wherever their organisation's data is
	}
	cache, err := otter.New(&otter.Options[string, Principal]{
		MaximumSize:      cacheSize,
		ExpiryCalculator: otter.ExpiryWriting[string, Principal](cacheFor),
	})
	if err != nil {
		return nil, err
	}
	settings, err := otter.New(&otter.Options[string, Settings]{
		MaximumSize:      cacheSize,
		ExpiryCalculator: otter.ExpiryWriting[string, Settings](cacheFor),
	})
	if err != nil {
		return nil, err
	}
	if c.HTTP == nil {
		c.HTTP = http.DefaultClient
	}
	if c.Sealer == nil {
		c.Sealer = noSealer{}
	}
	return &Service{
		ranges:   ranges{url: c.LeakedPasswords, client: c.HTTP},
		settings: settings,
		cfg:      c, attempts: newAttempts(c.Clock), hashing: semaphore.NewWeighted(hashingLimit), cache: cache,
		touched: map[string]time.Time{},
		// An unknown address costs the same time as a wrong password.
		dummy: sync.OnceValue(func() string { h, _ := hashPassword("nobody has this password", c.Passwords); return h }),
	}, nil
}

// Close ends the caches' clean-up.
func (s *Service) Close() {
	s.cache.StopAllGoroutines()
	s.settings.StopAllGoroutines()
}

// User is a person, as others see them.
type User struct {
	ID    string `json:"id"`
	Email string `json:"email"`
	Name  string `json:"name"`
}

// Organisation is a customer of the installation.
type Organisation struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Account is a person in an organisation.
type Account struct {
	User         User         `json:"user"`
	Organisation Organisation `json:"organisation"`
	Role         string       `json:"role" doc:"Id: owner, admin, supervisor, agent, viewer, or that of a role of the organisation"`
	RoleName     string       `json:"roleName"`
	Permissions  []string     `json:"permissions"`
	Teams        []string     `json:"teams" doc:"Ids of the person's teams"`
	// Memberships is every organisation the person belongs to.
	Memberships    []AccountMembership `json:"memberships" doc:"Every organisation the person belongs to"`
	AgentSuffix    string              `json:"agentSuffix" doc:"What follows an agent's name when it is called, as in sip:NAME.city-clinic@host; empty for the installation's oldest organisation"`
	SuperAdmin     bool                `json:"superAdmin" doc:"Administers the installation"`
	ImpersonatedBy *Impersonation      `json:"impersonatedBy" doc:"The super-admin who acts as this person; null otherwise"`

	Step      string   `json:"step,omitempty" enum:"second_factor,enrol" doc:"What is missing: second_factor, the sign-in must be finished and everything else here is empty; enrol, the organisation asks for a second factor and allows nothing else before there is one"`
	Methods   []string `json:"methods,omitempty" doc:"With second_factor: what may be used, of totp, passkey, recovery_code"`
	Challenge string   `json:"challenge,omitempty" doc:"With second_factor: goes with the answer; valid for 5 minutes and 5 tries"`
}

// AccountMembership is one organisation a person belongs to.
type AccountMembership struct {
	Organisation Organisation `json:"organisation"`
	Role         string       `json:"role"`
	Suspended    bool         `json:"suspended" doc:"The person cannot switch to it"`
}

// Impersonation says who acts as somebody else, why and until when.
type Impersonation struct {
	User   User      `json:"user"`
	Reason string    `json:"reason"`
	EndsAt time.Time `json:"endsAt"`
}

// NeedsOwner reports whether nobody can sign in yet.
func (s *Service) NeedsOwner(ctx context.Context) (bool, error) {
	var none bool
	err := s.cfg.DB.ReadSystem(ctx, "is there an owner", func(ctx context.Context, tx *db.Tx) error {
		n, err := tx.NewSelect().Model((*membershipRow)(nil)).Where("role = ?", RoleOwner).Count(ctx)
		none = n == 0
		return err
	})
	return none, err
}

// SetupToken makes the one-time token with which the first owner is created. Earlier ones end.
func (s *Service) SetupToken(ctx context.Context) (string, error) {
	token, err := s.random()
	if err != nil {
		return "", err
	}
	now := s.cfg.Clock.Now()
	err = s.cfg.DB.InSystem(ctx, "make the set-up link", func(ctx context.Context, tx *db.Tx) error {
		if _, err := tx.NewDelete().Model((*setupRow)(nil)).Where("1 = 1").Exec(ctx); err != nil {
			return err
		}
		row := &setupRow{Hash: hashSecret(token), CreatedAt: now.UnixMilli(), ExpiresAt: now.Add(setupValid).UnixMilli()}
		_, err := tx.NewInsert().Model(row).Exec(ctx)
		return err
	})
	return token, err
}

// NewOwner describes the first account.
type NewOwner struct {
	Email, Name, Password, Organisation string
}

// Setup creates the owner with the token of the set-up link, and signs them in. The token is used up in the
// same transaction.
func (s *Service) Setup(ctx context.Context, token string, o NewOwner) (Account, string, error) {
	if token == "" {
		return Account{}, "", fault.Field("body.token", "open the link that the terminal printed; it carries the token")
	}
	acc, err := s.createOwner(ctx, o, func(ctx context.Context, tx *db.Tx) error {
		res, err := tx.NewDelete().Model((*setupRow)(nil)).Where("hash = ? AND expires_at > ?", hashSecret(token), s.cfg.Clock.Now().UnixMilli()).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n != 1 {
			return fault.New(fault.Forbidden, "this set-up link was used or has expired; restart the server to get a new one")
		}
		return nil
	})
	if err != nil {
		return Account{}, "", err
	}
	return s.Begin(ctx, SignOn{UserID: acc.User.ID, OrgID: acc.Organisation.ID, Method: MethodSetup})
}

// CreateOwner creates the first owner without a link: for the command line, whose user owns the data.
func (s *Service) CreateOwner(ctx context.Context, o NewOwner) (Account, error) {
	return s.createOwner(ctx, o, func(context.Context, *db.Tx) error { return nil })
}

func (s *Service) createOwner(ctx context.Context, o NewOwner, allowed func(context.Context, *db.Tx) error) (Account, error) {
	email, err := normalEmail(o.Email)
	if err != nil {
		return Account{}, err
	}
	if o.Name, err = checkName("body.name", o.Name, email); err != nil {
		return Account{}, err
	}
	if o.Organisation, err = checkName("body.organisationName", o.Organisation, "My organisation"); err != nil {
		return Account{}, err
	}
	if err := s.checkPassword(ctx, o.Password, email); err != nil {
		return Account{}, err
	}
	hash, err := s.hash(ctx, o.Password)
	if err != nil {
		return Account{}, err
	}
	now := s.cfg.Clock.Now().UnixMilli()
	org := newOrganisationRow(o.Organisation, now)
	user := &userRow{ID: newID(), Email: email, Name: o.Name, PasswordHash: hash, Super: true, CreatedAt: now}
	member := &membershipRow{UserID: user.ID, OrganisationID: org.ID, Role: RoleOwner, CreatedAt: now}
	err = s.cfg.DB.InSystem(ctx, "create the owner", func(ctx context.Context, tx *db.Tx) error {
		if err := allowed(ctx, tx); err != nil {
			return err
		}
		n, err := tx.NewSelect().Model((*membershipRow)(nil)).Where("role = ?", RoleOwner).Count(ctx)
		if err != nil {
			return err
		}
		if n > 0 {
			return fault.New(fault.Conflict, "there is an owner already; sign in instead")
		}
		if err := insertOrganisation(ctx, tx, org); err != nil {
			return err
		}
		for _, row := range []any{user, member} {
			if _, err := tx.NewInsert().Model(row).Exec(ctx); err != nil {
				return err
			}
		}
		_, err = tx.NewDelete().Model((*setupRow)(nil)).Where("1 = 1").Exec(ctx)
		return err
	})
	if err != nil {
		return Account{}, err
	}
	if s.cfg.NewOrganisation != nil {
		if err := s.cfg.NewOrganisation(ctx, org.ID); err != nil {
			return Account{}, err
		}
	}
	return s.Account(ctx, Principal{UserID: user.ID, OrgID: org.ID})
}

// Account gives the account of a principal.
func (s *Service) Account(ctx context.Context, p Principal) (Account, error) {
	var acc Account
	err := s.cfg.DB.ReadSystem(ctx, "who am I", func(ctx context.Context, tx *db.Tx) error {
		m, err := membershipWhere(ctx, tx, "m.user_id = ? AND m.organisation_id = ?", p.UserID, p.OrgID)
		if err != nil {
			return err
		}
		if m == nil {
			return fault.New(fault.Unauthorized, "this account no longer belongs to the organisation; sign in again")
		}
		acc = m.account()
		acc.SuperAdmin = m.Super && p.Impersonator == "" && !p.restricted
		if p.restricted {
			acc.Step, acc.Permissions = StepEnrol, p.Permissions
		}
		if acc.ImpersonatedBy, err = impersonationOf(ctx, tx, p); err != nil || acc.ImpersonatedBy != nil {
			return err // whoever acts as somebody else stays in that organisation
		}
		acc.Memberships, err = membershipsOf(ctx, tx, p.UserID)
		return err
	})
	return acc, err
}

func (s *Service) hash(ctx context.Context, password string) (string, error) {
	if err := s.hashing.Acquire(ctx, 1); err != nil {
		return "", err
	}
	defer s.hashing.Release(1)
	return hashPassword(password, s.cfg.Passwords)
}

func (s *Service) verify(ctx context.Context, hash, password string) (bool, error) {
	if len(password) > maxPassword {
		return false, nil
	}
	if err := s.hashing.Acquire(ctx, 1); err != nil {
		return false, err
	}
	defer s.hashing.Release(1)
	return verifyPassword(hash, password), nil
}

// random makes a secret of 256 bits.
func (s *Service) random() (string, error) {
	b := make([]byte, 32)
	if _, err := io.ReadFull(s.cfg.Random, b); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

// hashSecret needs no salt: what it hashes is random.
func hashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func normalEmail(email string) (string, error) {
	email = strings.ToLower(strings.TrimSpace(email))
	a, err := netmail.ParseAddress(email)
	if err != nil || a.Address != email || len(email) > 254 {
		return "", fault.Field("body.email", "%q is no e-mail address; use one such as anna@example.com", email)
	}
	return email, nil
}

func checkName(location, name, fallback string) (string, error) {
	name = strings.TrimSpace(name)
	if name == "" {
		name = fallback
	}
	if len(name) > maxName || strings.ContainsAny(name, "\x00\r\n") {
		return "", fault.Field(location, "use at most %d characters on one line", maxName)
	}
	return name, nil
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// Sweep forgets sessions, set-up links and tokens that are over.
func (s *Service) Sweep(ctx context.Context) error {
	now := s.cfg.Clock.Now()
	return s.cfg.DB.InSystem(ctx, "forget what is over", func(ctx context.Context, tx *db.Tx) error {
		for _, q := range []struct {
			model any
			where string
			at    time.Time
		}{
			{(*sessionRow)(nil), "created_at < ?", now.Add(-sessionMax)},
			{(*sessionRow)(nil), "last_used_at < ?", now.Add(-max(s.cfg.SessionIdle, maxIdleMinutes*time.Minute))},
			{(*sessionRow)(nil), "ends_at < ?", now},
			{(*invitationRow)(nil), "expires_at < ?", now.Add(-invitationKept)},
			{(*setupRow)(nil), "expires_at < ?", now},
			{(*tokenRow)(nil), "expires_at < ?", now},
			{(*challengeRow)(nil), "expires_at < ?", now},
			{(*resetRow)(nil), "expires_at < ?", now},
			{(*attemptRow)(nil), "last_at < ?", now.Add(-attemptsForget)},
			{(*deviceRow)(nil), "last_used_at < ?", now.Add(-knownKept)},
		} {
			if _, err := tx.NewDelete().Model(q.model).Where(q.where, q.at.UnixMilli()).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}
