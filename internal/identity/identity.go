// Package identity knows who is asking: organisations, people, roles, sessions and API tokens.
//
//	identity.go    Principal: who asks, in a context; roles and the permissions they expand to
//	service.go     the first owner, signing in, sessions
//	session.go     sessions: their secret, its renewal, the cookie
//	sessions.go    a person's list of them
//	signin.go      signing in by password, and the second step; passkeysignin.go by a passkey alone
//	challenge.go   what was begun and waits for its second step
//	mfa.go         authenticator apps; passkey.go passkeys, recovery.go recovery codes
//	me.go          a person's own account
//	enrol.go       adding and removing factors, proving again who one is; policy.go what an organisation asks
//	reset.go       changing and resetting passwords; help.go how administrators help members in
//	breach.go      common and leaked passwords
//	lockout.go     the limits on guessing that are kept; device.go places that a person used before
//	letter.go      what letters say
//	token.go       API tokens; scope.go what scopes leave of a person's permissions
//	password.go    argon2id
//	attempts.go    the limit on guessing tokens
//	store.go       the tables
//	principal.go   who somebody is: a membership becomes a Principal
//	org.go         organisations, and switching between them
//	people.go      members; invite.go and accept.go how they come in
//	team.go        teams; project.go projects
//	role.go        built-in roles, roles of an organisation, the catalogue of permissions
//	limit.go       plans: what an organisation may have and has
//	super.go       what whoever runs the installation may do
//	orgstore.go    the tables of these
//	provision.go   what identity providers do to people, provision_team.go to teams: for packages sso and scim
//	audit.go       the entry that each change leaves in the audit trail
//	http.go        operations
//
// Secrets (cookies, tokens, set-up links) are random and stored only as SHA-256; passwords as argon2id. No
// account exists until the one-time set-up link, or the command line, makes the owner.
package identity

import (
	"context"
	"embed"
	"io/fs"
	"net/netip"
	"strings"
	"time"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

//go:embed migrations
var migrations embed.FS

// Migrations is the history of the tables.
func Migrations() db.Migrations {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return db.Migrations{Context: "identity", FS: sub, Scope: db.Master}
}

// SessionCookie names the cookie of a signed-in browser.
const SessionCookie = "parley_session"

// Principal is who asks: a person in one organisation, by session or by API token.
type Principal struct {
	UserID       string
	OrgID        string
	Role         string
	Permissions  []string // patterns such as "call:*" or "agent:update:own"
	Teams        []string // ids of the person's teams in this organisation
	Super        bool     // administers the installation
	Impersonator string   // the super-admin who acts as UserID; "" otherwise
	SessionID    string   // "" for a token
	TokenID      string   // "" for a session

	mates      []string       // the other people of Teams, where a permission reaches them
	restricted bool           // must enrol a second factor before anything else
	secret     string         // hash of the session's current secret
	renewAt    time.Time      // when the session's secret is to be replaced
	networks   []netip.Prefix // where a token may be used from; none: everywhere
}

type principalKey struct{}

// With puts p into ctx.
func With(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// From gives the principal of ctx, if one was put there.
func From(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(principalKey{}).(Principal)
	return p, ok
}

// UserOf gives the id of whoever signed in, or whose token it is; "" where there is nobody, as in jobs and on the command line.
func UserOf(ctx context.Context) string {
	p, _ := From(ctx)
	return p.UserID
}

// Personal refuses what is only for the person themselves: neither an API token nor a super-admin who acts as them may
// change how they sign in, or join them to anything.
func (p Principal) Personal() error {
	switch {
	case p.Impersonator != "":
		return fault.New(fault.Forbidden, "you act as somebody else; only they may do this")
	case p.TokenID != "":
		return fault.New(fault.Forbidden, "an API token cannot do this; sign in")
	}
	return nil
}

// Reach is how far a permission goes.
type Reach int

// The reaches, narrowest first.
const (
	ReachNone Reach = iota
	ReachOwn        // what belongs to the person
	ReachTeam       // and to people of the person's teams
	ReachAll        // everything of the organisation
)

// May reports whether p holds the permission "area:verb" for the whole organisation.
func (p Principal) May(permission string) bool { return p.Reach(permission) == ReachAll }

// Reach gives how far one of p's patterns takes the permission "area:verb": "*" is everything, "area:*" every verb
// of an area, and a third part, ":own" or ":team", narrows it.
func (p Principal) Reach(permission string) Reach {
	area, verb, ok := strings.Cut(permission, ":")
	if !ok || area == "" || verb == "" {
		return ReachNone
	}
	if area == superArea {
		// No role includes it, not even "*": it belongs to the installation. Neither a token nor somebody who acts
		// as another person may use it.
		if p.Super && p.SessionID != "" && p.TokenID == "" && p.Impersonator == "" {
			return ReachAll
		}
		return ReachNone
	}
	reach := ReachNone
	for _, pattern := range p.Permissions {
		if pattern == "*" {
			return ReachAll
		}
		a, rest, _ := strings.Cut(pattern, ":")
		v, narrow, _ := strings.Cut(rest, ":")
		if a != area || v != "*" && v != verb {
			continue
		}
		switch narrow {
		case "":
			return ReachAll
		case "team":
			reach = max(reach, ReachTeam)
		case "own":
			reach = max(reach, ReachOwn)
		}
	}
	return reach
}

// restrict leaves p what somebody needs to enrol a second factor, and nothing else.
func (p *Principal) restrict() {
	p.restricted, p.Super = true, false
	p.Permissions = []string{"self:read", "self:mfa", "self:sign_out"}
}
