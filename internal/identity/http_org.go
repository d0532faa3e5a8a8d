package identity

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

func (s *Service) organisationRoutes(api huma.API) {
	op := func(status int, id, method, path, permission, summary string) huma.Operation {
		return tagged("Organisation", status, operation(id, method, path, permission, summary))
	}
	huma.Register(api, op(http.StatusOK, "switch-organisation", "POST", "/api/v1/me/organisation", "self:update",
		"Work in another organisation one belongs to; the session gets a new cookie"), s.postSwitch)
	huma.Register(api, op(http.StatusOK, "get-organisation", "GET", "/api/v1/organisation", "organisation:read", "The organisation's settings"), s.getOrganisation)
	huma.Register(api, matching("organisation", op(http.StatusOK, "update-organisation", "PATCH", "/api/v1/organisation", "organisation:update", "Change the organisation's settings")), s.patchOrganisation)
	huma.Register(api, op(http.StatusOK, "get-limits", "GET", "/api/v1/limits", "limit:read", "What the organisation may have, and what it has"), s.getLimits)

	huma.Register(api, narrow(op(http.StatusOK, "list-teams", "GET", "/api/v1/teams", "team:read", "Teams")), s.listTeams)
	huma.Register(api, op(http.StatusCreated, "create-team", "POST", "/api/v1/teams", "team:create", "Add a team"), s.postTeam)
	huma.Register(api, narrow(op(http.StatusOK, "get-team", "GET", "/api/v1/teams/{id}", "team:read", "A team")), s.getTeam)
	huma.Register(api, matching("team", op(http.StatusOK, "update-team", "PATCH", "/api/v1/teams/{id}", "team:update", "Rename a team")), s.patchTeam)
	huma.Register(api, matching("team", op(http.StatusNoContent, "delete-team", "DELETE", "/api/v1/teams/{id}", "team:delete", "Delete a team; its people stay")), s.deleteTeam)
	huma.Register(api, matching("team", op(http.StatusOK, "add-team-member", "PUT", "/api/v1/teams/{id}/members/{userId}", "team:update", "Put a person into a team")), s.putTeamMember)
	huma.Register(api, matching("team", op(http.StatusOK, "remove-team-member", "DELETE", "/api/v1/teams/{id}/members/{userId}", "team:update", "Take a person out of a team")), s.deleteTeamMember)

	huma.Register(api, narrow(op(http.StatusOK, "list-projects", "GET", "/api/v1/projects", "project:read", "Projects")), s.listProjects)
	huma.Register(api, narrow(op(http.StatusCreated, "create-project", "POST", "/api/v1/projects", "project:create", "Add a project")), s.postProject)
	huma.Register(api, narrow(op(http.StatusOK, "get-project", "GET", "/api/v1/projects/{id}", "project:read", "A project")), s.getProject)
	huma.Register(api, narrow(matching("project", op(http.StatusOK, "update-project", "PATCH", "/api/v1/projects/{id}", "project:update", "Rename a project"))), s.patchProject)
	huma.Register(api, narrow(matching("project", op(http.StatusNoContent, "delete-project", "DELETE", "/api/v1/projects/{id}", "project:delete", "Delete a project; what it grouped stays"))), s.deleteProject)

	huma.Register(api, op(http.StatusOK, "list-permissions", "GET", "/api/v1/permissions", "role:read", "Every permission that a role may hold"), s.listPermissions)
	huma.Register(api, op(http.StatusOK, "list-roles", "GET", "/api/v1/roles", "role:read", "Built-in roles and the organisation's own"), s.listRoles)
	huma.Register(api, op(http.StatusCreated, "create-role", "POST", "/api/v1/roles", "role:create", "Add a role"), s.postRole)
	huma.Register(api, op(http.StatusOK, "get-role", "GET", "/api/v1/roles/{id}", "role:read", "A role"), s.getRole)
	huma.Register(api, matching("role", op(http.StatusOK, "update-role", "PATCH", "/api/v1/roles/{id}", "role:update", "Change a role; it counts at once for everybody who has it")), s.patchRole)
	huma.Register(api, matching("role", op(http.StatusNoContent, "delete-role", "DELETE", "/api/v1/roles/{id}", "role:delete", "Delete a role that nobody has")), s.deleteRole)
}

type switchPost struct {
	Body struct {
		OrganisationID string `json:"organisationId" minLength:"1" maxLength:"64"`
	}
}

func (s *Service) postSwitch(ctx context.Context, in *switchPost) (*accountOutput, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return s.switched(ctx, p, in.Body.OrganisationID)
}

func (s *Service) switched(ctx context.Context, p Principal, orgID string) (*accountOutput, error) {
	acc, secret, err := s.SwitchOrganisation(ctx, p, orgID)
	if err != nil {
		return nil, err
	}
	return &accountOutput{SetCookie: s.SetCookie(secret), Body: acc}, nil
}

func (s *Service) getOrganisation(ctx context.Context, _ *struct{}) (*replyOf[OrganisationView], error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return reply(s.GetOrganisation(ctx, p))
}

type organisationPatch struct {
	Body struct {
		Name               *string `json:"name,omitempty" maxLength:"120"`
		Address            *string `json:"address,omitempty" maxLength:"40" doc:"Small letters, digits and hyphens; calls to the one before no longer arrive"`
		TimeZone           *string `json:"timeZone,omitempty" maxLength:"64" doc:"IANA name such as Europe/Berlin"`
		SessionIdleMinutes *int64  `json:"sessionIdleMinutes,omitempty" minimum:"0" maximum:"1440" doc:"5 to 1440; 0: as the installation says"`
	}
}

