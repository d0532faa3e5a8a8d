package sso

import (
	"context"
	"time"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// OwnSSOLink is an account that a person has at an identity provider.
type OwnSSOLink struct {
	ConnectionID   string                `json:"connectionId"`
	ConnectionName string                `json:"connectionName"`
	Protocol       string                `json:"protocol" enum:"oidc,saml"`
	Enabled        bool                  `json:"enabled" doc:"One may sign in through the connection"`
	Organisation   identity.Organisation `json:"organisation" doc:"Whose identity provider it is"`
	Subject        string                `json:"subject" doc:"The provider's own id of the account"`
	CreatedAt      time.Time             `json:"createdAt"`
	LastUsedAt     time.Time             `json:"lastUsedAt"`
}

type ownLinkRow struct {
	linkRow
	Name         string `bun:"connection_name"`
	Protocol     string `bun:"protocol"`
	Enabled      bool   `bun:"enabled"`
	Organisation string `bun:"organisation"`
	Only         bool   `bun:"provider_way"` // the organisation lets the person in through its provider only
}

// ownLinks reads a person's links, of all organisations.
func ownLinks(ctx context.Context, tx *db.Tx, userID string) (rows []ownLinkRow, err error) {
	err = tx.NewSelect().TableExpr("sso_links AS l").
		ColumnExpr("l.organisation_id, l.connection_id, l.user_id, l.subject, l.created_at, l.last_used_at").
		ColumnExpr("c.name AS connection_name, c.protocol, c.enabled, o.name AS organisation").
		ColumnExpr("COALESCE(m.provider_only OR (m.role <> ? AND COALESCE(p.sso_only, ?)), ?) AS provider_way", identity.RoleOwner, false, false).
		Join("JOIN sso_connections AS c ON c.id = l.connection_id").
		Join("JOIN organisations AS o ON o.id = l.organisation_id").
		Join("LEFT JOIN sso_policies AS p ON p.organisation_id = l.organisation_id").
		Join("LEFT JOIN memberships AS m ON m.organisation_id = l.organisation_id AND m.user_id = l.user_id").
		Where("l.user_id = ?", userID).Order("o.name", "c.name", "l.connection_id").Scan(ctx, &rows)
	return rows, err
}

// OwnLinks lists a person's accounts at the identity providers of all their organisations.
func (s *Service) OwnLinks(ctx context.Context, userID string) ([]OwnSSOLink, error) {
	out := []OwnSSOLink{}
	err := s.cfg.DB.ReadSystem(ctx, "list somebody's own accounts at identity providers", func(ctx context.Context, tx *db.Tx) error {
		rows, err := ownLinks(ctx, tx, userID)
		for _, r := range rows {
			out = append(out, OwnSSOLink{ConnectionID: r.ConnectionID, ConnectionName: r.Name, Protocol: r.Protocol, Enabled: r.Enabled,
				Organisation: identity.Organisation{ID: r.OrganisationID, Name: r.Organisation}, Subject: r.Subject,
				CreatedAt: timeOf(r.CreatedAt), LastUsedAt: timeOf(r.LastUsedAt)})
		}
		return err
	})
	return out, err
}

// UnlinkOwn forgets a person's own account at a provider. It asks for a session that the person began with their own password
// or passkey, with a fresh proof, and refuses where it would leave them without a way in.
func (s *Service) UnlinkOwn(ctx context.Context, p identity.Principal, connectionID string) error {
	return s.cfg.DB.InSystem(ctx, "forget somebody's own account at an identity provider", func(ctx context.Context, tx *db.Tx) error {
		rows, err := ownLinks(ctx, tx, p.UserID)
		if err != nil {
			return err
		}
		at := -1
		for i, r := range rows {
			if r.ConnectionID == connectionID {
				at = i
			}
		}
		if at < 0 {
			return fault.New(fault.NotFound, "you have no account at this identity provider")
		}
		if err := s.cfg.Directory.FreshOwn(ctx, tx, p); err != nil {
			return err
		}
		own, err := s.cfg.Directory.HasOwnWayIn(ctx, tx, p.UserID)
		if err != nil {
			return err
		}
		if err := wayInStays(rows, at, own); err != nil {
			return err
		}
		row := rows[at].linkRow
		if _, err := tx.NewDelete().Model((*linkRow)(nil)).Where("organisation_id = ? AND connection_id = ? AND user_id = ?", row.OrganisationID, connectionID, p.UserID).Exec(ctx); err != nil {
			return err
		}
		return identity.Audit(ctx, tx, row.OrganisationID, identity.Change{Action: "sso.link.delete", Kind: "ssoLink", ID: p.UserID, Before: row.view(), Reason: "by the person"})
	})
}

// wayInStays refuses to take the link at i away where nothing else would let the person into its organisation. own says that
// they have a password or a passkey, which does not count where the organisation lets them in through its provider only.
func wayInStays(rows []ownLinkRow, i int, own bool) error {
	gone := rows[i]
	if own && !gone.Only {
		return nil
	}
	for j, r := range rows {
		if j != i && r.Enabled && r.OrganisationID == gone.OrganisationID {
			return nil
		}
	}
	if gone.Only {
		return fault.New(fault.NotPossible, "%s lets you in through the identity provider only, and this is your one account there; ask an administrator", gone.Organisation)
	}
	return fault.New(fault.NotPossible, "this is the one way you can sign in; choose a password or add a passkey first")
}

type ownLinksOutput struct {
	Body struct {
		Items []OwnSSOLink `json:"items"`
		Next  *string      `json:"next" doc:"Always null: a person has at most one account at each connection"`
	}
}

func (s *Service) listOwnLinks(ctx context.Context, _ *struct{}) (*ownLinksOutput, error) {
	p, err := ownPrincipal(ctx)
	if err != nil {
		return nil, err
	}
	out := &ownLinksOutput{}
	out.Body.Items, err = s.OwnLinks(ctx, p.UserID)
	return out, err
}

type ownLinkPath struct {
	ConnectionID string `path:"connectionId" maxLength:"64"`
}

func (s *Service) deleteOwnLink(ctx context.Context, in *ownLinkPath) (*struct{}, error) {
	p, err := ownPrincipal(ctx)
	if err != nil {
		return nil, err
	}
	return nil, s.UnlinkOwn(ctx, p, in.ConnectionID)
}

// ownPrincipal gives who asks, if it is a person who signed in themselves.
func ownPrincipal(ctx context.Context) (identity.Principal, error) {
	p, err := principal(ctx)
	if err == nil {
		err = p.Personal()
	}
	return p, err
}
