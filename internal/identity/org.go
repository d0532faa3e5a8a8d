package identity

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	maxMemberships = 500 // of one person
	minIdleMinutes = 5
	maxIdleMinutes = 24 * 60
)

// OrganisationView is an organisation as its administrators see it.
type OrganisationView struct {
	ID                 string      `json:"id"`
	Name               string      `json:"name"`
	Address            string      `json:"address" doc:"sip:AGENT.ADDRESS@host reaches an agent of this organisation"`
	Placement          string      `json:"placement" enum:"shared,own" doc:"Whether its data shares a database with others or has its own"`
	Region             string      `json:"region" doc:"Where its data is; \"\" is where the installation is"`
	TimeZone           string      `json:"timeZone" doc:"IANA name such as Europe/Berlin"`
	Residency          *RegionView `json:"residency,omitempty" doc:"Where its records, recordings and the index of what was said are kept"`
	SessionIdleMinutes *int64      `json:"sessionIdleMinutes" doc:"A session ends after this long without use; null: as the installation says"`
	CreatedAt          time.Time   `json:"createdAt"`
}

// viewOf is an organisation's view with where its data is.
func (s *Service) viewOf(row *organisationRow, at db.Placement) OrganisationView {
	v := row.view(at)
	if s.cfg.Residency != nil {
		r := s.cfg.Residency(at)
		v.Residency = &r
	}
	return v
}

func (r *organisationRow) view(at db.Placement) OrganisationView {
	return OrganisationView{ID: r.ID, Name: r.Name, Address: r.Address, Placement: at.Placement, Region: at.Region, TimeZone: r.TimeZone, SessionIdleMinutes: r.IdleMinutes, CreatedAt: timeOf(r.CreatedAt)}
}

// OrganisationChange is what an administrator may change; nil leaves a part as it is.
type OrganisationChange struct {
	Name               *string
	Address            *string
	TimeZone           *string
	SessionIdleMinutes *int64 // 0: as the installation says
}

func newOrganisationRow(name string, now int64) *organisationRow {
	return &organisationRow{ID: newID(), Name: name, TimeZone: "UTC", Limits: "{}", CreatedAt: now, UpdatedAt: now}
}

// organisationByID needs the system door.
func organisationByID(ctx context.Context, tx *db.Tx, id string) (*organisationRow, error) {
	var row organisationRow
	return &row, one(ctx, tx, &row, "organisation", "id = ?", id)
}

// GetOrganisation gives p's organisation.
func (s *Service) GetOrganisation(ctx context.Context, p Principal) (OrganisationView, error) {
	at, err := s.cfg.DB.Placement(ctx, p.OrgID)
	if err != nil {
		return OrganisationView{}, err
	}
	var out OrganisationView
	err = s.cfg.DB.ReadSystem(ctx, "show an organisation", func(ctx context.Context, tx *db.Tx) error {
		row, err := organisationByID(ctx, tx, p.OrgID)
		out = s.viewOf(row, at)
		return err
	})
	return out, err
}

// UpdateOrganisation changes p's organisation.
func (s *Service) UpdateOrganisation(ctx context.Context, p Principal, c OrganisationChange) (OrganisationView, error) {
	if err := c.check(); err != nil {
		return OrganisationView{}, err
	}
	at, err := s.cfg.DB.Placement(ctx, p.OrgID)
	if err != nil {
		return OrganisationView{}, err
	}
	var after OrganisationView
	err = s.cfg.DB.InSystem(ctx, "change an organisation", func(ctx context.Context, tx *db.Tx) error {
		row, err := organisationByID(ctx, tx, p.OrgID)
		if err != nil {
			return err
		}
		before := s.viewOf(row, at)
		if c.Address != nil && *c.Address != row.Address {
			taken, err := addressTaken(ctx, tx, *c.Address)
			if err != nil {
				return err
			}
			if taken {
				return fault.Field("body.address", "another organisation has the address %q; choose another", *c.Address)
			}
		}
		c.apply(row)
		after = s.viewOf(row, at)
		return s.saveOrganisation(ctx, tx, row, Change{Action: "organisation.update", Before: before, After: after})
	})
	s.Forget(p.OrgID, "")
	return after, err
}

