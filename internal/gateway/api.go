package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/etag"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Authenticator finds out who is asking. Both forms give a fault of code Unauthorized when they do not know.
type Authenticator interface {
	Bearer(ctx context.Context, token, ip string) (identity.Principal, error)
	Session(ctx context.Context, cookie string) (identity.Principal, error)
	// Still gives somebody who was let in before as they are now, or an error when they may not go on. It is no use of
	// their session.
	Still(ctx context.Context, p identity.Principal) (identity.Principal, error)
}

// SessionCookie names the cookie of a signed-in browser.
const SessionCookie = identity.SessionCookie

var problemOnce sync.Once

// useProblems makes huma's own errors (validation, bad JSON) faults too. huma keeps the hook in a package
// variable, so it is set once.
func useProblems() {
	problemOnce.Do(func() {
		huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
			return problem(status, msg, errs)
		}
		huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
			if ctx != nil && etag.From(ctx.Context()) != nil && slices.ContainsFunc(errs, db.IsConflict) {
				return faultOf(etag.Changed())
			}
			return problem(status, msg, errs)
		}
	})
}

func problem(status int, msg string, errs []error) *fault.Error {
	for _, err := range errs {
		var f *fault.Error
		if errors.As(err, &f) {
			return f
		}
	}
	e := fault.New(fault.CodeFor(status), "%s", msg)
	e.Status, e.Title = status, http.StatusText(status)
	if status >= http.StatusInternalServerError {
		// What broke is for the log, never for the one who asked.
		e.Message = "something went wrong on our side; it was logged, please try again"
		return fault.Wrap(e.Code, errors.Join(errs...), "%s", e.Message)
	}
	for _, err := range errs {
		var d *huma.ErrorDetail
		if errors.As(err, &d) {
			e.Details = append(e.Details, fault.Detail{Location: d.Location, Message: d.Message, Value: d.Value})
		} else if err != nil {
			e.Details = append(e.Details, fault.Detail{Message: err.Error()})
		}
	}
	if len(e.Details) == 1 && e.Details[0].Location != "" {
		e.Message = e.Details[0].Location + ": " + e.Details[0].Message
	}
	return e
}

// APIConfig is what NewAPI needs. What is nil is left out.
type APIConfig struct {
	Version string
	Auth    Authenticator
	CORS    *CORS
	Limits  *Limits
	Keys    *Keys
	Audit   *Auditor
	// Elsewhere sends operations to other processes.
	Elsewhere Elsewhere
	Log       *slog.Logger
}

// NewAPI makes the API on mux. Routes of the contexts are added to it; nothing is listened to yet, so the
// document can be written without a server.
func NewAPI(mux *http.ServeMux, cfg APIConfig) huma.API {
	useProblems()
	c := huma.DefaultConfig("Parley", cfg.Version)
	c.Info.Description = "AI telephony and contact centre. Errors are problem+json (RFC 9457) with a stable `code`. " +
		"Lists give `items` and `next`; pass `next` as `cursor` for the following page. A POST may carry an `Idempotency-Key`; what is read has an " +
		"`ETag`; `RateLimit` tells what is left of the limits (docs/edge.md)."
	c.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	c.OpenAPIPath = "/api/openapi"
	c.DocsPath = "" // docs.go serves it: huma's own page loads its script from another host
	c.SchemasPath = ""
	c.CreateHooks = nil
	c.Transformers = append(c.Transformers, logFailure(cfg.Log))
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"bearer":  {Type: "http", Scheme: "bearer", Description: "An API token: `Authorization: Bearer pk_...`"},
		"session": {Type: "apiKey", In: "cookie", Name: SessionCookie, Description: "A signed-in browser"},
	}
	api := humago.New(mux, c)
	api.UseMiddleware(recoverer(api, cfg.Log), bodyLimit, noStore, cfg.Audit.name, authorizer(api, cfg), cfg.Limits.middleware(api), cfg.Keys.middleware(api), conditional(api, cfg.Log),
		cfg.Elsewhere.middleware(api), cfg.Audit.watch)
	api.OpenAPI().OnAddOperation = append(api.OpenAPI().OnAddOperation, declareSecurity, declareKeys, declareConditions)
	return api
}

// declareSecurity puts into the document what the middleware enforces.
func declareSecurity(_ *huma.OpenAPI, op *huma.Operation) {
	perm, _ := op.Metadata["permission"].(string)
	if perm == "public" {
		return
	}
	op.Security = []map[string][]string{{"bearer": {}}, {"session": {}}}
	if op.Extensions == nil {
		op.Extensions = map[string]any{}
	}
	op.Extensions["x-permission"] = perm
}

