package sso

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	maxDomains    = 100 // of one connection
	recordPrefix  = "_parley-challenge."
	recordValue   = "parley-domain-verification="
	lookupTimeout = 10 * time.Second
)

// SSODomain is an e-mail domain of a connection. It captures nobody before it is verified.
type SSODomain struct {
	Domain      string     `json:"domain"`
	Verified    bool       `json:"verified"`
	VerifiedAt  *time.Time `json:"verifiedAt"`
	RecordName  string     `json:"recordName" doc:"Name of the DNS TXT record that proves the domain"`
	RecordValue string     `json:"recordValue" doc:"Its value"`
	CreatedAt   time.Time  `json:"createdAt"`
}

func (r *domainRow) view() SSODomain {
	return SSODomain{
		Domain: r.Domain, Verified: r.VerifiedAt != nil, VerifiedAt: optionalTime(r.VerifiedAt),
		RecordName: recordPrefix + r.Domain, RecordValue: recordValue + r.Token, CreatedAt: timeOf(r.CreatedAt),
	}
}

// normalDomain gives a domain as it is compared, and refuses one under which anybody can have a name.
func normalDomain(raw string) (string, error) {
	bad := func(why string) error {
		return fault.Field("body.domain", "%q cannot be used: %s; give the part after the @ of your addresses, such as example.com", raw, why)
	}
	d, err := idna.Lookup.ToASCII(strings.TrimPrefix(strings.TrimSpace(raw), "@"))
	if err != nil || !strings.Contains(d, ".") || len(d) > 253 || net.ParseIP(d) != nil {
		return "", bad("it is no domain")
	}
	if suffix, _ := publicsuffix.PublicSuffix(d); suffix == d {
		return "", bad("anybody can register names under it")
	}
	return d, nil
}

// AddDomain notes that a connection wants a domain, and makes the record that proves it.
func (s *Service) AddDomain(ctx context.Context, orgID, connectionID, raw string) (SSODomain, error) {
	d, err := normalDomain(raw)
	if err != nil {
		return SSODomain{}, err
	}
	token, err := s.random()
	if err != nil {
		return SSODomain{}, err
	}
	row := &domainRow{OrganisationID: orgID, ConnectionID: connectionID, Domain: d, Token: token, CreatedAt: s.cfg.Clock.Now().UnixMilli()}
	err = s.cfg.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		_, domains, err := connectionByID(ctx, tx, orgID, connectionID)
		if err != nil {
			return err
		}
		if len(domains) >= maxDomains {
			return fault.New(fault.Conflict, "the connection has %d domains, the most it may have; remove one first", len(domains))
		}
		n, err := tx.NewSelect().Model((*domainRow)(nil)).Where("organisation_id = ? AND domain = ?", orgID, d).Count(ctx)
		if err != nil {
			return err
		}
		if n > 0 {
			return fault.New(fault.Conflict, "%s belongs to a connection of this organisation already; remove it there first", d)
		}
		if _, err := tx.NewInsert().Model(row).Exec(ctx); err != nil {
			return err
		}
		return identity.Audit(ctx, tx, orgID, identity.Change{Action: "sso.domain.create", Kind: "ssoDomain", ID: d, After: row.view()})
	})
	return row.view(), err
}

