package gateway

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/quartz"
	"github.com/uptrace/bun"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	maxOrigins   = 100              // of one organisation
	originsFor   = 15 * time.Second // how old an answer may be that another instance changed
	originsKnown = 10_000           // origins remembered, allowed or not
)

// CORSConfig is what NewCORS needs.
type CORSConfig struct {
	DB        *db.DB
	PublicURL string // our own pages, where a proxy gives requests another Host
	Clock     quartz.Clock
}

// CORS lets pages of other sites call the API (https://fetch.spec.whatwg.org/#http-cors-protocol). Each organisation
// lists its origins. A preflight carries no credentials, so that it is answered for an origin that any organisation
// lists; the request itself goes through only where the organisation of its token does. Cookies never cross: there is no
// Access-Control-Allow-Credentials, and a wildcard is never answered.
type CORS struct {
	c   CORSConfig
	own string

	mu    sync.Mutex
	known map[string]originOf
}

// originOf is who lists an origin.
type originOf struct {
	orgs  []string
	until time.Time
}

// NewCORS makes the rule; it asks the database when it has to.
func NewCORS(c CORSConfig) *CORS {
	own := ""
	if u, err := url.Parse(c.PublicURL); err == nil && u.Host != "" {
		own = strings.ToLower(u.Scheme + "://" + u.Host)
	}
	return &CORS{c: c, own: own, known: map[string]originOf{}}
}

// foreign gives the origin of a page of another site that asks; "" for our own, and for programs that are no browser.
func (c *CORS) foreign(r *http.Request) string {
	origin := strings.ToLower(r.Header.Get("Origin"))
	if origin == "" || origin == c.own {
		return ""
	}
	if u, err := url.Parse(origin); err == nil && strings.EqualFold(u.Host, r.Host) {
		return ""
	}
	return origin
}

// preflight answers OPTIONS of allowed origins, and lets their pages read the answers of what follows.
func (c *CORS) preflight(next http.Handler) http.Handler {
	if c == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/api/") {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Add("Vary", "Origin")
		origin := c.foreign(r)
		if origin == "" {
			next.ServeHTTP(w, r)
			return
		}
		asks := r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
		orgs, err := c.listedBy(r.Context(), origin)
		if err != nil || len(orgs) == 0 {
			if asks {
				WriteProblem(w, noOrigin(err))
				return
			}
			next.ServeHTTP(w, r)
			return
		}
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
		if asks {
			h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE")
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Request-Id")
			h.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		h.Set("Access-Control-Expose-Headers", "ETag, Idempotency-Replayed, Location, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id")
		next.ServeHTTP(w, r)
	})
}

func noOrigin(cause error) *fault.Error {
	if cause != nil {
		return fault.Wrap(fault.Unavailable, cause, "the allowed origins cannot be read; try again")
	}
	return fault.New(fault.Forbidden, "this site may not call the API; add its origin under Settings, API access")
}

// check refuses a request from a page whose origin the organisation of its token does not list.
func (c *CORS) check(r *http.Request, orgID string) error {
	if c == nil {
		return nil
	}
	origin := c.foreign(r)
	if origin == "" {
		return nil
	}
	orgs, err := c.listedBy(r.Context(), origin)
	if err != nil || !slices.Contains(orgs, orgID) {
		return noOrigin(err)
	}
	return nil
}

type originRow struct {
	bun.BaseModel `bun:"table:allowed_origins"`

	OrganisationID string `bun:"organisation_id,pk"`
	Origin         string `bun:"origin,pk"`
	CreatedAt      int64  `bun:"created_at"`
}

// listedBy gives the organisations that list an origin.
func (c *CORS) listedBy(ctx context.Context, origin string) ([]string, error) {
	now := c.c.Clock.Now()
	c.mu.Lock()
	o, ok := c.known[origin]
	c.mu.Unlock()
	if ok && now.Before(o.until) {
		return o.orgs, nil
	}
	var orgs []string
	err := c.c.DB.ReadSystem(ctx, "who lets this origin call", func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model((*originRow)(nil)).Column("organisation_id").Where("origin = ?", origin).Scan(ctx, &orgs)
	})
	if err != nil {
		return nil, fmt.Errorf("allowed origins: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= originsKnown {
		clear(c.known)
	}
	c.known[origin] = originOf{orgs: orgs, until: now.Add(originsFor)}
	return orgs, nil
}

// Origins gives what an organisation lists, in order.
func (c *CORS) Origins(ctx context.Context, orgID string) ([]string, error) {
	out := []string{}
	err := c.c.DB.ReadSystem(ctx, "the organisation's allowed origins", func(ctx context.Context, tx *db.Tx) error {
		return tx.NewSelect().Model((*originRow)(nil)).Column("origin").Where("organisation_id = ?", orgID).Order("origin").Scan(ctx, &out)
	})
	return out, err
}

// SetOrigins replaces what an organisation lists.
func (c *CORS) SetOrigins(ctx context.Context, orgID string, origins []string) ([]string, error) {
	clean := make([]string, 0, len(origins))
	for i, o := range origins {
		o, err := cleanOrigin(fmt.Sprintf("body.items[%d]", i), o)
		if err != nil {
			return nil, err
		}
		clean = append(clean, o)
	}
	slices.Sort(clean)
	clean = slices.Compact(clean)
	if len(clean) > maxOrigins {
		return nil, fault.Field("body.items", "an organisation lists at most %d origins; take some out", maxOrigins)
	}
	before := []string{}
	err := c.c.DB.InSystem(ctx, "change the organisation's allowed origins", func(ctx context.Context, tx *db.Tx) error {
		before = before[:0]
		if err := tx.NewSelect().Model((*originRow)(nil)).Column("origin").Where("organisation_id = ?", orgID).Order("origin").Scan(ctx, &before); err != nil {
			return err
		}
		if _, err := tx.NewDelete().Model((*originRow)(nil)).Where("organisation_id = ?", orgID).Exec(ctx); err != nil {
			return err
		}
		for _, o := range clean {
			if _, err := tx.NewInsert().Model(&originRow{OrganisationID: orgID, Origin: o, CreatedAt: tx.Now().UnixMilli()}).Exec(ctx); err != nil {
				return err
			}
		}
		return identity.Audit(ctx, tx, orgID, identity.Change{Action: "origin.update", Kind: "origins", ID: orgID,
			Before: originsView{Items: before}, After: originsView{Items: clean}})
	})
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.known)
	return clean, nil
}

// cleanOrigin writes an origin as browsers do (RFC 6454 section 6.2).
func cleanOrigin(field, s string) (string, error) {
	s = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(s), "/"))
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || s != u.Scheme+"://"+u.Host || strings.ContainsAny(u.Host, "*@ ") || len(s) > 200 {
		return "", fault.Field(field, "%q is no origin; write https://host or https://host:port, without a path and without wildcards", s)
	}
	if u.Scheme == "http" && u.Hostname() != "localhost" && u.Hostname() != "127.0.0.1" {
		return "", fault.Field(field, "%q is not encrypted, so that anybody on the way could use its tokens; use https", s)
	}
	if p := u.Port(); (u.Scheme == "https" && p == "443") || (u.Scheme == "http" && p == "80") {
		return u.Scheme + "://" + u.Hostname(), nil
	}
	return s, nil
}
