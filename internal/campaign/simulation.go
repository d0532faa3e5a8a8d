package campaign

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/parley-voice/parley/internal/campaign/dial"
	"github.com/parley-voice/parley/internal/campaign/pace"
	"github.com/parley-voice/parley/internal/campaign/simulate"
	"github.com/parley-voice/parley/internal/platform/db"
	"github.com/parley-voice/parley/internal/platform/fault"
)

const (
	// mostPlayed is how many leads of a campaign are played: of a longer list every n-th, with as many lines fewer.
	mostPlayed     = 1000
	simulationRuns = 10
	mostRuns       = 100
	simulateFor    = 30 * time.Second
)

// Simulation is what to expect of a campaign if it were started now.
type Simulation struct {
	simulate.Prediction
	Scale float64 `json:"scale" doc:"Every so many-th lead was played, with as many lines fewer; attempts, people and cost are multiplied by it"`
}

// Simulate plays the leads that a campaign has left, from start on; zero is now, or when the campaign begins. people is JSON
// over simulate.UsualPeople; empty: they are as usual.
func (s *Service) Simulate(ctx context.Context, orgID, id string, start time.Time, people json.RawMessage, runs int) (Simulation, error) {
	ctx, cancel := context.WithTimeout(ctx, simulateFor)
	defer cancel()
	c, err := s.Get(ctx, orgID, id)
	if err != nil {
		return Simulation{}, err
	}
	played, err := c.Settings.simulation(s.c.Book, start)
	if err != nil {
		return Simulation{}, err
	}
	if now := s.now(); played.Start.Before(now) {
		played.Start = now
	}
	if len(people) > 0 {
		if err := json.Unmarshal(people, &played.People); err != nil {
			return Simulation{}, fault.Field("body.people", "they cannot be read: %s", err)
		}
	}
	scale, err := s.sample(ctx, orgID, c, played)
	if err != nil {
		return Simulation{}, err
	}
	if err := played.Check("body."); err != nil {
		return Simulation{}, err
	}
	p, err := simulate.Predict(ctx, played, runs, 1)
	if ctx.Err() != nil {
		return Simulation{}, fault.New(fault.Timeout, "the campaign could not be played within %s; ask for fewer runs", simulateFor)
	}
	out := Simulation{Prediction: p, Scale: scale}
	out.times(scale)
	return out, err
}

// times makes of the figures of a sample those of the whole list.
func (s *Simulation) times(n float64) {
	for _, i := range []*simulate.Interval{&s.Attempts, &s.Spoken, &s.Cost, &s.Lines} {
		i.Low, i.Median, i.High = i.Low*n, i.Median*n, i.High*n
	}
	for _, m := range []map[string]float64{s.Outcomes, s.Refused} {
		for k := range m {
			m[k] *= n
		}
	}
	for i := range s.ByHour {
		s.ByHour[i].Attempts *= n
		s.ByHour[i].Spoken *= n
	}
	s.Leads = int(float64(s.Leads) * n)
}

// sample brings a part of the leads that are left into what is played, and makes its lines as many fewer.
func (s *Service) sample(ctx context.Context, orgID string, c Campaign, played *simulate.Campaign) (float64, error) {
	scale := 1.0
	read := func(ctx context.Context, tx *db.Tx) error {
		counts, err := readTally(ctx, tx, c.ID, 0, 0)
		if err != nil {
			return err
		}
		of := under(counts.sum(), "lead:")
		left := of[string(dial.New)] + of[string(dial.Waiting)]
		every := max(1, (left+mostPlayed-1)/mostPlayed)
		var rows []leadRow
		q := tx.NewSelect().Model(&rows).Where("organisation_id = ?", orgID).Where("campaign_id = ?", c.ID).Where("due_at IS NOT NULL")
		if every > 1 {
			q = q.Where("line % ? = 0", every)
		}
		if err := q.OrderExpr("urgency, due_at, id").Limit(2 * mostPlayed).Scan(ctx); err != nil {
			return fmt.Errorf("select leads to play: %w", err)
		}
		if len(rows) == 0 {
			return fault.New(fault.NotPossible, "there is nobody to call: import a list, or add leads one by one")
		}
		scale = max(1, float64(left)/float64(len(rows)))
		played.Leads, err = s.playable(ctx, tx, c, rows, played.Rules.Automated)
		return err
	}
	err := s.withFacts(ctx, orgID, func() error { return s.c.DB.ReadTenant(ctx, orgID, read) })
	lines := float64(played.Pace.Lines)
	played.Pace.Lines = max(1, int(lines/scale+0.5))
	played.Pace.PerSecond /= scale
	played.People.Operators = int(float64(played.People.Operators)/scale + 0.5)
	played.Prices.Most /= scale
	return scale, err
}

