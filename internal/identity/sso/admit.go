package sso

import (
	"context"
	"net/mail"
	"strings"
	"time"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// admitted is who came in.
type admitted struct {
	*identity.Provisioned
	made bool // became a member just now
}

// admit turns what a provider said into a member of its organisation: by the link of an earlier sign-in, or by the
// address where the provider may speak for it. It makes members where the connection says so, and keeps their role as
// the provider's groups say.
func (s *Service) admit(ctx context.Context, tx *db.Tx, c *connection, who *said) (*admitted, error) {
	email, err := emailOf(c, who)
	if err != nil {
		return nil, err
	}
	if c.SecondFactor && !c.proved(who) {
		return nil, errOneFactor(who)
	}
	orgID := c.row.OrganisationID
	person, link, err := s.known(ctx, tx, c, who.Subject, email)
	if err != nil {
		return nil, err
	}
	if person != nil {
		email = person.Email // what counts is whose account it is, not what the provider calls it now
	}
	if err := authority(c, who, person, email); err != nil {
		return nil, err
	}
	if person != nil && person.Role == identity.RoleOwner && !c.Owners {
		return nil, fault.New(fault.Forbidden, "owners sign in with their own password or passkey; an owner may allow them this identity provider in the connection's settings")
	}
	role, found := identity.PickRole(c.Roles, who.Groups, c.DefaultRole)
	out := &admitted{Provisioned: person}
	switch {
	case person == nil || !person.Member:
		if !c.JustInTime {
			return nil, fault.New(fault.Forbidden, "%s is no member of the organisation; ask an administrator for an invitation", email)
		}
		if !found {
			return nil, errNoRole(email)
		}
		out.made = true
		if out.Provisioned, err = s.cfg.Directory.Enrol(ctx, tx, orgID, identity.Enrolment{Email: email, Name: who.Name, Role: role}); err != nil {
			return nil, err
		}
	case person.Suspended:
		return nil, fault.New(fault.Forbidden, "your access is suspended; ask an administrator of your organisation")
	case c.RoleClaim != "" && person.Role != identity.RoleOwner && person.Role != role:
		if !found {
			return nil, errNoRole(email)
		}
		if err := s.cfg.Directory.ProvisionRole(ctx, tx, orgID, person.UserID, role); err != nil {
			return nil, err
		}
		out.Role = role
	}
	return out, s.relink(ctx, tx, c, out.UserID, who.Subject, link)
}

func errNoRole(email string) error {
	return fault.New(fault.Forbidden, "the identity provider lists no group of %s that has a role here; ask an administrator to add one", email)
}

func emailOf(c *connection, who *said) (string, error) {
	email := strings.ToLower(strings.TrimSpace(who.Email))
	if a, err := mail.ParseAddress(email); err != nil || a.Address != email || len(email) > 254 {
		what := "e-mail address"
		if c.row.Protocol == OIDC && c.OIDC.EmailClaim != "" {
			what += " in the claim " + c.OIDC.EmailClaim
		}
		return "", fault.New(fault.Forbidden, "the identity provider sent no %s; an administrator must release it there to this application", what)
	}
	return email, nil
}

// known finds the person that a provider speaks of, nil when there is none, and the link of an earlier sign-in.
func (s *Service) known(ctx context.Context, tx *db.Tx, c *connection, subject, email string) (*identity.Provisioned, *linkRow, error) {
	orgID := c.row.OrganisationID
	if subject != "" {
		var link linkRow
		found, err := one(ctx, tx.NewSelect().Model(&link).Where("organisation_id = ? AND connection_id = ? AND subject = ?", orgID, c.row.ID, subject))
		if err != nil {
			return nil, nil, err
		}
		if found {
			p, err := s.cfg.Directory.PersonByID(ctx, tx, orgID, link.UserID)
			return p, &link, err
		}
	}
	p, err := s.cfg.Directory.PersonByEmail(ctx, tx, orgID, email)
	if err != nil || p == nil || subject == "" {
		return p, nil, err
	}
	n, err := tx.NewSelect().Model((*linkRow)(nil)).Where("organisation_id = ? AND connection_id = ? AND user_id = ?", orgID, c.row.ID, p.UserID).Count(ctx)
	if err == nil && n > 0 {
		// An address that was given to somebody else at the provider must not open the account of who had it before.
		err = fault.New(fault.Forbidden, "%s belongs to another account of the identity provider than before; an administrator must remove the old link first", email)
	}
	return p, nil, err
}

// authority decides whether the provider may speak for an address. See the package's doc comment.
func authority(c *connection, who *said, p *identity.Provisioned, email string) error {
	if who.Verified != nil && !*who.Verified {
		return fault.New(fault.Forbidden, "the identity provider says that the address %s is not verified; verify it there first", email)
	}
	if c.captures(email) {
		return nil
	}
	if who.Verified != nil && p != nil && p.Member && !p.Elsewhere && !p.Super {
		return nil
	}
	return fault.New(fault.Forbidden, "the identity provider may not speak for addresses of %s: the domain is not verified here; ask an administrator, or sign in with a password",
		domainOf(email))
}

func (s *Service) relink(ctx context.Context, tx *db.Tx, c *connection, userID, subject string, link *linkRow) error {
	if subject == "" {
		return nil
	}
	now := s.cfg.Clock.Now().UnixMilli()
	if link != nil {
		_, err := tx.NewUpdate().Model(link).Set("last_used_at = ?", now).WherePK().Where("organisation_id = ?", link.OrganisationID).Exec(ctx)
		return err
	}
	row := &linkRow{OrganisationID: c.row.OrganisationID, ConnectionID: c.row.ID, UserID: userID, Subject: subject, CreatedAt: now, LastUsedAt: now}
	if _, err := tx.NewInsert().Model(row).Exec(ctx); err != nil {
		return err
	}
	return identity.Audit(ctx, tx, row.OrganisationID, identity.Change{Action: "sso.link.create", Kind: "ssoLink", ID: userID, After: row.view()})
}

func (r *linkRow) view() SSOLink {
	return SSOLink{UserID: r.UserID, Subject: r.Subject, CreatedAt: timeOf(r.CreatedAt), LastUsedAt: timeOf(r.LastUsedAt)}
}

// Links lists whose account at the provider is known, by the person's id.
func (s *Service) Links(ctx context.Context, orgID, connectionID, cursor string, limit int) ([]SSOLink, *string, error) {
	out := []SSOLink{}
	var next *string
	err := s.cfg.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		if _, _, err := connectionByID(ctx, tx, orgID, connectionID); err != nil {
			return err
		}
		var rows []linkRow
		err := tx.NewSelect().Model(&rows).Where("organisation_id = ? AND connection_id = ? AND user_id > ?", orgID, connectionID, cursor).
			Order("user_id").Limit(int64(limit + 1)).Scan(ctx)
		if len(rows) > limit {
			next, rows = &rows[limit-1].UserID, rows[:limit]
		}
		for i := range rows {
			out = append(out, rows[i].view())
		}
		return err
	})
	return out, next, err
}

