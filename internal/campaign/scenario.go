package campaign

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/campaign/leadfile"
	"github.com/parley-voice/parley/internal/campaign/policy"
	"github.com/parley-voice/parley/internal/campaign/simulate"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// Scenario is a file that says what to simulate: docs/simulation.md shows one.
type Scenario struct {
	Name     string          `json:"name"`
	Start    time.Time       `json:"start"`
	Days     int             `json:"days"` // a run that is not over then is cut off; 0: 60
	Leads    ScenarioLeads   `json:"leads"`
	Settings json.RawMessage `json:"settings"` // as the API takes them
	People   json.RawMessage `json:"people"`   // what is left out is as UsualPeople
	Runs     int             `json:"runs"`
	Seed     uint64          `json:"seed"`
}

// ScenarioLeads are the people of a scenario: those of a file, or made up.
type ScenarioLeads struct {
	File    string         `json:"file"` // beside the scenario
	Count   int            `json:"count"`
	Prefix  string         `json:"prefix"` // +4930
	Digits  int            `json:"digits"` // after the prefix
	Country string         `json:"country"`
	Region  string         `json:"region"`
	Zone    string         `json:"zone"`
	Consent policy.Consent `json:"consent"`
}

const mostScenario = 1 << 20

// ReadScenario reads a scenario's file; a list of people that it names is beside it.
func ReadScenario(ctx context.Context, path string) (*simulate.Campaign, Scenario, error) {
	var s Scenario
	f, err := os.Open(path)
	if err != nil {
		return nil, s, err
	}
	defer f.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(io.LimitReader(f, mostScenario+1))
	if err != nil {
		return nil, s, err
	}
	if s, err = ParseScenario(text); err != nil {
		return nil, s, err
	}
	c, set, err := s.campaign()
	if err != nil {
		return nil, s, err
	}
	c.Leads, err = s.Leads.read(ctx, filepath.Dir(path), set.Country)
	return c, s, err
}

// ParseScenario reads a scenario, YAML or JSON.
func ParseScenario(text []byte) (Scenario, error) {
	s := Scenario{Runs: 20, Seed: 1}
	if len(text) > mostScenario {
		return s, fault.Field("scenario", "the file is longer than %d bytes", mostScenario)
	}
	var any any
	if err := yaml.Unmarshal(text, &any); err != nil {
		return s, fault.Field("scenario", "the file is no YAML: %s", err)
	}
	asJSON, err := json.Marshal(any)
	if err != nil {
		return s, fault.Field("scenario", "the file cannot be read: %s", err)
	}
	d := json.NewDecoder(bytes.NewReader(asJSON))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, fault.Field("scenario", "the file cannot be read: %s; it has name, start, days, leads, settings, people, runs and seed", err)
	}
	return s, nil
}

// campaign makes what is played, without its leads.
func (s *Scenario) campaign() (*simulate.Campaign, *Settings, error) {
	set, err := (&patch{raw: s.Settings}).over(Usual())
	if err != nil {
		return nil, nil, err
	}
	if set == nil {
		usual := Usual()
		set = &usual
	}
	if err := set.check(); err != nil {
		return nil, nil, err
	}
	book, err := policy.Shipped()
	if err != nil {
		return nil, nil, err
	}
	c, err := set.simulation(book, s.Start)
	if err != nil {
		return nil, nil, err
	}
	c.Horizon = time.Duration(s.Days) * 24 * time.Hour
	if len(s.People) > 0 {
		if err := json.Unmarshal(s.People, &c.People); err != nil {
			return nil, nil, fault.Field("people", "they cannot be read: %s", err)
		}
	}
	return c, set, nil
}

// simulation is what is played of a campaign with these settings.
func (s *Settings) simulation(book *policy.Book, start time.Time) (*simulate.Campaign, error) {
	rules, err := s.rules(book)
	if err != nil {
		return nil, err
	}
	if start.IsZero() && s.Schedule.Starts != nil {
		start = *s.Schedule.Starts
	}
	return &simulate.Campaign{Rules: rules, Pace: s.pace(), Zone: s.zone(), Start: start, Ring: time.Duration(s.Dialler.Ring) * time.Second, People: simulate.UsualPeople(),
		Prices: simulate.Prices{PerMinute: s.Budget.PerMinute, PerCall: s.Budget.PerCall, Most: s.Budget.Most}}, nil
}

func (l *ScenarioLeads) read(ctx context.Context, folder, country string) ([]dial.Lead, error) {
	if l.File == "" {
		if l.Count < 1 || l.Count > simulate.MostLeads || l.Digits < 1 || l.Digits > 14 || l.Prefix == "" {
			return nil, fault.Field("leads", "name a file, or say count (to %d), prefix (+4930) and digits (1 to 14) of numbers that are made up", simulate.MostLeads)
		}
		made := simulate.Made(l.Count, l.Prefix, l.Digits)
		for i := range made {
			made[i].Country, made[i].Region, made[i].Zone, made[i].Consent = l.Country, l.Region, l.Zone, l.Consent
		}
		return made, nil
	}
	f, err := os.Open(filepath.Join(folder, l.File))
	if err != nil {
		return nil, fault.Field("leads.file", "the list cannot be read: %s", err)
	}
	defer f.Close() //nolint:errcheck // only read
	sample, err := leadfile.Sniff(f)
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	var out []dial.Lead
	_, err = leadfile.Read(ctx, f, leadfile.Options{Format: sample.Format, Mapping: sample.Mapping, Region: country}, func(x leadfile.Lead) error {
		if len(out) >= simulate.MostLeads {
			return fault.Field("leads.file", "at most %d leads are played", simulate.MostLeads)
		}
		out = append(out, dial.Lead{ID: fmt.Sprint(x.Row), Number: x.Number, Country: x.Country, Region: x.Region, Zone: x.Zone, Consent: l.Consent, Rank: dial.RankNew})
		return nil
	}, func(leadfile.Reject) error { return nil })
	return out, err
}