// playable makes leads as the dialler would see them, a batch at a time.
func (s *Service) playable(ctx context.Context, tx *db.Tx, c Campaign, rows []leadRow, automated bool) ([]dial.Lead, error) {
	out := make([]dial.Lead, 0, len(rows))
	q := &queue{s: s, org: tx.OrgID(), id: c.ID, lists: c.Settings.Lists, purpose: c.Settings.Purpose, voice: automated}
	for from := 0; from < len(rows); from += rowsAtOnce {
		some, err := q.known(ctx, tx, rows[from:min(from+rowsAtOnce, len(rows))], s.now())
		if err != nil {
			return nil, err
		}
		out = append(out, some...)
	}
	return out, nil
}

// predicted are the rules that a start would break, as obstacles.
func (s *Service) predicted(ctx context.Context, orgID string, c Campaign, p *Preflight) error {
	key := c.ID + fmt.Sprint(c.UpdatedAt.UnixMilli(), p.Leads)
	sim, known := s.predictions.of(key, s.now())
	if !known {
		var err error
		if sim, err = s.expect(ctx, orgID, c); err != nil {
			if fault.Is(err, fault.Timeout) {
				p.warn("prediction", "", "What to expect could not be predicted in time.")
				return nil
			}
			return err
		}
		s.predictions.keep(key, sim, s.now())
	}
	p.Prediction = &sim
	for _, b := range sim.Breaks {
		p.block("prediction", "", "Predicted to break the rule %s: %s", b.Rule, b.Says)
	}
	if sim.Finished < 0.5 && c.Settings.Schedule.Ends != nil {
		p.warn("prediction", "settings.schedule.ends", "The campaign will hardly be done by its end: give it more lines, or more time.")
	}
	return nil
}

// expect plays a campaign as it would be if it were started now.
func (s *Service) expect(ctx context.Context, orgID string, c Campaign) (Simulation, error) {
	var people json.RawMessage
	if d := c.Settings.Dialler; d.Mode != pace.Agentless { // as many operators as its lines are for
		people = fmt.Appendf(nil, `{"operators": %d}`, max(1, int(float64(d.Lines)/d.Ratio)))
	}
	return s.Simulate(ctx, orgID, c.ID, time.Time{}, people, simulationRuns)
}

const (
	predictionKept  = time.Minute
	predictionsMost = 256
)

// predictions keeps what was predicted a moment ago: whoever looked at a campaign's preflight and starts it need not wait again.
// What is kept is of the same settings and counts of leads; of lists that changed meanwhile the dialler knows.
type predictions struct {
	mu   sync.Mutex
	kept map[string]prediction
}

type prediction struct {
	sim Simulation
	at  time.Time
}

func (p *predictions) of(key string, now time.Time) (Simulation, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	x, ok := p.kept[key]
	return x.sim, ok && now.Sub(x.at) < predictionKept
}

// keep keeps one more, and forgets the old ones when there are many; where none is old it forgets all.
func (p *predictions) keep(key string, sim Simulation, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.kept) >= predictionsMost {
		maps.DeleteFunc(p.kept, func(_ string, x prediction) bool { return now.Sub(x.at) >= predictionKept })
	}
	if p.kept == nil || len(p.kept) >= predictionsMost {
		p.kept = map[string]prediction{}
	}
	p.kept[key] = prediction{sim, now}
}