func (s *Service) patchOrganisation(ctx context.Context, in *organisationPatch) (*replyOf[OrganisationView], error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return reply(s.UpdateOrganisation(ctx, p, OrganisationChange{
		Name: in.Body.Name, Address: in.Body.Address, TimeZone: in.Body.TimeZone, SessionIdleMinutes: in.Body.SessionIdleMinutes,
	}))
}

func (s *Service) getLimits(ctx context.Context, _ *struct{}) (*replyOf[LimitsView], error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return reply(s.LimitsAndUse(ctx, p.OrgID))
}

func (s *Service) listTeams(ctx context.Context, in *listPage) (*listOf[Team], error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return listReply(s.Teams(ctx, p, in.Cursor, in.Limit))
}

type namedPost struct {
	Body struct {
		Name        string `json:"name" minLength:"1" maxLength:"120"`
		Description string `json:"description,omitempty" maxLength:"500"`
	}
}

func (in *namedPost) change() NameChange {
	return NameChange{Name: &in.Body.Name, Description: &in.Body.Description}
}

type namedPatch struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Name        *string `json:"name,omitempty" minLength:"1" maxLength:"120"`
		Description *string `json:"description,omitempty" maxLength:"500"`
	}
}

func (in *namedPatch) change() NameChange {
	return NameChange{Name: in.Body.Name, Description: in.Body.Description}
}

func (s *Service) postTeam(ctx context.Context, in *namedPost) (*replyOf[Team], error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return reply(s.CreateTeam(ctx, p, in.change()))
}

func (s *Service) getTeam(ctx context.Context, in *idPath) (*replyOf[Team], error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return reply(s.Team(ctx, p, in.ID))
}

func (s *Service) patchTeam(ctx context.Context, in *namedPatch) (*replyOf[Team], error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return reply(s.UpdateTeam(ctx, p, in.ID, in.change()))
}

func (s *Service) deleteTeam(ctx context.Context, in *idPath) (*struct{}, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return nil, s.DeleteTeam(ctx, p, in.ID)
}

type teamMemberPath struct {
	ID     string `path:"id" maxLength:"64"`
	UserID string `path:"userId" maxLength:"64"`
}

func (s *Service) putTeamMember(ctx context.Context, in *teamMemberPath) (*replyOf[Team], error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return reply(s.AddToTeam(ctx, p, in.ID, in.UserID))
}

func (s *Service) deleteTeamMember(ctx context.Context, in *teamMemberPath) (*replyOf[Team], error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return reply(s.RemoveFromTeam(ctx, p, in.ID, in.UserID))
}

func (s *Service) listProjects(ctx context.Context, in *listPage) (*listOf[Project], error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return listReply(s.Projects(ctx, p, in.Cursor, in.Limit))
}

func (s *Service) postProject(ctx context.Context, in *namedPost) (*replyOf[Project], error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return reply(s.CreateProject(ctx, p, in.change()))
}

func (s *Service) getProject(ctx context.Context, in *idPath) (*replyOf[Project], error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return reply(s.Project(ctx, p, in.ID))
}

func (s *Service) patchProject(ctx context.Context, in *namedPatch) (*replyOf[Project], error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return reply(s.UpdateProject(ctx, p, in.ID, in.change()))
}

func (s *Service) deleteProject(ctx context.Context, in *idPath) (*struct{}, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return nil, s.DeleteProject(ctx, p, in.ID)
}

type permissionsOutput struct {
	Body struct {
		Items    []string `json:"items"`
		Narrowed []string `json:"narrowed" doc:"Those of items that may be narrowed by a last part :own or :team"`
		Next     *string  `json:"next" doc:"Always null"`
	}
}

func (s *Service) listPermissions(context.Context, *struct{}) (*permissionsOutput, error) {
	out := &permissionsOutput{}
	out.Body.Items, out.Body.Narrowed = s.known.all(), []string{}
	for _, permission := range out.Body.Items {
		if s.known.narrows(permission) {
			out.Body.Narrowed = append(out.Body.Narrowed, permission)
		}
	}
	return out, nil
}

func (s *Service) listRoles(ctx context.Context, _ *struct{}) (*listOf[Role], error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	list, err := s.Roles(ctx, p)
	return listReply(list, nil, err)
}

type rolePost struct {
	Body struct {
		Name        string   `json:"name" minLength:"1" maxLength:"120"`
		Description string   `json:"description,omitempty" maxLength:"500"`
		Permissions []string `json:"permissions" maxItems:"200" doc:"Patterns: area:verb, area:*, *, with :own or :team as a last part"`
	}
}

func (s *Service) postRole(ctx context.Context, in *rolePost) (*replyOf[Role], error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return reply(s.CreateRole(ctx, p, RoleChange{Name: &in.Body.Name, Description: &in.Body.Description, Permissions: &in.Body.Permissions}))
}

func (s *Service) getRole(ctx context.Context, in *idPath) (*replyOf[Role], error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return reply(s.Role(ctx, p, in.ID))
}

type rolePatch struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Name        *string   `json:"name,omitempty" minLength:"1" maxLength:"120"`
		Description *string   `json:"description,omitempty" maxLength:"500"`
		Permissions *[]string `json:"permissions,omitempty" maxItems:"200"`
	}
}

func (s *Service) patchRole(ctx context.Context, in *rolePatch) (*replyOf[Role], error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return reply(s.UpdateRole(ctx, p, in.ID, RoleChange{Name: in.Body.Name, Description: in.Body.Description, Permissions: in.Body.Permissions}))
}

func (s *Service) deleteRole(ctx context.Context, in *idPath) (*struct{}, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	return nil, s.DeleteRole(ctx, p, in.ID)
}
