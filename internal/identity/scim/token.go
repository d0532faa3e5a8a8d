package scim

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const maxTokens = 5 // of one connection: enough to change to a new one without a gap

// SCIMToken is a token of a connection without its secret.
type SCIMToken struct {
	ID         string     `json:"id"`
	CreatedAt  time.Time  `json:"createdAt"`
	LastUsedAt *time.Time `json:"lastUsedAt"`
}

func (r *tokenRow) view() SCIMToken {
	out := SCIMToken{ID: r.ID, CreatedAt: time.UnixMilli(r.CreatedAt).UTC()}
	if r.LastUsedAt != nil {
		t := time.UnixMilli(*r.LastUsedAt).UTC()
		out.LastUsedAt = &t
	}
	return out
}

// CreateToken makes a token with which the connection's provider may provision people. The secret is given once.
func (s *Service) CreateToken(ctx context.Context, orgID, connectionID string) (SCIMToken, string, error) {
	secret, err := s.random()
	if err != nil {
		return SCIMToken{}, "", err
	}
	secret = tokenPrefix + secret
	row := &tokenRow{ID: newID(), OrganisationID: orgID, ConnectionID: connectionID, Hash: hashOf(secret), CreatedBy: identity.UserOf(ctx), CreatedAt: s.cfg.Clock.Now().UnixMilli()}
	err = s.cfg.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		if _, err := s.cfg.Connections.ProvisioningRules(ctx, tx, orgID, connectionID); err != nil {
			return err
		}
		n, err := tx.NewSelect().Model((*tokenRow)(nil)).Where("organisation_id = ? AND connection_id = ?", orgID, connectionID).Count(ctx)
		if err != nil {
			return err
		}
		if n >= maxTokens {
			return fault.New(fault.Conflict, "the connection has %d SCIM tokens, the most it may have; revoke one first", n)
		}
		if _, err := tx.NewInsert().Model(row).Exec(ctx); err != nil {
			return err
		}
		return identity.Audit(ctx, tx, orgID, identity.Change{Action: "scim.token.create", Kind: "scimToken", ID: row.ID, After: row.view()})
	})
	return row.view(), secret, err
}

// Tokens lists a connection's tokens. There are at most maxTokens.
func (s *Service) Tokens(ctx context.Context, orgID, connectionID string) ([]SCIMToken, error) {
	out := []SCIMToken{}
	err := s.cfg.DB.ReadTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		if _, err := s.cfg.Connections.ProvisioningRules(ctx, tx, orgID, connectionID); err != nil {
			return err
		}
		var rows []tokenRow
		err := tx.NewSelect().Model(&rows).Where("organisation_id = ? AND connection_id = ?", orgID, connectionID).Order("created_at DESC", "id DESC").Scan(ctx)
		for i := range rows {
			out = append(out, rows[i].view())
		}
		return err
	})
	return out, err
}

// RevokeToken ends a token at once.
func (s *Service) RevokeToken(ctx context.Context, orgID, connectionID, id string) error {
	return s.cfg.DB.InTenant(ctx, orgID, func(ctx context.Context, tx *db.Tx) error {
		var row tokenRow
		found, err := one(ctx, tx.NewSelect().Model(&row).Where("organisation_id = ? AND connection_id = ? AND id = ?", orgID, connectionID, id))
		if err != nil {
			return err
		}
		if !found {
			return fault.New(fault.NotFound, "there is no such SCIM token")
		}
		if _, err := tx.NewDelete().Model(&row).WherePK().Where("organisation_id = ?", orgID).Exec(ctx); err != nil {
			return err
		}
		return identity.Audit(ctx, tx, orgID, identity.Change{Action: "scim.token.revoke", Kind: "scimToken", ID: id, Before: row.view()})
	})
}

// Routes adds the operations that administer tokens. SCIM itself is added by [Service.Mount].
func (s *Service) Routes(api huma.API) {
	const base = "/api/v1/sso/connections/{id}/scim-tokens"
	op := func(id, method, path, permission, summary string, status int) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{"Single sign-on"}, DefaultStatus: status,
			Metadata: map[string]any{"permission": permission}}
	}
	huma.Register(api, op("list-scim-tokens", http.MethodGet, base, "sso:read", "SCIM tokens of a connection", http.StatusOK), s.listTokens)
	huma.Register(api, op("create-scim-token", http.MethodPost, base, "sso:update", "Create a SCIM token; its secret is given once", http.StatusCreated), s.postToken)
	huma.Register(api, op("revoke-scim-token", http.MethodDelete, base+"/{tokenId}", "sso:update", "Revoke a SCIM token", http.StatusNoContent), s.deleteToken)
}

// SCIMConnectionPath names a connection. It is exported because huma looks for parameters only in exported embedded structs.
type SCIMConnectionPath struct {
	ID string `path:"id" maxLength:"64"`
}

type scimTokensOutput struct {
	Body struct {
		Items []SCIMToken `json:"items"`
		Next  *string     `json:"next" doc:"Always null: a connection has at most 5 tokens"`
	}
}

func orgOf(ctx context.Context) (identity.Principal, error) {
	p, ok := identity.From(ctx)
	if !ok {
		return p, fault.New(fault.Unauthorized, "sign in, or send an API token")
	}
	return p, nil
}

func (s *Service) listTokens(ctx context.Context, in *SCIMConnectionPath) (*scimTokensOutput, error) {
	p, err := orgOf(ctx)
	if err != nil {
		return nil, err
	}
	out := &scimTokensOutput{}
	out.Body.Items, err = s.Tokens(ctx, p.OrgID, in.ID)
	return out, err
}

type newSCIMTokenOutput struct {
	Body struct {
		SCIMToken
		Secret string `json:"secret" doc:"Given once; it is stored only as a hash"`
	}
}

func (s *Service) postToken(ctx context.Context, in *SCIMConnectionPath) (*newSCIMTokenOutput, error) {
	p, err := orgOf(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.MayChangeSignOn(); err != nil {
		return nil, err
	}
	out := &newSCIMTokenOutput{}
	out.Body.SCIMToken, out.Body.Secret, err = s.CreateToken(ctx, p.OrgID, in.ID)
	return out, err
}

type scimTokenPath struct {
	SCIMConnectionPath
	TokenID string `path:"tokenId" maxLength:"64"`
}

func (s *Service) deleteToken(ctx context.Context, in *scimTokenPath) (*struct{}, error) {
	p, err := orgOf(ctx)
	if err == nil {
		err = p.MayChangeSignOn()
	}
	if err != nil {
		return nil, err
	}
	return nil, s.RevokeToken(ctx, p.OrgID, in.ID, in.TokenID)
}
