package compliance

import (
	"context"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// A consent to calls counts while it is in force and wide enough; what was said last counts.
func TestConsentsToCalls(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		now := r.clock.Now()
		give := func(number string, since time.Duration, expires *time.Time, channels, purposes []string) Consent {
			t.Helper()
			c, err := r.AddConsent(t.Context(), orgA, NewConsent{Subject: number, Scope: "calls", Source: "form", GivenAt: now.Add(-since), ExpiresAt: expires, Channels: channels, Purposes: purposes})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		ask := func(number, purpose string, ai bool) CallConsent {
			t.Helper()
			var out map[string]CallConsent
			err := r.d.ReadTenant(t.Context(), orgA, func(ctx context.Context, tx *db.Tx) (err error) {
				out, err = r.CallConsents(ctx, tx, []string{number, "+14155550199"}, purpose, ai, r.clock.Now())
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return out[number]
		}
		wide := give("+1 415 555 0100", 2*time.Hour, nil, []string{"ai_call", "call"}, nil)
		if c := ask("+14155550100", "sales", true); !c.Given || c.ID != wide.ID {
			t.Errorf("%+v", c)
		}
		give("+14155550101", time.Hour, nil, []string{"call"}, []string{"service"})
		for _, c := range []CallConsent{ask("+14155550101", "service", true), ask("+14155550101", "sales", false)} {
			if c.Given || c.ID != "" {
				t.Errorf("wider than it was given: %+v", c)
			}
		}
		if c := ask("+14155550101", "service", false); !c.Given {
			t.Errorf("%+v", c)
		}
		soon := now.Add(time.Minute)
		give("+14155550102", time.Hour, &soon, []string{"ai_call"}, nil)
		if !ask("+14155550102", "survey", true).Given {
			t.Error("it is in force")
		}
		r.clock.Set(soon)
		if ask("+14155550102", "survey", true).Given {
			t.Error("it expired")
		}
		if _, err := r.RevokeConsent(t.Context(), orgA, wide.ID); err != nil {
			t.Fatal(err)
		}
		r.clock.Set(r.clock.Now().Add(time.Hour))
		if c := ask("+14155550100", "sales", true); c.Given || c.ID != wide.ID {
			t.Errorf("withdrawn: %+v", c)
		}
		now = r.clock.Now()
		give("+14155550100", 0, nil, []string{"ai_call"}, nil)
		if !ask("+14155550100", "sales", true).Given {
			t.Error("it was given again")
		}
		if _, err := r.AddConsent(t.Context(), orgA, NewConsent{Subject: "a@example.com", Scope: "calls", Source: "form", GivenAt: now, Channels: []string{"call"}}); !fault.Is(err, fault.Invalid) {
			t.Errorf("an address allows calls: %v", err)
		}
	})
}
