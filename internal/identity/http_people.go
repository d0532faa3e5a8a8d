package identity

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// listPage is what every list takes.
type listPage struct {
	Cursor string `query:"cursor" maxLength:"100" doc:"next of the page before"`
	Limit  int    `query:"limit" default:"50" minimum:"1" maximum:"200"`
}

type listOf[T any] struct {
	Body struct {
		Items []T     `json:"items"`
		Next  *string `json:"next" doc:"Cursor of the next page, null at the end"`
	}
}

func listReply[T any](items []T, next *string, err error) (*listOf[T], error) {
	if err != nil {
		return nil, err
	}
	out := &listOf[T]{}
	out.Body.Items, out.Body.Next = items, next
	if items == nil {
		out.Body.Items = []T{}
	}
	return out, nil
}

type replyOf[T any] struct{ Body T }

func reply[T any](v T, err error) (*replyOf[T], error) {
	if err != nil {
		return nil, err
	}
	return &replyOf[T]{v}, nil
}

type idPath struct {
	ID string `path:"id" maxLength:"64"`
}

type userPath struct {
	UserID string `path:"userId" maxLength:"64"`
}

func tagged(tag string, status int, op huma.Operation) huma.Operation {
	op.Tags, op.DefaultStatus = []string{tag}, status
	return op
}

// narrow lets an operation be used with ":own" and ":team".
func narrow(op huma.Operation) huma.Operation {
	op.Metadata[narrows] = true
	return op
}

// matching lets an operation compare If-Match with what it changes; kind is the thing's name in the audit trail.
func matching(kind string, op huma.Operation) huma.Operation {
	op.Metadata["ifMatch"] = kind
	return op
}

func (s *Service) peopleRoutes(api huma.API) {
	op := func(status int, id, method, path, permission, summary string) huma.Operation {
		return tagged("People", status, operation(id, method, path, permission, summary))
	}
	huma.Register(api, narrow(op(http.StatusOK, "list-members", "GET", "/api/v1/members", "member:read", "People of the organisation")), s.listMembers)
	huma.Register(api, narrow(op(http.StatusOK, "get-member", "GET", "/api/v1/members/{userId}", "member:read", "A person of the organisation")), s.getMember)
	huma.Register(api, narrow(matching("member", op(http.StatusOK, "update-member", "PATCH", "/api/v1/members/{userId}", "member:update",
		"Give a person another role, suspend them or let them in again"))), s.patchMember)
	huma.Register(api, narrow(matching("member", op(http.StatusNoContent, "remove-member", "DELETE", "/api/v1/members/{userId}", "member:delete",
		"Take a person out of the organisation, with their sessions and API tokens in it"))), s.deleteMember)

	huma.Register(api, narrow(op(http.StatusOK, "list-invitations", "GET", "/api/v1/invitations", "invitation:read", "Invitations that nobody accepted yet")), s.listInvitations)
	huma.Register(api, narrow(op(http.StatusCreated, "create-invitation", "POST", "/api/v1/invitations", "invitation:create",
		"Invite a person; an older invitation of the same address ends")), s.postInvitation)
	huma.Register(api, narrow(op(http.StatusOK, "resend-invitation", "POST", "/api/v1/invitations/{id}/resend", "invitation:create",
		"Make a new link; the one before ends")), s.postResend)
	huma.Register(api, narrow(op(http.StatusNoContent, "revoke-invitation", "DELETE", "/api/v1/invitations/{id}", "invitation:delete", "End an invitation")), s.deleteInvitation)
	huma.Register(api, op(http.StatusOK, "find-invitation", "POST", "/api/v1/invitations/find", "public",
		"What an invitation's link is for; the token is in the body so that no log holds it"), s.postFindInvitation)
	huma.Register(api, op(http.StatusCreated, "accept-invitation", "POST", "/api/v1/invitations/accept", "public",
		"Accept an invitation as a new person, who is signed in then"), s.postAccept)
	huma.Register(api, op(http.StatusOK, "join-by-invitation", "POST", "/api/v1/me/invitations", "self:update",
		"Accept an invitation with one's account, and switch to the organisation"), s.postJoin)
}