// logFailure writes what broke to the log; the one who asked is told only that it did.
func logFailure(log *slog.Logger) huma.Transformer {
	return func(ctx huma.Context, _ string, v any) (any, error) {
		if f, ok := v.(*fault.Error); ok && f.Status == http.StatusInternalServerError && f.Unwrap() != nil && ctx.Context().Err() == nil {
			log.Error("request failed", "operation", ctx.Operation().OperationID, "error", f)
		}
		return v, nil
	}
}

func recoverer(api huma.API, log *slog.Logger) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler {
					panic(p)
				}
				log.Error("request panicked", "operation", ctx.Operation().OperationID, "panic", p, "stack", stack())
				_ = huma.WriteErr(api, ctx, http.StatusInternalServerError, "panic")
			}
		}()
		next(ctx)
	}
}

// bodyLimit lets the body of an operation be as large as it declares.
func bodyLimit(ctx huma.Context, next func(huma.Context)) {
	raiseBody(ctx.Context(), ctx.Operation().MaxBodyBytes)
	next(ctx)
}

// noStore keeps every answer of the API out of caches, a browser's on its disk included. Answers to changes are not
// compressed either: some hold a secret (compress.go).
func noStore(ctx huma.Context, next func(huma.Context)) {
	if ctx.Method() == http.MethodGet || ctx.Method() == http.MethodHead {
		ctx.SetHeader("Cache-Control", "no-store")
	} else {
		ctx.SetHeader("Cache-Control", "no-store, no-transform")
	}
	next(ctx)
}

func faultOf(err error) *fault.Error {
	var f *fault.Error
	if !errors.As(err, &f) {
		f = fault.Wrap(fault.Internal, err, "something went wrong on our side; it was logged, please try again")
	}
	return f
}

// authorizer lets a request through when the operation is public, or when whoever asks holds the permission that the
// operation names. Who holds it for some people's things only is let through where the operation's queries heed that.
func authorizer(api huma.API, cfg APIConfig) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		perm, _ := ctx.Operation().Metadata["permission"].(string)
		r, _ := humago.Unwrap(ctx)
		if perm == "public" {
			// Another site must not sign a browser in either: as somebody else, who then reads what the person does.
			if err := sameOrigin(r); err != nil {
				f := faultOf(err)
				_ = huma.WriteErr(api, ctx, f.Status, f.Message, f)
				return
			}
			next(ctx)
			return
		}
		p, err := Authenticate(r, cfg.Auth)
		if o := identity.OriginOf(ctx.Context()); err == nil && o.RequestID != "" {
			o.OrgID, o.UserID, o.TokenID = p.OrgID, p.UserID, p.TokenID
		}
		if err == nil {
			err = cfg.CORS.check(r, p.OrgID)
		}
		scope, may := p.Scope(perm)
		if err == nil && (perm == "" || !may || !scope.All() && !identity.Narrows(ctx.Operation().Metadata)) {
			err = fault.New(fault.Forbidden, "your role does not include %q; ask an administrator of your organisation", perm)
		}
		if err != nil {
			f := faultOf(err)
			if f.Status == http.StatusForbidden {
				cfg.Audit.Denied(ctx.Context(), p, ctx.Operation(), "")
			}
			if f.Status == http.StatusUnauthorized {
				ctx.SetHeader("WWW-Authenticate", `Bearer realm="parley"`)
			}
			_ = huma.WriteErr(api, ctx, f.Status, f.Message, f)
			return
		}
		next(huma.WithContext(ctx, identity.WithScope(identity.With(ctx.Context(), p), scope)))
	}
}

// Authenticate tells who sent r: by bearer token, or by session cookie. A cookie counts for a changing
// request only when the browser says it comes from our own pages (CSRF).
func Authenticate(r *http.Request, auth Authenticator) (identity.Principal, error) {
	if h := r.Header.Get("Authorization"); h != "" {
		scheme, token, ok := strings.Cut(h, " ")
		if !ok || !strings.EqualFold(scheme, "Bearer") {
			return identity.Principal{}, fault.New(fault.Unauthorized, "use Authorization: Bearer TOKEN")
		}
		return auth.Bearer(r.Context(), strings.TrimSpace(token), ClientIP(r))
	}
	cookie := identity.CookieOf(r)
	if cookie == "" {
		return identity.Principal{}, fault.New(fault.Unauthorized, "sign in, or send an API token")
	}
	if err := sameOrigin(r); err != nil {
		return identity.Principal{}, err
	}
	return auth.Session(r.Context(), cookie)
}

// crossOrigin rejects what another site makes a browser send (Fetch metadata, with Origin as the older sign).
var crossOrigin = http.NewCrossOriginProtection()

func sameOrigin(r *http.Request) error {
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		// A WebSocket is a GET, which the check lets pass; its Origin decides.
		r = r.Clone(r.Context())
		r.Method = http.MethodPost
	}
	if err := crossOrigin.Check(r); err != nil {
		return fault.Wrap(fault.Forbidden, err, "this request comes from another site; open Parley's own page")
	}
	return nil
}
