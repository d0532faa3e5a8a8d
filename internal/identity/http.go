package identity

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-voice/parley/internal/platform/etag"
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

// Routes adds the context's operations. It comes first: the middleware that renews sessions is put around all that
// are added after it.
func (s *Service) Routes(api huma.API) {
	api.UseMiddleware(s.renewer)
	s.known.watch(api)
	huma.Register(api, operation("get-setup", http.MethodGet, "/api/v1/setup", "public", "Does the installation need its owner?"), s.getSetup)
	create := operation("create-owner", http.MethodPost, "/api/v1/setup", "public", "Create the owner with the one-time link's token")
	create.DefaultStatus = http.StatusCreated
	huma.Register(api, create, s.postSetup)
	huma.Register(api, operation("get-me", http.MethodGet, "/api/v1/me", "self:read", "Who am I, and what may I do?"), s.getMe)
	huma.Register(api, matching("user", operation("update-me", http.MethodPatch, "/api/v1/me", "self:update", "Change my name")), s.patchMe)
	s.signInRoutes(api)
	s.sessionRoutes(api)
	s.factorRoutes(api)
	s.tokenRoutes(api)
	s.organisationRoutes(api)
	s.peopleRoutes(api)
	s.superRoutes(api)
	s.superAdminRoutes(api)
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
	return &accountOutput{SetCookie: s.SetCookie(cookie), Body: acc}, nil
}

// meOutput has the tag of the person: where they are a member is no change that If-Match should meet.
type meOutput struct {
	Tag  string `header:"ETag"`
	Body Account
}

func (s *Service) getMe(ctx context.Context, _ *struct{}) (*meOutput, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return tellMe(s.Account(ctx, p))
}

func tellMe(acc Account, err error) (*meOutput, error) {
	if err != nil {
		return nil, err
	}
	tag, err := etag.Of(acc.User)
	return &meOutput{Tag: tag, Body: acc}, err
}

type mePatch struct {
	Body struct {
		Name *string `json:"name,omitempty" maxLength:"120" doc:"What other people see; the same in every organisation of mine"`
	}
}

func (s *Service) patchMe(ctx context.Context, in *mePatch) (*meOutput, error) {
	p, err := ownSession(ctx)
	if err != nil {
		return nil, err
	}
	return tellMe(s.UpdateMe(ctx, p, in.Body.Name))
}

func principal(ctx context.Context) (Principal, error) {
	p, ok := From(ctx)
	if !ok {
		return p, fault.New(fault.Unauthorized, "sign in, or send an API token")
	}
	return p, nil
}
