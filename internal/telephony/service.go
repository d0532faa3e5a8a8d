package telephony

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/etag"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
	"github.com/parley-voice/parley/internal/telephony/sip"
)

// Registrations tells where phones are registered now; a sip.Server is one.
type Registrations interface {
	Registrations() map[string][]sip.Contact
	// Forget ends the registrations of a phone that was deleted or got a new password.
	Forget(username string)
}

// Signalling asks trunks whether they are there; a sip.Server is one.
type Signalling interface {
	Probe(ctx context.Context, t sip.Trunk) (sip.Probed, error)
}

// Config is what a Service needs.
type Config struct {
	DB     *db.DB
	Sealer envelope.Sealer
	Realm  string    // the SIP server's; passwords are digested for it
	NoMD5  bool      // phones prove who they are by SHA-256 only, so nothing else is stored of passwords
	Rand   io.Reader // default crypto/rand
	Clock  quartz.Clock
	Log    *slog.Logger
	// Registrations gives the SIP server, or nil while there is none: a gateway without the media role shows
	// what is stored instead.
	Registrations func() Registrations
	// Server tells where phones register; nil: nowhere.
	Server func() PhoneServer
	// Forgotten is told of phones that were deleted or got a new password, so that other processes end their registrations
	// too. It may be nil.
	Forgotten func(username string)
	// Quota is how many phones an organisation may have, nil for any number. It may be nil.
	Quota func(ctx context.Context, orgID string) (*int64, error)
	// Assignable refuses a person or a project that is not the organisation's; "" is none. It may be nil.
	Assignable func(ctx context.Context, orgID, userID, projectID string) error
	// Permit gives what refuses the addresses that an organisation's trunks may not have. nil: all are permitted.
	Permit func(ctx context.Context, orgID string) func(host string, addr netip.Addr) error
	// TrunkStates gives how an organisation's trunks fare, one state for each process that places calls. It may be nil.
	TrunkStates func(orgID string) []event.TrunkState
	// Signalling gives what asks a trunk whether it is there, nil while SIP is off. It may be nil.
	Signalling func() Signalling
	// Standing says why an organisation may do nothing now, as a fault of code Forbidden. nil: all may.
	Standing func(ctx context.Context, orgID string) error
}

// Service manages phones, trunks and the numbers that calls show.
type Service struct{ c Config }

// New makes a Service.
func New(c Config) *Service {
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Clock == nil {
		c.Clock = quartz.NewReal()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Realm == "" {
		c.Realm = "parley"
	}
	if c.Registrations == nil {
		c.Registrations = func() Registrations { return nil }
	}
	if c.Server == nil {
		c.Server = func() PhoneServer { return PhoneServer{Realm: c.Realm} }
	}
	return &Service{c}
}

// NewPhone is what a phone is made from.
type NewPhone struct {
	Username    string
	DisplayName string
	Password    string // "" has one made
	Encrypted   bool   // TLS and SRTP only
	UserID      string // whose it is; "": nobody's
	ProjectID   string // "": of no project
}

// Create adds a phone. The password is returned when it was made here; it cannot be had later.
func (s *Service) Create(ctx context.Context, orgID string, n NewPhone) (Phone, string, error) {
	if err := checkUsername(n.Username); err != nil {
		return Phone{}, "", err
	}
	if err := checkDisplayName(n.DisplayName); err != nil {
		return Phone{}, "", err
	}
	if err := s.assignable(ctx, orgID, n.UserID, n.ProjectID); err != nil {
		return Phone{}, "", err
	}
	made := ""
	if n.Password == "" {
		p, err := s.password()
		if err != nil {
			return Phone{}, "", err
		}
		n.Password, made = p, p
	}
	if err := checkPassword(n.Password); err != nil {
		return Phone{}, "", err
	}
	id := uuid.Must(uuid.NewV7()).String()
	sealed, err := s.seal(ctx, orgID, id, n.Username, n.Password)
	if err != nil {
		return Phone{}, "", err
	}
	most, err := s.quota(ctx, orgID)
	if err != nil {
		return Phone{}, "", err
	}
	now := s.c.Clock.Now().UnixMilli()
	row := &phoneRow{ID: id, OrganisationID: orgID, Username: n.Username, DisplayName: n.DisplayName,
		Secret: sealed, EncryptedOnly: n.Encrypted, UserID: n.UserID, ProjectID: n.ProjectID, SecretBy: identity.UserOf(ctx), SecretAt: now, CreatedAt: now, UpdatedAt: now}
	if err := s.claim(ctx, orgID, n.Username); err != nil {
		return Phone{}, "", err
	}
	err = s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		if err := identity.UnderLimit(ctx, tx, orgID, "phones", most, countPhones); err != nil {
			return err
		}
		if err := insertPhone(ctx, tx, row); err != nil {
			return err
		}
		return audit(ctx, tx, "phone.create", nil, row, false)
	})
	if err != nil {
		return Phone{}, "", errors.Join(err, s.unclaim(context.WithoutCancel(ctx), orgID, n.Username))
	}
	return show(row, nil), made, nil
}

