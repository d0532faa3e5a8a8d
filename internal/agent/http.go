package agent

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-voice/parley/internal/agent/flow"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/fault"
)

type items[T any] struct {
	Body struct {
		Items []T     `json:"items"`
		Next  *string `json:"next" doc:"Cursor of the next page, null at the end"`
	}
}

func pageOf[T any](list []T, next string) *items[T] {
	out := &items[T]{}
	out.Body.Items = list
	if list == nil {
		out.Body.Items = []T{}
	}
	if next != "" {
		out.Body.Next = &next
	}
	return out
}

type one[T any] struct{ Body T }

// path names an agent, and where it is set a version.
type path struct {
	ID string `path:"id" maxLength:"100" doc:"The id"`
}

type versionPath struct {
	ID     string `path:"id" maxLength:"100" doc:"The id"`
	Number int    `path:"number" minimum:"1" doc:"The version's number"`
}

type createAgent struct {
	Body struct {
		Name       string      `json:"name"`
		Slug       string      `json:"slug" doc:"Name in addresses: sip:SLUG@host"`
		Definition *Definition `json:"definition"`
		Note       string      `json:"note,omitempty" maxLength:"500"`
		OwnerID    *string     `json:"ownerId,omitempty" maxLength:"64" doc:"Whose agent it is; left out: of whoever makes it; empty: nobody's"`
		ProjectID  string      `json:"projectId,omitempty" maxLength:"64"`
	}
}

type listAgents struct {
	Cursor    string `query:"cursor" maxLength:"100" doc:"next of the page before"`
	Limit     int    `query:"limit" default:"50" minimum:"1" maximum:"200"`
	ProjectID string `query:"projectId" maxLength:"64" doc:"Agents of this project only"`
}

type changeAgent struct {
	ID   string `path:"id" maxLength:"100" doc:"The id"`
	Body struct {
		Name *string `json:"name,omitempty"`
		Slug *string `json:"slug,omitempty"`

		OwnerID   *string `json:"ownerId,omitempty" maxLength:"64" doc:"Whose agent it is; empty: nobody's"`
		ProjectID *string `json:"projectId,omitempty" maxLength:"64" doc:"Empty: of no project"`
	}
}

type createVersion struct {
	ID   string `path:"id" maxLength:"100" doc:"The id"`
	Body struct {
		Definition *Definition `json:"definition"`
		Note       string      `json:"note,omitempty" maxLength:"500"`
	}
}

type listVersions struct {
	ID     string `path:"id" maxLength:"100" doc:"The id"`
	Cursor string `query:"cursor" maxLength:"100" doc:"next of the page before"`
	Limit  int    `query:"limit" default:"50" minimum:"1" maximum:"200"`
}

type validateInput struct {
	Body struct {
		Definition *Definition `json:"definition"`
	}
}

type problems struct {
	Problems []flow.Problem `json:"problems"`
}

func operation(id, method, path, tag, permission, summary string, status int) huma.Operation {
	return huma.Operation{OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{tag}, DefaultStatus: status,
		MaxBodyBytes: 2 << 20, Metadata: map[string]any{"permission": permission}}
}

// matching lets an operation compare If-Match with the thing that it changes; kind is its name in the audit trail.
func matching(kind string, op huma.Operation) huma.Operation {
	op.Metadata["ifMatch"] = kind
	return op
}

// narrow lets an operation be used with ":own" and ":team".
func narrow(op huma.Operation) huma.Operation {
	op.Metadata["narrow"] = true
	return op
}

// Routes adds the operations to api.
func (s *Service) Routes(api huma.API) {
	op := func(id, method, path, permission, summary string, status int) huma.Operation {
		return narrow(operation(id, method, path, "agents", permission, summary, status))
	}
	huma.Register(api, op("list-agents", "GET", "/api/v1/agents", "agent:read", "List agents", 200), s.httpList)
	huma.Register(api, op("create-agent", "POST", "/api/v1/agents", "agent:create", "Create an agent with its first version", 201), s.httpCreate)
	huma.Register(api, op("get-agent", "GET", "/api/v1/agents/{id}", "agent:read", "Get an agent, by id or slug", 200), s.httpGet)
	huma.Register(api, matching("agent", op("update-agent", "PATCH", "/api/v1/agents/{id}", "agent:update", "Rename an agent, or say whose it is", 200)), s.httpChange)
	huma.Register(api, matching("agent", op("delete-agent", "DELETE", "/api/v1/agents/{id}", "agent:delete", "Delete an agent and its versions", http.StatusNoContent)), s.httpDelete)
	huma.Register(api, op("list-agent-versions", "GET", "/api/v1/agents/{id}/versions", "agent:read", "List versions, newest first", 200), s.httpVersions)
	huma.Register(api, matching("agent", op("create-agent-version", "POST", "/api/v1/agents/{id}/versions", "agent:update", "Add a version; calls use it once it is published", 201)), s.httpAddVersion)
	huma.Register(api, op("get-agent-version", "GET", "/api/v1/agents/{id}/versions/{number}", "agent:read", "Get a version", 200), s.httpVersion)
	huma.Register(api, matching("agent", op("publish-agent-version", "POST", "/api/v1/agents/{id}/versions/{number}/publish", "agent:publish", "Let new calls use a version", 200)), s.httpPublish)
	huma.Register(api, op("validate-agent", "POST", "/api/v1/agents/validate", "agent:read", "Tell what is wrong with a definition", 200), s.httpValidate)
	huma.Register(api, op("list-agent-templates", "GET", "/api/v1/agent-templates", "agent:read", "Definitions to start from", 200), s.httpTemplates)
	s.modelRoutes(api)
}

