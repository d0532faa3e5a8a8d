package sso

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-voice/parley/internal/identity"
)

func operation(id, method, path, permission, summary string, status int) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{"Single sign-on"}, DefaultStatus: status,
		Metadata: map[string]any{"permission": permission},
	}
}

// matching lets an operation compare If-Match with the connection it changes.
func matching(op huma.Operation) huma.Operation {
	op.Metadata["ifMatch"] = connectionKind
	return op
}

const (
	base = "/api/v1/sso/connections"
	each = base + "/{id}"
)

// Routes adds the operations.
func (s *Service) Routes(api huma.API) {
	const ok, made, none = http.StatusOK, http.StatusCreated, http.StatusNoContent
	get, post, patch, put, del := http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodPut, http.MethodDelete
	huma.Register(api, operation("start-sso", post, "/api/v1/auth/sso/start", "public", "How does the person with this address sign in?", ok), s.postStart)
	huma.Register(api, operation("get-sso-policy", get, "/api/v1/sso/policy", "sso:read", "How an organisation's people may sign in", ok), s.getPolicy)
	policy := operation("set-sso-policy", put, "/api/v1/sso/policy", "sso:update", "Let people sign in through the identity provider only", ok)
	policy.Metadata["ifMatch"] = policyKind
	huma.Register(api, policy, s.putPolicy)
	huma.Register(api, operation("list-sso-connections", get, base, "sso:read", "Connections to identity providers", ok), s.listConnections)
	huma.Register(api, operation("create-sso-connection", post, base, "sso:create", "Connect an identity provider", made), s.postConnection)
	huma.Register(api, operation("get-sso-connection", get, each, "sso:read", "A connection", ok), s.getConnection)
	huma.Register(api, matching(operation("update-sso-connection", patch, each, "sso:update", "Change a connection", ok)), s.patchConnection)
	huma.Register(api, matching(operation("delete-sso-connection", del, each, "sso:delete", "Delete a connection and its provisioning", none)), s.deleteConnection)
	huma.Register(api, operation("add-sso-domain", post, each+"/domains", "sso:update", "Add an e-mail domain; it counts once it is verified", made), s.postDomain)
	huma.Register(api, operation("verify-sso-domain", post, each+"/domains/{domain}/verify", "sso:update", "Look for the DNS record that proves a domain", ok), s.postVerify)
	huma.Register(api, operation("remove-sso-domain", del, each+"/domains/{domain}", "sso:update", "Give a domain up", none), s.deleteDomain)
	huma.Register(api, operation("test-sso-connection", post, each+"/test", "sso:update", "Ask the identity provider what it answers, and get a link for a trial sign-in", ok), s.postTest)
	huma.Register(api, operation("start-sso-test", post, "/api/v1/auth/sso/test", "public", "Begin a trial sign-in with the token of its link", ok), s.postStartTest)
	huma.Register(api, operation("get-sso-test", get, each+"/tests/{testId}", "sso:read", "What came of a trial sign-in", ok), s.getTest)
	huma.Register(api, operation("list-sso-links", get, each+"/links", "sso:read", "People whose account at the identity provider is known", ok), s.listLinks)
	own := func(id, method, path, permission, summary string, status int) huma.Operation {
		op := operation(id, method, path, permission, summary, status)
		op.Tags = []string{"Identity"}
		return op
	}
	huma.Register(api, own("list-own-sso-links", get, "/api/v1/me/sso-links", "self:read", "My accounts at identity providers, of all my organisations", ok), s.listOwnLinks)
	huma.Register(api, own("delete-own-sso-link", del, "/api/v1/me/sso-links/{connectionId}", "self:update",
		"Forget which account at an identity provider is mine; a way to sign in stays", none), s.deleteOwnLink)
	huma.Register(api, operation("delete-sso-link", del, each+"/links/{userId}", "sso:update", "Forget which account at the identity provider a person has", none), s.deleteLink)
}

// changer gives who asks, if they may change how people sign in.
func changer(ctx context.Context) (identity.Principal, error) {
	p, err := principal(ctx)
	if err == nil {
		err = p.MayChangeSignOn()
	}
	return p, err
}

