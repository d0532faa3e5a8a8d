package identity

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

func (s *Service) factorRoutes(api huma.API) {
	op := func(status int, id, method, path, summary string) huma.Operation {
		o := operation(id, method, path, "self:mfa", summary)
		o.DefaultStatus = status
		return o
	}
	huma.Register(api, op(http.StatusOK, "get-mfa", "GET", "/api/v1/me/mfa", "My second factors"), s.getMFA)
	huma.Register(api, op(http.StatusOK, "begin-totp", "POST", "/api/v1/me/mfa/totp", "Set up an authenticator app: its secret"), s.postTOTP)
	huma.Register(api, op(http.StatusOK, "finish-totp", "POST", "/api/v1/me/mfa/totp/confirm", "Add the authenticator app with its first code"), s.postTOTPConfirm)
	huma.Register(api, op(http.StatusNoContent, "remove-totp", "DELETE", "/api/v1/me/mfa/totp", "Remove the authenticator app"), s.deleteTOTP)
	huma.Register(api, op(http.StatusOK, "new-recovery-codes", "POST", "/api/v1/me/mfa/recovery-codes", "Make new recovery codes; the ones before end"), s.postRecoveryCodes)
	huma.Register(api, op(http.StatusOK, "begin-passkey", "POST", "/api/v1/me/passkeys/options", "Options to make a passkey"), s.postPasskeyBegin)
	huma.Register(api, op(http.StatusCreated, "finish-passkey", "POST", "/api/v1/me/passkeys", "Add the passkey that the browser made"), s.postPasskey)
	huma.Register(api, op(http.StatusOK, "rename-passkey", "PATCH", "/api/v1/me/passkeys/{id}", "Rename a passkey"), s.patchPasskey)
	huma.Register(api, op(http.StatusNoContent, "remove-passkey", "DELETE", "/api/v1/me/passkeys/{id}", "Delete a passkey"), s.deletePasskey)
	huma.Register(api, op(http.StatusNoContent, "confirm", "POST", "/api/v1/me/confirm",
		"Prove again who I am. Operations that answer with code reauthenticate work for 15 minutes after it"), s.postConfirm)
	huma.Register(api, op(http.StatusOK, "ask-confirm-passkey", "POST", "/api/v1/me/confirm/passkey", "Options to confirm with a passkey"), s.postConfirmPasskey)
}

type mfaOutput struct{ Body MFA }

func (s *Service) getMFA(ctx context.Context, _ *struct{}) (*mfaOutput, error) {
	p, err := ownSession(ctx)
	if err != nil {
		return nil, err
	}
	m, err := s.MFA(ctx, p)
	return &mfaOutput{Body: m}, err
}

type totpOutput struct{ Body NewTOTP }

func (s *Service) postTOTP(ctx context.Context, _ *struct{}) (*totpOutput, error) {
	p, err := ownSession(ctx)
	if err != nil {
		return nil, err
	}
	t, err := s.BeginTOTP(ctx, p)
	return &totpOutput{Body: t}, err
}

type totpConfirmInput struct {
	Body struct {
		Challenge string `json:"challenge" maxLength:"100"`
		Code      string `json:"code" minLength:"6" maxLength:"6"`
	}
}

type enrolledOutput struct {
	SetCookie string `header:"Set-Cookie" doc:"The session's new secret"`
	Body      struct {
		RecoveryCodes []string `json:"recoveryCodes" doc:"Shown once, with the first second factor; empty when there are some already"`
		Passkey       *Passkey `json:"passkey,omitempty"`
	}
}

func (s *Service) enrolled(e Enrolled, err error) (*enrolledOutput, error) {
	if err != nil {
		return nil, err
	}
	out := &enrolledOutput{SetCookie: s.SetCookie(e.Cookie)}
	out.Body.RecoveryCodes, out.Body.Passkey = nonNil(e.RecoveryCodes), e.Passkey
	return out, nil
}

func (s *Service) postTOTPConfirm(ctx context.Context, in *totpConfirmInput) (*enrolledOutput, error) {
	p, err := ownSession(ctx)
	if err != nil {
		return nil, err
	}
	return s.enrolled(s.FinishTOTP(ctx, p, in.Body.Challenge, in.Body.Code))
}

