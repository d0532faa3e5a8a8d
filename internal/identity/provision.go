package identity

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/parley-voice/parley/internal/event"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// What identity providers do to people: packages sso and scim come in here. A provider is no person with a role, so
// nothing here asks what somebody may grant; instead nothing here makes, changes, suspends or removes an owner.

// RoleRule gives a role to the people of a provider's group.
type RoleRule struct {
	Group string `json:"group" minLength:"1" maxLength:"300" doc:"As the identity provider sends it"`
	Role  string `json:"role" minLength:"1" maxLength:"100" doc:"Id of a role"`
}

// PickRole gives the role of the first rule that fits one of the groups, or else fallback; false when there is none.
func PickRole(rules []RoleRule, groups []string, fallback string) (string, bool) {
	for _, r := range rules {
		if slices.ContainsFunc(groups, func(g string) bool { return strings.EqualFold(g, r.Group) }) {
			return r.Role, true
		}
	}
	return fallback, fallback != ""
}

// Provisioned is a person as a provider's organisation sees them.
type Provisioned struct {
	UserID, Email, Name string
	Member              bool // of the organisation
	Role                string
	Suspended           bool // in the organisation
	Elsewhere           bool // belongs to other organisations too
	Super               bool
}

// Enrolment is a person who becomes a member.
type Enrolment struct{ Email, Name, Role string }

// PersonByEmail finds a person anywhere in the installation, as orgID sees them; nil when nobody has the address. It
// needs the system door, as all of the following.
func (s *Service) PersonByEmail(ctx context.Context, tx *db.Tx, orgID, email string) (*Provisioned, error) {
	return personWhere(ctx, tx, orgID, "email = ?", email)
}

// PersonByID is PersonByEmail with an id.
func (s *Service) PersonByID(ctx context.Context, tx *db.Tx, orgID, userID string) (*Provisioned, error) {
	return personWhere(ctx, tx, orgID, "id = ?", userID)
}

func personWhere(ctx context.Context, tx *db.Tx, orgID, where string, args ...any) (*Provisioned, error) {
	var user userRow
	err := one(ctx, tx, &user, "person", where, args...)
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var rows []membershipRow
	if err := tx.NewSelect().Model(&rows).Where("user_id = ?", user.ID).Scan(ctx); err != nil {
		return nil, fmt.Errorf("find a person's memberships: %w", err)
	}
	p := &Provisioned{UserID: user.ID, Email: user.Email, Name: user.Name, Super: user.Super}
	for _, m := range rows {
		if m.OrganisationID == orgID {
			p.Member, p.Role, p.Suspended = true, m.Role, m.SuspendedAt != nil
		} else {
			p.Elsewhere = true
		}
	}
	return p, nil
}

// Enrol makes a person a member, and an account for them where they have none: without a password, so that only the
// provider, or a link to their address, lets them in. Where there is an account already, somebody else may have made it in
// another organisation, and know its password: then only the provider lets the person in to this one. It takes a seat.
func (s *Service) Enrol(ctx context.Context, tx *db.Tx, orgID string, e Enrolment) (*Provisioned, error) {
	email, err := normalEmail(e.Email)
	if err != nil {
		return nil, err
	}
	if e.Role == RoleOwner {
		return nil, fault.New(fault.Forbidden, "an identity provider makes no owners")
	}
	if err := lockOrganisation(ctx, tx, orgID); err != nil {
		return nil, err
	}
	role, err := s.findRole(ctx, tx, orgID, e.Role)
	if err != nil {
		return nil, err
	}
	if err := s.seatFree(ctx, tx, orgID); err != nil {
		return nil, err
	}
	user := &userRow{ID: newID(), Email: email, Name: providerName(e.Name, email), CreatedAt: s.cfg.Clock.Now().UnixMilli()}
	made, err := affected(tx.NewInsert().Model(user).On("CONFLICT (email) DO NOTHING").Exec(ctx))
	if err != nil {
		return nil, fmt.Errorf("make an account: %w", err)
	}
	p, err := s.PersonByEmail(ctx, tx, orgID, email)
	if err != nil {
		return nil, err
	}
	row := &membershipRow{UserID: p.UserID, OrganisationID: orgID, Role: e.Role, ProviderOnly: !made, CreatedAt: s.cfg.Clock.Now().UnixMilli()}
	ok, err := affected(tx.NewInsert().Model(row).On("CONFLICT DO NOTHING").Exec(ctx))
	if err != nil {
		return nil, fmt.Errorf("make a member: %w", err)
	}
	if !ok {
		return nil, fault.New(fault.Conflict, "%s belongs to the organisation already", email)
	}
	if _, err := tx.NewDelete().Model((*invitationRow)(nil)).Where("organisation_id = ? AND email = ?", orgID, email).Exec(ctx); err != nil {
		return nil, err
	}
	p.Member, p.Role = true, e.Role
	if _, known := From(ctx); !known {
		ctx = With(ctx, Principal{UserID: p.UserID, OrgID: orgID}) // whoever is being let in did this
	}
	return p, s.changed(ctx, tx, orgID, p.UserID, Change{Action: "member.join", Kind: "member", ID: p.UserID,
		After: Member{UserID: p.UserID, Email: email, Name: p.Name, Role: e.Role, RoleName: role.Name, Teams: []string{}, JoinedAt: timeOf(row.CreatedAt)}})
}

