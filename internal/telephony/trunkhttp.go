package telephony

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-voice/parley/internal/platform/etag"
)

// taggedTrunk is a trunk with the tag of its settings.
type taggedTrunk struct {
	Tag  string `header:"ETag"`
	Body TrunkView
}

type trunkBody struct{ Body Trunk }

type trunkPath struct {
	ID string `path:"id" doc:"The trunk's id"`
}

type trunkListInput struct {
	Cursor string `query:"cursor" maxLength:"64" doc:"next of the page before"`
	Limit  int    `query:"limit" default:"50" minimum:"1" maximum:"200"`
}

type trunkListBody struct {
	Body struct {
		Items []TrunkView `json:"items" nullable:"false"`
		Next  *string     `json:"next" doc:"Cursor of the next page, null at the end"`
	}
}

type trunkCreateInput struct {
	Body struct {
		Name           string `json:"name" minLength:"1" maxLength:"100"`
		Address        string `json:"address" minLength:"1" maxLength:"260" example:"sip.example.com:5060" doc:"host or host:port; a host alone is looked up by SRV first"`
		Transport      string `json:"transport,omitempty" enum:"udp,tcp,tls" default:"udp"`
		Proxy          string `json:"proxy,omitempty" maxLength:"260" doc:"host or host:port that messages go through on their way to the address"`
		Username       string `json:"username,omitempty" maxLength:"100"`
		Password       string `json:"password,omitempty" maxLength:"128" doc:"Kept sealed, and never shown"`
		Domain         string `json:"domain,omitempty" maxLength:"253" doc:"Host of the caller's address (From)"`
		NumberFormat   string `json:"numberFormat,omitempty" enum:"e164,digits" default:"e164"`
		Prefix         string `json:"prefix,omitempty" maxLength:"16" doc:"Dialled before every number; with numberFormat digits only"`
		AssertIdentity bool   `json:"assertIdentity,omitempty"`
		Lines          int    `json:"lines,omitempty" minimum:"1" maximum:"10000" default:"10" doc:"Calls at once"`
		PerSecond      int    `json:"perSecond,omitempty" minimum:"1" maximum:"1000" default:"2" doc:"Calls begun a second"`
		EncryptedOnly  bool   `json:"encryptedOnly,omitempty" doc:"No call without SRTP; with transport tls only"`
		Enabled        *bool  `json:"enabled,omitempty" default:"true"`
	}
}

type trunkUpdateInput struct {
	ID   string `path:"id" doc:"The trunk's id"`
	Body struct {
		Name           *string `json:"name,omitempty" minLength:"1" maxLength:"100"`
		Address        *string `json:"address,omitempty" minLength:"1" maxLength:"260"`
		Transport      *string `json:"transport,omitempty" enum:"udp,tcp,tls"`
		Proxy          *string `json:"proxy,omitempty" maxLength:"260"`
		Username       *string `json:"username,omitempty" maxLength:"100"`
		Password       *string `json:"password,omitempty" maxLength:"128" doc:"A new password; empty removes it"`
		Domain         *string `json:"domain,omitempty" maxLength:"253"`
		NumberFormat   *string `json:"numberFormat,omitempty" enum:"e164,digits"`
		Prefix         *string `json:"prefix,omitempty" maxLength:"16"`
		AssertIdentity *bool   `json:"assertIdentity,omitempty"`
		Lines          *int    `json:"lines,omitempty" minimum:"1" maximum:"10000"`
		PerSecond      *int    `json:"perSecond,omitempty" minimum:"1" maximum:"1000"`
		EncryptedOnly  *bool   `json:"encryptedOnly,omitempty"`
		Enabled        *bool   `json:"enabled,omitempty"`
	}
}

type trunkCheckBody struct{ Body TrunkCheck }

type callerBody struct{ Body CallerNumber }

type callerPath struct {
	ID string `path:"id" doc:"The caller number's id"`
}

type callerListInput struct {
	Cursor  string `query:"cursor" maxLength:"64" doc:"next of the page before"`
	Limit   int    `query:"limit" default:"50" minimum:"1" maximum:"200"`
	TrunkID string `query:"trunkId" maxLength:"64" doc:"Numbers of this trunk only"`
}

