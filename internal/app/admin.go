package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/parley-voice/parley/internal/agent"
	"github.com/parley-voice/parley/internal/compliance"
	"github.com/parley-voice/parley/internal/conversation"
	"github.com/parley-voice/parley/internal/gateway"
	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/identity/scim"
	"github.com/parley-voice/parley/internal/identity/sso"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/telephony"
	"github.com/parley-voice/parley/internal/telephony/mediastream"
)

const maxMediaToken = 30 * 24 * time.Hour

// Admin does what the command line does with the data, whether the server runs or not.
type Admin struct{ app *App }

// OpenAdmin opens the data. Close it.
func OpenAdmin(ctx context.Context, c Config, version string, logs io.Writer) (*Admin, error) {
	a, err := New(c, version, io.Discard, logs)
	if err != nil {
		return nil, err
	}
	a.log = slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelWarn}))
	err = a.openDatabase(ctx)
	if err == nil {
		err = a.buildContexts(ctx)
	}
	if err != nil {
		a.stop()
		return nil, err
	}
	return &Admin{app: a}, nil
}

// Close closes the data.
func (a *Admin) Close() {
	_ = a.app.local.Close()
	a.app.stop()
}

// CreateOwner makes the first account.
func (a *Admin) CreateOwner(ctx context.Context, o identity.NewOwner) (identity.Account, error) {
	return a.app.identity.CreateOwner(ctx, o)
}

// CreateOrganisation makes one more organisation.
func (a *Admin) CreateOrganisation(ctx context.Context, n identity.NewOrganisation) (identity.Account, error) {
	return a.app.identity.CreateOrganisation(ctx, n)
}

// CreateToken makes an API key for a person, in the organisation of that name or id, or with "" in the one they belong
// to longest.
func (a *Admin) CreateToken(ctx context.Context, organisation, email, name string) (string, error) {
	if organisation != "" {
		return a.app.identity.CreateTokenIn(ctx, organisation, email, name)
	}
	return a.app.identity.CreateTokenFor(ctx, email, name)
}

// ResetLink makes a link with which a person chooses a new password.
func (a *Admin) ResetLink(ctx context.Context, email string) (string, error) {
	return a.app.identity.ResetLinkFor(ctx, email)
}

// SetSuper says whether the person with that address administers the installation.
func (a *Admin) SetSuper(ctx context.Context, email string, super bool) (identity.SuperAdmin, error) {
	return a.app.identity.SetSuperFor(ctx, email, super)
}

// MediaToken makes a token with which a media stream reaches an agent, any number of times.
func (a *Admin) MediaToken(ctx context.Context, slug string, valid time.Duration) (string, error) {
	if valid <= 0 || valid > maxMediaToken {
		return "", fault.Field("valid", "%s is out of range; give 1s to %s", valid, maxMediaToken)
	}
	snap, err := a.app.agents.ResolveSlug(ctx, slug)
	if err != nil {
		return "", err
	}
	return a.app.tokens.Mint(mediastream.Claims{Org: snap.OrgID, Agent: snap.Slug}, valid)
}

// OpenAPI gives the API's document without opening anything.
func OpenAPI(version string) ([]byte, error) {
	mux := http.NewServeMux()
	api := gateway.NewAPI(mux, gateway.APIConfig{Version: version, Auth: nobody{}, Log: slog.New(slog.DiscardHandler)})
	(&App{
		identity: &identity.Service{}, sso: &sso.Service{}, scim: &scim.Service{}, agents: &agent.Service{}, phones: &telephony.Service{}, records: &conversation.Service{}, trails: &compliance.Service{}, cors: &gateway.CORS{},
	}).routes(api)
	return api.OpenAPI().YAML()
}

// nobody knows no one: the document needs no sign-in.
type nobody struct{}

// Bearer implements gateway.Authenticator.
func (nobody) Bearer(context.Context, string, string) (identity.Principal, error) {
	return identity.Principal{}, errors.New("no sign-in")
}

// Session implements gateway.Authenticator.
func (nobody) Session(context.Context, string) (identity.Principal, error) {
	return identity.Principal{}, errors.New("no sign-in")
}

// Still implements gateway.Authenticator.
func (nobody) Still(context.Context, identity.Principal) (identity.Principal, error) {
	return identity.Principal{}, errors.New("no sign-in")
}