// List gives a page of phones, and the cursor of the next one ("" at the end).
// They are of one project, unless projectID is "".
func (s *Service) List(ctx context.Context, orgID, projectID, cursor string, limit int) ([]Phone, string, error) {
	if limit < 1 || limit > 200 {
		return nil, "", fault.Field("query.limit", "limit is from 1 to 200")
	}
	var rows []phoneRow
	where, err := s.registrations(ctx)
	if err != nil {
		return nil, "", err
	}
	err = s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) (err error) {
		rows, err = listPhones(ctx, tx, projectID, cursor, limit+1)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	next := ""
	if len(rows) > limit {
		rows = rows[:limit]
		next = rows[limit-1].ID
	}
	out := make([]Phone, 0, len(rows))
	for i := range rows {
		out = append(out, show(&rows[i], where[rows[i].Username]))
	}
	return out, next, nil
}

// Get gives one phone.
func (s *Service) Get(ctx context.Context, orgID, id string) (Phone, error) {
	p, _, err := s.get(ctx, orgID, id)
	return p, err
}

// get gives one phone, and what If-Match compares of it.
func (s *Service) get(ctx context.Context, orgID, id string) (Phone, settings, error) {
	var row *phoneRow
	where, err := s.registrations(ctx)
	if err != nil {
		return Phone{}, settings{}, err
	}
	err = s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) (err error) {
		row, err = phoneByID(ctx, tx, id)
		return err
	})
	if err != nil {
		return Phone{}, settings{}, err
	}
	return show(row, where[row.Username]), settingsOf(row), nil
}

// Change is what can be changed of a phone; nil leaves it. An empty password has one made.
type Change struct {
	DisplayName *string
	Password    *string
	Encrypted   *bool
	UserID      *string
	ProjectID   *string
}

// Update changes a phone. A new password ends its registrations, and so does it when only TLS counts from now on.
func (s *Service) Update(ctx context.Context, orgID, id string, c Change) (Phone, string, error) {
	made := ""
	if err := s.assignable(ctx, orgID, value(c.UserID), value(c.ProjectID)); err != nil {
		return Phone{}, "", err
	}
	if c.DisplayName != nil {
		if err := checkDisplayName(*c.DisplayName); err != nil {
			return Phone{}, "", err
		}
	}
	if c.Password != nil && *c.Password == "" {
		p, err := s.password()
		if err != nil {
			return Phone{}, "", err
		}
		c.Password, made = &p, p
	}
	if c.Password != nil {
		if err := checkPassword(*c.Password); err != nil {
			return Phone{}, "", err
		}
	}
	if err := s.c.Sealer.Ready(ctx, orgID); err != nil {
		return Phone{}, "", fmt.Errorf("seal a phone's secret: %w", err)
	}
	var row *phoneRow
	anew := c.Password != nil || (c.Encrypted != nil && *c.Encrypted)
	err := s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) (err error) {
		if row, err = phoneByID(ctx, tx, id); err != nil {
			return err
		}
		was := *row
		if err := etag.Check(ctx, settingsKind, settingsOf(row)); err != nil {
			return err
		}
		if c.Encrypted != nil {
			row.EncryptedOnly = *c.Encrypted
		}
		if c.DisplayName != nil {
			row.DisplayName = *c.DisplayName
		}
		if c.UserID != nil {
			row.UserID = *c.UserID
		}
		if c.ProjectID != nil {
			row.ProjectID = *c.ProjectID
		}
		if c.Password != nil {
			if row.Secret, err = s.seal(ctx, orgID, id, row.Username, *c.Password); err != nil {
				return err
			}
			row.SecretBy, row.SecretAt, row.SecretUsedAt = identity.UserOf(ctx), s.c.Clock.Now().UnixMilli(), 0
		}
		if anew {
			if err := deleteContacts(ctx, tx, orgID, row.Username); err != nil {
				return err
			}
		}
		row.UpdatedAt = s.c.Clock.Now().UnixMilli()
		if err := updatePhone(ctx, tx, row); err != nil {
			return err
		}
		return audit(ctx, tx, "phone.update", &was, row, c.Password != nil)
	})
	if err != nil {
		return Phone{}, "", err
	}
	if anew {
		s.forget(row.Username)
	}
	where, err := s.registrations(ctx)
	if err != nil {
		return Phone{}, "", err
	}
	return show(row, where[row.Username]), made, nil
}

