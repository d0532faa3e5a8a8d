package compliance

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-voice/parley/internal/platform/etag"
)

func (s *Service) retentionRoutes(api huma.API) {
	huma.Register(api, op("get-retention", http.MethodGet, "/retention", "retention:read", "How long each class of data is kept"), s.getRetention)
	set := op("set-retention", http.MethodPut, "/retention", "retention:update", "Say how long each class of data is kept; what is past its term is deleted daily")
	set.Metadata["ifMatch"] = retentionKind
	huma.Register(api, set, s.putRetention)
	huma.Register(api, op("list-legal-holds", http.MethodGet, "/legal-holds", "hold:read", "Legal holds, newest first"), s.listHolds)
	huma.Register(api, created(op("create-legal-hold", http.MethodPost, "/legal-holds", "hold:create",
		"Keep data from being deleted, by retention and by erasure"), http.StatusCreated), s.postHold)
	huma.Register(api, op("release-legal-hold", http.MethodPost, "/legal-holds/{id}/release", "hold:release", "End a legal hold"), s.postRelease)
}

type taggedRetention struct {
	Tag  string `header:"ETag"`
	Body Retention
}

func (s *Service) getRetention(ctx context.Context, _ *struct{}) (*taggedRetention, error) {
	p, err := who(ctx)
	if err != nil {
		return nil, err
	}
	v, err := s.Retention(ctx, p.OrgID)
	if err != nil {
		return nil, err
	}
	tag, err := etag.Of(v.RetentionSettings)
	return &taggedRetention{Tag: tag, Body: v}, err
}

type retentionInput struct{ Body RetentionSettings }

func (s *Service) putRetention(ctx context.Context, in *retentionInput) (*body[Retention], error) {
	p, err := who(ctx)
	if err != nil {
		return nil, err
	}
	v, err := s.SetRetention(ctx, p.OrgID, in.Body)
	return &body[Retention]{v}, err
}

type holdsInput struct {
	Released bool   `query:"released" doc:"Those that were released, too"`
	Cursor   string `query:"cursor" maxLength:"64"`
	Limit    int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

func (s *Service) listHolds(ctx context.Context, in *holdsInput) (*body[listOf[LegalHold]], error) {
	p, err := who(ctx)
	if err != nil {
		return nil, err
	}
	return pageOf(s.Holds(ctx, p.OrgID, in.Released, in.Cursor, in.Limit))
}

type holdInput struct {
	Body struct {
		Scope   string `json:"scope" enum:"organisation,call,person"`
		Subject string `json:"subject,omitempty" maxLength:"254" doc:"The call's id, or the person's number or address"`
		Reason  string `json:"reason" minLength:"1" maxLength:"1000"`
	}
}

func (s *Service) postHold(ctx context.Context, in *holdInput) (*body[LegalHold], error) {
	p, err := who(ctx)
	if err != nil {
		return nil, err
	}
	v, err := s.Hold(ctx, p.OrgID, in.Body.Scope, in.Body.Subject, in.Body.Reason)
	return &body[LegalHold]{v}, err
}

type holdReleaseInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Reason string `json:"reason" minLength:"1" maxLength:"1000"`
	}
}

func (s *Service) postRelease(ctx context.Context, in *holdReleaseInput) (*body[LegalHold], error) {
	p, err := who(ctx)
	if err != nil {
		return nil, err
	}
	v, err := s.Release(ctx, p.OrgID, in.ID, in.Body.Reason)
	return &body[LegalHold]{v}, err
}