type callerListBody struct {
	Body struct {
		Items []CallerNumber `json:"items" nullable:"false"`
		Next  *string        `json:"next" doc:"Cursor of the next page, null at the end"`
	}
}

type callerCreateInput struct {
	Body struct {
		Number      string `json:"number" minLength:"4" maxLength:"32" example:"+4930123456" doc:"In international form"`
		DisplayName string `json:"displayName,omitempty" maxLength:"100"`
		TrunkID     string `json:"trunkId,omitempty" maxLength:"64" doc:"The only trunk whose carrier takes it; left out: any"`
		Enabled     *bool  `json:"enabled,omitempty" default:"true"`
	}
}

type callerUpdateInput struct {
	ID   string `path:"id" doc:"The caller number's id"`
	Body struct {
		DisplayName *string `json:"displayName,omitempty" maxLength:"100"`
		TrunkID     *string `json:"trunkId,omitempty" maxLength:"64" doc:"Empty: any trunk"`
		Enabled     *bool   `json:"enabled,omitempty"`
	}
}

// trunkRoutes adds the operations on trunks and caller numbers.
func (s *Service) trunkRoutes(api huma.API) {
	huma.Register(api, trunkOperation("list-trunks", http.MethodGet, "/api/v1/trunks", "List trunks", "trunk:read", ""), s.httpTrunks)
	huma.Register(api, trunkOperation("create-trunk", http.MethodPost, "/api/v1/trunks", "Add a trunk", "trunk:create", ""), s.httpCreateTrunk)
	huma.Register(api, trunkOperation("get-trunk", http.MethodGet, "/api/v1/trunks/{id}", "Get a trunk", "trunk:read", ""), s.httpTrunk)
	huma.Register(api, trunkOperation("update-trunk", http.MethodPatch, "/api/v1/trunks/{id}", "Change a trunk", "trunk:update", trunkKind), s.httpUpdateTrunk)
	huma.Register(api, trunkOperation("delete-trunk", http.MethodDelete, "/api/v1/trunks/{id}", "Delete a trunk", "trunk:delete", trunkKind), s.httpDeleteTrunk)
	const numbers = "/api/v1/caller-numbers"
	huma.Register(api, trunkOperation("list-caller-numbers", http.MethodGet, numbers, "List the numbers that calls may show", "trunk:read", ""), s.httpCallers)
	huma.Register(api, trunkOperation("create-caller-number", http.MethodPost, numbers, "Add a number that calls may show", "trunk:create", ""), s.httpCreateCaller)
	huma.Register(api, trunkOperation("get-caller-number", http.MethodGet, numbers+"/{id}", "Get a number that calls may show", "trunk:read", ""), s.httpCaller)
	huma.Register(api, trunkOperation("update-caller-number", http.MethodPatch, numbers+"/{id}", "Change a number that calls may show", "trunk:update", callerKind), s.httpUpdateCaller)
	huma.Register(api, trunkOperation("delete-caller-number", http.MethodDelete, numbers+"/{id}", "Delete a number that calls may show", "trunk:delete", callerKind), s.httpDeleteCaller)
}

// CheckRoutes adds what only a process that carries calls can answer.
func (s *Service) CheckRoutes(api huma.API) {
	op := trunkOperation("check-trunk", http.MethodPost, "/api/v1/trunks/{id}/check", "Ask a trunk whether it is there", "trunk:update", "")
	op.DefaultStatus = http.StatusOK
	op.Description = "Sends OPTIONS with the trunk's user name and password and says what came back. That nothing came is an answer too."
	huma.Register(api, op, s.httpCheckTrunk)
}

func trunkOperation(id, method, path, summary, permission, ifMatch string) huma.Operation {
	op := huma.Operation{OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{"trunks"}, Metadata: map[string]any{"permission": permission}}
	if ifMatch != "" {
		op.Metadata["ifMatch"] = ifMatch
	}
	switch method {
	case http.MethodPost:
		op.DefaultStatus = http.StatusCreated
	case http.MethodDelete:
		op.DefaultStatus = http.StatusNoContent
	}
	return op
}

func cursorOf(next string) *string {
	if next == "" {
		return nil
	}
	return &next
}

