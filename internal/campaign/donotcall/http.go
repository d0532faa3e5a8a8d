package donotcall

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

const (
	root       = "/api/v1/do-not-call"
	permRead   = "donotcall:read"
	permUpdate = "donotcall:update"
	permCreate = "donotcall:create" // to take opt-outs

	mostListFile     = 64 << 20 // bytes of a file of a list
	mostRegisterFile = 1 << 30  // of a register: ten million numbers are 130 MB
)

func operation(id, method, path, permission, summary string, status int) huma.Operation {
	return huma.Operation{OperationID: id, Method: method, Path: root + path, Summary: summary, Tags: []string{"do-not-call"}, DefaultStatus: status,
		MaxBodyBytes: 1 << 20, Metadata: map[string]any{"permission": permission}}
}

// takesFile describes an operation whose body is read as it comes.
func takesFile(op huma.Operation, most int64, types ...string) huma.Operation {
	op.MaxBodyBytes = most
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{}}
	for _, t := range types {
		op.RequestBody.Content[t] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}
	}
	return op
}

// givesFile describes an operation that answers with a file.
func givesFile(op huma.Operation, kind string) huma.Operation {
	op.Responses = map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{kind: {Schema: &huma.Schema{Type: huma.TypeString}}}}}
	return op
}

// upload is the body of a request that is not kept in memory.
type upload struct{ r io.Reader }

// Resolve implements huma.Resolver.
func (u *upload) Resolve(ctx huma.Context) []error {
	u.r = ctx.BodyReader()
	return nil
}

// body is what an operation answers.
type body[T any] struct{ Body T }

func answer[T any](v T, err error) (*body[T], error) {
	if err != nil {
		return nil, err
	}
	return &body[T]{v}, nil
}

// Routes adds the operations to api.
func (s *Service) Routes(api huma.API) {
	huma.Register(api, operation("list-do-not-call-lists", "GET", "/lists", permRead, "List do-not-call lists; the organisation's own, where opt-outs go, is among them", 200), s.httpLists)
	huma.Register(api, operation("create-do-not-call-list", "POST", "/lists", permUpdate, "Make an empty list", 201), s.httpCreate)
	huma.Register(api, operation("get-do-not-call-list", "GET", "/lists/{id}", permRead, "Get a list", 200), s.httpGet)
	huma.Register(api, operation("update-do-not-call-list", "PATCH", "/lists/{id}", permUpdate, "Change a list's name, description or scope", 200), s.httpUpdate)
	huma.Register(api, operation("delete-do-not-call-list", "POST", "/lists/{id}/delete", permUpdate, "Delete a list with its numbers: they can be called again", http.StatusNoContent), s.httpDelete)
	s.numberRoutes(api)
	s.registerRoutes(api)
}

// DoNotCallLists is a page of lists.
type DoNotCallLists struct {
	Items []List  `json:"items" nullable:"false"`
	Next  *string `json:"next" doc:"Cursor of the next page, null at the end"`
}

type listsInput struct {
	Cursor string `query:"cursor" maxLength:"64" doc:"next of the page before"`
	Limit  int    `query:"limit" default:"50" minimum:"1" maximum:"200"`
}

func (s *Service) httpLists(ctx context.Context, in *listsInput) (*body[DoNotCallLists], error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	items, next, err := s.Lists(ctx, org, in.Cursor, in.Limit)
	return answer(DoNotCallLists{items, cursorOf(next)}, err)
}

func cursorOf(next string) *string {
	if next == "" {
		return nil
	}
	return &next
}

type createListInput struct {
	Body struct {
		Name        string `json:"name" minLength:"1" maxLength:"100"`
		Description string `json:"description,omitempty" maxLength:"1000"`
		Scope       Scope  `json:"scope" enum:"organisation,campaign" doc:"organisation: asked before every call; campaign: by campaigns that name it in settings.lists"`
	}
}

func (s *Service) httpCreate(ctx context.Context, in *createListInput) (*body[List], error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	return answer(s.Create(ctx, org, in.Body.Name, in.Body.Description, in.Body.Scope))
}

type listPath struct {
	ID string `path:"id" maxLength:"64" doc:"The list's id"`
}

func (s *Service) httpGet(ctx context.Context, in *listPath) (*body[List], error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	return answer(s.Get(ctx, org, in.ID))
}

type updateListInput struct {
	ID string `path:"id" maxLength:"64" doc:"The list's id"`

	Body struct {
		Name        *string `json:"name,omitempty" minLength:"1" maxLength:"100"`
		Description *string `json:"description,omitempty" maxLength:"1000"`
		Scope       *Scope  `json:"scope,omitempty" enum:"organisation,campaign"`
	}
}

func (s *Service) httpUpdate(ctx context.Context, in *updateListInput) (*body[List], error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	return answer(s.Update(ctx, org, in.ID, ListChange{in.Body.Name, in.Body.Description, in.Body.Scope}))
}

type deleteListInput struct {
	ID string `path:"id" maxLength:"64" doc:"The list's id"`

	Body struct {
		Reason string `json:"reason" minLength:"1" maxLength:"1000"`
	}
}

func (s *Service) httpDelete(ctx context.Context, in *deleteListInput) (*struct{}, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	return nil, s.Delete(ctx, org, in.ID, in.Body.Reason)
}

// stream answers with a file. An error after the first byte can only cut it short.
func (s *Service) stream(kind, name string, write func(ctx context.Context, w io.Writer) error) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		hc.SetHeader("Content-Type", kind)
		hc.SetHeader("Cache-Control", "no-store")
		hc.SetHeader("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name))
		hc.SetStatus(http.StatusOK)
		if err := write(hc.Context(), hc.BodyWriter()); err != nil && hc.Context().Err() == nil {
			s.c.Log.ErrorContext(hc.Context(), "a download was cut short", "file", name, "error", err)
		}
	}}
}
