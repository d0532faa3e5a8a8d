package identity

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

func (s *Service) signInRoutes(api huma.API) {
	public := func(status int, id, path, summary string) huma.Operation {
		op := operation(id, http.MethodPost, path, "public", summary)
		op.DefaultStatus = status
		return op
	}
	huma.Register(api, operation("get-sign-in", http.MethodGet, "/api/v1/auth/sign-in", "public", "Which ways of signing in there are"), s.getSignIn)
	huma.Register(api, public(http.StatusOK, "sign-in", "/api/v1/auth/sign-in", "Sign in; the session is a cookie. With step second_factor in the answer go on with second-factor"), s.postSignIn)
	huma.Register(api, public(http.StatusOK, "second-factor", "/api/v1/auth/second-factor", "Finish a sign-in with the second factor"), s.postSecondFactor)
	huma.Register(api, public(http.StatusOK, "ask-second-passkey", "/api/v1/auth/second-factor/passkey", "Options for a passkey as the second factor"), s.postSecondPasskey)
	huma.Register(api, public(http.StatusOK, "ask-passkey", "/api/v1/auth/passkey/options", "Options to sign in with a passkey alone"), s.postPasskeyOptions)
	huma.Register(api, public(http.StatusOK, "sign-in-by-passkey", "/api/v1/auth/passkey", "Sign in with a passkey alone"), s.postPasskeySignIn)
	huma.Register(api, public(http.StatusNoContent, "forgot-password", "/api/v1/auth/forgot", "Send a reset link; the answer is the same whether somebody has the address"), s.postForgot)
	huma.Register(api, public(http.StatusNoContent, "reset-password", "/api/v1/auth/reset", "Choose a new password with the token of a reset link; then sign in"), s.postReset)
	signOut := operation("sign-out", http.MethodPost, "/api/v1/auth/sign-out", "self:sign_out", "Sign out")
	signOut.DefaultStatus = http.StatusNoContent
	huma.Register(api, signOut, s.postSignOut)
}

// pageOrigin is the origin of the page that asks, which its passkeys belong to.
type pageOrigin struct{ origin string }

// Resolve implements huma.Resolver.
func (o *pageOrigin) Resolve(ctx huma.Context) []error {
	o.origin = ctx.Header("Origin")
	return nil
}

type signInWays struct {
	Body struct {
		Password bool `json:"password"`
		Passkey  bool `json:"passkey" doc:"Passkeys can be used at this address"`
		Mail     bool `json:"mail" doc:"Reset links are sent by mail; otherwise an administrator hands them out"`
	}
}

type signInWaysInput struct {
	Page string `query:"page" maxLength:"300" doc:"Origin of the page that asks, such as http://localhost:8080"`
}

func (s *Service) getSignIn(_ context.Context, in *signInWaysInput) (*signInWays, error) {
	out := &signInWays{}
	_, err := s.relyingParty(in.Page)
	out.Body.Password, out.Body.Passkey, out.Body.Mail = true, err == nil, s.cfg.Outbox.Enabled()
	return out, nil
}

type signInInput struct {
	clientIP
	Body struct {
		Email    string `json:"email" maxLength:"254"`
		Password string `json:"password" maxLength:"1000"`
	}
}

func (s *Service) postSignIn(ctx context.Context, in *signInInput) (*accountOutput, error) {
	return s.signedIn(s.SignIn(ctx, in.Body.Email, in.Body.Password, in.ip))
}

func (s *Service) signedIn(acc Account, cookie string, err error) (*accountOutput, error) {
	if err != nil {
		return nil, err
	}
	out := &accountOutput{Body: acc}
	if cookie != "" {
		out.SetCookie = s.SetCookie(cookie)
	}
	return out, nil
}

type secondFactorInput struct {
	pageOrigin
	Body struct {
		Challenge  string          `json:"challenge" maxLength:"100" doc:"From sign-in"`
		Method     string          `json:"method" enum:"totp,recovery_code,passkey"`
		Code       string          `json:"code,omitempty" maxLength:"60" doc:"Of the app, or a recovery code"`
		Credential json.RawMessage `json:"credential,omitempty" doc:"PublicKeyCredential of navigator.credentials.get, as JSON"`
	}
}