// Delete removes a phone and ends its registrations.
func (s *Service) Delete(ctx context.Context, orgID, id string) error {
	var name string
	err := s.c.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		row, err := phoneByID(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := etag.Check(ctx, settingsKind, settingsOf(row)); err != nil {
			return err
		}
		name = row.Username
		if err := deletePhone(ctx, tx, row); err != nil {
			return err
		}
		return audit(ctx, tx, "phone.delete", row, nil, false)
	})
	if err != nil {
		return err
	}
	s.forget(name)
	return s.c.DB.Release(ctx, phoneName, name, orgID)
}

func (s *Service) forget(username string) {
	if r := s.c.Registrations(); r != nil {
		r.Forget(username)
	}
	if s.c.Forgotten != nil {
		s.c.Forgotten(username)
	}
}

// registrations gives where phones are: from the SIP server in this process, else from the store.
func (s *Service) registrations(ctx context.Context) (map[string][]sip.Contact, error) {
	if r := s.c.Registrations(); r != nil {
		return r.Registrations(), nil
	}
	return s.Contacts(ctx)
}

// show makes the API's view of a phone.
func show(row *phoneRow, contacts []sip.Contact) Phone {
	p := Phone{ID: row.ID, Username: row.Username, DisplayName: row.DisplayName, Encrypted: row.EncryptedOnly, UserID: row.UserID, ProjectID: row.ProjectID, Contacts: []PhoneContact{},
		CreatedAt: time.UnixMilli(row.CreatedAt).UTC(), Registered: len(contacts) > 0}
	for _, c := range contacts {
		p.Contacts = append(p.Contacts, PhoneContact{URI: c.URI, ExpiresAt: c.ExpiresAt.UTC(), UserAgent: c.UserAgent, Transport: c.Transport})
	}
	return p
}

// password makes one that can be typed on a desk phone: no letters that look like digits.
func (s *Service) password() (string, error) {
	const letters = "abcdefghjkmnpqrstuvwxyz23456789" // 31: the two bytes of each keep the bias below 0.05 %
	raw := make([]byte, 32)
	if _, err := io.ReadFull(s.c.Rand, raw); err != nil {
		return "", fmt.Errorf("no randomness for a password: %w", err)
	}
	out := make([]byte, len(raw)/2)
	for i := range out {
		out[i] = letters[(int(raw[2*i])<<8|int(raw[2*i+1]))%len(letters)]
	}
	return string(out), nil
}

func phoneAAD(id string) []byte { return []byte("phone\x00" + id) }

func trunkAAD(id string) []byte { return []byte("trunk\x00" + id) }

// Sealed lists what is stored sealed.
func Sealed() []envelope.Column {
	return []envelope.Column{{Table: "phones", Column: "secret", Org: "organisation_id", Key: []string{"id"}, Purpose: SealPurpose,
		AAD: func(_ string, key []string) []byte { return phoneAAD(key[0]) }},
		{Table: "trunks", Column: "secret", Org: "organisation_id", Key: []string{"id"}, Purpose: SealPurpose,
			AAD: func(_ string, key []string) []byte { return trunkAAD(key[0]) }}}
}

// SealPurpose is that of the Box in Config.Sealer.
const SealPurpose = "phones"

