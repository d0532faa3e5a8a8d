package sso

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/identity/scim"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
)

const (
	maxConnections = 20 // of one organisation
	maxRoleRules   = 200
)

// connectionKind is what the audit trail calls a connection, and what If-Match compares.
const connectionKind = "ssoConnection"

// The protocols.
const (
	OIDC = "oidc"
	SAML = "saml"
)

// OIDCProvider is how an OpenID Connect provider is reached.
type OIDCProvider struct {
	Issuer     string   `json:"issuer" maxLength:"500" doc:"The issuer's URL; its discovery document is below it"`
	ClientID   string   `json:"clientId" maxLength:"500"`
	Scopes     []string `json:"scopes" maxItems:"20" doc:"Asked for besides openid; none is email and profile"`
	EmailClaim string   `json:"emailClaim" maxLength:"200" doc:"Empty is email"`
}

// SAMLProvider is how a SAML identity provider is reached. Its metadata is given as a URL or as a document.
type SAMLProvider struct {
	MetadataURL    string `json:"metadataUrl" maxLength:"1000" doc:"Read when it is set and once a day afterwards; empty: the document is metadata"`
	Metadata       string `json:"metadata" maxLength:"200000" doc:"The metadata document (XML)"`
	EntityID       string `json:"entityId" readOnly:"true" doc:"The provider's name for itself, from its metadata"`
	EmailAttribute string `json:"emailAttribute" maxLength:"300" doc:"Empty tries the usual names and then the NameID"`
	IDPInitiated   bool   `json:"idpInitiated" doc:"Also take sign-ins that begin at the provider; they cannot be bound to a browser"`
}

// settings is what a connection keeps as JSON.
type settings struct {
	OIDC *OIDCProvider `json:"oidc,omitempty"`
	SAML *SAMLProvider `json:"saml,omitempty"`
	// Certificate is the service provider's, in PEM; FetchedAt is when Metadata was read from its URL.
	Certificate string              `json:"certificate,omitempty"`
	FetchedAt   int64               `json:"fetchedAt,omitempty"`
	RoleClaim   string              `json:"roleClaim,omitempty"`
	Roles       []identity.RoleRule `json:"roles,omitempty"`
	DefaultRole string              `json:"defaultRole,omitempty"`
	JustInTime  bool                `json:"justInTime,omitempty"`
	Owners      bool                `json:"owners,omitempty"`
	Strength
}

// connection is one as the package uses it.
type connection struct {
	settings
	row     *connectionRow
	domains []domainRow
	secret  string // the client's secret, or the private key in PEM

	newSecret bool // this change set it
}

// captures reports whether the connection speaks for an address.
func (c *connection) captures(email string) bool {
	d := domainOf(email)
	return d != "" && slices.ContainsFunc(c.domains, func(r domainRow) bool { return r.Domain == d && r.VerifiedAt != nil })
}

// SSOConnection is a connection as the API shows it.
type SSOConnection struct {
	ID          string              `json:"id"`
	Name        string              `json:"name" doc:"Shown to people who sign in"`
	Protocol    string              `json:"protocol" enum:"oidc,saml"`
	Enabled     bool                `json:"enabled"`
	OIDC        *OIDCProvider       `json:"oidc" doc:"null for saml"`
	SAML        *SAMLProvider       `json:"saml" doc:"null for oidc"`
	HasSecret   bool                `json:"hasSecret" doc:"The client's secret is set; it is never shown"`
	RoleClaim   string              `json:"roleClaim" doc:"Claim or attribute that lists a person's groups; empty: roles are not taken from the provider"`
	Roles       []identity.RoleRule `json:"roles" doc:"The first rule that fits decides"`
	DefaultRole string              `json:"defaultRole" doc:"Role where no rule fits; empty: such people are refused"`
	JustInTime  bool                `json:"justInTime" doc:"People whose address is in a verified domain become members when they first sign in"`
	Owners      bool                `json:"owners" doc:"Owners may sign in through it too. Only an owner switches it on, and another provider switches it off"`
	Strength
	Domains   []SSODomain  `json:"domains"`
	Here      SSOAddresses `json:"here" doc:"What the identity provider must be told of us"`
	CreatedAt time.Time    `json:"createdAt"`
	UpdatedAt time.Time    `json:"updatedAt"`
}

