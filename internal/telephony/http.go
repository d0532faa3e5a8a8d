package telephony

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/etag"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// taggedPhone is a phone with the tag of its settings: where it is registered is no change that If-Match should meet.
type taggedPhone struct {
	Tag  string `header:"ETag"`
	Body Phone
}

// secretBody is a phone with its password, which is shown this once.
type secretBody struct {
	Body struct {
		Phone
		Password string `json:"password,omitempty" doc:"The password that was made. It is shown once and cannot be had later"`
	}
}

type phonePath struct {
	ID string `path:"id" doc:"The phone's id"`
}

type listInput struct {
	Cursor string `query:"cursor" doc:"next of the page before"`
	Limit  int    `query:"limit" default:"50" minimum:"1" maximum:"200"`

	ProjectID string `query:"projectId" maxLength:"64" doc:"Phones of this project only"`
}

type listBody struct {
	Body struct {
		Items []Phone `json:"items"`
		Next  *string `json:"next" doc:"Cursor of the next page, null at the end"`
	}
}

type serverBody struct{ Body PhoneServer }

type createInput struct {
	Body struct {
		Username    string `json:"username" minLength:"1" maxLength:"63" doc:"What the phone registers as; unique on the server"`
		DisplayName string `json:"displayName,omitempty" maxLength:"100"`
		Password    string `json:"password,omitempty" maxLength:"128" doc:"Left out, one is made"`
		Encrypted   bool   `json:"encryptedOnly,omitempty" doc:"Lets it register, call and be called by TLS with SRTP only"`

		UserID    *string `json:"userId,omitempty" maxLength:"64" doc:"Whose phone it is; empty or left out: nobody's, or yours where you may add only your own"`
		ProjectID string  `json:"projectId,omitempty" maxLength:"64"`
	}
}

type updateInput struct {
	ID   string `path:"id" doc:"The phone's id"`
	Body struct {
		DisplayName *string `json:"displayName,omitempty" maxLength:"100"`
		Password    *string `json:"password,omitempty" maxLength:"128" doc:"A new password; empty has one made. It ends the phone's registrations"`
		Encrypted   *bool   `json:"encryptedOnly,omitempty" doc:"Lets it register, call and be called by TLS with SRTP only. Turning it on ends the phone's registrations"`
		UserID      *string `json:"userId,omitempty" maxLength:"64" doc:"Whose phone it is; empty: nobody's"`
		ProjectID   *string `json:"projectId,omitempty" maxLength:"64" doc:"Empty: of no project"`
	}
}

// Routes adds the operations to api.
func (s *Service) Routes(api huma.API) {
	huma.Register(api, operation("list-phones", http.MethodGet, "/api/v1/phones", "List phones", "phone:read"), s.httpList)
	create := operation("create-phone", http.MethodPost, "/api/v1/phones", "Add a phone", "phone:create")
	create.DefaultStatus = http.StatusCreated
	huma.Register(api, create, s.httpCreate)
	huma.Register(api, operation("get-phone-server", http.MethodGet, "/api/v1/phone-server", "Get where phones register", "phone:read"), s.httpServer)
	huma.Register(api, operation("get-phone", http.MethodGet, "/api/v1/phones/{id}", "Get a phone", "phone:read"), s.httpGet)
	change := operation("update-phone", http.MethodPatch, "/api/v1/phones/{id}", "Change a phone", "phone:update")
	change.Metadata["ifMatch"] = settingsKind
	huma.Register(api, change, s.httpUpdate)
	remove := operation("delete-phone", http.MethodDelete, "/api/v1/phones/{id}", "Delete a phone", "phone:delete")
	remove.DefaultStatus = http.StatusNoContent
	remove.Metadata["ifMatch"] = settingsKind
	huma.Register(api, remove, s.httpDelete)
	s.trunkRoutes(api)
}

func operation(id, method, path, summary, permission string) huma.Operation {
	return huma.Operation{OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{"phones"},
		Metadata: map[string]any{"permission": permission, "narrow": true}}
}

// organisation is whose phones these are.
func organisation(ctx context.Context) (string, error) {
	p, err := who(ctx)
	return p.OrgID, err
}

func who(ctx context.Context) (identity.Principal, error) {
	p, ok := identity.From(ctx)
	if !ok {
		return p, fault.New(fault.Unauthorized, "sign in first")
	}
	return p, nil
}

func (s *Service) httpList(ctx context.Context, in *listInput) (*listBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	items, next, err := s.List(ctx, org, in.ProjectID, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &listBody{}
	out.Body.Items = items
	if next != "" {
		out.Body.Next = &next
	}
	return out, nil
}

func (s *Service) httpServer(context.Context, *struct{}) (*serverBody, error) {
	return &serverBody{s.c.Server()}, nil
}

func (s *Service) httpCreate(ctx context.Context, in *createInput) (*secretBody, error) {
	by, err := who(ctx)
	if err != nil {
		return nil, err
	}
	owner, err := identity.ScopeOf(ctx).Owner(by, "body.userId", in.Body.UserID)
	if err != nil {
		return nil, err
	}
	p, made, err := s.Create(ctx, by.OrgID, NewPhone{UserID: owner, ProjectID: in.Body.ProjectID, Username: in.Body.Username, DisplayName: in.Body.DisplayName, Password: in.Body.Password, Encrypted: in.Body.Encrypted})
	return withSecret(p, made, err)
}

func (s *Service) httpGet(ctx context.Context, in *phonePath) (*taggedPhone, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	p, set, err := s.get(ctx, org, in.ID)
	if err != nil {
		return nil, err
	}
	tag, err := etag.Of(set)
	return &taggedPhone{Tag: tag, Body: p}, err
}

func (s *Service) httpUpdate(ctx context.Context, in *updateInput) (*secretBody, error) {
	by, err := who(ctx)
	if err != nil {
		return nil, err
	}
	if in.Body.UserID != nil {
		if _, err := identity.ScopeOf(ctx).Owner(by, "body.userId", in.Body.UserID); err != nil {
			return nil, err
		}
	}
	p, made, err := s.Update(ctx, by.OrgID, in.ID, Change{UserID: in.Body.UserID, ProjectID: in.Body.ProjectID, DisplayName: in.Body.DisplayName, Password: in.Body.Password, Encrypted: in.Body.Encrypted})
	return withSecret(p, made, err)
}

func (s *Service) httpDelete(ctx context.Context, in *phonePath) (*struct{}, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	return nil, s.Delete(ctx, org, in.ID)
}

func withSecret(p Phone, made string, err error) (*secretBody, error) {
	if err != nil {
		return nil, err
	}
	out := &secretBody{}
	out.Body.Phone, out.Body.Password = p, made
	return out, nil
}
