package campaign

import (
	"testing"

	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Whoever prepares a campaign marks it as checked. Other settings make it a draft again, and nothing goes on past what is in its way.
func TestChecked(t *testing.T) {
	dbtest.Each(t, []db.Migrations{Migrations()}, func(t *testing.T, d *db.DB) {
		p := newPlant(t, d, 1, 1)
		s := p.nodes[0].s
		c, err := s.Create(t.Context(), testOrg, NewCampaign{Name: "Spring"})
		if err != nil {
			t.Fatal(err)
		}
		is := func(want State, what string, got Campaign, err error) {
			t.Helper()
			if err != nil || got.State != want {
				t.Fatalf("%s: %s, %v, want %s", what, got.State, err, want)
			}
		}
		agent := func(name string) Change {
			return Change{Settings: func(was Settings) (*Settings, error) { was.Agent = name; return &was, nil }}
		}
		if _, err := s.Check(t.Context(), testOrg, c.ID); !fault.Is(err, fault.NotPossible) {
			t.Fatalf("without an agent and people: %v", err)
		}
		p.leads(c.ID, 0, 3)
		got, err := s.Update(t.Context(), testOrg, c.ID, agent("desk"))
		is(Draft, "an agent is chosen", got, err)
		got, err = s.Check(t.Context(), testOrg, c.ID)
		is(Checked, "nothing is in the way", got, err)
		got, err = s.Update(t.Context(), testOrg, c.ID, Change{Name: new("Summer")})
		is(Checked, "another name", got, err)
		got, err = s.Update(t.Context(), testOrg, c.ID, agent("nobody"))
		is(Draft, "another agent", got, err)
		if _, err := s.Start(t.Context(), testOrg, c.ID); !fault.Is(err, fault.NotPossible) {
			t.Fatalf("an agent that is not there: %v", err)
		}
		if _, err = s.Update(t.Context(), testOrg, c.ID, agent("desk")); err != nil {
			t.Fatal(err)
		}
		if _, err = s.Check(t.Context(), testOrg, c.ID); err != nil {
			t.Fatal(err)
		}
		got, err = s.Start(t.Context(), testOrg, c.ID)
		is(Running, "start of a checked one", got, err)
		if _, err := s.Check(t.Context(), testOrg, c.ID); !fault.Is(err, fault.Conflict) {
			t.Fatalf("one that runs: %v", err)
		}
		got, err = s.Pause(t.Context(), testOrg, c.ID, "lunch")
		is(Paused, "pause", got, err)
		if _, err = s.Update(t.Context(), testOrg, c.ID, agent("nobody")); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Resume(t.Context(), testOrg, c.ID); !fault.Is(err, fault.NotPossible) {
			t.Fatalf("resumed with an agent that is not there: %v", err)
		}
		if _, err = s.Update(t.Context(), testOrg, c.ID, agent("desk")); err != nil {
			t.Fatal(err)
		}
		got, err = s.Resume(t.Context(), testOrg, c.ID)
		is(Running, "resume", got, err)
	})
}