// SSOBrowser names the browser that begins. It is exported because huma looks for parameters only in exported embedded structs.
type SSOBrowser struct {
	Cookie string `cookie:"parley_sso" maxLength:"100"`
	Host   string `cookie:"__Host-parley_sso" maxLength:"100"`
}

func (b SSOBrowser) browser(secure bool) string {
	if secure {
		return b.Host
	}
	return b.Cookie
}

type ssoStartInput struct {
	SSOBrowser
	Body struct {
		Email    string `json:"email" maxLength:"254"`
		ReturnTo string `json:"returnTo,omitempty" maxLength:"1000" doc:"Path of ours to open afterwards"`
	}
}

// SSOStart says how a person signs in. It depends on the domain of the address alone, so it tells nothing of who exists.
type SSOStart struct {
	Method          string  `json:"method" enum:"password,sso"`
	RedirectURL     *string `json:"redirectUrl" doc:"Where the browser goes for sso; null for password"`
	Connection      *string `json:"connection" doc:"Name of the identity provider; null for password"`
	PasswordAllowed bool    `json:"passwordAllowed" doc:"false: only the organisation's owner may use a password all the same"`
}

type ssoStartOutput struct {
	SetCookie string `header:"Set-Cookie"`
	Body      SSOStart
}

func (s *Service) postStart(ctx context.Context, in *ssoStartInput) (*ssoStartOutput, error) {
	start, set, err := s.Start(ctx, in.Body.Email, in.Body.ReturnTo, in.browser(s.cfg.Secure))
	return &ssoStartOutput{SetCookie: set, Body: start}, err
}

type ssoStartTestInput struct {
	SSOBrowser
	Body struct {
		Token string `json:"token" maxLength:"100" doc:"What stands behind the # of the trial's link"`
	}
}

// SSOTestStart leads a browser to the provider.
type SSOTestStart struct {
	RedirectURL string `json:"redirectUrl" doc:"Where the browser goes to sign in on trial"`
}

type ssoStartTestOutput struct {
	SetCookie string `header:"Set-Cookie"`
	Body      SSOTestStart
}

func (s *Service) postStartTest(ctx context.Context, in *ssoStartTestInput) (*ssoStartTestOutput, error) {
	to, set, err := s.StartTest(ctx, in.Body.Token, in.browser(s.cfg.Secure))
	return &ssoStartTestOutput{SetCookie: set, Body: SSOTestStart{to}}, err
}

type ssoPolicyOutput struct{ Body SSOPolicy }

func (s *Service) getPolicy(ctx context.Context, _ *struct{}) (*ssoPolicyOutput, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	policy, err := s.Policy(ctx, p.OrgID)
	return &ssoPolicyOutput{policy}, err
}

type ssoPolicyInput struct{ Body SSOPolicy }

func (s *Service) putPolicy(ctx context.Context, in *ssoPolicyInput) (*ssoPolicyOutput, error) {
	p, err := changer(ctx)
	if err != nil {
		return nil, err
	}
	policy, err := s.SetPolicy(ctx, p.OrgID, in.Body)
	return &ssoPolicyOutput{policy}, err
}

// NewSSOConnection describes a connection to be made.
type NewSSOConnection struct {
	Name         string              `json:"name" minLength:"1" maxLength:"100" doc:"Shown to people who sign in"`
	Protocol     string              `json:"protocol" enum:"oidc,saml"`
	Enabled      bool                `json:"enabled,omitempty" doc:"People may sign in through it; it can be tried before"`
	OIDC         *OIDCProvider       `json:"oidc,omitempty" doc:"For oidc"`
	ClientSecret string              `json:"clientSecret,omitempty" maxLength:"1000" doc:"For oidc; never shown again. Empty: a public client"`
	SAML         *SAMLProvider       `json:"saml,omitempty" doc:"For saml"`
	RoleClaim    string              `json:"roleClaim,omitempty" maxLength:"300"`
	Roles        []identity.RoleRule `json:"roles,omitempty"`
	DefaultRole  string              `json:"defaultRole,omitempty" maxLength:"100"`
	JustInTime   bool                `json:"justInTime,omitempty"`
	Owners       bool                `json:"owners,omitempty"`

	SecondFactor        bool     `json:"secondFactor,omitempty" doc:"Ask the provider for a second factor, and refuse who has not proved one there"`
	FactorContexts      []string `json:"factorContexts,omitempty" maxItems:"10"`
	LongestSessionHours int      `json:"longestSessionHours,omitempty" minimum:"0" maximum:"168"`
}