func (s *Service) postSecondFactor(ctx context.Context, in *secondFactorInput) (*accountOutput, error) {
	return s.signedIn(s.SecondFactor(ctx, Proof{
		Method: in.Body.Method, Code: in.Body.Code, Challenge: in.Body.Challenge, Credential: in.Body.Credential, Origin: in.origin,
	}))
}

type passkeyOptionsOutput struct {
	Body struct {
		Challenge string `json:"challenge" doc:"Goes with the answer; valid once, for 5 minutes"`
		Options   any    `json:"options" doc:"publicKey options for navigator.credentials, as JSON (parseCreationOptionsFromJSON, parseRequestOptionsFromJSON)"`
	}
}

func passkeyOptions(q PasskeyQuestion, err error) (*passkeyOptionsOutput, error) {
	if err != nil {
		return nil, err
	}
	out := &passkeyOptionsOutput{}
	out.Body.Challenge, out.Body.Options = q.Challenge, q.Options
	return out, nil
}

type secondPasskeyInput struct {
	pageOrigin
	Body struct {
		Challenge string `json:"challenge" maxLength:"100" doc:"From sign-in"`
	}
}

func (s *Service) postSecondPasskey(ctx context.Context, in *secondPasskeyInput) (*passkeyOptionsOutput, error) {
	return passkeyOptions(s.AskSecondPasskey(ctx, in.Body.Challenge, in.origin))
}

type passkeyOptionsInput struct {
	clientIP
	pageOrigin
}

// Resolve implements huma.Resolver.
func (i *passkeyOptionsInput) Resolve(ctx huma.Context) []error {
	return append(i.clientIP.Resolve(ctx), i.pageOrigin.Resolve(ctx)...)
}

func (s *Service) postPasskeyOptions(ctx context.Context, in *passkeyOptionsInput) (*passkeyOptionsOutput, error) {
	return passkeyOptions(s.AskAnyPasskey(ctx, in.ip, in.origin))
}

type passkeyAnswer struct {
	pageOrigin
	Body struct {
		Challenge  string          `json:"challenge" maxLength:"100"`
		Credential json.RawMessage `json:"credential" doc:"PublicKeyCredential as JSON"`
	}
}

func (s *Service) postPasskeySignIn(ctx context.Context, in *passkeyAnswer) (*accountOutput, error) {
	return s.signedIn(s.SignInByPasskey(ctx, Proof{
		Method: FactorPasskey, Challenge: in.Body.Challenge, Credential: in.Body.Credential, Origin: in.origin,
	}))
}

type forgotInput struct {
	clientIP
	Body struct {
		Email string `json:"email" maxLength:"254"`
	}
}

func (s *Service) postForgot(ctx context.Context, in *forgotInput) (*struct{}, error) {
	return nil, s.Forgot(ctx, in.Body.Email, in.ip)
}

type resetInput struct {
	clientIP
	Body struct {
		Token    string `json:"token" maxLength:"100" doc:"What stands behind #token= in the link"`
		Password string `json:"password" maxLength:"1000" doc:"At least 10 characters"`
	}
}

func (s *Service) postReset(ctx context.Context, in *resetInput) (*struct{}, error) {
	return nil, s.Reset(ctx, in.Body.Token, in.Body.Password, in.ip)
}

// signOutInput has the session's cookie by either of its names.
type signOutInput struct {
	Cookie     string `cookie:"parley_session"`
	HostCookie string `cookie:"__Host-parley_session"`
}

type signOutOutput struct {
	SetCookie string `header:"Set-Cookie"`
	// ClearSiteData ends what the browser keeps of us (https://www.w3.org/TR/clear-site-data/). Cookies are left out: those
	// of other hosts under the same domain would go too, and ours is ended by Set-Cookie.
	ClearSiteData string `header:"Clear-Site-Data" doc:"What the browser shall forget"`
}

func (s *Service) postSignOut(ctx context.Context, in *signOutInput) (*signOutOutput, error) {
	for _, secret := range []string{in.HostCookie, in.Cookie} {
		if secret == "" {
			continue
		}
		if err := s.SignOut(ctx, secret); err != nil {
			return nil, err
		}
	}
	return &signOutOutput{SetCookie: s.SetCookie(""), ClearSiteData: `"cache", "storage"`}, nil
}