// VerifyDomain looks the record up. A verified domain stays so; a domain is verified in one organisation only.
func (s *Service) VerifyDomain(ctx context.Context, orgID, connectionID, domain string) (SSODomain, error) {
	var row domainRow
	err := s.cfg.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		return findDomain(ctx, tx, orgID, connectionID, domain, &row)
	})
	if err != nil || row.VerifiedAt != nil {
		return row.view(), err
	}
	if err := s.lookUp(ctx, &row); err != nil {
		return row.view(), err
	}
	now := s.cfg.Clock.Now().UnixMilli()
	// The system door: whether another organisation holds the domain is nothing this one may see.
	err = s.cfg.DB.InSystem(ctx, "verify a domain", func(ctx context.Context, tx *db.Tx) error {
		n, err := tx.NewSelect().Model((*domainRow)(nil)).Where("domain = ? AND verified_at IS NOT NULL AND organisation_id <> ?", row.Domain, orgID).Count(ctx)
		if err != nil {
			return err
		}
		if n > 0 {
			return fault.New(fault.Conflict, "%s is verified by another organisation of this installation; ask whoever runs it", row.Domain)
		}
		before := row.view()
		res, err := tx.NewUpdate().Model((*domainRow)(nil)).Set("verified_at = ?", now).
			Where("organisation_id = ? AND connection_id = ? AND domain = ? AND token = ?", orgID, connectionID, row.Domain, row.Token).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errNoDomain()
		}
		row.VerifiedAt = &now
		return identity.Audit(ctx, tx, orgID, identity.Change{Action: "sso.domain.verify", Kind: "ssoDomain", ID: row.Domain, Before: before, After: row.view()})
	})
	return row.view(), err
}

func (s *Service) lookUp(ctx context.Context, row *domainRow) error {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	view := row.view()
	records, err := s.cfg.Resolver.LookupTXT(ctx, view.RecordName+".")
	var dns *net.DNSError
	if err != nil && (!errors.As(err, &dns) || !dns.IsNotFound) {
		return fault.Wrap(fault.Upstream, err, "the DNS record %s could not be looked up; try again in a minute", view.RecordName)
	}
	if !slices.Contains(records, view.RecordValue) {
		return fault.New(fault.NotPossible, "the DNS has no TXT record %s with the value %s; add it, wait until it is published and try again",
			view.RecordName, view.RecordValue)
	}
	return nil
}

// RemoveDomain gives a domain up.
func (s *Service) RemoveDomain(ctx context.Context, orgID, connectionID, domain string) error {
	return s.cfg.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		var row domainRow
		if err := findDomain(ctx, tx, orgID, connectionID, domain, &row); err != nil {
			return err
		}
		if _, err := tx.NewDelete().Model(&row).WherePK().Exec(ctx); err != nil {
			return err
		}
		if err := s.checkOnlyPossible(ctx, tx, orgID); err != nil {
			return err
		}
		return identity.Audit(ctx, tx, orgID, identity.Change{Action: "sso.domain.delete", Kind: "ssoDomain", ID: row.Domain, Before: row.view()})
	})
}

func errNoDomain() error {
	return fault.New(fault.NotFound, "the connection has no such domain")
}

func findDomain(ctx context.Context, tx *db.Tx, orgID, connectionID, domain string, row *domainRow) error {
	found, err := one(ctx, tx.NewSelect().Model(row).
		Where("organisation_id = ? AND connection_id = ? AND domain = ?", orgID, connectionID, strings.ToLower(domain)))
	if err == nil && !found {
		err = errNoDomain()
	}
	return err
}

// capturing finds the enabled connection that speaks for an address; nil when there is none.
func (s *Service) capturing(ctx context.Context, email string) (*connection, error) {
	d, err := idna.Lookup.ToASCII(domainOf(email))
	if err != nil || d == "" {
		return nil, nil
	}
	var c *connection
	err = s.cfg.DB.ReadSystem(ctx, "whose domain is it", func(ctx context.Context, tx *db.Tx) error {
		var row connectionRow
		found, err := one(ctx, tx.NewSelect().Model(&row).Where("enabled = ?", true).
			Where("id IN (SELECT connection_id FROM sso_domains WHERE domain = ? AND verified_at IS NOT NULL)", d))
		if err != nil || !found {
			return err
		}
		domains, err := domainsOf(ctx, tx, row.OrganisationID, row.ID)
		if err != nil {
			return err
		}
		c, err = readRow(&row, domains)
		return err
	})
	if err != nil {
		return nil, err
	}
	return c, s.open(ctx, c)
}
