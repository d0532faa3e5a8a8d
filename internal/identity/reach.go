package identity

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// maxMates bounds the people whose things ":team" reaches, besides the person's own. Of more, those who have been in the
// organisation longest count.
const maxMates = 5000

// Scope is whose things an operation may touch. The zero Scope is everybody's. The gateway puts it into the context of an
// operation that declares "narrow" in its Metadata; stores ask ScopeOf and narrow their queries by it, so that what is out
// of reach is not there: it is neither listed nor counted, and asking for it is answered 404.
type Scope struct {
	users  []string
	narrow bool
}

// OnlyOf is the scope of what belongs to some people, and to nobody else.
func OnlyOf(users ...string) Scope { return Scope{users: users, narrow: true} }

// All reports whether everything of the organisation is in reach.
func (s Scope) All() bool { return !s.narrow }

// Users gives the ids of the people whose things are in reach, nil where all are.
func (s Scope) Users() []string { return s.users }

// Has reports whether the things of a person are in reach. Nobody's things ("") are in reach of those only who reach all.
func (s Scope) Has(userID string) bool {
	return !s.narrow || userID != "" && slices.Contains(s.users, userID)
}

// Where narrows a query to rows of which one of columns holds a person in reach.
func (s Scope) Where(q *bun.SelectQuery, columns ...string) *bun.SelectQuery {
	if !s.narrow {
		return q
	}
	where, args := s.SQL(columns...)
	return q.Where(where, args...)
}

// SQL gives the condition of Where with its arguments, "1 = 1" where all is in reach.
func (s Scope) SQL(columns ...string) (string, []any) {
	switch {
	case !s.narrow:
		return "1 = 1", nil
	case len(s.users) == 0:
		return "1 = 0", nil
	}
	parts, args := make([]string, len(columns)), make([]any, 0, 2*len(columns))
	for i, c := range columns {
		parts[i] = "? IN (?)"
		args = append(args, bun.Ident(c), bun.List(s.users))
	}
	return "(" + strings.Join(parts, " OR ") + ")", args
}

// Owner decides who a thing belongs to that p makes or gives to asked: nil is p's person where p reaches only some people's
// things, else nobody. Nobody gives a thing to somebody out of their reach: they would lose it.
func (s Scope) Owner(p Principal, field string, asked *string) (string, error) {
	switch {
	case asked == nil && s.narrow:
		return p.UserID, nil
	case asked == nil:
		return "", nil
	case !s.Has(*asked):
		return "", fault.Field(field, "your role reaches only what belongs to you or to your teams; name one of these people")
	}
	return *asked, nil
}

type scopeKey struct{}

// WithScope puts s into ctx.
func WithScope(ctx context.Context, s Scope) context.Context {
	return context.WithValue(ctx, scopeKey{}, s)
}

// ScopeOf gives the scope of ctx; without one all is in reach, as for jobs and calls.
func ScopeOf(ctx context.Context) Scope {
	s, _ := ctx.Value(scopeKey{}).(Scope)
	return s
}

// Unscoped gives a ctx for what a request begins and does not do itself, such as a call that outlives it.
func Unscoped(ctx context.Context) context.Context { return WithScope(ctx, Scope{}) }

// Scope gives whose things p may use with a permission; false when they may use nothing.
func (p Principal) Scope(permission string) (Scope, bool) {
	switch p.Reach(permission) {
	case ReachAll:
		return Scope{}, true
	case ReachTeam:
		return OnlyOf(append([]string{p.UserID}, p.mates...)...), true
	case ReachOwn:
		return OnlyOf(p.UserID), true
	}
	return OnlyOf(), false
}

// matesOf gives the other people of a person's teams, where one of patterns reaches them.
func matesOf(ctx context.Context, tx *db.Tx, m *membership, patterns []string) ([]string, error) {
	reaches := slices.ContainsFunc(patterns, func(p string) bool { return strings.HasSuffix(p, ":team") })
	if !reaches || len(m.teams) == 0 {
		return nil, nil
	}
	var mates []string
	err := tx.NewSelect().Model((*teamMemberRow)(nil)).ColumnExpr("DISTINCT user_id").
		Where("organisation_id = ? AND team_id IN (?) AND user_id <> ?", m.OrganisationID, bun.List(m.teams), m.UserID).
		Order("user_id").Limit(maxMates).Scan(ctx, &mates)
	if err != nil {
		return nil, fmt.Errorf("find the people of a person's teams: %w", err)
	}
	return mates, nil
}

// narrows declares that an operation honours ":own" and ":team".
const narrows = "narrow"

// Narrows lets an operation be used with ":own" and ":team": its queries ask ScopeOf.
func Narrows(metadata map[string]any) bool { return metadata[narrows] == true }

// inScope reads a row by its id, if it is the organisation's and column holds a person in ctx's reach.
func inScope(ctx context.Context, tx *db.Tx, model any, kind, column, orgID, id string) error {
	where, args := ScopeOf(ctx).SQL(column)
	return one(ctx, tx, model, kind, "organisation_id = ? AND id = ? AND "+where, append([]any{orgID, id}, args...)...)
}

// teamsInScope is the condition on the id of a team: one of which a person in ctx's reach is a member.
func teamsInScope(ctx context.Context, orgID string) (string, []any) {
	s := ScopeOf(ctx)
	if s.All() {
		return s.SQL("id")
	}
	where, args := s.SQL("user_id")
	return "id IN (SELECT team_id FROM team_members WHERE organisation_id = ? AND " + where + ")", append([]any{orgID}, args...)
}

// Assignable refuses to give something to a person or a project that is not the organisation's; "" is none. It reads past
// what the one who asks may see of people and projects: whom they may give it to is Scope.Owner's to say.
func (s *Service) Assignable(ctx context.Context, orgID, userID, projectID string) error {
	if userID == "" && projectID == "" {
		return nil
	}
	return s.cfg.DB.ReadTenant(Unscoped(ctx), orgID, func(ctx context.Context, tx *db.Tx) error {
		if userID != "" {
			var m membershipRow
			err := one(ctx, tx, &m, "person", "organisation_id = ? AND user_id = ?", orgID, userID)
			if fault.Is(err, fault.NotFound) {
				return fault.Field("body", "there is no person %q in the organisation; GET /api/v1/members lists them", userID)
			}
			if err != nil {
				return err
			}
		}
		if projectID == "" {
			return nil
		}
		_, err := projectByID(ctx, tx, orgID, projectID)
		if fault.Is(err, fault.NotFound) {
			return fault.Field("body.projectId", "there is no project %q; GET /api/v1/projects lists them", projectID)
		}
		return err
	})
}