// saveOrganisation writes the columns that this context changes, and the audit entry.
func (s *Service) saveOrganisation(ctx context.Context, tx *db.Tx, row *organisationRow, c Change) error {
	row.UpdatedAt = s.cfg.Clock.Now().UnixMilli()
	_, err := tx.NewUpdate().Model(row).WherePK().
		Column("name", "address", "time_zone", "session_idle_minutes", "plan_id", "limits", "suspended_at", "suspended_reason", "updated_at").
		Exec(ctx)
	if err != nil {
		return fmt.Errorf("change an organisation: %w", err)
	}
	c.Kind, c.ID = "organisation", row.ID
	return s.changed(ctx, tx, row.ID, "", c)
}

func (c *OrganisationChange) check() error {
	if c.Name != nil {
		name, err := requiredName("body.name", *c.Name)
		if err != nil {
			return err
		}
		c.Name = &name
	}
	if c.Address != nil {
		if err := checkAddress(*c.Address); err != nil {
			return err
		}
	}
	if c.TimeZone != nil {
		// "Local" is the server's own zone, which says nothing about the organisation.
		if _, err := time.LoadLocation(*c.TimeZone); err != nil || *c.TimeZone == "" || *c.TimeZone == "Local" || len(*c.TimeZone) > 64 {
			return fault.Field("body.timeZone", "%q is no time zone; use an IANA name such as Europe/Berlin", *c.TimeZone)
		}
	}
	if m := c.SessionIdleMinutes; m != nil && *m != 0 && (*m < minIdleMinutes || *m > maxIdleMinutes) {
		return fault.Field("body.sessionIdleMinutes", "use %d to %d minutes, or 0 for what the installation says", minIdleMinutes, maxIdleMinutes)
	}
	return nil
}

func (c *OrganisationChange) apply(row *organisationRow) {
	if c.Name != nil {
		row.Name = *c.Name
	}
	if c.Address != nil {
		row.Address = *c.Address
	}
	if c.TimeZone != nil {
		row.TimeZone = *c.TimeZone
	}
	if m := c.SessionIdleMinutes; m != nil {
		row.IdleMinutes = m
		if *m == 0 {
			row.IdleMinutes = nil
		}
	}
}

// SwitchOrganisation binds p's session to another organisation of its person, and gives the session's new secret.
func (s *Service) SwitchOrganisation(ctx context.Context, p Principal, orgID string) (Account, string, error) {
	if p.SessionID == "" || p.Impersonator != "" {
		return Account{}, "", fault.New(fault.NotPossible, "only a person who signed in can switch; a token, or somebody who acts for another, stays in its organisation")
	}
	next, err := s.random()
	if err != nil {
		return Account{}, "", err
	}
	var m *membership
	err = s.cfg.DB.InSystem(ctx, "switch to another organisation", func(ctx context.Context, tx *db.Tx) error {
		if m, err = membershipWhere(ctx, tx, "m.user_id = ? AND m.organisation_id = ?", p.UserID, orgID); err != nil {
			return err
		}
		if m == nil {
			return fault.New(fault.NotFound, "you do not belong to that organisation")
		}
		if err := m.standing(); err != nil {
			return err
		}
		if err := mayMove(ctx, tx, p, orgID); err != nil {
			return err
		}
		ok, err := s.replaceSecret(ctx, tx, p.SessionID, next, orgID)
		if err != nil {
			return err
		}
		if !ok {
			return fault.New(fault.Unauthorized, "your session has ended; sign in again")
		}
		return Audit(ctx, tx, orgID, Change{Action: "auth.switch", Kind: "user", ID: p.UserID,
			Before: map[string]string{"organisationId": p.OrgID}, After: map[string]string{"organisationId": orgID}})
	})
	if err != nil {
		return Account{}, "", err
	}
	s.forgetMember(p.OrgID, p.UserID)
	acc, err := s.Account(ctx, principalOf(m))
	return acc, next, err
}

// FindOrganisation gives the id of the organisation with that id or name: for the command line.
func (s *Service) FindOrganisation(ctx context.Context, name string) (string, error) {
	var ids []string
	err := s.cfg.DB.ReadSystem(ctx, "find an organisation by name", func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model((*organisationRow)(nil)).Column("id").Where("id = ? OR name = ?", name, name).Order("id").Limit(2).Scan(ctx, &ids)
	})
	switch {
	case err != nil:
		return "", fmt.Errorf("find an organisation: %w", err)
	case len(ids) == 0:
		return "", fault.New(fault.NotFound, "there is no organisation %q", name)
	case len(ids) > 1:
		return "", fault.New(fault.Conflict, "several organisations are named %q; give the id instead, such as %s", name, ids[0])
	}
	return ids[0], nil
}

