package app

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/fault"
	"github.com/parley-voice/parley/internal/platform/secret/envelope"
	"github.com/parley-voice/parley/internal/telephony"
)

// secretSource is a context's part of an organisation's secrets: at most limit of them, sorted by id, after the one with id
// after.
type secretSource interface {
	HeldSecrets(ctx context.Context, orgID, after string, limit int) ([]envelope.Held, error)
}

// secretOps are the operations on all secrets of an organisation. They are set, replaced and removed where they belong.
type secretOps struct{ app *App }

// sources are listed one after another; a cursor begins with the name of one.
func (o *secretOps) sources() (names []string, parts []secretSource) {
	a := o.app
	return []string{"models", "phones", "trunks", "campaigns", "sso", "scim", "tokens"}, []secretSource{a.agents, a.phones, telephony.TrunkSecrets{Service: a.phones}, a.campaigns, a.sso, a.scim, a.identity}
}

// Routes adds the operation.
func (o *secretOps) Routes(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "list-secrets", Method: http.MethodGet, Path: "/api/v1/secrets", Summary: "Every secret of the organisation, never a value",
		Description: "Keys of vendors, phones' and trunks' passwords, secrets and keys of identity providers, SCIM and API tokens: what they are for, who set them and which key they are sealed under. " +
			"A secret is replaced or removed where it belongs, which `objectKind` and `objectId` name. The installation's own secrets, such as a carrier's credentials, are settings of the server and not listed.",
		Tags: []string{"Secrets"}, Metadata: map[string]any{"permission": "secret:read"},
	}, o.list)
}

// OrganisationSecret is what is told of a secret.
type OrganisationSecret struct {
	ID         string        `json:"id" doc:"Unique in the list"`
	Kind       string        `json:"kind" enum:"modelKey,phonePassword,trunkPassword,webhookSecret,ssoClientSecret,samlKey,scimToken,apiToken"`
	Name       string        `json:"name" doc:"Of what it belongs to"`
	Part       string        `json:"part" doc:"Which of several secrets of one thing, such as stt, llm or tts; else empty"`
	ObjectKind string        `json:"objectKind" enum:"model,phone,trunk,organisation,ssoConnection,token" doc:"What it belongs to, and where it is replaced or removed"`
	ObjectID   string        `json:"objectId"`
	SetBy      *SecretSetter `json:"setBy" doc:"null: nobody who signed in, or not known"`
	SetAt      *time.Time    `json:"setAt" doc:"null: not known"`
	LastUsedAt *time.Time    `json:"lastUsedAt" doc:"null: not used yet, or not known, as with modelKey"`
	ExpiresAt  *time.Time    `json:"expiresAt" doc:"null: it does not expire"`
	Stored     string        `json:"stored" enum:"sealed,hashed" doc:"hashed: it can be compared and not be had back"`
	Key        *SecretKey    `json:"key" doc:"What it is sealed under; null for hashed"`
	UsedBy     []SecretUse   `json:"usedBy" doc:"Where it is used: agents by their published version, at most 20"`
}

// SecretSetter is who set a secret.
type SecretSetter struct {
	UserID string `json:"userId"`
	Name   string `json:"name" doc:"Empty: the person has no account any more"`
}

// SecretKey is the version of the organisation's data key that a secret is sealed under, and the master key that wraps that.
type SecretKey struct {
	Version   int64  `json:"version" doc:"Of the organisation's data key; 0: sealed under the master key itself, before there were data keys"`
	State     string `json:"state" enum:"active,old,retired" doc:"Secrets leave an old version within the hour"`
	MasterKey string `json:"masterKey" doc:"The master key that wraps this version: local:, awskms: or vault: and what tells such keys apart"`
}

// SecretUse is one place where a secret is used.
type SecretUse struct {
	Kind string `json:"kind" enum:"agent,phone,trunk,ssoConnection"`
	ID   string `json:"id"`
	Name string `json:"name"`
}

type secretsInput struct {
	Cursor string `query:"cursor" maxLength:"100" doc:"next of the page before"`
	Limit  int    `query:"limit" default:"50" minimum:"1" maximum:"200"`
}

type secretsOutput struct {
	Body struct {
		Items []OrganisationSecret `json:"items"`
		Next  *string              `json:"next" doc:"Cursor of the next page, null at the end"`
	}
}

func (o *secretOps) list(ctx context.Context, in *secretsInput) (*secretsOutput, error) {
	p, ok := identity.From(ctx)
	if !ok {
		return nil, fault.New(fault.Unauthorized, "sign in first")
	}
	held, next, err := o.page(ctx, p.OrgID, in.Cursor, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &secretsOutput{}
	out.Body.Next = next
	out.Body.Items, err = o.show(ctx, p.OrgID, held)
	return out, err
}

// page gathers secrets from where the cursor points to, and gives the cursor of the next page.
func (o *secretOps) page(ctx context.Context, orgID, cursor string, limit int) (held []envelope.Held, next *string, err error) {
	names, parts := o.sources()
	first, after, _ := strings.Cut(cursor, ":")
	at := 0
	if cursor != "" {
		if at = slices.Index(names, first); at < 0 {
			return nil, nil, fault.Field("query.cursor", "this is no cursor; send next of the page before")
		}
	}
	for ; at < len(parts); at, after = at+1, "" {
		list, err := parts[at].HeldSecrets(ctx, orgID, after, limit-len(held)+1)
		if err != nil {
			return nil, nil, err
		}
		room := limit - len(held)
		if len(list) <= room {
			held = append(held, list...)
			continue
		}
		from := names[at] + ":" + after // where this source begins, when nothing of it fits
		if room > 0 {
			from = names[at] + ":" + list[room-1].ID
		}
		return append(held, list[:room]...), &from, nil
	}
	return held, nil, nil
}

// show makes of secrets what the API tells.
func (o *secretOps) show(ctx context.Context, orgID string, held []envelope.Held) ([]OrganisationSecret, error) {
	versions, err := o.app.keyring.Versions(ctx, orgID)
	if err != nil {
		return nil, err
	}
	var setters []string
	for _, h := range held {
		if h.SetBy != "" && !slices.Contains(setters, h.SetBy) {
			setters = append(setters, h.SetBy)
		}
	}
	names, err := o.app.identity.Names(ctx, setters)
	if err != nil {
		return nil, err
	}
	out := make([]OrganisationSecret, len(held))
	for i, h := range held {
		s := OrganisationSecret{ID: h.Kind + ":" + h.ID, Kind: h.Kind, Name: h.Name, Part: h.Part, ObjectKind: h.ObjectKind, ObjectID: h.ObjectID,
			SetAt: h.SetAt, LastUsedAt: h.LastUsedAt, ExpiresAt: h.ExpiresAt, Stored: "hashed", UsedBy: []SecretUse{}}
		if h.SetBy != "" {
			s.SetBy = &SecretSetter{UserID: h.SetBy, Name: names[h.SetBy]}
		}
		if h.Sealed != nil {
			s.Stored, s.Key = "sealed", secretKey(h.Sealed, versions)
		}
		for _, u := range h.UsedBy {
			s.UsedBy = append(s.UsedBy, SecretUse(u))
		}
		out[i] = s
	}
	return out, nil
}

// secretKey tells which version of the data key a value is sealed under.
func secretKey(sealed []byte, versions map[envelope.KeyID]envelope.Version) *SecretKey {
	id, ok := envelope.SealedUnder(sealed)
	v, known := versions[id]
	if !ok || !known {
		return &SecretKey{State: "old"}
	}
	return &SecretKey{Version: v.Number, State: v.State, MasterKey: v.Wrapper}
}
