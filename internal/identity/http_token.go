package identity

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

func (s *Service) tokenRoutes(api huma.API) {
	huma.Register(api, narrow(operation("list-tokens", http.MethodGet, "/api/v1/tokens", "token:read", "API tokens")), s.listTokens)
	newToken := operation("create-token", http.MethodPost, "/api/v1/tokens", "token:create", "Create an API token; its secret is given once")
	newToken.DefaultStatus = http.StatusCreated
	huma.Register(api, narrow(newToken), s.postToken)
	revoke := operation("revoke-token", http.MethodDelete, "/api/v1/tokens/{id}", "token:delete", "Revoke an API token")
	revoke.DefaultStatus = http.StatusNoContent
	huma.Register(api, narrow(revoke), s.deleteToken)
}

type tokensOutput struct {
	Body struct {
		Items []Token `json:"items"`
		Next  *string `json:"next" doc:"Always null: an organisation has at most 500 tokens"`
	}
}

func (s *Service) listTokens(ctx context.Context, _ *struct{}) (*tokensOutput, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	out := &tokensOutput{}
	out.Body.Items, err = s.Tokens(ctx, p)
	return out, err
}

type newTokenInput struct {
	Body struct {
		Name       string     `json:"name" minLength:"1" maxLength:"120" doc:"What uses it"`
		ExpiresAt  *time.Time `json:"expiresAt,omitempty"`
		Scopes     []string   `json:"scopes,omitempty" maxItems:"200" doc:"Permissions such as call:read or agent:*; it never may do more than its person. None: all that the person may do"`
		AllowedIPs []string   `json:"allowedIps,omitempty" maxItems:"50" doc:"Addresses or networks such as 203.0.113.7 or 10.1.0.0/16. None: everywhere"`
	}
}

type newTokenOutput struct {
	Body struct {
		Token
		Secret string `json:"secret" doc:"Given once; it is stored only as a hash"`
	}
}

func (s *Service) postToken(ctx context.Context, in *newTokenInput) (*newTokenOutput, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	out := &newTokenOutput{}
	out.Body.Token, out.Body.Secret, err = s.NewToken(ctx, p, NewToken{
		Name: in.Body.Name, Expires: in.Body.ExpiresAt, Scopes: in.Body.Scopes, AllowedIPs: in.Body.AllowedIPs,
	})
	return out, err
}

type tokenIDInput struct {
	ID string `path:"id" maxLength:"64"`
}

func (s *Service) deleteToken(ctx context.Context, in *tokenIDInput) (*struct{}, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return nil, s.RevokeToken(ctx, p, in.ID)
}
