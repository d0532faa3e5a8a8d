package identity

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

func (s *Service) superAdminRoutes(api huma.API) {
	op := func(status int, id, method, path, permission, summary string) huma.Operation {
		return tagged("Installation", status, operation(id, method, path, permission, summary))
	}
	huma.Register(api, op(http.StatusOK, "super-list-admins", "GET", "/api/v1/super/admins", "super:read", "Who administers the installation"), s.superAdmins)
	huma.Register(api, op(http.StatusOK, "super-grant-admin", "POST", "/api/v1/super/admins", "super:grant",
		"Let a person with an account administer the installation; asks for a fresh proof of who grants it"), s.superGrant)
	huma.Register(api, op(http.StatusNoContent, "super-revoke-admin", "DELETE", "/api/v1/super/admins/{userId}", "super:grant",
		"End that a person administers the installation; the last one stays"), s.superRevoke)
}

func (s *Service) superAdmins(ctx context.Context, _ *struct{}) (*listOf[SuperAdmin], error) {
	list, err := s.SuperAdmins(ctx)
	return listReply(list, nil, err)
}

type superGrantInput struct {
	Body struct {
		Email string `json:"email" maxLength:"254" doc:"Of somebody who has an account"`
	}
}

func (s *Service) superGrant(ctx context.Context, in *superGrantInput) (*replyOf[SuperAdmin], error) {
	p, err := ownSession(ctx)
	if err != nil {
		return nil, err
	}
	return reply(s.GrantSuper(ctx, p, in.Body.Email))
}

func (s *Service) superRevoke(ctx context.Context, in *userPath) (*struct{}, error) {
	p, err := ownSession(ctx)
	if err != nil {
		return nil, err
	}
	return nil, s.RevokeSuper(ctx, p, in.UserID)
}
