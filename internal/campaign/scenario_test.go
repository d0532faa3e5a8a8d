package campaign

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parley-voice/parley/internal/campaign/pace"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/fault"
)

func TestScenario(t *testing.T) {
	c, s, err := ReadScenario(t.Context(), "../../docs/examples/campaign.yaml")
	if err != nil || s.Runs != 20 || len(c.Leads) != 5000 || c.Pace.Lines != 30 || c.Pace.Mode != pace.Agentless || c.People.TalkSeconds != 75 || c.People.Busy != 0.05 {
		t.Errorf("%+v, %d leads, %+v, %v", s, len(c.Leads), c.People, err)
	}
	folder := t.TempDir()
	list := filepath.Join(folder, "people.csv")
	if err := os.WriteFile(list, []byte("phone,state\n+12125550100,NY\n2125550101,NY\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "c.yaml")
	if err := os.WriteFile(file, []byte("start: 2026-11-23T09:00:00Z\nleads: {file: people.csv}\nsettings: {country: US}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _, err = ReadScenario(t.Context(), file)
	if err != nil || len(c.Leads) != 2 || c.Leads[1].Number != "+12125550101" || c.Leads[0].Region != "NY" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestScenarioSaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"{":                                   "no YAML",
		"lines: 3":                            "it has name",
		"leads: {count: 3}":                   "prefix",
		"settings: {dialler: {lines: 0}}":     "1 to 10000",
		"settings: {dialler: {mode: faster}}": "no mode",
		"people: {answer: x}":                 "cannot be read",
		"settings: {schedule: {zone: Mars}}":  "no time zone",
		"settings: {retry: {on: {busy: {times: 3, minutes: 0, factor: 1, mostMinutes: 1}}}}": "1 minute",
	} {
		file := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := ReadScenario(t.Context(), file)
		if err == nil || !strings.Contains(err.Error(), want) || !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func FuzzScenario(f *testing.F) {
	f.Add([]byte("leads: {count: 10, prefix: \"+4930\", digits: 8}\nsettings: {dialler: {lines: 3}}\npeople: {busy: 0.1}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := ParseScenario(text)
		if err != nil {
			return
		}
		if c, _, err := s.campaign(); err == nil {
			if err := c.Pace.Check(""); err != nil {
				t.Error(err)
			}
		}
	})
}

// What is predicted from the database is what would be dialled: the people who are left, with the lines that there are.
func TestSimulateACampaign(t *testing.T) {
	dbtest.Each(t, []db.Migrations{Migrations()}, func(t *testing.T, d *db.DB) {
		p := newPlant(t, d, 1, 1)
		s := p.nodes[0].s
		c := p.campaign(3000, nil)
		got, err := s.Simulate(t.Context(), testOrg, c.ID, time.Time{}, []byte(`{"answer":[0,0,0,0,0,0,0,0,1,1,1,1,1,1,1,1,1,1,1,1,1,1,0,0],"invalid":0,"failed":0,"callback":0,"ringSeconds":5}`), 3)
		if err != nil {
			t.Fatal(err)
		}
		if got.Leads < 2900 || got.Leads > 3100 || got.Scale < 2.9 || got.Scale > 3.1 || got.Spoken.Median < 2900 || got.Attempts.Median > 3100 || got.Finished != 1 {
			t.Errorf("%+v", got)
		}
		if _, err := s.Simulate(t.Context(), testOrg, c.ID, time.Time{}, []byte(`{"busy": 3}`), 3); !fault.Is(err, fault.Invalid) {
			t.Errorf("people who cannot be: %v", err)
		}
		empty, err := s.Create(t.Context(), testOrg, NewCampaign{Name: "Nobody"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Simulate(t.Context(), testOrg, empty.ID, time.Time{}, nil, 3); !fault.Is(err, fault.NotPossible) {
			t.Errorf("nobody to call: %v", err)
		}
		flight, err := s.Preflight(t.Context(), testOrg, empty.ID)
		if err != nil || flight.Ready || len(flight.Problems) < 2 {
			t.Errorf("%+v, %v", flight, err)
		}
	})
}

// What somebody took out of the settings stays out, however usual it is.
func TestSettingsAreKeptAsTheyAre(t *testing.T) {
	dbtest.Each(t, []db.Migrations{Migrations()}, func(t *testing.T, d *db.DB) {
		s := newPlant(t, d, 1, 1).nodes[0].s
		set, err := (&patch{raw: []byte(`{"retry": {"on": {"busy": {"times": 1, "minutes": 5, "factor": 1, "mostMinutes": 5}}}, "outcomes": {"booked": "sold"}}`)}).over(Usual())
		if err != nil {
			t.Fatal(err)
		}
		c, err := s.Create(t.Context(), testOrg, NewCampaign{Name: "Test", Settings: set})
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Get(t.Context(), testOrg, c.ID)
		if err != nil || len(got.Settings.Retry.On) != 1 || got.Settings.Retry.Total != 4 || len(got.Settings.Outcomes) != 1 {
			t.Errorf("%+v, %v", got.Settings.Retry, err)
		}
	})
}