// providerName makes a provider's name for somebody fit.
func providerName(name, email string) string {
	if name, err := checkName("", name, email); err == nil {
		return name
	}
	return email
}

// CheckRole says whether an organisation has a role, and whether who asks, if anybody does, may give it.
func (s *Service) CheckRole(ctx context.Context, tx *db.Tx, orgID, role string) error {
	if p, ok := From(ctx); ok && p.TokenID == "" && p.UserID != "" {
		_, err := s.grantable(ctx, tx, p, role)
		return err
	}
	_, err := s.findRole(ctx, tx, orgID, role)
	return err
}

// provisioned reads the membership that a provider wants to change. It refuses owners.
func (s *Service) provisioned(ctx context.Context, tx *db.Tx, orgID, userID string) (*membershipRow, Member, error) {
	if err := lockOrganisation(ctx, tx, orgID); err != nil {
		return nil, Member{}, err
	}
	var row membershipRow
	if err := one(ctx, tx, &row, "person in the organisation", "organisation_id = ? AND user_id = ?", orgID, userID); err != nil {
		return nil, Member{}, err
	}
	if row.Role == RoleOwner {
		return nil, Member{}, fault.New(fault.Forbidden, "an identity provider cannot change an owner; an owner does that in Parley")
	}
	list, err := membersWhere(ctx, tx, orgID, 1, "m.user_id = ?", userID)
	if err != nil || len(list) == 0 {
		return nil, Member{}, err
	}
	return &row, list[0], nil
}

// ProvisionRole gives a member another role.
func (s *Service) ProvisionRole(ctx context.Context, tx *db.Tx, orgID, userID, role string) error {
	if role == RoleOwner {
		return fault.New(fault.Forbidden, "an identity provider makes no owners")
	}
	row, before, err := s.provisioned(ctx, tx, orgID, userID)
	if err != nil || row.Role == role {
		return err
	}
	found, err := s.findRole(ctx, tx, orgID, role)
	if err != nil {
		return err
	}
	after := before
	row.Role, after.Role, after.RoleName = role, role, found.Name
	return s.saveMember(ctx, tx, row, before, after)
}

// ProvisionActive suspends a member, which ends their sessions, or lets them in again.
func (s *Service) ProvisionActive(ctx context.Context, tx *db.Tx, orgID, userID string, active bool) error {
	row, before, err := s.provisioned(ctx, tx, orgID, userID)
	if err != nil || active == (row.SuspendedAt == nil) {
		return err
	}
	row.SuspendedAt = nil
	if !active {
		now := s.cfg.Clock.Now().UnixMilli()
		row.SuspendedAt = &now
	}
	after := before
	after.SuspendedAt = optionalTime(row.SuspendedAt)
	return s.saveMember(ctx, tx, row, before, after)
}

// ProvisionName changes the name of a person who belongs to this organisation alone.
func (s *Service) ProvisionName(ctx context.Context, tx *db.Tx, orgID, userID, name string) error {
	p, err := s.PersonByID(ctx, tx, orgID, userID)
	if err != nil || p == nil || !p.Member || p.Elsewhere || p.Role == RoleOwner {
		return err
	}
	if name = providerName(name, p.Email); name == p.Name {
		return nil
	}
	if _, err := tx.NewUpdate().Model((*userRow)(nil)).Set("name = ?", name).Where("id = ?", userID).Exec(ctx); err != nil {
		return fmt.Errorf("change a name: %w", err)
	}
	return s.changed(ctx, tx, orgID, userID, Change{Action: "member.update", Kind: "member", ID: userID,
		Before: map[string]string{"name": p.Name}, After: map[string]string{"name": name}})
}

