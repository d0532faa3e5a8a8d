package compliance

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/identity"
	"github.com/parley-voice/parley/internal/platform/db"
)

func (r *rig) state(org string) AuditState {
	r.t.Helper()
	v, err := r.State(r.t.Context(), org)
	must(r.t, err)
	return v
}

func TestSeal(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		if v := r.state(orgA); !v.Intact || v.Entries != 0 || v.SignedHead != nil {
			t.Errorf("empty: %+v", v)
		}
		r.fill(orgA, 700) // more than a page
		must(t, r.Seal(ctx))
		r.fill(orgA, 3)
		v := r.state(orgA)
		if !v.Intact || v.Entries != 703 || v.SignedHead == nil || v.SignedHead.Seq != 700 || v.SignedHead.Date != "2026-03-02" || v.Verified != 703 || v.VerifiedAt == nil {
			t.Errorf("%+v", v)
		}
		// Somebody with the database's password changes an entry.
		r.exec(orgA, "UPDATE audit_entries SET reason = 'another' WHERE organisation_id = ? AND seq = 650", orgA)
		r.clock.Advance(24 * time.Hour)
		must(t, r.Seal(ctx))
		must(t, r.Seal(ctx))
		v = r.state(orgA)
		if v.Intact || v.Broken == nil || v.Broken.Seq != 650 || v.SignedHead.Seq != 700 || v.Verified != 649 {
			t.Errorf("%+v %+v", v, v.Broken)
		}
		if n := r.actions()["audit.broken"]; n != 1 {
			t.Errorf("noted %d times in the platform log", n)
		}
		brokenAt(t, "the export", r.export(orgA), 650)
		if v := r.state(orgB); !v.Intact {
			t.Errorf("another organisation: %+v", v)
		}
	})
}

// What was changed after the last proof is seen at once by who looks.
func TestStateLooksAtWhatIsNew(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.fill(orgA, 3)
		must(t, r.Seal(t.Context()))
		r.fill(orgA, 3)
		r.exec(orgA, "DELETE FROM audit_entries WHERE organisation_id = ? AND seq = 5", orgA)
		if v := r.state(orgA); v.Intact || v.Broken.Seq != 5 || v.Verified != 4 {
			t.Errorf("%+v", v)
		}
		r.exec(orgA, "DELETE FROM audit_entries WHERE organisation_id = ? AND seq > 3", orgA)
		if v := r.state(orgA); v.Intact || v.Broken.Seq != 4 {
			t.Errorf("cut: %+v", v)
		}
		// Even with the chain's own row put back, the signed head tells.
		r.exec(orgA, "DELETE FROM audit_entries WHERE organisation_id = ? AND seq > 2", orgA)
		r.exec(orgA, "UPDATE audit_chains SET seq = 2, verified_seq = 0, hash = (SELECT hash FROM audit_entries WHERE organisation_id = ? AND seq = 2) WHERE organisation_id = ?", orgA, orgA)
		must(t, r.Seal(t.Context()))
		if v := r.state(orgA); v.Intact || v.Broken.Seq != 3 {
			t.Errorf("cut before a head: %+v", v)
		}
	})
}

// The trail's own term: it is cut at a signed head, which proves that there was something before.
func TestTrim(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ctx := asUser(t.Context())
		signedExport(t, r) // entries 1 to 7, heads at 3 and, a day later, at 6
		days := int64(365)
		_, err := r.SetRetention(ctx, orgA, RetentionSettings{AuditDays: &days})
		must(t, err)
		must(t, r.Retain(ctx))
		if v := r.state(orgA); v.First != 1 {
			t.Errorf("too early: %+v", v)
		}
		r.clock.Advance(365*24*time.Hour - time.Hour)
		hold, err := r.Hold(ctx, orgA, ScopeOrganisation, "", "case 7")
		must(t, err)
		must(t, r.Retain(ctx))
		if v := r.state(orgA); v.First != 1 {
			t.Errorf("under a hold: %+v", v)
		}
		_, err = r.Release(ctx, orgA, hold.ID, "over")
		must(t, err)
		must(t, r.Retain(ctx))
		v := r.state(orgA)
		if v.First != 4 || v.Entries != 4 || !v.Intact {
			t.Errorf("%+v", v)
		}
		file := r.export(orgA)
		rep, err := Verify(strings.NewReader(file), VerifyOptions{})
		must(t, err)
		if rep.First != 4 || rep.Entries != 4 || rep.Heads != 2 {
			t.Errorf("%+v", rep)
		}
		lines := strings.SplitAfter(file, "\n")
		brokenAt(t, "without the head that proves the beginning", lines[0]+strings.Join(lines[2:], ""), 4)
		must(t, r.Seal(ctx))
		set, err := r.Retention(ctx, orgA)
		must(t, err)
		if set.LastRun["auditEntries"] != 3 || set.LastRunAt == nil || r.actions()["retention.delete"] != 1 {
			t.Errorf("%+v %v", set, r.actions())
		}
		// A chain that is broken is evidence.
		r.exec(orgA, "UPDATE audit_entries SET ip = '' WHERE organisation_id = ? AND seq = 5", orgA)
		must(t, r.Seal(ctx))
		r.clock.Advance(800 * 24 * time.Hour)
		must(t, r.Retain(ctx))
		if v := r.state(orgA); v.First != 4 {
			t.Errorf("a broken chain was cut: %+v", v)
		}
	})
}

// The installation's own log is another chain in other tables.
func TestPlatformLog(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		must(t, r.d.InSystem(t.Context(), "test", func(ctx context.Context, tx *db.Tx) error {
			return identity.Audit(ctx, tx, identity.Platform, identity.Change{Action: "super.suspend"})
		}))
		r.fill(identity.Platform, 3)
		must(t, r.Seal(t.Context()))
		if v := r.state(identity.Platform); !v.Intact || v.Entries != 3 || v.SignedHead == nil {
			t.Errorf("%+v", v)
		}
		if v := r.state(orgA); v.Entries != 0 {
			t.Errorf("it reached an organisation: %+v", v)
		}
		super := identity.With(t.Context(), identity.Principal{UserID: "s", OrgID: orgA, Super: true})
		out, err := r.platformOp(super, &auditListInput{Limit: 2})
		must(t, err)
		if len(out.Body.Items) != 2 || out.Body.Next == nil {
			t.Errorf("%+v", out.Body)
		}
		if _, err := r.platformOp(asUser(t.Context()), &auditListInput{Limit: 2}); err == nil {
			t.Error("an owner read the installation's log")
		}
		if _, err := r.platformStateOp(asUser(t.Context()), nil); err == nil {
			t.Error("an owner read the installation's log's state")
		}
	})
}

// One organisation's failure does not keep the others from their turn.
func TestSealGoesOn(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.cfg.Organisations = func(_ context.Context, after string, _ int) ([]string, error) {
			if after == "" {
				return []string{"", orgB}, nil
			}
			return nil, errors.New("more cannot be listed")
		}
		r.fill(orgB, 1)
		if err := r.Seal(t.Context()); err == nil {
			t.Error("the failure was not told")
		}
		if v := r.state(orgB); v.SignedHead == nil {
			t.Error("the other was not signed")
		}
	})
}