func (s *Service) httpTrunks(ctx context.Context, in *trunkListInput) (*trunkListBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	items, next, err := s.ListTrunks(ctx, org, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &trunkListBody{}
	out.Body.Items, out.Body.Next = s.views(org, items), cursorOf(next)
	return out, nil
}

func (s *Service) httpCreateTrunk(ctx context.Context, in *trunkCreateInput) (*trunkBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	b := &in.Body
	t, err := s.CreateTrunk(ctx, org, NewTrunk{Name: b.Name, Address: b.Address, Transport: b.Transport, Proxy: b.Proxy, Username: b.Username, Password: b.Password,
		Domain: b.Domain, NumberFormat: b.NumberFormat, Prefix: b.Prefix, AssertIdentity: b.AssertIdentity, EncryptedOnly: b.EncryptedOnly,
		Disabled: b.Enabled != nil && !*b.Enabled, Lines: b.Lines, PerSecond: b.PerSecond})
	if err != nil {
		return nil, err
	}
	return &trunkBody{t}, nil
}

func (s *Service) httpTrunk(ctx context.Context, in *trunkPath) (*taggedTrunk, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	t, err := s.Trunk(ctx, org, in.ID)
	if err != nil {
		return nil, err
	}
	tag, err := etag.Of(t)
	return &taggedTrunk{Tag: tag, Body: s.views(org, []Trunk{t})[0]}, err
}

func (s *Service) httpUpdateTrunk(ctx context.Context, in *trunkUpdateInput) (*trunkBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	b := &in.Body
	t, err := s.UpdateTrunk(ctx, org, in.ID, TrunkChange{Name: b.Name, Address: b.Address, Transport: b.Transport, Proxy: b.Proxy, Username: b.Username, Password: b.Password,
		Domain: b.Domain, NumberFormat: b.NumberFormat, Prefix: b.Prefix, AssertIdentity: b.AssertIdentity, EncryptedOnly: b.EncryptedOnly,
		Enabled: b.Enabled, Lines: b.Lines, PerSecond: b.PerSecond})
	if err != nil {
		return nil, err
	}
	return &trunkBody{t}, nil
}

func (s *Service) httpDeleteTrunk(ctx context.Context, in *trunkPath) (*struct{}, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	return nil, s.DeleteTrunk(ctx, org, in.ID)
}

func (s *Service) httpCheckTrunk(ctx context.Context, in *trunkPath) (*trunkCheckBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	c, err := s.CheckTrunk(ctx, org, in.ID)
	if err != nil {
		return nil, err
	}
	return &trunkCheckBody{c}, nil
}

func (s *Service) httpCallers(ctx context.Context, in *callerListInput) (*callerListBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	items, next, err := s.CallerNumbers(ctx, org, in.TrunkID, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &callerListBody{}
	out.Body.Items, out.Body.Next = items, cursorOf(next)
	return out, nil
}

func (s *Service) httpCreateCaller(ctx context.Context, in *callerCreateInput) (*callerBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	n, err := s.CreateCallerNumber(ctx, org, NewCallerNumber{Number: in.Body.Number, DisplayName: in.Body.DisplayName, TrunkID: in.Body.TrunkID,
		Disabled: in.Body.Enabled != nil && !*in.Body.Enabled})
	if err != nil {
		return nil, err
	}
	return &callerBody{n}, nil
}

func (s *Service) httpCaller(ctx context.Context, in *callerPath) (*callerBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	n, err := s.CallerNumber(ctx, org, in.ID)
	if err != nil {
		return nil, err
	}
	return &callerBody{n}, nil
}

func (s *Service) httpUpdateCaller(ctx context.Context, in *callerUpdateInput) (*callerBody, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	n, err := s.UpdateCallerNumber(ctx, org, in.ID, CallerNumberChange{DisplayName: in.Body.DisplayName, TrunkID: in.Body.TrunkID, Enabled: in.Body.Enabled})
	if err != nil {
		return nil, err
	}
	return &callerBody{n}, nil
}

func (s *Service) httpDeleteCaller(ctx context.Context, in *callerPath) (*struct{}, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	return nil, s.DeleteCallerNumber(ctx, org, in.ID)
}
