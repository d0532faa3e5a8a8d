package campaign

import (
	"encoding/json"
	"testing"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
)

// changeOf gives a Change by what a client sends as settings.
func changeOf(t *testing.T, settings string) Change {
	t.Helper()
	var p patch
	if err := json.Unmarshal([]byte(settings), &p); err != nil {
		t.Fatal(err)
	}
	return Change{Settings: p.over}
}

func TestWhatIsTakenOutOfSettingsStaysOut(t *testing.T) {
	dbtest.Each(t, []db.Migrations{Migrations()}, func(t *testing.T, d *db.DB) {
		s := newPlant(t, d, 1, 1).nodes[0].s
		c, err := s.Create(t.Context(), testOrg, NewCampaign{Name: "Test"})
		if err != nil {
			t.Fatal(err)
		}
		for _, settings := range []string{
			`{"retry":{"on":{"no_answer":{"times":1,"minutes":60,"factor":1,"mostMinutes":60}}},"schedule":{"ends":"2031-03-01T17:00:00Z","hours":{"mon":"09:00-10:00"}}}`,
			`{"schedule":{"ends":null,"hours":{}}}`,
		} {
			if _, err := s.Update(t.Context(), testOrg, c.ID, changeOf(t, settings)); err != nil {
				t.Fatal(err)
			}
		}
		got, err := s.Get(t.Context(), testOrg, c.ID)
		if err != nil {
			t.Fatal(err)
		}
		if on := got.Settings.Retry.On; len(on) != 1 || on[dial.NoAnswer].Times != 1 {
			t.Errorf("it is tried again after %v", on)
		}
		if got.Settings.Schedule.Ends != nil || len(got.Settings.Schedule.Hours) != 0 {
			t.Errorf("schedule %+v", got.Settings.Schedule)
		}
		if got.Settings.Dialler.Ring != Usual().Dialler.Ring || got.Settings.Retry.Total != Usual().Retry.Total {
			t.Errorf("what nobody named is not as usual: %+v", got.Settings)
		}
	})
}
