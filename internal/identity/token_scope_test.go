package identity_test

import (
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/fault"
)

func TestTokenBounds(t *testing.T) {
	eachSignOn(t, func(t *testing.T, s *signOn) {
		routes(t, s.Service)
		ctx := t.Context()
		owner := identity.Principal{UserID: s.anna.User.ID, OrgID: s.anna.Organisation.ID, Role: identity.RoleOwner, Permissions: []string{"*"}, SessionID: "x"}
		soon := s.clock.Now().Add(time.Hour)
		view, secret, err := s.NewToken(ctx, owner, identity.NewToken{
			Name: "ci", Expires: &soon, Scopes: []string{"token:*", "member:read:own"}, AllowedIPs: []string{"10.1.0.0/16", "2001:db8::7"},
		})
		if err != nil {
			t.Fatal(err)
		}
		if view.AllowedIPs[1] != "2001:db8::7/128" || len(view.Scopes) != 2 {
			t.Errorf("token %+v", view)
		}
		for _, svc := range []*identity.Service{s.Service, s.Service, s.another(t)} { // also when the answer is remembered
			p, err := svc.Bearer(ctx, secret, "10.1.2.3")
			if err != nil {
				t.Fatal(err)
			}
			if !p.May("token:read") || p.May("member:read") || p.Reach("member:read") != identity.ReachOwn || p.May("call:read") || p.Super {
				t.Errorf("permissions %v", p.Permissions)
			}
			for _, ip := range []string{"10.2.0.1", "2001:db8::8", "", "nonsense"} {
				_, err = svc.Bearer(ctx, secret, ip)
				wantCode(t, err, fault.Forbidden)
			}
			for _, ip := range []string{"2001:db8::7", "::ffff:10.1.9.9"} {
				if _, err = svc.Bearer(ctx, secret, ip); err != nil {
					t.Errorf("from %s: %v", ip, err)
				}
			}
		}
		list, err := s.Tokens(ctx, owner)
		if err != nil || len(list) != 1 || list[0].LastUsedIP != "10.1.2.3" || list[0].LastUsedAt == nil {
			t.Errorf("list %+v, %v", list, err)
		}
		if n := len(s.audited(t, "token.use")); n != 8 { // four addresses, once a minute, in two processes
			t.Errorf("%d entries of refused uses", n)
		}

		p, err := s.Bearer(ctx, secret, "10.1.2.3")
		if err != nil {
			t.Fatal(err)
		}
		for field, n := range map[string]identity.NewToken{
			"more scope":    {Name: "x", Scopes: []string{"organisation:update"}},
			"wider scope":   {Name: "x", Scopes: []string{"member:read"}},
			"everything":    {Name: "x", Scopes: []string{"*"}},
			"other network": {Name: "x", AllowedIPs: []string{"10.0.0.0/8"}},
			"no network":    {Name: "x", AllowedIPs: []string{"ten"}},
			"no permission": {Name: "x", Scopes: []string{"tokn:read"}},
		} {
			_, _, err := s.NewToken(ctx, p, n)
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("%s: %v", field, err)
			}
		}
		later := soon.Add(time.Hour)
		child, childSecret, err := s.NewToken(ctx, p, identity.NewToken{Name: "child", Expires: &later})
		if err != nil {
			t.Fatal(err)
		}
		if len(child.Scopes) != 2 || len(child.AllowedIPs) != 2 || !child.ExpiresAt.Equal(soon) {
			t.Errorf("a token's token outgrows it: %+v", child)
		}
		if _, err := s.Bearer(ctx, childSecret, "10.1.0.1"); err != nil {
			t.Fatal(err)
		}
		s.clock.Advance(time.Hour)
		_, err = s.another(t).Bearer(ctx, childSecret, "10.1.0.1")
		wantCode(t, err, fault.Unauthorized)
		acting := owner
		acting.Impersonator = "super"
		_, _, err = s.NewToken(ctx, acting, identity.NewToken{Name: "x"})
		wantCode(t, err, fault.Forbidden)
		if n := len(s.audited(t, "token.create")); n != 2 {
			t.Errorf("%d entries of new tokens", n)
		}
	})
}