func (s *Service) seal(ctx context.Context, orgID, id, username, password string) ([]byte, error) {
	digest := sip.NewHA1
	if s.c.NoMD5 {
		digest = sip.NewStrongHA1
	}
	plain, err := json.Marshal(digest(username, s.c.Realm, password))
	if err != nil {
		return nil, fmt.Errorf("encode a phone's secret: %w", err)
	}
	sealed, err := s.c.Sealer.Seal(ctx, orgID, plain, phoneAAD(id))
	if err != nil {
		return nil, fmt.Errorf("seal a phone's secret: %w", err)
	}
	return sealed, nil
}

// settings is what a person changes of a phone, and what If-Match compares: not where it is registered, which changes
// by itself.
type settings struct {
	Username, DisplayName string
	Encrypted             bool
	UpdatedAt             int64 // a new password is a change too
}

// settingsKind is not the "phone" of the audit trail, whose entries do not show that there is a new password.
const settingsKind = "phone settings"

func settingsOf(row *phoneRow) settings {
	return settings{row.Username, row.DisplayName, row.EncryptedOnly, row.UpdatedAt}
}

// Secrets implements sip.Phones.
func (s *Service) Secrets(ctx context.Context, username string) (sip.Account, bool, error) {
	var ha1 sip.HA1
	var row *phoneRow
	none := sip.Account{}
	if checkUsername(username) != nil {
		return none, false, nil
	}
	orgID, found, err := s.Owner(ctx, username)
	if err != nil || !found {
		return none, false, err
	}
	if s.c.Standing != nil {
		if err := s.c.Standing(ctx, orgID); fault.Is(err, fault.Forbidden) {
			return none, false, nil // as if the phone were not there
		} else if err != nil {
			return none, false, err
		}
	}
	err = s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) (err error) {
		row, found, err = phoneByName(ctx, tx, username)
		return err
	})
	if err != nil || !found {
		return none, false, err
	}
	plain, err := s.c.Sealer.Open(ctx, orgID, row.Secret, phoneAAD(row.ID))
	if err != nil {
		return none, false, fmt.Errorf("open the secret of phone %s: %w", username, err)
	}
	if err := json.Unmarshal(plain, &ha1); err != nil {
		return none, false, fmt.Errorf("decode the secret of phone %s: %w", username, err)
	}
	return sip.Account{HA1: ha1, Encrypted: row.EncryptedOnly}, true, nil
}

// Owner gives the organisation that a phone belongs to; found is false when there is no such phone.
func (s *Service) Owner(ctx context.Context, username string) (orgID string, found bool, err error) {
	if checkUsername(username) != nil {
		return "", false, nil
	}
	orgs, err := s.c.DB.Holders(ctx, phoneName, username, 1)
	if err != nil || len(orgs) == 0 {
		return "", false, err
	}
	return orgs[0], true, nil
}

// claim takes a user name on the whole server, whichever database its organisation is in.
func (s *Service) claim(ctx context.Context, orgID, username string) error {
	err := s.c.DB.Claim(ctx, phoneName, username, orgID)
	if fault.Is(err, fault.Conflict) {
		return nameTaken(username)
	}
	return err
}

// unclaim gives a user name up again, unless the organisation has a phone of that name.
func (s *Service) unclaim(ctx context.Context, orgID, username string) error {
	found := false
	err := s.c.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) (err error) {
		_, found, err = phoneByName(ctx, tx, username)
		return err
	})
	if err != nil || found {
		return err
	}
	return s.c.DB.Release(ctx, phoneName, username, orgID)
}

// Contacts implements sip.Phones.
func (s *Service) Contacts(ctx context.Context) (map[string][]sip.Contact, error) {
	out := map[string][]sip.Contact{}
	now := s.c.Clock.Now().UnixMilli()
	const why = "load the registrations of phones"
	err := s.c.DB.EachPlacement(ctx, why, func(ctx context.Context, in *db.DB) error {
		return in.ReadSystem(ctx, why, func(ctx context.Context, tx *db.Tx) error {
			here, err := liveContacts(ctx, tx, now)
			maps.Copy(out, here)
			return err
		})
	})
	return out, err
}

var _ sip.Phones = (*Service)(nil)
