package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/coder/quartz"
	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// LimitsConfig is what NewLimits needs. A limit without requests limits nothing.
type LimitsConfig struct {
	Address      Limit // of one address (IPv6: its /64), before anybody is asked who it is
	SignIn       Limit // of one address: public operations that change something
	Read, Write  Limit // of one token or session
	Organisation Limit // of all of an organisation's requests, where it has no rate of its own
	// Rate gives an organisation's own requests a minute; nil is no rate of its own, 0 lets none through. A nil Rate: nobody has one.
	Rate   func(ctx context.Context, orgID string) (perMinute *int, err error)
	Shared Shared // nil: this instance counts alone
	Clock  quartz.Clock
	Log    *slog.Logger
}

// Limits says who asks too often.
type Limits struct {
	c     LimitsConfig
	meter *meter
}

// NewLimits makes limits that nothing was used of.
func NewLimits(c LimitsConfig) *Limits { return &Limits{c: c, meter: newMeter()} }

// use is a limit under the name that the headers give it.
type use struct {
	name, key string
	limit     Limit
	own       bool // it is the organisation's own, of its plan
}

// take uses up one request of it.
func (u use) take(m *meter, now time.Time) verdict {
	if u.limit.Requests == 0 { // a plan that includes none
		return verdict{retry: u.limit.Window, reset: u.limit.Window}
	}
	return m.take(u.key, u.limit, now)
}

// refuseAddress answers a request from an address that asks too often. The API is limited, and what changes something;
// the UI's files, health and metrics cost little, and carriers prove who they are and must get through.
func (l *Limits) refuseAddress(w http.ResponseWriter, r *http.Request, addr netip.Addr) bool {
	if l == nil || l.c.Address.Requests == 0 || OnThisMachine(r) || strings.HasPrefix(r.URL.Path, "/carriers/") {
		return false
	}
	if !strings.HasPrefix(r.URL.Path, "/api/") && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		return false
	}
	u := use{name: "address", key: "a " + network(addr), limit: l.c.Address}
	v := u.take(l.meter, l.c.Clock.Now())
	if v.ok {
		return false
	}
	tell(w.Header().Set, []use{u}, []verdict{v})
	WriteProblem(w, tooMany(u, v))
	return true
}

// network is the address, of IPv6 the /64: a household or a server has that many.
func network(a netip.Addr) string {
	if a.Is6() && !a.Is4In6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}

// middleware limits operations: by who asks, and by organisation.
func (l *Limits) middleware(api huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		if l == nil {
			next(ctx)
			return
		}
		uses := l.uses(ctx)
		verdicts := make([]verdict, len(uses))
		now := l.c.Clock.Now()
		for i, u := range uses {
			verdicts[i] = u.take(l.meter, now)
			if !verdicts[i].ok {
				tell(ctx.SetHeader, uses[:i+1], verdicts[:i+1])
				f := tooMany(u, verdicts[i])
				_ = huma.WriteErr(api, ctx, f.Status, f.Message, f)
				return
			}
		}
		if len(uses) > 0 {
			tell(ctx.SetHeader, uses, verdicts)
		}
		next(ctx)
	}
}

func (l *Limits) uses(ctx huma.Context) []use {
	reads := ctx.Method() == http.MethodGet || ctx.Method() == http.MethodHead
	p, known := identity.From(ctx.Context())
	if !known {
		r, _ := humago.Unwrap(ctx)
		if reads || l.c.SignIn.Requests == 0 || OnThisMachine(r) {
			return nil
		}
		ip, _ := netip.ParseAddr(ClientIP(r))
		return []use{{name: "sign-in", key: "s " + network(ip), limit: l.c.SignIn}}
	}
	uses := make([]use, 0, 2)
	who := "t " + p.TokenID
	if p.TokenID == "" {
		who = "u " + p.OrgID + " " + p.UserID
	}
	if reads && l.c.Read.Requests > 0 {
		uses = append(uses, use{name: "read", key: "r" + who, limit: l.c.Read})
	} else if !reads && l.c.Write.Requests > 0 {
		uses = append(uses, use{name: "write", key: "w" + who, limit: l.c.Write})
	}
	if limit, own := l.organisation(ctx.Context(), p.OrgID); own || limit.Requests > 0 {
		uses = append(uses, use{name: "organisation", key: "o " + p.OrgID, limit: limit, own: own})
	}
	return uses
}

// organisation gives the rate of an organisation, and whether it is its own. One that cannot be read does not stop the
// organisation.
func (l *Limits) organisation(ctx context.Context, orgID string) (limit Limit, own bool) {
	if l.c.Rate == nil {
		return l.c.Organisation, false
	}
	n, err := l.c.Rate(ctx, orgID)
	if err != nil {
		l.c.Log.Warn("the organisation's API rate is not known; the installation's is used", "organisation", orgID, "error", err)
	}
	if err != nil || n == nil {
		return l.c.Organisation, false
	}
	return Limit{Requests: max(0, *n), Window: time.Minute}, true
}

// Used gives how many requests of its minute an organisation has used up, as far as this instance knows; counted is false
// where nothing limits them by the minute.
func (l *Limits) Used(ctx context.Context, orgID string) (n int64, counted bool) {
	limit, own := l.organisation(ctx, orgID)
	switch {
	case own && limit.Requests == 0:
		return 0, true
	case limit.Requests == 0 || limit.Window != time.Minute:
		return 0, false
	}
	return l.meter.used("o "+orgID, limit, l.c.Clock.Now()), true
}

// LongestWindow is how long anything that is shared matters.
func (c LimitsConfig) LongestWindow() time.Duration {
	longest := time.Minute
	for _, limit := range []Limit{c.Address, c.SignIn, c.Read, c.Write, c.Organisation} {
		longest = max(longest, limit.Window)
	}
	return longest
}

// tell writes the fields of draft-ietf-httpapi-ratelimit-headers-09, sections 3 and 4: the policies, and of each what is
// left (r) and in how many seconds all of it is there again (t).
func tell(set func(name, value string), uses []use, verdicts []verdict) {
	var policies, left []string
	for i, u := range uses {
		policies = append(policies, fmt.Sprintf(`"%s";q=%d;w=%d`, u.name, u.limit.Requests, int(u.limit.Window.Seconds())))
		left = append(left, fmt.Sprintf(`"%s";r=%d;t=%d`, u.name, verdicts[i].remaining, seconds(verdicts[i].reset)))
		if !verdicts[i].ok {
			set("Retry-After", strconv.Itoa(max(1, seconds(verdicts[i].retry))))
		}
	}
	set("RateLimit-Policy", strings.Join(policies, ", "))
	set("RateLimit", strings.Join(left, ", "))
}

func seconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }

func tooMany(u use, v verdict) *fault.Error {
	if u.own {
		return fault.New(fault.RateLimited, "the organisation's plan includes %d API requests a minute (limit %q), and they are used up; try again in %d s or ask for a bigger plan",
			u.limit.Requests, u.name, max(1, seconds(v.retry)))
	}
	return fault.New(fault.RateLimited, "more than %d requests in %s (limit %q); try again in %d s", u.limit.Requests, u.limit.Window, u.name, max(1, seconds(v.retry)))
}
