package identity

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-voice/parley/internal/platform/fault"
)

func operation(id, method, path, permission, summary string) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{"Identity"},
		Metadata: map[string]any{"permission": permission},
	}
}

type accountOutput struct {
	SetCookie string `header:"Set-Cookie" doc:"The session"`
	Body      Account
}

// clientIP finds the caller's address for the limit on guessing.
type clientIP struct{ ip string }

// Resolve implements huma.Resolver.
func (c *clientIP) Resolve(ctx huma.Context) []error {
	c.ip = OriginOf(ctx.Context()).IP
	if c.ip == "" { // not behind the gateway's server
		c.ip = hostOf(ctx.RemoteAddr())
	}
	return nil
}

// Routes adds the context's operations.
func (s *Service) Routes(api huma.API) {
	huma.Register(api, operation("get-setup", http.MethodGet, "/api/v1/setup", "public", "Does the installation need its owner?"), s.getSetup)
	create := operation("create-owner", http.MethodPost, "/api/v1/setup", "public", "Create the owner with the one-time link's token")
	create.DefaultStatus = http.StatusCreated
	huma.Register(api, create, s.postSetup)
	huma.Register(api, operation("sign-in", http.MethodPost, "/api/v1/auth/sign-in", "public", "Sign in; the session is a cookie"), s.postSignIn)
	signOut := operation("sign-out", http.MethodPost, "/api/v1/auth/sign-out", "self:update", "Sign out")
	signOut.DefaultStatus = http.StatusNoContent
	huma.Register(api, signOut, s.postSignOut)
	huma.Register(api, operation("get-me", http.MethodGet, "/api/v1/me", "self:read", "Who am I, and what may I do?"), s.getMe)
	huma.Register(api, operation("list-tokens", http.MethodGet, "/api/v1/tokens", "token:read", "API tokens"), s.listTokens)
	newToken := operation("create-token", http.MethodPost, "/api/v1/tokens", "token:create", "Create an API token; its secret is given once")
	newToken.DefaultStatus = http.StatusCreated
	huma.Register(api, newToken, s.postToken)
	revoke := operation("revoke-token", http.MethodDelete, "/api/v1/tokens/{id}", "token:delete", "Revoke an API token")
	revoke.DefaultStatus = http.StatusNoContent
	huma.Register(api, revoke, s.deleteToken)
}

type setupOutput struct {
	Body struct {
		NeedsOwner bool `json:"needsOwner"`
	}
}

func (s *Service) getSetup(ctx context.Context, _ *struct{}) (*setupOutput, error) {
	needs, err := s.NeedsOwner(ctx)
	out := &setupOutput{}
	out.Body.NeedsOwner = needs
	return out, err
}

type setupInput struct {
	Body struct {
		Token            string `json:"token" maxLength:"200" doc:"From the link that the terminal printed"`
		Email            string `json:"email" maxLength:"254"`
		Name             string `json:"name,omitempty" maxLength:"120"`
		Password         string `json:"password" doc:"At least 10 characters"`
		OrganisationName string `json:"organisationName,omitempty" maxLength:"120"`
	}
}

func (s *Service) postSetup(ctx context.Context, in *setupInput) (*accountOutput, error) {
	acc, cookie, err := s.Setup(ctx, in.Body.Token, NewOwner{
		Email: in.Body.Email, Name: in.Body.Name, Password: in.Body.Password, Organisation: in.Body.OrganisationName,
	})
	if err != nil {
		return nil, err
	}
	return &accountOutput{SetCookie: s.cookie(cookie, sessionMax), Body: acc}, nil
}

type signInInput struct {
	clientIP
	Body struct {
		Email    string `json:"email" maxLength:"254"`
		Password string `json:"password" maxLength:"1000"`
	}
}

func (s *Service) postSignIn(ctx context.Context, in *signInInput) (*accountOutput, error) {
	acc, cookie, err := s.SignIn(ctx, in.Body.Email, in.Body.Password, in.ip)
	if err != nil {
		return nil, err
	}
	return &accountOutput{SetCookie: s.cookie(cookie, sessionMax), Body: acc}, nil
}

type signOutInput struct {
	Cookie string `cookie:"parley_session"`
}

type signOutOutput struct {
	SetCookie string `header:"Set-Cookie"`
}

func (s *Service) postSignOut(ctx context.Context, in *signOutInput) (*signOutOutput, error) {
	if err := s.SignOut(ctx, in.Cookie); err != nil {
		return nil, err
	}
	return &signOutOutput{SetCookie: s.cookie("", -1)}, nil
}

type meOutput struct{ Body Account }

func (s *Service) getMe(ctx context.Context, _ *struct{}) (*meOutput, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	acc, err := s.Account(ctx, p)
	return &meOutput{Body: acc}, err
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
		Name      string     `json:"name" minLength:"1" maxLength:"120" doc:"What uses it"`
		ExpiresAt *time.Time `json:"expiresAt,omitempty"`
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
	out.Body.Token, out.Body.Secret, err = s.CreateToken(ctx, p, in.Body.Name, in.Body.ExpiresAt)
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

func principal(ctx context.Context) (Principal, error) {
	p, ok := From(ctx)
	if !ok {
		return p, fault.New(fault.Unauthorized, "sign in, or send an API token")
	}
	return p, nil
}

func (s *Service) cookie(value string, age time.Duration) string {
	c := http.Cookie{
		Name: SessionCookie, Value: value, Path: "/", HttpOnly: true, Secure: s.cfg.Secure, SameSite: http.SameSiteLaxMode,
		MaxAge: int(age.Seconds()),
	}
	if age < 0 {
		c.MaxAge = -1
	}
	return c.String()
}