func (s *Service) listMembers(ctx context.Context, in *listPage) (*listOf[Member], error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return listReply(s.Members(ctx, p, in.Cursor, in.Limit))
}

func (s *Service) getMember(ctx context.Context, in *userPath) (*replyOf[Member], error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return reply(s.Member(ctx, p.OrgID, in.UserID))
}

type memberPatch struct {
	UserID string `path:"userId" maxLength:"64"`
	Body   struct {
		Role      *string `json:"role,omitempty" maxLength:"64" doc:"Id of a role; nobody gives more than they have"`
		Suspended *bool   `json:"suspended,omitempty" doc:"Whether the person is kept out; it ends their sessions"`
	}
}

func (s *Service) patchMember(ctx context.Context, in *memberPatch) (*replyOf[Member], error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return reply(s.UpdateMember(ctx, p, in.UserID, MemberChange{Role: in.Body.Role, Suspended: in.Body.Suspended}))
}

func (s *Service) deleteMember(ctx context.Context, in *userPath) (*struct{}, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return nil, s.RemoveMember(ctx, p, in.UserID)
}

func (s *Service) listInvitations(ctx context.Context, in *listPage) (*listOf[Invitation], error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return listReply(s.Invitations(ctx, p, in.Cursor, in.Limit))
}

type invitationPost struct {
	Body struct {
		Email string   `json:"email" maxLength:"254"`
		Role  string   `json:"role" maxLength:"64" doc:"Id of a role; nobody gives more than they have"`
		Teams []string `json:"teams,omitempty" maxItems:"50" doc:"Ids of teams to join"`
	}
}

func (s *Service) postInvitation(ctx context.Context, in *invitationPost) (*replyOf[SentInvitation], error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return reply(s.Invite(ctx, p, NewInvitation{Email: in.Body.Email, Role: in.Body.Role, Teams: in.Body.Teams}))
}

func (s *Service) postResend(ctx context.Context, in *idPath) (*replyOf[SentInvitation], error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return reply(s.ResendInvitation(ctx, p, in.ID))
}

func (s *Service) deleteInvitation(ctx context.Context, in *idPath) (*struct{}, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return nil, s.RevokeInvitation(ctx, p, in.ID)
}

type invitationToken struct {
	Body struct {
		Token string `json:"token" minLength:"1" maxLength:"200" doc:"From the link"`
	}
}

func (s *Service) postFindInvitation(ctx context.Context, in *invitationToken) (*replyOf[OpenInvitation], error) {
	return reply(s.FindInvitation(ctx, in.Body.Token))
}

type acceptPost struct {
	Body struct {
		Token    string `json:"token" minLength:"1" maxLength:"200" doc:"From the link"`
		Name     string `json:"name,omitempty" maxLength:"120"`
		Password string `json:"password" maxLength:"1000" doc:"At least 10 characters"`
	}
}

func (s *Service) postAccept(ctx context.Context, in *acceptPost) (*accountOutput, error) {
	userID, orgID, err := s.AcceptInvitation(ctx, in.Body.Token, in.Body.Name, in.Body.Password)
	if err != nil {
		return nil, err
	}
	acc, secret, err := s.Begin(ctx, SignOn{UserID: userID, OrgID: orgID, Method: MethodInvitation})
	if err != nil {
		return nil, err
	}
	return &accountOutput{SetCookie: s.SetCookie(secret), Body: acc}, nil
}

func (s *Service) postJoin(ctx context.Context, in *invitationToken) (*accountOutput, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	orgID, err := s.JoinByInvitation(ctx, p, in.Body.Token)
	if err != nil {
		return nil, err
	}
	return s.switched(ctx, p, orgID)
}