// SSOAddresses is what an administrator enters at the provider.
type SSOAddresses struct {
	StartURL    string `json:"startUrl" doc:"Begins a sign-in: the initiate login URI, or a link on a start page"`
	RedirectURI string `json:"redirectUri,omitempty" doc:"OpenID Connect: where the provider sends the browser back"`
	EntityID    string `json:"entityId,omitempty" doc:"SAML: our entity ID, which is the URL of our metadata too"`
	ACSURL      string `json:"acsUrl,omitempty" doc:"SAML: our assertion consumer service"`
	Certificate string `json:"certificate,omitempty" doc:"SAML: signs our requests, and assertions may be encrypted for it (PEM)"`
	SCIMURL     string `json:"scimUrl" doc:"SCIM 2.0: base URL"`
}

func (s *Service) view(c *connection) SSOConnection {
	out := SSOConnection{
		ID: c.row.ID, Name: c.row.Name, Protocol: c.row.Protocol, Enabled: c.row.Enabled, OIDC: c.OIDC, SAML: c.SAML,
		HasSecret: c.row.Protocol == OIDC && len(c.row.Secret) > 0, RoleClaim: c.RoleClaim, Roles: c.Roles, DefaultRole: c.DefaultRole,
		JustInTime: c.JustInTime, Owners: c.Owners, Strength: c.Strength.shown(), Domains: make([]SSODomain, len(c.domains)), CreatedAt: timeOf(c.row.CreatedAt), UpdatedAt: timeOf(c.row.UpdatedAt),
		Here: SSOAddresses{StartURL: s.public(startPath + c.row.ID), SCIMURL: s.public("/scim/v2")},
	}
	if out.Roles == nil {
		out.Roles = []identity.RoleRule{}
	}
	for i := range c.domains {
		out.Domains[i] = c.domains[i].view()
	}
	if c.row.Protocol == OIDC {
		out.Here.RedirectURI = s.redirectURI()
	} else {
		out.Here.EntityID, out.Here.ACSURL, out.Here.Certificate = s.entityID(c.row.ID), s.acsURL(c.row.ID), c.Certificate
	}
	return out
}

// readRow reads a row, all but its secret.
func readRow(row *connectionRow, domains []domainRow) (*connection, error) {
	c := &connection{row: row, domains: domains}
	if err := json.Unmarshal([]byte(row.Settings), &c.settings); err != nil {
		return nil, fmt.Errorf("settings of connection %s: %w", row.ID, err)
	}
	return c, nil
}

// open reads the secret of a connection; nil has none. It waits for the database, so it is called outside of transactions.
func (s *Service) open(ctx context.Context, c *connection) error {
	if c == nil || len(c.row.Secret) == 0 {
		return nil
	}
	plain, err := s.cfg.Sealer.Open(ctx, c.row.OrganisationID, c.row.Secret, secretPlace(c.row.OrganisationID, c.row.ID))
	if err != nil {
		return fmt.Errorf("secret of connection %s: %w", c.row.ID, err)
	}
	c.secret = string(plain)
	return nil
}

func secretPlace(orgID, id string) []byte { return []byte("sso connection\x00" + orgID + "\x00" + id) }

// Sealed lists what is stored sealed and stays.
func Sealed() []envelope.Column {
	return []envelope.Column{{Table: "sso_connections", Column: "secret", Org: "organisation_id", Key: []string{"id"}, Master: true,
		AAD: func(orgID string, key []string) []byte { return secretPlace(orgID, key[0]) }}}
}

