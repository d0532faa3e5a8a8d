package identity

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/parley-voice/parley/internal/platform/etag"
)

func (s *Service) sessionRoutes(api huma.API) {
	op := func(status int, id, method, path, permission, summary string) huma.Operation {
		o := operation(id, method, path, permission, summary)
		o.DefaultStatus = status
		return o
	}
	huma.Register(api, op(http.StatusOK, "list-sessions", "GET", "/api/v1/me/sessions", "self:read", "Where I am signed in"), s.listSessions)
	huma.Register(api, op(http.StatusNoContent, "revoke-session", "DELETE", "/api/v1/me/sessions/{id}", "self:update", "End one of my sessions"), s.deleteSession)
	huma.Register(api, op(http.StatusOK, "revoke-other-sessions", "POST", "/api/v1/me/sessions/revoke-others", "self:update", "End all my sessions but this one"), s.postRevokeOthers)
	huma.Register(api, op(http.StatusNoContent, "change-password", "POST", "/api/v1/me/password", "self:update", "Change my password; my other sessions end"), s.postPassword)
	huma.Register(api, op(http.StatusOK, "send-reset-link", "POST", "/api/v1/members/{userId}/password-reset", "member:update",
		"Send a member a reset link; where no mail is set up the answer has it"), s.postMemberReset)
	huma.Register(api, op(http.StatusNoContent, "remove-second-factors", "DELETE", "/api/v1/members/{userId}/second-factors", "member:update",
		"Take every second factor from a member who lost them; their sessions end"), s.deleteMemberFactors)
	huma.Register(api, op(http.StatusOK, "end-member-sessions", "POST", "/api/v1/members/{userId}/sessions/revoke", "member:update",
		"End every session that a member has in the organisation; they may sign in again"), s.postEndMemberSessions)
	huma.Register(api, op(http.StatusOK, "get-sign-on-policy", "GET", "/api/v1/organisation/sign-on-policy", "organisation:read", "What the organisation asks of those who sign in"), s.getPolicy)
	huma.Register(api, matching(policyKind, op(http.StatusOK, "update-sign-on-policy", "PATCH", "/api/v1/organisation/sign-on-policy", "organisation:update",
		"Change what the organisation asks of those who sign in; it counts at once")), s.patchPolicy)
}

// renewer replaces a session's secret when it is time.
func (s *Service) renewer(ctx huma.Context, next func(huma.Context)) {
	if p, ok := From(ctx.Context()); ok && p.SessionID != "" {
		r, _ := humago.Unwrap(ctx)
		fresh, err := s.Renew(ctx.Context(), p, CookieOf(r))
		if err != nil {
			// The old secret goes on; the next request tries again.
			s.cfg.Log.WarnContext(ctx.Context(), "a session's secret was not renewed", "error", err)
		}
		if fresh != "" {
			ctx.AppendHeader("Set-Cookie", s.SetCookie(fresh))
		}
	}
	next(ctx)
}

type sessionsOutput struct {
	Body struct {
		Items []SessionView `json:"items"`
		Next  *string       `json:"next" doc:"Always null: a person has at most 100 sessions"`
	}
}

func (s *Service) listSessions(ctx context.Context, _ *struct{}) (*sessionsOutput, error) {
	p, err := ownSession(ctx)
	if err != nil {
		return nil, err
	}
	out := &sessionsOutput{}
	out.Body.Items, err = s.Sessions(ctx, p)
	return out, err
}

type sessionIDInput struct {
	ID string `path:"id" maxLength:"64"`
}

func (s *Service) deleteSession(ctx context.Context, in *sessionIDInput) (*struct{}, error) {
	p, err := ownSession(ctx)
	if err != nil {
		return nil, err
	}
	return nil, s.RevokeSession(ctx, p, in.ID)
}

type revokedSessions struct {
	Body struct {
		Revoked int `json:"revoked" doc:"How many sessions ended"`
	}
}

func (s *Service) postRevokeOthers(ctx context.Context, _ *struct{}) (*revokedSessions, error) {
	p, err := ownSession(ctx)
	if err != nil {
		return nil, err
	}
	out := &revokedSessions{}
	out.Body.Revoked, err = s.RevokeOtherSessions(ctx, p)
	return out, err
}

type passwordInput struct {
	Body struct {
		CurrentPassword string `json:"currentPassword" maxLength:"1000"`
		Password        string `json:"password" maxLength:"1000" doc:"The new one: at least 10 characters"`
	}
}

// cookieOutput hands out a session's new secret.
type cookieOutput struct {
	SetCookie string `header:"Set-Cookie" doc:"The session's new secret"`
}

func (s *Service) postPassword(ctx context.Context, in *passwordInput) (*cookieOutput, error) {
	p, err := ownSession(ctx)
	if err != nil {
		return nil, err
	}
	cookie, err := s.ChangePassword(ctx, p, in.Body.CurrentPassword, in.Body.Password)
	if err != nil {
		return nil, err
	}
	return &cookieOutput{SetCookie: s.SetCookie(cookie)}, nil
}

type memberInput struct {
	UserID string `path:"userId" maxLength:"64"`
}

type memberResetOutput struct {
	Body struct {
		Sent bool   `json:"sent" doc:"The member got the link by mail"`
		Link string `json:"link,omitempty" doc:"To hand over, where no mail can be sent; valid once, for 10 minutes"`
	}
}

func (s *Service) postMemberReset(ctx context.Context, in *memberInput) (*memberResetOutput, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	h, err := s.SendReset(ctx, p, in.UserID)
	out := &memberResetOutput{}
	out.Body.Sent, out.Body.Link = h.Sent, h.Link
	return out, err
}

func (s *Service) deleteMemberFactors(ctx context.Context, in *memberInput) (*struct{}, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return nil, s.RemoveFactors(ctx, p, in.UserID)
}

func (s *Service) postEndMemberSessions(ctx context.Context, in *memberInput) (*revokedSessions, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	out := &revokedSessions{}
	out.Body.Revoked, err = s.EndSessions(ctx, p, in.UserID)
	return out, err
}

// policyOutput has the tag of what was decided: how many members have no second factor is no change that If-Match should meet.
type policyOutput struct {
	Tag  string `header:"ETag"`
	Body SignOnPolicy
}

func tellPolicy(policy SignOnPolicy, err error) (*policyOutput, error) {
	if err != nil {
		return nil, err
	}
	tag, err := etag.Of(policy.decided())
	return &policyOutput{Tag: tag, Body: policy}, err
}

func (s *Service) getPolicy(ctx context.Context, _ *struct{}) (*policyOutput, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return tellPolicy(s.SignOnPolicy(ctx, p))
}

type policyInput struct {
	Body struct {
		MFARequired *bool `json:"mfaRequired,omitempty" doc:"A member without a second factor may do nothing but add one. Who signs in by the organisation's identity provider is exempt: its rules count"`
	}
}

func (s *Service) patchPolicy(ctx context.Context, in *policyInput) (*policyOutput, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return tellPolicy(s.UpdateSignOnPolicy(ctx, p, in.Body.MFARequired))
}
