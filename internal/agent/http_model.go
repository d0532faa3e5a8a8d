package agent

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-voice/parley/internal/platform/fault"
)

type modelInput struct{ Body ModelInput }

type changeModel struct {
	ID   string `path:"id" maxLength:"100" doc:"The id"`
	Body ModelInput
}

type probeInput struct {
	Body struct {
		ModelInput
		ID string `json:"id,omitempty" maxLength:"100" doc:"A saved connection whose keys are used where none are given and the address is the same"`
	}
}

func (s *Service) modelRoutes(api huma.API) {
	op := func(id, method, path, permission, summary string, status int) huma.Operation {
		return operation(id, method, path, "models", permission, summary, status)
	}
	huma.Register(api, op("list-models", "GET", "/api/v1/models", "model:read", "List connections to vendors", 200), s.httpModels)
	huma.Register(api, op("create-model", "POST", "/api/v1/models", "model:create", "Add a connection to an OpenAI-compatible vendor", 201), s.httpCreateModel)
	huma.Register(api, op("get-model", "GET", "/api/v1/models/{id}", "model:read", "Get a connection", 200), s.httpModel)
	huma.Register(api, matching("model", op("update-model", "PATCH", "/api/v1/models/{id}", "model:update", "Change a connection", 200)), s.httpChangeModel)
	huma.Register(api, matching("model", op("delete-model", "DELETE", "/api/v1/models/{id}", "model:delete", "Delete a connection", http.StatusNoContent)), s.httpDeleteModel)
	huma.Register(api, op("probe-model", "POST", "/api/v1/models/{id}/probe", "model:update", "Ask a connection's services for their models", 200), s.httpProbeModel)
	huma.Register(api, op("probe-unsaved-model", "POST", "/api/v1/models/probe", "model:update", "Ask services that are not saved yet", 200), s.httpProbeInput)
}

func (s *Service) httpModels(ctx context.Context, _ *struct{}) (*items[Model], error) {
	p, err := who(ctx)
	if err != nil {
		return nil, err
	}
	list, err := s.Models(ctx, p.OrgID)
	if err != nil {
		return nil, err
	}
	return pageOf(list, ""), nil
}

func (s *Service) httpCreateModel(ctx context.Context, in *modelInput) (*one[Model], error) {
	p, err := who(ctx)
	if err != nil {
		return nil, err
	}
	return reply(s.CreateModel(ctx, p.OrgID, in.Body))
}

func (s *Service) httpModel(ctx context.Context, in *path) (*one[Model], error) {
	p, err := who(ctx)
	if err != nil {
		return nil, err
	}
	return reply(s.Model(ctx, p.OrgID, in.ID))
}

func (s *Service) httpChangeModel(ctx context.Context, in *changeModel) (*one[Model], error) {
	p, err := who(ctx)
	if err != nil {
		return nil, err
	}
	return reply(s.ChangeModel(ctx, p.OrgID, in.ID, in.Body))
}

func (s *Service) httpDeleteModel(ctx context.Context, in *path) (*struct{}, error) {
	p, err := who(ctx)
	if err != nil {
		return nil, err
	}
	return nil, s.DeleteModel(ctx, p.OrgID, in.ID)
}

func (s *Service) httpProbeModel(ctx context.Context, in *path) (*one[Probe], error) {
	p, err := who(ctx)
	if err != nil {
		return nil, err
	}
	if s.c.Prober == nil {
		return nil, fault.New(fault.Unavailable, "this process cannot ask vendors")
	}
	return reply(s.ProbeModel(ctx, p.OrgID, in.ID))
}

func (s *Service) httpProbeInput(ctx context.Context, in *probeInput) (*one[Probe], error) {
	p, err := who(ctx)
	if err != nil {
		return nil, err
	}
	if s.c.Prober == nil {
		return nil, fault.New(fault.Unavailable, "this process cannot ask vendors")
	}
	return reply(s.ProbeInput(ctx, p.OrgID, in.Body.ID, in.Body.ModelInput))
}