func (s *Service) deleteTOTP(ctx context.Context, _ *struct{}) (*struct{}, error) {
	p, err := ownSession(ctx)
	if err != nil {
		return nil, err
	}
	return nil, s.RemoveTOTP(ctx, p)
}

type recoveryCodesOutput struct {
	Body struct {
		RecoveryCodes []string `json:"recoveryCodes" doc:"Shown once"`
	}
}

func (s *Service) postRecoveryCodes(ctx context.Context, _ *struct{}) (*recoveryCodesOutput, error) {
	p, err := ownSession(ctx)
	if err != nil {
		return nil, err
	}
	out := &recoveryCodesOutput{}
	out.Body.RecoveryCodes, err = s.NewRecoveryCodes(ctx, p)
	return out, err
}

type pageInput struct{ pageOrigin }

func (s *Service) postPasskeyBegin(ctx context.Context, in *pageInput) (*passkeyOptionsOutput, error) {
	p, err := ownSession(ctx)
	if err != nil {
		return nil, err
	}
	return passkeyOptions(s.BeginPasskey(ctx, p, in.origin))
}

type newPasskeyInput struct {
	pageOrigin
	Body struct {
		Challenge  string          `json:"challenge" maxLength:"100"`
		Name       string          `json:"name,omitempty" maxLength:"120" doc:"Left out: browser and system"`
		Credential json.RawMessage `json:"credential" doc:"PublicKeyCredential of navigator.credentials.create, as JSON"`
	}
}

func (s *Service) postPasskey(ctx context.Context, in *newPasskeyInput) (*enrolledOutput, error) {
	p, err := ownSession(ctx)
	if err != nil {
		return nil, err
	}
	return s.enrolled(s.FinishPasskey(ctx, p, in.Body.Name, Proof{Challenge: in.Body.Challenge, Credential: in.Body.Credential, Origin: in.origin}))
}

type passkeyPatch struct {
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Name string `json:"name" minLength:"1" maxLength:"120"`
	}
}

type passkeyOutput struct{ Body Passkey }

func (s *Service) patchPasskey(ctx context.Context, in *passkeyPatch) (*passkeyOutput, error) {
	p, err := ownSession(ctx)
	if err != nil {
		return nil, err
	}
	k, err := s.RenamePasskey(ctx, p, in.ID, in.Body.Name)
	return &passkeyOutput{Body: k}, err
}

type passkeyIDInput struct {
	ID string `path:"id" maxLength:"64"`
}

func (s *Service) deletePasskey(ctx context.Context, in *passkeyIDInput) (*struct{}, error) {
	p, err := ownSession(ctx)
	if err != nil {
		return nil, err
	}
	return nil, s.RemovePasskey(ctx, p, in.ID)
}

type confirmInput struct {
	pageOrigin
	Body struct {
		Method     string          `json:"method" enum:"password,totp,recovery_code,passkey"`
		Password   string          `json:"password,omitempty" maxLength:"1000"`
		Code       string          `json:"code,omitempty" maxLength:"60"`
		Challenge  string          `json:"challenge,omitempty" maxLength:"100" doc:"With a passkey: from its options"`
		Credential json.RawMessage `json:"credential,omitempty" doc:"PublicKeyCredential of navigator.credentials.get, as JSON"`
	}
}

func (s *Service) postConfirm(ctx context.Context, in *confirmInput) (*cookieOutput, error) {
	p, err := ownSession(ctx)
	if err != nil {
		return nil, err
	}
	cookie, err := s.Confirm(ctx, p, in.Body.Password, Proof{
		Method: in.Body.Method, Code: in.Body.Code, Challenge: in.Body.Challenge, Credential: in.Body.Credential, Origin: in.origin,
	})
	if err != nil {
		return nil, err
	}
	return &cookieOutput{SetCookie: s.SetCookie(cookie)}, nil
}

func (s *Service) postConfirmPasskey(ctx context.Context, in *pageInput) (*passkeyOptionsOutput, error) {
	p, err := ownSession(ctx)
	if err != nil {
		return nil, err
	}
	return passkeyOptions(s.AskPasskey(ctx, p, in.origin))
}
