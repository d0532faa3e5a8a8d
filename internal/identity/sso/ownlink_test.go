package sso_test

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/identity/sso"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// A person sees their accounts at identity providers and gives one up, unless nothing else would let them in.
func TestOwnLinks(t *testing.T) {
	each(t, func(r *rig) {
		p := newProvider(t)
		c := r.connect(r.owner, p.connection(), "corp.example")
		p.user("ben@corp.example")
		b := r.browser()
		ben := b.wantIn(b.open(b.start("ben@corp.example")))
		links, err := r.sso.OwnLinks(t.Context(), ben.UserID)
		if err != nil || len(links) != 1 || links[0].ConnectionID != c.ID || links[0].Organisation.Name != "Clinic" || !links[0].Enabled || links[0].Subject == "" {
			t.Fatalf("%+v, %v", links, err)
		}
		if other, err := r.sso.OwnLinks(t.Context(), r.owner.UserID); err != nil || len(other) != 0 {
			t.Errorf("anna has %+v, %v", other, err)
		}
		wantCode(t, r.sso.UnlinkOwn(r.as(r.owner), r.owner, c.ID), fault.NotFound) // not hers

		// The provider answered for this session: it changes nothing of how ben signs in.
		wantCode(t, r.sso.UnlinkOwn(r.as(ben), ben, c.ID), fault.Forbidden)
		own := r.ownSession(ben)
		// He has no password and no passkey: nothing else lets him in.
		wantCode(t, r.sso.UnlinkOwn(r.as(own), own, c.ID), fault.NotPossible)
		r.choosePassword("ben@corp.example")
		if _, err := r.sso.SetPolicy(r.as(r.owner), r.owner.OrgID, sso.SSOPolicy{SSOOnly: true}); err != nil {
			t.Fatal(err)
		}
		// Where passwords count for nobody but the owner, his does not, though it opens another organisation.
		there := r.ownSession(r.another("Practice", "ben@corp.example"))
		wantCode(t, r.sso.UnlinkOwn(r.as(there), there, c.ID), fault.NotPossible)
		if _, err := r.sso.SetPolicy(r.as(r.owner), r.owner.OrgID, sso.SSOPolicy{}); err != nil {
			t.Fatal(err)
		}
		own = r.ownSession(ben)
		r.clock.Set(r.clock.Now().Add(time.Hour))
		wantCode(t, r.sso.UnlinkOwn(r.as(own), own, c.ID), fault.Reauthenticate)
		own = r.ownSession(ben)
		if err := r.sso.UnlinkOwn(r.as(own), own, c.ID); err != nil {
			t.Fatal(err)
		}
		if links, err := r.sso.OwnLinks(t.Context(), ben.UserID); err != nil || len(links) != 0 {
			t.Errorf("afterwards: %+v, %v", links, err)
		}
		wantCode(t, r.sso.UnlinkOwn(r.as(own), own, c.ID), fault.NotFound)
		if !r.audited("sso.link.delete", ben.UserID) {
			t.Error("nothing is on record")
		}
	})
}

// ownSession begins a session of somebody that no provider answered for.
func (r *rig) ownSession(p identity.Principal) identity.Principal {
	r.t.Helper()
	_, cookie, err := r.ident.Begin(r.t.Context(), identity.SignOn{UserID: p.UserID, OrgID: p.OrgID, Method: identity.MethodPassword})
	if err != nil {
		r.t.Fatal(err)
	}
	own, err := r.ident.Session(r.t.Context(), cookie)
	if err != nil {
		r.t.Fatal(err)
	}
	return own
}

// choosePassword gives somebody a password, by a reset link.
func (r *rig) choosePassword(email string) {
	r.t.Helper()
	link, err := r.ident.ResetLinkFor(r.t.Context(), email)
	if err != nil {
		r.t.Fatal(err)
	}
	_, token, _ := strings.Cut(link, "token=")
	if token, err = url.QueryUnescape(token); err != nil {
		r.t.Fatal(err)
	}
	if err := r.ident.Reset(r.t.Context(), token, "seven wooden boats sail", "127.0.0.1"); err != nil {
		r.t.Fatal(err)
	}
}

// audited reports whether an audit entry of an action names a thing.
func (r *rig) audited(action, id string) bool {
	r.t.Helper()
	var facts []string
	err := r.db.ReadSystem(r.t.Context(), "test", func(ctx context.Context, tx *db.Tx) error {
		return tx.NewRaw("SELECT data FROM outbox").Scan(ctx, &facts)
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return slices.ContainsFunc(facts, func(f string) bool { return strings.Contains(f, `"`+action+`"`) && strings.Contains(f, id) })
}