func (n *NewSSOConnection) change() SSOConnectionChange {
	c := SSOConnectionChange{
		Name: &n.Name, Enabled: &n.Enabled, OIDC: n.OIDC, SAML: n.SAML, RoleClaim: &n.RoleClaim, Roles: &n.Roles,
		DefaultRole: &n.DefaultRole, JustInTime: &n.JustInTime, Owners: &n.Owners,
		SecondFactor: &n.SecondFactor, FactorContexts: &n.FactorContexts, LongestSessionHours: &n.LongestSessionHours,
	}
	if n.ClientSecret != "" {
		c.ClientSecret = &n.ClientSecret
	}
	return c
}

// SSOConnectionChange names what changes of a connection; what is left out stays.
type SSOConnectionChange struct {
	SecondFactor        *bool     `json:"secondFactor,omitempty"`
	FactorContexts      *[]string `json:"factorContexts,omitempty" maxItems:"10"`
	LongestSessionHours *int      `json:"longestSessionHours,omitempty" minimum:"0" maximum:"168"`

	Name         *string              `json:"name,omitempty" minLength:"1" maxLength:"100"`
	Enabled      *bool                `json:"enabled,omitempty"`
	OIDC         *OIDCProvider        `json:"oidc,omitempty" doc:"Replaces all of it; another issuer needs the client's secret again"`
	ClientSecret *string              `json:"clientSecret,omitempty" maxLength:"1000" doc:"Never shown again; empty: a public client"`
	SAML         *SAMLProvider        `json:"saml,omitempty" doc:"Replaces all of it"`
	RoleClaim    *string              `json:"roleClaim,omitempty" maxLength:"300"`
	Roles        *[]identity.RoleRule `json:"roles,omitempty"`
	DefaultRole  *string              `json:"defaultRole,omitempty" maxLength:"100"`
	JustInTime   *bool                `json:"justInTime,omitempty"`
	Owners       *bool                `json:"owners,omitempty"`
}

type ssoConnectionOutput struct{ Body SSOConnection }

type ssoConnectionsOutput struct {
	Body struct {
		Items []SSOConnection `json:"items"`
		Next  *string         `json:"next" doc:"Always null: an organisation has at most 20 connections"`
	}
}

func (s *Service) listConnections(ctx context.Context, _ *struct{}) (*ssoConnectionsOutput, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	out := &ssoConnectionsOutput{}
	out.Body.Items, err = s.Connections(ctx, p.OrgID)
	return out, err
}

type newSSOConnectionInput struct{ Body NewSSOConnection }

func (s *Service) postConnection(ctx context.Context, in *newSSOConnectionInput) (*ssoConnectionOutput, error) {
	p, err := changer(ctx)
	if err != nil {
		return nil, err
	}
	c, err := s.CreateConnection(ctx, p.OrgID, in.Body)
	return &ssoConnectionOutput{c}, err
}

// SSOConnectionPath names a connection. It is exported because huma looks for parameters only in exported embedded structs.
type SSOConnectionPath struct {
	ID string `path:"id" maxLength:"64"`
}

func (s *Service) getConnection(ctx context.Context, in *SSOConnectionPath) (*ssoConnectionOutput, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	c, err := s.Connection(ctx, p.OrgID, in.ID)
	return &ssoConnectionOutput{c}, err
}

type changeSSOConnectionInput struct {
	SSOConnectionPath
	Body SSOConnectionChange
}

func (s *Service) patchConnection(ctx context.Context, in *changeSSOConnectionInput) (*ssoConnectionOutput, error) {
	p, err := changer(ctx)
	if err != nil {
		return nil, err
	}
	c, err := s.UpdateConnection(ctx, p.OrgID, in.ID, in.Body)
	return &ssoConnectionOutput{c}, err
}