// Withdraw removes a member, their sessions and tokens. What is left of an account that belongs nowhere goes too.
func (s *Service) Withdraw(ctx context.Context, tx *db.Tx, orgID, userID string) error {
	row, before, err := s.provisioned(ctx, tx, orgID, userID)
	if err != nil {
		return err
	}
	if err := s.detach(ctx, tx, row, before); err != nil {
		return err
	}
	return forgetUnattached(ctx, tx, "id = ?", userID)
}

// ProvisionChanged makes a change count at once in this process, after its transaction. An empty user is everybody of
// the organisation.
func (s *Service) ProvisionChanged(orgID, userID string) { s.forgetMember(orgID, userID) }

// BeginSSO begins the session of a member for whom the organisation's provider answered, and gives the cookie's header.
// how says what the provider proved, and how long the session may last.
func (s *Service) BeginSSO(ctx context.Context, how SignOn) (string, error) {
	how.SSO = true
	_, secret, err := s.Begin(ctx, how)
	if err != nil {
		return "", err
	}
	return s.SetCookie(secret), nil
}

// EndLocalSessions ends the sessions in an organisation for which its provider did not answer, but the owners'.
func (s *Service) EndLocalSessions(ctx context.Context, tx *db.Tx, orgID string) error {
	owners := tx.NewSelect().Model((*membershipRow)(nil)).Column("user_id").Where("organisation_id = ? AND role = ?", orgID, RoleOwner)
	_, err := tx.NewDelete().Model((*sessionRow)(nil)).
		Where("organisation_id = ? AND sso_organisation_id <> ? AND impersonator_id IS NULL AND user_id NOT IN (?)", orgID, orgID, owners).Exec(ctx)
	if err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	return tx.PublishFor(ctx, orgID, event.IdentityChanged{OrgID: orgID})
}

// mayEnter refuses a way of signing in that an organisation does not take. ssoOrgID is whose provider answered for the
// person, "" when they proved themselves to us. A provider answers for its own organisation only: otherwise whoever
// runs one could walk on into another.
func mayEnter(ctx context.Context, tx *db.Tx, userID, orgID, ssoOrgID string) error {
	if ssoOrgID == orgID {
		return nil
	}
	if ssoOrgID != "" {
		return fault.New(fault.Forbidden, "you came in through another organisation's identity provider; sign out, then sign in to this organisation")
	}
	n, err := tx.NewSelect().TableExpr("memberships AS m").
		Join("LEFT JOIN sso_policies AS p ON p.organisation_id = m.organisation_id").
		Where("m.organisation_id = ? AND m.user_id = ?", orgID, userID).
		Where("m.provider_only = ? OR (p.sso_only = ? AND m.role <> ?)", true, true, RoleOwner).Count(ctx)
	if err != nil {
		return fmt.Errorf("how does the organisation sign in: %w", err)
	}
	if n > 0 {
		return fault.New(fault.Forbidden, "your organisation signs in through its identity provider; enter your address on the sign-in page and go on there")
	}
	return nil
}

// mayMove is mayEnter for a session that goes on in another organisation.
func mayMove(ctx context.Context, tx *db.Tx, p Principal, orgID string) error {
	var row sessionRow
	if err := one(ctx, tx, &row, "session", "id = ? AND user_id = ?", p.SessionID, p.UserID); err != nil {
		return err
	}
	return mayEnter(ctx, tx, p.UserID, orgID, row.SSOOrganisationID)
}

// FreshOwn is freshOwn for package sso.
func (s *Service) FreshOwn(ctx context.Context, tx *db.Tx, p Principal) error {
	return s.freshOwn(ctx, tx, p)
}

// HasOwnWayIn reports whether a person can sign in without a provider: with a password or a passkey.
func (s *Service) HasOwnWayIn(ctx context.Context, tx *db.Tx, userID string) (bool, error) {
	var user userRow
	if err := one(ctx, tx, &user, "person", "id = ?", userID); err != nil || user.PasswordHash != "" {
		return err == nil, err
	}
	return tx.NewSelect().Model((*passkeyRow)(nil)).Where("user_id = ?", userID).Exists(ctx)
}

// freshOwn is fresh for changing how one signs in, which a person for whom a provider answered may not: whoever runs the
// provider could keep a way in that outlasts it, and that leads to other organisations.
func (s *Service) freshOwn(ctx context.Context, tx *db.Tx, p Principal) error {
	var row sessionRow
	if err := one(ctx, tx, &row, "session", "id = ? AND user_id = ?", p.SessionID, p.UserID); err != nil {
		return err
	}
	if row.SSOOrganisationID != "" {
		return fault.New(fault.Forbidden, "you came in through your organisation's identity provider; sign in with your own password or passkey to change how you sign in")
	}
	return s.fresh(ctx, tx, p)
}