// CreateTokenIn makes an API token for a person in an organisation, by id or name: for the command line.
func (s *Service) CreateTokenIn(ctx context.Context, organisation, email, name string) (string, error) {
	email, err := normalEmail(email)
	if err != nil {
		return "", err
	}
	orgID, err := s.FindOrganisation(ctx, organisation)
	if err != nil {
		return "", err
	}
	var m *membership
	err = s.cfg.DB.ReadSystem(ctx, "find a person by address", func(ctx context.Context, tx *db.Tx) (err error) {
		m, err = membershipWhere(ctx, tx, "u.email = ? AND m.organisation_id = ?", email, orgID)
		return err
	})
	if err != nil {
		return "", err
	}
	if m == nil {
		return "", fault.New(fault.NotFound, "nobody in %q has the address %q", organisation, email)
	}
	_, secret, err := s.CreateToken(ctx, Principal{UserID: m.UserID, OrgID: m.OrganisationID}, name, nil)
	return secret, err
}

// NewOrganisation describes an organisation and its first owner.
type NewOrganisation struct {
	Name, Region string
	Placement    string // [db.Shared] or [db.Own]; "" is shared
	OwnerEmail   string
	Password     string // for an owner who has no account yet
}

// CreateOrganisation makes an organisation whose owner is the person with that address: for the command line. Somebody
// who has an account already keeps its password. Without any super-admin the owner becomes one.
func (s *Service) CreateOrganisation(ctx context.Context, n NewOrganisation) (Account, error) {
	name, err := requiredName("name", n.Name)
	if err != nil {
		return Account{}, err
	}
	email, err := normalEmail(n.OwnerEmail)
	if err != nil {
		return Account{}, err
	}
	hash := ""
	weak := s.checkPassword(ctx, n.Password, email)
	if weak == nil {
		if hash, err = s.hash(ctx, n.Password); err != nil {
			return Account{}, err
		}
	}
	now := s.cfg.Clock.Now().UnixMilli()
	org := newOrganisationRow(name, now)
	at, err := s.place(ctx, org.ID, n.Placement, n.Region)
	if err != nil {
		return Account{}, err
	}
	var userID string
	err = s.cfg.DB.InSystem(ctx, "create an organisation", func(ctx context.Context, tx *db.Tx) error {
		user, err := s.userOrNew(ctx, tx, email, hash, weak)
		if err != nil {
			return err
		}
		userID = user.ID
		if err := insertOrganisation(ctx, tx, org); err != nil {
			return err
		}
		member := &membershipRow{UserID: user.ID, OrganisationID: org.ID, Role: RoleOwner, CreatedAt: now}
		if _, err := tx.NewInsert().Model(member).Exec(ctx); err != nil {
			return err
		}
		return Audit(ctx, tx, org.ID, Change{Action: "organisation.create", Kind: "organisation", ID: org.ID, After: org.view(at)})
	})
	if err != nil {
		return Account{}, err
	}
	if s.cfg.NewOrganisation != nil {
		if err := s.cfg.NewOrganisation(ctx, org.ID); err != nil {
			return Account{}, err
		}
	}
	return s.Account(ctx, Principal{UserID: userID, OrgID: org.ID})
}

// userOrNew gives the person with an address, who is made with the password's hash when there is none yet. weak says what
// is wrong with the password, which matters only then.
func (s *Service) userOrNew(ctx context.Context, tx *db.Tx, email, hash string, weak error) (*userRow, error) {
	var user userRow
	err := one(ctx, tx, &user, "person", "email = ?", email)
	if err == nil || !fault.Is(err, fault.NotFound) {
		return &user, err
	}
	if weak != nil {
		return nil, weak
	}
	supers, err := tx.NewSelect().Model((*userRow)(nil)).Where("super = ?", true).Count(ctx)
	if err != nil {
		return nil, err
	}
	user = userRow{ID: newID(), Email: email, Name: email, PasswordHash: hash, Super: supers == 0, CreatedAt: s.cfg.Clock.Now().UnixMilli()}
	_, err = tx.NewInsert().Model(&user).Exec(ctx)
	return &user, err
}

// place makes the database for a new organisation, before there is anything to store in it.
func (s *Service) place(ctx context.Context, orgID, placement, region string) (db.Placement, error) {
	if placement == "" {
		placement = db.Shared
	}
	if err := s.cfg.DB.CreatePlacement(ctx, orgID, placement, region); err != nil {
		return db.Placement{}, err
	}
	return s.cfg.DB.Placement(ctx, orgID)
}