// store puts settings and secret into the row.
func (s *Service) store(ctx context.Context, c *connection) error {
	b, err := json.Marshal(c.settings)
	if err != nil {
		return err
	}
	c.row.Settings, c.row.Secret = string(b), nil
	if c.secret != "" {
		c.row.Secret, err = s.cfg.Sealer.Seal(ctx, c.row.OrganisationID, []byte(c.secret), secretPlace(c.row.OrganisationID, c.row.ID))
	}
	return err
}

// Connections lists an organisation's connections. There are at most maxConnections.
func (s *Service) Connections(ctx context.Context, orgID string) ([]SSOConnection, error) {
	out := []SSOConnection{}
	err := s.cfg.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		var rows []connectionRow
		if err := tx.NewSelect().Model(&rows).Where("organisation_id = ?", orgID).Order("name").Scan(ctx); err != nil {
			return err
		}
		for i := range rows {
			domains, err := domainsOf(ctx, tx, orgID, rows[i].ID)
			if err != nil {
				return err
			}
			c, err := readRow(&rows[i], domains)
			if err != nil {
				return err
			}
			out = append(out, s.view(c))
		}
		return nil
	})
	return out, err
}

// Connection gives one of an organisation.
func (s *Service) Connection(ctx context.Context, orgID, id string) (SSOConnection, error) {
	c, err := s.connectionOf(ctx, orgID, id)
	if err != nil {
		return SSOConnection{}, err
	}
	return s.view(c), nil
}

func (s *Service) connectionOf(ctx context.Context, orgID, id string) (*connection, error) {
	var c *connection
	err := s.cfg.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		row, domains, err := connectionByID(ctx, tx, orgID, id)
		if err != nil {
			return err
		}
		c, err = readRow(row, domains)
		return err
	})
	if err != nil {
		return nil, err
	}
	return c, s.open(ctx, c)
}

// CreateConnection adds a connection.
func (s *Service) CreateConnection(ctx context.Context, orgID string, in NewSSOConnection) (SSOConnection, error) {
	now := s.cfg.Clock.Now().UnixMilli()
	c := &connection{row: &connectionRow{ID: newID(), OrganisationID: orgID, Protocol: in.Protocol, Version: 1, CreatedAt: now, UpdatedAt: now}}
	if err := s.apply(ctx, c, in.change()); err != nil {
		return SSOConnection{}, err
	}
	if c.row.Protocol == SAML {
		if err := s.makeKeyPair(c); err != nil {
			return SSOConnection{}, err
		}
		c.noteSecret(ctx, s.cfg.Clock.Now())
	}
	if err := s.store(ctx, c); err != nil {
		return SSOConnection{}, err
	}
	err := s.cfg.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		n, err := tx.NewSelect().Model((*connectionRow)(nil)).Where("organisation_id = ?", orgID).Count(ctx)
		if err != nil {
			return err
		}
		if n >= maxConnections {
			return fault.New(fault.Conflict, "the organisation has %d connections, the most it may have; delete one first", n)
		}
		if err := s.checkUse(ctx, tx, c); err != nil {
			return err
		}
		if _, err := tx.NewInsert().Model(c.row).Exec(ctx); err != nil {
			return err
		}
		return identity.Audit(ctx, tx, orgID, identity.Change{Action: "sso.connection.create", Kind: connectionKind, ID: c.row.ID, After: s.audited(c)})
	})
	return s.view(c), err
}

