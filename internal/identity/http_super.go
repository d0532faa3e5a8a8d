package identity

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-voice/parley/internal/platform/etag"
)

func (s *Service) superRoutes(api huma.API) {
	s.moveRoutes(api)
	op := func(status int, id, method, path, permission, summary string) huma.Operation {
		return tagged("Installation", status, operation(id, method, path, permission, summary))
	}
	huma.Register(api, op(http.StatusOK, "super-list-organisations", "GET", "/api/v1/super/organisations", "super:read", "Every organisation, with what it uses"), s.superList)
	huma.Register(api, op(http.StatusCreated, "super-create-organisation", "POST", "/api/v1/super/organisations", "super:create",
		"Make an organisation and invite its owner"), s.superPost)
	huma.Register(api, op(http.StatusOK, "super-get-organisation", "GET", "/api/v1/super/organisations/{id}", "super:read", "An organisation"), s.superGet)
	huma.Register(api, matching(superKind, op(http.StatusOK, "super-update-organisation", "PATCH", "/api/v1/super/organisations/{id}", "super:update",
		"Change an organisation's name, plan and limits")), s.superPatch)
	huma.Register(api, op(http.StatusOK, "super-suspend-organisation", "POST", "/api/v1/super/organisations/{id}/suspend", "super:update",
		"Keep an organisation's people, tokens, phones and calls out"), s.superSuspend)
	huma.Register(api, op(http.StatusOK, "super-resume-organisation", "POST", "/api/v1/super/organisations/{id}/resume", "super:update", "End a suspension"), s.superResume)
	huma.Register(api, op(http.StatusOK, "super-list-organisation-members", "GET", "/api/v1/super/organisations/{id}/members", "super:read", "People of an organisation"), s.superMembers)
	huma.Register(api, op(http.StatusOK, "super-impersonate", "POST", "/api/v1/super/organisations/{id}/impersonate", "super:impersonate",
		"Act as a member of an organisation, for an hour; each of their audit entries names both"), s.superImpersonate)
	huma.Register(api, op(http.StatusOK, "end-impersonation", "POST", "/api/v1/me/impersonation/end", "self:update",
		"Act as oneself again"), s.postEndImpersonation)

	huma.Register(api, op(http.StatusOK, "super-list-plans", "GET", "/api/v1/super/plans", "super:read", "Plans"), s.superPlans)
	huma.Register(api, op(http.StatusCreated, "super-create-plan", "POST", "/api/v1/super/plans", "super:create", "Add a plan"), s.superPostPlan)
	huma.Register(api, op(http.StatusOK, "super-get-plan", "GET", "/api/v1/super/plans/{id}", "super:read", "A plan"), s.superGetPlan)
	huma.Register(api, matching("plan", op(http.StatusOK, "super-update-plan", "PATCH", "/api/v1/super/plans/{id}", "super:update", "Change a plan, for every organisation that has it")), s.superPatchPlan)
	huma.Register(api, matching("plan", op(http.StatusNoContent, "super-delete-plan", "DELETE", "/api/v1/super/plans/{id}", "super:delete", "Delete a plan that no organisation has")), s.superDeletePlan)
}

type superListInput struct {
	Cursor string `query:"cursor" maxLength:"100" doc:"next of the page before"`
	Limit  int    `query:"limit" default:"25" minimum:"1" maximum:"100"`
	Search string `query:"search" maxLength:"120" doc:"Part of the name"`
}

func (s *Service) superList(ctx context.Context, in *superListInput) (*listOf[SuperOrganisation], error) {
	return listReply(s.SuperOrganisations(ctx, in.Cursor, in.Search, in.Limit))
}

type superPostInput struct {
	Body struct {
		Name       string  `json:"name" minLength:"1" maxLength:"120"`
		OwnerEmail string  `json:"ownerEmail" maxLength:"254" doc:"Who is invited as its owner"`
		Region     string  `json:"region,omitempty" maxLength:"40" doc:"One of the setting regions; only for a database of its own"`
		Placement  string  `json:"placement,omitempty" enum:"shared,own" doc:"A database shared with others, or one of its own; shared when left out"`
		PlanID     *string `json:"planId,omitempty" maxLength:"64"`
	}
}

type superPostOutput struct {
	Body struct {
		Organisation SuperOrganisation `json:"organisation"`
		Invitation   SentInvitation    `json:"invitation"`
	}
}

func (s *Service) superPost(ctx context.Context, in *superPostInput) (*superPostOutput, error) {
	org, invitation, err := s.SuperCreateOrganisation(ctx, SuperNewOrganisation{
		Name: in.Body.Name, Region: in.Body.Region, Placement: in.Body.Placement, OwnerEmail: in.Body.OwnerEmail, PlanID: in.Body.PlanID,
	})
	if err != nil {
		return nil, err
	}
	out := &superPostOutput{}
	out.Body.Organisation, out.Body.Invitation = org, invitation
	return out, nil
}