func (s *Service) deleteConnection(ctx context.Context, in *SSOConnectionPath) (*struct{}, error) {
	p, err := changer(ctx)
	if err != nil {
		return nil, err
	}
	return nil, s.DeleteConnection(ctx, p.OrgID, in.ID)
}

type newSSODomainInput struct {
	SSOConnectionPath
	Body struct {
		Domain string `json:"domain" maxLength:"253"`
	}
}

type ssoDomainOutput struct{ Body SSODomain }

func (s *Service) postDomain(ctx context.Context, in *newSSODomainInput) (*ssoDomainOutput, error) {
	p, err := changer(ctx)
	if err != nil {
		return nil, err
	}
	d, err := s.AddDomain(ctx, p.OrgID, in.ID, in.Body.Domain)
	return &ssoDomainOutput{d}, err
}

type ssoDomainPath struct {
	SSOConnectionPath
	Domain string `path:"domain" maxLength:"253"`
}

func (s *Service) postVerify(ctx context.Context, in *ssoDomainPath) (*ssoDomainOutput, error) {
	p, err := changer(ctx)
	if err != nil {
		return nil, err
	}
	d, err := s.VerifyDomain(ctx, p.OrgID, in.ID, in.Domain)
	return &ssoDomainOutput{d}, err
}

func (s *Service) deleteDomain(ctx context.Context, in *ssoDomainPath) (*struct{}, error) {
	p, err := changer(ctx)
	if err != nil {
		return nil, err
	}
	return nil, s.RemoveDomain(ctx, p.OrgID, in.ID, in.Domain)
}

type ssoTrialOutput struct{ Body SSOTrial }

func (s *Service) postTest(ctx context.Context, in *SSOConnectionPath) (*ssoTrialOutput, error) {
	p, err := changer(ctx)
	if err != nil {
		return nil, err
	}
	t, err := s.Test(ctx, p.OrgID, in.ID)
	return &ssoTrialOutput{t}, err
}

type ssoTestPath struct {
	SSOConnectionPath
	TestID string `path:"testId" maxLength:"64"`
}

type ssoTestOutput struct{ Body SSOTestResult }

func (s *Service) getTest(ctx context.Context, in *ssoTestPath) (*ssoTestOutput, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	r, err := s.TestResult(ctx, p.OrgID, in.ID, in.TestID)
	return &ssoTestOutput{r}, err
}

// SSOLink says which account at the provider a person has.
type SSOLink struct {
	UserID     string    `json:"userId"`
	Subject    string    `json:"subject" doc:"The provider's own id of the account"`
	CreatedAt  time.Time `json:"createdAt"`
	LastUsedAt time.Time `json:"lastUsedAt"`
}

type ssoLinksInput struct {
	SSOConnectionPath
	Cursor string `query:"cursor" maxLength:"100" doc:"next of the page before"`
	Limit  int    `query:"limit" default:"50" minimum:"1" maximum:"200"`
}

type ssoLinksOutput struct {
	Body struct {
		Items []SSOLink `json:"items"`
		Next  *string   `json:"next" doc:"Cursor of the next page, null at the end"`
	}
}

func (s *Service) listLinks(ctx context.Context, in *ssoLinksInput) (*ssoLinksOutput, error) {
	p, err := principal(ctx)
	if err != nil {
		return nil, err
	}
	out := &ssoLinksOutput{}
	out.Body.Items, out.Body.Next, err = s.Links(ctx, p.OrgID, in.ID, in.Cursor, in.Limit)
	return out, err
}

type ssoLinkPath struct {
	SSOConnectionPath
	UserID string `path:"userId" maxLength:"64"`
}

func (s *Service) deleteLink(ctx context.Context, in *ssoLinkPath) (*struct{}, error) {
	p, err := changer(ctx)
	if err != nil {
		return nil, err
	}
	return nil, s.Unlink(ctx, p.OrgID, in.ID, in.UserID)
}
