package campaign

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/campaign/pace"
	"github.com/parley-voice/parley/internal/campaign/policy"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/db/dbtest"
	"github.com/parley-voice/parley/internal/platform/fault"
)

// A campaign that is predicted to break a rule, or to call nobody, does not start, and the rule is named. What may not be set at
// all is refused when it is.
func TestStartThatWouldBreakARule(t *testing.T) {
	dbtest.Each(t, []db.Migrations{Migrations()}, func(t *testing.T, d *db.DB) {
		p := newPlant(t, d, 1, 1)
		s := p.nodes[0].s
		made := func(change func(*Settings)) (Campaign, error) {
			set := Usual()
			set.Agent, set.Dialler.PerSecond = "desk", 0
			change(&set)
			return s.Create(t.Context(), testOrg, NewCampaign{Name: "Test", Settings: &set})
		}
		for name, c := range map[string]struct {
			change func(*Settings)
			number string
			rule   string // "": it starts
		}{
			"people who may be called": {func(*Settings) {}, "+44207946%04d", ""},
			"hours that never come": {func(s *Settings) {
				s.Purpose, s.Schedule.Hours = policy.Sales, map[string]string{"sun-sat": "20:00-21:00"}
			}, "+97150123%04d", "own/hours"},
			"three lines each": {func(s *Settings) { s.Dialler = Dialler{Mode: pace.Ratio, Lines: 6, Ratio: 3, Dropped: 0.1, Ring: 30} }, "+44207946%04d", "gb/abandoned"},
			"operators who are not there": {func(s *Settings) {
				s.Dialler = Dialler{Mode: pace.Progressive, Lines: 5, Ratio: 1, Dropped: 0.03, Ring: 30}
			}, "+44207946%04d", "mode"},
		} {
			camp, err := made(c.change)
			if err != nil {
				t.Fatal(err)
			}
			called(t, s, camp.ID, c.number, 250)
			flight, err := s.Preflight(t.Context(), testOrg, camp.ID)
			if err != nil {
				t.Fatal(err)
			}
			named := slices.ContainsFunc(flight.Problems, func(o Obstacle) bool {
				return o.Blocking && (o.Code == "prediction" && strings.Contains(o.Message, "rule "+c.rule+":") || o.Code == c.rule)
			})
			broken := slices.ContainsFunc(flight.Problems, func(o Obstacle) bool { return o.Code == "prediction" && o.Blocking })
			if flight.Ready != (c.rule == "") || named != (c.rule != "") || broken != strings.Contains(c.rule, "/") {
				t.Errorf("%s: %+v", name, flight.Problems)
			}
			started, err := s.Start(t.Context(), testOrg, camp.ID)
			switch {
			case c.rule == "" && (err != nil || started.State != Running):
				t.Errorf("%s: %v", name, err)
			case strings.Contains(c.rule, "/") && (!fault.Is(err, fault.NotPossible) || !strings.Contains(err.Error(), c.rule)):
				t.Errorf("%s: %v", name, err)
			}
			if c.rule == "" {
				to := camp.Settings
				to.Dialler.Dropped = 0.1
				if _, err := s.Update(t.Context(), testOrg, camp.ID, Change{Settings: func(Settings) (*Settings, error) { return &to, nil }}); !fault.Is(err, fault.Invalid) {
					t.Errorf("more calls may be dropped once it runs: %v", err)
				}
			}
		}
		for _, seconds := range []int{0, 14} {
			if _, err := made(func(s *Settings) { s.Dialler.Ring = seconds }); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "15") {
				t.Errorf("it rings for %d s: %v", seconds, err)
			}
		}
	})
}

// called gives a campaign n people, whose numbers look alike.
func called(t *testing.T, s *Service, id, number string, n int) {
	t.Helper()
	due := s.now().UnixMilli()
	rows := make([]leadRow, n)
	for i := range rows {
		rows[i] = leadRow{ID: newID(), OrganisationID: testOrg, CampaignID: id, Line: int64(i + 2), Number: fmt.Sprintf(number, i), Variables: "{}",
			State: dial.New, Urgency: dial.RankNew, DueAt: &due}
	}
	err := s.c.DB.InTenant(t.Context(), testOrg, func(ctx context.Context, tx *db.Tx) error {
		_, err := addLeads(ctx, tx, id, rows)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
