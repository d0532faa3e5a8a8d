package sso

import (
	"context"
	"time"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
)

// noteSecret notes who set a connection's secret and when; nobody did, where there is none any more.
func (c *connection) noteSecret(ctx context.Context, now time.Time) {
	c.newSecret = c.secret != ""
	c.row.SecretBy, c.row.SecretAt = "", 0
	if c.newSecret {
		c.row.SecretBy, c.row.SecretAt = identity.UserOf(ctx), now.UnixMilli()
	}
}

// connectionAudit is a connection after a change, as the API shows it, and whether it has another secret now.
type connectionAudit struct {
	SSOConnection
	NewSecret bool `json:"newSecret,omitempty"`
}

func (s *Service) audited(c *connection) connectionAudit {
	return connectionAudit{SSOConnection: s.view(c), NewSecret: c.newSecret}
}

// HeldSecrets lists clients' secrets and private keys of an organisation's connections, after the one with id after. They
// were last used when somebody last signed in.
func (s *Service) HeldSecrets(ctx context.Context, orgID, after string, limit int) (out []envelope.Held, err error) {
	var rows []struct {
		connectionRow
		UsedAt *int64 `bun:"used_at"`
	}
	err = s.cfg.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().TableExpr("sso_connections AS c").
			ColumnExpr("c.id, c.name, c.protocol, c.secret, c.secret_by, c.secret_at").
			ColumnExpr("(SELECT MAX(l.last_used_at) FROM sso_links AS l WHERE l.organisation_id = c.organisation_id AND l.connection_id = c.id) AS used_at").
			Where("c.organisation_id = ? AND c.id > ? AND c.secret IS NOT NULL", orgID, after).
			Order("c.id").Limit(int64(limit)).Scan(ctx, &rows)
	})
	for _, r := range rows {
		h := envelope.Held{ID: r.ID, Kind: "ssoClientSecret", Name: r.Name, ObjectKind: "ssoConnection", ObjectID: r.ID, SetBy: r.SecretBy, Sealed: r.Secret,
			UsedBy: []envelope.Use{{Kind: "ssoConnection", ID: r.ID, Name: r.Name}}}
		if r.Protocol == SAML {
			h.Kind = "samlKey"
		}
		if r.SecretAt > 0 {
			t := timeOf(r.SecretAt)
			h.SetAt = &t
		}
		if r.UsedAt != nil && *r.UsedAt >= r.SecretAt {
			t := timeOf(*r.UsedAt)
			h.LastUsedAt = &t
		}
		out = append(out, h)
	}
	return out, err
}