// Unlink forgets a person's account at the provider; the next sign-in goes by the address.
func (s *Service) Unlink(ctx context.Context, orgID, connectionID, userID string) error {
	return s.cfg.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		var row linkRow
		found, err := one(ctx, tx.NewSelect().Model(&row).Where("organisation_id = ? AND connection_id = ? AND user_id = ?", orgID, connectionID, userID))
		if err != nil {
			return err
		}
		if !found {
			return fault.New(fault.NotFound, "the connection knows no account of this person")
		}
		if _, err := tx.NewDelete().Model(&row).WherePK().Where("organisation_id = ?", orgID).Exec(ctx); err != nil {
			return err
		}
		return identity.Audit(ctx, tx, orgID, identity.Change{Action: "sso.link.delete", Kind: "ssoLink", ID: userID, Before: row.view()})
	})
}

// signIn admits somebody and begins their session.
func (s *Service) signIn(ctx context.Context, c *connection, who *said) (setCookie string, err error) {
	var in *admitted
	err = s.cfg.DB.InSystem(ctx, "sign in through an identity provider", func(ctx context.Context, tx *db.Tx) (err error) {
		in, err = s.admit(ctx, tx, c, who)
		return err
	})
	if err != nil {
		s.refused(ctx, c, who, err)
		return "", err
	}
	s.cfg.Directory.ProvisionChanged(c.row.OrganisationID, in.UserID)
	return s.cfg.Directory.BeginSSO(ctx, identity.SignOn{UserID: in.UserID, OrgID: c.row.OrganisationID, Method: c.row.Protocol,
		SecondFactor: c.SecondFactor && c.proved(who), Longest: time.Duration(c.LongestSessionHours) * time.Hour})
}

// refused notes in the audit trail that somebody was not let in.
func (s *Service) refused(ctx context.Context, c *connection, who *said, cause error) {
	email := ""
	if who != nil {
		email = who.Email
	}
	err := s.cfg.DB.InTenant(ctx, c.row.OrganisationID, func(ctx context.Context, tx *db.Tx) error {
		return identity.Audit(ctx, tx, c.row.OrganisationID, identity.Change{
			Action: "auth.sign_in", Kind: connectionKind, ID: c.row.ID, Outcome: identity.OutcomeDenied, Reason: faultText(cause),
			After: map[string]string{"method": c.row.Protocol, "email": email},
		})
	})
	if err != nil {
		s.cfg.Log.ErrorContext(ctx, "a refused sign-in was not audited", "connection", c.row.ID, "error", err)
	}
}
