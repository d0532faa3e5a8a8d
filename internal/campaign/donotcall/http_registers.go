package donotcall

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

func (s *Service) registerRoutes(api huma.API) {
	huma.Register(api, operation("list-do-not-call-registers", "GET", "/registers", permRead, "List the public registers that rules ask for, and what is here of them", 200), s.httpRegisters)
	huma.Register(api, takesFile(operation("import-do-not-call-register", "PUT", "/registers/{name}", permUpdate,
		"Replace a register by a file of its numbers: CSV or text, or what parley campaign register made", 200),
		mostRegisterFile, "text/csv", "text/plain", "application/octet-stream"), s.httpImportRegister)
	huma.Register(api, operation("forget-do-not-call-register", "POST", "/registers/{name}/forget", permUpdate, "Have a register be asked no more", http.StatusNoContent), s.httpForget)
	huma.Register(api, operation("list-do-not-call-register-versions", "GET", "/registers/{name}/versions", permRead, "List what was imported of a register, the newest first", 200), s.httpVersions)
}

// DoNotCallRegisters are the registers that rules name.
type DoNotCallRegisters struct {
	Items []Register `json:"items" nullable:"false"`
}

func (s *Service) httpRegisters(ctx context.Context, _ *struct{}) (*body[DoNotCallRegisters], error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	items, err := s.Registers(ctx, org)
	return answer(DoNotCallRegisters{items}, err)
}

type importRegisterInput struct {
	upload
	Name string    `path:"name" maxLength:"64" doc:"As rules name it: us-national"`
	AsOf time.Time `query:"asOf" doc:"When its publisher made it, RFC 3339; left out: now"`
}

func (s *Service) httpImportRegister(ctx context.Context, in *importRegisterInput) (*body[Imported], error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	return answer(s.Import(ctx, org, in.Name, in.AsOf, in.r))
}

type forgetInput struct {
	Name string `path:"name" maxLength:"64" doc:"As rules name it: us-national"`

	Body struct {
		Reason string `json:"reason" minLength:"1" maxLength:"1000"`
	}
}

func (s *Service) httpForget(ctx context.Context, in *forgetInput) (*struct{}, error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	return nil, s.Forget(ctx, org, in.Name, in.Body.Reason)
}

type versionsInput struct {
	Name   string `path:"name" maxLength:"64" doc:"As rules name it: us-national"`
	Cursor string `query:"cursor" maxLength:"64" doc:"next of the page before"`
	Limit  int    `query:"limit" default:"50" minimum:"1" maximum:"200"`
}

// DoNotCallVersions is a page of a register's versions.
type DoNotCallVersions struct {
	Items []RegisterVersion `json:"items" nullable:"false"`
	Next  *string           `json:"next" doc:"Cursor of the next page, null at the end"`
}

func (s *Service) httpVersions(ctx context.Context, in *versionsInput) (*body[DoNotCallVersions], error) {
	org, err := organisation(ctx)
	if err != nil {
		return nil, err
	}
	items, next, err := s.Versions(ctx, org, in.Name, in.Cursor, in.Limit)
	return answer(DoNotCallVersions{items, cursorOf(next)}, err)
}