// superTagged has the tag of what is decided about an organisation: what it uses is no change that If-Match should meet.
type superTagged struct {
	Tag  string `header:"ETag"`
	Body SuperOrganisation
}

func tellSuper(o SuperOrganisation, err error) (*superTagged, error) {
	if err != nil {
		return nil, err
	}
	tag, err := etag.Of(o.decided())
	return &superTagged{Tag: tag, Body: o}, err
}

func (s *Service) superGet(ctx context.Context, in *idPath) (*superTagged, error) {
	return tellSuper(s.SuperOrganisation(ctx, in.ID))
}

type superPatchInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Name   *string     `json:"name,omitempty" minLength:"1" maxLength:"120"`
		PlanID *string     `json:"planId,omitempty" maxLength:"64" doc:"\"\" takes the plan away"`
		Limits *PlanLimits `json:"limits,omitempty" doc:"The organisation's own; they go before the plan's, and replace those before"`
	}
}

func (s *Service) superPatch(ctx context.Context, in *superPatchInput) (*superTagged, error) {
	return tellSuper(s.SuperUpdateOrganisation(ctx, in.ID, SuperChange{Name: in.Body.Name, PlanID: in.Body.PlanID, Limits: in.Body.Limits}))
}

type superReasonInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Reason string `json:"reason" minLength:"1" maxLength:"500" doc:"Shown to the organisation's people, and kept in the audit trail"`
	}
}

func (s *Service) superSuspend(ctx context.Context, in *superReasonInput) (*replyOf[SuperOrganisation], error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return reply(s.Suspend(ctx, p, in.ID, in.Body.Reason))
}

func (s *Service) superResume(ctx context.Context, in *idPath) (*replyOf[SuperOrganisation], error) {
	return reply(s.Resume(ctx, in.ID))
}

type superMembersInput struct {
	ID     string `path:"id" maxLength:"64"`
	Cursor string `query:"cursor" maxLength:"100" doc:"next of the page before"`
	Limit  int    `query:"limit" default:"50" minimum:"1" maximum:"200"`
}

func (s *Service) superMembers(ctx context.Context, in *superMembersInput) (*listOf[Member], error) {
	if _, err := s.SettingsOf(ctx, in.ID); err != nil {
		return nil, err // there is no such organisation
	}
	return listReply(s.Members(ctx, Principal{OrgID: in.ID}, in.Cursor, in.Limit))
}

type superImpersonateInput struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		UserID string `json:"userId" minLength:"1" maxLength:"64"`
		Reason string `json:"reason" minLength:"1" maxLength:"500" doc:"Kept in the organisation's audit trail"`
	}
}

func (s *Service) superImpersonate(ctx context.Context, in *superImpersonateInput) (*accountOutput, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	acc, secret, err := s.Impersonate(ctx, p, in.ID, in.Body.UserID, in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return &accountOutput{SetCookie: s.SetCookie(secret), Body: acc}, nil
}

type endedOutput struct {
	SetCookie string `header:"Set-Cookie"`
	Body      struct {
		SignedIn bool `json:"signedIn" doc:"Whether one's own session goes on; otherwise sign in again"`
	}
}

func (s *Service) postEndImpersonation(ctx context.Context, _ *struct{}) (*endedOutput, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	secret, err := s.EndImpersonation(ctx, p)
	if err != nil {
		return nil, err
	}
	out := &endedOutput{SetCookie: s.SetCookie(secret)}
	out.Body.SignedIn = secret != ""
	return out, nil
}

func (s *Service) superPlans(ctx context.Context, _ *struct{}) (*listOf[Plan], error) {
	list, err := s.Plans(ctx)
	return listReply(list, nil, err)
}

type superPlanPost struct {
	Body struct {
		Name   string     `json:"name" minLength:"1" maxLength:"120"`
		Limits PlanLimits `json:"limits"`
	}
}

func (s *Service) superPostPlan(ctx context.Context, in *superPlanPost) (*replyOf[Plan], error) {
	return reply(s.CreatePlan(ctx, PlanChange{Name: &in.Body.Name, Limits: &in.Body.Limits}))
}

func (s *Service) superGetPlan(ctx context.Context, in *idPath) (*replyOf[Plan], error) {
	return reply(s.Plan(ctx, in.ID))
}

type superPlanPatch struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Name   *string     `json:"name,omitempty" minLength:"1" maxLength:"120"`
		Limits *PlanLimits `json:"limits,omitempty"`
	}
}

func (s *Service) superPatchPlan(ctx context.Context, in *superPlanPatch) (*replyOf[Plan], error) {
	return reply(s.UpdatePlan(ctx, in.ID, PlanChange{Name: in.Body.Name, Limits: in.Body.Limits}))
}

func (s *Service) superDeletePlan(ctx context.Context, in *idPath) (*struct{}, error) {
	return nil, s.DeletePlan(ctx, in.ID)
}