// checkUse says whether name and roles of a connection may be what they are.
func (s *Service) checkUse(ctx context.Context, tx *db.Tx, c *connection) error {
	n, err := tx.NewSelect().Model((*connectionRow)(nil)).
		Where("organisation_id = ? AND name = ? AND id <> ?", c.row.OrganisationID, c.row.Name, c.row.ID).Count(ctx)
	if err != nil {
		return err
	}
	if n > 0 {
		return fault.New(fault.Conflict, "another connection is named %q; choose another name", c.row.Name)
	}
	if c.DefaultRole != "" {
		if err := s.checkRole(ctx, tx, "body.defaultRole", c, c.DefaultRole); err != nil {
			return err
		}
	}
	for i, r := range c.Roles {
		if err := s.checkRole(ctx, tx, fmt.Sprintf("body.roles[%d].role", i), c, r.Role); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) checkRole(ctx context.Context, tx *db.Tx, location string, c *connection, role string) error {
	if role == identity.RoleOwner {
		return fault.Field(location, "an identity provider cannot make owners; give the role admin")
	}
	if err := s.cfg.Directory.CheckRole(ctx, tx, c.row.OrganisationID, role); err != nil {
		if fault.CodeOf(err) == fault.Internal {
			return err
		}
		return fault.Field(location, "there is no role %q; take one of the organisation's roles", role)
	}
	return nil
}

// UpdateConnection changes what in names.
func (s *Service) UpdateConnection(ctx context.Context, orgID, id string, in SSOConnectionChange) (SSOConnection, error) {
	c, err := s.connectionOf(ctx, orgID, id)
	if err != nil {
		return SSOConnection{}, err
	}
	before, version := s.view(c), c.row.Version
	if err := s.apply(ctx, c, in); err != nil {
		return SSOConnection{}, err
	}
	if err := s.store(ctx, c); err != nil {
		return SSOConnection{}, err
	}
	c.row.Version, c.row.UpdatedAt = version+1, s.cfg.Clock.Now().UnixMilli()
	err = s.cfg.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		if err := s.checkUse(ctx, tx, c); err != nil {
			return err
		}
		if err := updateConnection(ctx, tx, c.row, version); err != nil {
			return err
		}
		if err := forgetLinks(ctx, tx, c, before); err != nil {
			return err
		}
		if err := s.checkOnlyPossible(ctx, tx, orgID); err != nil {
			return err
		}
		return identity.Audit(ctx, tx, orgID, identity.Change{Action: "sso.connection.update", Kind: connectionKind, ID: id, Before: before, After: s.audited(c)})
	})
	return s.view(c), err
}

// forgetLinks drops what is known of accounts at the provider when the connection leads to another one: subjects mean
// something at one issuer only.
func forgetLinks(ctx context.Context, tx *db.Tx, c *connection, before SSOConnection) error {
	if c.OIDC != nil && c.OIDC.Issuer == before.OIDC.Issuer || c.SAML != nil && c.SAML.EntityID == before.SAML.EntityID {
		return nil
	}
	_, err := tx.NewDelete().Model((*linkRow)(nil)).Where("organisation_id = ? AND connection_id = ?", c.row.OrganisationID, c.row.ID).Exec(ctx)
	return err
}

// ProvisioningRules gives what a connection says of the people whom its provider provisions.
func (s *Service) ProvisioningRules(ctx context.Context, tx *db.Tx, orgID, id string) (scim.Rules, error) {
	row, domains, err := connectionByID(ctx, tx, orgID, id)
	if err != nil {
		return scim.Rules{}, err
	}
	var set settings
	if err := json.Unmarshal([]byte(row.Settings), &set); err != nil {
		return scim.Rules{}, fmt.Errorf("settings of connection %s: %w", row.ID, err)
	}
	out := scim.Rules{Roles: set.Roles, DefaultRole: set.DefaultRole}
	for _, d := range domains {
		if d.VerifiedAt != nil {
			out.Domains = append(out.Domains, d.Domain)
		}
	}
	return out, nil
}

// updateConnection writes row unless somebody changed it since version.
func updateConnection(ctx context.Context, tx *db.Tx, row *connectionRow, version int64) error {
	res, err := tx.NewUpdate().Model(row).WherePK().Where("organisation_id = ? AND version = ?", row.OrganisationID, version).Exec(ctx)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return fault.New(fault.Conflict, "somebody else changed the connection meanwhile; read it again and repeat the change")
	}
	return nil
}