// who gives the organisation and user of a request.
func who(ctx context.Context) (identity.Principal, error) {
	p, ok := identity.From(ctx)
	if !ok {
		return p, fault.New(fault.Unauthorized, "sign in first")
	}
	return p, nil
}

func (s *Service) httpList(ctx context.Context, in *listAgents) (*items[Agent], error) {
	p, err := who(ctx)
	if err != nil {
		return nil, err
	}
	list, next, err := s.List(ctx, p.OrgID, in.ProjectID, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	return pageOf(list, next), nil
}

func (s *Service) httpCreate(ctx context.Context, in *createAgent) (*one[Agent], error) {
	p, err := who(ctx)
	if err != nil {
		return nil, err
	}
	if in.Body.OwnerID == nil {
		in.Body.OwnerID = &p.UserID
	}
	owner, err := identity.ScopeOf(ctx).Owner(p, "body.ownerId", in.Body.OwnerID)
	if err != nil {
		return nil, err
	}
	a, err := s.Create(ctx, p.OrgID, NewAgent{Owner: owner, ProjectID: in.Body.ProjectID, Name: in.Body.Name, Slug: in.Body.Slug, Definition: in.Body.Definition, Note: in.Body.Note, By: p.UserID})
	return reply(a, err)
}

func reply[T any](v T, err error) (*one[T], error) {
	if err != nil {
		return nil, err
	}
	return &one[T]{Body: v}, nil
}

func (s *Service) httpGet(ctx context.Context, in *path) (*one[Agent], error) {
	p, err := who(ctx)
	if err != nil {
		return nil, err
	}
	return reply(s.Get(ctx, p.OrgID, in.ID))
}

func (s *Service) httpChange(ctx context.Context, in *changeAgent) (*one[Agent], error) {
	p, err := who(ctx)
	if err != nil {
		return nil, err
	}
	if in.Body.OwnerID != nil {
		if _, err := identity.ScopeOf(ctx).Owner(p, "body.ownerId", in.Body.OwnerID); err != nil {
			return nil, err
		}
	}
	return reply(s.Update(ctx, p.OrgID, in.ID, Change{Name: in.Body.Name, Slug: in.Body.Slug, OwnerID: in.Body.OwnerID, ProjectID: in.Body.ProjectID}))
}

func (s *Service) httpDelete(ctx context.Context, in *path) (*struct{}, error) {
	p, err := who(ctx)
	if err != nil {
		return nil, err
	}
	return nil, s.Delete(ctx, p.OrgID, in.ID)
}

func (s *Service) httpVersions(ctx context.Context, in *listVersions) (*items[Version], error) {
	p, err := who(ctx)
	if err != nil {
		return nil, err
	}
	list, next, err := s.Versions(ctx, p.OrgID, in.ID, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	return pageOf(list, next), nil
}

func (s *Service) httpAddVersion(ctx context.Context, in *createVersion) (*one[Version], error) {
	p, err := who(ctx)
	if err != nil {
		return nil, err
	}
	return reply(s.AddVersion(ctx, p.OrgID, in.ID, in.Body.Definition, in.Body.Note, p.UserID))
}

func (s *Service) httpVersion(ctx context.Context, in *versionPath) (*one[Version], error) {
	p, err := who(ctx)
	if err != nil {
		return nil, err
	}
	return reply(s.GetVersion(ctx, p.OrgID, in.ID, in.Number))
}

func (s *Service) httpPublish(ctx context.Context, in *versionPath) (*one[Agent], error) {
	p, err := who(ctx)
	if err != nil {
		return nil, err
	}
	return reply(s.Publish(ctx, p.OrgID, in.ID, in.Number))
}

func (s *Service) httpValidate(ctx context.Context, in *validateInput) (*one[problems], error) {
	p, err := who(ctx)
	if err != nil {
		return nil, err
	}
	if in.Body.Definition == nil {
		return nil, fault.Field("body.definition", "give a definition to check")
	}
	list, err := s.Problems(ctx, p.OrgID, in.Body.Definition)
	if list == nil {
		list = []flow.Problem{}
	}
	return reply(problems{list}, err)
}

func (s *Service) httpTemplates(context.Context, *struct{}) (*items[Template], error) {
	list, err := s.templates()
	if err != nil {
		return nil, err
	}
	return pageOf(list, ""), nil
}