// DeleteConnection removes a connection, with its domains, links and tokens. Sessions and members stay.
func (s *Service) DeleteConnection(ctx context.Context, orgID, id string) error {
	return s.cfg.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		row, domains, err := connectionByID(ctx, tx, orgID, id)
		if err != nil {
			return err
		}
		c, err := readRow(row, domains)
		if err != nil {
			return err
		}
		if _, err := tx.NewDelete().Model(row).WherePK().Where("organisation_id = ?", orgID).Exec(ctx); err != nil {
			return err
		}
		if err := s.checkOnlyPossible(ctx, tx, orgID); err != nil {
			return err
		}
		return identity.Audit(ctx, tx, orgID, identity.Change{Action: "sso.connection.delete", Kind: connectionKind, ID: id, Before: s.view(c)})
	})
}

// apply changes c to what in says and judges the result by itself.
func (s *Service) apply(ctx context.Context, c *connection, in SSOConnectionChange) error {
	set(&c.row.Name, in.Name)
	set(&c.row.Enabled, in.Enabled)
	set(&c.RoleClaim, in.RoleClaim)
	set(&c.Roles, in.Roles)
	set(&c.DefaultRole, in.DefaultRole)
	set(&c.JustInTime, in.JustInTime)
	c.row.Name = strings.TrimSpace(c.row.Name)
	if c.row.Name == "" || len(c.row.Name) > 100 || strings.ContainsAny(c.row.Name, "\x00\r\n") {
		return fault.Field("body.name", "give the connection a name of at most 100 characters, such as the identity provider's")
	}
	if len(c.Roles) > maxRoleRules {
		return fault.Field("body.roles", "there are more than %d rules; use fewer groups", maxRoleRules)
	}
	for i, r := range c.Roles {
		if strings.TrimSpace(r.Group) == "" {
			return fault.Field(fmt.Sprintf("body.roles[%d].group", i), "name the group as the identity provider sends it")
		}
	}
	if err := c.Strength.apply(in); err != nil {
		return err
	}
	provider := c.provider()
	secret := c.secret
	if err := s.applyProvider(ctx, c, in); err != nil {
		return err
	}
	if c.secret != secret {
		c.noteSecret(ctx, s.cfg.Clock.Now())
	}
	return c.applyOwners(ctx, in.Owners, provider)
}

// provider tells providers apart.
func (c *connection) provider() string {
	switch {
	case c.OIDC != nil:
		return c.OIDC.Issuer + " " + c.OIDC.ClientID
	case c.SAML != nil:
		return c.SAML.Metadata
	}
	return ""
}

// applyOwners lets owners in through the provider only where an owner says so, and no longer when somebody else names
// another provider: otherwise an administrator could become an owner.
func (c *connection) applyOwners(ctx context.Context, want *bool, before string) error {
	p, _ := identity.From(ctx)
	if p.Role != identity.RoleOwner && c.provider() != before {
		c.Owners = false
	}
	if want == nil || *want == c.Owners {
		return nil
	}
	if *want && p.Role != identity.RoleOwner {
		return fault.New(fault.Forbidden, "only an owner may let owners sign in through an identity provider")
	}
	c.Owners = *want
	return nil
}

func (s *Service) applyProvider(ctx context.Context, c *connection, in SSOConnectionChange) error {
	switch {
	case c.row.Protocol == OIDC && in.SAML != nil:
		return fault.Field("body.saml", "this is an OpenID Connect connection; leave saml out")
	case c.row.Protocol == SAML && (in.OIDC != nil || in.ClientSecret != nil):
		return fault.Field("body.oidc", "this is a SAML connection; leave oidc and clientSecret out")
	case c.row.Protocol == OIDC:
		return s.applyOIDC(c, in)
	default:
		return s.applySAML(ctx, c, in)
	}
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}
